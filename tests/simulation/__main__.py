"""Simulated histories from the command line.

::

    python -m tests.simulation --seeds 0..9999 --jobs 2       # a campaign; the last line is its summary as JSON
    python -m tests.simulation --seed 123                     # one history again
    python -m tests.simulation --seed 123 --trace             # with everything that happened
    python -m tests.simulation --seed 123 --shrink            # and the smallest history that still fails
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator

from tests.simulation.campaign import campaign
from tests.simulation.history import Result, history_of, live
from tests.simulation.records import History
from tests.simulation.shrink import shrunk


def main() -> int:
    """0: everything as it must be; 1: not so."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, help="one history")
    parser.add_argument("--people", type=int, help="how many people it has; without, the seed says")
    parser.add_argument("--seeds", help="from..to, both included")
    parser.add_argument("--jobs", type=int, default=1, help="processes of a campaign")
    parser.add_argument("--trace", action="store_true", help="print everything that happens")
    parser.add_argument("--shrink", action="store_true", help="leave out what the failure does not need")
    asked = parser.parse_args()
    if asked.seeds:
        first, _, last = asked.seeds.partition("..")
        return _campaign(range(int(first), int(last or first) + 1), asked.jobs)
    if asked.seed is None:
        parser.error("--seed N or --seeds FROM..TO")
    logging.disable(logging.CRITICAL)
    result = live(history_of(asked.seed, asked.people), tracing=asked.trace)
    if asked.shrink and not result.verdict.good:
        result = live(shrunk(result.history, lambda one: not live(one).verdict.good), tracing=asked.trace)
    for line in _told(result, everything=asked.shrink):
        print(line)
    return 0 if result.verdict.good else 1


def _campaign(seeds: range, jobs: int) -> int:
    summary = campaign(seeds, jobs=jobs)
    for seed, sentences in sorted(summary.failures.items()):
        for sentence in sentences:
            print(f"{seed}: {sentence}")
        print(f"    python -m tests.simulation --seed {seed} --shrink")
    print(json.dumps(summary.line()))
    return 1 if summary.failures else 0


def _told(result: Result, *, everything: bool) -> Iterator[str]:
    if everything:
        yield from _story(result.history)
    if result.outcome is not None:
        yield from result.outcome.trace
    yield from result.verdict.sentences or ["everything is as it must be"]
    if not result.verdict.good:
        yield result.replay


def _story(history: History) -> Iterator[str]:
    happenings = [(fault.at, f"fault  {fault}") for fault in history.faults]
    for person in history.story.people:
        happenings += [(act.at, f"{person.id}    {act.what} {act.group} {dict(act.fields)}") for act in person.acts]
    for at, text in sorted(happenings):
        yield f"{at:12.1f} {text}"


if __name__ == "__main__":
    sys.exit(main())
