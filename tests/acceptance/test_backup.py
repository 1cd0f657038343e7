"""`joinery backup` and `joinery restore`: consistent while it works, refused where it would destroy, and safe although the picture is old."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from coming_and_going import ComingAndGoing, wrong_at_the_end
from product import Product, product, wait_until
from tales import joined, left, made

from adapters.queues.journal import SqliteJournal
from adapters.stores.sqlite import SqliteStateStore
from joinery.engine.parking import ParkingLot
from joinery.engine.readside import ReadSide

pytestmark = pytest.mark.servers

_BRISK = {
    "JOINERY_CALL_DEADLINE_SECONDS": "1",
    "JOINERY_SEARCH_LAG_SECONDS": "0.3",
    "JOINERY_HALO_CLIENT_ID": "local",
    "JOINERY_HALO_CALLS": "0",
}


def backed_up(it: Product, target: Path) -> Path:
    done = it.command("backup", str(target))
    assert done.returncode == 0, done.stderr
    return target


def test_backups_taken_in_full_work_are_whole_and_an_old_one_leads_to_no_second_ticket(tmp_path: Path) -> None:
    """Some people are half-way when the copy is made, some come and some go afterwards: all of them end as if nothing had been."""
    it = Product.lay_out(tmp_path, apart=True, settings=_BRISK)
    try:
        it.start()
        stays, leaves = made(it, "Stella Stays"), made(it, "Lea Leaves")
        for one in (stays, leaves):
            it.world.add(one)
            joined(it, one)
        load = ComingAndGoing(it, iter([f"Back Up{number:02d}" for number in range(12)]))
        load.thread.start()
        wait_until("some have left", lambda: len(load.gone) >= 2)
        backups = [backed_up(it, tmp_path / "backups" / str(number)) for number in range(3)]
        wait_until("the load is through", lambda: not load.thread.is_alive(), within=120, explain=it.story)
        assert not load.failed
        it.world.disable(leaves)
        left(it, leaves)
        later = made(it, "Lara Later")
        it.world.add(later)
        joined(it, later)
        it.wait_quiet()
        tickets = it.world.tickets()
        for number, source in enumerate(backups):
            # The machine burns down; each time the backup is put into an empty folder.
            it.ours.kill()
            it.data.rename(tmp_path / f"burnt{number}")
            done = it.command("restore", str(source))
            assert done.returncode == 0, done.stderr
            it.ours.start()
            it.wait_ready()
            wait_until("all is looked at", lambda: it.health()[1]["queued"] == 0 and it.health()[1]["open_runs"] == 0, explain=it.story)
            assert [row["id"] for row in it.world.tickets()] == [row["id"] for row in tickets], it.story()
            joined(it, later)
            left(it, leaves)
            assert not any(wrong_at_the_end(it, [])[what] for what in ("lost", "duplicated"))
            _everybody_is_known_to_have_left(it, {one.id for one, _ in load.gone} | {leaves.id})
        assert "restored" in it.command("audit", "show", "--operator").stdout
        # What happens from now on is told by notifications again.
        newest = made(it, "Nina Newest")
        it.world.add(newest)
        joined(it, newest)
        it.world.disable(stays)
        left(it, stays)
    finally:
        it.end()


def _everybody_is_known_to_have_left(it: Product, people: set[str]) -> None:
    store = SqliteStateStore(it.data / "state.db")
    try:
        known = list(ReadSide(store, ParkingLot(store, clock=None, randomness=None)).people())  # type: ignore[arg-type]  # nothing is parked here
        present = {one.person.id for one in known if one.person is not None and one.person.account_enabled}
        assert not present & people
    finally:
        store.close()


def test_a_backup_holds_everything_with_its_versions_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    with product(tmp_path, settings=_BRISK) as it:
        one = made(it, "Mani Fest")
        it.world.add(one)
        joined(it, one)
        target = backed_up(it, tmp_path / "kept" / "monday")
        assert sorted(path.name for path in target.iterdir()) == ["client-state", "manifest.json", "queue.db", "state.db"]
        assert all(path.stat().st_mode & 0o077 == 0 for path in (target, *target.iterdir()))
        assert [path.name for path in target.parent.iterdir()] == ["monday"], "something unfinished was left behind"
        manifest = json.loads((target / "manifest.json").read_text())
        assert (manifest["format"], manifest["files"]["state.db"]["version"]) == (1, 1)
        again = it.command("backup", str(target))
        assert again.returncode == 2 and "is there already" in again.stderr
        running = it.command("restore", str(target))
        assert running.returncode == 2 and "is in use by `joinery up`" in running.stderr, running.stderr
        assert it.ours.stop() == 0
        # And from a folder that nobody uses.
        backed_up(it, tmp_path / "stopped")
        not_empty = it.command("restore", str(target))
        assert not_empty.returncode == 2 and "holds state.db" in not_empty.stderr and "nothing was overwritten" in not_empty.stderr


# --- refused ---


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of a small folder, made without a server."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "data").mkdir()
    SqliteStateStore(folder / "data" / "state.db").close()
    SqliteJournal(folder / "data" / "queue.db").close()
    (folder / "data" / "client-state").write_text("a" * 64)
    it = Product.lay_out(folder)
    backed_up(it, folder / "backup")
    it.end()
    return folder / "backup"


def _flipped(backup: Path) -> None:
    content = bytearray((backup / "state.db").read_bytes())
    content[-7] ^= 1
    (backup / "state.db").write_bytes(content)


def _cut(backup: Path) -> None:
    content = (backup / "queue.db").read_bytes()
    (backup / "queue.db").write_bytes(content[:-1])


def _without_its_state(backup: Path) -> None:
    (backup / "state.db").unlink()


def _without_its_manifest(backup: Path) -> None:
    (backup / "manifest.json").unlink()


def _foreign_manifest(backup: Path) -> None:
    (backup / "manifest.json").write_text('{"files": ["state.db"]}')


def _newer_format(backup: Path) -> None:
    manifest = json.loads((backup / "manifest.json").read_text())
    (backup / "manifest.json").write_text(json.dumps(manifest | {"format": 2}))


def _newer_state(backup: Path) -> None:
    manifest = json.loads((backup / "manifest.json").read_text())
    manifest["files"]["state.db"]["version"] = 99
    (backup / "manifest.json").write_text(json.dumps(manifest))


def _names_that_lead_out(backup: Path) -> None:
    manifest = json.loads((backup / "manifest.json").read_text())
    manifest["files"]["../elsewhere"] = manifest["files"]["client-state"]
    (backup / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_flipped, "is not as it was written"),
        (_cut, "is not as it was written"),
        (_without_its_state, "cannot be read"),
        (_without_its_manifest, "is no backup"),
        (_foreign_manifest, "is no backup"),
        (_newer_format, "newer release"),
        (_newer_state, "newer release"),
        (_names_that_lead_out, "does not list what a backup holds"),
    ],
)
def test_a_damaged_or_foreign_backup_is_refused_and_the_folder_stays_empty(
    tmp_path: Path, source: Path, harm: Callable[[Path], None], said: str
) -> None:
    it = Product.lay_out(tmp_path)
    shutil.copytree(source, tmp_path / "backup")
    harm(tmp_path / "backup")
    done = it.command("restore", str(tmp_path / "backup"))
    it.end()
    assert done.returncode == 2, done.stdout
    assert said in done.stderr and "Traceback" not in done.stderr
    assert not it.data.exists() or not [path for path in it.data.iterdir() if path.suffix != ".lock"]


@pytest.mark.parametrize("name", ["state.db", "state.db-wal", "queue.db", "client-state"])
def test_a_folder_that_holds_anything_of_a_state_is_not_overwritten(tmp_path: Path, source: Path, name: str) -> None:
    it = Product.lay_out(tmp_path)
    it.data.mkdir()
    (it.data / name).touch()
    done = it.command("restore", str(source))
    it.end()
    assert done.returncode == 2 and f"holds {name}" in done.stderr, done.stderr
    assert [path.name for path in it.data.iterdir() if path.suffix != ".lock"] == [name]


def test_a_damaged_state_is_not_made_into_a_backup(tmp_path: Path, source: Path) -> None:
    it = Product.lay_out(tmp_path)
    it.data.mkdir()
    content = bytearray((source / "state.db").read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    (it.data / "state.db").write_bytes(content)
    done = it.command("backup", str(tmp_path / "backup"))
    it.end()
    assert done.returncode == 2 and "cannot be copied" in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".toml") == ["data"]


def test_a_backup_is_one_moment_of_state_and_queue_together(tmp_path: Path, source: Path) -> None:
    """While somebody holds the queue, nothing is copied: a message must not vanish between the two copies."""
    it = Product.lay_out(tmp_path)
    shutil.copytree(source, it.data)
    with closing(sqlite3.connect(it.data / "queue.db", isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        done = it.command("backup", str(tmp_path / "backup"))
        assert done.returncode == 2 and "locked" in done.stderr, done.stderr
    it.end()
    assert not (tmp_path / "backup").exists()


def test_a_state_that_lies_elsewhere_is_not_believed_to_be_backed_up(tmp_path: Path, source: Path) -> None:
    tables = {"JOINERY_STORE": "tables", "JOINERY_TABLES_CONNECTION": "UseDevelopmentStorage=true"}
    it = Product.lay_out(tmp_path, settings=tables)
    for command in (["backup", str(tmp_path / "backup")], ["restore", str(source)]):
        done = it.command(*command)
        assert done.returncode == 2 and "JOINERY_STORE: is 'tables'" in done.stderr, done.stderr
    it.end()
    assert not (tmp_path / "backup").exists()
