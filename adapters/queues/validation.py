"""The rules that a message keeps before the queue takes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from adapters.queues.messages import ID_LENGTH_MAX, NewMessage, PropertyValue
from joinery.domain.moments import aware


class MessageTooLarge(ValueError):
    """Body and properties together are more than the queue takes."""


def checked(message: NewMessage, *, requires_session: bool, bytes_max: int) -> NewMessage:
    """The message with a body and properties of its own, its moment in UTC. Raises ValueError with the rule that it breaks."""
    if requires_session and message.session_id is None:
        raise ValueError("a message for a queue with sessions needs a session id")
    check_id("session id", message.session_id)
    check_id("message id", message.message_id)
    body, properties = bytes(message.body), dict(message.properties)
    size = len(body) + sum(_size(name) + _size(value) for name, value in properties.items())
    if size > bytes_max:
        raise MessageTooLarge(f"a message has at most {bytes_max} bytes, this one has {size}")
    if message.time_to_live is not None and message.time_to_live <= timedelta(0):
        raise ValueError(f"a message lives for more than no time, this one for {message.time_to_live}")
    scheduled_for = None if message.scheduled_for is None else aware(message.scheduled_for)
    return replace(message, body=body, properties=properties, scheduled_for=scheduled_for)


def check_id(name: str, value: str | None) -> None:
    """Raise ValueError unless it is a message's or a session's id, or None."""
    if value is None:
        return
    if not 0 < len(value) <= ID_LENGTH_MAX:
        raise ValueError(f"a {name} has 1 to {ID_LENGTH_MAX} characters, this one has {len(value)}")
    value.encode()  # a lone surrogate is no text; UnicodeEncodeError is a ValueError


def _size(value: PropertyValue) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, bytes):
        return len(value)
    if value is None or isinstance(value, bool | float):
        return 8
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return 8
    raise ValueError(f"a property is text, a 64-bit number, a boolean, bytes or None, not {value!r:.80}")
