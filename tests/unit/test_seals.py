"""The heads of the audit chains, sealed outside: what is in a seal, what it costs, and what a crash or a liar cannot do to it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from joinery.engine.memory import MemorySealLog
from joinery.engine.partition import Partition
from joinery.engine.ports import Commit
from joinery.engine.seals import GREW, SEALED, Sealer, read_seals
from joinery.engine.verification import AuditVerifier
from joinery.testing import TENANT, World, person


def lines(world: World) -> list[dict[str, Any]]:
    return [json.loads(line) for line in world.seals.data.splitlines()]


def grow(world: World, *people: str) -> None:
    """One more audit entry for each."""
    for identity in people:
        partition = Partition(
            f"{TENANT}|person:{identity}", store=world.store, queue=None, clock=world.clock, randomness=world.app.randomness
        )
        partition.audit("looked")
        partition.commit()


def verifier(world: World) -> AuditVerifier:
    return AuditVerifier(world.store, world.seals, tenant=TENANT)


def sealed_up_to(world: World) -> dict[str, int]:
    """Person -> how far the seals cover them."""
    book = read_seals(world.seals.data)
    assert book.broken is None
    return {partition.rpartition(":")[2]: max(points) for partition, points in book.heads.items()}


class Watched:
    """A store that counts what it is asked, and may stop answering at one of these questions."""

    def __init__(self, store: Any, *, crash_at: int = 0, after: bool = False) -> None:
        self._store = store
        self._crash_at = crash_at
        self._after = after
        self.asked: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def ask(*given: Any, **named: Any) -> Any:
            self.asked[name] += 1
            crash = self.asked.total() == self._crash_at
            if crash and not self._after:
                raise KeyboardInterrupt
            answer = method(*given, **named)
            if crash:
                raise KeyboardInterrupt
            return answer

        return ask


def test_the_first_tick_seals_and_then_every_quarter_of_an_hour_what_grew() -> None:
    world = World()
    grow(world, "ada", "bob")
    world.app.tick()
    grow(world, "bob")
    for _ in range(14):
        world.clock.advance(minutes=1)
        world.app.tick()
    assert [sorted(line["heads"]) for line in lines(world)] == [["local|person:ada", "local|person:bob"]]
    world.clock.advance(minutes=1)
    world.app.tick()
    assert [sorted(line["heads"]) for line in lines(world)][1:] == [["local|person:bob"]]
    assert sealed_up_to(world) == {"ada": 1, "bob": 2}
    assert verifier(world).verify().unsealed == 0


def test_while_nothing_grows_no_line_is_written_and_the_marks_go() -> None:
    world = World()
    grow(world, "ada")
    for _ in range(8):
        world.app.upkeep.sealer.seal()
        world.clock.advance(minutes=10)
    assert len(lines(world)) == 1
    assert world.store.list_index(GREW) == ()


def test_a_seal_reads_the_chains_that_grew_and_no_other() -> None:
    world = World()
    grow(world, *(f"p{number}" for number in range(50)))
    world.app.upkeep.sealer.seal()
    world.clock.advance(hours=1)
    world.app.upkeep.sealer.seal()
    grow(world, "p7", "p8")
    watched = Watched(world.store)
    assert Sealer(watched, world.seals, clock=world.clock).seal() == 2
    assert watched.asked == {"read_shared": 1, "list_index": 2, "read": 2, "replace_shared": 1, "put_index": 2}


def test_a_chain_is_marked_once_in_a_quarter_of_an_hour_and_a_look_without_news_writes_nothing() -> None:
    world = World()
    world.put(person("ada"))
    world.look("ada")
    world.look("ada")
    watched = Watched(world.store)
    world.store = watched
    world.restart()
    world.look("ada")
    looked = Counter({name: count for name, count in watched.asked.items() if name != "read_shared"})
    assert looked == {"read": 1}
    for number in range(4):
        world.directory.change("ada", employee_type=f"Type {number}")
        world.look("ada")
    assert watched.asked["commit"] == 4
    marks = [row.name for row in watched.list_index(GREW)]
    assert len(marks) == 1 and watched.asked["put_index"] == 0


def test_each_root_covers_all_that_was_sealed_before() -> None:
    world = World()
    for _ in range(3):
        grow(world, "ada")
        world.app.upkeep.sealer.seal()
    assert [line["seal"] for line in lines(world)] == [1, 2, 3]
    assert [line["prev"] for line in lines(world)] == ["", *(line["root"] for line in lines(world)[:-1])]


def test_thousands_of_heads_are_several_lines_and_each_is_there_once() -> None:
    world = World()
    grow(world, *(f"p{number}" for number in range(2_001)))
    assert world.app.upkeep.sealer.seal() == 2_001
    assert [len(line["heads"]) for line in lines(world)] == [2_000, 1]
    assert len(sealed_up_to(world)) == 2_001


# --- crashes and races ---


def test_a_seal_that_was_cut_short_at_any_byte_is_recognised_and_written_again() -> None:
    world = World()
    grow(world, "ada")
    world.app.upkeep.sealer.seal()
    before, row, marks = world.seals.data, world.store.read_shared(SEALED)[1], world.store.list_index(GREW)
    grow(world, "ada", "bob")
    world.app.upkeep.sealer.seal()
    whole = world.seals.data
    for size in range(len(before), len(whole)):
        world.seals.data = whole[:size]
        etag, _ = world.store.read_shared(SEALED)
        world.store.replace_shared(SEALED, row or {}, expected=etag)
        for mark in (*marks, *world.store.list_index(GREW)):
            world.store.put_index(GREW, mark.name, {})
        assert verifier(world).verify().sound, "a crash is no forgery"
        world.app.upkeep.sealer.seal()
        verdict = verifier(world).verify()
        assert verdict.sound and verdict.unsealed == 0, size
        assert verdict.torn_seals == (len(before) < size < len(whole) - 1), size


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_question_to_the_store_leaves_nothing_unsealed(after: bool) -> None:
    crashes = 0
    for place in range(1, 40):
        world = World()
        grow(world, "ada")
        world.app.upkeep.sealer.seal()
        world.clock.advance(minutes=40)
        grow(world, "ada", "bob")
        try:
            Sealer(Watched(world.store, crash_at=place, after=after), world.seals, clock=world.clock).seal()
        except KeyboardInterrupt:
            crashes += 1
        world.app.upkeep.sealer.seal()
        verdict = verifier(world).verify()
        assert verdict.sound and verdict.unsealed == 0, place
        assert sealed_up_to(world) == {"ada": 2, "bob": 1}
    assert crashes > 8


class Contested(MemorySealLog):
    """Another worker seals right before each of our appends."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.busy = False

    def append(self, data: bytes, *, at: int) -> None:
        if not self.busy:
            self.busy = True
            Sealer(self.world.store, self, clock=self.world.clock).seal()
            self.busy = False
        super().append(data, at=at)


