"""What a queue holds and what becomes of it: the journal first, then the shelves. No threads, no waiting; the engine calls it under its lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from adapters.queues.journal import Change, Journal, Remembered
from adapters.queues.messages import (
    MAX_DELIVERY_COUNT_EXCEEDED,
    MESSAGE_BYTES_MAX,
    TTL_EXPIRED,
    MessageNotFound,
    MessageState,
    NewMessage,
    QueueMessage,
)
from adapters.queues.recent_ids import RecentIds
from adapters.queues.shelves import Shelves


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueRules:
    """What is fixed for a queue; the names are those of the cloud's queue properties."""

    #: Every message has a session, and is received through its lock.
    requires_session: bool = True
    #: How long a delivery or a session belongs to its receiver.
    lock_duration: timedelta = timedelta(seconds=60)
    #: So many deliveries in vain, and a message is dead.
    max_delivery_count: int = 100
    #: A message id seen within it is acknowledged and dropped; None switches that off.
    duplicate_window: timedelta | None = None
    #: The longest that any message may wait; None: for ever.
    default_time_to_live: timedelta | None = None
    #: A message that waited too long is dead, and not just gone.
    dead_letter_on_expiry: bool = False
    #: Of body and properties together.
    message_bytes_max: int = MESSAGE_BYTES_MAX

    def __post_init__(self) -> None:
        if self.max_delivery_count < 1 or self.lock_duration <= timedelta(0):
            raise ValueError("max_delivery_count is at least 1, and a lock lasts some time")


#: The queue that the product runs on. In the cloud it is made by infra/modules/bus.bicep, which `make check` holds against this.
#: Every send has a message id of its own, so a duplicate can only be a repeat of the client's own after a lost answer, within its deadline.
#: Nothing waits for a fortnight; what does is dead and not gone, and the tick sends it again.
PERSON_MESSAGES = QueueRules(
    requires_session=True,
    lock_duration=timedelta(minutes=1),
    max_delivery_count=100,
    duplicate_window=timedelta(minutes=10),
    default_time_to_live=timedelta(days=14),
    dead_letter_on_expiry=True,
)


