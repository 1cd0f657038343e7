"""The bus in trouble: what whoever sends and whoever handles is told, how soon, and that nothing is lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.queues import servicebus_sessions
from adapters.queues.servicebus import ServiceBusQueue
from adapters.queues.servicebus_client import BusAddress
from adapters.queues.servicebus_sessions import ServiceBusSessions
from adapters.system import SystemClock
from joinery.engine.ports import Outgoing
from joinery.errors import LockLost, QueueUnavailable
from simulators.service_bus.entities import Namespace
from simulators.service_bus.server import ServiceBus

pytestmark = pytest.mark.servers

RULES = {"requires_session": True, "lock_duration": 20, "max_delivery_count": 100, "duplicate_window": 600}


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[ServiceBus]:
    made = ServiceBus(Namespace({"queues": {"people": RULES}}, SystemClock(), folder=tmp_path)).start()
    yield made
    made.faults.silent = False
    made.close()


@pytest.fixture
def queue(bus: ServiceBus) -> Iterator[ServiceBusQueue]:
    made = ServiceBusQueue(BusAddress(queue="people", connection=bus.connection_string), send_within=timedelta(seconds=4))
    yield made
    made.close()


@pytest.fixture
def sessions(bus: ServiceBus) -> Iterator[ServiceBusSessions]:
    made = ServiceBusSessions(BusAddress(queue="people", connection=bus.connection_string))
    yield made
    made.close()


def look(body: bytes = b"look", session: str = "t|ada") -> Outgoing:
    return Outgoing(body=body, session_id=session)


def there(bus: ServiceBus) -> int:
    """Messages in the queue."""
    return int(bus.ask(lambda: bus.namespace.engine("people").counts().active))


def test_a_link_that_was_cut_or_detached_meanwhile_is_made_anew_within_the_one_send(bus: ServiceBus, queue: ServiceBusQueue) -> None:
    queue.send([look()])
    for sent, trouble in enumerate((bus.reset, bus.detach_links, bus.force_close), start=2):
        trouble()
        queue.send([look()])
        assert there(bus) == sent


def test_a_message_that_was_taken_before_its_acknowledgement_was_lost_is_there_once(bus: ServiceBus, queue: ServiceBusQueue) -> None:
    """The second try has the message ids of the first, and the queue knows them."""
    queue.send([look()])
    bus.faults.lost_acks = 1
    queue.send([look(b"1"), look(b"2")])
    assert there(bus) == 3


def test_a_bus_that_is_busy_away_or_silent_is_said_to_be_so_in_time_and_takes_messages_again_afterwards(
    bus: ServiceBus, queue: ServiceBusQueue
) -> None:
    bus.faults.busy = 1
    with pytest.raises(QueueUnavailable, match="ServiceBusServerBusyError"):
        queue.send([look()])
    queue.send([look()])
    bus.go_away()
    with pytest.raises(QueueUnavailable) as told:
        queue.send([look()])
    assert "127.0.0.1" not in str(told.value)
    bus.come_back()
    queue.send([look()])
    bus.faults.silent = True
    began = time.monotonic()
    with pytest.raises(QueueUnavailable):
        queue.send([look()])
    # Not a measure of speed: without a bound it would be for ever.
    assert time.monotonic() - began < 30
    bus.faults.silent = False
    bus.reset()
    queue.send([look()])
    assert there(bus) == 3


def test_a_sender_that_the_library_itself_stumbles_over_is_not_used_again(bus: ServiceBus, queue: ServiceBusQueue) -> None:
    queue.send([look()])
    assert queue._sender is not None
    queue._sender._handler = None  # type: ignore[assignment]
    queue._sender._running = True
    with contextlib.suppress(AttributeError):
        queue.send([look()])
    queue.send([look()])
    assert there(bus) >= 2


def test_a_session_whose_lock_or_connection_is_lost_is_taken_anew_and_its_message_comes_again(
    bus: ServiceBus, queue: ServiceBusQueue, sessions: ServiceBusSessions
) -> None:
    queue.send([look()])
    for trouble in (bus.end_locks, bus.reset):
        lock = sessions.accept_session(wait=1)
        assert lock is not None
        assert lock.session_id == "t|ada"
        [message] = sessions.receive(lock)
        trouble()
        with pytest.raises(LockLost):
            sessions.complete(message.lock_token or "")
        sessions.release_session(lock)
    lock = sessions.accept_session(wait=1)
    assert lock is not None
    [message] = sessions.receive(lock)
    assert (message.body, message.delivery_count) == (b"look", 1)
    sessions.renew_session(lock)
    sessions.abandon(message.lock_token or "")
    [message] = sessions.receive(lock)
    sessions.complete(message.lock_token or "")
    with pytest.raises(LockLost):
        sessions.complete(message.lock_token or "")
    sessions.release_session(lock)
    assert there(bus) == 0
    assert sessions.accept_session() is None


def test_a_settlement_whose_answer_is_held_back_is_not_waited_for_and_was_taken(
    bus: ServiceBus, queue: ServiceBusQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servicebus_sessions, "_PATIENCE", 2.0)
    sessions = ServiceBusSessions(BusAddress(queue="people", connection=bus.connection_string))
    queue.send([look()])
    lock = sessions.accept_session(wait=1)
    [message] = sessions.receive(lock)
    bus.faults.hold_settlements = True
    began = time.monotonic()
    with pytest.raises((LockLost, QueueUnavailable)):
        sessions.complete(message.lock_token or "")
    # Not a measure of speed: the library's own patience is a minute.
    assert time.monotonic() - began < 30
    bus.faults.hold_settlements = False
    sessions.close()
    assert there(bus) == 0


def test_dead_letters_are_shown_and_removed_one_by_one(bus: ServiceBus, queue: ServiceBusQueue) -> None:
    queue.send([look(b"1"), look(b"2"), look(b"3")])
    engine = bus.namespace.engine("people")

    def die() -> None:
        lock = engine.accept_session()
        assert lock is not None
        for message in engine.receive(lock, max_count=2):
            engine.dead_letter(message.lock_token or "", "Broken", "for this test")
        engine.release_session(lock)

    bus.ask(die)
    first, second = queue.dead_letters()
    assert [(first.body, first.reason), (second.body, second.reason)] == [(b"1", "Broken"), (b"2", "Broken")]
    queue.remove_dead_letter(first.id)
    queue.remove_dead_letter(first.id)
    assert [letter.body for letter in queue.dead_letters()] == [b"2"]
    assert there(bus) == 1


def test_many_messages_travel_in_as_few_transfers_as_the_link_allows(tmp_path: Path) -> None:
    narrow = Namespace({"queues": {"people": RULES | {"max_message_bytes": 20_000}}}, SystemClock(), folder=tmp_path)
    bus = ServiceBus(narrow).start()
    queue = ServiceBusQueue(BusAddress(queue="people", connection=bus.connection_string), send_within=timedelta(seconds=20))
    queue.send(look(str(n).encode() * 500, session=f"t|{n % 7}") for n in range(100))
    assert there(bus) == 100
    queue.close()
    bus.close()


def test_what_a_queue_holds_survives_the_process_of_the_pretend_bus(tmp_path: Path) -> None:
    entities = {"queues": {"people": RULES}}
    bus = ServiceBus(Namespace(entities, SystemClock(), folder=tmp_path)).start()
    queue = ServiceBusQueue(BusAddress(queue="people", connection=bus.connection_string), send_within=timedelta(seconds=20))
    queue.send([look(b"kept")])
    queue.close()
    port = bus.port
    bus.close()
    again = ServiceBus(Namespace(entities, SystemClock(), folder=tmp_path), port=port).start()
    sessions = ServiceBusSessions(BusAddress(queue="people", connection=again.connection_string))
    lock = sessions.accept_session(wait=1)
    assert lock is not None
    assert [message.body for message in sessions.receive(lock)] == [b"kept"]
    sessions.release_session(lock)
    sessions.close()
    again.close()
