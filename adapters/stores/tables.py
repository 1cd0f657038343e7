"""The state store in Azure Table Storage, for the cloud. ``docs/decisions/0015-state-in-table-storage.md`` has the layout and its reasons."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.data.tables import TableEntity, UpdateMode

from adapters.stores.table_answers import Conflict, Denied, NoTable, NotThere
from adapters.stores.table_calls import TableCalls, table_client
from adapters.stores.table_entities import document, properties
from adapters.stores.table_keys import AFTER_ALL, key_of, name_of
from joinery.engine.ports import OPEN_RANGE_END, Commit, Document, Row, Snapshot
from joinery.engine.store_limits import check_key, encoded, encoded_commit
from joinery.errors import ConfigurationError, Finding, LostRace, StoreUnavailable

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: The first letters of a partition keep people, indexes, shared rows and the schema apart.
_PERSON, _INDEX, _SHARED, _SCHEMA = "p|", "i|", "s|", "v|"
#: Row keys: the head sorts before every row, so no page can hold rows that are older than its head.
_HEAD, _ROW = "h", "r"
#: Counts up when the layout changes.
_VERSION = 1

#: Rows of one page; the service gives no more.
_PAGE = 1000
#: How often a partition of several pages is read again because it changed meanwhile.
_READS_MAX = 3
#: An If-Match that is no etag is a bad request to the service, and a lost race to us.
_ETAG = re.compile(r"""W/"datetime'[^'"]+'\"""")
_REPLACE = {"mode": UpdateMode.REPLACE}


