"""Starts the product with a hole in it: at one named call of the story the process kills itself with SIGKILL.

A launcher, run as a program. It loads everything once; then each line on standard input starts the product in a fork, which saves the
second or so that the imports cost. A line is JSON: ``settings`` (environment), ``armed`` (a file; calls count from the moment it
exists), ``calls`` (a file that gets one line per counted call), ``point`` (``"commit 3"``, or null) and ``when`` (before, after).
The process id comes back on standard output. A fork ends by SIGTERM, by its point, or by whoever kills it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

#: Questions to our own store and queue; a crash beside them is the same as a crash beside the next call.
_QUIET = ("read", "scan", "list_index", "read_shared", "waiting", "scheduled", "dead_letters")

#: What a start imports; loaded before the fork. The last one is the slowest.
_LOADED = (
    "adapters.graph.directory",
    "adapters.graph.subscriptions",
    "adapters.halo.desk",
    "joinery.assembly",
    "joinery.cli.logs",
    "joinery.local",
    "simulators.company",
    "simulators.graph",
    "simulators.halo",
    "wiring",
    "workflows",
    "msgraph.graph_service_client",
)


class Hole:
    """Counts calls by name once armed, notes them, and dies at the one it was told."""

    def __init__(self, *, armed: Path, calls: Path, point: str | None, when: str) -> None:
        self._armed, self._calls, self._point, self._when = armed, calls, point, when
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    def around(self, inner: Any) -> Watched:
        """The same port with a hole in every method."""
        return Watched(inner, self)

    def pass_through(self, kind: str, call: Callable[[], Any]) -> Any:
        """One call; ``before`` means that nothing was done yet, ``after`` that it was, but nobody heard of it."""
        if kind.partition(" ")[0] in _QUIET or not self._armed.exists():
            return call()
        with self._lock:
            self._seen[kind] += 1
            name = f"{kind} {self._seen[kind]}"
            with self._calls.open("a") as calls:
                calls.write(f"{name}\n")
        if name == self._point and self._when == "before":
            self._die()
        answer = call()
        if name == self._point:
            self._die()
        return answer

    def _die(self) -> None:
        with self._calls.open("a") as calls:
            calls.write("killed\n")
        os.kill(os.getpid(), signal.SIGKILL)


class Watched:
    """A port whose every method goes through the hole; plain attributes pass."""

    def __init__(self, inner: Any, hole: Hole) -> None:
        self._inner, self._hole = inner, hole

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return partial(self._call, name, found) if callable(found) else found

    def _call(self, name: str, method: Callable[..., Any], *given: Any, **named: Any) -> Any:
        about = ""
        if name in ("perform", "find", "find_similar", "read_back"):
            about = f" {type(given[0]).__name__}"
        elif name.endswith(("_index", "_shared")):
            about = f" {given[0]}"
        return self._hole.pass_through(f"{name}{about}", lambda: method(*given, **named))


def run(order: dict[str, Any]) -> None:
    """Be the product until killed."""
    from joinery.cli.logs import log_to
    from joinery.settings import Settings
    from wiring import build_local

    settings = Settings.from_environment(order["settings"])
    settings.data.mkdir(parents=True, exist_ok=True)
    log_to(settings.data / "joinery.log")
    hole = Hole(armed=Path(order["armed"]), calls=Path(order["calls"]), point=order["point"], when=order["when"])
    local = build_local(settings, empty=True, store=hole.around, desk=hole.around, queue=hole.around, directory=hole.around)
    local.start()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    while True:
        signal.pause()


def main() -> None:
    """Load once, fork for every line."""
    for module in _LOADED:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            os.close(0)
            try:
                run(json.loads(line))
            finally:
                os._exit(70)
        print(process, flush=True)


if __name__ == "__main__":
    main()
