"""Webhooks of the pretend Halo, and what a restart keeps."""

import base64
import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from joinery.serving import serve
from simulators.clock import SimClock
from simulators.halo import create_halo, sign_in

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Receiver:
    """A little web server that remembers what was posted to it."""

    def __init__(self):
        self.posts = []
        self.status = "200 OK"
        self.came = threading.Condition()
        self.served = serve(self.take)
        self.url = self.served.url + "/hooks/halo"

    def take(self, environ, start_response):
        body = json.loads(environ["wsgi.input"].read())
        with self.came:
            self.posts.append((environ.get("HTTP_AUTHORIZATION"), body))
            self.came.notify_all()
        start_response(self.status, [("Content-Length", "0")])
        return [b""]

    def wait_for(self, count):
        with self.came:
            assert self.came.wait_for(lambda: len(self.posts) >= count, timeout=20)
        return [body for _, body in self.posts]


@pytest.fixture
def receiver():
    found = Receiver()
    yield found
    found.served.close()


def subscribe(http, url, *events, conditions=(), **members):
    hook = http.post("/api/Webhook", json=[{"name": "bridge", "type": 0, "url": url, "active": True, **members}]).json()
    for number in events:
        row = {"guid": None, "webhook_id": hook["id"], "type": -2, "delivery_method": 6, "eventno": str(number), "filter_type": 2}
        assert http.post("/api/Notification", json=[row | {"conditions": list(conditions)}]).status_code == 201
    return hook


def make(http, **members):
    return http.post("/api/Tickets", json=[{"summary": "A ticket", **members}]).json()


@pytest.mark.parametrize(("result", "event"), [(1, "Approval Accepted"), (2, "Approval Rejected")])
def test_an_answered_approval_is_told_to_whoever_subscribed_to_it(receiver, result, event):
    halo = create_halo()
    http = sign_in(halo)
    number = next(row["value2"] for row in http.get("/api/Lookup", params={"lookupid": 64}).json() if row["name"] == event)
    subscribe(http, receiver.url, number)
    boss = {"name": "Boss", "emailaddress": "boss@example.com", "site_id": 18, "ischangeapprover2": True}
    boss = http.post("/api/Users", json=[boss]).json()
    ticket = make(http)
    asked = {"new_approvalprocess": 3, "new_approvalprocess_user_id": boss["id"]}
    http.post("/api/Actions", json=[{"ticket_id": ticket["id"], "outcome_id": 7, **asked}])
    answer = [{"ticket_id": ticket["id"], "seq": 1, "result": result}]
    assert sign_in(halo, username="boss@example.com").post("/api/TicketApproval", json=answer).status_code == 200
    halo.deliver_due()
    assert [(body["event"], body["object_id"]) for body in receiver.wait_for(1)] == [(event, ticket["id"])]


def test_a_webhook_needs_a_valid_url_and_a_unique_name_and_its_events_are_a_view():
    http = sign_in(create_halo())
    hook = subscribe(
        http, "http://127.0.0.1:9/x", 3, authentication_type=1, basic_username="halo", basic_password="secret", events=[{"eventno": 76}]
    )
    assert "secret" not in http.get(f"/api/Webhook/{hook['id']}").text
    assert [row["eventno"] for row in http.get("/api/Webhook").json()[0]["events"]] == [3]
    for wrong in (
        {"name": "bridge", "url": "http://x"},
        {"name": "other", "url": "no url"},
        {"name": "other", "url": "http://[x"},
        {"url": "http://x"},
    ):
        assert http.post("/api/Webhook", json=[wrong]).status_code == 400
    assert http.post("/api/Webhook", json=[{"id": hook["id"], "active": False}]).json()["url"] == "http://127.0.0.1:9/x"
    assert http.post("/api/Notification", json=[{"webhook_id": "nothing", "eventno": 3}]).status_code == 400
    http.delete(f"/api/Webhook/{hook['id']}")
    assert http.get("/api/Notification").json() == []


def test_reusing_a_guid_overwrites_that_subscription():
    http = sign_in(create_halo())
    subscribe(http, "http://127.0.0.1:9/x", 3)
    (row,) = http.get("/api/Notification").json()
    http.post(
        "/api/Notification", json=[{"guid": row["guid"], "webhook_id": row["webhook_id"], "type": -2, "delivery_method": 6, "eventno": 76}]
    )
    assert [found["eventno"] for found in http.get("/api/Notification").json()] == [76]


