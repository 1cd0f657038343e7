"""What only a file can be asked: that it is synced, ours, shared between processes, and whole after a kill."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.stores.database import Database
from adapters.stores.sqlite import KIND, SqliteStateStore
from joinery.engine.memory import MemoryStateStore
from joinery.engine.ports import Commit, Row
from joinery.errors import ConfigurationError, StoreUnavailable

ADA = "acme|ada"


def commit(expected: str | None, commit_id: str, **changes: Any) -> Commit:
    return Commit(**{"partition": ADA, "head": {"n": commit_id}, "expected": expected, "commit_id": commit_id, **changes})


def rows(*names: str) -> tuple[Row, ...]:
    return tuple(Row(name=name, data={"is": name}) for name in names)


def names(found: tuple[Row, ...]) -> list[str]:
    return [row.name for row in found]


def test_every_connection_of_the_file_is_written_ahead_and_fully_synced(tmp_path: Path) -> None:
    """NORMAL loses acknowledged commits when the power goes; nothing but this line keeps FULL in place."""
    database = Database(tmp_path / "state.db", KIND, unavailable=StoreUnavailable, busy_timeout=timedelta(seconds=1))
    with database.reading() as first, database.writing() as second, database.reading() as third:
        for connection in (first, second, third):
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    database.close()


def test_the_file_is_readable_for_its_owner_alone(tmp_path: Path) -> None:
    store = SqliteStateStore(tmp_path / "new" / "folder" / "state.db")
    store.commit(commit(None, "c1"))
    for file in (tmp_path / "new" / "folder").iterdir():
        assert file.stat().st_mode & 0o077 == 0
    store.close()


def test_a_store_that_is_opened_again_holds_what_was_committed(tmp_path: Path) -> None:
    first = SqliteStateStore(tmp_path / "state.db")
    etag = first.commit(commit(None, "c1", put=rows("a")))
    first.put_index("i", "k", {"x": 1})
    first.close()
    second = SqliteStateStore(tmp_path / "state.db")
    assert second.commit(commit(etag, "c2")) > etag
    assert names(second.read(ADA).rows) == ["a"]
    assert names(second.list_index("i")) == ["k"]
    second.close()


def test_a_store_that_another_process_keeps_locked_is_unavailable_and_recovers(tmp_path: Path) -> None:
    store = SqliteStateStore(tmp_path / "state.db", busy_timeout=timedelta(milliseconds=20))
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        store.commit(commit(None, "c1"))
    assert store.read(ADA).etag is None
    other.execute("ROLLBACK")
    other.close()
    store.commit(commit(None, "c1"))
    store.close()


def _text_file(path: Path) -> None:
    path.write_text("notes about the state of things\n" * 10)


def _foreign_database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA application_id=77")
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()


def _nameless_database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()


def _newer_database(path: Path) -> None:
    SqliteStateStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version={KIND.version + 1}")
    connection.close()


def _damaged_database(path: Path) -> None:
    SqliteStateStore(path).close()
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xa5" * (len(content) - 100))


@pytest.mark.parametrize("make", [_text_file, _foreign_database, _nameless_database, _newer_database, _damaged_database])
def test_a_file_that_is_not_ours_to_use_is_refused_and_left_as_it_is(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "state.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError) as refused:
        SqliteStateStore(path)
    (finding,) = refused.value.findings
    assert finding.place == str(path)
    assert finding.remedy
    assert path.read_bytes() == before


def test_a_path_that_cannot_be_a_file_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "state.db"):
        with pytest.raises(ConfigurationError, match=r"cannot be opened"):
            SqliteStateStore(path)


def test_a_file_that_is_damaged_under_a_running_store_is_unavailable_left_alone_and_good_again_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    first = SqliteStateStore(path)
    etag = first.commit(commit(None, "c1", put=rows("a", "b")))
    first.close()
    sound = path.read_bytes()
    store = SqliteStateStore(path)
    path.write_bytes(sound[:100] + b"\xa5" * (len(sound) - 100))
    harmed = path.read_bytes()
    for touch in (lambda: store.read(ADA), lambda: store.commit(commit(etag, "c2"))):
        with pytest.raises(StoreUnavailable, match=r"state\.db: .*(malformed|corrupt|not a database)"):
            touch()
    assert path.read_bytes() == harmed
    path.write_bytes(sound)
    assert names(store.read(ADA).rows) == ["a", "b"]
    store.commit(commit(etag, "c2"))
    store.close()


@pytest.mark.parametrize("other", [None, _text_file, _foreign_database, lambda path: SqliteStateStore(path).close()])
def test_a_file_that_is_taken_away_or_replaced_under_a_running_store_is_noticed_and_the_other_is_left_alone(
    tmp_path: Path, other: Any
) -> None:
    """SQLite would go on writing to the file without a name, and what it acknowledges would be gone."""
    path, aside = tmp_path / "state.db", tmp_path / "aside.db"
    store = SqliteStateStore(path)
    etag = store.commit(commit(None, "c1", put=rows("a")))
    path.rename(aside)
    if other is not None:
        other(path)
    before = path.read_bytes() if other is not None else None
    for touch in (lambda: store.commit(commit(etag, "c2")), lambda: store.put_index("i", "k", {}), lambda: store.read(ADA)):
        with pytest.raises(StoreUnavailable, match="not the file that was opened"):
            touch()
    assert (path.read_bytes() if path.exists() else None) == before
    aside.replace(path)
    store.commit(commit(etag, "c2"))
    assert names(store.read(ADA).rows) == ["a"]
    store.close()


def test_a_store_that_turns_read_only_under_a_running_process_can_be_read_and_recovers(tmp_path: Path) -> None:
    mode = ["rwc"]

    def connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
        uri = f"{path.as_uri()}?mode={mode[0]}"
        return sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)

    store = SqliteStateStore(tmp_path / "state.db", connect=connect)
    etag = store.commit(commit(None, "c1", put=rows("a")))
    mode[0] = "ro"
    # The connection at hand was opened before; one that is opened now can only read.
    with store._database.reading():
        with pytest.raises(StoreUnavailable, match="readonly"):
            store.commit(commit(etag, "c2"))
        assert names(store.read(ADA).rows) == ["a"]
    mode[0] = "rwc"
    with store._database.reading():
        pass
    store.commit(commit(etag, "c2"))
    assert names(store.read(ADA).rows) == ["a"]
    store.close()


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "state.db").touch()
    store = SqliteStateStore(tmp_path / "state.db")
    assert store.read(ADA).etag is None
    store.close()


# --- beside the double

KEYS = st.text(alphabet="ab|~\u00e9\uff5e\U0001f600", min_size=1, max_size=4)
TEXTS = st.text(alphabet="ab|~\u00e9\uff5e\U0001f600", max_size=3)
VALUES = st.dictionaries(st.text(max_size=3), st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), max_size=3)


@settings(max_examples=150, deadline=None)
@given(
    commits=st.lists(st.tuples(VALUES, st.dictionaries(KEYS, VALUES, max_size=4), st.sets(KEYS, max_size=2)), max_size=4),
    asked=st.lists(st.tuples(TEXTS, TEXTS, st.none() | TEXTS, st.integers(-1, 5)), min_size=1, max_size=4),
)
def test_the_double_and_the_file_give_the_same_answers(
    commits: list[tuple[dict[str, Any], dict[str, Any], set[str]]], asked: list[tuple[str, str, str | None, int]]
) -> None:
    """Code that is tested on the double meets nothing new on the file: order, ranges, odd characters, and what is refused."""
    with tempfile.TemporaryDirectory() as folder:
        stores: tuple[MemoryStateStore, SqliteStateStore] = (MemoryStateStore(), SqliteStateStore(Path(folder) / "state.db"))
        answers: list[list[Any]] = [[], []]
        for store, said in zip(stores, answers, strict=True):
            etag = None
            for turn, (head, put, delete) in enumerate(commits):
                put_rows = tuple(Row(name=name, data=data) for name, data in put.items())
                try:
                    etag = store.commit(commit(etag, f"c{turn}", head=head, put=put_rows, delete=tuple(delete)))
                    for row in put_rows:
                        store.put_index("i", row.name, row.data)
                except ValueError:
                    said.append("refused")
            said.append(store.read(ADA).head)
            said.append(store.read(ADA).rows)
            for prefix, after, up_to, limit in asked:
                said.append(store.scan(ADA, prefix, after=after, limit=limit))
                said.append(store.list_index("i", prefix=prefix, after=after, up_to=up_to, limit=limit))
            store.close()
        assert answers[0] == answers[1]


# --- processes

ROOT = Path(__file__).resolve().parents[2]

PRELUDE = """
import sys
from adapters.stores.sqlite import SqliteStateStore
from joinery.engine.ports import Commit, Row
from joinery.errors import LostRace, StoreUnavailable

