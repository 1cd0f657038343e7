"""The state store in one SQLite file, for the desk."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import cast

import msgspec

from adapters.stores.database import Connect, Database, FileKind, connect_plainly
from joinery.engine.ports import OPEN_RANGE_END, Commit, Document, Row, Snapshot
from joinery.engine.store_limits import HEAD, check_key, encoded, encoded_commit
from joinery.errors import LostRace, StoreUnavailable

#: "JOIN" in ASCII.
KIND = FileKind(
    title="the state store",
    application_id=0x4A4F494E,
    schema="""
        CREATE TABLE entity (
            partition TEXT NOT NULL, name TEXT NOT NULL, etag INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (partition, name)
        ) WITHOUT ROWID
    """,
)

#: All entities share one table; the first letters of the partition keep people, indexes and shared rows apart.
_PERSON, _INDEX, _SHARED = "p|", "i|", "s|"
#: Sorts after every name with the same beginning, because no key may contain it.
_LAST = "\U0010ffff"

_READ = "SELECT name, etag, data FROM entity WHERE partition = ? AND name < ? ORDER BY name"
_READ_ONE = "SELECT etag, data FROM entity WHERE partition = ? AND name = ?"
_RANGE = (
    "SELECT name, data FROM entity WHERE partition = ? AND name >= ? AND name < ? AND name > ? AND name <= ? AND name <> ?"
    " ORDER BY name LIMIT ?"
)
_PUT = "INSERT INTO entity VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET etag = excluded.etag, data = excluded.data"
_PUT_FIRST = "INSERT INTO entity VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_REPLACE = "UPDATE entity SET etag = ?, data = ? WHERE partition = ? AND name = ? AND etag = ?"
_DELETE = "DELETE FROM entity WHERE partition = ? AND name = ?"


class SqliteStateStore:
    """Partitions in a SQLite file, written ahead and synced at every commit. Safe for threads and for several processes.

    Args:
        path: the file; it and its folder are made where missing.
        busy_timeout: how long to wait for another process that writes.
        connect: opens the file.

    Raises:
        ConfigurationError: the file is foreign, newer, damaged or cannot be opened; it is left as it is.
        StoreUnavailable: locked, disk full, input/output error; also after ``close``.
    """

    def __init__(self, path: Path | str, *, busy_timeout: timedelta = timedelta(seconds=5), connect: Connect = connect_plainly) -> None:
        self._database = Database(Path(path), KIND, unavailable=StoreUnavailable, busy_timeout=busy_timeout, connect=connect)

    def read(self, partition: str) -> Snapshot:
        """Head and open rows in one query."""
        with self._database.reading() as connection:
            found = connection.execute(_READ, (_PERSON + partition, OPEN_RANGE_END)).fetchall()
        etag, head, rows = None, None, []
        for name, version, data in found:
            if name == HEAD:
                etag, head = _etag(version), _decoded(data)
            else:
                rows.append(Row(name=name, data=_decoded(data)))
        return Snapshot(etag=etag, head=head, rows=tuple(rows))

    def commit(self, commit: Commit) -> str:
        """One transaction, as the port says."""
        head, rows = encoded_commit(commit)
        partition = _PERSON + commit.partition
        with self._database.writing() as connection:
            if commit.expected is None:
                version = 1
                written = connection.execute(_PUT_FIRST, (partition, HEAD, version, head))
            else:
                version = _version(commit.expected) + 1
                written = connection.execute(_REPLACE, (version, head, partition, HEAD, version - 1))
            if not written.rowcount:
                stored = connection.execute(_READ_ONE, (partition, HEAD)).fetchone()
                if stored and _decoded(stored[1]).get("commit_id") == commit.commit_id:
                    return _etag(stored[0])
                raise LostRace(f"partition {commit.partition}: the head is not the one expected")
            for name, row in rows:
                connection.execute(_PUT, (partition, name, version, row))
            for name in commit.delete:
                connection.execute(_DELETE, (partition, name))
        return _etag(version)

    def scan(self, partition: str, prefix: str, *, after: str = "", limit: int = 1000) -> tuple[Row, ...]:
        """Rows whose names start with ``prefix`` and sort after ``after``; never the head."""
        return self._range(_PERSON + partition, prefix=prefix, after=after, up_to=None, limit=limit, hidden=HEAD)

    def put_index(self, index: str, key: str, data: Document) -> None:
        """Insert or replace one index row."""
        check_key(index)
        check_key(key)
        text = encoded(data)
        with self._database.writing() as connection:
            connection.execute(_PUT, (_INDEX + index, key, 1, text))

    def delete_index(self, index: str, key: str) -> None:
        """Remove one index row; a missing one is fine."""
        with self._database.writing() as connection:
            connection.execute(_DELETE, (_INDEX + index, key))

    def list_index(self, index: str, *, prefix: str = "", up_to: str | None = None, after: str = "", limit: int = 1000) -> tuple[Row, ...]:
        """Index rows sorted by key."""
        return self._range(_INDEX + index, prefix=prefix, after=after, up_to=up_to, limit=limit)

    def read_shared(self, name: str) -> tuple[str | None, Document | None]:
        """Etag and content of a shared row."""
        with self._database.reading() as connection:
            stored = connection.execute(_READ_ONE, (_SHARED, name)).fetchone()
        return (_etag(stored[0]), _decoded(stored[1])) if stored else (None, None)

    def replace_shared(self, name: str, data: Document, *, expected: str | None) -> str:
        """Replace it if its etag is ``expected``."""
        check_key(name)
        text = encoded(data)
        with self._database.writing() as connection:
            stored = connection.execute(_READ_ONE, (_SHARED, name)).fetchone()
            if (_etag(stored[0]) if stored else None) != expected:
                raise LostRace(f"shared row {name}: it is not the one expected")
            version = stored[0] + 1 if stored else 1
            connection.execute(_PUT, (_SHARED, name, version, text))
        return _etag(version)

    def shred(self) -> None:
        """Make what was deleted or replaced unreadable in the files: rebuild the database from what it holds now, and empty its log.

        It takes as long as writing the file once, and others wait meanwhile. Raises StoreUnavailable while somebody reads.
        """
        self._database.shred()

    def close(self) -> None:
        """Close every connection; nothing answers afterwards."""
        self._database.close()

    def _range(self, partition: str, *, prefix: str, after: str, up_to: str | None, limit: int, hidden: str = "") -> tuple[Row, ...]:
        bounds = (partition, prefix, prefix + _LAST, after, _LAST if up_to is None else up_to, hidden, max(limit, 0))
        with self._database.reading() as connection:
            found = connection.execute(_RANGE, bounds).fetchall()
        return tuple(Row(name=name, data=_decoded(data)) for name, data in found)


def _etag(version: int) -> str:
    return f"{version:016d}"


def _version(etag: str) -> int:
    """What ``_etag`` was made of; one that is not ours fits no row."""
    return int(etag) if etag.isdecimal() else -1


def _decoded(data: bytes) -> Document:
    try:
        return cast(Document, msgspec.json.decode(data, type=dict))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreUnavailable(
            f"the state store holds a row that cannot be read ({error}); the file is damaged, restore a backup"
        ) from error
