"""The first day: whoever is there already is taken in as they are, and afterwards a change starts exactly what changed."""

from __future__ import annotations

from dataclasses import replace

from joinery.domain.policy import Ring, WorkflowPolicy
from joinery.testing import World, everyone, person


def company() -> World:
    world = World()
    world.put(person("ada", groups=("ITSM-NewJoiner", "ITSM-ServiceDesk")))
    world.put(person("ben", groups=("ITSM-ChangeManagers",)))
    world.put(person("eve"))
    world.put(person("new", groups=("ITSM-NewJoiner",), account_enabled=False))
    world.put(person("shared-desk", user_principal_name="shared-desk@contoso.example", groups=("ITSM-NewJoiner",)))
    return world


def a_day(world: World) -> None:
    world.app.sweep()
    for _ in range(10):
        world.pass_time(minutes=1)
        world.app.tick()
    world.work()


def started(world: World) -> list[tuple[str, str]]:
    return [(view.partition.rpartition(":")[2], view.run.workflow) for view in world.runs()]


def test_nobody_who_is_there_already_starts_anything() -> None:
    world = company()
    report = world.app.baseliner.run()
    assert (report.taken_in, report.in_groups, report.known, report.left_alone) == (4, 3, 0, 1)
    a_day(world)
    assert started(world) == [] and world.desk.tickets == []
    assert world.actions("ada")[0] == "taken in"


def test_without_it_they_would() -> None:
    world = company()
    a_day(world)
    assert ("ada", "joiner") in started(world)


def test_afterwards_a_change_starts_exactly_what_changed() -> None:
    world = company()
    world.app.baseliner.run()
    a_day(world)
    world.directory.change("ada", account_enabled=False)
    world.directory.add_member("g-itsm-servicedesk", "eve")
    world.directory.change("new", account_enabled=True)
    for one in ("ada", "ben", "eve", "new"):
        world.look(one)
    a_day(world)
    assert sorted(started(world)) == [("ada", "leaver"), ("eve", "role_change"), ("new", "joiner")]


def test_given_again_it_leaves_alone_whom_it_knows_and_takes_in_the_rest() -> None:
    world = company()
    world.app.baseliner.run()
    world.put(person("late", groups=("ITSM-NewJoiner",)))
    report = world.app.baseliner.run()
    assert (report.taken_in, report.known) == (1, 4)
    a_day(world)
    assert started(world) == []


def test_whom_shadow_had_seen_is_taken_in_and_rehearsed_no_more() -> None:
    world = company()
    world.policy = replace(everyone(), workflows={"joiner": WorkflowPolicy(ring=Ring.SHADOW)})
    world.restart()
    a_day(world)
    assert ("ada", "joiner") in started(world)
    world.app.baseliner.run()
    assert world.app.reads.find("ada")[0].head.rehearsed == ()
    world.policy = everyone()
    world.restart()
    a_day(world)
    assert world.desk.tickets == []


def test_whoever_is_taken_in_counts_as_active_and_is_found_by_their_groups() -> None:
    world = company()
    world.app.baseliner.run()
    assert len(world.store.list_index("active")) == 3
    assert (world.store.read_shared("active-people")[1] or {})["count"] == 3, "at once, for the breaker"
    world.directory.remove_member("g-itsm-changemanagers", "ben")
    world.look_group("ITSM-ChangeManagers")
    a_day(world)
    assert ("ben", "role_change") in started(world)
