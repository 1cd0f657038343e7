"""Frames and performatives of AMQP 1.0 ("OASIS AMQP 1.0, part 2: transport", "part 5: security")."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from simulators.service_bus.values import Described, Malformed, Symbol, ULong, decode, encode

#: What a connection begins with, for the security layer and for AMQP itself.
SASL_HEADER, AMQP_HEADER = b"AMQP\x03\x01\x00\x00", b"AMQP\x00\x01\x00\x00"

_PREFIX = struct.Struct(">IBBH")
_AMQP, _SASL = 0, 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Performative:
    """What a frame says; the order of the fields is that of the specification. What is left out at the end is null."""

    code: ClassVar[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Open(Performative):
    """A connection begins."""

    code = 0x10
    container_id: Any = None
    hostname: Any = None
    max_frame_size: Any = None
    channel_max: Any = None
    idle_time_out: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Begin(Performative):
    """A session begins on a channel."""

    code = 0x11
    remote_channel: Any = None
    next_outgoing_id: Any = None
    incoming_window: Any = None
    outgoing_window: Any = None
    handle_max: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Attach(Performative):
    """A link. ``role`` is True for whoever receives."""

    code = 0x12
    name: Any = None
    handle: Any = None
    role: Any = None
    snd_settle_mode: Any = None
    rcv_settle_mode: Any = None
    source: Any = None
    target: Any = None
    unsettled: Any = None
    incomplete_unsettled: Any = None
    initial_delivery_count: Any = None
    max_message_size: Any = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow(Performative):
    """Windows of a session, and the credit of a link if it names one."""

    code = 0x13
    next_incoming_id: Any = None
    incoming_window: Any = None
    next_outgoing_id: Any = None
    outgoing_window: Any = None
    handle: Any = None
    delivery_count: Any = None
    link_credit: Any = None
    available: Any = None
    drain: Any = None
    echo: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Transfer(Performative):
    """A message, or a part of one; the rest of the frame is its payload."""

    code = 0x14
    handle: Any = None
    delivery_id: Any = None
    delivery_tag: Any = None
    message_format: Any = None
    settled: Any = None
    more: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Disposition(Performative):
    """What became of deliveries. ``role`` is True where the receiver says so."""

    code = 0x15
    role: Any = None
    first: Any = None
    last: Any = None
    settled: Any = None
    state: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Detach(Performative):
    """A link ends."""

    code = 0x16
    handle: Any = None
    closed: Any = None
    error: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class End(Performative):
    """A session ends."""

    code = 0x17
    error: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Close(Performative):
    """A connection ends."""

    code = 0x18
    error: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SaslMechanisms(Performative):
    """What may be used to say who one is."""

    code = 0x40
    mechanisms: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SaslInit(Performative):
    """What is used."""

    code = 0x41
    mechanism: Any = None
    initial_response: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SaslOutcome(Performative):
    """0: go on."""

    code = 0x44
    result: Any = None


_KINDS: dict[Any, type[Performative]] = {
    kind.code: kind
    for kind in (Open, Begin, Attach, Flow, Transfer, Disposition, Detach, End, Close, SaslMechanisms, SaslInit, SaslOutcome)
}
_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in _KINDS.values()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One frame as it came; ``body`` is None for one that only says that the other side lives."""

    channel: int
    body: Performative | None
    payload: bytes = b""


def written(channel: int, body: Performative, payload: bytes = b"") -> bytes:
    """A frame's bytes."""
    values = list(_values(body))
    while values and values[-1] is None:
        values.pop()
    content = b"\x00" + bytes((0x53, body.code)) + encode(values) + payload
    kind = _SASL if body.code >= SaslMechanisms.code else _AMQP
    return _PREFIX.pack(len(content) + _PREFIX.size, 2, kind, channel) + content


def _values(body: Performative) -> Iterator[Any]:
    """The fields in order; what is inside of them stays as it is."""
    return (getattr(body, name) for name in _NAMES[type(body)])


def error(condition: str, description: str) -> Described:
    """Why a link, a session, a connection or a delivery came to nothing."""
    return Described(ULong(0x1D), [Symbol(condition), description, {}])


class FrameReader:
    """Cuts what arrives into headers and frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes | Frame]:
        """A header of eight bytes as such, and frames. Raises Malformed."""
        self._buffer += data
        while len(self._buffer) >= _PREFIX.size:
            if self._buffer[:4] == b"AMQP":
                header = bytes(self._buffer[:8])
                del self._buffer[:8]
                yield header
                continue
            size, words, _, channel = _PREFIX.unpack_from(self._buffer)
            if not _PREFIX.size <= 4 * words <= size <= FRAME_BYTES_MAX:
                raise Malformed(f"a frame of {size} bytes")
            if len(self._buffer) < size:
                return
            frame = bytes(self._buffer[:size])
            del self._buffer[:size]
            yield _read(frame, 4 * words, channel)


#: The largest frame that we take, and say so.
FRAME_BYTES_MAX = 1_048_576


def _read(frame: bytes, start: int, channel: int) -> Frame:
    if start == len(frame):
        return Frame(channel=channel, body=None)
    found, end = decode(frame, start)
    if not isinstance(found, Described) or not isinstance(found.value, list):
        raise Malformed("a frame without a performative")
    kind = _KINDS.get(found.descriptor) if isinstance(found.descriptor, int) else None
    if kind is None:
        raise Malformed(f"performative {found.descriptor!r} is not known")
    names = _NAMES[kind]
    return Frame(channel=channel, body=kind(**dict(zip(names, found.value, strict=False))), payload=frame[end:])
