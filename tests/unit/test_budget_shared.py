"""The call budget where it meets the rest: two processes on one store, and a desk with a limit of its own."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.halo.client import HaloClient
from adapters.halo.desk import HaloServiceDesk
from adapters.stores.sqlite import SqliteStateStore
from joinery.engine.budget import LeasedCallBudget
from joinery.engine.envelope import EnvelopeKind, person_subject
from joinery.engine.memory import FakeClock, SeededRandomness
from joinery.errors import BudgetSpent, StoreUnavailable
from joinery.testing import World, everyone, person
from simulators.clock import SimClock
from simulators.halo import create_halo

RACER = Path(__file__).with_name("budget_racer.py")


@pytest.mark.servers
def test_two_processes_on_one_database_spend_the_budget_once(tmp_path: Path) -> None:
    SqliteStateStore(tmp_path / "state.db").close()
    racers = [
        subprocess.Popen([sys.executable, str(RACER), str(tmp_path / "state.db")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        spent = [int(racer.communicate(timeout=60)[0]) for racer in racers]
    finally:
        for racer in racers:
            racer.kill()
    assert sum(spent) == 300, spent


class StoryClock(SimClock):
    """The pretend desk's clock, as the story's tells it."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now()


class Halo:
    """A pretend Halo that limits its callers, with the real adapter before it, in a World on a fake clock."""

    def __init__(self, calls: int | None, people: int, **switches: Any) -> None:
        self.world = World(everyone())
        clock = self.world.clock
        self._wire = httpx.WSGITransport(app=create_halo(None, StoryClock(clock), **switches).wsgi)
        self.statuses: list[int] = []
        self.budget = (
            LeasedCallBudget(self.world.store, clock=clock, randomness=SeededRandomness(1), calls=calls) if calls is not None else None
        )
        self.client = HaloClient(
            "http://halo.test/api",
            "http://halo.test/auth",
            "joinery",
            "local",
            transport=httpx.MockTransport(self._send),
            clock=clock,
            budget=self.budget,
            sleep=lambda seconds: None,
        )
        self.world.desk = HaloServiceDesk(self.client, self.world.policy.desk, deployment="test", search_lag=timedelta(seconds=2))  # type: ignore[assignment]
        self.world.restart()
        self.people = [f"p{number:03d}" for number in range(people)]
        for name in self.people:
            self.world.put(person(name, groups=("ITSM-NewJoiner",)))
            self.world.queue_up(person_subject(name), EnvelopeKind.LOOK)

    def _send(self, request: httpx.Request) -> httpx.Response:
        answer = self._wire.handle_request(request)
        answer.read()
        self.statuses.append(answer.status_code)
        return answer

    def verified(self) -> int:
        return [str(view.run.status) for view in self.world.runs()].count("verified")


def test_a_burst_of_sixty_joiners_is_never_throttled_by_the_desk() -> None:
    halo = Halo(300, 60, rate_limit=300)
    halo.world.pass_time(hours=3)
    assert halo.verified() == 60
    assert halo.statuses.count(429) == 0


def test_without_a_budget_the_same_burst_is_throttled() -> None:
    halo = Halo(None, 60, rate_limit=300)
    halo.world.pass_time(minutes=10)
    assert halo.statuses.count(429) > 0


class Counted:
    """Allows everything, and counts."""

    def __init__(self) -> None:
        self.spent = 0

    def spend(self, n: int = 1) -> None:
        self.spent += n


def test_every_request_is_counted_the_one_for_a_token_and_the_repeat_with_a_fresh_one_too() -> None:
    halo, budget = Halo(None, 1), Counted()
    halo.client._budget = budget
    halo.world.pass_time(minutes=2)
    halo.client._token = "no longer good"
    halo.world.pass_time(minutes=20)
    assert 401 in halo.statuses
    assert budget.spent == len(halo.statuses)


def test_without_a_call_left_nothing_is_sent_and_without_the_store_neither() -> None:
    class Empty:
        error: Exception = BudgetSpent("spent", after=timedelta(seconds=7))

        def spend(self, n: int = 1) -> None:
            raise self.error

    halo, empty = Halo(None, 0), Empty()
    halo.client._budget = empty
    with pytest.raises(BudgetSpent):
        halo.client.get("/Status")
    with pytest.raises(BudgetSpent):
        halo.client.post("/Tickets", {"summary": "x"}, deadline=halo.client.deadline())
    empty.error = StoreUnavailable("gone")
    with pytest.raises(StoreUnavailable):
        halo.client.get("/Status")
    assert halo.statuses == []
