"""What the tests of the queue engine share: messages and single receives."""

from __future__ import annotations

from itertools import count

from adapters.queues.engine import QueueEngine
from adapters.queues.messages import NewMessage, QueueMessage, SessionLock

_ids = count(1)


def message(body: str, session: str | None = "ada", *, id: str | None = None, **more: object) -> NewMessage:  # noqa: A002 — reads well
    return NewMessage(body=body.encode(), session_id=session, message_id=id or f"m{next(_ids)}", **more)  # type: ignore[arg-type]


def bodies(messages: list[QueueMessage]) -> list[str]:
    return [found.body.decode() for found in messages]


def token(received: QueueMessage) -> str:
    assert received.lock_token is not None
    return received.lock_token


def accept(engine: QueueEngine, session: str | None = None) -> SessionLock:
    lock = engine.accept_session(session)
    assert lock is not None
    return lock


def receive_one(engine: QueueEngine, lock: SessionLock) -> QueueMessage:
    (received,) = engine.receive(lock)
    return received
