"""Queue engines on a fake clock, and pretend Halos for a probe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from halo_sandbox import Sandbox

from adapters.queues.engine import QueueEngine
from adapters.queues.journal import Journal
from adapters.queues.ledger import QueueRules
from joinery.engine.memory import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make(clock: FakeClock) -> Iterator[Callable[..., QueueEngine]]:
    made: list[QueueEngine] = []

    def build(journal: Journal | None = None, **options: object) -> QueueEngine:
        engine = QueueEngine(clock, journal, QueueRules(**options))  # type: ignore[arg-type]
        clock.call_on_change(engine.poke)
        made.append(engine)
        return engine

    yield build
    for engine in made:
        engine.close()


@pytest.fixture
def engine(make: Callable[..., QueueEngine]) -> QueueEngine:
    return make()


@pytest.fixture
def made() -> Iterator[Callable[..., Sandbox]]:
    """Makes sandboxes, and stops them in the end."""
    sandboxes: list[Sandbox] = []

    def make(**habits: Any) -> Sandbox:
        sandboxes.append(Sandbox(**habits))
        return sandboxes[-1]

    yield make
    for one in sandboxes:
        one.stand_in.stop()
