"""Subscriptions and notifications of the pretend Graph, over real connections."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from werkzeug.wrappers import Request, Response

from joinery.serving import Served, serve
from simulators.door import ConnectionDropped
from tests.simulators.graphs import Tenant, code, done, token


class Receiver:
    """A little endpoint: shakes hands, keeps what it gets, and answers what it is told to."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.handshakes: list[str] = []
        self.status = 202
        self.echo: Callable[[str], Response] = lambda token: Response(token, mimetype="text/plain")
        self._lock = threading.Lock()
        self.served: Served = serve(self)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        if "validationToken" in request.args:
            self.handshakes.append(request.args["validationToken"])
            return self.echo(request.args["validationToken"])(environ, start_response)
        with self._lock:
            if self.status < 300:
                self.got += json.loads(request.get_data())["value"]
        return Response(status=self.status)(environ, start_response)

    def await_count(self, count: int) -> list[dict[str, Any]]:
        deadline = time.monotonic() + 20
        while len(self.got) < count and time.monotonic() < deadline:
            time.sleep(0.005)
        with self._lock:
            return list(self.got)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.served.close()


@pytest.fixture
def tenant() -> Iterator[Tenant]:
    tenant = Tenant()
    tenant.graph.start()
    yield tenant
    tenant.graph.stop()


def ahead(**span: float) -> str:
    return (datetime.now(UTC) + timedelta(**span)).isoformat()


def asking(receiver: Receiver, resource: str = "users", **change: Any) -> dict[str, Any]:
    url = receiver.served.url
    body = {"changeType": "updated,deleted", "resource": resource, "notificationUrl": f"{url}/api/notifications?sub={resource}"}
    return (
        body | {"lifecycleNotificationUrl": f"{url}/api/lifecycle", "clientState": "secret", "expirationDateTime": ahead(days=2)} | change
    )


def subscribe(tenant: Tenant, receiver: Receiver, resource: str = "users", **change: Any) -> dict[str, Any]:
    return dict(done(tenant.client.post("/subscriptions", json=asking(receiver, resource, **change)), 201))


pytestmark = pytest.mark.servers


def test_a_subscription_is_made_after_a_handshake_with_both_urls(tenant: Tenant, receiver: Receiver) -> None:
    made = subscribe(tenant, receiver)
    assert len(receiver.handshakes) == 2 and all(sign in receiver.handshakes[0] for sign in " :%")
    assert made["clientState"] == "secret" and made["changeType"] == "updated,deleted"
    assert done(tenant.client.get(f"/subscriptions/{made['id']}"), 200)["clientState"] is None
    listed = done(tenant.client.get("/subscriptions"), 200)["value"]
    assert [(row["id"], row["clientState"]) for row in listed] == [(made["id"], None)]
    twin = tenant.client.post("/subscriptions", json=asking(receiver, "/Users", changeType="deleted,updated"))
    assert code(twin)[0] == 409 and made["id"] in twin.json()["error"]["message"]
    assert tenant.client.delete(f"/subscriptions/{made['id']}").status_code == 204
    assert tenant.client.get(f"/subscriptions/{made['id']}").status_code == 404


@pytest.mark.parametrize(
    "answer",
    [
        lambda token: Response(token, mimetype="text/plain", status=202),
        lambda token: Response(json.dumps(token), mimetype="application/json"),
        lambda token: Response(token.replace(" ", "+"), mimetype="text/plain"),
        lambda token: Response(token, mimetype="text/html"),
        lambda token: Response(status=500),
    ],
)
def test_a_failed_handshake_is_a_400(tenant: Tenant, receiver: Receiver, answer: Callable[[str], Response]) -> None:
    receiver.echo = answer
    assert code(tenant.client.post("/subscriptions", json=asking(receiver))) == (400, "ValidationError")


@pytest.mark.parametrize(
    "change",
    [
        {"expirationDateTime": ahead(minutes=50_000)},
        {"expirationDateTime": ahead(minutes=-1)},
        {"expirationDateTime": "soon"},
        {"expirationDateTime": None},
        {"clientState": "x" * 129},
        {"changeType": "renamed"},
        {"resource": "/me/messages"},
        {"notificationUrl": "http://example.com/hook"},
        {"notificationUrl": "http://127.0.0.1:99999/hook"},
        {"notificationUrl": "http://127.0.0.1:1/hook"},
        {"includeResourceData": True},
        {"colour": "red"},
    ],
)
def test_a_wrong_subscription_is_a_400(tenant: Tenant, receiver: Receiver, change: dict[str, Any]) -> None:
    assert tenant.client.post("/subscriptions", json=asking(receiver, **change)).status_code == 400


