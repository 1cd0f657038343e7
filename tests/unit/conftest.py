"""Queue engines on a fake clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from adapters.queues.engine import QueueEngine
from joinery.engine.memory import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make(clock: FakeClock) -> Iterator[Callable[..., QueueEngine]]:
    made: list[QueueEngine] = []

    def build(**options: object) -> QueueEngine:
        engine = QueueEngine(clock, **options)  # type: ignore[arg-type]
        clock.call_on_change(engine.poke)
        made.append(engine)
        return engine

    yield build
    for engine in made:
        engine.close()


@pytest.fixture
def engine(make: Callable[..., QueueEngine]) -> QueueEngine:
    return make()
