"""How fast the simulation lives histories: people with careers, faults, crashes, and the oracle's verdict at the end."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.figure import Figure
from tests.simulation.campaign import campaign

_HISTORIES = 40


def measure() -> Iterator[Figure]:
    """On one core; a campaign uses several."""
    summary = campaign(range(1, _HISTORIES + 1))
    if summary.failures:
        raise RuntimeError(f"seeds {sorted(summary.failures)} failed: python -m tests.simulation tells more")
    yield Figure(name="simulated histories", value=summary.seeds / summary.seconds, unit="/s")
    yield Figure(name="simulated histories, messages handled", value=summary.messages / summary.seconds, unit="/s")
