"""News about watched groups become looks at the people concerned, and at nobody else for ever."""

from __future__ import annotations

from dataclasses import replace

import pytest

from joinery.domain.policy import IdentityPolicy, KindRule
from joinery.engine.lookup import HOLDERS
from joinery.errors import StoreUnavailable, TryLater
from joinery.testing import World, everyone, person

GROUP = "g-itsm-newjoiner"


def looked_at(world: World) -> set[str]:
    seen = {name for name, count in world.directory.looks.items() if count}
    world.directory.looks.clear()
    return seen


def world_with(*members: str) -> World:
    world = World()
    for name in ("ada", "bob", "eve"):
        world.put(person(name, groups=("ITSM-NewJoiner",) if name in members else ()))
    world.app.sweep()
    world.pass_time(minutes=30)
    world.app.sweep()
    world.pass_time(minutes=1)
    looked_at(world)
    return world


def test_members_that_were_named_are_looked_at_and_nobody_else() -> None:
    world = world_with("bob")
    world.directory.add_member(GROUP, "ada")
    world.look_group("ITSM-NewJoiner", members=("ada",))
    assert looked_at(world) == {"ada"}


def test_nobody_asks_what_somebody_is_whom_we_have_met() -> None:
    world = world_with("bob")
    before = world.directory.calls["people_among"]
    world.directory.add_member(GROUP, "ada")
    world.look_group("ITSM-NewJoiner", members=("ADA",))
    assert (looked_at(world), world.directory.calls["people_among"] - before) == ({"ada"}, 0)
    world.put(person("ad"))
    world.look_group("ITSM-NewJoiner", members=("ad", "ada"))
    assert (looked_at(world), world.directory.calls["people_among"] - before) == ({"ad", "ada"}, 1)


def test_without_names_whoever_differs_is_looked_at() -> None:
    world = world_with("bob")
    world.directory.add_member(GROUP, "ada")
    world.directory.end_membership(GROUP, "bob")
    world.look_group("ITSM-NewJoiner")
    assert looked_at(world) == {"ada", "bob"}
    world.pass_time(minutes=5)
    looked_at(world)
    world.look_group("ITSM-NewJoiner")
    assert looked_at(world) == set(), "once they were looked at, they no longer differ"


def test_a_nested_group_that_was_named_brings_its_people() -> None:
    world = world_with()
    world.directory.put_group("inner", name="inner")
    world.directory.add_member("inner", "ada")
    world.directory.add_member(GROUP, "inner")
    world.look_group("ITSM-NewJoiner", members=("inner",))
    assert looked_at(world) == {"ada"}
    world.pass_time(minutes=20)
    assert len(world.desk.tickets) == 1


def test_an_id_that_nobody_knows_makes_everybody_be_compared() -> None:
    world = world_with()
    world.directory.put_group("inner", name="inner")
    world.directory.add_member("inner", "ada")
    world.directory.add_member(GROUP, "inner")
    world.look_group("ITSM-NewJoiner", members=("inner",))
    world.pass_time(minutes=20)
    looked_at(world)
    world.directory.delete_group("inner")
    world.look_group("ITSM-NewJoiner", members=("inner",))
    assert looked_at(world) == {"ada"}


def test_a_group_that_is_not_watched_is_nobodys_business() -> None:
    world = world_with()
    world.directory.put_group("g-other", name="Other")
    world.directory.add_member("g-other", "ada")
    world.look_group("other")
    assert looked_at(world) == set()


def test_a_deleted_group_lets_everybody_go() -> None:
    world = world_with("ada", "bob")
    world.directory.delete_group(GROUP)
    world.look_group("ITSM-NewJoiner")
    assert looked_at(world) == {"ada", "bob"}


def test_the_index_of_holders_follows_the_looks() -> None:
    world = world_with("ada")
    assert [row.name for row in world.store.list_index(HOLDERS)] == [f"{GROUP}|person:ada"]
    world.directory.end_membership(GROUP, "ada")
    world.look("ada")
    assert world.store.list_index(HOLDERS) == ()


def test_a_holder_whose_commit_was_lost_is_looked_at_again() -> None:
    world = world_with()
    world.store.put_index(HOLDERS, f"{GROUP}|person:ada", {})
    world.look_group("ITSM-NewJoiner")
    assert looked_at(world) == {"ada"}


def test_a_directory_that_is_busy_gets_the_news_again() -> None:
    world = world_with()
    world.directory.add_member(GROUP, "ada")
    world.directory.fail(TryLater("busy"), times=2)
    world.look_group("ITSM-NewJoiner", members=("ada",))
    world.pass_time(minutes=20)
    assert len(world.desk.tickets) == 1


def test_a_group_that_appears_later_is_watched_from_the_next_sweep_on() -> None:
    identity = IdentityPolicy(protected=KindRule(groups=("Later",)))
    world = World(replace(everyone(), identity=identity))
    world.put(person("ada"))
    world.directory.delete_group("g-later")
    world.app.sweep()
    world.work()
    assert world.app.hints.groups.missing() == ("Later",)
    world.directory.put_group("g-later", name="Later")
    world.directory.add_member("g-later", "ada")
    world.clock.advance(minutes=5)
    world.app.sweep()
    world.work()
    assert world.app.hints.groups.missing() == ()
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(minutes=20)
    assert world.runs() == []


def test_while_the_store_is_down_every_group_counts_as_watched() -> None:
    world = World()
    world.store.unavailable = True
    with pytest.raises(StoreUnavailable):
        world.app.hints.groups.watches("x")
    assert world.app.hints._watches("x")


def test_a_group_that_was_renamed_between_two_reads_breaks_nothing() -> None:
    world = world_with("ada")
    world.directory.put_group(GROUP, name="ITSM-ServiceDesk-old")
    world.clock.advance(hours=2)
    world.app.sweep()
    world.pass_time(minutes=5)
    assert [str(view.run.status) for view in world.runs()] == ["verified"]


def test_of_more_groups_inside_than_can_be_followed_the_first_are_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("joinery.engine.groups._INNER_MAX", 2)
    world = World()
    for number in range(3):
        inner = world.directory.put_group(f"inner-{number}", name=f"Inner {number}").id
        world.directory.add_member(GROUP, inner)
    world.app.sweep()
    assert world.app.hints.groups.inner() == ("inner-0", "inner-1")
    assert [record.__dict__["inside"] for record in caplog.records if record.message == "groups not followed"] == [3]
    assert [world.app.hints.groups.watches(f"inner-{number}") for number in range(3)] == [True, True, False]
