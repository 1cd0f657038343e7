"""Commits of the SQLite store beside a bare insert-and-commit in the same run, both with synchronous=FULL."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from adapters.stores.sqlite import SqliteStateStore
from benchmarks.figure import Figure
from joinery.engine.ports import Commit, Row

_SECONDS = 3.0
_BODY = {"text": "x" * 300}


def measure() -> Iterator[Figure]:
    """Commits per second: head and one row, as a step is."""
    with tempfile.TemporaryDirectory() as folder:
        bare = _rate(bare_commits(Path(folder) / "bare.db"))
        store = SqliteStateStore(Path(folder) / "state.db")
        try:
            yield Figure(name="store commit: head and one row", value=_rate(_commits(store)), unit="/s", peer=bare, peer_name="bare insert")
        finally:
            store.close()


def _rate(turns: Iterator[None]) -> float:
    began = time.perf_counter()
    count = 0
    while time.perf_counter() - began < _SECONDS:
        next(turns)
        count += 1
    return count / (time.perf_counter() - began)


def bare_commits(path: Path) -> Iterator[None]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body TEXT)")
    while True:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t (body) VALUES (?)", ("x" * 300,))
        connection.execute("COMMIT")
        yield


def _commits(store: SqliteStateStore) -> Iterator[None]:
    etag, turn = None, 0
    while True:
        turn += 1
        row = Row(name=f"run.{turn % 50:06d}", data=_BODY)
        etag = store.commit(Commit(partition="t|person:ada", expected=etag, commit_id=str(turn), head={"n": turn}, put=(row,)))
        yield
