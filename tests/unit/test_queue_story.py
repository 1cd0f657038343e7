"""Any story, told to a plain model and to the engine, with the journal opened anew after each sentence."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from adapters.queues.engine import QueueEngine
from adapters.queues.journal import SqliteJournal
from adapters.queues.ledger import QueueRules
from adapters.queues.messages import NewMessage, QueueMessage, SessionLock
from joinery.engine.memory import FakeClock
from joinery.errors import LockLost

WINDOW = timedelta(seconds=100)
MAX_DELIVERIES = 3
SESSIONS = st.sampled_from(["ada", "bob", "cy"])


def message(body: str, session: str = "ada", *, message_id: str | None = None, scheduled_for: datetime | None = None) -> NewMessage:
    return NewMessage(body=body.encode(), session_id=session, message_id=message_id or body, scheduled_for=scheduled_for)


def token(received: QueueMessage) -> str:
    assert received.lock_token is not None
    return received.lock_token


@dataclass(slots=True)
class Believed:
    """One message as the model sees it."""

    number: int
    body: bytes
    session: str
    due: datetime | None
    deliveries: int = 0
    dead: bool = False
    locked: bool = False


class Story(RuleBasedStateMachine):
    """The model is a list of messages, one lock per session and a few ids; it knows nothing of heaps, tokens or tables."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = FakeClock()
        self.engine = self.opened()
        self.believed: list[Believed] = []
        self.next_number = 1
        self.ids: dict[str, datetime] = {}
        self.locks: dict[str, tuple[SessionLock, float]] = {}
        self.received: list[tuple[QueueMessage, Believed]] = []

    def opened(self) -> QueueEngine:
        return QueueEngine(
            self.clock, SqliteJournal(self.folder / "queue.db"), QueueRules(max_delivery_count=MAX_DELIVERIES, duplicate_window=WINDOW)
        )

    def teardown(self) -> None:
        self.engine.close()
        shutil.rmtree(self.folder)

    # the model's own rules

    def number(self) -> int:
        self.next_number += 1
        return self.next_number - 1

    def in_vain(self, believed: Believed) -> None:
        believed.locked = False
        believed.deliveries += 1
        believed.dead = believed.deliveries >= MAX_DELIVERIES

    def time_passed(self) -> None:
        for session, (_, expires) in list(self.locks.items()):
            if expires <= self.clock.monotonic():
                del self.locks[session]
                for received, believed in self.received:
                    if believed.session == session and believed.locked:
                        self.in_vain(believed)
                    assert received.lock_token
                self.received = [entry for entry in self.received if entry[1].session != session]
        due = sorted(
            (b for b in self.believed if b.due is not None and b.due <= self.clock.now()),
            key=lambda b: (b.due or self.clock.now(), b.number),
        )
        for believed in due:
            believed.number, believed.due = self.number(), None

    # what may happen

    @rule(batch=st.lists(st.tuples(SESSIONS, st.integers(0, 9), st.integers(-5, 200)), max_size=4))
    def send(self, batch: list[tuple[str, int, int]]) -> None:
        now = self.clock.now()
        new = [
            message(f"{self.next_number}/{place}", session, message_id=f"id{chosen}", scheduled_for=now + timedelta(seconds=delay))
            for place, (session, chosen, delay) in enumerate(batch)
        ]
        expected = []
        for sent in new:
            if sent.message_id in self.ids and now - self.ids[sent.message_id] < WINDOW:
                expected.append(0)
                continue
            self.ids[sent.message_id] = now
            due = sent.scheduled_for if sent.scheduled_for and sent.scheduled_for > now else None
            believed = Believed(number=self.number(), body=sent.body, session=sent.session_id or "", due=due)
            self.believed.append(believed)
            expected.append(believed.number)
        assert self.engine.send(new) == expected

    @rule(seconds=st.sampled_from([1, 30, 60, 100, 250]))
    def advance(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)
        self.time_passed()

    @rule(session=SESSIONS)
    def accept(self, session: str) -> None:
        lock = self.engine.accept_session(session)
        assert (lock is None) == (session in self.locks)
        if lock:
            self.locks[session] = (lock, self.clock.monotonic() + 60)

    @rule()
    def accept_any(self) -> None:
        lock = self.engine.accept_session()
        free = {b.session for b in self.believed if b.due is None and not b.dead and b.session not in self.locks}
        assert (lock is None) == (not free)
        if lock:
            assert lock.session_id in free
            self.locks[lock.session_id] = (lock, self.clock.monotonic() + 60)

    @precondition(lambda self: self.locks)
    @rule(data=st.data(), count=st.integers(1, 3))
    def receive(self, data: st.DataObject, count: int) -> None:
        session = data.draw(st.sampled_from(sorted(self.locks)))
        ready = [b for b in self.believed if b.session == session and b.due is None and not b.dead and not b.locked]
        expected = sorted(ready, key=lambda b: b.number)[:count]
        found = self.engine.receive(self.locks[session][0], max_count=count)
        assert [(m.sequence_number, m.body, m.delivery_count) for m in found] == [(b.number, b.body, b.deliveries) for b in expected]
        for received, believed in zip(found, expected, strict=True):
            believed.locked = True
            self.received.append((received, believed))

    @precondition(lambda self: self.received)
    @rule(data=st.data(), how=st.sampled_from(["complete", "abandon", "dead_letter", "release"]))
    def settle(self, data: st.DataObject, how: str) -> None:
        received, believed = self.received.pop(data.draw(st.integers(0, len(self.received) - 1)))
        getattr(self.engine, how)(token(received))
        believed.locked = False
        if how == "complete":
            self.believed.remove(believed)
        elif how == "abandon":
            self.in_vain(believed)
        elif how == "dead_letter":
            believed.dead = True
        with pytest.raises(LockLost):
            self.engine.complete(token(received))

    @precondition(lambda self: self.locks)
    @rule(data=st.data(), renew=st.booleans())
    def renew_or_release(self, data: st.DataObject, renew: bool) -> None:
        session = data.draw(st.sampled_from(sorted(self.locks)))
        lock, _ = self.locks.pop(session)
        if renew:
            self.locks[session] = (self.engine.renew_session(lock), self.clock.monotonic() + 60)
            return
        self.engine.release_session(lock)
        self.forget_deliveries(session)

    def forget_deliveries(self, session: str) -> None:
        for _, believed in self.received:
            if believed.session == session:
                believed.locked = False
        self.received = [entry for entry in self.received if entry[1].session != session]

    @precondition(lambda self: any(b.due for b in self.believed))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        believed = data.draw(st.sampled_from([b for b in self.believed if b.due]))
        self.engine.cancel_scheduled(believed.number)
        self.believed.remove(believed)

    @precondition(lambda self: any(b.dead for b in self.believed))
    @rule(data=st.data(), again=st.booleans())
    def tidy(self, data: st.DataObject, again: bool) -> None:
        believed = data.draw(st.sampled_from([b for b in self.believed if b.dead]))
        if again:
            before, believed.number = believed.number, self.number()
            believed.dead, believed.deliveries = False, 0
            assert self.engine.resubmit(before) == believed.number
        else:
            self.engine.remove_dead_letter(believed.number)
            self.believed.remove(believed)

    @rule()
    def restart(self) -> None:
        self.engine.close()
        self.engine = self.opened()
        for session in list(self.locks):
            self.forget_deliveries(session)
        self.locks.clear()

    # what must hold

    @invariant()
    def the_engine_and_whoever_opens_its_file_next_agree_with_the_model(self) -> None:
        living = sorted((b for b in self.believed if not b.dead), key=lambda b: b.number)
        expected = [(b.number, b.body, b.session, b.deliveries, b.due is not None) for b in living]
        dead = sorted(b.number for b in self.believed if b.dead)
        found = self.engine.peek(max_count=10_000)
        assert [(m.sequence_number, m.body, m.session_id, m.delivery_count, m.state == "scheduled") for m in found] == expected
        next_one = self.opened()
        assert next_one.peek(max_count=10_000) == found
        assert [m.sequence_number for m in next_one.dead_letters(max_count=10_000)] == dead
        assert next_one.dead_letters(max_count=10_000) == self.engine.dead_letters(max_count=10_000)
        assert next_one.counts() == self.engine.counts()
        next_one.close()


TestStory = Story.TestCase
TestStory.settings = settings(max_examples=50, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
