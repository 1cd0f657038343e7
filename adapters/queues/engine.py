"""The queue engine: peek-lock and sessions as the cloud's queue has them, in this process, on the clock it is given.

The habits are those of Azure Service Bus ("message-transfers-locks-settlement", "message-sessions", "message-sequencing", "duplicate-detection",
"service-bus-dead-letter-queues"). Two rules keep it honest: every change is written to the journal before it is true, and what the passing of
time has done (locks that ended, messages that fell due) is settled at the start of every call, so nothing runs in the background.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from adapters.queues.journal import Change, Journal, Remembered
from adapters.queues.messages import (
    MAX_DELIVERY_COUNT_EXCEEDED,
    MessageNotFound,
    MessageState,
    NewMessage,
    QueueCounts,
    QueueMessage,
    SessionLock,
)
from adapters.queues.recent_ids import RecentIds
from adapters.queues.shelves import Hold, Shelves
from adapters.queues.validation import check_id, checked
from joinery.engine.ports import Clock
from joinery.errors import LockLost, QueueUnavailable

#: The pauses of a waiting call, in seconds: not so short that it spins, not so long that a corrected wall clock goes unnoticed.
_NAP_MIN, _NAP_MAX = 0.001, 30.0


class QueueEngine:
    """One queue. Every method may be called from any thread; every one raises QueueUnavailable where the journal cannot write.

    Args:
        clock: decides what is due and which locks have ended. After turning a fake one, call ``poke``.
        journal: None keeps messages in memory only.
        name: for messages to people.
        lock_duration: how long a delivery or a session belongs to its receiver.
        max_delivery_count: so many deliveries in vain, and a message is dead.
        duplicate_window: a message id seen within it is acknowledged and dropped; None switches that off.
        requires_session: every message has a session, and is received through its lock.

    ``wait`` is always in real seconds.
    """

    def __init__(
        self,
        clock: Clock,
        journal: Journal | None = None,
        *,
        name: str = "person-messages",
        lock_duration: timedelta = timedelta(seconds=60),
        max_delivery_count: int = 100,
        duplicate_window: timedelta | None = None,
        requires_session: bool = True,
    ) -> None:
        if max_delivery_count < 1 or lock_duration <= timedelta(0):
            raise ValueError("max_delivery_count is at least 1, and a lock lasts some time")
        remembered = journal.load() if journal else Remembered()
        self.name = name
        self.requires_session = requires_session
        self._clock = clock
        self._journal = journal
        self._lock_duration = lock_duration
        self._max_delivery_count = max_delivery_count
        self._recent_ids = RecentIds(duplicate_window, remembered.taken_ids)
        self._next_sequence = remembered.next_sequence
        self._shelves = Shelves(remembered.messages, sessions=requires_session)
        self._changed = threading.Condition()
        self._closed = False

    # --- sending

    def send(self, messages: Iterable[NewMessage]) -> list[int]:
        """Take all messages, or none. Returns their sequence numbers when they are on disk; 0 stands for a duplicate that was dropped.

        Raises:
            ValueError: a message breaks a rule of the queue.
            QueueUnavailable: nothing was taken.
        """
        batch = [checked(message, requires_session=self.requires_session) for message in messages]
        with self._changed:
            now = self._at_present()
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
                self._write(put=put, take_ids=tuple(taken.items()), keep_ids_between=self._recent_ids.forget_old(now))
                self._recent_ids.take(taken, now)
                self._changed.notify_all()
        return numbers

    def cancel_scheduled(self, sequence_number: int) -> None:
        """Remove a scheduled message. Raises MessageNotFound if it is due by now, or unknown."""
        with self._changed:
            self._at_present()
            self._standing(sequence_number, MessageState.SCHEDULED)
            self._write(remove=[sequence_number])

    # --- receiving

    def accept_session(self, session_id: str | None = None, wait: float = 0) -> SessionLock | None:
        """Lock a session: the named one, even if nothing waits in it, or else the free one that has waited longest.

        None where there was none within ``wait``, or where the queue was closed meanwhile.
        """
        if not self.requires_session:
            raise ValueError(f"queue {self.name} has no sessions")
        check_id("session id", session_id)
        deadline = time.monotonic() + wait
        with self._changed:
            while True:
                now = self._at_present()
                wanted = self._shelves.longest_waiting() if session_id is None else session_id
                if wanted is not None and self._shelves.is_free(wanted):
                    return _session_lock(self._shelves.hold_session(wanted, expires=self._expiry(), locked_until=now + self._lock_duration))
                if not self._nap(deadline):
                    return None

    def receive(self, lock: SessionLock | None = None, max_count: int = 1, wait: float = 0) -> list[QueueMessage]:
        """Deliver what waits in the session, oldest first, at most ``max_count``; empty after ``wait``, or where the queue was closed meanwhile.

        Without sessions, ``lock`` is None and every message is locked by itself. Raises LockLost.
        """
        if (lock is None) == self.requires_session:
            raise ValueError(f"queue {self.name} is received {'with' if self.requires_session else 'without'} a session's lock")
        if max_count < 1:
            raise ValueError(f"at least one message is received at a time, not {max_count}")
        deadline = time.monotonic() + wait
        with self._changed:
            while True:
                now = self._at_present()
                received = self._deliver(lock, max_count, now)
                if received or not self._nap(deadline):
                    return received

    def complete(self, lock_token: str) -> None:
        """Done: the message is gone for good. Raises LockLost."""
        with self._changed:
            message = self._delivered(lock_token)
            self._write(remove=[message.sequence_number], taken_back=[lock_token])

    def abandon(self, lock_token: str) -> None:
        """Not done: the message is at the head of its session again, its delivery count raised, or dead if that was the last. Raises LockLost."""
        with self._changed:
            message = self._delivered(lock_token)
            self._write(put=[self._in_vain(message)], taken_back=[lock_token])
            self._changed.notify_all()

    def dead_letter(self, lock_token: str, reason: str | None = None, description: str | None = None) -> None:
        """Put the message aside, with words for the person who will find it. Raises LockLost."""
        with self._changed:
            message = self._delivered(lock_token)
            dead = replace(message, state=MessageState.DEAD, dead_letter_reason=reason, dead_letter_description=description)
            self._write(put=[dead], taken_back=[lock_token])

    def release(self, lock_token: str) -> None:
        """Hand one message back as if it had not been delivered: at its place, its delivery count unchanged. Raises LockLost."""
        with self._changed:
            self._delivered(lock_token)
            self._shelves.put(self._shelves.take_back(lock_token))
            self._changed.notify_all()

    def renew(self, lock_token: str) -> datetime:
        """Lock one message of a queue without sessions anew; returns until when. Raises LockLost."""
        with self._changed:
            return self._extended(lock_token).locked_until

    def renew_session(self, lock: SessionLock) -> SessionLock:
        """Lock the session and all its deliveries anew from now on. Raises LockLost."""
        with self._changed:
            return _session_lock(self._extended(lock.lock_token))

    def release_session(self, lock: SessionLock) -> None:
        """Give the session up; what was not settled comes back with its delivery count unchanged. A lock that is lost already is fine."""
        with self._changed:
            hold = self._shelves.held(lock.lock_token)
            if self._closed or hold is None:
                return
            if hold.expires <= self._clock.monotonic():
                self._at_present()
                return
            for token in list(hold.deliveries):
                self._shelves.put(self._shelves.take_back(token))
            self._shelves.let_go(hold)
            self._changed.notify_all()

    # --- looking and tidying

    def peek(self, *, from_sequence: int = 0, max_count: int = 100, session_id: str | None = None) -> list[QueueMessage]:
        """Active (locked ones too) and scheduled messages by sequence number; changes nothing."""
        with self._changed:
            self._at_present()
            return self._listed(from_sequence, max_count, lambda m: m.state is not MessageState.DEAD and session_id in (None, m.session_id))

    def dead_letters(self, *, from_sequence: int = 0, max_count: int = 100) -> list[QueueMessage]:
        """Dead messages by sequence number, with reason and description."""
        with self._changed:
            self._at_present()
            return self._listed(from_sequence, max_count, lambda m: m.state is MessageState.DEAD)

    def resubmit(self, sequence_number: int) -> int:
        """Send a dead message again, as a new one at the end of its session; returns its new sequence number. Raises MessageNotFound.

        It keeps its message id, and is not taken for a duplicate of itself.
        """
        with self._changed:
            now = self._at_present()
            dead = self._standing(sequence_number, MessageState.DEAD)
            again = replace(
                dead,
                sequence_number=self._next_sequence,
                state=MessageState.ACTIVE,
                enqueued_at=now,
                delivery_count=0,
                dead_letter_reason=None,
                dead_letter_description=None,
            )
            self._write(put=[again], remove=[sequence_number])
            self._changed.notify_all()
            return again.sequence_number

    def remove_dead_letter(self, sequence_number: int) -> None:
        """Forget a dead message for good. Raises MessageNotFound."""
        with self._changed:
            self._at_present()
            self._standing(sequence_number, MessageState.DEAD)
            self._write(remove=[sequence_number])

    def counts(self) -> QueueCounts:
        """How many messages there are."""
        with self._changed:
            self._at_present()
            counts = self._shelves.counts
            return QueueCounts(active=counts[MessageState.ACTIVE], scheduled=counts[MessageState.SCHEDULED], dead=counts[MessageState.DEAD])

    def next_change(self) -> float | None:
        """In how many seconds time alone changes something: a message falls due, a lock ends. None: never."""
        with self._changed:
            now = self._at_present()
            return self._shelves.next_change(now, self._clock.monotonic())

    def poke(self) -> None:
        """The clock was turned: let those who wait look again."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Wake everyone and close the journal. Locks end with the process, so nothing else needs to happen."""
        with self._changed:
            already, self._closed = self._closed, True
            self._changed.notify_all()
            if self._journal is not None and not already:
                self._journal.close()

    # --- the workings; all of them run under the lock

    def _at_present(self) -> datetime:
        """Settle what time has done since the last call, and return the present moment."""
        if self._closed:
            raise QueueUnavailable(f"queue {self.name} is closed")
        now = self._clock.now()
        ended = self._shelves.expired(self._clock.monotonic())
        due = self._shelves.due(now)
        if ended or due:
            put = [self._in_vain(self._shelves.messages[number]) for hold in ended for number in hold.deliveries.values()]
            # A scheduled message is appended as if it were sent now, so it queues behind what is there ("message-sequencing").
            put += [
                replace(message, sequence_number=self._next_sequence + place, state=MessageState.ACTIVE, enqueued_at=now)
                for place, message in enumerate(due)
            ]
            tokens = [token for hold in ended for token in hold.deliveries]
            if put:
                self._write(put=put, remove=[message.sequence_number for message in due], taken_back=tokens)
            for hold in ended:
                self._shelves.let_go(hold)
            self._changed.notify_all()
        return now

    def _write(
        self,
        *,
        put: Iterable[QueueMessage] = (),
        remove: Iterable[int] = (),
        taken_back: Iterable[str] = (),
        take_ids: tuple[tuple[str, datetime], ...] = (),
        keep_ids_between: tuple[datetime, datetime] | None = None,
    ) -> None:
        """Journal first; only then is it so."""
        put, remove = tuple(put), tuple(remove)
        next_sequence = max([self._next_sequence, *(message.sequence_number + 1 for message in put)])
        if self._journal is not None:
            self._journal.write(
                Change(next_sequence=next_sequence, put=put, remove=remove, take_ids=take_ids, keep_ids_between=keep_ids_between)
            )
        self._next_sequence = next_sequence
        for token in taken_back:
            self._shelves.take_back(token)
        for number in remove:
            self._shelves.remove(number)
        for message in put:
            self._shelves.put(message)

    def _taken(self, message: NewMessage, *, number: int, now: datetime) -> QueueMessage:
        later = message.scheduled_for is not None and message.scheduled_for > now
        return QueueMessage(
            sequence_number=number,
            message_id=message.message_id,
            session_id=message.session_id,
            body=message.body,
            properties=message.properties,
            state=MessageState.SCHEDULED if later else MessageState.ACTIVE,
            enqueued_at=now,
            scheduled_for=message.scheduled_for,
        )

    def _deliver(self, lock: SessionLock | None, max_count: int, now: datetime) -> list[QueueMessage]:
        hold = self._held(lock.lock_token) if lock is not None else None
        received: list[QueueMessage] = []
        while len(received) < max_count:
            until = now + self._lock_duration if hold is None else hold.locked_until
            found = self._shelves.deliver(hold) if hold else self._shelves.deliver_unsessioned(expires=self._expiry(), locked_until=until)
            if found is None:
                break
            token, message = found
            received.append(replace(message, lock_token=token, locked_until=until))
        return received

    def _delivered(self, lock_token: str) -> QueueMessage:
        """The message of a delivery that still stands."""
        self._at_present()
        hold = self._shelves.delivered(lock_token)
        if hold is None:
            raise LockLost(f"queue {self.name}: the lock of this delivery expired, was released or was used up")
        return self._shelves.messages[hold.deliveries[lock_token]]

    def _held(self, lock_token: str) -> Hold:
        hold = self._shelves.held(lock_token)
        if hold is None:
            raise LockLost(f"queue {self.name}: this lock expired or was released")
        return hold

    def _extended(self, lock_token: str) -> Hold:
        now = self._at_present()
        hold = self._held(lock_token)
        self._shelves.extend(hold, expires=self._expiry(), locked_until=now + self._lock_duration)
        return hold

    def _in_vain(self, message: QueueMessage) -> QueueMessage:
        """The message after one more delivery that came to nothing."""
        count = message.delivery_count + 1
        if count < self._max_delivery_count:
            return replace(message, delivery_count=count)
        return replace(
            message,
            delivery_count=count,
            state=MessageState.DEAD,
            dead_letter_reason=MAX_DELIVERY_COUNT_EXCEEDED,
            dead_letter_description=f"Message could not be consumed after {self._max_delivery_count} delivery attempts.",
        )

    def _standing(self, sequence_number: int, state: MessageState) -> QueueMessage:
        message = self._shelves.messages.get(sequence_number)
        if message is None or message.state is not state:
            raise MessageNotFound(f"queue {self.name}: no {state} message has the sequence number {sequence_number}")
        return message

    def _listed(self, from_sequence: int, max_count: int, wanted: Callable[[QueueMessage], bool]) -> list[QueueMessage]:
        found = (m for m in self._shelves.messages.values() if m.sequence_number >= from_sequence and wanted(m))
        return sorted(found, key=lambda m: m.sequence_number)[: max(max_count, 0)]

    def _expiry(self) -> float:
        return self._clock.monotonic() + self._lock_duration.total_seconds()

    def _nap(self, deadline: float) -> bool:
        """Wait for a change, the next moment that matters, or the deadline; False where there is no use in looking again."""
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return False
        change = self._shelves.next_change(self._clock.now(), self._clock.monotonic())
        naps = [remaining, _NAP_MAX] if change is None else [remaining, _NAP_MAX, max(change, _NAP_MIN)]
        self._changed.wait(min(naps))
        return not self._closed


def _session_lock(hold: Hold) -> SessionLock:
    return SessionLock(session_id=hold.session_id or "", lock_token=hold.token, locked_until=hold.locked_until)
