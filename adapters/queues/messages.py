"""The words of the session queue: messages, locks, counts, and the two ways in which a settlement can fail."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from joinery.errors import JoineryError

#: What a message may carry beside its body.
PropertyValue = str | int | float | bool | bytes | None

#: Characters of a message id and of a session id ("service-bus-quotas").
ID_LENGTH_MAX = 128
#: Bytes of body and properties together: a message of the Standard tier ("service-bus-quotas").
MESSAGE_BYTES_MAX = 256 * 1024
#: Bytes of a session's state in the Standard tier ("message-sessions").
STATE_BYTES_MAX = 256 * 1024

#: The reasons that the queue itself gives ("service-bus-dead-letter-queues").
MAX_DELIVERY_COUNT_EXCEEDED = "MaxDeliveryCountExceeded"
TTL_EXPIRED = "TTLExpiredException"


class MessageState(enum.StrEnum):
    """Where a message stands. A locked message is active; locks are not part of what is remembered."""

    ACTIVE = "active"
    SCHEDULED = "scheduled"
    #: Put aside by its receiver; had by its sequence number only.
    DEFERRED = "deferred"
    DEAD = "dead"


@dataclass(frozen=True, kw_only=True, slots=True)
class NewMessage:
    """A message on its way in."""

    body: bytes
    #: None only for a queue without sessions.
    session_id: str | None
    message_id: str
    #: From when on it may be received, aware; None or a moment in the past is at once.
    scheduled_for: datetime | None = None
    #: How long it may wait to be received, from when it is receivable; the queue's own limit counts where that is shorter.
    time_to_live: timedelta | None = None
    properties: Mapping[str, PropertyValue] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueMessage:
    """A message that the queue has taken."""

    sequence_number: int
    message_id: str
    session_id: str | None
    body: bytes
    properties: Mapping[str, PropertyValue]
    state: MessageState
    #: When it became receivable; of a scheduled one, when it was taken.
    enqueued_at: datetime
    scheduled_for: datetime | None = None
    time_to_live: timedelta | None = None
    #: How often it was delivered in vain; 0 on the first delivery.
    delivery_count: int = 0
    dead_letter_reason: str | None = None
    dead_letter_description: str | None = None
    #: Settles this delivery; None unless it came from ``receive``.
    lock_token: str | None = None
    #: When the lock ends unless it is renewed (of a session: with the session's lock); None unless it came from ``receive``.
    locked_until: datetime | None = None

    @property
    def expires_at(self) -> datetime | None:
        """From when on it is not delivered any more; None where that is never, or not yet known."""
        return self.enqueued_at + self.time_to_live if self.time_to_live is not None and self.state is MessageState.ACTIVE else None


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionLock:
    """The right to receive the messages of one session, until ``locked_until`` unless it is renewed."""

    session_id: str
    lock_token: str
    locked_until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueCounts:
    """How many messages there are; locked ones count as active."""

    active: int
    scheduled: int
    dead: int
    deferred: int = 0


class MessageNotFound(JoineryError):
    """No message with this sequence number stands where it was looked for."""
