"""Erasing a person: nothing that describes them is left in any file, the chains hold, and decisions go on as before."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from stories import JOINERS, assert_sound, joined, statuses

from adapters.stores.seal_file import FileSealLog
from adapters.stores.sqlite import SqliteStateStore
from joinery.domain.events import Joined
from joinery.domain.person import Manager, Person
from joinery.engine.breaker import HeldChange
from joinery.engine.context import Context
from joinery.engine.erasure import ERASURES
from joinery.engine.lookup import NAMES
from joinery.engine.operations import operator_partition
from joinery.engine.recipes import Workflow
from joinery.engine.seals import Sealer
from joinery.engine.verification import AuditVerifier
from joinery.errors import Refused
from joinery.log_lines import JsonLines
from joinery.testing import TENANT, World, person
from workflows import CATALOGUE

ADA = f"{TENANT}|person:ada"
#: In every field that describes somebody; the spelling needs no escape anywhere.
MARK = "Quixotic"
MANAGER = Manager(
    id="bob", display_name=f"{MARK} Manager", mail=f"{MARK}.boss@contoso.example", user_principal_name=f"{MARK}.b@contoso.example"
)


def marked(**changes: Any) -> Person:
    """Somebody whose every describing field holds the mark."""
    texts = {one.name: f"{MARK} {one.name}" for one in fields(Person) if one.type == "str" and one.name not in ("id", "user_type")}
    texts |= {"mail": f"{MARK}@contoso.example", "user_principal_name": f"{MARK}.upn@contoso.example"}
    moments = {"hire_date": datetime(2026, 1, 3, tzinfo=UTC), "created_at": datetime(2026, 1, 2, tzinfo=UTC)}
    plain: dict[str, Any] = {"id": "ada", "user_type": "Member", "manager": MANAGER, "groups": frozenset({JOINERS}), **moments}
    return Person(**{**texts, **plain, **changes})


class Marked:
    """A recipe that remembers a value about the person, beside those of the product."""

    @staticmethod
    def recipe(ctx: Context) -> None:
        ctx.step("the name, in capitals", lambda: {"name": ctx.person.name})
        CATALOGUE[Joined].recipe(ctx)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def world(folder: Path) -> Iterator[World]:
    """A store in a file. It is shredded as the product's wiring does it."""
    joiner = CATALOGUE[Joined]
    catalogue = {**CATALOGUE, Joined: Workflow(name=joiner.name, version=joiner.version, recipe=Marked.recipe)}
    world = World(store=SqliteStateStore(folder / "state.db"), catalogue=catalogue)
    world.seals = FileSealLog(folder / "seals.jsonl")  # type: ignore[assignment]  # the port that the product uses
    world.restart()
    with world.store._database.reading() as connection:
        # Some builds of SQLite zero what they delete, others do not: this is one of the others.
        connection.execute("PRAGMA secure_delete=OFF")
    yield world
    world.store.close()


def eraser(world: World) -> Any:
    made = world.app.upkeep.eraser
    made._shred = world.store.shred
    return made


def career(world: World) -> World:
    """Joins, is renamed, leaves; the desk refuses something in words that name them; a message about them is parked."""
    world.put(marked())
    world.look("ada")
    world.pass_time(minutes=20)
    world.directory.change("ada", mail=f"{MARK}.new@contoso.example")
    world.look("ada")
    refusal = Refused("the desk refused it")
    refusal.said = f"{MARK} has open tickets"
    world.desk.fail(refusal)
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(minutes=40)
    world.app.parking.park(json.dumps({"who": f"{MARK}.upn@contoso.example"}).encode(), reason="unknown", remedy="look")
    world.app.parking.park(b'{"who": "somebody else"}', reason="unknown", remedy="look")
    Sealer(world.store, world.seals, clock=world.clock).seal()
    return world


def holding(folder: Path, text: str = MARK) -> list[str]:
    """Files below the folder that hold the text, however it is encoded."""
    forms = {text.casefold().encode(), text.casefold().encode("utf-16-le")}
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and any(form in path.read_bytes().lower() for form in forms))


