"""The port's queue over an engine in this process."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterable

from adapters.queues.engine import QueueEngine
from adapters.queues.messages import MessageNotFound, NewMessage
from joinery.engine.ports import DeadLetter, Outgoing


class EmbeddedQueue:
    """``MessageQueue`` without a network. Raises QueueUnavailable where the engine's journal cannot write (disk full, locked) or is closed."""

    def __init__(self, engine: QueueEngine) -> None:
        self._engine = engine

    def send(self, messages: Iterable[Outgoing]) -> None:
        """Return once every message is in the journal; all are taken together, or none.

        Each gets a fresh message id. It is never made from the content: duplicate detection would swallow a real second change.
        """
        self._engine.send(
            NewMessage(body=message.body, session_id=message.session_id, message_id=str(uuid.uuid4()), scheduled_for=message.not_before)
            for message in messages
        )

    def waiting(self) -> int | None:
        """How many messages are to be handled now, locked ones included."""
        return self._engine.counts().active

    def scheduled(self) -> int | None:
        """How many messages are there for a later moment."""
        return self._engine.counts().scheduled

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """What the queue gave up on, oldest first, at most 100."""
        return tuple(
            DeadLetter(id=str(dead.sequence_number), body=dead.body, reason=dead.dead_letter_reason or "no reason was given")
            for dead in self._engine.dead_letters()
        )

    def remove_dead_letter(self, letter_id: str) -> None:
        """Forget one of them; a missing one is fine."""
        with contextlib.suppress(MessageNotFound):
            self._engine.remove_dead_letter(int(letter_id))
