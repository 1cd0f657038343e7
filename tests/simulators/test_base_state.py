"""The stand-ins' documents: all of a request or nothing, and the same world after a restart."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from simulators.state import StateFile


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "world.db")
    with state.transaction():
        state.put("user", "a", {"name": "before"})
    with pytest.raises(ValueError), state.transaction():
        state.put("user", "a", {"name": "after"})
        state.put("user", "b", {"name": "new"})
        state.next("id")
        raise ValueError
    assert state.all("user") == [{"name": "before"}]
    assert state.last("id") == 0


def test_an_inner_failure_takes_only_its_own_changes_back(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "world.db")
    with state.transaction():
        state.put("user", "a", {"n": 1})
        with pytest.raises(ValueError), state.transaction():
            state.delete("user", "a")
            state.put("user", "b", {"n": 2})
            raise ValueError
    state.close()
    assert StateFile(tmp_path / "world.db").all("user") == [{"n": 1}]


def test_reopening_goes_on_in_the_same_world_and_order(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "world.db")
    with state.transaction():
        for name in ("c", "a", "b"):
            state.put("user", name, {"name": name, "n": state.next("id")})
        state.put("user", "c", {"name": "c2", "n": 9})
        state.delete("user", "b")
    state.close()
    again = StateFile(tmp_path / "world.db")
    assert [user["name"] for user in again.all("user")] == ["c2", "a"]
    with again.transaction():
        assert again.next("id") == 4


def test_what_was_committed_survives_a_killed_process(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from simulators.state import StateFile\n"
        "state = StateFile(Path(sys.argv[1]))\n"
        "with state.transaction(): state.put('user', 'a', {'n': 1})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "world.db")], cwd=root, check=False)
    assert StateFile(tmp_path / "world.db").all("user") == [{"n": 1}]


def test_a_change_outside_a_transaction_is_refused() -> None:
    with pytest.raises(RuntimeError):
        StateFile(None).put("user", "a", {})


def test_a_failing_disk_takes_the_memory_back_too(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "world.db")
    other = sqlite3.connect(tmp_path / "world.db")
    other.execute("DROP TABLE documents")
    with pytest.raises(sqlite3.OperationalError), state.transaction():
        state.put("user", "a", {})
    assert state.get("user", "a") is None


def test_reads_of_the_past_see_what_was_there_then() -> None:
    ticks = [0.0]
    state = StateFile(None, versions_kept=10, ticks=lambda: ticks[0])
    with state.transaction():
        state.put("user", "kept", {"v": 1})
        state.put("user", "gone", {"v": 1})
    ticks[0] = 10.0
    with state.transaction():
        state.put("user", "kept", {"v": 2})
        state.delete("user", "gone")
        state.put("user", "new", {"v": 1})
    ticks[0] = 12.0
    with state.reading_the_past(5):
        assert state.get("user", "kept") == {"v": 1}
        assert state.all("user") == [{"v": 1}, {"v": 1}]
        assert state.get("user", "new") is None
    with state.reading_the_past(60):
        assert state.all("user") == []
    assert state.get("user", "kept") == {"v": 2}


def test_watchers_hear_only_of_commits_that_changed_something() -> None:
    heard: list[int] = []
    state = StateFile(None)
    state.watch(lambda: heard.append(1))
    with state.transaction():
        pass
    with state.transaction(), state.transaction():
        state.put("user", "a", {})
    assert heard == [1]
