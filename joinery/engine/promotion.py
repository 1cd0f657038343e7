"""What a person decided about rehearsed facts and failed runs, and looks that are wanted because of what a person decided.

Whoever works at a command has no bus at hand: they write index rows, and the tick sends the looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from joinery.engine.ports import StateStore
from joinery.engine.rows import index_row, index_rows

#: Indices: partition -> workflow -> what was decided; partition -> failed runs that are to go on; and partition -> why to look at it.
PROMOTED, RETRIED, WANTED = "promoted", "retried", "wanted-looks"


class Promotion(StrEnum):
    """What becomes of a fact that shadow saw."""

    RUN = "run"
    #: Nothing starts; the person is taken as they are.
    DROP = "drop"


class PromotionBook:
    """The index of decisions about rehearsed facts: a row until it is carried out."""

    def __init__(self, store: StateStore) -> None:
        self._store = store

    def decide(self, partition: str, workflow: str, promotion: Promotion) -> None:
        """Insert or replace. Raises StoreUnavailable."""
        self._store.put_index(PROMOTED, partition, {**self._stored(partition), workflow: str(promotion)})

    def of(self, partition: str) -> Mapping[str, Promotion]:
        """Workflow -> what was decided about one person."""
        return {workflow: Promotion(value) for workflow, value in self._stored(partition).items()}

    def done(self, partition: str, workflow: str) -> None:
        """It was carried out, or there is nothing left to do."""
        left = {name: value for name, value in self._stored(partition).items() if name != workflow}
        if left:
            self._store.put_index(PROMOTED, partition, left)
        else:
            self._store.delete_index(PROMOTED, partition)

    def partitions(self) -> Iterator[str]:
        """Everybody about whom something is decided and not carried out."""
        yield from _names(self._store, PROMOTED)

    def _stored(self, partition: str) -> Mapping[str, str]:
        row = index_row(self._store, PROMOTED, partition)
        return row.data if row else {}


def retry(store: StateStore, partition: str, seqs: Iterable[int]) -> None:
    """Have these failed runs of one person go on. Insert or replace. Raises StoreUnavailable."""
    store.put_index(RETRIED, partition, {"runs": sorted({*retries_of(store, partition), *seqs})})


def retries_of(store: StateStore, partition: str) -> tuple[int, ...]:
    """Seqs of the failed runs of one person that are to go on."""
    row = index_row(store, RETRIED, partition)
    return tuple(row.data["runs"]) if row else ()


def retried(store: StateStore) -> Iterator[str]:
    """Everybody of whom a failed run is to go on and does not yet."""
    return _names(store, RETRIED)


def retry_done(store: StateStore, partition: str) -> None:
    """They go on, or cannot."""
    store.delete_index(RETRIED, partition)


def want_looks(store: StateStore, partitions: Iterable[str], cause: str) -> None:
    """Have the next tick look at these people. Raises StoreUnavailable; a repeat is harmless."""
    for partition in partitions:
        store.put_index(WANTED, partition, {"cause": cause})


def wanted_looks(store: StateStore) -> Iterator[tuple[str, str]]:
    """Partition and cause of each look that is wanted; whoever sent it removes the row with ``look_sent``."""
    return ((row.name, row.data["cause"]) for row in index_rows(store, WANTED))


def look_sent(store: StateStore, partition: str) -> None:
    """The bus has it."""
    store.delete_index(WANTED, partition)


def _names(store: StateStore, index: str) -> Iterator[str]:
    return (row.name for row in index_rows(store, index))
