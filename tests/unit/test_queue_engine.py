"""The queue engine on a fake clock: peek-lock, sessions, schedule, duplicates, dead letters. Its journal has a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from queue_bench import accept, bodies, message, receive_one, token

from adapters.queues.engine import QueueEngine
from adapters.queues.messages import (
    MAX_DELIVERY_COUNT_EXCEEDED,
    MessageNotFound,
    MessageState,
    NewMessage,
    QueueCounts,
)
from joinery.engine.memory import FakeClock
from joinery.errors import LockLost

# --- order and peek-lock


def test_a_session_is_delivered_in_order_and_a_completed_message_is_gone(engine: QueueEngine, clock: FakeClock) -> None:
    assert engine.send([message("1"), message("2"), message("3", "bob")]) == [1, 2, 3]
    lock = accept(engine, "ada")
    first = receive_one(engine, lock)
    assert (first.body, first.sequence_number, first.delivery_count, first.enqueued_at) == (b"1", 1, 0, clock.now())
    assert first.locked_until == lock.locked_until == clock.now() + timedelta(seconds=60)
    engine.complete(token(first))
    assert bodies(engine.receive(lock, max_count=10)) == ["2"]
    assert engine.receive(lock) == []
    assert bodies(engine.peek()) == ["2", "3"]


def test_an_abandoned_message_is_at_the_head_again_with_its_delivery_count_raised(engine: QueueEngine) -> None:
    engine.send([message("1"), message("2"), message("3")])
    lock = accept(engine)
    first, second = engine.receive(lock, max_count=2)
    engine.abandon(token(second))
    engine.abandon(token(first))
    again = engine.receive(lock, max_count=3)
    assert [(m.body, m.delivery_count) for m in again] == [(b"1", 1), (b"2", 1), (b"3", 0)]


def test_a_released_message_comes_back_with_its_delivery_count_unchanged(engine: QueueEngine) -> None:
    engine.send([message("1"), message("2")])
    lock = accept(engine)
    engine.release(token(receive_one(engine, lock)))
    again = receive_one(engine, lock)
    assert (again.body, again.delivery_count) == (b"1", 0)


def test_a_delivery_is_settled_once(engine: QueueEngine) -> None:
    engine.send([message("1"), message("2")])
    lock = accept(engine)
    first = token(receive_one(engine, lock))
    engine.complete(first)
    for settle in (engine.complete, engine.abandon, engine.dead_letter, engine.release):
        with pytest.raises(LockLost):
            settle(first)
    assert bodies(engine.peek()) == ["2"]


def test_deliveries_that_reach_the_maximum_make_a_dead_letter(make: Callable[..., QueueEngine]) -> None:
    engine = make(max_delivery_count=3)
    engine.send([message("poison"), message("fine")])
    lock = accept(engine)
    for _ in range(3):
        engine.abandon(token(receive_one(engine, lock)))
    assert receive_one(engine, lock).body == b"fine"
    (dead,) = engine.dead_letters()
    assert (dead.body, dead.delivery_count, dead.dead_letter_reason) == (b"poison", 3, MAX_DELIVERY_COUNT_EXCEEDED)
    assert dead.dead_letter_description == "Message could not be consumed after 3 delivery attempts."
    assert bodies(engine.peek()) == ["fine"]


# --- sessions and their locks


def test_a_locked_session_is_given_to_nobody_else(engine: QueueEngine) -> None:
    engine.send([message("1"), message("2")])
    accept(engine)
    assert engine.accept_session() is None
    assert engine.accept_session("ada") is None
    engine.send([message("3", "bob")])
    assert accept(engine).session_id == "bob"


def test_the_session_that_has_waited_longest_comes_first_and_a_busy_one_queues_behind(engine: QueueEngine) -> None:
    """One person whose message is never done must not keep the others waiting."""
    engine.send([message("a1", "ada"), message("a2", "ada"), message("b", "bob"), message("c", "cy")])
    order = []
    for _ in range(6):
        lock = accept(engine)
        order.append(lock.session_id)
        engine.abandon(token(receive_one(engine, lock)))
        engine.release_session(lock)
    assert order == ["ada", "bob", "cy"] * 2


def test_a_released_session_gives_back_what_was_not_settled_with_the_count_unchanged(engine: QueueEngine) -> None:
    engine.send([message("1"), message("2")])
    lock = accept(engine)
    first, _second = engine.receive(lock, max_count=2)
    engine.release_session(lock)
    engine.release_session(lock)
    with pytest.raises(LockLost):
        engine.complete(token(first))
    with pytest.raises(LockLost):
        engine.receive(lock)
    again = engine.receive(accept(engine), max_count=2)
    assert [(m.body, m.delivery_count) for m in again] == [(b"1", 0), (b"2", 0)]


def test_an_expired_lock_raises_the_count_of_what_was_delivered_and_frees_the_session(engine: QueueEngine, clock: FakeClock) -> None:
    engine.send([message("1"), message("2")])
    lost = accept(engine)
    first = receive_one(engine, lost)
    clock.advance(seconds=60)
    lock = accept(engine)
    assert [(m.body, m.delivery_count) for m in engine.receive(lock, max_count=2)] == [(b"1", 1), (b"2", 0)]
    for late in (
        lambda: engine.complete(token(first)),
        lambda: engine.abandon(token(first)),
        lambda: engine.renew_session(lost),
        lambda: engine.receive(lost),
    ):
        with pytest.raises(LockLost):
            late()
    engine.release_session(lost)
    assert engine.accept_session() is None  # the late release did not take the new holder's lock away


def test_a_lock_that_expires_on_the_last_delivery_makes_a_dead_letter(make: Callable[..., QueueEngine], clock: FakeClock) -> None:
    engine = make(max_delivery_count=1)
    engine.send([message("poison")])
    receive_one(engine, accept(engine))
    clock.advance(minutes=2)
    assert engine.counts() == QueueCounts(active=0, scheduled=0, dead=1)
    assert engine.accept_session() is None


def test_a_renewed_lock_lasts_from_then_on(engine: QueueEngine, clock: FakeClock) -> None:
    engine.send([message("1")])
    lock = accept(engine)
    first = receive_one(engine, lock)
    for _ in range(3):
        clock.advance(seconds=59)
        lock = engine.renew_session(lock)
        assert lock.locked_until == clock.now() + timedelta(seconds=60)
    engine.complete(token(first))
    assert engine.counts().active == 0


def test_a_corrected_wall_clock_ends_no_lock(engine: QueueEngine, clock: FakeClock) -> None:
    engine.send([message("1")])
    first = receive_one(engine, accept(engine))
    clock.set(clock.now() + timedelta(hours=1))
    engine.complete(token(first))


def test_a_named_session_can_be_locked_before_anything_waits_in_it(engine: QueueEngine) -> None:
    lock = accept(engine, "ada")
    assert engine.receive(lock) == []
    engine.send([message("1")])
    assert engine.accept_session() is None
    assert receive_one(engine, lock).body == b"1"


def test_a_session_that_is_empty_and_free_leaves_nothing_to_accept(engine: QueueEngine) -> None:
    engine.send([message("1")])
    lock = accept(engine)
    engine.complete(token(receive_one(engine, lock)))
    engine.release_session(lock)
    assert engine.accept_session() is None


# --- schedule


def test_a_scheduled_message_is_appended_when_due_with_a_new_sequence_number(engine: QueueEngine, clock: FakeClock) -> None:
    due = clock.now() + timedelta(seconds=30)
    assert engine.send([message("later", scheduled_for=due), message("now")]) == [1, 2]
    assert [(m.body, m.state) for m in engine.peek()] == [(b"later", MessageState.SCHEDULED), (b"now", MessageState.ACTIVE)]
    lock = accept(engine)
    assert bodies(engine.receive(lock, max_count=5)) == ["now"]
    clock.advance(seconds=30)
    later = receive_one(engine, lock)
    assert (later.body, later.sequence_number, later.enqueued_at, later.scheduled_for) == (b"later", 3, due, due)


def test_what_fell_due_while_nobody_looked_stands_before_what_is_sent_now(engine: QueueEngine, clock: FakeClock) -> None:
    start = clock.now()
    engine.send([message(f"+{s}", scheduled_for=start + timedelta(seconds=s)) for s in (20, 10, 10)])
    clock.advance(minutes=5)
    engine.send([message("new")])
    assert bodies(engine.receive(accept(engine), max_count=9)) == ["+10", "+10", "+20", "new"]


def test_a_cancelled_message_never_comes_and_a_due_one_cannot_be_cancelled(engine: QueueEngine, clock: FakeClock) -> None:
    first, second = engine.send([message(b, scheduled_for=clock.now() + timedelta(hours=1)) for b in ("1", "2")])
    engine.cancel_scheduled(first)
    with pytest.raises(MessageNotFound):
        engine.cancel_scheduled(first)
    clock.advance(hours=1)
    with pytest.raises(MessageNotFound):
        engine.cancel_scheduled(second)
    assert bodies(engine.peek()) == ["2"]


# --- duplicates


def test_a_message_id_within_the_window_is_acknowledged_and_dropped(make: Callable[..., QueueEngine], clock: FakeClock) -> None:
    engine = make(duplicate_window=timedelta(minutes=10))
    assert engine.send([message("1", id="x"), message("twin", id="x"), message("2", id="y")]) == [1, 0, 2]
    clock.advance(minutes=9)
    assert engine.send([message("again", "bob", id="x")]) == [0]
    clock.advance(minutes=1)
    assert engine.send([message("3", id="x")]) == [3]
    assert bodies(engine.peek()) == ["1", "2", "3"]


def test_scheduled_messages_take_part_in_duplicate_detection(make: Callable[..., QueueEngine], clock: FakeClock) -> None:
    engine = make(duplicate_window=timedelta(minutes=10))
    engine.send([message("later", id="x", scheduled_for=clock.now() + timedelta(days=1))])
    assert engine.send([message("now", id="x")]) == [0]


def test_without_a_window_the_same_id_is_taken_twice(engine: QueueEngine) -> None:
    assert engine.send([message("1", id="x"), message("2", id="x")]) == [1, 2]


# --- dead letters


def test_a_dead_letter_keeps_its_reason_and_can_be_sent_again_or_removed(make: Callable[..., QueueEngine], clock: FakeClock) -> None:
    engine = make(duplicate_window=timedelta(minutes=10))
    engine.send([message("1", properties={"cause": "sweep", "n": 3}), message("2"), message("3")])
    lock = accept(engine)
    engine.abandon(token(receive_one(engine, lock)))
    for received in engine.receive(lock, max_count=2):
        engine.dead_letter(token(received), "unknown version", "open the message and send it again")
    first, second = engine.dead_letters()
    assert [first.delivery_count, second.delivery_count] == [1, 0]
    assert (first.dead_letter_reason, first.dead_letter_description) == ("unknown version", "open the message and send it again")
    assert engine.counts() == QueueCounts(active=1, scheduled=0, dead=2)
    clock.advance(seconds=1)
    assert engine.resubmit(first.sequence_number) == 4
    engine.remove_dead_letter(second.sequence_number)
    for gone in (first, second):
        with pytest.raises(MessageNotFound):
            engine.resubmit(gone.sequence_number)
        with pytest.raises(MessageNotFound):
            engine.remove_dead_letter(gone.sequence_number)
    again = engine.receive(lock, max_count=5)[-1]
    assert (again.body, again.delivery_count, again.dead_letter_reason, again.enqueued_at) == (b"1", 0, None, clock.now())
    assert again.properties == {"cause": "sweep", "n": 3}


def test_an_active_message_is_no_dead_letter(engine: QueueEngine) -> None:
    (number,) = engine.send([message("1")])
    with pytest.raises(MessageNotFound):
        engine.remove_dead_letter(number)


def test_peeking_pages_and_filters_by_session(engine: QueueEngine) -> None:
    engine.send([message("1"), message("2", "bob"), message("3"), message("4")])
    assert bodies(engine.peek(session_id="ada", max_count=2)) == ["1", "3"]
    assert bodies(engine.peek(from_sequence=2)) == ["2", "3", "4"]


# --- rules


@pytest.mark.parametrize(
    "broken",
    [
        message("x", None),
        message("x", ""),
        message("x", "s" * 129),
        message("x", id="i" * 129),
        message("x" * 300_000),
        message("x", "\ud800"),
        message("x", properties={"p": 2**63}),
        message("x", properties={"p": ["list"]}),
        message("x", properties={"p": "y" * 300_000}),
    ],
)
def test_a_message_that_breaks_a_rule_keeps_its_batch_out(engine: QueueEngine, broken: NewMessage) -> None:
    with pytest.raises(ValueError, match=r".+"):
        engine.send([message("good"), broken])
    assert engine.counts().active == 0


def test_a_queue_with_sessions_is_received_through_a_lock_and_no_other_way(engine: QueueEngine) -> None:
    with pytest.raises(ValueError, match="session's lock"):
        engine.receive()
    with pytest.raises(ValueError, match="at least one"):
        engine.receive(accept(engine, "ada"), max_count=0)


# --- without sessions


def test_without_sessions_every_message_has_a_lock_of_its_own(make: Callable[..., QueueEngine], clock: FakeClock) -> None:
    engine = make(requires_session=False)
    engine.send([message("1", None), message("2", "ignored"), message("3", None)])
    first, second = engine.receive(max_count=2)
    clock.advance(seconds=40)
    assert engine.renew(token(second)) == clock.now() + timedelta(seconds=60)
    clock.advance(seconds=30)
    with pytest.raises(LockLost):
        engine.complete(token(first))
    engine.complete(token(second))
    assert [(m.body, m.delivery_count) for m in engine.receive(max_count=5)] == [(b"1", 1), (b"3", 0)]
    with pytest.raises(ValueError, match="no sessions"):
        engine.accept_session()


def test_without_sessions_a_message_can_be_abandoned_released_and_buried(make: Callable[..., QueueEngine]) -> None:
    engine = make(requires_session=False)
    engine.send([message("1", None), message("2", None), message("3", None)])
    one, two, three = engine.receive(max_count=3)
    engine.abandon(token(one))
    engine.release(token(two))
    engine.dead_letter(token(three), "why")
    assert [(m.body, m.delivery_count) for m in engine.receive(max_count=5)] == [(b"1", 1), (b"2", 0)]
    assert bodies(engine.dead_letters()) == ["3"]