@pytest.mark.servers
def test_a_change_is_told_by_the_delivery_thread_with_basic_credentials(receiver):
    halo = create_halo()
    http = sign_in(halo)
    hook = subscribe(http, receiver.url, 3, 76, 39, authentication_type=1, basic_username="halo", basic_password="secret")
    halo.start()
    try:
        ticket = make(http)
        http.post("/api/Actions", json=[{"ticket_id": ticket["id"], "outcome_id": 7, "new_status": 2}])
        http.post("/api/Tickets", json=[{"id": ticket["id"], "status_id": 9}])
        bodies = receiver.wait_for(4)
    finally:
        halo.stop()
    assert [body["event"] for body in bodies] == ["New Ticket Logged", "Ticket Status Changed", "Ticket Status Changed", "Ticket Closed"]
    assert {body["object_id"] for body in bodies} == {ticket["id"]}
    assert {body["webhook_id"] for body in bodies} == {hook["id"]}
    assert len({body["id"] for body in bodies}) == 4
    assert receiver.posts[0][0] == "Basic " + base64.b64encode(b"halo:secret").decode()


@pytest.mark.servers
def test_conditions_limit_a_subscription_and_an_inactive_webhook_is_silent(receiver):
    halo = create_halo()
    http = sign_in(halo)
    hook = subscribe(http, receiver.url, 3, conditions=[{"tablename": "faults", "fieldname": "tickettype_id", "value_int": 31}])
    make(http)
    make(http, tickettype_id=31)
    assert halo.deliver_due() == 1
    http.post("/api/Webhook", json=[{"id": hook["id"], "active": False}])
    make(http, tickettype_id=31)
    assert halo.deliver_due() == 0


@pytest.mark.servers
def test_deliveries_are_logged(receiver):
    halo = create_halo()
    http = sign_in(halo)
    hook = subscribe(http, receiver.url, 3)
    ticket = make(http)
    halo.deliver_due()
    (row,) = http.get("/api/WebhookEvent", params={"webhook_id": hook["id"]}).json()["events"]
    assert (row["responsestatus"], row["entity_id"], row["error"]) == (200, ticket["id"], False)
    assert json.loads(row["requestbody"])["object_id"] == ticket["id"]
    assert http.get(f"/api/WebhookEvent/{row['id']}").json() == row


@pytest.mark.servers
def test_a_failed_delivery_is_tried_again_later_and_given_up_at_last(receiver):
    clock = SimClock(datetime(2026, 11, 23, 9, tzinfo=UTC), frozen=True)
    halo = create_halo(clock=clock, webhook_attempts=2)
    http = sign_in(halo)
    subscribe(http, receiver.url, 3)
    receiver.status = "503 Service Unavailable"
    make(http)
    assert (halo.deliver_due(), halo.deliver_due()) == (1, 0)
    clock.advance(timedelta(seconds=1))
    assert halo.deliver_due() == 1
    clock.advance(timedelta(hours=1))
    assert halo.deliver_due() == 0
    assert len(receiver.posts) == 2


@pytest.mark.servers
def test_a_webhook_that_keeps_failing_switches_itself_off():
    clock = SimClock(datetime(2026, 11, 23, 9, tzinfo=UTC), frozen=True)
    halo = create_halo(clock=clock)
    http = sign_in(halo)
    hook = subscribe(http, "http://127.0.0.1:9/nobody", 3, auto_disable_attempts=2)
    make(http)
    for _ in range(4):
        halo.deliver_due()
        clock.advance(timedelta(minutes=1))
    row = http.get(f"/api/Webhook/{hook['id']}").json()
    assert (row["active"], row["disabled"]) == (False, True)
    assert http.get("/api/WebhookEvent").json()["record_count"] == 2
    again = http.post("/api/Webhook", json=[{"id": hook["id"], "active": True}]).json()
    assert (again["active"], again["disabled"]) == (True, False)


@pytest.mark.servers
def test_webhooks_can_be_dropped_and_duplicated(receiver):
    halo = create_halo()
    http = sign_in(halo)
    subscribe(http, receiver.url, 3)
    http.put("/_faults", json=[{"match": {}, "fault": "drop_webhook"}])
    make(http)
    halo.deliver_due()
    assert receiver.posts == []
    http.put("/_faults", json=[{"match": {}, "fault": "duplicate_webhook"}])
    make(http)
    halo.deliver_due()
    first, second = (body for _, body in receiver.posts)
    assert first == second


