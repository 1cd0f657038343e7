"""Cutting a leaver off in the directory survives a crash anywhere: in the middle of a round another process goes on, and tells all of it."""

from __future__ import annotations

from dataclasses import replace

from crashes import CrashingWorld, every_crash

from joinery.domain.policy import CutOffPolicy
from joinery.testing import everyone, person

STAFF, KEPT = tuple(f"Team {number}" for number in range(4)), "Wheel"


def cut_off(world: CrashingWorld) -> None:
    world.policy = replace(everyone(), cut_off=CutOffPolicy(revoke_sessions=True, remove_from_groups=True))
    world.restart()
    world.put(person("ada"))
    for name in (*STAFF, KEPT):
        world.directory.put_group(name.lower(), name=name)
        world.directory.add_member(name.lower(), "ada")
    world.directory.put_traits(KEPT.lower(), synced=True)
    world.look("ada")
    world.minutes(2)
    world.plan.touches = 0
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.minutes(25)


def test_a_leaver_is_cut_off_through_a_crash_anywhere() -> None:
    whole, *crashed = every_crash(cut_off, every=2)
    assert len(crashed) > 50
    for world in (whole, *crashed):
        assert [group.name for group in world.directory.groups_of("ada")] == [KEPT], world.plan.died_at
        assert world.directory.sessions_valid_from("ada") is not None
        assert [str(view.run.status) for view in world.runs()] == ["verified"], world.plan.died_at
        [note] = world.desk.notes
        assert f"left: {', '.join(STAFF)}" in note.text, world.plan.died_at
