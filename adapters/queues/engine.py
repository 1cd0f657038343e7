"""The queue engine: peek-lock and sessions as the cloud's queue has them, in this process, on the clock it is given.

The habits are those of Azure Service Bus ("message-transfers-locks-settlement", "message-sessions", "message-sequencing", "duplicate-detection",
"service-bus-dead-letter-queues"). Two rules keep it honest: every change is written to the journal before it is true, and what the passing of
time has done (locks that ended, messages that fell due) is settled at the start of every call, so nothing runs in the background.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from adapters.queues.journal import Journal
from adapters.queues.ledger import Ledger, QueueRules, dead
from adapters.queues.messages import (
    STATE_BYTES_MAX,
    MessageNotFound,
    MessageState,
    NewMessage,
    QueueCounts,
    QueueMessage,
    SessionLock,
)
from adapters.queues.shelves import Hold
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
        rules: what is fixed for the queue.
        name: for messages to people.

    ``wait`` is always in real seconds.
    """

    def __init__(
        self, clock: Clock, journal: Journal | None = None, rules: QueueRules | None = None, *, name: str = "person-messages"
    ) -> None:
        self.name = name
        self.rules = rules or QueueRules()
        self._clock = clock
        self._ledger = Ledger(self.rules, journal, name)
        self._shelves = self._ledger.shelves
        self._changed = threading.Condition()
        self._closed = False

    # --- sending

    def send(self, messages: Iterable[NewMessage]) -> list[int]:
        """Take all messages, or none. Returns their sequence numbers when they are on disk; 0 stands for a duplicate that was dropped.

        Raises:
            ValueError: a message breaks a rule of the queue.
            QueueUnavailable: nothing was taken.
        """
        rules = self.rules
        batch = [checked(message, requires_session=rules.requires_session, bytes_max=rules.message_bytes_max) for message in messages]
        with self._changed:
            numbers = self._ledger.take(batch, self._at_present())
            if any(numbers):
                self._changed.notify_all()
        return numbers

    def cancel_scheduled(self, *sequence_numbers: int) -> None:
        """Remove scheduled messages, or none of them. Raises MessageNotFound if one is due by now, or unknown."""
        with self._changed:
            self._at_present()
            for number in sequence_numbers:
                self._ledger.standing(number, MessageState.SCHEDULED)
            self._ledger.write(remove=sequence_numbers)

    # --- receiving

    def accept_session(self, session_id: str | None = None, wait: float = 0) -> SessionLock | None:
        """Lock a session: the named one, even if nothing waits in it, or else the free one that has waited longest.

        None where there was none within ``wait``, or where the queue was closed meanwhile.
        """
        if not self.rules.requires_session:
            raise ValueError(f"queue {self.name} has no sessions")
        check_id("session id", session_id)
        deadline = time.monotonic() + wait
        with self._changed:
            while True:
                now = self._at_present()
                wanted = self._shelves.longest_waiting() if session_id is None else session_id
                if wanted is not None and self._shelves.is_free(wanted):
                    return _session_lock(
                        self._shelves.hold_session(wanted, expires=self._expiry(), locked_until=now + self.rules.lock_duration)
                    )
                if not self._nap(deadline):
                    return None

    def receive(self, lock: SessionLock | None = None, max_count: int = 1, wait: float = 0) -> list[QueueMessage]:
        """Deliver what waits in the session, oldest first, at most ``max_count``; empty after ``wait``, or where the queue was closed meanwhile.

        Without sessions, ``lock`` is None and every message is locked by itself. Raises LockLost.
        """
        if (lock is None) == self.rules.requires_session:
            raise ValueError(f"queue {self.name} is received {'with' if self.rules.requires_session else 'without'} a session's lock")
        if max_count < 1:
            raise ValueError(f"at least one message is received at a time, not {max_count}")
        deadline = time.monotonic() + wait
        with self._changed:
            while True:
                now = self._at_present()
                received = self._deliver(lock, max_count, now)
                if received or not self._nap(deadline):
                    return received

    def receive_deferred(self, sequence_numbers: Iterable[int], lock: SessionLock | None = None) -> list[QueueMessage]:
        """Deliver what was put aside: all of it, or none. Raises MessageNotFound, LockLost."""
        if (lock is None) == self.rules.requires_session:
            raise ValueError(f"queue {self.name} is received {'with' if self.rules.requires_session else 'without'} a session's lock")
        with self._changed:
            now = self._at_present()
            hold = self._held(lock.lock_token) if lock is not None else None
            found = [self._ledger.standing(number, MessageState.DEFERRED) for number in sequence_numbers]
            if hold is not None and any(message.session_id != hold.session_id for message in found):
                raise MessageNotFound(f"queue {self.name}: one of these messages is of another session")
            until = hold.locked_until if hold is not None else now + self.rules.lock_duration
            pairs = [
                self._shelves.deliver_deferred(hold, message)
                if hold is not None
                else self._shelves.deliver_alone(message, expires=self._expiry(), locked_until=until)
                for message in found
            ]
            return [replace(message, lock_token=token, locked_until=until) for token, message in pairs]

    def receive_dead(self, max_count: int = 1) -> list[QueueMessage]:
        """Deliver dead messages, each under a lock of its own, oldest first; what is completed is gone, what is abandoned stays dead."""
        with self._changed:
            until = self._at_present() + self.rules.lock_duration
            received: list[QueueMessage] = []
            while len(received) < max_count and (found := self._shelves.deliver_dead(expires=self._expiry(), locked_until=until)):
                token, message = found
                received.append(replace(message, lock_token=token, locked_until=until))
            return received

    def complete(self, lock_token: str) -> None:
        """Done: the message is gone for good. Raises LockLost."""
        with self._changed:
            message = self._delivered(lock_token)
            self._ledger.write(remove=[message.sequence_number], taken_back=[lock_token])

    def abandon(self, lock_token: str) -> None:
        """Not done: the message is at the head of its session again, its delivery count raised, or dead if that was the last. Raises LockLost."""
        with self._changed:
            message = self._delivered(lock_token)
            self._ledger.write(put=[self._ledger.in_vain(message)], taken_back=[lock_token])
            self._changed.notify_all()

    def dead_letter(self, lock_token: str, reason: str | None = None, description: str | None = None) -> None:
        """Put the message aside, with words for the person who will find it. Raises LockLost."""
        with self._changed:
            message = self._delivered(lock_token)
            if message.state is MessageState.DEAD:
                raise ValueError(f"queue {self.name}: what is dead dies no second time")
            self._ledger.write(put=[dead(message, reason, description)], taken_back=[lock_token])

    def defer(self, lock_token: str) -> None:
        """Put the message aside; it is had by its sequence number only. Raises LockLost."""
        with self._changed:
            message = self._delivered(lock_token)
            if message.state is MessageState.DEAD:
                raise ValueError(f"queue {self.name}: what is dead is not put aside")
            self._ledger.write(put=[replace(message, state=MessageState.DEFERRED)], taken_back=[lock_token])

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

    def holds(self, lock: SessionLock) -> bool:
        """Whether this lock stands."""
        with self._changed:
            self._at_present()
            return self._shelves.held(lock.lock_token) is not None

    def session_state(self, lock: SessionLock) -> bytes | None:
        """What was kept with the session. Raises LockLost."""
        with self._changed:
            self._at_present()
            self._held(lock.lock_token)
            return self._ledger.states.get(lock.session_id, (None,))[0]

    def set_session_state(self, lock: SessionLock, state: bytes | None) -> None:
        """Keep something with the session, messages or not, until it is cleared with None. Raises LockLost, ValueError over 256 KB."""
        if state is not None and len(state) > STATE_BYTES_MAX:
            raise ValueError(f"a session's state has at most {STATE_BYTES_MAX} bytes, this one has {len(state)}")
        with self._changed:
            now = self._at_present()
            self._held(lock.lock_token)
            self._ledger.set_state(lock.session_id, state, now)

    def sessions(self, *, updated_since: datetime | None = None) -> list[str]:
        """Sessions with messages or with state; with ``updated_since``, those whose state was set since then."""
        with self._changed:
            self._at_present()
            states = self._ledger.states
            if updated_since is not None:
                return sorted(session_id for session_id, (_, at) in states.items() if at >= updated_since)
            return sorted({*self._shelves.sessions(), *states})

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
            return self._ledger.listed(
                from_sequence, max_count, lambda m: m.state is not MessageState.DEAD and session_id in (None, m.session_id)
            )

    def dead_letters(self, *, from_sequence: int = 0, max_count: int = 100) -> list[QueueMessage]:
        """Dead messages by sequence number, with reason and description."""
        with self._changed:
            self._at_present()
            return self._ledger.listed(from_sequence, max_count, lambda m: m.state is MessageState.DEAD)

    def resubmit(self, sequence_number: int) -> int:
        """Send a dead message again, as a new one at the end of its session; returns its new sequence number. Raises MessageNotFound.

        It keeps its message id, and is not taken for a duplicate of itself.
        """
        with self._changed:
            now = self._at_present()
            number = self._ledger.again(self._ledger.standing(sequence_number, MessageState.DEAD), now)
            self._changed.notify_all()
            return number

    def remove_dead_letter(self, sequence_number: int) -> None:
        """Forget a dead message for good. Raises MessageNotFound."""
        with self._changed:
            self._at_present()
            self._ledger.standing(sequence_number, MessageState.DEAD)
            self._ledger.write(remove=[sequence_number])

    def counts(self) -> QueueCounts:
        """How many messages there are."""
        with self._changed:
            self._at_present()
            counts = self._shelves.counts
            return QueueCounts(**{state.value: counts[state] for state in MessageState})

    def next_change(self) -> float | None:
        """In how many seconds time alone changes something: a message falls due, a lock ends. None: never."""
        with self._changed:
            now = self._at_present()
            return self._shelves.next_change(now, self._clock.monotonic())

    def end_locks(self) -> None:
        """Every lock ends now, as if its time were up; the deliveries were in vain."""
        with self._changed:
            self._ledger.settle_time(self._clock.now(), math.inf)
            self._changed.notify_all()

    def poke(self) -> None:
        """The clock was turned: let those who wait look again."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Wake everyone and close the journal. Locks end with the process, so nothing else needs to happen."""
        with self._changed:
            already, self._closed = self._closed, True
            self._changed.notify_all()
            if not already:
                self._ledger.close()

    # --- the workings; all of them run under the lock

    def _at_present(self) -> datetime:
        """Settle what time has done since the last call, and return the present moment."""
        if self._closed:
            raise QueueUnavailable(f"queue {self.name} is closed")
        now = self._clock.now()
        if self._ledger.settle_time(now, self._clock.monotonic()):
            self._changed.notify_all()
        return now

    def _deliver(self, lock: SessionLock | None, max_count: int, now: datetime) -> list[QueueMessage]:
        hold = self._held(lock.lock_token) if lock is not None else None
        received: list[QueueMessage] = []
        while len(received) < max_count:
            until = now + self.rules.lock_duration if hold is None else hold.locked_until
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
        self._shelves.extend(hold, expires=self._expiry(), locked_until=now + self.rules.lock_duration)
        return hold

    def _expiry(self) -> float:
        return self._clock.monotonic() + self.rules.lock_duration.total_seconds()

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
