"""How people are found without reading everybody: by watched group, and by name or address, neither of which stands in the index.

A row is there before the commit that makes it true and goes after the one that ends it. So a row may say too much, and whoever uses one
reads the person; it never says too little.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from joinery.domain.person import Person
from joinery.engine.partition import Partition
from joinery.engine.ports import StateStore
from joinery.engine.rows import index_rows

#: Group id, or the mark of a name, and who.
HOLDERS, NAMES = "holders", "names"


def remember(partition: Partition, store: StateStore, before: Person | None, now: Person, ids: Mapping[str, str]) -> None:
    """Keep the rows of somebody who was seen, in the partition's next commit. ``ids``: display name of a watched group -> its id.

    Raises StoreUnavailable.
    """
    subject = partition.name.partition("|")[2]
    was, was_called = (before.groups, _marks(before)) if before else (frozenset[str](), frozenset[str]())
    called = _marks(now)
    for name in now.groups - was:
        store.put_index(HOLDERS, f"{ids[name]}|{subject}", {})
    for mark in called - was_called:
        store.put_index(NAMES, f"{mark}|{partition.name}", {})
    gone = [(HOLDERS, f"{ids[name]}|{subject}") for name in was - now.groups if name in ids]
    gone += [(NAMES, f"{mark}|{partition.name}") for mark in was_called - called]
    if gone:
        partition.afterwards(lambda: _drop(store, gone))


def named(store: StateStore, name: str) -> Iterator[str]:
    """Partitions of those who may be called so: by user principal name, mail or display name, without case. Raises StoreUnavailable."""
    for row in index_rows(store, NAMES, prefix=f"{_mark(name)}|"):
        yield row.name.partition("|")[2]


def forget(store: StateStore, partition: str, person: Person) -> None:
    """Nobody finds this person by a name any more. Raises StoreUnavailable."""
    _drop(store, [(NAMES, f"{mark}|{partition}") for mark in _marks(person)])


def is_called(person: Person, name: str) -> bool:
    """Whether this is one of their names or addresses, without case."""
    return _mark(name) in _marks(person)


def _marks(person: Person) -> frozenset[str]:
    return frozenset(_mark(name) for name in (person.user_principal_name, person.mail, person.display_name) if name.strip())


def _mark(name: str) -> str:
    return hashlib.sha256(name.strip().casefold().encode()).hexdigest()[:20]


def _drop(store: StateStore, rows: list[tuple[str, str]]) -> None:
    for index, key in rows:
        store.delete_index(index, key)
