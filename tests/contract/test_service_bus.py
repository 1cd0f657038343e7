"""What we rely on of Service Bus, asked of it with the vendor's own library.

It is asked of the pretend one. ``JOINERY_TEST_SERVICE_BUS`` holds the connection string of another (the vendor's emulator, a namespace) that has the
queues ``contract`` (no sessions, lock 5 s, 3 deliveries) and ``contract-sessions`` (the same with sessions, duplicates within a minute dropped).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    OperationTimeoutError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from adapters.system import SystemClock
from simulators.service_bus.entities import Namespace
from simulators.service_bus.server import ServiceBus

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage, ServiceBusReceiver, ServiceBusSender

pytestmark = pytest.mark.servers

PLAIN, SESSIONS = "contract", "contract-sessions"
_RULES = {"lock_duration": 5, "max_delivery_count": 3, "max_message_bytes": 262_144}
ENTITIES = {"queues": {PLAIN: _RULES, SESSIONS: _RULES | {"requires_session": True, "duplicate_window": 60}}}


@pytest.fixture(scope="module")
def connection() -> Iterator[str]:
    given = os.environ.get("JOINERY_TEST_SERVICE_BUS")
    if given:
        yield given
        return
    bus = ServiceBus(Namespace(ENTITIES, SystemClock())).start()
    yield bus.connection_string
    bus.close()


@pytest.fixture(scope="module")
def client(connection: str) -> Iterator[ServiceBusClient]:
    # A name that is locked, and a message that is gone, are no reason to try again for eleven seconds.
    with ServiceBusClient.from_connection_string(connection, retry_total=0) as made:
        yield made


@pytest.fixture(scope="module")
def to_sessions(client: ServiceBusClient) -> Iterator[ServiceBusSender]:
    with client.get_queue_sender(SESSIONS) as made:
        yield made


@pytest.fixture(scope="module")
def plain(client: ServiceBusClient) -> Iterator[tuple[ServiceBusSender, ServiceBusReceiver]]:
    with client.get_queue_sender(PLAIN) as sender, client.get_queue_receiver(PLAIN) as receiver:
        yield sender, receiver


def text(message: Any) -> str:
    return b"".join(message.body).decode()


def some(receiver: ServiceBusReceiver, count: int, wait: float = 5) -> list[ServiceBusReceivedMessage]:
    found: list[ServiceBusReceivedMessage] = []
    until = datetime.now(UTC) + timedelta(seconds=wait)
    while len(found) < count and datetime.now(UTC) < until:
        found += receiver.receive_messages(count - len(found), max_wait_time=0.5)
    return found


def test_a_message_arrives_with_all_that_was_written_on_it_and_is_gone_when_it_is_completed(plain: Any) -> None:
    sender, receiver = plain
    sender.send_messages(
        ServiceBusMessage(
            b"\x00" * 200_000,
            message_id="one",
            subject="s",
            correlation_id="c",
            content_type="application/json",
            application_properties={"text": "t", "number": 7, "real": 1.5, "yes": True, "id": uuid.UUID(int=5)},
            time_to_live=timedelta(minutes=5),
        )
    )
    [message] = some(receiver, 1)
    assert b"".join(message.body) == b"\x00" * 200_000
    assert (message.message_id, message.subject, message.correlation_id, message.content_type) == ("one", "s", "c", "application/json")
    assert message.application_properties == {b"text": b"t", b"number": 7, b"real": 1.5, b"yes": True, b"id": uuid.UUID(int=5)}
    assert (message.delivery_count, message.time_to_live) == (0, timedelta(minutes=5))
    assert abs(message.enqueued_time_utc - datetime.now(UTC)) < timedelta(minutes=1)
    receiver.complete_message(message)
    assert receiver.peek_messages(5, sequence_number=1) == []
    with pytest.raises(MessageSizeExceededError):
        sender.send_messages(ServiceBusMessage(b"x" * 300_000))


def test_what_is_abandoned_three_times_is_found_among_the_dead_with_the_reason(client: ServiceBusClient, plain: Any) -> None:
    sender, receiver = plain
    sender.send_messages([ServiceBusMessage("poison"), ServiceBusMessage("bad")])
    poison, bad = some(receiver, 2)
    receiver.dead_letter_message(bad, reason="Schema", error_description="field missing")
    for count in range(3):
        assert poison.delivery_count == count
        receiver.abandon_message(poison)
        [poison] = some(receiver, 1, 2) or [poison]
    with client.get_queue_receiver(PLAIN, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
        found = {text(one): (one.dead_letter_reason, one.dead_letter_error_description) for one in dead.peek_messages(5, sequence_number=1)}
        assert found["bad"] == ("Schema", "field missing")
        assert found["poison"][0] == "MaxDeliveryCountExceeded"
        for one in some(dead, 2):
            dead.complete_message(one)
        assert dead.peek_messages(5, sequence_number=1) == []


def test_a_lock_that_ended_is_lost_and_the_message_comes_again_with_its_count_raised(plain: Any) -> None:
    sender, receiver = plain
    sender.send_messages(ServiceBusMessage("slow"))
    [first] = some(receiver, 1)
    assert receiver.renew_message_lock(first) > datetime.now(UTC) + timedelta(seconds=4)
    [again] = some(receiver, 1, 10)
    assert (text(again), again.delivery_count, again.sequence_number) == ("slow", 1, first.sequence_number)
    # The library's own look at the clock is not what is tested.
    first._expiry = datetime.now(UTC) + timedelta(minutes=1)
    with pytest.raises(MessageLockLostError):
        receiver.complete_message(first)
    receiver.complete_message(again)


def test_what_is_put_aside_is_had_by_its_number_only(plain: Any) -> None:
    sender, receiver = plain
    sender.send_messages(ServiceBusMessage("later"))
    [message] = some(receiver, 1)
    receiver.defer_message(message)
    assert receiver.receive_messages(1, max_wait_time=0.5) == []
    [found] = receiver.receive_deferred_messages(message.sequence_number)
    assert text(found) == "later"
    receiver.complete_message(found)
    with pytest.raises(MessageNotFoundError):
        receiver.receive_deferred_messages(message.sequence_number)


def test_a_scheduled_message_comes_when_it_is_due_and_can_be_cancelled_before(plain: Any) -> None:
    sender, receiver = plain
    due = datetime.now(UTC) + timedelta(seconds=1.5)
    sender.send_messages(ServiceBusMessage("by property", scheduled_enqueue_time_utc=due))
    kept, cancelled = sender.schedule_messages([ServiceBusMessage("by operation"), ServiceBusMessage("cancelled")], due)
    sender.cancel_scheduled_messages(cancelled)
    assert receiver.receive_messages(5, max_wait_time=0.5) == []
    found = some(receiver, 2)
    assert sorted(map(text, found)) == ["by operation", "by property"]
    assert all(message.enqueued_time_utc >= due and message.sequence_number > kept for message in found)
    for message in found:
        receiver.complete_message(message)


def test_sessions_are_locked_whole_in_order_and_keep_their_state(client: ServiceBusClient, to_sessions: ServiceBusSender) -> None:
    name = f"ordered-{uuid.uuid4().hex[:6]}"
    same = str(uuid.uuid4())
    to_sessions.send_messages([ServiceBusMessage(str(n), session_id=name) for n in range(4)])
    to_sessions.send_messages(ServiceBusMessage("4", session_id=name, message_id=same))
    to_sessions.send_messages(ServiceBusMessage("a duplicate", session_id=name, message_id=same))
    with pytest.raises(ServiceBusError):
        to_sessions.send_messages(ServiceBusMessage("without a session"))
    with client.get_queue_receiver(SESSIONS, session_id=name) as receiver:
        session = receiver.session
        assert session.session_id == name
        assert session.get_state() is None
        session.set_state("half way")
        assert session.renew_lock() > datetime.now(UTC) + timedelta(seconds=4)
        with pytest.raises(SessionCannotBeLockedError), client.get_queue_receiver(SESSIONS, session_id=name):
            pass
        found = some(receiver, 5)
        assert [text(one) for one in found] == ["0", "1", "2", "3", "4"]
        receiver.complete_message(found[0])
        receiver.abandon_message(found[1])
    with client.get_queue_receiver(SESSIONS, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=5) as receiver:
        assert receiver.session.session_id == name
        assert receiver.session.get_state() == b"half way"
        receiver.session.set_state(None)
        again = some(receiver, 4)
        assert [(text(one), one.delivery_count) for one in again] == [("1", 1), ("2", 0), ("3", 0), ("4", 0)]
        for one in again:
            receiver.complete_message(one)
    with pytest.raises(OperationTimeoutError), client.get_queue_receiver(SESSIONS, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=1):
        pass


def test_a_session_whose_lock_ended_is_lost_to_its_receiver(client: ServiceBusClient, to_sessions: ServiceBusSender) -> None:
    name = f"lost-{uuid.uuid4().hex[:6]}"
    to_sessions.send_messages(ServiceBusMessage("x", session_id=name))
    with client.get_queue_receiver(SESSIONS, session_id=name) as receiver:
        [message] = some(receiver, 1)
        assert receiver.receive_messages(1, max_wait_time=4) == []
        with pytest.raises(SessionLockLostError):
            for _ in range(6):
                receiver.receive_messages(1, max_wait_time=1)
            receiver.complete_message(message)
    with client.get_queue_receiver(SESSIONS, session_id=name) as receiver:
        [message] = some(receiver, 1)
        assert message.delivery_count == 1
        receiver.complete_message(message)


def test_an_entity_that_is_not_there_is_said_to_be_missing(client: ServiceBusClient) -> None:
    with pytest.raises(MessagingEntityNotFoundError), client.get_queue_sender("nowhere"):
        pass