def test_a_subscription_is_renewed_reauthorised_and_expires_in_silence(tenant: Tenant, receiver: Receiver) -> None:
    made = subscribe(tenant, receiver, expirationDateTime=ahead(minutes=1))
    assert made["expirationDateTime"] > ahead(minutes=44)
    path = f"/subscriptions/{made['id']}"
    later = done(tenant.client.patch(path, json={"expirationDateTime": ahead(days=20)}), 200)
    assert later["expirationDateTime"] > made["expirationDateTime"]
    assert tenant.client.patch(path, json={"notificationUrl": "https://x"}).status_code == 400
    assert tenant.client.post(path + "/reauthorize").status_code == 200
    tenant.bare.put("/_clock", json={"now": ahead(days=21)})
    assert tenant.client.patch(path, json={"expirationDateTime": ahead(days=25)}).status_code == 404
    assert done(tenant.client.get("/subscriptions"), 200)["value"] == []
    tenant.person("ada")
    assert tenant.graph.outbox.waiting() == 0


def test_the_quota_is_a_403(tenant: Tenant, receiver: Receiver) -> None:
    tenant.bare.put("/_switches", json={"subscription_quota": 1})
    subscribe(tenant, receiver)
    assert tenant.client.post("/subscriptions", json=asking(receiver, "groups")).status_code == 403


def test_a_change_notifies_in_the_published_shape_and_no_change_does_not(tenant: Tenant, receiver: Receiver) -> None:
    made = subscribe(tenant, receiver)
    ada = tenant.person("ada", jobTitle="x")
    boss = tenant.person("boss")
    receiver.await_count(2)
    tenant.client.patch(f"/users/{ada}", json={"jobTitle": "x"})
    tenant.client.put(f"/users/{ada}/manager/$ref", json={"@odata.id": tenant.link(boss)})
    tenant.client.patch(f"/users/{ada}", json={"accountEnabled": False})
    tenant.client.delete(f"/users/{ada}")
    tenant.client.post(f"/directory/deletedItems/{ada}/restore")
    tenant.client.delete(f"/users/{ada}")
    tenant.client.delete(f"/directory/deletedItems/{ada}")
    got = receiver.await_count(7)
    assert [(one["changeType"], one["resource"]) for one in got] == [
        ("updated", f"Users/{ada}"),
        ("updated", f"Users/{boss}"),
        *[("updated", f"Users/{ada}")] * 4,
        ("deleted", f"Users/{ada}"),
    ]
    first = got[0]
    assert (first["subscriptionId"], first["clientState"], first["tenantId"]) == (made["id"], "secret", tenant.graph.tenant_id)
    data = first["resourceData"]
    assert (data["@odata.type"], data["@odata.id"], data["id"]) == ("#Microsoft.Graph.User", f"Users/{ada}", ada)
    assert data["organizationId"] == tenant.graph.tenant_id and data["sequenceNumber"] > 2**53 and "id" not in first


def test_memberships_notify_the_group(tenant: Tenant, receiver: Receiver) -> None:
    ada, team = tenant.person("ada"), tenant.group("Team")
    subscribe(tenant, receiver, "/groups")
    subscribe(tenant, receiver, "/users")
    tenant.add(team, ada)
    tenant.client.delete(f"/groups/{team}/members/{ada}/$ref")
    got = receiver.await_count(2)
    assert [one["resource"] for one in got] == [f"Groups/{team}"] * 2
    assert got[0]["resourceData"]["members@delta"] == [{"id": ada}]
    assert got[1]["resourceData"]["members@delta"] == [{"id": ada, "@removed": "deleted"}]
    tenant.client.delete(f"/users/{ada}")
    assert receiver.await_count(3)[2]["resource"] == f"Users/{ada}"


def test_a_creation_can_come_as_a_burst(tenant: Tenant, receiver: Receiver) -> None:
    tenant.bare.put("/_switches", json={"create_burst": 3})
    subscribe(tenant, receiver)
    ada = tenant.person("ada")
    assert [one["resource"] for one in receiver.await_count(3)] == [f"Users/{ada}"] * 3


def test_a_refused_notification_is_sent_again_in_order(tenant: Tenant, receiver: Receiver) -> None:
    subscribe(tenant, receiver)
    receiver.status = 503
    people = [tenant.person(f"p{n}") for n in range(3)]
    receiver.status = 202
    assert [one["resourceData"]["id"] for one in receiver.await_count(3)] == people


def test_undelivered_notifications_survive_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    before = Tenant(tmp_path)
    subscribe(before, receiver)
    ada = before.person("ada")
    before.graph.close()
    assert receiver.got == []
    after = Tenant(tmp_path)
    after.graph.start()
    assert receiver.await_count(1)[0]["resourceData"]["id"] == ada
    after.graph.close()


def test_notifications_of_a_deleted_subscription_are_forgotten(receiver: Receiver) -> None:
    tenant = Tenant()
    made = subscribe(tenant, receiver)
    tenant.person("ada")
    assert tenant.graph.outbox.waiting() == 1
    tenant.client.delete(f"/subscriptions/{made['id']}")
    assert tenant.graph.outbox.waiting() == 0


