"""What we make of odd answers about subscriptions. The vendor's SDK is asynchronous, so a small server stands on a real port."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask, Response, request

from adapters.graph.subscriptions import GraphSubscriptions
from joinery.engine.memory import FakeClock
from joinery.errors import Refused, TryLater
from joinery.serving import Served, serve

pytestmark = pytest.mark.servers

NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
URL = "https://hooks.example/api/notifications?code=k3y"
LIFECYCLE = "https://hooks.example/api/lifecycle"
SECRET = "cl1ent-state"

Body = dict[str, Any]


class Tokens:
    """``t-1``, and a new one after each refresh."""

    number = 1

    def token(self) -> str:
        return f"t-{self.number}"

    def refresh(self, rejected: str | None = None) -> str:
        self.number += 1
        return self.token()


class Graph:
    """Holds subscriptions; ``odd`` may answer a call instead, by its number among the calls of that method."""

    def __init__(self) -> None:
        self.held: list[Body] = []
        self.calls: list[str] = []
        self.bodies: list[Body] = []
        self.odd: dict[tuple[str, int], Callable[[], Response]] = {}
        self.page_size = 100
        self.tokens = Tokens()
        self.made = 0
        app = Flask("odd graph")
        app.add_url_rule("/v1.0/subscriptions", view_func=self._all, methods=["GET", "POST"])
        app.add_url_rule("/v1.0/subscriptions/<id_>", view_func=self._one, methods=["PATCH", "DELETE"])
        self.server: Served = serve(app)
        self.subscriptions = GraphSubscriptions(f"{self.server.url}/v1.0", self.tokens, clock=FakeClock(NOW))

    def ensure(self, *, changed: bool = False) -> dict[str, datetime]:
        return dict(self.subscriptions.ensure(notification_url=URL, lifecycle_url=LIFECYCLE, client_state=SECRET, changed=changed))

    def has(self, resource: str, *, days: float = 20, **changes: Any) -> Body:
        """Put a subscription there that fits, except for what is given."""
        self.made += 1
        end = (NOW + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.held.append(
            {
                "id": f"s-{self.made}",
                "resource": resource,
                "changeType": "updated,deleted",
                "notificationUrl": URL,
                "lifecycleNotificationUrl": LIFECYCLE,
                "clientState": None,
                "expirationDateTime": end,
                **changes,
            }
        )
        return self.held[-1]

    def _called(self) -> Response | None:
        self.calls.append(f"{request.method} {request.path.removeprefix('/v1.0')}")
        count = sum(call.startswith(request.method) for call in self.calls)
        odd = self.odd.get((request.method, count))
        return odd() if odd else None

    def _all(self) -> Response:
        if odd := self._called():
            return odd
        if request.method == "GET":
            start = int(request.args.get("skip", 0))
            end = start + self.page_size
            body: Body = {"value": self.held[start:end]}
            if end < len(self.held):
                body["@odata.nextLink"] = f"{request.host_url}v1.0/subscriptions?skip={end}"
            return reply(200, body)
        order = request.get_json()
        self.bodies.append(order)
        if any(
            kept["resource"].strip("/").lower() == order["resource"].strip("/") and kept["changeType"] == order["changeType"]
            for kept in self.held
        ):
            return reply(409, error("Conflict", "Subscription with id s-1 already exists"))
        self.made += 1
        self.held.append({"id": f"s-{self.made}", **order})
        return reply(201, {**self.held[-1], "clientState": None})

    def _one(self, id_: str) -> Response:
        if odd := self._called():
            return odd
        kept = next((kept for kept in self.held if kept["id"] == id_), None)
        if kept is None:
            return reply(404, error("ResourceNotFound", "The object was not found."))
        if request.method == "DELETE":
            self.held.remove(kept)
            return Response(status=204)
        self.bodies.append(request.get_json())
        kept.update(request.get_json())
        return reply(200, kept)


def reply(status: int, body: Body, **headers: str) -> Response:
    return Response(
        json.dumps(body), status=status, content_type="application/json", headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def error(code: str, message: str = "…") -> Body:
    return {"error": {"code": code, "message": message, "innerError": {"request-id": "r"}}}


@pytest.fixture
def graph() -> Iterator[Graph]:
    graph = Graph()
    yield graph
    graph.server.close()


def test_both_are_created_for_28_days_with_everything_graph_needs(graph: Graph) -> None:
    assert graph.ensure() == {"/users": NOW + timedelta(days=28), "/groups": NOW + timedelta(days=28)}
    assert graph.bodies[0] == {
        "changeType": "updated,deleted",
        "resource": "/users",
        "notificationUrl": URL,
        "lifecycleNotificationUrl": LIFECYCLE,
        "clientState": SECRET,
        "expirationDateTime": "2026-02-02T08:00:00+00:00",
        "latestSupportedTlsVersion": "v1_2",
    }
    assert graph.bodies[1]["resource"] == "/groups"


def test_what_is_in_place_costs_one_call(graph: Graph) -> None:
    graph.has("Users")
    graph.has("/groups", days=15)
    assert graph.ensure() == {"/users": NOW + timedelta(days=20), "/groups": NOW + timedelta(days=15)}
    assert graph.calls == ["GET /subscriptions"]


def test_what_ends_within_14_days_is_renewed_with_the_expiry_alone(graph: Graph) -> None:
    graph.has("/users", days=13)
    graph.has("/groups")
    assert graph.ensure()["/users"] == NOW + timedelta(days=28)
    assert graph.calls == ["GET /subscriptions", "PATCH /subscriptions/s-1"]
    assert graph.bodies == [{"expirationDateTime": "2026-02-02T08:00:00+00:00"}]


def test_a_changed_client_state_recreates_all(graph: Graph) -> None:
    graph.has("/users")
    graph.has("/groups")
    graph.ensure(changed=True)
    assert graph.calls == [
        "GET /subscriptions",
        "DELETE /subscriptions/s-1",
        "POST /subscriptions",
        "DELETE /subscriptions/s-2",
        "POST /subscriptions",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"notificationUrl": "https://old.example/"},
        {"lifecycleNotificationUrl": None},
        {"lifecycleNotificationUrl": "https://old.example/"},
        {"changeType": "updated"},
        {"expirationDateTime": "2026-01-05T07:59:59Z"},
        {"expirationDateTime": None},
    ],
)
def test_what_does_not_fit_is_recreated(graph: Graph, changes: Body) -> None:
    graph.has("/users", **changes)
    graph.has("/groups")
    graph.ensure()
    assert [kept["id"] for kept in graph.held] == ["s-2", "s-3"]


def test_twins_are_reduced_to_the_one_that_lasts_longest(graph: Graph) -> None:
    graph.has("/users", days=16)
    graph.has("/users", days=20, changeType="deleted,updated")
    graph.has("/groups")
    graph.ensure()
    assert [kept["id"] for kept in graph.held] == ["s-2", "s-3"]


def test_other_peoples_subscriptions_are_left_alone(graph: Graph) -> None:
    graph.has("/users/8a1c/messages")
    graph.has("/users", notificationUrl="https://other.example/", changeType="updated")
    graph.has("/users")
    graph.has("/groups")
    graph.ensure(changed=True)
    assert [kept["id"] for kept in graph.held][:2] == ["s-1", "s-2"]
    assert len(graph.held) == 4


def test_the_list_is_read_over_all_its_pages(graph: Graph) -> None:
    for number in range(3):
        graph.has(f"/groups/{number}")
    graph.has("/users")
    graph.has("/groups")
    graph.page_size = 2
    graph.ensure()
    assert graph.calls == ["GET /subscriptions"] * 3


def test_a_next_link_to_another_host_is_refused_and_gets_no_token(graph: Graph) -> None:
    graph.odd["GET", 1] = lambda: reply(200, {"value": [], "@odata.nextLink": "http://127.0.0.2:9/v1.0/subscriptions"})
    with pytest.raises(Refused, match=r"127\.0\.0\.2"):
        graph.ensure()
    assert graph.calls == ["GET /subscriptions"]


def test_one_that_vanished_before_its_renewal_is_created(graph: Graph) -> None:
    graph.has("/users", days=1)
    graph.has("/groups")
    graph.odd["PATCH", 1] = lambda: (graph.held.pop(0), reply(404, error("ResourceNotFound")))[1]
    assert graph.ensure()["/users"] == NOW + timedelta(days=28)
    assert len(graph.held) == 2


def test_one_that_vanished_before_its_deletion_is_fine(graph: Graph) -> None:
    graph.has("/users")
    graph.has("/groups")
    graph.odd["DELETE", 1] = lambda: (graph.held.pop(0), reply(404, error("ResourceNotFound")))[1]
    graph.ensure(changed=True)
    assert len(graph.held) == 2


def test_a_conflict_is_looked_up_and_replaced(graph: Graph) -> None:
    """Somebody else, or an earlier call of ours whose answer was lost, made one after we listed."""
    graph.has("/groups")
    graph.odd["POST", 1] = lambda: (graph.has("Users"), reply(409, error("Conflict", "Subscription with id s-2 already exists")))[1]
    assert set(graph.ensure()) == {"/users", "/groups"}
    assert [kept["id"] for kept in graph.held] == ["s-1", "s-3"]


def test_a_conflict_that_stays_is_for_later(graph: Graph) -> None:
    graph.has("/groups")
    for number in (1, 2):
        graph.odd["POST", number] = lambda: reply(409, error("Conflict"))
    with pytest.raises(TryLater, match="/users"):
        graph.ensure()


def test_a_401_brings_a_fresh_token_once(graph: Graph) -> None:
    graph.odd["GET", 1] = lambda: reply(401, error("InvalidAuthenticationToken"))
    assert len(graph.ensure()) == 2
    assert graph.tokens.number == 2
    graph.odd["GET", 3] = graph.odd["GET", 4] = graph.odd["GET", 1]
    with pytest.raises(Refused):
        graph.ensure()


def test_a_validation_that_failed_is_for_later_and_the_other_one_is_made_all_the_same(graph: Graph) -> None:
    graph.odd["POST", 1] = lambda: reply(400, error("InvalidRequest", "Subscription validation request failed."))
    with pytest.raises(TryLater):
        graph.ensure()
    assert [kept["resource"] for kept in graph.held] == ["/groups"]


def test_a_refusal_tells_why_and_hides_what_is_secret(graph: Graph) -> None:
    graph.odd["POST", 1] = lambda: reply(403, error("Forbidden", f"quota reached for {URL} with {SECRET}"))
    with pytest.raises(Refused, match="quota reached") as caught:
        graph.ensure()
    assert SECRET not in str(caught.value)
    assert "k3y" not in str(caught.value)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_write_that_may_have_happened_is_sent_once_and_found_by_the_next_call(graph: Graph, status: int) -> None:
    graph.has("/groups")
    graph.odd["POST", 1] = lambda: (graph.has("/users"), reply(status, error("UnknownError")))[1]
    with pytest.raises(TryLater):
        graph.ensure()
    assert graph.calls.count("POST /subscriptions") == 1
    assert len(graph.ensure()) == 2
    assert graph.calls.count("POST /subscriptions") == 1


def test_a_throttled_call_is_not_repeated_by_the_sdk_and_names_its_pause(graph: Graph) -> None:
    graph.odd["GET", 1] = lambda: reply(429, error("TooManyRequests"), Retry_After="11")
    with pytest.raises(TryLater) as caught:
        graph.ensure()
    assert caught.value.after == timedelta(seconds=11)
    assert graph.calls == ["GET /subscriptions"]


@pytest.mark.parametrize(
    "odd",
    [
        lambda: Response("<html>", status=200, content_type="text/html"),
        lambda: Response('{"value": [', status=200, content_type="application/json"),
        lambda: Response("", status=200, content_type="application/json"),
        lambda: Response(status=204),
        lambda: Response("<html>", status=404, content_type="text/html"),
        lambda: Response("<html>", status=503, content_type="text/html"),
        lambda: reply(200, {}),
        lambda: reply(200, {"value": None}),
    ],
)
def test_a_list_that_cannot_be_read_is_for_later_and_changes_nothing(graph: Graph, odd: Callable[[], Response]) -> None:
    graph.odd["GET", 1] = odd
    with pytest.raises(TryLater):
        graph.ensure()
    assert graph.calls == ["GET /subscriptions"]


def test_a_redirect_is_not_followed(graph: Graph) -> None:
    graph.odd["GET", 1] = lambda: Response(status=302, headers={"Location": f"{graph.server.url}/v1.0/subscriptions?skip=0"})
    with pytest.raises((Refused, TryLater)):
        graph.ensure()
    assert graph.calls == ["GET /subscriptions"]


def test_a_create_answered_without_an_end_is_for_later(graph: Graph) -> None:
    graph.odd["POST", 1] = lambda: Response("<html>", status=201, content_type="text/html")
    with pytest.raises(TryLater):
        graph.ensure()


def test_a_graph_that_cannot_be_reached_is_for_later(graph: Graph) -> None:
    graph.server.close()
    with pytest.raises(TryLater):
        graph.ensure()


@pytest.mark.parametrize("state", ["", "x" * 129])
def test_a_client_state_that_graph_would_not_take_is_refused_before_any_call(graph: Graph, state: str) -> None:
    with pytest.raises(Refused, match="128"):
        graph.subscriptions.ensure(notification_url=URL, lifecycle_url=LIFECYCLE, client_state=state, changed=False)
    assert graph.calls == []


def test_it_works_in_a_worker_thread_and_again_and_again(graph: Graph) -> None:
    results: list[int] = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: results.append(len(graph.ensure())))
        thread.start()
        thread.join()
    assert results == [2, 2]


def test_no_secret_is_logged(graph: Graph, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        graph.ensure()
    told = " ".join(str(record.__dict__) for record in caplog.records)
    assert "subscription_created" in told
    assert SECRET not in told
    assert "t-1" not in told
