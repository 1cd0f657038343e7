"""The queue that a deployment chose, seen from both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from adapters.queues.servicebus_client import BusAddress
from joinery.engine.ports import Clock, MessageQueue, SessionQueue


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedQueue:
    """For whoever sends, for whoever handles, and how both are closed."""

    queue: MessageQueue
    sessions: SessionQueue
    close: Callable[[], None]


def embedded(clock: Clock, folder: Path, name: str) -> OpenedQueue:
    """In this process, with its journal in a file of the folder. Raises ConfigurationError where that file is not ours or damaged."""
    from adapters.queues.embedded import EmbeddedQueue
    from adapters.queues.engine import QueueEngine
    from adapters.queues.journal import SqliteJournal
    from adapters.queues.ledger import PERSON_MESSAGES

    engine = QueueEngine(clock, SqliteJournal(folder / "queue.db"), PERSON_MESSAGES, name=name)
    return OpenedQueue(queue=EmbeddedQueue(engine), sessions=engine, close=engine.close)


def service_bus(address: BusAddress) -> OpenedQueue:
    """On Azure Service Bus, or whatever speaks its protocol. Nothing is opened before it is used."""
    from adapters.queues.servicebus import ServiceBusQueue
    from adapters.queues.servicebus_sessions import ServiceBusSessions

    address.load()
    queue, sessions = ServiceBusQueue(address), ServiceBusSessions(address)

    def close() -> None:
        sessions.close()
        queue.close()

    return OpenedQueue(queue=queue, sessions=sessions, close=close)
