"""A stand-in's whole world: JSON documents in one SQLite file, mirrored in memory."""

import json
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: A stored document. It is never changed in place: put a new one.
Document = Mapping[str, Any]

_COUNTERS = "_counter"


class StateFile:
    """Documents by kind and id, in the order in which they first appeared.

    Changes happen inside `transaction()`: all of them are on disk when it ends, or none is. A transaction inside another joins it, and takes
    only its own changes back when it fails. Reads outside a transaction see single documents; take one for a consistent view.
    `versions_kept` replaced documents are remembered for `reading_the_past`.
    WAL with synchronous=NORMAL: a killed process loses nothing that was committed. `path` None keeps the world in memory.
    """

    def __init__(self, path: Path | None, *, versions_kept: int = 0, ticks: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.RLock()
        self._ticks = ticks
        self._documents: dict[str, dict[str, Document]] = {}
        self._undo: list[tuple[str, str, Document | None]] = []
        self._depth = 0
        self._past = threading.local()
        self._versions: deque[tuple[float, str, str, Document | None]] = deque(maxlen=versions_kept)
        self._watchers: list[Callable[[], None]] = []
        self._db: sqlite3.Connection | None = None
        self._closed = False
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS documents (position INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT, id TEXT, body TEXT, UNIQUE (kind, id))"
            )
            for kind, key, body in self._db.execute("SELECT kind, id, body FROM documents ORDER BY position"):
                self._documents.setdefault(kind, {})[key] = json.loads(body)

    def watch(self, committed: Callable[[], None]) -> None:
        """Call `committed` after every commit that changed something, outside the lock."""
        self._watchers.append(committed)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything put and deleted inside is committed together at the end, or taken back if the block raises."""
        changed = False
        with self._lock:
            mark = len(self._undo)
            self._depth += 1
            try:
                yield
                if self._depth == 1:
                    changed = bool(self._undo)
                    self._commit()
            except BaseException:
                self._take_back(mark)
                raise
            finally:
                self._depth -= 1
        if changed:
            for committed in list(self._watchers):
                committed()

    def get(self, kind: str, key: str) -> Document | None:
        """One document, None when there is none."""
        with self._lock:
            past = self._overlay()
            if past is not None and (kind, key) in past:
                return past[kind, key]
            return self._documents.get(kind, {}).get(key)

    def all(self, kind: str) -> list[Document]:
        """All documents of a kind, oldest first."""
        with self._lock:
            past = self._overlay()
            present = self._documents.get(kind, {})
            if past is None:
                return list(present.values())
            ids = dict.fromkeys([*present, *(key for its_kind, key in past if its_kind == kind)])
            found = (past[kind, key] if (kind, key) in past else present.get(key) for key in ids)
            return [document for document in found if document is not None]

    def count(self, kind: str) -> int:
        """How many documents of a kind there are now."""
        with self._lock:
            return len(self._documents.get(kind, {}))

    def put(self, kind: str, key: str, body: Document) -> None:
        """Store a document, in a transaction. It must be made of what JSON knows and must not be changed afterwards."""
        self._change(kind, key, body)

    def delete(self, kind: str, key: str) -> None:
        """Remove a document if it is there, in a transaction."""
        if key in self._documents.get(kind, {}):
            self._change(kind, key, None)

    def next(self, counter: str) -> int:
        """The next number of a counter, from 1, in a transaction; a number is never given twice unless its transaction failed."""
        present = self._documents.get(_COUNTERS, {}).get(counter)
        number = 1 if present is None else int(present["value"]) + 1
        self._change(_COUNTERS, counter, {"value": number})
        return number

    def last(self, counter: str) -> int:
        """The last number that a counter gave, 0 before the first."""
        present = self.get(_COUNTERS, counter)
        return 0 if present is None else int(present["value"])

    @contextmanager
    def reading_the_past(self, seconds: float) -> Iterator[None]:
        """Inside, this thread's reads answer as of so many seconds ago, as far as this process remembers. Meant for reads only."""
        moment = self._ticks() - seconds
        with self._lock:
            overlay: dict[tuple[str, str], Document | None] = {}
            for at, kind, key, before in reversed(self._versions):
                if at <= moment:
                    break
                overlay[kind, key] = before
        self._past.overlay = overlay
        try:
            yield
        finally:
            self._past.overlay = None

    def close(self) -> None:
        """Close the file; nothing may be stored afterwards."""
        with self._lock:
            self._closed = True
            if self._db is not None:
                self._db.close()
                self._db = None

    def _overlay(self) -> dict[tuple[str, str], Document | None] | None:
        return getattr(self._past, "overlay", None)

    def _change(self, kind: str, key: str, body: Document | None) -> None:
        if self._depth == 0:
            raise RuntimeError("a document changes only inside a transaction")
        rows = self._documents.setdefault(kind, {})
        self._undo.append((kind, key, rows.get(key)))
        if body is None:
            rows.pop(key, None)
        else:
            rows[key] = body

    def _commit(self) -> None:
        """Write what changed. The memory is the truth for readers only after the file has it, which the lock sees to."""
        touched = dict.fromkeys((kind, key) for kind, key, _ in self._undo)
        if self._closed and touched:
            raise RuntimeError("the state is closed; nothing can be stored any more")
        if self._db is not None and touched:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for kind, key in touched:
                    self._write(self._db, kind, key)
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
        at = self._ticks()
        self._versions.extend((at, kind, key, before) for kind, key, before in self._undo)
        self._undo.clear()

    def _write(self, db: sqlite3.Connection, kind: str, key: str) -> None:
        body = self._documents.get(kind, {}).get(key)
        if body is None:
            db.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, key))
            return
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        db.execute(
            "INSERT INTO documents (kind, id, body) VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            (kind, key, text),
        )

    def _take_back(self, mark: int) -> None:
        while len(self._undo) > mark:
            kind, key, before = self._undo.pop()
            if before is None:
                self._documents[kind].pop(key, None)
            else:
                self._documents[kind][key] = before
