"""Many histories, one summary."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field

from tests.simulation.history import history_of, live

#: Histories that a worker of the campaign takes at once.
_BATCH = 8


@dataclass(kw_only=True, slots=True)
class Summary:
    """What a campaign did and found; prints as one line of JSON."""

    seeds: int = 0
    people: int = 0
    #: Acts of HR.
    acts: int = 0
    #: Messages that were handled.
    messages: int = 0
    #: Kind -> how often it made a difference.
    faults: dict[str, int] = field(default_factory=dict)
    crashes: int = 0
    lost: int = 0
    wrong: int = 0
    duplicated: int = 0
    #: Writes beyond every deadline that were found and marked in time.
    late_twins: int = 0
    #: People whose story allows one end only.
    certain: int = 0
    seconds: float = 0.0
    histories_per_second: float = 0.0
    #: Seed -> what is not as it must be.
    failures: dict[int, list[str]] = field(default_factory=dict)

    def add(self, other: Summary) -> None:
        """Take another one in."""
        for name in ("seeds", "people", "acts", "messages", "crashes", "lost", "wrong", "duplicated", "late_twins", "certain"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.faults = dict(sorted((Counter(self.faults) + Counter(other.faults)).items()))
        self.failures.update(other.failures)

    def line(self) -> dict[str, object]:
        """For the summary line, without the sentences."""
        return {**asdict(self), "failures": sorted(self.failures)}


def summary_of(seed: int, people: int | None = None) -> Summary:
    """One history."""
    result = live(history_of(seed, people))
    verdict, outcome = result.verdict, result.outcome
    return Summary(
        seeds=1,
        people=verdict.people,
        acts=sum(len(one.acts) for one in result.history.story.people),
        messages=outcome.messages if outcome else 0,
        faults=outcome.struck if outcome else {},
        crashes=outcome.struck.get("crash", 0) if outcome else 0,
        lost=len(verdict.lost),
        wrong=len(verdict.wrong),
        duplicated=len(verdict.duplicated),
        late_twins=verdict.late_twins,
        certain=verdict.certain,
        failures={} if verdict.good else {seed: verdict.sentences},
    )


def campaign(seeds: Iterable[int], *, jobs: int = 1) -> Summary:
    """Run them all; ``jobs`` processes share the work."""
    began = time.perf_counter()
    total = Summary()
    for part in _parts(seeds, jobs):
        total.add(part)
    total.seconds = round(time.perf_counter() - began, 1)
    total.histories_per_second = round(total.seeds / max(total.seconds, 0.1), 2)
    return total


def _parts(seeds: Iterable[int], jobs: int) -> Iterator[Summary]:
    if jobs <= 1:
        yield from map(_quietly, seeds)
        return
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield from pool.imap_unordered(_quietly, seeds, chunksize=_BATCH)


def _quietly(seed: int) -> Summary:
    logging.disable(logging.CRITICAL)
    try:
        return summary_of(seed)
    finally:
        logging.disable(logging.NOTSET)