def commit(number, expected, partition="acme|ada"):
    row = Row(name=f"r{number:06}", data={"n": number})
    return Commit(partition=partition, expected=expected, commit_id=f"{sys.argv[2]}-{number}", head={"n": number}, put=(row,))
"""

RACE = """
store = SqliteStateStore(sys.argv[1])
print("ready", flush=True)
for number, line in enumerate(sys.stdin):
    expected = line.strip() or None
    try:
        print("won", store.commit(commit(number, expected)), flush=True)
    except LostRace:
        print("lost", flush=True)
"""

FOR_EVER = """
store = SqliteStateStore(sys.argv[1])
etag = store.read("acme|ada").etag
number = int(sys.argv[3])
while True:
    etag = store.commit(commit(number, etag))
    print(number, flush=True)
    number += 1
"""

DISK_FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = SqliteStateStore(sys.argv[1])
etag, number = None, 0
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
try:
    while True:
        etag = store.commit(commit(number, etag))
        number += 1
except StoreUnavailable:
    pass
assert number > 3, number
assert [row.data["n"] for row in store.read("acme|ada").rows] == list(range(number))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.commit(commit(number, etag))
assert [row.data["n"] for row in store.read("acme|ada").rows] == list(range(number + 1))
print("resumed")
"""


def child(code: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PRELUDE + code, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.servers
def test_of_two_processes_that_commit_against_one_etag_exactly_one_wins(tmp_path: Path) -> None:
    """From the first moment on: both make the file together, and many rounds follow."""
    both = [child(RACE, str(tmp_path / "state.db"), name) for name in ("left", "right")]
    try:
        assert [answer(process) for process in both] == ["ready", "ready"]
        expected = ""
        for _ in range(200):
            for process in both:
                assert process.stdin is not None
                process.stdin.write(f"{expected}\n")
                process.stdin.flush()
            outcomes = sorted(answer(process) for process in both)
            assert outcomes[0] == "lost"
            assert outcomes[1].startswith("won ")
            expected = outcomes[1].removeprefix("won ")
    finally:
        for process in both:
            process.communicate(timeout=30)
    store = SqliteStateStore(tmp_path / "state.db")
    assert store.read(ADA).etag == expected
    assert len(store.read(ADA).rows) == 200
    store.close()


@pytest.mark.servers
def test_a_killed_process_loses_no_acknowledged_commit(tmp_path: Path) -> None:
    chance = random.Random(7)
    committed = 0
    for turn in range(8):
        process = child(FOR_EVER, str(tmp_path / "state.db"), f"turn{turn}", str(committed))
        acknowledged = [answer(process) for _ in range(chance.randrange(1, 60))]
        os.kill(process.pid, signal.SIGKILL)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        rest = process.stdout.read()
        process.wait(timeout=30)
        process.stdout.close()
        acknowledged += [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        store = SqliteStateStore(tmp_path / "state.db")
        snapshot = store.read(ADA)
        assert [row.data["n"] for row in snapshot.rows] == list(range(len(snapshot.rows)))
        assert snapshot.head is not None
        assert snapshot.head["n"] == len(snapshot.rows) - 1
        assert len(snapshot.rows) > int(acknowledged[-1])
        committed = len(snapshot.rows)
        store.close()


@pytest.mark.servers
@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are a Unix thing")
def test_a_full_disk_is_unavailable_loses_nothing_and_resumes_by_itself(tmp_path: Path) -> None:
    process = child(DISK_FULL, str(tmp_path / "state.db"), "full")
    output, _ = process.communicate(timeout=60)
    assert output.strip() == "resumed"
    assert process.returncode == 0
