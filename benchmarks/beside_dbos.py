"""The same steps by DBOS on SQLite, in turns with ours: on this machine, in this run, in a process and an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from adapters.stores.sqlite import SqliteStateStore
from benchmarks.engine import engine_over, look_at
from benchmarks.figure import Figure
from benchmarks.steps import no_op_steps
from joinery.engine.claims import STEPS_MAX

_HERE = Path(__file__).resolve().parent
_PYTHON = _HERE.parent / ".venv" / "peers" / "bin" / "python"
#: Turns of which the median is taken, after some that nobody counts.
_TURNS, _WARM_UP = 20, 5


def measure() -> Iterator[Figure]:
    """Steps per second of whole runs. Without ``make peers`` nothing is measured, and it is said."""
    if not _PYTHON.exists():
        print("DBOS is left out: `make peers` installs it", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = _in_turns(Path(folder))
    yield Figure(
        name=f"no-op steps, runs of {STEPS_MAX}, beside DBOS", value=STEPS_MAX / ours, unit="/s", peer=STEPS_MAX / theirs, peer_name="DBOS"
    )


def _in_turns(folder: Path) -> tuple[float, float]:
    """Median seconds of a run, ours and theirs."""
    store = SqliteStateStore(folder / "state.db")
    command = [str(_PYTHON), str(_HERE / "dbos_steps.py"), str(folder), str(STEPS_MAX)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if other.stdin is None or other.stdout is None:
        raise AssertionError("both were asked for")
    try:
        app = engine_over(store, no_op_steps)
        ours, theirs = [], []
        for number in range(_WARM_UP + _TURNS):
            began = time.perf_counter()
            app.handle(look_at(f"person-{number}"))
            ours.append(time.perf_counter() - began)
            print("go", file=other.stdin, flush=True)
            theirs.append(float(other.stdout.readline()))
    finally:
        other.stdin.close()
        other.wait(timeout=30)
        store.close()
    return median(ours[_WARM_UP:]), median(theirs[_WARM_UP:])
