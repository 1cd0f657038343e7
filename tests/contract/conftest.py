"""One fixture per port; a new implementation joins a suite by one more entry here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from desk_worlds import HaloWorld, MemoryWorld, World
from table_service import tables_in

from adapters.queues.embedded import EmbeddedQueue
from adapters.queues.engine import QueueEngine
from adapters.queues.journal import SqliteJournal
from adapters.queues.servicebus import ServiceBusQueue
from adapters.queues.servicebus_client import BusAddress
from adapters.stores.sqlite import SqliteStateStore
from adapters.stores.tables import TableStateStore
from joinery.engine.memory import FakeClock, MemoryQueue, MemoryStateStore
from joinery.engine.ports import MessageQueue, StateStore
from simulators.service_bus.entities import Namespace
from simulators.service_bus.messages import content_of
from simulators.service_bus.server import ServiceBus

#: Name -> how to make one for a test.
STATE_STORES: dict[str, Callable[[pytest.FixtureRequest], MemoryStateStore | SqliteStateStore | TableStateStore]] = {
    "memory": lambda request: MemoryStateStore(),
    "sqlite": lambda request: SqliteStateStore(request.getfixturevalue("tmp_path") / "state.db"),
    "tables": lambda request: tables_in(request.getfixturevalue("azurite").connection, request.getfixturevalue("azurite").new_table()),
}


@pytest.fixture(params=["memory", "sqlite", pytest.param("tables", marks=pytest.mark.servers)])
def store(request: pytest.FixtureRequest) -> Iterator[StateStore]:
    made = STATE_STORES[request.param](request)
    yield made
    made.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueUnderTest:
    """A queue, its clock, and the receiving side: everything due, as session -> bodies in order."""

    queue: MessageQueue
    clock: FakeClock
    receive_due: Callable[[], dict[str, list[bytes]]]
    close: Callable[[], None]
    #: Whether it says how many messages there are.
    counts: bool = True


def _memory_queue(folder: Path) -> QueueUnderTest:
    clock = FakeClock()
    queue = MemoryQueue(clock)

    def receive_due() -> dict[str, list[bytes]]:
        received: dict[str, list[bytes]] = {}
        for message in queue.receive_due():
            received.setdefault(message.session_id, []).append(message.body)
        return received

    return QueueUnderTest(queue=queue, clock=clock, receive_due=receive_due, close=lambda: None)


def _embedded_queue(folder: Path) -> QueueUnderTest:
    clock = FakeClock()
    engine = QueueEngine(clock, SqliteJournal(folder / "queue.db"))

    def receive_due() -> dict[str, list[bytes]]:
        received: dict[str, list[bytes]] = {}
        while lock := engine.accept_session():
            for message in engine.receive(lock, max_count=1000):
                received.setdefault(lock.session_id, []).append(message.body)
                engine.complete(message.lock_token or "")
            engine.release_session(lock)
        return received

    return QueueUnderTest(queue=EmbeddedQueue(engine), clock=clock, receive_due=receive_due, close=engine.close)


def _bus_queue(folder: Path) -> QueueUnderTest:
    clock = FakeClock()
    bus = ServiceBus(Namespace({"queues": {"people": {"requires_session": True}}}, clock, folder=folder)).start()
    queue = ServiceBusQueue(BusAddress(queue="people", connection=bus.connection_string), send_within=timedelta(seconds=20))

    def receive_due() -> dict[str, list[bytes]]:
        # Moments travel in milliseconds, and nothing is ever early.
        clock.advance(milliseconds=1)
        return cast(dict[str, list[bytes]], bus.ask(lambda: _drained(bus.namespace.engine("people"))))

    def close() -> None:
        queue.close()
        bus.close()

    return QueueUnderTest(queue=queue, clock=clock, receive_due=receive_due, close=close, counts=False)


def _drained(engine: QueueEngine) -> dict[str, list[bytes]]:
    received: dict[str, list[bytes]] = {}
    while lock := engine.accept_session():
        for message in engine.receive(lock, max_count=1000):
            received.setdefault(lock.session_id, []).append(content_of(message.body))
            engine.complete(message.lock_token or "")
        engine.release_session(lock)
    return received


MESSAGE_QUEUES: dict[str, Callable[[Path], QueueUnderTest]] = {
    "memory": _memory_queue,
    "embedded": _embedded_queue,
    "servicebus": _bus_queue,
}


@pytest.fixture(params=["memory", "embedded", pytest.param("servicebus", marks=pytest.mark.servers)])
def sending(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[QueueUnderTest]:
    made = MESSAGE_QUEUES[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture(params=["memory", "halo"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A service desk under test."""
    if request.param == "memory":
        yield MemoryWorld()
        return
    halo = HaloWorld()
    yield halo
    halo.halo.stop()