class TableStateStore:
    """Partitions in one table, each commit one entity-group transaction under the head's etag. Safe for threads and for several workers.

    Nothing is asked before the first use, or ``open``.

    Args:
        calls: the table.
        create: make the table where it is missing; without it, that is an error.
        new_write_id: a fresh id for every write of a shared row.

    Raises:
        ConfigurationError: the credentials do not suffice, or the table is foreign, newer or missing. Only until it was open once.
        StoreUnavailable: no answer within the deadline; later, credentials that no longer suffice; also after ``close``.
    """

    def __init__(self, calls: TableCalls, *, create: bool = True, new_write_id: Callable[[], str] = lambda: uuid.uuid4().hex) -> None:
        self._calls = calls
        self._create = create
        self._new_write_id = new_write_id
        self._lock = threading.Lock()
        self._is_open = False

    def open(self) -> None:
        """See to it that the table is there, and ours; one request where it is."""
        with self._lock:
            if self._is_open:
                return
            try:
                self._check(self._schema() or self._make())
            except (Denied, NotThere) as error:
                remedy = "Give this identity the role Storage Table Data Contributor, or mend the address, the account name or the key."
                raise _finding(f"cannot be used ({error})", remedy, self._calls.place) from None
            except NoTable as error:
                raise StoreUnavailable(str(error)) from None
            self._is_open = True

    def read(self, partition: str) -> Snapshot:
        """Head and open rows in one query, or in one for every 1000 rows or 4 MiB."""
        key = _PERSON + key_of(partition)
        query = _range(key, (">=", _HEAD), ("<", _ROW + key_of(OPEN_RANGE_END)))
        for _ in range(_READS_MAX):
            pages = list(self._pages(query))
            found = [entity for page in pages for entity in page]
            head = found.pop(0) if found and found[0]["RowKey"] == _HEAD else None
            etag = _etag(head) if head else None
            if len(pages) == 1 or self._is_still(key, etag):
                return Snapshot(etag=etag, head=document(head) if head else None, rows=_rows(found, skip=len(_ROW)))
        raise StoreUnavailable(f"partition {partition}: it changed while it was read, {_READS_MAX} times")

    def commit(self, commit: Commit) -> str:
        """One transaction, as the port says: one request, unless an answer was lost, a race was lost, or a row to delete is missing."""
        head, rows = encoded_commit(commit)
        key = _PERSON + key_of(commit.partition)
        entity = {"PartitionKey": key, "RowKey": _HEAD, "commit_id": commit.commit_id, **properties(head)}
        if commit.expected is not None and not _ETAG.fullmatch(commit.expected):
            return self._ours(key, "commit_id", commit.commit_id, f"partition {commit.partition}")
        writes = [_write(entity, commit.expected)]
        writes += [("upsert", {"PartitionKey": key, "RowKey": _ROW + key_of(name), **properties(text)}, _REPLACE) for name, text in rows]
        deletes = [_ROW + key_of(name) for name in commit.delete]
        try:
            try:
                return self._transact(writes, key, deletes)
            except NotThere as error:
                if error.index == 0:
                    raise
                # A transaction fails as a whole where one row to delete is missing. The head's condition keeps others from changing
                # anything between this look and the second try.
                return self._transact(writes, key, self._existing(key, deletes))
        except (Conflict, NotThere):
            return self._ours(key, "commit_id", commit.commit_id, f"partition {commit.partition}")

    def scan(self, partition: str, prefix: str, *, after: str = "", limit: int = 1000) -> tuple[Row, ...]:
        """Rows whose names start with ``prefix`` and sort after ``after``; never the head."""
        return self._list(_range(_PERSON + key_of(partition), *_bounds(_ROW, prefix, after, None)), limit, skip=len(_ROW))

    def put_index(self, index: str, key: str, data: Document) -> None:
        """Insert or replace one index row."""
        check_key(index)
        check_key(key)
        entity = {"PartitionKey": _INDEX + key_of(index), "RowKey": key_of(key), **properties(encoded(data))}
        self._ask(lambda: self._calls.put(entity))

    def delete_index(self, index: str, key: str) -> None:
        """Remove one index row; a missing one is fine."""
        self._ask(lambda: self._calls.delete(_INDEX + key_of(index), key_of(key)))

    def list_index(self, index: str, *, prefix: str = "", up_to: str | None = None, after: str = "", limit: int = 1000) -> tuple[Row, ...]:
        """Index rows sorted by key."""
        return self._list(_range(_INDEX + key_of(index), *_bounds("", prefix, after, up_to)), limit)

    def read_shared(self, name: str) -> tuple[str | None, Document | None]:
        """Etag and content of a shared row."""
        entity = self._get(_SHARED + key_of(name))
        return (_etag(entity), document(entity)) if entity else (None, None)

    def replace_shared(self, name: str, data: Document, *, expected: str | None) -> str:
        """Replace it if its etag is ``expected``."""
        check_key(name)
        key, write_id = _SHARED + key_of(name), self._new_write_id()
        entity = {"PartitionKey": key, "RowKey": _HEAD, "write_id": write_id, **properties(encoded(data))}
        if expected is not None and not _ETAG.fullmatch(expected):
            raise LostRace(f"shared row {name}: it is not the one expected")
        try:
            return self._ask(lambda: self._calls.create(entity) if expected is None else self._calls.replace(entity, expected))
        except (Conflict, NotThere):
            return self._ours(key, "write_id", write_id, f"shared row {name}")

    def shred(self) -> None:
        """Nothing: the service has no file of ours to rebuild. How long its disks and backups hold what is deleted is its own promise."""

    def close(self) -> None:
        """Close the connections; nothing answers afterwards."""
        self._calls.close()

    # --- what a transaction needs ---

    def _transact(self, writes: list[Any], key: str, deletes: list[str]) -> str:
        gone = [("delete", {"PartitionKey": key, "RowKey": row}) for row in deletes]
        return self._ask(lambda: self._calls.transact([*writes, *gone]))

    def _existing(self, key: str, rows: list[str]) -> list[str]:
        query = _range(key, (">=", min(rows)), ("<=", max(rows)))
        there = {str(entity["RowKey"]) for page in self._pages(query, select=["RowKey"]) for entity in page}
        return [row for row in rows if row in there]

    def _ours(self, key: str, field: str, id_: str, what: str) -> str:
        """The etag of a row that already carries our id: the answer was lost, not the race. Else LostRace."""
        stored = self._get(key, select=[field])
        if stored is None or stored.get(field) != id_:
            raise LostRace(f"{what}: it is not the one expected")
        return _etag(stored)

    def _is_still(self, key: str, etag: str | None) -> bool:
        head = self._get(key, select=["commit_id"])
        return (_etag(head) if head else None) == etag

    # --- asking ---

    def _get(self, partition: str, *, select: list[str] | None = None) -> TableEntity | None:
        try:
            return self._ask(lambda: self._calls.get(partition, _HEAD, select=select))
        except NotThere:
            return None

    def _list(self, query: str, limit: int, *, skip: int = 0) -> tuple[Row, ...]:
        rows: list[Row] = []
        for page in self._pages(query, size=limit) if limit > 0 else ():
            rows += _rows(page, skip=skip)
            if len(rows) >= limit:
                break
        return tuple(rows[:limit])

    def _pages(self, query: str, *, size: int = _PAGE, select: list[str] | None = None) -> Iterator[list[TableEntity]]:
        token: Any = None
        while True:
            page, token = self._ask(partial(self._calls.page, query, size=min(size, _PAGE), select=select, after=token))
            yield page
            if token is None:
                return

    def _ask(self, act: Callable[[], T]) -> T:
        if not self._is_open:
            self.open()
        try:
            return act()
        except (Denied, NoTable) as error:
            # It worked before, so nobody mistyped it: a key was changed, a role taken away. Messages wait until that is mended.
            raise StoreUnavailable(str(error)) from None

    # --- the schema ---

    def _schema(self) -> TableEntity | None:
        try:
            return self._calls.get(_SCHEMA, _HEAD)
        except (NotThere, NoTable):
            return None

    def _make(self) -> TableEntity:
        if not self._create:
            raise _finding("holds no state", "Start Joinery with these settings first, or mend JOINERY_TABLES_NAME.", self._calls.place)
        try:
            self._calls.create_table()
        except Conflict:
            if self._holds_rows():
                # Another worker that starts in this moment puts the schema into it before any other row.
                if (made := self._schema()) is not None:
                    return made
                remedy = "Choose another JOINERY_TABLES_NAME; the table was left as it is."
                raise _finding("holds rows of another program", remedy, self._calls.place) from None
        # A conflict: two workers started together, or the answer to our own try was lost.
        with contextlib.suppress(Conflict):
            self._calls.create({"PartitionKey": _SCHEMA, "RowKey": _HEAD, "version": _VERSION})
        return self._calls.get(_SCHEMA, _HEAD)

    def _holds_rows(self) -> bool:
        page, token = self._calls.page("PartitionKey ge ''", size=1)
        while not page and token is not None:
            page, token = self._calls.page("PartitionKey ge ''", size=1, after=token)
        return bool(page)

    def _check(self, schema: TableEntity) -> None:
        version = schema.get("version")
        if version != _VERSION:
            problem = f"was written by another release (version {version}, this one knows {_VERSION})"
            raise _finding(problem, "Start that release, or choose another JOINERY_TABLES_NAME; it was left as it is.", self._calls.place)


