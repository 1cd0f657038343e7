"""Whatever somebody does to a stored chain is found, and named with its place."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.stores.sqlite import SqliteStateStore
from joinery.engine.audit import AUDIT, PERSONAL, Break, hash_of
from joinery.engine.operations import OperatorLog, operator_partition
from joinery.engine.ports import Document
from joinery.engine.verification import AuditVerifier, Verdict
from joinery.errors import StoreUnavailable
from joinery.testing import TENANT, World, person

ADA = f"{TENANT}|person:ada"


@dataclass
class Story:
    """A store in a file with a joiner, a leaver and an operator, sealed in the middle and at the end, and a way past the store into it."""

    world: World
    raw: sqlite3.Connection
    verifier: AuditVerifier
    entries: int

    def verify(self) -> Verdict:
        return self.verifier.verify()

    def found(self) -> Break:
        """The one thing that is wrong."""
        (one,) = self.verify().breaks
        return one

    def names(self, prefix: str, partition: str = ADA) -> list[str]:
        found = self.raw.execute("SELECT name FROM entity WHERE partition = ? ORDER BY name", (f"p|{partition}",)).fetchall()
        return [name for (name,) in found if name.startswith(prefix)]

    def get(self, name: str, partition: str = ADA) -> bytes:
        (data,) = self.raw.execute("SELECT data FROM entity WHERE partition = ? AND name = ?", (f"p|{partition}", name)).fetchone()
        return bytes(data)

    def put(self, name: str, data: bytes | Document, partition: str = ADA) -> None:
        content = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.raw.execute("INSERT OR REPLACE INTO entity VALUES (?, ?, 1, ?)", (f"p|{partition}", name, content))

    def delete(self, name: str, partition: str = ADA) -> None:
        self.raw.execute("DELETE FROM entity WHERE partition = ? AND name = ?", (f"p|{partition}", name))

    def entry(self, seq: int) -> Document:
        return dict(json.loads(self.get(f"{AUDIT}{seq:012d}")))

    def set_head(self, seq: int, hashed: str) -> None:
        self.put("head", {**json.loads(self.get("head")), "audit_seq": seq, "audit_hash": hashed})

    def rewrite_from(self, seq: int, **changes: Any) -> None:
        """What somebody does who can write the whole store: change an entry, and every hash after it, the head's too."""
        prev = self.entry(seq - 1)["hash"] if seq > 1 else ""
        for one in range(seq, self.entries + 1):
            entry = {**self.entry(one), **(changes if one == seq else {}), "prev": prev}
            prev = entry["hash"] = hash_of(entry)
            self.put(f"{AUDIT}{one:012d}", entry)
        self.set_head(self.entries, prev)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    path = tmp_path_factory.mktemp("audit") / "state.db"
    world = World(store=SqliteStateStore(path))
    OperatorLog(TENANT, store=world.store, clock=world.clock, randomness=world.app.randomness).record("paused", "x", by="kim", workflow="*")
    world.put(person("ada", groups=("ITSM-NewJoiner",), display_name='Ada "Ünïcode" \\ L\u2028'))
    world.look("ada")
    world.pass_time(minutes=20)
    world.app.upkeep.sealer.seal()
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(minutes=30)
    world.app.upkeep.sealer.seal()
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        entries = len(world.audit("ada"))
        yield Story(world=world, raw=raw, verifier=AuditVerifier(world.store, world.seals, tenant=TENANT), entries=entries)
    world.store.close()


@pytest.fixture
def story(told: Story) -> Iterator[Story]:
    """The same story for every test: what a test does to it is undone. So is the log of the seals."""
    rows = told.raw.execute("SELECT * FROM entity").fetchall()
    seals = told.world.seals.data
    yield told
    told.raw.execute("DELETE FROM entity")
    told.raw.executemany("INSERT INTO entity VALUES (?, ?, ?, ?)", rows)
    told.world.seals.data, told.world.seals.unavailable = seals, False


