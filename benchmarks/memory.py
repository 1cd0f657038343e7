"""Whether the engine's memory stays flat: resident size after 10,000 and after 100,000 messages, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from adapters.stores.sqlite import SqliteStateStore
from benchmarks.engine import engine_over, five_steps, look_at
from benchmarks.figure import Figure
from benchmarks.journey import resident

_EARLY, _LATE = 10_000, 100_000
#: One message in so many is about somebody new, whose run it starts and ends.
_NEW_EVERY = 200
#: Where a sync costs nothing: here it is memory that counts.
_FOLDER = Path("/dev/shm")


def measure() -> Iterator[Figure]:
    """The directory, the desk and the queue keep nothing, so what grows is the engine or its store."""
    answer = subprocess.run([sys.executable, "-m", "benchmarks.memory"], capture_output=True, text=True, check=True)
    early, late = json.loads(answer.stdout)
    yield Figure(name=f"memory after {_LATE:,} messages", value=late, unit="MB", peer=early, peer_name=f"after {_EARLY:,}")


def main() -> None:
    """Print both sizes."""
    sizes = []
    with tempfile.TemporaryDirectory(dir=_FOLDER if _FOLDER.is_dir() else None) as folder:
        store = SqliteStateStore(Path(folder) / "state.db")
        try:
            app = engine_over(store, five_steps)
            for number in range(1, _LATE + 1):
                app.handle(look_at(f"person-{number // _NEW_EVERY}"))
                if number in (_EARLY, _LATE):
                    sizes.append(resident("self"))
        finally:
            store.close()
    print(json.dumps(sizes))


if __name__ == "__main__":
    main()
