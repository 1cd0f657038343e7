"""How fast ``interpret`` decides."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.figure import Figure
from joinery.domain.changes import Episode, Known, Stage, interpret
from joinery.engine.memory import FakeClock
from joinery.testing import everyone, person

_ROUNDS = 50_000


def measure() -> Iterator[Figure]:
    """A look without a change, and one with a move."""
    policy, now = everyone(), FakeClock().now()
    ada = person("ada")
    known = Known(seen=ada, baseline=ada, decided_at=now, episode=Episode(stage=Stage.ACTIVE))
    for name, seen in (("no change", ada), ("a move", ada.evolve(department="Sales", job_title="Lead"))):
        began = time.perf_counter()
        for _ in range(_ROUNDS):
            interpret(known, seen, policy, now)
        yield Figure(name=f"interpret, {name}", value=_ROUNDS / (time.perf_counter() - began), unit="/s", peer=50_000, peer_name="to reach")