def test_a_chain_that_nobody_touched_is_sound(story: Story) -> None:
    verdict = story.verify()
    assert verdict.sound
    assert (verdict.chains, verdict.seals, verdict.unsealed) == (2, 2, 0)
    assert verdict.entries == story.entries + 1


def place(found: Break) -> tuple[str, int, str]:
    return found.partition, found.seq, found.wrong


def test_a_changed_entry_is_named(story: Story) -> None:
    story.put(f"{AUDIT}000000000003", {**story.entry(3), "why": "something else"})
    assert place(story.found()) == (ADA, 3, "changed")


def test_an_entry_that_cannot_be_read_any_more_is_named_and_so_is_one_before_it(story: Story) -> None:
    story.put(f"{AUDIT}000000000005", b"\xff{")
    assert place(story.found()) == (ADA, 5, "changed")
    story.delete(f"{AUDIT}000000000003")
    assert place(story.found()) == (ADA, 3, "missing")


def test_personal_data_that_cannot_be_read_any_more_are_named_at_their_entry(story: Story) -> None:
    name = story.names(PERSONAL)[-1]
    story.put(name, b"{")
    assert place(story.found()) == (ADA, int(name.removeprefix(PERSONAL)), "changed")


def test_a_head_that_cannot_be_read_is_named_at_the_beginning(story: Story) -> None:
    story.put("head", b"{")
    assert place(story.found()) == (ADA, 1, "changed")