@pytest.mark.servers
@pytest.mark.parametrize(("method", "wait"), [(1, 30), (2, 0)])
def test_a_batched_webhook_sends_an_array(receiver, method, wait):
    clock = SimClock(datetime(2026, 11, 23, 9, tzinfo=UTC), frozen=True)
    halo = create_halo(clock=clock)
    http = sign_in(halo)
    subscribe(http, receiver.url, 3, batch_method=method, batch_delay_seconds=30, batch_limit=2)
    make(http)
    assert halo.deliver_due() == 0
    make(http)
    clock.advance(timedelta(seconds=wait))
    assert halo.deliver_due() == 1
    assert len(receiver.posts[0][1]) == 2


@pytest.mark.servers
def test_undelivered_webhooks_survive_a_restart(tmp_path, receiver):
    halo = create_halo(tmp_path)
    http = sign_in(halo)
    subscribe(http, receiver.url, 3)
    ticket = make(http)
    halo.stop()
    again = create_halo(tmp_path)
    again.start()
    assert receiver.wait_for(1)[0]["object_id"] == ticket["id"]
    again.stop()
    third = create_halo(tmp_path)
    assert third.deliver_due() == 0
    third.stop()


def test_a_restart_goes_on_in_the_same_world(tmp_path):
    clock = SimClock()
    halo = create_halo(tmp_path, clock)
    http = sign_in(halo)
    http.put("/_clock", json={"now": "2027-01-01T00:00:00Z", "frozen": True})
    ann = http.post("/api/Users", json=[{"name": "Ann", "site_id": 18}]).json()
    sam = http.post(
        "/api/Agent", json=[{"name": "Sam", "email": "sam@example.com", "roles": [{"id": http.get("/api/Roles").json()[0]["id"]}]}]
    ).json()
    ticket = make(http, user_id=ann["id"], todo_list=[{"text": "one"}], customfields=[{"name": "CFjoineryKey", "value": "K"}])
    http.post("/api/Actions", json=[{"ticket_id": ticket["id"], "outcome_id": 7, "note": "n"}])
    paths = (
        f"/api/Tickets/{ticket['id']}?includedetails=true",
        f"/api/Users/{ann['id']}",
        f"/api/Agent/{sam['id']}",
        "/api/Site",
        "/api/UserChange",
    )
    before = [http.get(path).json() for path in (*paths, f"/api/Actions?ticket_id={ticket['id']}")]
    halo.stop()
    again = create_halo(tmp_path)
    http = sign_in(again)
    assert [http.get(path).json() for path in (*paths, f"/api/Actions?ticket_id={ticket['id']}")] == before
    assert http.get("/_clock").json()["now"].startswith("2027-01-01")
    assert make(http)["id"] == ticket["id"] + 1
    assert http.get("/api/Users").json()["record_count"] == 4, "reference data is seeded once"
    again.stop()
    again.stop()


def told_of(receiver, clock, halo, after=0.0):
    """The statuses that were posted by now, in their order, once so much time has passed."""
    clock.advance(timedelta(seconds=after))
    halo.deliver_due()
    return [body["ticket"]["status_id"] for _, body in receiver.posts]


def troubled(receiver, **fault):
    """A halo on a clock that stands, with a ticket and a webhook for its statuses; the ticket goes to status 2 under a fault."""
    clock = SimClock(NOON, frozen=True)
    halo = create_halo(clock=clock)
    http = sign_in(halo)
    subscribe(http, receiver.url, 76)
    ticket = make(http)["id"]
    http.put("/_faults", json=[fault]).raise_for_status()
    http.post("/api/Tickets", json=[{"id": ticket, "status_id": 2}])
    return clock, halo, http, ticket


@pytest.mark.servers
def test_a_late_webhook_tells_what_was_then_though_the_ticket_has_changed_again(receiver):
    clock, halo, http, ticket = troubled(receiver, fault="late_webhook", delay=60)
    assert told_of(receiver, clock, halo) == []
    http.post("/api/Tickets", json=[{"id": ticket, "status_id": 3}])
    assert told_of(receiver, clock, halo) == [3]
    assert told_of(receiver, clock, halo, after=61) == [3, 2]
    assert http.get(f"/api/Tickets/{ticket}").json()["status_id"] == 3


@pytest.mark.servers
def test_a_reordered_webhook_comes_after_the_next_one(receiver):
    clock, halo, http, ticket = troubled(receiver, fault="reorder_webhook")
    assert told_of(receiver, clock, halo) == []
    http.post("/api/Tickets", json=[{"id": ticket, "status_id": 3}])
    assert told_of(receiver, clock, halo) == [3, 2]


@pytest.mark.servers
def test_a_reordered_webhook_that_nothing_follows_comes_a_little_later_by_itself(receiver):
    clock, halo, *_ = troubled(receiver, fault="reorder_webhook")
    assert (told_of(receiver, clock, halo), told_of(receiver, clock, halo, after=6)) == ([], [2])
