"""A file of an older release becomes one of this release, step by step; whatever stops it, nothing is lost and the next start goes on."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.queues.journal import KIND as QUEUE
from adapters.stores.database import Database, FileKind
from adapters.stores.sqlite import KIND as STORE
from joinery.errors import ConfigurationError, StoreUnavailable

ROOT = Path(__file__).resolve().parents[2]


def _note(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE thing ADD COLUMN note TEXT NOT NULL DEFAULT ''")
    connection.execute("UPDATE thing SET note = 'was ' || n")


def _colour(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE colour (thing INTEGER PRIMARY KEY, name TEXT NOT NULL)")
    connection.execute("INSERT INTO colour SELECT n, 'blue' FROM thing")


FIRST = FileKind(title="the box", application_id=0x424F5821, schema="CREATE TABLE thing (n INTEGER PRIMARY KEY)")
THIRD = replace(
    FIRST,
    schema="CREATE TABLE thing (n INTEGER PRIMARY KEY, note TEXT NOT NULL DEFAULT ''); "
    "CREATE TABLE colour (thing INTEGER PRIMARY KEY, name TEXT NOT NULL)",
    upgrades=(_note, _colour),
)


def opened(path: Path, kind: FileKind) -> Database:
    return Database(path, kind, unavailable=StoreUnavailable, busy_timeout=timedelta(seconds=5))


def made_by_the_first_release(path: Path) -> Path:
    database = opened(path, FIRST)
    with database.writing() as connection:
        connection.executemany("INSERT INTO thing VALUES (?)", [(n,) for n in range(500)])
    database.close()
    return path


def content(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Version, tables and rows, read without our code."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tables = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
        found = {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name, _ in tables}
        return found | {"version": connection.execute("PRAGMA user_version").fetchall()}


def test_an_old_file_is_taken_up_step_by_step_and_a_copy_of_it_stays_beside_it(tmp_path: Path) -> None:
    path = made_by_the_first_release(tmp_path / "box.db")
    before = content(path)
    database = opened(path, THIRD)
    with database.writing() as connection:
        connection.execute("INSERT INTO thing VALUES (500, 'new')")
    database.close()
    after = content(path)
    assert after["version"] == [(3,)]
    assert after["thing"] == [(n, f"was {n}") for n in range(500)] + [(500, "new")]
    assert after["colour"] == [(n, "blue") for n in range(500)]
    assert content(tmp_path / "box.db.version-1") == before
    assert (tmp_path / "box.db.version-1").stat().st_mode & 0o077 == 0
    assert content(tmp_path / "box.db.version-2")["version"] == [(2,)]


def test_a_new_file_has_the_newest_version_at_once_and_no_copy(tmp_path: Path) -> None:
    opened(tmp_path / "box.db", THIRD).close()
    assert content(tmp_path / "box.db") == {"version": [(3,)], "thing": [], "colour": []}
    assert not list(tmp_path.glob("*version*"))


def test_a_step_that_fails_leaves_the_file_as_it_was_and_says_what_to_do(tmp_path: Path) -> None:
    path = made_by_the_first_release(tmp_path / "box.db")

    def half(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE thing SET n = n + 1000")
        connection.execute("ALTER TABLE nothing ADD COLUMN x")

    before = content(path)
    with pytest.raises(ConfigurationError, match=r"cannot be upgraded from version 1 to 2 .*box\.db\.version-1 is a copy"):
        opened(path, replace(THIRD, upgrades=(half, _colour)))
    assert content(path) == before
    opened(path, THIRD).close()
    assert content(path)["version"] == [(3,)]


def test_a_copy_that_is_there_already_is_never_overwritten(tmp_path: Path) -> None:
    path = made_by_the_first_release(tmp_path / "box.db")
    (tmp_path / "box.db.version-1").write_text("somebody's")
    opened(path, THIRD).close()
    assert (tmp_path / "box.db.version-1").read_text() == "somebody's"
    assert len(content(tmp_path / "box.db.version-1-2")["thing"]) == 500


def test_a_process_of_the_old_release_is_refused_once_another_upgraded_its_file(tmp_path: Path) -> None:
    path = made_by_the_first_release(tmp_path / "box.db")
    old = opened(path, FIRST)
    opened(path, THIRD).close()
    before = content(path)
    with pytest.raises(StoreUnavailable, match="is now version 3, and this release writes 1"), old.writing() as connection:
        connection.execute("INSERT INTO thing VALUES (7000)")
    old.close()
    assert content(path) == before


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, "tests/contract")
import test_store_upgrades as here
print("go", flush=True)
here.opened(Path(sys.argv[1]), here.THIRD).close()
print("done", flush=True)
"""


