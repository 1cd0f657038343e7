"""The links of a session: what a client sends to, what it receives from, and the pairs for requests and their replies."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adapters.queues.messages import QueueMessage, SessionLock
from adapters.queues.validation import MessageTooLarge
from joinery.errors import LockLost, QueueUnavailable
from simulators.service_bus.entities import Entity
from simulators.service_bus.frames import Attach, Transfer, error
from simulators.service_bus.messages import incoming, outgoing, unpacked
from simulators.service_bus.values import Described, Malformed, Symbol, UInt, ULong

if TYPE_CHECKING:
    from simulators.service_bus.session import Session

ACCEPTED, REJECTED = 0x24, 0x25
_SOURCE, _TARGET = 0x28, 0x29
_FILTER = 7

_SESSION_FILTER = Symbol("com.microsoft:session-filter")
#: .NET's ticks of 100 ns, from the year 1 to 1970.
_TICKS_BEFORE_1970, _TICKS_A_SECOND = 621_355_968_000_000_000, 10_000_000
#: How long a receiver that asks for any session waits where it does not say ("service-bus-messaging", message sessions).
_WAITS_FOR_A_SESSION = 65.0
#: What a sender may have under way; it is topped up when half of it is used.
_CREDIT = 1000
#: Messages that are taken from a queue in one go.
_AT_ONCE = 100


class Refusal(Exception):
    """An attach, a transfer or a request that comes to nothing, with AMQP's condition and, for a request, a status as in HTTP."""

    def __init__(self, condition: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.condition = condition
        self.status = status

    @property
    def error(self) -> Described:
        """As it travels."""
        return error(self.condition, str(self))


class Link:
    """One end of a link, with the client's end described by ``attach``."""

    def __init__(self, session: Session, attach: Attach) -> None:
        self.session = session
        self.attach = attach
        self.handle = int(attach.handle)
        self.address = path_of(attach)
        self.closed = False
        self.credit = 0
        self.delivery_count = 0
        self.used_at = time.monotonic()

    @property
    def client_sends(self) -> bool:
        """Which way messages go."""
        return self.attach.role is False

    def opened(self) -> None:
        """The client was told that the link stands."""

    def close(self) -> None:
        """It is gone, for whatever reason."""
        self.closed = True

    def answer(self, *, source: Any = None, properties: Mapping[Symbol, Any] | None = None, max_message_size: int | None = None) -> Attach:
        """The attach that says yes: what the client said, seen from our side."""
        asked = self.attach
        return Attach(
            name=asked.name,
            handle=UInt(self.handle),
            role=self.client_sends,
            snd_settle_mode=asked.snd_settle_mode,
            rcv_settle_mode=asked.rcv_settle_mode,
            source=source or asked.source,
            target=asked.target,
            initial_delivery_count=None if self.client_sends else UInt(0),
            max_message_size=None if max_message_size is None else ULong(max_message_size),
            properties=dict(properties) if properties else None,
        )

    def refusal(self) -> Attach:
        """The attach that says no: nothing stands on our side of it ("part 2: transport", 2.6.3)."""
        asked = self.attach
        source, target = (asked.source, None) if self.client_sends else (None, asked.target)
        counts = None if self.client_sends else UInt(0)
        return Attach(
            name=asked.name, handle=UInt(self.handle), role=self.client_sends, source=source, target=target, initial_delivery_count=counts
        )


class Intake(Link):
    """Whatever the client sends on: assembles transfers and hands out credit."""

    def __init__(self, session: Session, attach: Attach) -> None:
        super().__init__(session, attach)
        self._parts: list[bytes] = []
        self._first = Transfer()

    def opened(self) -> None:
        """The client may send."""
        self.credit = _CREDIT
        self.session.grant(self)

    def transfer(self, transfer: Transfer, payload: bytes) -> None:
        """One frame of a message; the last one settles it."""
        if not self._parts:
            # Continuations repeat the id, or leave it out.
            self._first = transfer
        self._parts.append(payload)
        if transfer.more:
            return
        self.used_at = time.monotonic()
        content, self._parts = b"".join(self._parts), []
        self.delivery_count += 1
        self.credit -= 1
        first = self._first
        try:
            state: Any = self.take(content, int(first.message_format or 0))
        except Refusal as refusal:
            state = Described(ULong(REJECTED), [refusal.error])
        if self.closed or self.session.connection.aborted:
            return
        if not first.settled:
            self.session.settled(first.delivery_id, state, by_receiver=True)
        if self.credit < _CREDIT // 2:
            self.credit = _CREDIT
            self.session.grant(self)

    def take(self, content: bytes, message_format: int) -> Described:
        """What became of it. Raises Refusal."""
        raise NotImplementedError


class Inbox(Intake):
    """Messages to a queue or a topic."""

    def __init__(self, session: Session, attach: Attach, entity: Entity) -> None:
        super().__init__(session, attach)
        self._entity = entity

    @property
    def bytes_max(self) -> int:
        """Of one transfer."""
        return min(engine.rules.message_bytes_max for engine in self._entity.engines)

    def take(self, content: bytes, message_format: int) -> Described:
        """Put it into the queue, or into each of them. Raises Refusal."""
        faults = self.session.connection.faults
        if faults.busy > 0:
            faults.busy -= 1
            raise Refusal("com.microsoft:server-busy", "The request was terminated because the entity is being throttled.")
        if len(content) > self.bytes_max:
            raise Refusal("amqp:link:message-size-exceeded", f"The received message exceeds the limit of {self.bytes_max} bytes.")
        try:
            batch = [incoming(encoded) for encoded in unpacked(content, message_format)]
            for engine in self._entity.engines:
                engine.send(batch)
        except Malformed as wrong:
            raise Refusal("amqp:decode-error", str(wrong)) from wrong
        except MessageTooLarge as wrong:
            raise Refusal("amqp:link:message-size-exceeded", str(wrong)) from wrong
        except ValueError as wrong:
            raise Refusal("amqp:not-allowed", str(wrong)) from wrong
        except QueueUnavailable as trouble:
            raise Refusal("com.microsoft:server-busy", "The queue cannot write now.") from trouble
        if faults.lost_acks > 0:
            faults.lost_acks -= 1
            self.session.connection.abort()
        return Described(ULong(ACCEPTED), [])


class Outlet(Link):
    """Messages from a queue, its session or its dead letters."""

    def __init__(self, session: Session, attach: Attach, entity: Entity) -> None:
        super().__init__(session, attach)
        self.entity = entity
        self.lock: SessionLock | None = None
        #: Until when it waits for a session to be free, on the monotonic clock; None: it does not.
        self.waits_until: float | None = None
        self._forgets = attach.snd_settle_mode == 1

    def open(self) -> bool:
        """Attach it, or let it wait for a session; says whether it stands. Raises Refusal."""
        found, wanted = self._filter()
        if found != self.entity.needs_session:
            needs = "needs" if self.entity.needs_session else "has no"
            raise Refusal("amqp:not-allowed", f"The entity '{self.address}' {needs} sessions; its receivers say so in their filter.")
        if not found:
            return True
        try:
            self.lock = self.entity.engine.accept_session(wanted)
        except ValueError as wrong:
            raise Refusal("com.microsoft:argument-error", str(wrong)) from wrong
        if self.lock is not None:
            return True
        if wanted is not None:
            raise Refusal("com.microsoft:session-cannot-be-locked", f"The requested session '{wanted}' cannot be accepted.")
        asked = (self.attach.properties or {}).get("com.microsoft:timeout")
        self.waits_until = time.monotonic() + (_WAITS_FOR_A_SESSION if asked is None else asked / 1000)
        return False

    def wait_on(self, now: float) -> bool:
        """Look again for a session; says whether there is one. Raises Refusal when the time is up."""
        self.lock = self.entity.engine.accept_session()
        if self.lock is None and self.waits_until is not None and now >= self.waits_until:
            raise Refusal("com.microsoft:timeout", "There was no session to be received within the given time.")
        if self.lock is not None:
            self.waits_until = None
            self.used_at = now
        return self.lock is not None

    def opening(self) -> Attach:
        """The attach that says which session it is."""
        bytes_max = self.entity.engine.rules.message_bytes_max
        if self.lock is None:
            return self.answer(max_message_size=bytes_max)
        terminus = list(self.attach.source.value)
        terminus += [None] * (_FILTER + 1 - len(terminus))
        terminus[_FILTER] = {_SESSION_FILTER: self.lock.session_id}
        ticks = _TICKS_BEFORE_1970 + round(self.lock.locked_until.timestamp() * _TICKS_A_SECOND)
        properties = {Symbol("com.microsoft:locked-until-utc"): ticks}
        return self.answer(source=Described(ULong(_SOURCE), terminus), properties=properties, max_message_size=bytes_max)

    def pump(self) -> None:
        """Deliver what waits, as far as credit and window go. Raises Refusal where the session's lock is lost."""
        engine = self.entity.engine
        if self.lock is not None and not engine.holds(self.lock):
            self.lock = None
            raise Refusal("com.microsoft:session-lock-lost", "The lock of the session has expired. Request it anew.")
        while not self.closed and (room := min(self.credit, self.session.room, _AT_ONCE)) > 0:
            messages = engine.receive_dead(room) if self.entity.dead else engine.receive(self.lock, room)
            if not messages:
                return
            for message in messages:
                self._deliver(message)

    def drain(self) -> None:
        """What could not be delivered now will not be."""
        self.delivery_count += self.credit
        self.credit = 0

    def close(self) -> None:
        """It is gone, and its session is free."""
        super().close()
        if self.lock is not None:
            # Where it cannot be given back it ends by its time.
            with contextlib.suppress(QueueUnavailable):
                self.entity.engine.release_session(self.lock)

    def _deliver(self, message: QueueMessage) -> None:
        token = message.lock_token
        if token is None:
            raise AssertionError("a received message has a lock token")
        if self._forgets:
            try:
                self.entity.engine.complete(token)
            except LockLost:
                return
        self.credit -= 1
        self.delivery_count += 1
        self.used_at = time.monotonic()
        encoded = outgoing(message, locked=not self._forgets)
        self.session.transfer(self, encoded, tag=uuid.UUID(token).bytes_le, token=None if self._forgets else token)

    def _filter(self) -> tuple[bool, str | None]:
        """Whether a session is asked for, and which one; None: any."""
        source = self.attach.source.value if isinstance(self.attach.source, Described) else []
        filters = source[_FILTER] if len(source) > _FILTER else None
        if not isinstance(filters, dict) or _SESSION_FILTER not in filters:
            return False, None
        wanted = filters[_SESSION_FILTER]
        wanted = wanted.value if isinstance(wanted, Described) else wanted
        return True, None if wanted is None else str(wanted)


class Replies(Link):
    """Where the answers to requests are read. An answer waits for credit."""

    def __init__(self, session: Session, attach: Attach) -> None:
        super().__init__(session, attach)
        self._waiting: deque[bytes] = deque()

    def reply(self, encoded: bytes) -> None:
        """Send one, now or when there is credit."""
        self._waiting.append(encoded)
        self.pump()

    def pump(self) -> None:
        """Send what waits."""
        while self._waiting and self.credit > 0 and not self.closed:
            self.credit -= 1
            self.delivery_count += 1
            self.session.transfer(self, self._waiting.popleft(), tag=uuid.uuid4().bytes_le, token=None)

    def drain(self) -> None:
        """No more credit."""
        self.delivery_count += self.credit
        self.credit = 0


def path_of(attach: Attach) -> str:
    """What the client wants to send to or receive from, below the namespace."""
    terminus = attach.target if attach.role is False else attach.source
    address = terminus.value[0] if isinstance(terminus, Described) and isinstance(terminus.value, list) and terminus.value else None
    if not isinstance(address, str):
        return ""
    scheme, separator, rest = address.partition("://")
    return rest.partition("/")[2] if separator and scheme else address
