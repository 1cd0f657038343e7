"""Messages as they travel ("OASIS AMQP 1.0, part 3: messaging"), and as the queue keeps them.

The queue's body is everything that the sender wrote but the header: annotations, properties, application properties and the content, as they were
encoded. So nothing is lost of what we have no field for. What the service itself knows (numbers, times, locks) is added on the way out.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.queues.messages import MessageState, NewMessage, QueueMessage
from simulators.service_bus.values import Described, Malformed, Symbol, Timestamp, UInt, ULong, decode, encode

HEADER, DELIVERY_ANNOTATIONS, ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES, DATA = 0x70, 0x71, 0x72, 0x73, 0x74, 0x75
VALUE = 0x77
#: The message format of an envelope whose data sections are messages ("azure-sdk", batching).
BATCH_FORMAT = 0x80013700

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCHEDULED_FOR = Symbol("x-opt-scheduled-enqueue-time")
#: How a message's state is told; one that is dead is an ordinary message of the dead-letter queue.
_STATES = {MessageState.ACTIVE: 0, MessageState.DEFERRED: 1, MessageState.SCHEDULED: 2, MessageState.DEAD: 0}


@dataclass(slots=True)
class Sections:
    """A message taken apart; ``rest`` is every section that nobody here changes, as it was encoded."""

    header: list[Any] = field(default_factory=list)
    annotations: dict[Any, Any] = field(default_factory=dict)
    properties: list[Any] = field(default_factory=list)
    application_properties: dict[Any, Any] = field(default_factory=dict)
    rest: bytes = b""
    #: Of an ``amqp-value`` section.
    value: Any = None

    @classmethod
    def of(cls, encoded: bytes) -> Sections:
        """Raises Malformed."""
        found, rest = cls(), []
        for code, content, piece in _cut(encoded):
            match code:
                case 0x70:
                    found.header = content
                case 0x72:
                    found.annotations = content
                case 0x74:
                    found.application_properties = content
                case 0x71:
                    pass
                case _:
                    rest.append(piece)
                    if code == PROPERTIES:
                        found.properties = content
                    elif code == VALUE:
                        found.value = content
        found.rest = b"".join(rest)
        return found


def section(code: int, content: Any) -> bytes:
    """One section's bytes."""
    return encode(Described(ULong(code), content))


def unpacked(encoded: bytes, message_format: int) -> list[bytes]:
    """The messages of one transfer. Raises Malformed."""
    if message_format != BATCH_FORMAT:
        return [encoded]
    return [content for code, content, _ in _cut(encoded) if code == DATA]


def incoming(encoded: bytes) -> NewMessage:
    """What a sender wrote, for the queue. Raises Malformed."""
    sections = Sections.of(encoded)
    scheduled_for = sections.annotations.get(_SCHEDULED_FOR)
    lives = _at(sections.header, 2)
    message_id, session_id = _at(sections.properties, 0), _at(sections.properties, 10)
    if session_id is not None and not isinstance(session_id, str):
        raise Malformed("a group id is text")
    return NewMessage(
        body=b"".join(_written(sections)),
        session_id=session_id,
        message_id=str(uuid.uuid4() if message_id is None else message_id),
        # Clients cut off what is less than a millisecond, and nothing is ever early.
        scheduled_for=None if scheduled_for is None else _EPOCH + timedelta(milliseconds=scheduled_for + 1),
        time_to_live=None if not lives else timedelta(milliseconds=lives),
    )


def content_of(body: bytes) -> bytes:
    """What a sender put into the data sections of a message that the queue keeps."""
    return b"".join(content for code, content, _ in _cut(body) if code == DATA)


def outgoing(message: QueueMessage, *, locked: bool) -> bytes:
    """What a receiver reads; ``locked`` where it is told until when the delivery is theirs."""
    sections = Sections.of(message.body)
    lives = None if message.time_to_live is None else UInt(min(message.time_to_live // timedelta(milliseconds=1), 2**32 - 1))
    sections.annotations |= {
        Symbol("x-opt-sequence-number"): message.sequence_number,
        Symbol("x-opt-enqueue-sequence-number"): message.sequence_number,
        Symbol("x-opt-enqueued-time"): milliseconds(message.enqueued_at),
        Symbol("x-opt-message-state"): _STATES[message.state],
    }
    if locked and message.locked_until is not None:
        sections.annotations[Symbol("x-opt-locked-until")] = milliseconds(message.locked_until)
    for name, words in (
        ("DeadLetterReason", message.dead_letter_reason),
        ("DeadLetterErrorDescription", message.dead_letter_description),
    ):
        if words is not None:
            sections.application_properties[name] = words
    header = section(HEADER, [False, None, lives, None, UInt(message.delivery_count)])
    return b"".join([header, *_written(sections)])


def milliseconds(moment: datetime) -> Timestamp:
    """A moment as AMQP writes it."""
    return Timestamp((moment - _EPOCH) // timedelta(milliseconds=1))


def moment_of(timestamp: int) -> datetime | None:
    """The moment; None where it lies beyond what a calendar here reaches."""
    try:
        return _EPOCH + timedelta(milliseconds=timestamp)
    except OverflowError:
        return None


def _written(sections: Sections) -> Iterator[bytes]:
    if sections.annotations:
        yield section(ANNOTATIONS, sections.annotations)
    yield sections.rest[: (split := _after_properties(sections.rest))]
    if sections.application_properties:
        yield section(APPLICATION_PROPERTIES, sections.application_properties)
    yield sections.rest[split:]


def _after_properties(rest: bytes) -> int:
    """Where the application properties belong: after the properties, before the content."""
    first = next(_cut(rest), None)
    return len(first[2]) if first is not None and first[0] == PROPERTIES else 0


def _cut(encoded: bytes) -> Iterator[tuple[int, Any, bytes]]:
    """Each section: its code, its content, its bytes. Raises Malformed."""
    position = 0
    while position < len(encoded):
        found, end = decode(encoded, position)
        if not isinstance(found, Described) or not isinstance(found.descriptor, int):
            raise Malformed("a message with something that is no section")
        code, content = int(found.descriptor), found.value
        expected = {HEADER: list, PROPERTIES: list, ANNOTATIONS: dict, APPLICATION_PROPERTIES: dict, DATA: bytes}.get(code, object)
        if not isinstance(content, expected):
            raise Malformed(f"section {code:#x} holds a {type(content).__name__}")
        yield code, content, encoded[position:end]
        position = end


def _at(fields: list[Any], place: int) -> Any:
    return fields[place] if len(fields) > place else None
