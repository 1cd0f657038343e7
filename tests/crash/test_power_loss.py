"""The power fails in the middle of it: every commit that was acknowledged is there, and of the rest a clean beginning."""

from __future__ import annotations

import hashlib
import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from power import Disk, Image, images

from adapters.queues.engine import QueueEngine
from adapters.queues.journal import SqliteJournal
from adapters.queues.messages import NewMessage
from adapters.stores.sqlite import SqliteStateStore
from joinery.engine.memory import FakeClock
from joinery.engine.ports import Commit, Row

#: Images of each file.
_IMAGES = 150 if os.environ.get("JOINERY_CAMPAIGN") else 15
#: Enough pages for several checkpoints, each of which writes into the main file.
_TURNS = 700

PEOPLE = tuple(f"acme|person:{n}" for n in range(5))


def _digest(content: Any) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()


# --- what the state store holds


def _held_by_the_store(store: SqliteStateStore) -> str:
    people = [(store.read(person), store.scan(person, "")) for person in PEOPLE]
    return _digest((people, store.list_index("due"), store.read_shared("link")))


def _loaded_store(disk: Disk, folder: Path) -> list[str]:
    """Commits, index rows and shared rows as a worker writes them; what the store held after each."""
    chance = random.Random(5)
    store = SqliteStateStore(folder / "state.db", connect=disk.connect)
    etags: dict[str, str | None] = dict.fromkeys(PEOPLE)
    link: str | None = None
    held = [_held_by_the_store(store)]
    for turn in range(1, _TURNS + 1):
        person = chance.choice(PEOPLE)
        if turn % 5 == 0:
            store.put_index("due", f"{turn % 50:03d}|{person}", {"turn": turn})
        elif turn % 7 == 0:
            link = store.replace_shared("link", {"turn": turn}, expected=link)
        else:
            put = tuple(Row(name=f"run.{chance.randrange(9)}", data={"turn": turn, "x": "x" * chance.randrange(9000)}) for _ in range(1))
            delete = (f"run.{9 + chance.randrange(3)}",)
            commit = Commit(partition=person, expected=etags[person], commit_id=f"c{turn}", head={"turn": turn}, put=put, delete=delete)
            etags[person] = store.commit(commit)
        disk.mark(turn)
        held.append(_held_by_the_store(store))
    store.close()
    return held


def _store_after(folder: Path) -> str:
    with closing(SqliteStateStore(folder / "state.db")) as store:
        held = _held_by_the_store(store)
        # It goes on from here.
        snapshot = store.read(PEOPLE[0])
        store.commit(Commit(partition=PEOPLE[0], expected=snapshot.etag, commit_id="after", head={"after": True}))
        return held


# --- what the queue holds


def _held_by_the_queue(journal: SqliteJournal) -> str:
    remembered = journal.load()
    messages = [(m.sequence_number, m.session_id, m.body, m.delivery_count, str(m.state)) for m in remembered.messages]
    return _digest((messages, remembered.next_sequence))


def _loaded_queue(disk: Disk, folder: Path) -> list[str]:
    chance = random.Random(6)
    clock = FakeClock()
    journal = SqliteJournal(folder / "queue.db", connect=disk.connect)
    engine = QueueEngine(clock, journal)
    held = [_held_by_the_queue(journal)]
    for turn in range(1, _TURNS + 1):
        lock = engine.accept_session() if chance.random() < 0.45 else None
        if lock is not None:
            received = engine.receive(lock)
            assert received[0].lock_token
            (engine.complete if chance.random() < 0.8 else engine.abandon)(received[0].lock_token)
            engine.release_session(lock)
        else:
            size, later = chance.randrange(1800), clock.now() + timedelta(days=9) if chance.random() < 0.2 else None
            message = NewMessage(body=b"b" * size, session_id=f"s{chance.randrange(6)}", message_id=f"m{turn}", scheduled_for=later)
            engine.send([message] * chance.choice((1, 1, 3)))
        disk.mark(turn)
        held.append(_held_by_the_queue(journal))
    engine.close()
    return held


def _queue_after(folder: Path) -> str:
    with closing(SqliteJournal(folder / "queue.db")) as journal:
        held = _held_by_the_queue(journal)
    engine = QueueEngine(FakeClock(), SqliteJournal(folder / "queue.db"))
    engine.send([NewMessage(body=b"after", session_id="s", message_id="after")])
    engine.close()
    return held


Load = Callable[[Disk, Path], list[str]]
FILES: dict[str, tuple[Load, Callable[[Path], str]]] = {
    "state.db": (_loaded_store, _store_after),
    "queue.db": (_loaded_queue, _queue_after),
}


@pytest.fixture(scope="module", params=sorted(FILES))
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Disk, list[str]]:
    """A file under load: its disk, and what it held after every acknowledged operation."""
    name: str = request.param
    disk = Disk(f"recorder of {name}")
    return name, disk, FILES[name][0](disk, tmp_path_factory.mktemp("recorded"))


def _operation_that_was_last(image: Image, name: str, folder: Path, held: list[str]) -> int:
    """Lay the image out, let our code open it; which operation was the last one in it. Raises ValueError for a state that never was."""
    image.lay_out(folder)
    found = FILES[name][1](folder)
    with closing(sqlite3.connect(folder / name)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    # The same state may have stood before and come again: the latest that can be meant counts.
    return max(number for number, state in enumerate(held[: image.acknowledged + 2]) if state == found)


def test_after_a_power_loss_everything_acknowledged_is_there_and_the_rest_is_a_clean_beginning(
    recorded: tuple[str, Disk, list[str]], tmp_path: Path
) -> None:
    name, disk, held = recorded
    checkpoints = sum(event.what == "sync" and event.file == name for event in disk.events)
    assert checkpoints > 3, "no checkpoint, so the main file was never at risk"
    for number, image in enumerate(images(disk.events, count=_IMAGES, seed=2026)):
        if not image.acknowledged and name not in image.files:
            continue
        last = _operation_that_was_last(image, name, tmp_path / str(number), held)
        assert last in (image.acknowledged, image.acknowledged + 1), f"image {number}: {image.acknowledged} acknowledged, {last} found"


def test_a_disk_that_lies_about_its_syncs_would_be_noticed(recorded: tuple[str, Disk, list[str]], tmp_path: Path) -> None:
    """The images are worth something: take the syncs away, and acknowledged work is gone."""
    name, disk, held = recorded
    lost = 0
    for number, image in enumerate(images(disk.events, count=15, seed=2027, syncs=False)):
        try:
            lost += _operation_that_was_last(image, name, tmp_path / str(number), held) < image.acknowledged
        except Exception:
            lost += 1
    assert lost > 5