def test_a_store_that_does_not_answer_is_no_finding(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    verifier = AuditVerifier(world.store, world.seals, tenant=TENANT)
    world.store.unavailable = True
    with pytest.raises(StoreUnavailable):
        verifier.verify()


def test_a_missing_entry_is_named_not_the_one_after_it(story: Story) -> None:
    story.delete(f"{AUDIT}000000000004")
    assert place(story.found()) == (ADA, 4, "missing")


def test_two_entries_that_changed_places_are_reordered_at_the_first_of_them(story: Story) -> None:
    first, second = story.get(f"{AUDIT}000000000002"), story.get(f"{AUDIT}000000000006")
    story.put(f"{AUDIT}000000000002", second)
    story.put(f"{AUDIT}000000000006", first)
    assert place(story.found()) == (ADA, 2, "reordered")


def test_a_tail_that_was_cut_off_is_missed_by_the_head(story: Story) -> None:
    for seq in (story.entries, story.entries - 1):
        story.delete(f"{AUDIT}{seq:012d}")
    assert place(story.found()) == (ADA, story.entries - 1, "truncated")


def test_a_tail_that_was_cut_off_with_the_head_set_back_is_missed_by_the_seal_outside(story: Story) -> None:
    for name in story.names(PERSONAL):
        if int(name.removeprefix(PERSONAL)) >= story.entries - 1:
            story.delete(name)
    for seq in (story.entries, story.entries - 1):
        story.delete(f"{AUDIT}{seq:012d}")
    story.set_head(story.entries - 2, story.entry(story.entries - 2)["hash"])
    found = story.found()
    assert place(found) == (ADA, story.entries - 1, "truncated")
    assert "says seal 2" in found.expected
    story.world.seals.data = b""
    story.raw.execute("DELETE FROM entity WHERE partition = 's|' AND name = 'sealed'")
    assert story.verify().sound, "without the seals nobody could have known"


def test_a_chain_that_was_written_anew_from_some_entry_on_disagrees_with_its_seal(story: Story) -> None:
    story.rewrite_from(2, why="a better story")
    found = story.found()
    assert (found.partition, found.wrong) == (ADA, "changed")
    assert "entries 1 to" in found.found and "written anew" in found.found


def test_a_person_who_was_removed_as_a_whole_is_missed_by_the_seal(story: Story) -> None:
    story.raw.execute("DELETE FROM entity WHERE partition = ? OR name LIKE '%ada%'", (f"p|{ADA}",))
    assert place(story.found()) == (ADA, 1, "truncated")


def test_what_operators_did_is_checked_too(story: Story) -> None:
    operators = operator_partition(TENANT)
    name = f"{AUDIT}000000000001"
    story.put(name, {**json.loads(story.get(name, operators)), "action": "resumed"}, operators)
    assert place(story.found()) == (operators, 1, "changed")


def test_personal_data_may_be_missing_only_where_operators_erased_them(story: Story) -> None:
    name = story.names(PERSONAL)[0]
    story.delete(name)
    assert place(story.found()) == (ADA, int(name.removeprefix(PERSONAL)), "missing")
    story.world.app.upkeep.eraser.erase(ADA, reason="asked to", by="kim")
    assert story.verify().sound
    story.put(name, {"salt": "x", "data": {"name": "Eve"}})
    assert story.found().wrong == "changed"


def test_personal_data_beside_an_entry_that_has_none_or_beside_none_are_found(story: Story) -> None:
    for seq, at in ((1, 1), (999, story.entries)):
        name = f"{PERSONAL}{seq:012d}"
        story.put(name, {"salt": "x", "data": {"name": "Eve"}})
        assert place(story.found()) == (ADA, at, "changed")
        story.delete(name)


def test_entries_that_wear_the_first_releases_form_of_a_moment_still_hold(story: Story) -> None:
    for seq in range(1, story.entries + 1):
        entry = story.entry(seq)
        story.put(f"{AUDIT}{seq:012d}", {**entry, "at": entry["at"].replace(".000000Z", "Z")})
    assert story.verify().sound


class Growing:
    """A store in which the chain grows whenever somebody has begun to read it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.times = 2

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world.store, name)

    def scan(self, partition: str, prefix: str, **bounds: Any) -> Any:
        if self.times and prefix == AUDIT and partition == ADA:
            self.times -= 1
            self._world.directory.change("ada", department=f"Legal {self.times}")
            self._world.look("ada")
        return self._world.store.scan(partition, prefix, **bounds)


def test_a_chain_that_grows_while_it_is_read_is_no_finding() -> None:
    world = World()
    world.put(person("ada"))
    world.look("ada")
    growing = Growing(world)
    verdict = AuditVerifier(growing, world.seals, tenant=TENANT).verify()
    assert verdict.sound and growing.times == 0


# --- any single mutation ---


def same(before: bytes, after: bytes) -> bool:
    """Whether both say the same: JSON may be written in several ways."""
    try:
        return bool(json.dumps(json.loads(after), sort_keys=True) == json.dumps(json.loads(before), sort_keys=True))
    except ValueError:
        return False


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_deletion_swap_or_truncation_is_found_and_named(told: Story, data: st.DataObject) -> None:
    """Of an entry or of the personal data beside it."""
    names = told.names(AUDIT) + told.names(PERSONAL)
    name = data.draw(st.sampled_from(names))
    seq = int(name[-12:])
    how = data.draw(st.sampled_from(["byte", "byte", "byte", "delete", "swap", "truncate"]))
    touched = {name: told.get(name)}
    if how == "byte":
        content = bytearray(touched[name])
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[at]))
        if same(touched[name], bytes(content)):
            return
        told.put(name, bytes(content))
        expected = (seq, {"changed"})
    elif how == "delete":
        told.delete(name)
        expected = (seq, {"truncated" if name == f"{AUDIT}{told.entries:012d}" else "missing"})
    elif how == "swap":
        other = data.draw(st.sampled_from([one for one in names if one[:-12] == name[:-12] and one != name]))
        touched[other] = told.get(other)
        told.put(name, touched[other])
        told.put(other, touched[name])
        expected = (min(seq, int(other[-12:])), {"reordered"} if name.startswith(AUDIT) else {"changed"})
    else:
        gone = [one for one in names if int(one[-12:]) >= seq]
        touched |= {one: told.get(one) for one in gone}
        for one in gone:
            told.delete(one)
        expected = (seq, {"truncated"})
    try:
        found = told.found()
        assert (found.partition, found.seq) == (ADA, expected[0]), (how, found)
        assert found.wrong in expected[1], (how, found)
        assert found.expected and found.found
    finally:
        for one, content in touched.items():
            told.put(one, bytes(content))
    assert told.verify().sound
