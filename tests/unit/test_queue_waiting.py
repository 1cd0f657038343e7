"""The queue engine among threads, and over a journal that runs out of space."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from queue_bench import accept, bodies, message, receive_one, token

from adapters.queues.engine import QueueEngine
from adapters.queues.journal import Change, Remembered
from adapters.queues.messages import SessionLock
from joinery.engine.memory import FakeClock
from joinery.errors import LockLost, QueueUnavailable

# --- waiting


def in_thread(work: Callable[[], object]) -> Callable[[], object]:
    """Start it; the answer joins it."""
    outcome: list[object] = []
    thread = threading.Thread(target=lambda: outcome.append(work()), daemon=True)
    thread.start()

    def join() -> object:
        thread.join(30)
        assert outcome, "the call still waits"
        return outcome[0]

    return join


def test_a_waiting_receiver_is_woken_by_a_send(engine: QueueEngine) -> None:
    accepted = in_thread(lambda: accept_waiting(engine))
    engine.send([message("1")])
    lock = accepted()
    assert isinstance(lock, SessionLock)
    received = in_thread(lambda: engine.receive(lock, wait=30))
    engine.send([message("2")])
    found = received()
    assert isinstance(found, list)
    assert bodies(found) == ["1"]


def accept_waiting(engine: QueueEngine) -> SessionLock | None:
    return engine.accept_session(wait=30)


def test_a_waiting_receiver_is_woken_when_the_clock_reaches_a_scheduled_message(engine: QueueEngine, clock: FakeClock) -> None:
    engine.send([message("later", scheduled_for=clock.now() + timedelta(days=90))])
    accepted = in_thread(lambda: accept_waiting(engine))
    clock.advance(days=90)
    assert isinstance(accepted(), SessionLock)


def test_a_waiting_receiver_is_woken_when_a_lock_ends_or_is_released(engine: QueueEngine, clock: FakeClock) -> None:
    engine.send([message("1")])
    lost = accept(engine)
    accepted = in_thread(lambda: accept_waiting(engine))
    clock.advance(seconds=60)
    second = accepted()
    assert isinstance(second, SessionLock)
    assert second != lost
    accepted = in_thread(lambda: engine.accept_session("ada", wait=30))
    engine.release_session(second)
    assert isinstance(accepted(), SessionLock)


def test_a_receiver_that_loses_its_lock_while_it_waits_hears_of_it(engine: QueueEngine, clock: FakeClock) -> None:
    lock = accept(engine, "ada")

    def wait_in_vain() -> object:
        try:
            return engine.receive(lock, wait=30)
        except LockLost as lost:
            return lost

    outcome = in_thread(wait_in_vain)
    clock.advance(minutes=2)
    assert isinstance(outcome(), LockLost)


def test_closing_ends_the_waits_and_refuses_what_comes_later(engine: QueueEngine) -> None:
    lock = accept(engine, "ada")
    waits = [in_thread(lambda: accept_waiting(engine)), in_thread(lambda: receive_or_closed(engine, lock))]
    engine.close()
    engine.close()
    assert waits[0]() in (None, "closed")
    assert waits[1]() in ([], "closed")
    with pytest.raises(QueueUnavailable, match="closed"):
        engine.send([message("1")])
    engine.release_session(lock)


def receive_or_closed(engine: QueueEngine, lock: SessionLock) -> object:
    try:
        return engine.receive(lock, wait=30)
    except QueueUnavailable:
        return "closed"


def test_many_workers_take_every_message_once_and_each_session_in_order(engine: QueueEngine) -> None:
    sessions, per_session = [f"s{n}" for n in range(10)], 20
    taken: dict[str, list[int]] = {session: [] for session in sessions}

    def work() -> None:
        while lock := engine.accept_session(wait=0.2):
            for received in engine.receive(lock, max_count=3):
                taken[lock.session_id].append(int(received.body))
                engine.complete(token(received))
            engine.release_session(lock)

    joins = [in_thread(work) for _ in range(4)]
    for number in range(per_session):
        engine.send([message(str(number), session) for session in sessions])
    for join in joins:
        join()
    assert taken == {session: list(range(per_session)) for session in sessions}


# --- a journal in trouble


class FullDisk:
    """A journal that can be told to run out of space."""

    def __init__(self) -> None:
        self.full = False
        self.changes: list[Change] = []

    def load(self) -> Remembered:
        return Remembered()

    def write(self, change: Change) -> None:
        if self.full:
            raise QueueUnavailable("the queue's journal: database or disk is full")
        self.changes.append(change)

    def close(self) -> None:
        pass


def test_what_the_journal_could_not_write_did_not_happen(make: Callable[..., QueueEngine], clock: FakeClock) -> None:
    disk = FullDisk()
    engine = make(journal=disk, duplicate_window=timedelta(minutes=10))
    engine.send([message("1"), message("2"), message("later", scheduled_for=clock.now() + timedelta(seconds=90))])
    lock = accept(engine)
    first = receive_one(engine, lock)
    disk.full = True
    for attempt in (
        lambda: engine.send([message("3", id="three")]),
        lambda: engine.complete(token(first)),
        lambda: engine.abandon(token(first)),
        lambda: engine.dead_letter(token(first)),
    ):
        with pytest.raises(QueueUnavailable):
            attempt()
    assert bodies(engine.peek()) == ["1", "2", "later"]
    clock.advance(seconds=90)
    with pytest.raises(QueueUnavailable):
        engine.accept_session()
    disk.full = False
    assert engine.send([message("3", id="three")]) == [5]
    again = engine.receive(accept(engine), max_count=9)
    assert [(m.body, m.delivery_count) for m in again] == [(b"1", 1), (b"2", 0), (b"later", 0), (b"3", 0)]


def test_a_call_makes_one_journal_change_however_many_messages_it_carries(make: Callable[..., QueueEngine]) -> None:
    disk = FullDisk()
    engine = make(journal=disk)
    engine.send([message(str(n)) for n in range(50)])
    assert len(disk.changes) == 1
    lock = accept(engine)
    received = engine.receive(lock, max_count=50)
    assert len(disk.changes) == 1
    engine.complete(token(received[0]))
    engine.release_session(lock)
    assert len(disk.changes) == 2
