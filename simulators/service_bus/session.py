"""A session of a connection: its windows, its links, and the deliveries that nobody settled yet."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from joinery.errors import LockLost, QueueUnavailable
from simulators.service_bus.entities import Entity
from simulators.service_bus.frames import Attach, Begin, Detach, Disposition, End, Flow, Performative, Transfer
from simulators.service_bus.links import REJECTED, Inbox, Intake, Link, Outlet, Refusal, Replies
from simulators.service_bus.management import Management, Requests, Tokens
from simulators.service_bus.values import Described, Symbol, UInt, ULong, UShort

if TYPE_CHECKING:
    from simulators.service_bus.connection import Connection

_WINDOW = 5000
_HANDLE_MAX = 255
_ACCEPTED, _RELEASED, _MODIFIED = 0x24, 0x26, 0x27
#: Bytes of a transfer's frame beside its payload, generously.
_OVERHEAD = 128


class Session:
    """One session; ``channel`` is the client's number for it, and ours."""

    def __init__(self, connection: Connection, channel: int, begin: Begin) -> None:
        self.connection = connection
        self.channel = channel
        self.links: dict[int, Link] = {}
        self._next_outgoing = 0
        self._next_incoming = int(begin.next_outgoing_id or 0)
        self._remote_window = int(begin.incoming_window or 0)
        self._incoming_left = _WINDOW
        #: Transfer frames for which the client has no window now.
        self._outbox: deque[tuple[Transfer, bytes]] = deque()
        #: Delivery id -> who delivered it, and the token that settles it.
        self._unsettled: dict[int, tuple[Outlet, str]] = {}
        self._next_delivery = 0
        self.say(
            Begin(
                remote_channel=UShort(channel),
                next_outgoing_id=UInt(0),
                incoming_window=UInt(_WINDOW),
                outgoing_window=UInt(2**31 - 1),
                handle_max=UInt(_HANDLE_MAX),
            )
        )

    @property
    def room(self) -> int:
        """How many messages may be begun: none while parts of an earlier one wait."""
        return 0 if self._outbox else max(self._remote_window, 0)

    def say(self, body: Performative, payload: bytes = b"") -> None:
        """One frame."""
        self.connection.say(self.channel, body, payload)

    def hear(self, body: Performative, payload: bytes) -> None:
        """One frame of the client's."""
        match body:
            case Attach():
                self._attach(body)
            case Flow():
                self._flow(body)
            case Transfer():
                self._transfer(body, payload)
            case Disposition(role=True):
                self._disposition(body)
            case Detach():
                if (link := self.links.pop(int(body.handle), None)) is not None:
                    link.close()
                    self.say(Detach(handle=UInt(body.handle), closed=True))
            case End():
                self.close()
                self.say(End())
            case _:
                pass

    def close(self) -> None:
        """The session is gone, and its links with it."""
        links, self.links = list(self.links.values()), {}
        for link in links:
            link.close()

    # --- links ---

    def _attach(self, attach: Attach) -> None:
        link = self._made(attach)
        self.links[link.handle] = link
        try:
            if isinstance(link, Refused):
                raise link.why
            if isinstance(link, Outlet):
                if link.open():
                    self.say(link.opening())
                return
        except Refusal as refusal:
            self.refuse(link, refusal)
            return
        bytes_max = link.bytes_max if isinstance(link, Inbox) else None
        properties = None if bytes_max is None else {Symbol("com.microsoft:max-message-batch-size"): ULong(bytes_max)}
        self.say(link.answer(properties=properties, max_message_size=bytes_max))
        link.opened()

    def _made(self, attach: Attach) -> Link:
        client_sends = attach.role is False
        link = Link(self, attach)
        namespace, path = self.connection.namespace, link.address
        if path == "$cbs":
            return Tokens(self, attach) if client_sends else Replies(self, attach)
        managed, separator, _ = path.partition("/$management")
        entity = namespace.find(managed if separator else path)
        if entity is None or (entity.topic and not client_sends and not separator):
            return Refused(self, attach, Refusal("amqp:not-found", f"The messaging entity '{path}' could not be found."))
        if separator:
            return Requests(self, attach, Management(entity, self)) if client_sends else Replies(self, attach)
        if client_sends and entity.dead:
            return Refused(self, attach, Refusal("amqp:not-allowed", "Nothing is sent to a dead-letter queue."))
        return Inbox(self, attach, entity) if client_sends else Outlet(self, attach, entity)

    def refuse(self, link: Link, refusal: Refusal) -> None:
        """A link that never stood."""
        self.say(link.refusal())
        self.detach(link, refusal)

    def detach(self, link: Link, refusal: Refusal | None = None) -> None:
        """A link ends, and not because the client says so."""
        self.links.pop(link.handle, None)
        link.close()
        self.say(Detach(handle=UInt(link.handle), closed=True, error=refusal.error if refusal else None))

    def grant(self, link: Intake) -> None:
        """Tell a sender its credit."""
        self._incoming_left = _WINDOW
        self.say(
            Flow(
                next_incoming_id=UInt(self._next_incoming),
                incoming_window=UInt(_WINDOW),
                next_outgoing_id=UInt(self._next_outgoing),
                outgoing_window=UInt(2**31 - 1),
                handle=UInt(link.handle),
                delivery_count=UInt(link.delivery_count),
                link_credit=UInt(link.credit),
            )
        )

    def lock_of(self, session_id: str) -> Outlet | None:
        """The receiver here that has locked this session of the queue."""
        outlets = (link for link in self.links.values() if isinstance(link, Outlet) and link.lock is not None)
        return next((outlet for outlet in outlets if outlet.lock is not None and outlet.lock.session_id == session_id), None)

    def replies_at(self, address: str) -> Replies | None:
        """The other half of a pair for requests."""
        found = (link for link in self.links.values() if isinstance(link, Replies) and link.address == address)
        return next(found, None)

    # --- what the client sends ---

    def _transfer(self, transfer: Transfer, payload: bytes) -> None:
        self._next_incoming += 1
        self._incoming_left -= 1
        link = self.links.get(int(transfer.handle))
        # None: it was under way when the link was detached.
        if isinstance(link, Intake):
            link.transfer(transfer, payload)
            if self._incoming_left < _WINDOW // 2 and link.handle in self.links:
                self.grant(link)

    def settled(self, delivery_id: int, state: Any, *, by_receiver: bool) -> None:
        """Say what became of a delivery."""
        first = UInt(delivery_id)
        self.say(Disposition(role=by_receiver, first=first, last=first, settled=True, state=state))

    # --- what the client receives ---

    def transfer(self, link: Link, encoded: bytes, *, tag: bytes, token: str | None) -> None:
        """One message, in as many frames as it takes. ``token`` settles it; None: it is settled."""
        delivery_id = self._next_delivery
        self._next_delivery += 1
        if token is not None and isinstance(link, Outlet):
            self._unsettled[delivery_id] = (link, token)
        room = self.connection.frame_bytes - _OVERHEAD
        pieces = [encoded[start : start + room] for start in range(0, len(encoded), room)]
        for place, piece in enumerate(pieces):
            first = place == 0
            frame = Transfer(
                handle=UInt(link.handle),
                delivery_id=UInt(delivery_id) if first else None,
                delivery_tag=tag if first else None,
                message_format=UInt(0) if first else None,
                settled=token is None,
                more=place < len(pieces) - 1,
            )
            self._outbox.append((frame, piece))
        self._send_out()

    def _send_out(self) -> None:
        while self._outbox and self._remote_window > 0:
            frame, piece = self._outbox.popleft()
            self._remote_window -= 1
            self._next_outgoing += 1
            self.say(frame, piece)

    def _flow(self, flow: Flow) -> None:
        self._remote_window = int(flow.next_incoming_id or 0) + int(flow.incoming_window or 0) - self._next_outgoing
        self._send_out()
        link = self.links.get(int(flow.handle)) if flow.handle is not None else None
        if not isinstance(link, Outlet | Replies):
            return
        link.credit = int(flow.delivery_count or 0) + int(flow.link_credit or 0) - link.delivery_count
        if isinstance(link, Replies) or link.waits_until is None:
            self.pump(link)
        if flow.drain and link.handle in self.links:
            link.drain()
            self.say(
                Flow(
                    next_incoming_id=UInt(self._next_incoming),
                    incoming_window=UInt(_WINDOW),
                    next_outgoing_id=UInt(self._next_outgoing),
                    outgoing_window=UInt(2**31 - 1),
                    handle=UInt(link.handle),
                    delivery_count=UInt(link.delivery_count),
                    link_credit=UInt(0),
                    drain=True,
                )
            )

    def pump(self, link: Outlet | Replies) -> None:
        """Deliver what waits for this link."""
        try:
            link.pump()
        except Refusal as refusal:
            self.detach(link, refusal)

    def _disposition(self, said: Disposition) -> None:
        last = said.first if said.last is None else said.last
        for delivery_id in range(int(said.first), int(last) + 1):
            outlet, token = self._unsettled.pop(delivery_id, (None, ""))
            if outlet is None:
                continue
            state = _settle(outlet.entity, token, said.state)
            outlet.used_at = self.connection.now()
            if not said.settled and not self.connection.faults.hold_settlements:
                self.settled(delivery_id, state, by_receiver=False)


