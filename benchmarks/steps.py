"""Journaled steps and whole workflows through the real engine on SQLite, beside a bare insert-and-commit in the same run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from adapters.stores.sqlite import SqliteStateStore
from adapters.system import SystemClock
from benchmarks.engine import engine_over, five_steps, look_at
from benchmarks.figure import Figure
from benchmarks.stores import bare_commits
from joinery.engine.claims import STEPS_MAX
from joinery.engine.context import Context
from joinery.engine.journal import RunStatus
from joinery.engine.memory_desk import MemoryServiceDesk
from joinery.engine.recipes import Recipe

#: Turns of which the median is taken: each is a run, and beside it as many bare commits as it has steps.
TURNS = 60
#: Commits after which SQLite writes into its log from the start again; before that every commit makes a file longer, which costs more.
_WARM_UP = 1_100


def measure() -> Iterator[Figure]:
    """Steps alone, and whole runs with everything they cost: first sight, the start, a commit per step, the end."""
    within: list[float] = []

    def timed(ctx: Context) -> None:
        within.append(_seconds(lambda: no_op_steps(ctx)))

    with tempfile.TemporaryDirectory() as folder:
        bare, seconds = _beside_bare(Path(folder), STEPS_MAX, timed)
        peer, peer_name = STEPS_MAX / bare, "bare insert and commit"
        steps = STEPS_MAX / median(within[-TURNS:])
        yield Figure(name="no-op steps, a commit each (half to reach)", value=steps, unit="/s", peer=peer, peer_name=peer_name)
        name = f"… with first sight, start and end of their runs of {STEPS_MAX}"
        yield Figure(name=name, value=STEPS_MAX / seconds, unit="/s", peer=peer, peer_name=peer_name)
    with tempfile.TemporaryDirectory() as folder:
        bare, seconds = _beside_bare(Path(folder), 5, five_steps)
        peer_name = "five bare inserts and commits"
        yield Figure(name="workflows of 5 steps, 3 of them creates", value=1 / seconds, unit="/s", peer=1 / bare, peer_name=peer_name)


def no_op_steps(ctx: Context) -> None:
    """As many values as a run may have."""
    for number in range(STEPS_MAX):
        ctx.step(f"step {number}", lambda: None)


def _beside_bare(folder: Path, steps: int, recipe: Recipe) -> tuple[float, float]:
    """Median seconds of ``steps`` bare commits, and of a run of the recipe.

    In turns, so that whatever else the machine does meets both.
    """
    store = SqliteStateStore(folder / "state.db")
    try:
        app = engine_over(store, recipe, desk=MemoryServiceDesk(clock=SystemClock()))
        commits = bare_commits(folder / "bare.db")
        for _ in range(_WARM_UP):
            next(commits)
        for number in range(_WARM_UP // (3 * steps)):
            app.handle(look_at(f"warm-up-{number}"))
        bare, runs = [], []
        for number in range(TURNS):
            bare.append(_seconds(lambda: [next(commits) for _ in range(steps)]))
            runs.append(_seconds(lambda number=number: app.handle(look_at(f"person-{number}"))))  # type: ignore[misc]  # bound per turn
        if any(view.run.status is not RunStatus.VERIFIED for view in app.reads.runs()):
            raise RuntimeError("a run did not end verified")
    finally:
        store.close()
    return median(bare), median(runs)


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
