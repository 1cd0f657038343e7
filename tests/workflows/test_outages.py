"""Six hours without the desk, the store, the bus or the directory, while a hundred people come and go: nothing is lost, and all ends the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import pytest
from stories import assert_all_ended_well, end_state

from adapters.queues.embedded import EmbeddedQueue
from adapters.queues.engine import QueueEngine
from joinery.engine.intake import Hint
from joinery.engine.memory import FakeClock
from joinery.engine.memory_desk import MemoryServiceDesk
from joinery.engine.ports import Outgoing
from joinery.errors import OutcomeUnknown, QueueUnavailable, TryLater
from joinery.testing import World, person

JOINERS, LEAVERS = 50, 50
OUTAGE = timedelta(hours=6)
STEP = timedelta(seconds=30)


class FlakyDesk(MemoryServiceDesk):
    """While ``down``, reads are not answered, and of a write nobody knows."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.down = False
        self.in_vain = 0
        self.answered_at: list[datetime] = []

    def _received(self, method: str, order: Any, key: str) -> Any:
        if self.down:
            if self.budget is not None:
                self.budget.spend()
            self.in_vain += 1
            raise OutcomeUnknown("the connection was lost") if method == "perform" else TryLater("no answer")
        trouble = super()._received(method, order, key)
        self.answered_at.append(self.now())
        return trouble

    def most_in_five_minutes(self) -> int:
        most = start = 0
        for end, moment in enumerate(self.answered_at):
            while self.answered_at[start] <= moment - timedelta(minutes=5):
                start += 1
            most = max(most, end - start + 1)
        return most


class Bus(EmbeddedQueue):
    """While ``down``, nothing is taken and nothing delivered."""

    down = False

    def send(self, messages: Any) -> None:
        if self.down:
            raise QueueUnavailable("the bus does not answer")
        super().send(messages)


class Office(World):
    """A World whose messages travel through the queue engine, with its locks and its dead letters; timers and the directory's repeats run."""

    def __init__(self, desk_calls: int | None = 300) -> None:
        clock = FakeClock()
        super().__init__(desk=FlakyDesk(clock), desk_calls=desk_calls)
        # The desk was made before the World's clock.
        self.desk._clock = self.clock
        self.engine = QueueEngine(self.clock, None)
        self.bus = Bus(self.engine)
        self.queue = self.bus  # type: ignore[assignment]  # the same port
        self.unanswered: list[str] = []
        self.refused_posts = self.put_back = 0
        self.restart()

    def notify(self, *names: str) -> None:
        self.unanswered += names

    def _post(self) -> None:
        """The directory repeats what was not taken."""
        waiting, self.unanswered = self.unanswered, []
        for name in waiting:
            self.intake.hints = (Hint(genuine=True, about="person", id=name),)
            if self.app.accept(b"x").status != 202:
                self.refused_posts += 1
                self.unanswered.append(name)

    def work(self, *, at_most: int = 10_000) -> int:
        handled = 0
        while not self.bus.down and (lock := self.engine.accept_session()) is not None:
            for message in self.engine.receive(lock, max_count=1):
                try:
                    self.app.handle(message.body)
                except QueueUnavailable:
                    self.engine.abandon(message.lock_token or "")
                else:
                    self.engine.complete(message.lock_token or "")
                handled += 1
            self.engine.release_session(lock)
        return handled

    def pass_time(self, by: timedelta | None = None, **units: float) -> None:
        end = self.clock.now() + (by or timedelta(**units))
        while self.clock.now() < end:
            self.clock.advance(STEP)
            now = self.clock.now()
            if now.second == 0:
                with suppress(TryLater):
                    self.app.tick()
            if now.second == 0 and now.minute % 5 == 0:
                with suppress(TryLater):
                    self.app.sweep()
            if now.second == 0 and now.minute % 10 == 0:
                self._post()
            self.work()


def story(office: Office, break_it: Callable[[Office], None], mend_it: Callable[[Office], None]) -> dict[str, Any]:
    leavers = [f"l{number:02d}" for number in range(LEAVERS)]
    joiners = [f"j{number:02d}" for number in range(JOINERS)]
    for name in leavers:
        office.put(person(name))
        office.desk.put_user(name=name, address=f"{name}@contoso.example", directory_id=name)
    office.app.sweep()
    office.pass_time(minutes=10)
    break_it(office)
    for leaver, joiner in zip(leavers, joiners, strict=True):
        office.directory.change(leaver, account_enabled=False)
        office.put(person(joiner, groups=("ITSM-NewJoiner",)))
        office.notify(leaver, joiner)
        office.pass_time(OUTAGE / LEAVERS)
    mend_it(office)
    office.pass_time(hours=5)
    return end_state(office)


@cache
def undisturbed() -> tuple[dict[str, Any], int]:
    office = Office()
    return story(office, lambda _: None, lambda _: None), len(office.desk.calls)


def assert_nothing_was_lost(office: Office, ended: dict[str, Any]) -> None:
    plain, calls = undisturbed()
    assert ended == plain
    assert_all_ended_well(office)
    assert office.engine.counts().dead == 0
    assert office.bus.dead_letters() == ()
    assert office.desk.most_in_five_minutes() <= 300
    # The calls that were answered: at most a tenth more than without the outage.
    assert len(office.desk.calls) <= 1.1 * calls, (len(office.desk.calls), calls)


def test_the_desk() -> None:
    office = Office()

    def down(_: Office) -> None:
        office.desk.down = True  # type: ignore[attr-defined]

    def up(_: Office) -> None:
        office.desk.down = False  # type: ignore[attr-defined]

    assert_nothing_was_lost(office, story(office, down, up))
    # From 2 s up to every five minutes, three hours on average: about 60 tries for each order that a person waits for.
    assert office.desk.in_vain <= 100 * 90, office.desk.in_vain  # type: ignore[attr-defined]


def test_the_store() -> None:
    office = Office()

    def up(_: Office) -> None:
        # 100 messages and no more: they were put back, and neither lost nor multiplied.
        assert office.engine.counts().scheduled + office.engine.counts().active >= 100
        assert office.engine.counts().scheduled <= 110
        office.store.unavailable = False

    def down(_: Office) -> None:
        office.store.unavailable = True

    assert_nothing_was_lost(office, story(office, down, up))
    assert office.refused_posts == 0


def test_the_bus() -> None:
    office = Office()

    def down(_: Office) -> None:
        office.bus.down = True

    def up(_: Office) -> None:
        assert office.refused_posts > 100
        office.bus.down = False

    assert_nothing_was_lost(office, story(office, down, up))


def test_the_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office()

    def no_answer(*_: object, **__: object) -> Any:
        raise TryLater("no answer")

    def down(_: Office) -> None:
        for method in ("look", "people_delta", "groups_delta", "people_in", "people_among", "resolve_groups", "reports_of"):
            monkeypatch.setattr(office.directory, method, no_answer)

    assert_nothing_was_lost(office, story(office, down, lambda _: monkeypatch.undo()))


def test_wakes_that_the_bus_refuses_are_found_by_the_tick() -> None:
    office = Office()
    office.put(person("ada", groups=("ITSM-NewJoiner",)))
    office.notify("ada")
    plain = office.bus.send

    def no_wakes(messages: Any) -> None:
        batch: list[Outgoing] = list(messages)
        if any(b'"timer"' in message.body for message in batch):
            raise QueueUnavailable("not now")
        plain(batch)

    office.bus.send = no_wakes  # type: ignore[method-assign]
    office.pass_time(hours=1)
    assert [str(view.run.status) for view in office.runs()] == ["verified"]
