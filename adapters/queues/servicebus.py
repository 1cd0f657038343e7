"""The session queue on Azure Service Bus, seen from the sending side.

Sent with the SDK and not by an output binding, which cannot set a session id.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from adapters.queues.messages import MESSAGE_BYTES_MAX
from adapters.queues.servicebus_client import BusAddress, errors_as_ours
from adapters.queues.validation import check_id
from joinery.domain.moments import aware
from joinery.engine.ports import DeadLetter, Outgoing
from joinery.errors import QueueUnavailable

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusReceiver, ServiceBusSender

#: For the lock and the send together: Graph waits three seconds for an answer, and counts a later one as none.
SEND_WITHIN = timedelta(seconds=2)
#: Opening, looking and settling at the dead-letter queue, in seconds each.
_PATIENCE = 10.0
_DEAD_LETTERS_MAX = 100


class ServiceBusQueue:
    """``MessageQueue`` over one sender behind a lock. Opens nothing before it is used. Raises QueueUnavailable.

    A link that nobody used for ten minutes is detached by the service, and one that was cut is found out by sending: so what fails on a link
    that stood before is sent once more on a new one, in the time that is left and with the same message ids.
    """

    def __init__(
        self, address: BusAddress, *, send_within: timedelta = SEND_WITHIN, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = address
        self._within = send_within.total_seconds()
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._client: ServiceBusClient | None = None
        self._sender: ServiceBusSender | None = None

    def send(self, messages: Iterable[Outgoing]) -> None:
        """Return once the bus has taken every message. Where there are more than one transfer holds, some may be taken and others not.

        Each message has a fresh id. It is never made from the content: duplicate detection would swallow a real second change.

        Raises:
            ValueError: a message breaks a rule; none was sent.
            QueueUnavailable: not within the time.
        """
        batch = list(messages)
        for message in batch:
            _check(message)
        if not batch:
            return
        until = self._monotonic() + self._within
        if not self._lock.acquire(timeout=self._within):
            raise QueueUnavailable("the bus takes other messages, and so slowly that there is no time left for these")
        try:
            self._send([_written(message) for message in batch], until)
        finally:
            self._lock.release()

    def waiting(self) -> int | None:
        """The bus says so only to whoever may manage it."""
        return None

    def scheduled(self) -> int | None:
        """The bus says so only to whoever may manage it."""
        return None

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """What the queue gave up on, oldest first, at most 100."""
        with errors_as_ours("the dead letters cannot be read"), self._dead() as receiver:
            found = receiver.peek_messages(_DEAD_LETTERS_MAX, sequence_number=1, timeout=_PATIENCE)
            return tuple(_dead_letter(message) for message in found)

    def remove_dead_letter(self, letter_id: str) -> None:
        """Forget one of them; a missing one, or one that somebody else has in hand, is fine."""
        with errors_as_ours("the dead letter cannot be removed"), self._dead() as receiver:
            others: list[ServiceBusReceivedMessage] = []
            try:
                while found := receiver.receive_messages(_DEAD_LETTERS_MAX, max_wait_time=1):
                    wanted = [message for message in found if str(message.sequence_number) == letter_id]
                    others += [message for message in found if message not in wanted]
                    for message in wanted:
                        receiver.complete_message(message)
                        return
            finally:
                for message in others:
                    receiver.abandon_message(message)

    def close(self) -> None:
        """Close the connections. What is being sent is waited for."""
        with self._lock:
            self._forget()
            client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                client.close()

    def _send(self, messages: list[ServiceBusMessage], until: float) -> None:
        stood = self._sender is not None
        try:
            self._try(messages, until)
        except QueueUnavailable:
            if not stood or self._monotonic() >= until:
                raise
            self._try(messages, until)

    def _try(self, messages: list[ServiceBusMessage], until: float) -> None:
        try:
            with errors_as_ours("the bus did not take the message"):
                sender = self._sender = self._sender or self._connected().get_queue_sender(self._address.queue)
                for batch in _batches(sender, messages, lambda: self._left(until)):
                    sender.send_messages(batch, timeout=self._left(until))
        except Exception:
            # Whatever it was, also what the SDK itself stumbles over: the next try has a link of its own.
            self._forget()
            raise

    def _left(self, until: float) -> float:
        left = until - self._monotonic()
        if left <= 0:
            raise QueueUnavailable("the bus did not take the message in time")
        return left

    def _connected(self) -> ServiceBusClient:
        if self._client is None:
            self._client = self._address.client(try_timeout=self._within)
        return self._client

    def _forget(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            # It may be broken; then closing it fails too.
            with contextlib.suppress(Exception):
                sender.close()

    @contextlib.contextmanager
    def _dead(self) -> Iterator[ServiceBusReceiver]:
        from azure.servicebus import ServiceBusSubQueue

        with self._lock:
            client = self._connected()
        receiver = client.get_queue_receiver(self._address.queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
        with receiver:
            yield receiver


def _check(message: Outgoing) -> None:
    """Raise ValueError for what the bus would refuse."""
    if not message.session_id:
        raise ValueError("a message for a queue with sessions needs a session id")
    check_id("session id", message.session_id)
    if message.not_before is not None:
        aware(message.not_before)
    if len(message.body) > MESSAGE_BYTES_MAX - 4096:
        raise ValueError(f"a message has at most {MESSAGE_BYTES_MAX} bytes with its properties, this body has {len(message.body)}")


def _written(message: Outgoing) -> ServiceBusMessage:
    from azure.servicebus import ServiceBusMessage

    later: dict[str, Any] = {} if message.not_before is None else {"scheduled_enqueue_time_utc": message.not_before}
    return ServiceBusMessage(
        message.body, session_id=message.session_id, message_id=str(uuid.uuid4()), content_type="application/json", **later
    )


def _batches(sender: ServiceBusSender, messages: list[ServiceBusMessage], left: Callable[[], float]) -> Iterator[Any]:
    """As few transfers as the link's limit allows; one message alone needs no envelope."""
    if len(messages) == 1:
        yield messages[0]
        return
    batch = _empty(sender, left)
    for message in messages:
        try:
            batch.add_message(message)
        except ValueError:
            # Full (the SDK's MessageSizeExceededError is a ValueError).
            yield batch
            batch = _empty(sender, left)
            batch.add_message(message)
    yield batch


def _empty(sender: ServiceBusSender, left: Callable[[], float]) -> Any:
    left()
    return sender.create_message_batch()


def _dead_letter(message: ServiceBusReceivedMessage) -> DeadLetter:
    return DeadLetter(
        id=str(message.sequence_number),
        body=b"".join(message.body),
        reason=message.dead_letter_reason or "no reason was given",
    )


def received_at(moment: datetime | None) -> datetime:
    """When a message became receivable. The service always says so."""
    if moment is None:
        raise QueueUnavailable("the bus sent a message without saying when it was put there")
    return aware(moment)