def test_notifications_can_be_dropped_doubled_stormed_and_reordered(tenant: Tenant, receiver: Receiver) -> None:
    subscribe(tenant, receiver)
    tenant.fault(fault="drop", match={"method": "POST", "path": "/api/notifications"})
    tenant.person("dropped")
    tenant.fault(fault="duplicate", copies=2)
    first = tenant.person("first")
    assert [one["resourceData"]["id"] for one in receiver.await_count(3)] == [first] * 3
    tenant.fault(fault="reorder", times=None)
    people = [tenant.person(f"p{n}") for n in range(4)]
    order = [one["resourceData"]["id"] for one in receiver.await_count(7)][3:]
    assert order == [people[1], people[0], people[3], people[2]]
    tenant.fault(fault="storm", match={"path": "/users"})
    tenant.person("storm")
    assert len(receiver.await_count(28)) == 28


def test_a_delayed_notification_lets_others_pass_and_comes_when_the_clock_is_moved(tenant: Tenant, receiver: Receiver) -> None:
    subscribe(tenant, receiver, expirationDateTime=ahead(days=20))
    tenant.fault(fault="delay", delay=2 * 86_400)
    late = tenant.person("late")
    prompt = tenant.person("prompt")
    assert [one["resourceData"]["id"] for one in receiver.await_count(1)] == [prompt]
    tenant.bare.put("/_clock", json={"now": ahead(days=3)})
    assert [one["resourceData"]["id"] for one in receiver.await_count(2)] == [prompt, late]


def test_lifecycle_events_are_sent_on_request(tenant: Tenant, receiver: Receiver) -> None:
    made = subscribe(tenant, receiver)
    assert tenant.bare.post("/_lifecycle", json={"event": "reauthorizationRequired"}).json() == {"sent": 1}
    event = receiver.await_count(1)[0]
    assert (event["lifecycleEvent"], event["subscriptionId"], event["clientState"]) == ("reauthorizationRequired", made["id"], "secret")
    assert "resource" not in event and "resourceData" not in event
    assert tenant.bare.post("/_lifecycle", json={"event": "party"}).status_code == 400
    assert tenant.bare.post("/_lifecycle", json={"event": "subscriptionRemoved", "subscription": made["id"]}).json() == {"sent": 1}
    assert receiver.await_count(2)[1]["lifecycleEvent"] == "subscriptionRemoved"
    assert done(tenant.client.get("/subscriptions"), 200)["value"] == []


def test_a_change_that_failed_notifies_nobody(receiver: Receiver) -> None:
    tenant = Tenant()
    subscribe(tenant, receiver)
    ada = tenant.person("ada")
    body = {"jobTitle": "x", "manager@odata.bind": "https://elsewhere.example/v1.0/users/1"}
    assert tenant.client.patch(f"/users/{ada}", json=body).status_code == 400
    assert done(tenant.client.get(f"/users/{ada}"), 200)["jobTitle"] is None
    assert tenant.graph.outbox.waiting() == 1


@pytest.mark.parametrize("restart", [False, True])
def test_a_late_write_lands_and_notifies_also_after_a_restart(tmp_path: Path, receiver: Receiver, restart: bool) -> None:
    tenant = Tenant(tmp_path)
    subscribe(tenant, receiver)
    tenant.fault(fault="lands_late", match={"method": "POST", "path": "/v1.0/users"})
    with pytest.raises(ConnectionDropped):
        tenant.person("late")
    assert tenant.rows("/users") == []
    if restart:
        tenant.graph.close()
        tenant = Tenant(tmp_path)
    tenant.graph.start()
    assert receiver.await_count(1)[0]["resource"] == f"Users/{tenant.rows('/users')[0]['id']}"
    tenant.graph.close()


def test_many_clients_at_once_lose_nothing(tenant: Tenant, receiver: Receiver) -> None:
    subscribe(tenant, receiver)
    team = tenant.group("Team")
    server = serve(tenant.graph.wsgi)
    headers = {"Authorization": f"Bearer {token(tenant.bare)}"}

    def hire(worker: int) -> None:
        with httpx.Client(base_url=f"{server.url}/v1.0", headers=headers) as client:
            for number in range(10):
                name = f"ü{worker}-{number}@example.com"
                made = client.post("/users", json={"accountEnabled": True, "displayName": "x", "userPrincipalName": name}).json()
                client.post(f"/groups/{team}/members/$ref", json={"@odata.id": f"{server.url}/v1.0/users/{made['id']}"}).raise_for_status()
                assert client.get(f"/users/{name}").json()["id"] == made["id"]

    workers = [threading.Thread(target=hire, args=(worker,)) for worker in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    people = {row["id"] for row in tenant.rows("/users")}
    assert len(people) == 60 and {row["id"] for row in tenant.rows(f"/groups/{team}/members")} == people
    assert {one["resourceData"]["id"] for one in receiver.await_count(60)} == people
    server.close()
