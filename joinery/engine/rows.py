"""All rows of an index, or of a part of a partition, page by page: whatever was read is handed on before the next page is asked for."""

from __future__ import annotations

from collections.abc import Iterator

from joinery.engine.ports import Row, StateStore


def index_rows(store: StateStore, index: str, *, prefix: str = "", after: str = "") -> Iterator[Row]:
    """Every row of an index whose key starts with ``prefix`` and sorts after ``after``, in order. Rows may be deleted on the way.

    Raises StoreUnavailable, on any page.
    """
    while rows := store.list_index(index, prefix=prefix, after=after):
        yield from rows
        after = rows[-1].name


def index_row(store: StateStore, index: str, key: str) -> Row | None:
    """The one row of an index with this key; None where there is none. Raises StoreUnavailable."""
    # Whatever else begins with the key sorts after it.
    return next((row for row in store.list_index(index, prefix=key, limit=1) if row.name == key), None)


def partition_rows(store: StateStore, partition: str, prefix: str) -> Iterator[Row]:
    """Every row of a partition whose name starts with ``prefix``, in order. Raises StoreUnavailable, on any page."""
    after = ""
    while rows := store.scan(partition, prefix, after=after):
        yield from rows
        after = rows[-1].name
