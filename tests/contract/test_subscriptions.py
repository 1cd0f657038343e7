"""Subscriptions through the unmodified SDK, over the pretend Graph and with a webhook that really answers the handshake."""

from __future__ import annotations

import queue
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from flask import Flask, Response, request

from adapters.graph.intake import GraphIntake
from adapters.graph.subscriptions import GraphSubscriptions
from adapters.graph.token import ClientCredentials
from joinery.errors import Refused, TryLater
from joinery.serving import Served, serve
from simulators.clock import SimClock
from simulators.graph import PretendGraph, create_graph

pytestmark = pytest.mark.servers


class Webhook:
    """Answers the handshake, or not."""

    def __init__(self) -> None:
        self.echoes = True
        self.handshakes: list[str] = []
        self.posted: queue.Queue[bytes] = queue.Queue()
        app = Flask("webhook")
        app.add_url_rule("/api/<name>", view_func=self._posted, methods=["POST"])
        self.server: Served = serve(app)

    def _posted(self, name: str) -> Response:
        if "validationToken" not in request.args:
            self.posted.put(request.get_data())
            return Response(status=202)
        self.handshakes.append(name)
        return Response(request.args["validationToken"] if self.echoes else "no", content_type="text/plain")


class Clock:
    """The pretend Graph's clock as ours, so that both agree what time it is."""

    def __init__(self, clock: SimClock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now()

    def monotonic(self) -> float:
        return 0.0


class World:
    """The pretend Graph, a webhook, and our subscriptions."""

    def __init__(self) -> None:
        self.graph: PretendGraph = create_graph(None)
        self.server = serve(self.graph.wsgi)
        self.webhook = Webhook()
        url = self.server.url
        self.tokens = ClientCredentials(authority=url, tenant="local", client_id="local", client_secret="local", scope=f"{url}/.default")
        self.subscriptions = GraphSubscriptions(f"{url}/v1.0", self.tokens, clock=Clock(self.graph.clock))

    def ensure(
        self, *, changed: bool = False, renew: bool = False, notifications: str = "notifications", client_state: str = "state"
    ) -> dict[str, datetime]:
        hooks = f"{self.webhook.server.url}/api"
        return dict(
            self.subscriptions.ensure(
                notification_url=f"{hooks}/{notifications}",
                lifecycle_url=f"{hooks}/lifecycle",
                client_state=client_state,
                changed=changed,
                renew=renew,
            )
        )

    def own(self, path: str, body: object) -> None:
        """Something that only Microsoft can start."""
        httpx.post(f"{self.server.url}{path}", json=body, trust_env=False).raise_for_status()

    def hire(self) -> int:
        """Somebody is hired; how many notifications wait to be delivered then."""
        body = {"accountEnabled": True, "displayName": "Ada", "userPrincipalName": f"{uuid.uuid4()}@x.example"}
        headers = {"Authorization": f"Bearer {self.tokens.token()}"}
        httpx.post(f"{self.server.url}/v1.0/users", json=body, headers=headers, trust_env=False).raise_for_status()
        return self.graph.outbox.waiting()

    def held(self) -> list[dict[str, Any]]:
        reply = httpx.get(
            f"{self.server.url}/v1.0/subscriptions", headers={"Authorization": f"Bearer {self.tokens.token()}"}, trust_env=False
        )
        return list(reply.json()["value"])

    def close(self) -> None:
        self.server.close()
        self.webhook.server.close()
        self.tokens.close()
        self.graph.close()


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


def test_both_subscriptions_are_made_after_a_handshake_with_both_addresses(world: World) -> None:
    ends = world.ensure()
    assert set(ends) == {"/users", "/groups"}
    assert all(timedelta(days=27) < end - world.graph.clock.now() <= timedelta(days=28) for end in ends.values())
    assert sorted(world.webhook.handshakes) == ["lifecycle", "lifecycle", "notifications", "notifications"]
    assert {held["changeType"] for held in world.held()} == {"updated,deleted"}


def test_a_second_time_changes_nothing(world: World) -> None:
    assert world.ensure() == world.ensure()
    assert len(world.webhook.handshakes) == 4


def test_they_are_renewed_when_half_their_time_is_over(world: World) -> None:
    first = world.ensure()
    ids = {held["id"] for held in world.held()}
    world.graph.clock.set(world.graph.clock.now() + timedelta(days=15))
    later = world.ensure()
    assert all(later[resource] - first[resource] > timedelta(days=14) for resource in first)
    assert {held["id"] for held in world.held()} == ids


def test_they_are_made_again_after_they_ended_in_silence(world: World) -> None:
    world.ensure()
    ids = {held["id"] for held in world.held()}
    world.graph.clock.set(world.graph.clock.now() + timedelta(days=29))
    assert all(end > world.graph.clock.now() for end in world.ensure().values())
    assert not ids & {held["id"] for held in world.held()}


@pytest.mark.parametrize("change", [{"changed": True, "client_state": "next"}, {"notifications": "elsewhere"}])
def test_another_client_state_or_address_recreates_both(world: World, change: dict[str, Any]) -> None:
    world.ensure()
    ids = {held["id"] for held in world.held()}
    world.ensure(**change)
    assert len(world.held()) == 2
    assert not ids & {held["id"] for held in world.held()}


def test_a_webhook_that_does_not_answer_yet_is_for_later(world: World) -> None:
    world.webhook.echoes = False
    with pytest.raises(TryLater, match="webhook"):
        world.ensure()
    world.webhook.echoes = True
    assert len(world.ensure()) == 2


def test_an_answer_that_was_lost_leaves_no_twin(world: World) -> None:
    rule = {"match": {"method": "POST", "path": "/v1.0/subscriptions"}, "fault": "lost_response", "times": 1}
    httpx.put(f"{world.server.url}/_faults", json=[rule], trust_env=False).raise_for_status()
    with pytest.raises(TryLater):
        world.ensure()
    assert len(world.ensure()) == 2
    assert len(world.held()) == 2


def test_whoever_must_authorise_anew_hears_nothing_until_both_are_renewed(world: World) -> None:
    first = world.ensure()
    world.own("/_lifecycle", {"event": "reauthorizationRequired"})
    before = world.graph.outbox.waiting()
    world.ensure()
    assert world.hire() == before
    world.graph.clock.advance(timedelta(hours=1))
    renewed = world.ensure(renew=True)
    assert all(renewed[resource] - first[resource] >= timedelta(hours=1) for resource in first)
    assert world.hire() == before + 1


def test_a_quota_that_is_used_up_is_refused_with_what_to_do(world: World) -> None:
    world.graph.switches.change({"subscription_quota": 1})
    with pytest.raises(Refused, match=r"delete those that nobody uses.*limit of 1.*client-request-id [0-9a-f-]{36}"):
        world.ensure()
    assert [held["resource"] for held in world.held()] == ["/users"]


@pytest.mark.parametrize("status", [503, 504])
def test_a_subscription_that_was_made_and_answered_with_trouble_is_made_once(world: World, status: int) -> None:
    rule = {"match": {"method": "POST", "path": "/v1.0/subscriptions"}, "fault": "done_status", "status": status, "times": 1}
    httpx.put(f"{world.server.url}/_faults", json=[rule], trust_env=False).raise_for_status()
    with pytest.raises(TryLater):
        world.ensure()
    made = {held["id"] for held in world.held()}
    assert len(world.ensure()) == 2
    assert made == {held["id"] for held in world.held()} and len(made) == 2


def test_while_the_client_state_is_rotated_what_was_posted_with_the_old_one_is_believed_too(world: World) -> None:
    world.ensure(client_state="old")
    world.graph.start()
    world.hire()
    late = world.webhook.posted.get(timeout=20)
    world.ensure(client_state="new", changed=True)
    world.hire()
    fresh = world.webhook.posted.get(timeout=20)

    def genuine(body: bytes, *states: str) -> bool:
        (hint,) = GraphIntake(states).read(body, "application/json")
        return hint.genuine

    assert [genuine(body, "new", "old") for body in (late, fresh)] == [True, True]
    assert [genuine(body, "new", "") for body in (late, fresh)] == [False, True]
