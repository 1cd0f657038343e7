"""One client's connection: what it says is understood here, and answered into a buffer that the server sends."""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

from joinery.errors import QueueUnavailable
from simulators.service_bus.entities import Namespace
from simulators.service_bus.frames import (
    AMQP_HEADER,
    FRAME_BYTES_MAX,
    SASL_HEADER,
    Begin,
    Close,
    Frame,
    FrameReader,
    Open,
    Performative,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    error,
    written,
)
from simulators.service_bus.links import Outlet, Refusal
from simulators.service_bus.session import Session
from simulators.service_bus.values import Array, Malformed, Symbol, UByte, UInt, UShort

#: The service's own: of its frames, its channels, and after how many milliseconds without one it gives a connection up.
_CHANNEL_MAX, _IDLE_MILLISECONDS = 4999, 120_000
#: What the service lists; only the first is ever used with tokens at ``$cbs``.
_MECHANISMS = ("ANONYMOUS", "PLAIN", "EXTERNAL", "MSSBCBS")


@dataclass(slots=True)
class Faults:
    """What goes wrong from now on. Counts go down with each time that it did."""

    #: Nothing is read any more, and nothing answered, though the connection stands.
    silent: bool = False
    #: Settlements happen, and are not answered.
    hold_settlements: bool = False
    #: Messages that are stored, and whose connection then drops before the sender hears of it.
    lost_acks: int = 0
    #: Sends that are refused because too much is going on.
    busy: int = 0


class Connection:
    """Feed it with ``receive``, send ``pending``; ``aborted`` and ``finished`` say that the socket is to be closed, at once or after that."""

    def __init__(self, namespace: Namespace, faults: Faults) -> None:
        self.namespace = namespace
        self.faults = faults
        self.pending = bytearray()
        self.frame_bytes = 512
        self.aborted = False
        self.finished = False
        self._reader = FrameReader()
        self._sessions: dict[int, Session] = {}

    @staticmethod
    def now() -> float:
        """Seconds, monotonic."""
        return time.monotonic()

    def say(self, channel: int, body: Performative, payload: bytes = b"") -> None:
        """One frame to the client."""
        self.pending += written(channel, body, payload)

    def receive(self, data: bytes) -> None:
        """What arrived. Whoever does not speak AMQP is told so, and goes."""
        try:
            for piece in self._reader.feed(data):
                if self.aborted or self.finished:
                    return
                if isinstance(piece, bytes):
                    self._header(piece)
                elif piece.body is not None:
                    self._frame(piece, piece.body)
        except QueueUnavailable:
            # A disk that is full now: whoever comes again may meet a better moment.
            self.drop("com.microsoft:server-busy", "The queue cannot write now.")
        except (Malformed, AttributeError, LookupError, TypeError, ValueError, struct.error) as wrong:
            # A field that is missing or of another type: the specification calls both a decode error.
            self.say(0, Close(error=error("amqp:decode-error", f"This cannot be understood: {wrong}")))
            self.finished = True

    def abort(self) -> None:
        """As if the network had dropped it."""
        self.aborted = True

    def drop(self, condition: str, description: str) -> None:
        """Close it from our side."""
        self.say(0, Close(error=error(condition, description)))
        self.finished = True

    def lost(self) -> None:
        """The socket is gone: sessions are free, and deliveries wait for the end of their locks."""
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            session.close()

    @property
    def outlets(self) -> Iterator[Outlet]:
        """Every link that the client receives messages on."""
        for session in self._sessions.values():
            yield from [link for link in session.links.values() if isinstance(link, Outlet)]

    def pump(self) -> None:
        """Deliver what can be delivered, and give sessions to those who wait for one."""
        for outlet in list(self.outlets):
            # The journal cannot write: whoever waits goes on waiting.
            with contextlib.suppress(QueueUnavailable):
                if outlet.waits_until is None:
                    outlet.session.pump(outlet)
                else:
                    self._wait_on(outlet)

    def detach_idle(self, seconds: float) -> None:
        """End the links that nothing went over for so long ("service-bus-amqp-troubleshoot")."""
        for session in self._sessions.values():
            for link in list(session.links.values()):
                if not link.address.startswith("$") and "$management" not in link.address and self.now() - link.used_at >= seconds:
                    why = f"The link '{link.attach.name}' is force detached: idle for {seconds * 1000:.0f} ms."
                    session.detach(link, Refusal("amqp:link:detach-forced", why))

    @property
    def waits_until(self) -> float | None:
        """When the first of those who wait for a session has waited long enough."""
        return min((outlet.waits_until for outlet in self.outlets if outlet.waits_until is not None), default=None)

    def _wait_on(self, outlet: Outlet) -> None:
        try:
            if outlet.wait_on(self.now()):
                outlet.session.say(outlet.opening())
        except Refusal as refusal:
            outlet.session.refuse(outlet, refusal)

    def _header(self, header: bytes) -> None:
        self.pending += header
        if header == SASL_HEADER:
            self.say(0, SaslMechanisms(mechanisms=Array(Symbol(name) for name in _MECHANISMS)))
        elif header != AMQP_HEADER:
            raise Malformed("a protocol other than AMQP 1.0")

    def _frame(self, frame: Frame, body: Performative) -> None:
        match body:
            case SaslInit():
                self.say(0, SaslOutcome(result=UByte(0)))
            case Open():
                self.frame_bytes = max(512, min(int(body.max_frame_size or FRAME_BYTES_MAX), FRAME_BYTES_MAX))
                self.say(
                    0,
                    Open(
                        container_id="pretend-service-bus",
                        max_frame_size=UInt(FRAME_BYTES_MAX),
                        channel_max=UShort(_CHANNEL_MAX),
                        idle_time_out=UInt(_IDLE_MILLISECONDS),
                    ),
                )
            case Begin():
                self._sessions[frame.channel] = Session(self, frame.channel, body)
            case Close():
                self.say(0, Close())
                self.finished = True
            case _:
                # None: under way when we ended the session.
                session = self._sessions.get(frame.channel)
                if session is not None:
                    session.hear(body, frame.payload)
                    if not session.links and type(body).__name__ == "End":
                        del self._sessions[frame.channel]
