"""How the queue arranges its messages in memory: sessions in order of waiting, heaps of what is ready and what is scheduled, and locks.

No time, no disk, no threads: the engine decides and writes first, then says here what became of it.
"""

from __future__ import annotations

import heapq
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from adapters.queues.messages import MessageState, QueueMessage


@dataclass(slots=True, kw_only=True)
class Hold:
    """A lock: on a session with all its deliveries, or (in a queue without sessions) on one message."""

    token: str
    session_id: str | None
    #: On the monotonic clock.
    expires: float
    #: What the holder was told.
    locked_until: datetime
    #: Delivery token -> sequence number, of what was delivered and is not settled.
    deliveries: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Session:
    #: Heap of sequence numbers that wait for delivery.
    ready: list[int] = field(default_factory=list)
    hold: Hold | None = None


class Shelves:
    """The arrangement. Without sessions, everything stands on one shelf of the name None, which is never locked."""

    def __init__(self, messages: Iterable[QueueMessage] = (), *, sessions: bool) -> None:
        self._has_sessions = sessions
        self.messages: dict[int, QueueMessage] = {}
        self.counts: Counter[MessageState] = Counter()
        self._sessions: dict[str | None, _Session] = {}
        #: Sessions with ready messages and without a lock, the longest waiting first. (A dictionary is an ordered set.)
        self._available: dict[str, None] = {}
        self._holds: dict[str, Hold] = {}
        self._delivered: dict[str, Hold] = {}
        self._expiries: list[tuple[float, str]] = []
        self._scheduled: list[tuple[datetime, int]] = []
        #: Heap of sequence numbers of dead messages; those that are gone by now are passed over.
        self._dead: list[int] = []
        self._lifetimes: list[tuple[datetime, int]] = []
        for message in messages:
            self.put(message)

    # --- messages

    def put(self, message: QueueMessage) -> None:
        """Shelve a message that is new, or that comes back: after a delivery, or with another state."""
        self.remove(message.sequence_number)
        self.messages[message.sequence_number] = message
        self.counts[message.state] += 1
        if message.state is MessageState.SCHEDULED and message.scheduled_for is not None:
            heapq.heappush(self._scheduled, (message.scheduled_for, message.sequence_number))
        elif message.state is MessageState.ACTIVE:
            shelf = message.session_id if self._has_sessions else None
            heapq.heappush(self._sessions.setdefault(shelf, _Session()).ready, message.sequence_number)
            self._offer(shelf)
            if message.expires_at is not None:
                heapq.heappush(self._lifetimes, (message.expires_at, message.sequence_number))
        elif message.state is MessageState.DEAD:
            heapq.heappush(self._dead, message.sequence_number)

    def remove(self, sequence_number: int) -> None:
        """Forget a message that is not on a ready heap: delivered, scheduled, dead, or unknown."""
        message = self.messages.pop(sequence_number, None)
        if message is not None:
            self.counts[message.state] -= 1

    def outlived(self, now: datetime) -> list[QueueMessage]:
        """Messages that wait and may not be delivered any more; they stay until they are taken off. One in hand is looked at when it comes back."""
        if not self._lifetimes or self._lifetimes[0][0] > now:
            return []
        entries = sorted({entry for entry in self._lifetimes if entry[0] <= now and self._waits(*entry)})
        self._lifetimes = entries + [entry for entry in self._lifetimes if entry[0] > now]
        heapq.heapify(self._lifetimes)
        return [self.messages[number] for _, number in entries]

    def take_off(self, message: QueueMessage) -> None:
        """No longer to be delivered, though it is neither delivered nor gone."""
        shelf = message.session_id if self._has_sessions else None
        session = self._sessions[shelf]
        session.ready.remove(message.sequence_number)
        heapq.heapify(session.ready)
        if shelf is not None and not session.ready and session.hold is None:
            self._available.pop(shelf, None)
            del self._sessions[shelf]

    def _waits(self, expires_at: datetime, number: int) -> bool:
        message = self.messages.get(number)
        if message is None or message.expires_at != expires_at:
            return False
        session = self._sessions.get(message.session_id if self._has_sessions else None)
        return session is not None and number in session.ready

    def due(self, now: datetime) -> list[QueueMessage]:
        """Scheduled messages whose moment has come, earliest first; they stay until they are removed."""
        if self.next_due() is None or self._scheduled[0][0] > now:
            return []
        entries = sorted(entry for entry in self._scheduled if entry[0] <= now and self._is_scheduled(entry[1]))
        return [self.messages[number] for _, number in entries]

    def next_due(self) -> datetime | None:
        """When the next scheduled message is due."""
        while self._scheduled and not self._is_scheduled(self._scheduled[0][1]):
            heapq.heappop(self._scheduled)
        return self._scheduled[0][0] if self._scheduled else None

    def _is_scheduled(self, number: int) -> bool:
        message = self.messages.get(number)
        return message is not None and message.state is MessageState.SCHEDULED

    # --- locks

    def longest_waiting(self) -> str | None:
        """The session that is free and has waited longest."""
        return next(iter(self._available), None)

    def is_free(self, session_id: str) -> bool:
        """Whether nobody holds it; a session without messages is free."""
        session = self._sessions.get(session_id)
        return session is None or session.hold is None

    def hold_session(self, session_id: str, *, expires: float, locked_until: datetime) -> Hold:
        """Lock a free session."""
        session = self._sessions.setdefault(session_id, _Session())
        session.hold = self._hold(session_id, expires=expires, locked_until=locked_until)
        self._available.pop(session_id, None)
        return session.hold

    def held(self, token: str) -> Hold | None:
        """The lock with this token, expired or not."""
        return self._holds.get(token)

    def delivered(self, delivery_token: str) -> Hold | None:
        """The lock under which this delivery was made."""
        return self._delivered.get(delivery_token)

    def deliver(self, hold: Hold) -> tuple[str, QueueMessage] | None:
        """The next message of a locked session with a fresh delivery token."""
        number = self._pop(hold.session_id)
        return None if number is None else (self._note_delivery(hold, number, uuid.uuid4().hex), self.messages[number])

    def deliver_unsessioned(self, *, expires: float, locked_until: datetime) -> tuple[str, QueueMessage] | None:
        """The next message of the one shelf, under a lock of its own whose token is the delivery token."""
        number = self._pop(None)
        if number is None:
            return None
        hold = self._hold(None, expires=expires, locked_until=locked_until)
        return self._note_delivery(hold, number, hold.token), self.messages[number]

    def deliver_dead(self, *, expires: float, locked_until: datetime) -> tuple[str, QueueMessage] | None:
        """The next dead message, under a lock of its own."""
        while self._dead:
            number = heapq.heappop(self._dead)
            message = self.messages.get(number)
            if message is not None and message.state is MessageState.DEAD and not self.is_delivered(number):
                return self.deliver_alone(message, expires=expires, locked_until=locked_until)
        return None

    def deliver_alone(self, message: QueueMessage, *, expires: float, locked_until: datetime) -> tuple[str, QueueMessage]:
        """This message, dead or deferred, under a lock of its own."""
        hold = self._hold(None, expires=expires, locked_until=locked_until)
        return self._note_delivery(hold, message.sequence_number, hold.token), message

    def deliver_deferred(self, hold: Hold, message: QueueMessage) -> tuple[str, QueueMessage]:
        """This deferred message of a locked session."""
        return self._note_delivery(hold, message.sequence_number, uuid.uuid4().hex), message

    def is_delivered(self, sequence_number: int) -> bool:
        """Whether somebody has it in hand."""
        return any(sequence_number in hold.deliveries.values() for hold in self._holds.values())

    def sessions(self) -> list[str]:
        """Sessions in which a message is, in any state but dead."""
        found = (m.session_id for m in self.messages.values() if m.state is not MessageState.DEAD)
        return sorted({session_id for session_id in found if session_id is not None})

    def extend(self, hold: Hold, *, expires: float, locked_until: datetime) -> None:
        """The lock ends later."""
        hold.expires, hold.locked_until = expires, locked_until
        heapq.heappush(self._expiries, (expires, hold.token))

    def take_back(self, delivery_token: str) -> QueueMessage:
        """End one delivery; the message then belongs to the caller, to put it back or to remove it."""
        hold = self._delivered.pop(delivery_token)
        number = hold.deliveries.pop(delivery_token)
        if hold.token == delivery_token:
            del self._holds[hold.token]
        return self.messages[number]

    def let_go(self, hold: Hold) -> None:
        """End a lock whose deliveries were taken back. Its session, if anything waits in it, queues behind the other sessions."""
        self._holds.pop(hold.token, None)
        session = self._sessions.get(hold.session_id)
        if session is not None and session.hold is hold:
            session.hold = None
            if session.ready:
                self._offer(hold.session_id)
            else:
                del self._sessions[hold.session_id]

    def expired(self, monotonic: float) -> list[Hold]:
        """Locks whose time is up; they stay until they are let go."""
        next_expiry = self.next_expiry()
        if next_expiry is None or next_expiry > monotonic:
            return []
        return [hold for hold in self._holds.values() if hold.expires <= monotonic]

    def next_expiry(self) -> float | None:
        """When, on the monotonic clock, the next lock ends."""
        while self._expiries:
            expires, token = self._expiries[0]
            hold = self._holds.get(token)
            if hold is not None and hold.expires == expires:
                return expires
            heapq.heappop(self._expiries)
        return None

    def next_change(self, now: datetime, monotonic: float) -> float | None:
        """In how many seconds time alone changes something: a message falls due, a lock ends. Not below 0; None: never."""
        due, expiry = self.next_due(), self.next_expiry()
        seconds = [(due - now).total_seconds()] if due is not None else []
        seconds += [(self._lifetimes[0][0] - now).total_seconds()] if self._lifetimes else []
        seconds += [expiry - monotonic] if expiry is not None else []
        return max(0.0, min(seconds)) if seconds else None

    def _hold(self, session_id: str | None, *, expires: float, locked_until: datetime) -> Hold:
        hold = Hold(token=uuid.uuid4().hex, session_id=session_id, expires=expires, locked_until=locked_until)
        self._holds[hold.token] = hold
        heapq.heappush(self._expiries, (expires, hold.token))
        return hold

    def _note_delivery(self, hold: Hold, number: int, token: str) -> str:
        hold.deliveries[token] = number
        self._delivered[token] = hold
        return token

    def _pop(self, session_id: str | None) -> int | None:
        session = self._sessions.get(session_id)
        return heapq.heappop(session.ready) if session is not None and session.ready else None

    def _offer(self, session_id: str | None) -> None:
        if session_id is not None and self._sessions[session_id].hold is None:
            self._available.setdefault(session_id)
