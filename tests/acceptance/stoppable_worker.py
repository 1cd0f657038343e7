"""A worker without a host: handles one message for each line on standard input, and stops itself with SIGSTOP at one point of a create.

Run as a program, with a JSON object as its argument: ``settings`` (environment), ``store`` (the shared file), ``point`` (or null).
It prints ``handled`` after each message, and ``commit <what became of it>`` for every commit after it was woken again.

Points of the order to open a ticket: ``after the intent`` was committed; ``before the call``, its last check behind it; ``within the call``
(which is announced, so that the parent stops it); ``before the result`` is committed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from joinery.errors import LostRace


def say(line: str) -> None:
    print(line, flush=True)


class Stopper:
    """Stops the process once; knows afterwards that it was."""

    def __init__(self, point: str | None) -> None:
        self._point = point
        self.stopped = False

    def at(self, point: str) -> None:
        if point != self._point or self.stopped:
            return
        self.stopped = True
        if point == "within the call":
            say("calling")
            return
        os.kill(os.getpid(), signal.SIGSTOP)


class Store:
    """The shared store; tells what became of commits once the process was stopped."""

    def __init__(self, inner: Any, stopper: Stopper) -> None:
        self._inner, self._stopper = inner, stopper

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def commit(self, commit: Any) -> str:
        states = {row.data.get("state") for row in commit.put if row.data.get("asks") == "OpenTicket"}
        if "done" in states:
            self._stopper.at("before the result")
        woken = self._stopper.stopped
        try:
            etag: str = self._inner.commit(commit)
        except LostRace:
            say("commit refused")
            raise
        if woken:
            say("commit written")
        if "intent" in states:
            self._stopper.at("after the intent")
        return etag


class Desk:
    """The real desk, with a stop beside its create."""

    def __init__(self, inner: Any, stopper: Stopper) -> None:
        self._inner, self._stopper = inner, stopper

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def perform(self, order: Any, key: str, **named: Any) -> Any:
        if type(order).__name__ == "OpenTicket":
            self._stopper.at("before the call")
            self._stopper.at("within the call")
        return self._inner.perform(order, key, **named)


def main() -> None:
    """Build the App over the shared store, then handle whatever comes."""
    from adapters.stores.sqlite import SqliteStateStore
    from joinery.settings import Settings
    from wiring import build_app

    given = json.loads(sys.argv[1])
    stopper = Stopper(given["point"])
    shared = SqliteStateStore(Path(given["store"]))
    settings = Settings.from_environment(given["settings"])
    parts = build_app(settings, store=lambda _: Store(shared, stopper), desk=lambda desk: Desk(desk, stopper))
    say("ready")
    for line in sys.stdin:
        parts.app.handle(line.encode())
        say("handled")
    parts.close()
    shared.close()


if __name__ == "__main__":
    main()