@pytest.mark.servers
def test_of_two_processes_that_open_an_old_file_together_one_upgrades_it_and_both_go_on(tmp_path: Path) -> None:
    for turn in range(3):
        path = made_by_the_first_release(tmp_path / f"{turn}.db")
        both = [subprocess.Popen([sys.executable, "-c", CHILD, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        assert [process.communicate(timeout=60)[0].split() for process in both] == [["go", "done"]] * 2
        assert content(path)["version"] == [(3,)]
        assert len(content(path)["colour"]) == 500
        assert sorted(one.name for one in tmp_path.glob(f"{turn}.db.*")) == [f"{turn}.db.version-1", f"{turn}.db.version-2"]


KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
sys.path.insert(0, "tests/contract")
import test_store_upgrades as here

left = int(sys.argv[2])

def counting(step):
    def run(connection):
        def statement(*_):
            global left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return sqlite3.SQLITE_OK
        connection.set_authorizer(statement)
        step(connection)
    return run

here.opened(Path(sys.argv[1]), here.replace(here.THIRD, upgrades=tuple(map(counting, here.THIRD.upgrades)))).close()
print("whole")
"""


@pytest.mark.servers
def test_a_kill_at_any_point_of_an_upgrade_loses_nothing_and_the_next_start_finishes_it(tmp_path: Path) -> None:
    expected, turn, versions = None, 0, set()
    while True:
        # Every compiled statement of the steps asks the authorizer several times: each question is a point to die at.
        turn += 3
        path = made_by_the_first_release(tmp_path / f"{turn}.db")
        original = content(path)
        done = subprocess.run([sys.executable, "-c", KILLED, str(path), str(turn)], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        found = content(path)
        versions.add(found["version"][0][0])
        assert content(tmp_path / f"{turn}.db.version-1") == original
        if found["version"] == [(1,)]:
            assert found == original
        opened(path, THIRD).close()
        whole = content(path)
        assert whole["version"] == [(3,)]
        expected = expected or whole
        assert whole == expected
    assert versions >= {1, 2}, "no kill came between the two steps"


#: What the first release made. A schema that differs from its own past needs an upgrade step, and a line here for the new version.
PAST: dict[str, tuple[FileKind, dict[int, str]]] = {
    "state.db": (
        STORE,
        {
            1: "CREATE TABLE entity (partition TEXT NOT NULL, name TEXT NOT NULL, etag INTEGER NOT NULL, data BLOB NOT NULL,"
            " PRIMARY KEY (partition, name)) WITHOUT ROWID"
        },
    ),
    "queue.db": (
        QUEUE,
        {
            1: "CREATE TABLE message (sequence_number INTEGER PRIMARY KEY, state TEXT NOT NULL, message_id TEXT NOT NULL, session_id TEXT,"
            " body BLOB NOT NULL, properties BLOB NOT NULL, enqueued_at INTEGER NOT NULL, scheduled_for INTEGER,"
            " delivery_count INTEGER NOT NULL, dead_letter_reason TEXT, dead_letter_description TEXT, checksum INTEGER NOT NULL);"
            " CREATE TABLE taken_id (message_id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;"
            " CREATE INDEX taken_id_at ON taken_id (at);"
            " CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
            2: "CREATE TABLE message (sequence_number INTEGER PRIMARY KEY, state TEXT NOT NULL, message_id TEXT NOT NULL, session_id TEXT,"
            " body BLOB NOT NULL, properties BLOB NOT NULL, enqueued_at INTEGER NOT NULL, scheduled_for INTEGER,"
            " delivery_count INTEGER NOT NULL, dead_letter_reason TEXT, dead_letter_description TEXT, checksum INTEGER NOT NULL,"
            " time_to_live INTEGER);"
            " CREATE TABLE taken_id (message_id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;"
            " CREATE INDEX taken_id_at ON taken_id (at);"
            " CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
            " CREATE TABLE session_state (session_id TEXT PRIMARY KEY, state BLOB NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID",
        },
    ),
}


def shape(path: Path) -> list[tuple[object, ...]]:
    """Tables with their columns, and indexes."""
    with closing(sqlite3.connect(path)) as connection:
        columns = (
            'SELECT t.name, c.cid, c.name, c.type, c."notnull", c.dflt_value, c.pk FROM sqlite_schema t, pragma_table_info(t.name) c'
            " WHERE t.type = 'table' ORDER BY 1, 2"
        )
        return connection.execute(columns).fetchall() + connection.execute("SELECT name FROM sqlite_schema ORDER BY name").fetchall()


@pytest.mark.parametrize(("name", "version"), [(name, version) for name, (_, past) in PAST.items() for version in past])
def test_a_file_of_every_release_so_far_ends_up_like_a_new_one(tmp_path: Path, name: str, version: int) -> None:
    kind, past = PAST[name]
    assert sorted(past) == list(range(1, kind.version + 1)), "a version without its past"
    opened(tmp_path / "new", kind).close()
    with closing(sqlite3.connect(tmp_path / "old")) as connection:
        connection.executescript(past[version])
        connection.execute(f"PRAGMA application_id={kind.application_id}")
        connection.execute(f"PRAGMA user_version={version}")
        connection.commit()
    opened(tmp_path / "old", kind).close()
    assert shape(tmp_path / "old") == shape(tmp_path / "new")
