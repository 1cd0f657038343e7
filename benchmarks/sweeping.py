"""A sweep over a large company: the memory of our process, which looks it sends, and how often it asks the directory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx

from benchmarks.big_tenant import PAGE, person_id, serving
from benchmarks.engine import ForgetfulQueue
from benchmarks.figure import Figure
from joinery.engine.envelope import decode
from joinery.engine.partition import PERSONS
from joinery.engine.ports import Outgoing
from joinery.settings import Settings
from wiring import build_app

_PEOPLE, _CHANGED = 100_000, 1_000
#: Megabytes that our process may have at its peak.
_MEMORY_MAX = 200
#: Where a sync costs nothing: here it is memory and calls that count.
_FOLDER = Path("/dev/shm")


class CountingQueue(ForgetfulQueue):
    """Takes every message and remembers only whom the looks are about."""

    def __init__(self) -> None:
        self.about: set[str] = set()

    def send(self, messages: Iterable[Outgoing]) -> None:
        """Taken."""
        self.about.update(decode(message.body).subject_id for message in messages)


def measure() -> Iterator[Figure]:
    """The directory and our process are two; only ours is measured."""
    with serving(_PEOPLE, _CHANGED) as url:
        seen = json.loads(
            subprocess.run([sys.executable, "-m", "benchmarks.sweeping", url], capture_output=True, text=True, check=True).stdout
        )
    for name, sweep in seen.items():
        people = _CHANGED if name == "1 % changed" else _PEOPLE
        expected = -(-people // PAGE)
        yield Figure(name=f"sweep of {_PEOPLE:,} people, {name}", value=sweep["seconds"], unit="s")
        yield Figure(name="… people looked at", value=sweep["looks"], unit="people", peer=people, peer_name="to be looked at")
        yield Figure(name="… pages asked for", value=sweep["pages"], unit="calls", peer=expected + sweep["lost"], peer_name="pages")
        yield Figure(name="… other calls", value=sweep["other"], unit="calls")
        yield Figure(name="… peak memory so far", value=sweep["peak"], unit="MB", peer=_MEMORY_MAX, peer_name="to stay under")


def main(url: str) -> None:
    """Three sweeps in one process: the first of all, one with a few changes, one whose link has expired."""
    with tempfile.TemporaryDirectory(dir=_FOLDER if _FOLDER.is_dir() else None) as folder:
        state = "c" * 64
        given = {"data": folder, "graph_url": url, "halo_url": url, "public_url": "https://joinery.example", "client_state": state}
        queue = CountingQueue()
        parts = build_app(Settings.from_environment({}, **given), queue=lambda inner: queue)
        try:
            for number in range(_PEOPLE):
                parts.app.store.put_index(PERSONS, f"local|person:{person_id(number)}", {})
            print(
                json.dumps(
                    {
                        "the first": _swept(parts.app, queue, url),
                        "1 % changed": _swept(parts.app, queue, url),
                        "after an expired link": _swept(parts.app, queue, url, expired=True),
                    }
                )
            )
        finally:
            parts.close()


def _swept(app: Any, queue: CountingQueue, url: str, *, expired: bool = False) -> dict[str, float]:
    queue.about.clear()
    httpx.get(f"{url}/_asked")
    if expired:
        httpx.get(f"{url}/_expire")
    began = time.perf_counter()
    app.sweep()
    seconds = time.perf_counter() - began
    asked = httpx.get(f"{url}/_asked").json()
    return {
        "seconds": seconds,
        "looks": len(queue.about),
        "pages": asked.pop("pages"),
        "other": sum(asked.values()),
        "lost": int(expired),
        # Kilobytes on Linux.
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
