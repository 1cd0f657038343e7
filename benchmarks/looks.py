"""How long a message takes, and how often it asks the store: one that starts and ends a joiner's run, and looks that find no change."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any, ClassVar

from adapters.stores.sqlite import SqliteStateStore
from benchmarks.engine import engine_over, five_steps, look_at
from benchmarks.figure import Figure
from joinery.app import App

#: People; each is looked at once for every kind.
_PEOPLE = 200
_READS = ("read", "scan", "list_index", "read_shared")
_INDEX_WRITES = ("put_index", "delete_index")
_WRITES = ("commit", "replace_shared", *_INDEX_WRITES)


class CountingStore(SqliteStateStore):
    """Counts what it is asked for."""

    #: Method -> calls.
    calls: ClassVar[Counter[str]] = Counter()

    def __getattribute__(self, name: str) -> Any:
        """Whatever is fetched here is called at once."""
        if name in _READS or name in _WRITES:
            CountingStore.calls[name] += 1
        return super().__getattribute__(name)


@dataclass(slots=True)
class _Seen:
    """What the looks of one kind took."""

    milliseconds: list[float] = field(default_factory=list)
    calls: list[Counter[str]] = field(default_factory=list)

    def look(self, app: App, person_id: str) -> None:
        message = look_at(person_id)
        CountingStore.calls.clear()
        began = time.perf_counter()
        app.handle(message)
        self.milliseconds.append(1_000 * (time.perf_counter() - began))
        self.calls.append(CountingStore.calls.copy())

    def per_look(self, *methods: str) -> float:
        """The watched groups are read once in half a minute by whichever look it is; the median leaves that out."""
        return median(sum(calls[method] for method in methods) for calls in self.calls)

    def latency(self, kind: str) -> Iterator[Figure]:
        centiles = quantiles(self.milliseconds, n=100)
        yield Figure(name=f"{kind}, p50", value=centiles[49], unit="ms")
        yield Figure(name=f"{kind}, p99", value=centiles[98], unit="ms")


def measure() -> Iterator[Figure]:
    """On SQLite, with a desk that answers at once."""
    joins, tells, same = _Seen(), _Seen(), _Seen()
    with tempfile.TemporaryDirectory() as folder:
        store = CountingStore(Path(folder) / "state.db")
        try:
            app = engine_over(store, five_steps)
            app.handle(look_at("warm-up"))
            for number in range(_PEOPLE):
                for kind in (joins, tells, same):
                    kind.look(app, f"person-{number}")
        finally:
            store.close()
    yield from joins.latency("look that starts and ends a joiner of 5 steps")
    yield from tells.latency("first look without a change, which is put on record")
    yield from same.latency("look without a change")
    yield Figure(name="… its reads", value=same.per_look(*_READS), unit="calls", peer=1, peer_name="promised")
    yield Figure(name="… its writes", value=same.per_look(*_WRITES), unit="calls", peer=1, peer_name="at most")
    yield Figure(name="… writes of the first", value=tells.per_look(*_WRITES), unit="calls", peer=1, peer_name="at most")
    # The start, two values, two for each of three creates, the end.
    yield Figure(name="commits of the joiner", value=joins.per_look("commit"), unit="calls", peer=1 + 2 + 3 * 2 + 1, peer_name="promised")
    yield Figure(name="index writes of the joiner", value=joins.per_look(*_INDEX_WRITES), unit="calls")
    yield Figure(name="reads of the joiner", value=joins.per_look(*_READS), unit="calls")