class Ledger:
    """The messages, the ids taken lately and the sessions' states. Every change raises QueueUnavailable where the journal cannot write it."""

    def __init__(self, rules: QueueRules, journal: Journal | None, name: str) -> None:
        remembered = journal.load() if journal else Remembered()
        self.rules = rules
        self._journal = journal
        self._name = name
        self._recent_ids = RecentIds(rules.duplicate_window, remembered.taken_ids)
        self._next_sequence = remembered.next_sequence
        self.shelves = Shelves(remembered.messages, sessions=rules.requires_session)
        #: Session id -> its state, and when that was set.
        self.states: dict[str, tuple[bytes, datetime]] = dict(remembered.states)

    def take(self, batch: Iterable[NewMessage], now: datetime) -> list[int]:
        """All of them, or none. Returns their sequence numbers; 0 stands for a duplicate that was dropped."""
        numbers: list[int] = []
        taken: dict[str, datetime] = {}
        put: list[QueueMessage] = []
        for message in batch:
            if message.message_id in taken or self._recent_ids.holds(message.message_id, now):
                numbers.append(0)
                continue
            if self._recent_ids.enabled:
                taken[message.message_id] = now
            put.append(self._taken(message, number=self._next_sequence + len(put), now=now))
            numbers.append(put[-1].sequence_number)
        if put:
            self.write(put=put, take_ids=tuple(taken.items()), keep_ids_between=self._recent_ids.forget_old(now))
            self._recent_ids.take(taken, now)
        return numbers

    def settle_time(self, now: datetime, monotonic: float) -> bool:
        """Locks that ended, messages that fell due, messages that waited too long; says whether there was any of them."""
        ended, due, outlived = self.shelves.expired(monotonic), self.shelves.due(now), self.shelves.outlived(now)
        if not (ended or due or outlived):
            return False
        put = [self.in_vain(self.shelves.messages[number]) for hold in ended for number in hold.deliveries.values()]
        # A scheduled message is appended as if it were sent now, so it queues behind what is there ("message-sequencing").
        put += [
            replace(message, sequence_number=self._next_sequence + place, state=MessageState.ACTIVE, enqueued_at=now)
            for place, message in enumerate(due)
        ]
        buried = [self._outlived(message) for message in outlived] if self.rules.dead_letter_on_expiry else []
        gone = [message.sequence_number for message in [*due, *([] if buried else outlived)]]
        tokens = [token for hold in ended for token in hold.deliveries]
        if put or gone or buried:
            self.write(put=[*put, *buried], remove=gone, taken_back=tokens, taken_off=outlived)
        for hold in ended:
            self.shelves.let_go(hold)
        return True

    def again(self, dead: QueueMessage, now: datetime) -> int:
        """A dead message as a new one at the end of its session; returns its sequence number. It is not taken for a duplicate of itself."""
        again = replace(
            dead,
            sequence_number=self._next_sequence,
            state=MessageState.ACTIVE,
            enqueued_at=now,
            delivery_count=0,
            dead_letter_reason=None,
            dead_letter_description=None,
        )
        self.write(put=[again], remove=[dead.sequence_number])
        return again.sequence_number

    def set_state(self, session_id: str, state: bytes | None, now: datetime) -> None:
        """A session's state; None forgets it."""
        self.write(states=((session_id, state, now),))
        if state is None:
            self.states.pop(session_id, None)
        else:
            self.states[session_id] = (state, now)

    def in_vain(self, message: QueueMessage) -> QueueMessage:
        """The message after one more delivery that came to nothing. What is dead already dies no second time."""
        count = message.delivery_count + 1
        if count < self.rules.max_delivery_count or message.state is MessageState.DEAD:
            return replace(message, delivery_count=count)
        description = f"Message could not be consumed after {self.rules.max_delivery_count} delivery attempts."
        return replace(dead(message, MAX_DELIVERY_COUNT_EXCEEDED, description), delivery_count=count)

    def standing(self, sequence_number: int, state: MessageState) -> QueueMessage:
        """A message that nobody has in hand. Raises MessageNotFound."""
        message = self.shelves.messages.get(sequence_number)
        if message is None or message.state is not state or self.shelves.is_delivered(sequence_number):
            raise MessageNotFound(f"queue {self._name}: no {state} message has the sequence number {sequence_number}")
        return message

    def listed(self, from_sequence: int, max_count: int, wanted: Callable[[QueueMessage], bool]) -> list[QueueMessage]:
        """Messages by sequence number."""
        found = (m for m in self.shelves.messages.values() if m.sequence_number >= from_sequence and wanted(m))
        return sorted(found, key=lambda m: m.sequence_number)[: max(max_count, 0)]

    def write(
        self,
        *,
        put: Iterable[QueueMessage] = (),
        remove: Iterable[int] = (),
        taken_back: Iterable[str] = (),
        taken_off: Iterable[QueueMessage] = (),
        take_ids: tuple[tuple[str, datetime], ...] = (),
        keep_ids_between: tuple[datetime, datetime] | None = None,
        states: tuple[tuple[str, bytes | None, datetime], ...] = (),
    ) -> None:
        """Journal first; only then is it so."""
        put, remove = tuple(put), tuple(remove)
        next_sequence = max([self._next_sequence, *(message.sequence_number + 1 for message in put)])
        if self._journal is not None:
            self._journal.write(
                Change(
                    next_sequence=next_sequence,
                    put=put,
                    remove=remove,
                    take_ids=take_ids,
                    keep_ids_between=keep_ids_between,
                    states=states,
                )
            )
        self._next_sequence = next_sequence
        for token in taken_back:
            self.shelves.take_back(token)
        for message in taken_off:
            self.shelves.take_off(message)
        for number in remove:
            self.shelves.remove(number)
        for message in put:
            self.shelves.put(message)

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()

    def _taken(self, message: NewMessage, *, number: int, now: datetime) -> QueueMessage:
        later = message.scheduled_for is not None and message.scheduled_for > now
        limits = [one for one in (message.time_to_live, self.rules.default_time_to_live) if one is not None]
        return QueueMessage(
            sequence_number=number,
            message_id=message.message_id,
            session_id=message.session_id,
            body=message.body,
            properties=message.properties,
            state=MessageState.SCHEDULED if later else MessageState.ACTIVE,
            enqueued_at=now,
            scheduled_for=message.scheduled_for,
            time_to_live=min(limits, default=None),
        )

    def _outlived(self, message: QueueMessage) -> QueueMessage:
        return dead(message, TTL_EXPIRED, "The message expired and was dead lettered.")


def dead(message: QueueMessage, reason: str | None, description: str | None) -> QueueMessage:
    """The message, put aside; it waits there for as long as it takes."""
    return replace(message, state=MessageState.DEAD, time_to_live=None, dead_letter_reason=reason, dead_letter_description=description)
