"""The pauses of the outbox, on a clock of the test's own."""

import json

import httpx
import pytest

from simulators.clock import SimClock
from simulators.faults import FaultBook
from simulators.graph.outbox import GIVE_UP, Outbox, Post
from simulators.state import StateFile


class Wall:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Endpoint:
    """Answers as it is told, and remembers which notification came."""

    def __init__(self) -> None:
        self.status = 503
        self.got: list[str] = []
        self.client = httpx.Client(transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.got.append(json.loads(request.read())["value"][0]["n"])
        return httpx.Response(self.status)


class World:
    """An outbox whose thread is the test itself."""

    def __init__(self) -> None:
        self.state, self.wall, self.endpoint = StateFile(None), Wall(), Endpoint()
        self.outbox = Outbox(self.state, SimClock(), FaultBook(), self.wall)

    def put(self, name: str, subscription: str = "one") -> None:
        with self.state.transaction():
            self.outbox.put(Post(subscription=subscription, url="http://hook", notification={"n": name}))

    def deliver(self) -> float | None:
        return self.outbox.deliver_due(self.endpoint.client)


@pytest.fixture
def world() -> World:
    return World()


def test_pauses_grow_from_one_second_to_a_minute(world: World) -> None:
    world.put("a")
    pauses = []
    for _ in range(9):
        retry_at = world.deliver()
        assert retry_at is not None
        pauses.append(retry_at - world.wall.now)
        world.wall.now = retry_at
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_retried_notification_holds_its_subscription_back_and_no_other(world: World) -> None:
    world.put("a")
    world.put("b")
    world.put("c", "two")
    retry_at = world.deliver()
    assert world.endpoint.got == ["a", "c"]
    assert world.deliver() == retry_at == world.wall.now + 1
    assert len(world.endpoint.got) == 2
    world.endpoint.status, world.wall.now = 202, world.wall.now + 1
    assert world.deliver() is None
    assert world.endpoint.got == ["a", "c", "a", "b", "c"]


def test_a_notification_is_given_up_after_four_hours(world: World) -> None:
    world.put("a")
    world.deliver()
    world.wall.now += GIVE_UP + 1
    assert world.deliver() is None
    assert world.outbox.waiting() == 0
