"""What a queue keeps beside what waits: deferred and dead messages that are received, messages that waited too long, the states of sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from queue_bench import accept, bodies, message, receive_one, token

from adapters.queues.engine import QueueEngine
from adapters.queues.journal import SqliteJournal
from adapters.queues.ledger import QueueRules
from adapters.queues.messages import STATE_BYTES_MAX, TTL_EXPIRED, MessageNotFound, MessageState, NewMessage
from joinery.engine.memory import FakeClock
from joinery.errors import LockLost

Make = Callable[..., QueueEngine]


def lasting(body: str, seconds: float, session: str | None = "ada") -> NewMessage:
    return replace(message(body), session_id=session, time_to_live=timedelta(seconds=seconds))


# --- deferred


def test_a_deferred_message_is_had_by_its_number_only(engine: QueueEngine) -> None:
    engine.send([message("1"), message("2")])
    lock = accept(engine, "ada")
    first = receive_one(engine, lock)
    engine.defer(token(first))
    assert bodies(engine.receive(lock, max_count=5)) == ["2"]
    assert [(m.state, m.sequence_number) for m in engine.peek(max_count=1)] == [(MessageState.DEFERRED, 1)]
    [again] = engine.receive_deferred([first.sequence_number], lock)
    assert (again.body, again.delivery_count, again.locked_until) == (b"1", 0, lock.locked_until)
    engine.complete(token(again))
    assert engine.counts().deferred == 0
    with pytest.raises(MessageNotFound):
        engine.receive_deferred([first.sequence_number], lock)


def test_a_deferred_message_that_comes_back_is_deferred_still_and_dies_of_too_many_deliveries(make: Make, clock: FakeClock) -> None:
    engine = make(requires_session=False, max_delivery_count=3, lock_duration=timedelta(seconds=5))
    engine.send([lasting("1", 3600, None)])
    [first] = engine.receive()
    engine.defer(token(first))
    for settle in (engine.abandon, None):
        [again] = engine.receive_deferred([1])
        with pytest.raises(MessageNotFound):
            engine.receive_deferred([1])
        if settle is not None:
            settle(token(again))
        else:
            clock.advance(seconds=5)
    assert [(m.state, m.delivery_count) for m in engine.peek()] == [(MessageState.DEFERRED, 2)]
    [again] = engine.receive_deferred([1])
    engine.abandon(token(again))
    assert [m.delivery_count for m in engine.dead_letters()] == [3]


def test_all_deferred_messages_are_delivered_or_none_and_only_those_of_the_session(engine: QueueEngine) -> None:
    engine.send([message("1"), message("2", "bob")])
    ada, bob = accept(engine, "ada"), accept(engine, "bob")
    for lock in (ada, bob):
        engine.defer(token(receive_one(engine, lock)))
    for wrong in ([1, 2], [1, 99]):
        with pytest.raises(MessageNotFound):
            engine.receive_deferred(wrong, ada)
    assert bodies(engine.receive_deferred([1], ada)) == ["1"]
    with pytest.raises(ValueError, match="with a session's lock"):
        engine.receive_deferred([2])


# --- dead


def test_dead_messages_are_received_under_locks_of_their_own(make: Make, clock: FakeClock) -> None:
    engine = make(max_delivery_count=1)
    engine.send([message(str(n)) for n in range(3)])
    lock = accept(engine, "ada")
    for _ in range(3):
        engine.abandon(token(receive_one(engine, lock)))
    first, second = engine.receive_dead(2)
    assert bodies([first, second]) == ["0", "1"]
    assert bodies(engine.receive_dead(5)) == ["2"]
    engine.complete(token(first))
    engine.abandon(token(second))
    [again] = engine.receive_dead(5)
    assert (again.body, again.delivery_count, again.state) == (b"1", 2, MessageState.DEAD)
    for settle in (engine.dead_letter, engine.defer):
        with pytest.raises(ValueError, match="dead"):
            settle(token(again))
    with pytest.raises(MessageNotFound):
        engine.resubmit(again.sequence_number)
    clock.advance(seconds=60)
    with pytest.raises(LockLost):
        engine.complete(token(again))
    assert bodies(engine.receive_dead(5)) == ["1", "2"]


def test_what_was_resubmitted_or_removed_is_received_from_the_dead_no_more(make: Make) -> None:
    engine = make(max_delivery_count=1)
    engine.send([message("1"), message("2"), message("3")])
    lock = accept(engine, "ada")
    for _ in range(3):
        engine.abandon(token(receive_one(engine, lock)))
    engine.resubmit(1)
    engine.remove_dead_letter(2)
    assert bodies(engine.receive_dead(5)) == ["3"]


# --- messages that waited too long


def test_a_message_that_waited_too_long_is_gone_or_dead_as_the_queue_says(make: Make, clock: FakeClock) -> None:
    for buries in (False, True):
        engine = make(dead_letter_on_expiry=buries, default_time_to_live=timedelta(seconds=30))
        engine.send([lasting("1", 10), message("2"), lasting("3", 100, "bob")])
        assert engine.next_change() == 10
        clock.advance(seconds=10)
        assert bodies(engine.peek()) == ["2", "3"]
        clock.advance(seconds=20)
        assert engine.peek() == []
        assert engine.accept_session() is None
        assert [(m.body, m.dead_letter_reason) for m in engine.dead_letters()] == [(b, TTL_EXPIRED) for b in (b"1", b"2", b"3") if buries]


def test_a_message_in_hand_outlives_its_time_until_it_comes_back(make: Make, clock: FakeClock) -> None:
    engine = make(dead_letter_on_expiry=True)
    engine.send([lasting("1", 10), lasting("2", 10)])
    lock = accept(engine, "ada")
    first, second = engine.receive(lock, max_count=2)
    clock.advance(seconds=20)
    assert engine.counts().active == 2
    assert engine.next_change() == 40
    engine.complete(token(first))
    engine.abandon(token(second))
    assert engine.receive(lock) == []
    assert bodies(engine.dead_letters()) == ["2"]


def test_the_time_of_a_scheduled_message_begins_when_it_is_due(engine: QueueEngine, clock: FakeClock) -> None:
    engine.send([replace(lasting("1", 10), scheduled_for=clock.now() + timedelta(hours=1))])
    clock.advance(hours=1)
    assert bodies(engine.peek()) == ["1"]
    clock.advance(seconds=10)
    assert engine.peek() == []


# --- states


def test_a_session_keeps_its_state_without_messages_until_it_is_cleared(make: Make, clock: FakeClock) -> None:
    engine = make()
    lock = accept(engine, "ada")
    assert engine.session_state(lock) is None
    engine.set_session_state(lock, b"half way")
    began = clock.now()
    engine.release_session(lock)
    assert engine.sessions() == ["ada"]
    assert engine.sessions(updated_since=began) == ["ada"]
    assert engine.sessions(updated_since=began + timedelta(seconds=1)) == []
    lock = accept(engine, "ada")
    assert engine.session_state(lock) == b"half way"
    with pytest.raises(ValueError, match="262144"):
        engine.set_session_state(lock, b"x" * (STATE_BYTES_MAX + 1))
    engine.set_session_state(lock, None)
    assert engine.session_state(lock) is None
    assert engine.sessions() == []
    clock.advance(seconds=60)
    assert not engine.holds(lock)
    for ask in (lambda: engine.session_state(lock), lambda: engine.set_session_state(lock, b"late")):
        with pytest.raises(LockLost):
            ask()


def test_lifetimes_deferred_messages_and_states_survive_the_process(tmp_path: Path) -> None:
    clock, rules = FakeClock(), QueueRules(dead_letter_on_expiry=True)
    engine = QueueEngine(clock, SqliteJournal(tmp_path / "queue.db"), rules)
    engine.send([lasting("1", 10), message("2"), lasting("3", 10)])
    lock = accept(engine, "ada")
    engine.set_session_state(lock, b"one")
    engine.set_session_state(lock, b"two")
    other = accept(engine, "bob")
    engine.set_session_state(other, b"gone")
    engine.set_session_state(other, None)
    engine.complete(token(receive_one(engine, lock)))
    engine.defer(token(receive_one(engine, lock)))
    engine.close()
    again = QueueEngine(clock, SqliteJournal(tmp_path / "queue.db"), rules)
    lock = accept(again, "ada")
    assert again.session_state(lock) == b"two"
    assert again.sessions() == ["ada"]
    assert bodies(again.receive_deferred([2], lock)) == ["2"]
    clock.advance(seconds=10)
    assert bodies(again.dead_letters()) == ["3"]
    again.close()
