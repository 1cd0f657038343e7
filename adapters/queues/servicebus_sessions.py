"""The session queue on Azure Service Bus, seen from a host that handles its messages without the Functions runtime."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from adapters.queues.servicebus import received_at
from adapters.queues.servicebus_client import BusAddress, errors_as_ours
from joinery.errors import LockLost

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusClient, ServiceBusReceivedMessage, ServiceBusReceiver

#: How long an idle worker waits for a session in one go, in seconds: each go is a connection, and a stop waits for the end of one.
_ACCEPT_WAIT = 4.0
#: The shortest wait for a message of a session that is held: less is no time for a reply from far away.
_RECEIVE_WAIT = 0.5
#: One settlement, one renewal, in seconds.
_PATIENCE = 10.0


@dataclass(slots=True, eq=False)
class SessionReceiver:
    """A session that is ours until its lock ends. ``busy`` keeps two threads off one connection."""

    session_id: str
    receiver: ServiceBusReceiver
    busy: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, slots=True)
class SessionMessage:
    """A message under the lock of its session."""

    body: bytes
    message_id: str
    session_id: str | None
    sequence_number: int
    delivery_count: int
    enqueued_at: datetime
    lock_token: str | None
    properties: Mapping[str, Any]


class ServiceBusSessions:
    """``SessionQueue`` over receivers that take whatever session is free. Raises LockLost and QueueUnavailable.

    One receiver is one connection. A receiver that lost it is not mended by the SDK: it counts as a lost lock, and the session is taken anew.
    """

    def __init__(self, address: BusAddress) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._client: ServiceBusClient | None = None
        #: Lock token -> the message, and who received it.
        self._in_hand: dict[str, tuple[SessionReceiver, ServiceBusReceivedMessage]] = {}

    def accept_session(self, session_id: str | None = None, wait: float = 0) -> SessionReceiver | None:
        """Lock the session that waited longest; None where there was none for some seconds.

        With ``wait`` 0, None at once: a look whether another session waits would be a connection each time.
        """
        from azure.servicebus import NEXT_AVAILABLE_SESSION
        from azure.servicebus.exceptions import OperationTimeoutError

        if wait <= 0:
            return None
        wanted = NEXT_AVAILABLE_SESSION if session_id is None else session_id
        # ``timeout`` is how long the answer to a settlement is waited for; unsaid it is a minute, in which the lock may end ("azure-servicebus" 7.15).
        receiver = self._connected().get_queue_receiver(
            self._address.queue, session_id=wanted, max_wait_time=_ACCEPT_WAIT, timeout=_PATIENCE
        )
        with errors_as_ours("no session can be taken"):
            try:
                receiver.__enter__()
            except OperationTimeoutError:
                _close(receiver)
                return None
            except Exception:
                _close(receiver)
                raise
        return SessionReceiver(str(receiver.session.session_id), receiver)

    def receive(self, lock: SessionReceiver | None = None, max_count: int = 1, wait: float = 0) -> list[SessionMessage]:
        """What waits in the session, oldest first."""
        if lock is None:
            raise ValueError("this queue is received with a session's lock")
        with lock.busy, self._errors("the session cannot be read"):
            found = lock.receiver.receive_messages(max_count, max_wait_time=max(wait, _RECEIVE_WAIT))
        messages = [_message(lock, one) for one in found]
        with self._lock:
            self._in_hand |= {message.lock_token or "": (lock, one) for message, one in zip(messages, found, strict=True)}
        return messages

    def complete(self, lock_token: str) -> None:
        """Handled: it will not come again."""
        lock, message = self._taken(lock_token)
        with lock.busy, self._errors("the message cannot be completed"):
            lock.receiver.complete_message(message)

    def abandon(self, lock_token: str) -> None:
        """Not handled: it comes again at once, at the head of its session."""
        lock, message = self._taken(lock_token)
        with lock.busy, self._errors("the message cannot be given back"):
            lock.receiver.abandon_message(message)

    def renew_session(self, lock: SessionReceiver) -> SessionReceiver:
        """Keep the session for another lock duration."""
        with lock.busy, self._errors("the lock cannot be renewed"):
            lock.receiver.session.renew_lock(timeout=_PATIENCE)
        return lock

    def release_session(self, lock: SessionReceiver) -> None:
        """Give it back; what is unsettled returns. A session that is lost already is fine."""
        with self._lock:
            self._in_hand = {token: entry for token, entry in self._in_hand.items() if entry[0] is not lock}
        with lock.busy:
            _close(lock.receiver)

    def poke(self) -> None:
        """Nobody needs to be woken: the bus does that."""

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                client.close()

    @contextlib.contextmanager
    def _errors(self, what: str) -> Any:
        """A receiver whose connection is gone has lost its session."""
        from azure.servicebus.exceptions import ServiceBusConnectionError

        with errors_as_ours(what):
            try:
                yield
            except (ServiceBusConnectionError, ValueError) as error:
                # ValueError: the SDK closed the receiver after an error before this one.
                raise LockLost(f"{what}: {type(error).__name__}") from error

    def _taken(self, lock_token: str) -> tuple[SessionReceiver, ServiceBusReceivedMessage]:
        with self._lock:
            found = self._in_hand.pop(lock_token, None)
        if found is None:
            raise LockLost("this delivery was settled, or its session was given back")
        return found

    def _connected(self) -> ServiceBusClient:
        with self._lock:
            if self._client is None:
                self._client = self._address.client(try_timeout=_PATIENCE)
            return self._client


def _message(lock: SessionReceiver, message: ServiceBusReceivedMessage) -> SessionMessage:
    return SessionMessage(
        body=b"".join(message.body),
        message_id=str(message.message_id),
        session_id=lock.session_id,
        sequence_number=message.sequence_number or 0,
        delivery_count=message.delivery_count or 0,
        enqueued_at=received_at(message.enqueued_time_utc),
        lock_token=str(message.lock_token),
        properties={_text(name): value for name, value in (message.application_properties or {}).items()},
    )


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _close(receiver: ServiceBusReceiver) -> None:
    # It may be broken; then closing it fails too, and its lock ends by its time.
    with contextlib.suppress(Exception):
        receiver.close()
