"""How often a message asks the store: this is what a look costs, for ever and for everybody."""

from __future__ import annotations

from collections import Counter
from typing import Any

from joinery.domain.events import Joined
from joinery.engine.context import Context
from joinery.engine.memory import MemoryStateStore
from joinery.engine.recipes import Workflow
from joinery.engine.store_limits import _FORBIDDEN, _PLAIN, _SPELT_OUT
from joinery.testing import World, person
from workflows import CATALOGUE

ADA = person("ada", groups=("ITSM-NewJoiner",))


class CountingStore(MemoryStateStore):
    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_") and name != "calls" and callable(getattr(MemoryStateStore, name, None)):
            self.calls[name] += 1
        return super().__getattribute__(name)


def joined(store: CountingStore, **changes: Any) -> World:
    world = World(store=store, **changes)
    world.put(ADA)
    world.look("ada")
    # The chain is marked for the sealer once in a quarter of an hour, and joining did that.
    world.pass_time(minutes=2)
    store.calls.clear()
    return world


def test_a_hint_that_shows_nothing_new_is_one_read_and_the_first_time_one_commit() -> None:
    store = CountingStore()
    world = joined(store)

    world.look("ada")
    assert store.calls["read"] == 1
    assert store.calls["commit"] == 1
    assert set(store.calls) <= {"read", "commit", "read_shared"}


def test_the_first_entry_of_a_quarter_of_an_hour_is_one_more_row_for_the_sealer() -> None:
    store = CountingStore()
    world = joined(store)
    world.pass_time(hours=1)
    store.calls.clear()

    world.look("ada")
    assert store.calls["commit"] == 1
    assert store.calls["put_index"] == 1


def test_a_look_that_has_nothing_new_to_say_writes_nothing() -> None:
    store = CountingStore()
    world = joined(store)
    world.look("ada")
    store.calls.clear()

    world.look("ada")
    assert store.calls == {"read": 1}


def test_a_value_is_one_commit_and_a_create_is_two() -> None:
    def commits(values: int, creates: bool) -> int:
        def recipe(ctx: Context) -> None:
            for number in range(values):
                ctx.step(f"value {number}", lambda: None)
            if creates:
                CATALOGUE[Joined].recipe(ctx)

        store = CountingStore()
        world = World(store=store, catalogue={Joined: Workflow(name="joiner", version=1, recipe=recipe)})
        world.put(ADA)
        world.look("ada")
        world.pass_time(minutes=2)
        assert [view.run.status for view in world.runs()] == ["verified"]
        return store.calls["commit"]

    nothing = commits(0, creates=False)
    assert commits(7, creates=False) == nothing + 7
    assert commits(0, creates=True) == nothing + 2 * 3


def test_a_key_that_is_taken_at_first_sight_is_one_that_the_rules_take() -> None:
    for character in map(chr, (*range(0x300), 0xD800, 0xFFFE, 0x10FFFF)):
        plain = not _FORBIDDEN.search(character) and not _SPELT_OUT.search(character)
        assert bool(_PLAIN.fullmatch(character)) == plain, hex(ord(character))
    assert not _PLAIN.fullmatch("")
    assert not _PLAIN.fullmatch("a" * 501)