def test_of_two_workers_that_seal_at_once_one_does() -> None:
    world = World()
    grow(world, "ada")
    log = Contested(world)
    assert Sealer(world.store, log, clock=world.clock).seal() == 0
    book = read_seals(log.data, remembered=world.store.read_shared(SEALED)[1])
    assert (len(book.seals), book.broken) == (1, None)


class Suspended:
    """A worker that is stopped between its mark and its commit, for hours, while others seal."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world.store, name)

    def commit(self, commit: Commit) -> str:
        self._world.app.upkeep.sealer.seal()
        self._world.clock.advance(hours=2)
        self._world.app.upkeep.sealer.seal()
        return self._world.store.commit(commit)


def test_a_commit_that_comes_hours_after_its_mark_is_sealed_all_the_same() -> None:
    world = World()
    partition = Partition(f"{TENANT}|person:ada", store=Suspended(world), queue=None, clock=world.clock, randomness=world.app.randomness)
    partition.audit("looked")
    partition.commit()
    assert sealed_up_to(world) == {}
    world.app.upkeep.sealer.seal()
    assert sealed_up_to(world) == {"ada": 1}


def test_a_log_that_does_not_answer_stops_nothing_and_is_seen_in_health() -> None:
    world = World()
    grow(world, "ada")
    world.seals.unavailable = True
    world.app.tick()
    assert world.app.vitals.report()[1]["coverage"]["sealed_at"] is None
    world.seals.unavailable = False
    world.app.tick()
    assert world.app.vitals.report()[1]["coverage"]["sealed_at"] == "2026-01-05T08:00:00.000000Z"
    assert sealed_up_to(world) == {"ada": 1}


def test_somebody_elses_file_does_not_grow() -> None:
    world = World()
    grow(world, "ada")
    world.seals.data = b"127.0.0.1 localhost\n"
    world.app.tick()
    assert world.seals.data == b"127.0.0.1 localhost\n"


# --- liars ---


def three_seals() -> World:
    world = World()
    for _ in range(3):
        grow(world, "ada")
        world.app.upkeep.sealer.seal()
        world.clock.advance(timedelta(minutes=1))
    return world


@pytest.mark.parametrize(
    ("what", "number", "wrong"),
    [
        (lambda seals: [seals[0], seals[1].replace(b'"seq":2', b'"seq":1'), seals[2]], 2, "changed"),
        (lambda seals: [seals[0], seals[1], seals[2].replace(b'"seq":3', b'"seq":2')], 3, "changed"),
        (lambda seals: [seals[0], seals[2]], 2, "missing"),
        (lambda seals: [seals[0], seals[1], seals[1], seals[2]], 3, "reordered"),
        (lambda seals: seals[:2], 3, "truncated"),
        (lambda seals: [], 1, "truncated"),
    ],
    ids=["changed", "last changed", "missing", "twice", "truncated", "gone"],
)
def test_seals_that_were_tampered_with_are_named(what: Any, number: int, wrong: str) -> None:
    world = three_seals()
    world.seals.data = b"".join(what(world.seals.data.splitlines(keepends=True)))
    (found,) = verifier(world).verify().breaks
    assert (found.partition, found.seq, found.wrong) == ("seals", number, wrong)


def test_a_log_that_lost_its_end_goes_on_with_the_next_number_so_that_the_gap_stays() -> None:
    world = three_seals()
    world.seals.data = b"".join(world.seals.data.splitlines(keepends=True)[:1])
    grow(world, "ada")
    world.app.upkeep.sealer.seal()
    assert [line["seal"] for line in lines(world)] == [1, 4]
    (found,) = verifier(world).verify().breaks
    assert (found.seq, found.wrong) == (2, "missing")


def test_a_log_that_was_put_away_is_whole_again_when_its_parts_are_put_together() -> None:
    world = three_seals()
    first, world.seals.data = world.seals.data, b""
    grow(world, "ada")
    world.app.upkeep.sealer.seal()
    assert not verifier(world).verify().sound
    world.seals.data = first + world.seals.data
    assert verifier(world).verify().sound
