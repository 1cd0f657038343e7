"""The state is put back to an earlier moment while the desk and the directory went on: nothing is done twice, and nobody is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from adapters.stores.copies import copy_database
from adapters.stores.sqlite import SqliteStateStore
from joinery.engine.audit import first_break
from joinery.engine.restoring import forget_bookmarks
from joinery.testing import World, person

ADA = person("ada", groups=("ITSM-NewJoiner",))


def joins(world: World) -> None:
    world.put(ADA)
    world.look("ada")
    world.pass_time(minutes=30)


def leaves(world: World) -> None:
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(minutes=40)


def is_gone(world: World) -> None:
    world.directory.purge("ada")
    world.look("ada")
    world.pass_time(minutes=40)


def on_file(path: Path) -> World:
    world = World(store=SqliteStateStore(path))
    world.app.sweep()
    world.work()
    return world


def put_back(world: World, path: Path) -> None:
    """Another process over the older state; the queue's messages are lost with the machine."""
    world.store.close()
    with closing(SqliteStateStore(path)) as store:
        forget_bookmarks(store)
    world.store = SqliteStateStore(path)
    world.queue = type(world.queue)(world.clock)
    world.restart()
    world.app.sweep()
    world.pass_time(hours=2)


STORIES: dict[str, tuple[tuple[Callable[[World], None], ...], tuple[Callable[[World], None], ...]]] = {
    "joined since": ((), (joins,)),
    "joined and left since": ((), (joins, leaves)),
    "left since": ((joins,), (leaves,)),
    "deleted since": ((joins,), (is_gone,)),
    "nothing since": ((joins, leaves), ()),
}


@pytest.mark.parametrize("story", STORIES)
def test_what_was_done_since_is_found_and_not_done_again(tmp_path: Path, story: str) -> None:
    first, then = STORIES[story]
    world = on_file(tmp_path / "state.db")
    for tell in first:
        tell(world)
    copy_database(tmp_path / "state.db", tmp_path / "older.db")
    for tell in then:
        tell(world)
    done = [(ticket.kind, ticket.key) for ticket in world.desk.tickets]
    notes = [note.key for note in world.desk.notes]
    put_back(world, tmp_path / "older.db")
    assert [(ticket.kind, ticket.key) for ticket in world.desk.tickets] == done
    assert [note.key for note in world.desk.notes] == notes
    assert [user.active for user in world.desk.users] == [leaves not in (*first, *then) and is_gone not in then]
    assert all(view.run.closed_at for view in world.runs())
    assert {str(view.run.status) for view in world.runs()} <= {"verified"}
    assert first_break([line.record for line in world.audit("ada")]) is None
    world.store.close()


def test_a_look_that_the_copied_link_has_passed_is_made_again(tmp_path: Path) -> None:
    """The link says that everybody was told; the messages were lost with the machine."""
    world = on_file(tmp_path / "state.db")
    world.put(ADA)
    world.app.sweep()
    copy_database(tmp_path / "state.db", tmp_path / "older.db")
    put_back(world, tmp_path / "older.db")
    assert [ticket.kind for ticket in world.desk.tickets] == ["onboarding"]
    world.store.close()