def open_tables(name: str, *, url: str, connection: str, create: bool) -> TableStateStore:
    """The store in this table, open; or not yet, where the service does not answer: that is no reason not to start.

    Raises ConfigurationError as ``table_client`` and ``TableStateStore.open`` do.
    """
    store = TableStateStore(TableCalls(table_client(name, url=url, connection=connection)), create=create)
    try:
        store.open()
    except StoreUnavailable as error:
        _log.warning("state store not reached", extra={"action": "store_not_reached", "error": str(error)})
    except BaseException:
        store.close()
        raise
    return store


def _finding(problem: str, remedy: str, place: str) -> ConfigurationError:
    return ConfigurationError([Finding(place=f"the state store, {place}", problem=problem, remedy=remedy)])


def _write(entity: dict[str, Any], expected: str | None) -> Any:
    """The operation that puts a row under its condition: not there yet, or with this etag."""
    if expected is None:
        return ("create", entity)
    return ("update", entity, {**_REPLACE, "etag": expected, "match_condition": MatchConditions.IfNotModified})


def _bounds(kind: str, prefix: str, after: str, up_to: str | None) -> tuple[tuple[str, str], ...]:
    start = kind + key_of(prefix)
    bounds = [(">=", start), ("<", start + AFTER_ALL)]
    if after:
        bounds.append((">", kind + key_of(after)))
    if up_to is not None:
        bounds.append(("<=", kind + key_of(up_to)))
    return tuple(bounds)


_SIGNS = {">=": "ge", ">": "gt", "<": "lt", "<=": "le"}


def _range(partition: str, *bounds: tuple[str, str]) -> str:
    rows = (f"RowKey {_SIGNS[sign]} {_quoted(key)}" for sign, key in bounds)
    return " and ".join((f"PartitionKey eq {_quoted(partition)}", *rows))


def _quoted(key: str) -> str:
    return "'" + key.replace("'", "''") + "'"


def _etag(entity: TableEntity) -> str:
    return str(entity.metadata["etag"])


def _rows(entities: list[TableEntity], *, skip: int = 0) -> tuple[Row, ...]:
    return tuple(Row(name=name_of(str(entity["RowKey"])[skip:]), data=document(entity)) for entity in entities)
