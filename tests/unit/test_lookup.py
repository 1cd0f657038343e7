"""Finding people without reading everybody: by id, name or address, also after they changed, and never by what they are not called any more."""

from __future__ import annotations

import pytest

from joinery.engine.lookup import NAMES
from joinery.engine.memory import MemoryStateStore
from joinery.engine.ports import Snapshot
from joinery.planning import StoredDirectory
from joinery.testing import TENANT, World, person

ADA = f"{TENANT}|person:ada"


class Reads(MemoryStateStore):
    """A store that counts how many partitions are read."""

    count = 0

    def read(self, partition: str) -> Snapshot:
        self.count += 1
        return super().read(partition)


def company(count: int = 30) -> tuple[World, Reads]:
    store = Reads()
    world = World(store=store)
    for number in range(count):
        world.put(person(f"p{number}"))
        world.look(f"p{number}")
    world.put(person("ada", display_name="Ada Lovelace", mail="lovelace@contoso.example"))
    world.look("ada")
    world.pass_time(hours=1)
    store.count = 0
    return world, store


def found(world: World, who: str) -> list[str]:
    return [known.partition for known in world.app.reads.find(who)]


@pytest.mark.parametrize("who", ["ada", "ADA", "ada lovelace", " Lovelace@Contoso.example ", "ada@contoso.example"])
def test_somebody_is_found_by_each_of_their_names_and_nobody_else_is_read(who: str) -> None:
    world, store = company()
    assert found(world, who) == [ADA]
    assert store.count == 1


def test_nobody_is_found_by_what_they_are_not_called_any_more() -> None:
    world, _ = company()
    world.directory.change("ada", display_name="Ada King", mail="king@contoso.example")
    world.look("ada")
    assert found(world, "Ada Lovelace") == found(world, "lovelace@contoso.example") == []
    assert found(world, "Ada King") == found(world, "king@contoso.example") == [ADA]


def test_several_of_one_name_are_all_found() -> None:
    world, _ = company()
    world.put(person("ada2", display_name="Ada Lovelace"))
    world.look("ada2")
    assert found(world, "Ada Lovelace") == [ADA, f"{TENANT}|person:ada2"]


def test_whoever_was_last_seen_by_an_older_release_is_found_all_the_same() -> None:
    world, store = company()
    for row in store.list_index(NAMES):
        store.delete_index(NAMES, row.name)
    assert found(world, "Ada Lovelace") == [ADA]


def test_a_row_that_says_too_much_finds_nobody() -> None:
    world, store = company()
    lookup_row = next(row.name for row in store.list_index(NAMES) if row.name.endswith(ADA))
    store.put_index(NAMES, f"{lookup_row.partition('|')[0]}|{TENANT}|person:p1", {})
    store.put_index(NAMES, f"{lookup_row.partition('|')[0]}|{TENANT}|person:nobody", {})
    assert {one for who in ("ada lovelace", "lovelace@contoso.example", "ada@contoso.example") for one in found(world, who)} == {ADA}


def test_no_name_and_no_address_stands_in_the_index() -> None:
    _, store = company(2)
    text = str([(row.name, row.data) for row in store.list_index(NAMES)]).casefold()
    assert "lovelace" not in text and "contoso" not in text
    assert len(store.list_index(NAMES)) >= 3


def test_the_owner_of_a_role_is_found_for_a_plan_without_reading_everybody() -> None:
    _, store = company()
    owner = StoredDirectory(store, TENANT).by_address("LOVELACE@contoso.example")
    assert owner is not None and owner.id == "ada" and store.count == 1
