"""Queue engines on a fake clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

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
