"""Faults and switches of the pretend Halo that strike whole requests and answers."""

from datetime import UTC, datetime

import pytest

from simulators.clock import SimClock
from simulators.halo import create_halo, sign_in
from simulators.halo.client import _client as anonymous

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CREDENTIALS = {"grant_type": "client_credentials", "client_id": "local", "client_secret": "local", "scope": "all"}


@pytest.fixture
def http():
    return sign_in(create_halo())


def strike(http, fault, path="/api/Tickets", **more):
    rule = {"match": {"method": "GET", "path": path}, "fault": fault, "times": None, **more}
    assert http.put("/_faults", json=[rule]).status_code == 200


def make(http, count):
    return [http.post("/api/Tickets", json=[{"summary": f"Ticket {at}", "status_id": 1 + at % 2}]).json()["id"] for at in range(count)]


def ids(http, **query):
    return [row["id"] for row in http.get("/api/Tickets", params=query).json()["tickets"]]


def test_a_filter_that_is_ignored_returns_everything_in_its_pages_and_order(http):
    made = make(http, 4)
    assert len(ids(http, status_id=2)) == 2
    strike(http, "filter_ignored")
    assert ids(http, status_id=2, open_only="true", search_summary="nothing") == sorted(made, reverse=True)
    assert ids(http, status_id=2, order="id", pageinate="true", page_size=3, page_no=2) == made[3:]


def test_a_list_that_knows_no_pages_answers_each_with_the_first(http):
    made = sorted(make(http, 3), reverse=True)
    pages = {"pageinate": "true", "page_size": 2}
    assert ids(http, **pages, page_no=2) == made[2:]
    strike(http, "page_repeated")
    assert [ids(http, **pages, page_no=number) for number in (1, 2, 3)] == [made[:2]] * 3
    assert ids(http, count=3) == made, "without pages it has everything"


@pytest.mark.parametrize(("body", "count"), [(None, 0), (7, 7)])
def test_a_count_that_is_wrong_stands_beside_the_right_rows(http, body, count):
    make(http, 2)
    strike(http, "wrong_count", body=body)
    answer = http.get("/api/Tickets").json()
    assert (answer["record_count"], len(answer["tickets"])) == (count, 2)


def test_a_token_that_is_revoked_is_refused_from_then_on_and_another_one_is_not():
    halo = create_halo()
    first, second = sign_in(halo), sign_in(halo)
    first.put("/_faults", json=[{"fault": "token_revoked", "match": {"path": "/api/Status"}}])
    assert [first.get("/api/Status").status_code for _ in range(2)] == [401, 401]
    assert second.get("/api/Status").status_code == 200


@pytest.mark.parametrize("place", ["query", "form"])
def test_a_token_request_names_the_tenant_where_the_switch_wants_it(place):
    http = anonymous(create_halo(tenant_in=place))
    told = {"query": {"params": {"tenant": "local"}, "data": CREDENTIALS}, "form": {"data": CREDENTIALS | {"tenant": "local"}}}
    assert {name: http.post("/auth/token", **how).status_code for name, how in told.items()} == {
        name: 200 if name == place else 500 for name in told
    }
    assert http.post("/auth/token", data=CREDENTIALS).status_code == 500


@pytest.mark.parametrize(("switch", "status"), [("not_found", 404), ("refused", 400), ("creates", 201)])
@pytest.mark.parametrize("path", ["/api/Tickets", "/api/Users", "/api/Agent"])
def test_an_update_with_an_unknown_id_does_what_the_switch_says(switch, status, path):
    http = sign_in(create_halo(unknown_id=switch))
    row = {"id": 4711, "summary": "x", "name": "x", "email": "x@example.com", "site_id": 18}
    assert http.post(path, json=[row]).status_code == status


def test_a_tenant_shows_dates_in_its_own_time_where_that_is_switched_on():
    halo = create_halo(clock=SimClock(NOON, frozen=True), utc_offset=330)
    ticket = sign_in(halo).post("/api/Tickets", json=[{"summary": "x"}]).json()
    assert (ticket["dateoccurred"], ticket["dateclosed"]) == ("2026-11-23T17:30:00.0000000", "1899-12-30T00:00:00")


def test_the_html_of_a_note_is_written_anew_where_that_is_switched_on():
    http = sign_in(create_halo(rewrites_html=True))
    [ticket] = make(http, 1)
    note = http.post("/api/Actions", json=[{"ticket_id": ticket, "outcome_id": 7, "note_html": "<p>Done [key]</p>"}]).json()
    assert (note["note"], note["note_html"]) == ("Done [key]", '<div class="note"><div>Done &#91;key&#93;</div></div>')


def test_a_report_that_cannot_be_loaded_is_a_200_with_its_error(http):
    answer = http.post("/api/Report", json=[{"sql": "select 1", "_testonly": True}])
    assert (answer.status_code, answer.json()["report"]["loaded"], bool(answer.json()["report"]["load_error"])) == (200, False, True)
    assert http.post("/api/Report", json={"sql": "select 1"}).status_code == 400


def test_a_merged_ticket_says_into_which(http):
    first, second = make(http, 2)
    http.post("/api/Tickets", json=[{"id": second, "merged_into_id": first}])
    assert http.get(f"/api/Tickets/{second}", params={"includedetails": "true"}).json()["merged_into_id"] == first