def verified(world: World) -> bool:
    return AuditVerifier(world.store, world.seals, tenant=TENANT).verify().sound


def test_after_erasing_no_file_holds_anything_that_describes_the_person(
    world: World, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    career(world)
    assert "state.db" in " ".join(holding(folder)), "or the search finds nothing, ever"
    assert statuses(world) == [("joiner", "verified"), ("leaver", "verified")]
    done = eraser(world).erase(ADA, reason="request 14", by="kim")
    assert done.rows > 12 and done.parked == 1 and not done.blocked_by
    assert holding(folder) == []
    assert not any(MARK in message.body.decode() for message in world.queue.sent)
    assert MARK not in "".join(JsonLines().format(record) for record in caplog.records)
    assert verified(world)
    # What is not theirs is still there.
    assert sorted(parked.body for parked in world.app.reads.parked()) == ["", '{"who": "somebody else"}']
    assert statuses(world) == [("joiner", "verified"), ("leaver", "verified")]


def test_who_reports_to_somebody_goes_with_them_and_no_name_leads_to_them_any_more(world: World, folder: Path) -> None:
    world.put(marked(groups=frozenset()))
    world.put(person("ben", display_name="Ben Outlandish", manager=Manager(id="ada")))
    for one in ("ada", "ben"):
        world.look(one)
    world.directory.change("ada", department=f"{MARK} Research")
    world.look("ada")
    world.pass_time(hours=1)
    assert statuses(world) == [("mover", "verified")] and world.store.list_index(NAMES)
    assert world.app.reads.find(f"{MARK}@contoso.example")
    assert not eraser(world).erase(ADA, reason="request 14", by="kim").blocked_by
    assert [row.name for row in world.store.list_index(NAMES) if row.name.endswith(ADA)] == []
    # What is left is what is known of Ben himself.
    world.directory.change("ben", display_name="Ben")
    world.look("ben")
    world.pass_time(hours=1)
    assert not eraser(world).erase(f"{TENANT}|person:ben", reason="request 15", by="kim").blocked_by
    assert holding(folder, "Outlandish") == holding(folder) == []


def test_the_words_of_an_answer_about_somebody_go_with_them(world: World, folder: Path) -> None:
    """Joined long ago, for Bob, who refuses them a role and says why."""
    world.put(person("bob"))
    world.put(marked(manager=Manager(id="bob", mail="bob@contoso.example"), groups=frozenset()))
    for one in ("bob", "ada"):
        world.look(one)
        world.pass_time(minutes=5)
    world.directory.add_member("g-itsm-changemanagers", "ada")
    world.look("ada")
    world.pass_time(minutes=20)
    [request] = world.desk.tickets
    world.desk.answer(request.id, request.rounds[-1].answers[0].asked, False, words="Outlandish, says the board")
    world.app.poll_approvals()
    world.pass_time(minutes=40)
    assert statuses(world) == [("role_change", "verified")]
    assert holding(folder, "Outlandish"), "or the search finds nothing, ever"
    assert not eraser(world).erase(ADA, reason="request 14", by="kim").blocked_by
    assert holding(folder, "Outlandish") == holding(folder) == []
    assert verified(world)


def test_the_operators_audit_tells_the_erasure_by_id(world: World) -> None:
    career(world)
    eraser(world).erase(ADA, reason="request 14", by="kim")
    (line,) = world.app.reads.audit(operator_partition(TENANT))
    assert (line.record.action, line.record.why, line.personal) == ("erased", "request 14", {"by": "kim"})
    assert line.record.detail["person"] == "ada"


def test_erasing_again_changes_nothing_and_tells_nothing(world: World) -> None:
    career(world)
    eraser(world).erase(ADA, reason="request 14", by="kim")
    before = world.store.read(ADA)
    again = eraser(world).erase(ADA, reason="request 14", by="kim")
    assert (again.rows, again.parked, again.blocked_by) == (0, 0, ())
    assert world.store.read(ADA) == before
    assert len(list(world.app.reads.audit(operator_partition(TENANT)))) == 1


def test_somebody_whom_we_never_saw_has_nothing_to_erase() -> None:
    world = World()
    assert world.app.upkeep.eraser.erase(f"{TENANT}|person:nobody", reason="x", by="kim").rows == 0
    assert world.store.partitions() == []


# --- decisions go on ---


def erased(world: World) -> World:
    assert not world.app.upkeep.eraser.erase(ADA, reason="x", by="kim").blocked_by
    return world


def active() -> World:
    """Somebody has joined, and everything about it is over, twin checks too."""
    return joined(World(), minutes=40)


def test_the_next_look_at_somebody_who_is_still_there_starts_nothing_and_remembers_them_anew() -> None:
    world = erased(active())
    calls = len(world.desk.calls)
    world.look("ada")
    world.look("ada")
    world.pass_time(hours=2)
    assert statuses(world) == [("joiner", "verified")] and len(world.desk.calls) == calls
    (known,) = world.app.reads.find("Ada Lovelace")
    assert known.head.known.baseline == known.head.known.seen
    assert not any(line.record.action == "fact" for line in world.audit("ada")[-3:])
    assert_sound(world)


def test_after_that_look_a_change_means_what_it_always_meant() -> None:
    world = erased(active())
    world.look("ada")
    world.directory.change("ada", department="Legal")
    world.look("ada")
    world.pass_time(minutes=20)
    told = [line.record.detail["fact"]["is"] for line in world.audit("ada") if line.record.action == "fact"]
    assert told == ["Joined", "Moved"]


def test_leaving_the_joiner_group_and_entering_it_again_after_an_erasure_starts_nothing() -> None:
    world = erased(active())
    for members in ((), (JOINERS,)):
        world.directory.change("ada")
        group = f"g-{JOINERS}".lower()
        (world.directory.add_member if members else world.directory.end_membership)(group, "ada")
        world.look("ada")
        world.pass_time(minutes=20)
    assert statuses(world) == [("joiner", "verified")]


@pytest.mark.parametrize(
    "how",
    [lambda world: world.directory.change("ada", account_enabled=False), lambda world: world.directory.purge("ada")],
    ids=["disabled", "gone"],
)
def test_somebody_who_leaves_after_an_erasure_is_offboarded(how: Callable[[World], None]) -> None:
    world = erased(active())
    how(world)
    world.look("ada")
    world.pass_time(minutes=40)
    assert statuses(world) == [("joiner", "verified"), ("leaver", "verified")]
    assert not world.desk.users[0].active
    assert_sound(world)


def test_somebody_who_left_and_was_erased_may_return_and_join_again() -> None:
    world = active()
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(minutes=40)
    erased(world)
    world.directory.change("ada", account_enabled=True)
    world.look("ada")
    world.pass_time(minutes=40)
    assert [line.record.action for line in world.audit("ada")].count("run started") == 2
    assert "Returned" in [line.record.detail["fact"]["is"] for line in world.audit("ada") if line.record.action == "fact"]
    assert_sound(world)


# --- while something is open ---


def test_while_a_run_is_open_nothing_is_erased_and_the_run_is_named() -> None:
    world = World()
    world.app.pauses.pause("*", "an upgrade")
    joined(world)
    before = world.store.read(ADA)
    done = world.app.upkeep.eraser.erase(ADA, reason="x", by="kim")
    (why,) = done.blocked_by
    assert re.fullmatch(r"run joiner-1-1-live-\w+ is open \(paused: an upgrade\)", why)
    assert world.store.read(ADA) == before
    assert list(world.app.reads.audit(operator_partition(TENANT))) == []


def test_while_a_late_check_is_due_nothing_is_erased() -> None:
    world = joined(World(), minutes=5)
    assert [why.partition(" of ")[0] for why in world.app.upkeep.eraser.erase(ADA, reason="x", by="kim").blocked_by] == ["a late check"] * 3


def test_while_a_change_is_held_nothing_is_erased() -> None:
    world = active()
    now = world.clock.now()
    world.app.held.put(HeldChange(partition=ADA, workflow="leaver", at=now, why="too many leave at once"))
    (why,) = world.app.upkeep.eraser.erase(ADA, reason="x", by="kim").blocked_by
    assert why.startswith("a change of theirs is held")
    world.app.held.drop(ADA)
    assert not world.app.upkeep.eraser.erase(ADA, reason="x", by="kim").blocked_by


def test_a_wish_is_carried_out_by_the_tick_once_nothing_is_open_any_more() -> None:
    world = joined(World(), minutes=5)
    world.app.upkeep.eraser.wish(ADA, reason="request 14", by="kim")
    world.app.tick()
    assert world.app.reads.find("Ada Lovelace") and world.store.list_index(ERASURES)
    world.pass_time(minutes=40)
    world.app.tick()
    assert world.app.reads.find("Ada Lovelace") == () and not world.store.list_index(ERASURES)
    (line,) = world.app.reads.audit(operator_partition(TENANT))
    assert (line.record.action, line.record.why) == ("erased", "request 14")


def test_a_reason_that_names_the_person_is_noticed_and_the_id_is_not_a_name() -> None:
    world = active()
    names = world.app.upkeep.eraser.names_the_person
    assert names(ADA, "ada lovelace asked for it") and names(ADA, "mail of LOVELACE@contoso.example")
    assert not names(ADA, "request 14 about ada")


# --- crashes and races ---


class Crashing:
    """Stops before or after the given write."""

    def __init__(self, store: Any, *, at: int, after: bool) -> None:
        self._store, self._left, self._after = store, at, after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name not in ("commit", "put_index", "delete_index", "replace_shared"):
            return method

        def write(*given: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise KeyboardInterrupt
            answer = method(*given, **named)
            if self._left == 0:
                raise KeyboardInterrupt
            return answer

        return write


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_write_leaves_sound_chains_and_a_repeat_ends_the_work(after: bool) -> None:
    crashes, done = 0, False
    for at in range(1, 20):
        world = active()
        world.app.parking.park(b"about lovelace@contoso.example", reason="unknown", remedy="look")
        inner = world.store
        world.store = Crashing(inner, at=at, after=after)
        world.restart()
        try:
            world.app.upkeep.eraser.erase(ADA, reason="x", by="kim")
            done = True
        except KeyboardInterrupt:
            crashes += 1
        world.store = inner
        world.restart()
        assert verified(world), at
        erased(world)
        assert verified(world), at
        everything = repr([inner._partitions, inner._indexes, inner._shared])
        assert "Lovelace" not in everything and "lovelace@" not in everything, at
        if done:
            break
    assert done and crashes >= 4


def test_a_person_who_is_handled_in_the_same_moment_is_erased_and_loses_nothing() -> None:
    world = active()

    class Busy:
        """A look comes between our read and our commit, once."""

        times = 1

        def __getattr__(self, name: str) -> Any:
            return getattr(world.store, name)

        def commit(self, commit: Any) -> str:
            if commit.partition == ADA and self.times:
                self.times -= 1
                world.directory.change("ada", department="Legal")
                world.look("ada")
            return world.store.commit(commit)

    eraser = world.app.upkeep.eraser
    eraser._store = Busy()  # type: ignore[assignment]  # the store, with somebody else at work
    assert "not believed yet" in eraser.erase(ADA, reason="x", by="kim").blocked_by[0]
    world.pass_time(hours=1)
    assert eraser.erase(ADA, reason="x", by="kim").blocked_by == ()
    assert "Moved" in [line.record.detail["fact"]["is"] for line in world.audit("ada") if line.record.action == "fact"]
    assert world.app.reads.find("Ada Lovelace") == ()
    assert verified(world)


def test_hundreds_of_entries_are_erased_in_commits_that_every_store_takes() -> None:
    world = World()
    partition = world.app.dispatcher.open_partition(ADA)
    for number in range(250):
        partition.audit("looked", personal={"name": f"Ada Lovelace {number}"})
        if number % 40 == 39:
            partition.commit()
    partition.commit()
    assert world.app.upkeep.eraser.erase(ADA, reason="x", by="kim").rows == 250
    assert "Lovelace" not in repr(world.store._partitions)
    assert verified(world)