class Refused(Link):
    """A link that is not to stand."""

    def __init__(self, session: Session, attach: Attach, why: Refusal) -> None:
        super().__init__(session, attach)
        self.why = why


def _settle(entity: Entity, token: str, state: Any) -> Described:
    """Do what a receiver says about its delivery; the answer is what it said, or why not."""
    engine = entity.engine
    code = int(state.descriptor) if isinstance(state, Described) else _ACCEPTED
    fields = state.value if isinstance(state, Described) else []
    try:
        match code:
            case 0x25:
                told = fields[0].value if fields and isinstance(fields[0], Described) else []
                info = told[2] if len(told) > 2 and isinstance(told[2], dict) else {}
                engine.dead_letter(token, info.get("DeadLetterReason"), info.get("DeadLetterErrorDescription"))
                # With an error in it, it would be a refusal of the settlement.
                return Described(ULong(REJECTED), [])
            case 0x26:
                engine.release(token)
            case 0x27:
                (engine.defer if len(fields) > 1 and fields[1] else engine.abandon)(token)
            case _:
                engine.complete(token)
    except LockLost:
        lost = "session" if entity.needs_session else "message"
        return Described(ULong(REJECTED), [Refusal(f"com.microsoft:{lost}-lock-lost", f"The lock of the {lost} is lost.").error])
    except ValueError as wrong:
        return Described(ULong(REJECTED), [Refusal("amqp:not-allowed", str(wrong)).error])
    except QueueUnavailable:
        return Described(ULong(REJECTED), [Refusal("com.microsoft:server-busy", "The queue cannot write now.").error])
    return Described(ULong(code), fields)
