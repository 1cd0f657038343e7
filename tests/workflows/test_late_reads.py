"""A write that lands after every deadline is found: the leaver's work is looked at once more, and nobody who left stays active."""

from __future__ import annotations

from datetime import timedelta

from stories import alerts

from joinery.domain.tickets import DeactivateUser, EnsureUser, RetireAgent, SetRoles
from joinery.errors import TryLater
from joinery.testing import World, person

ADA = person("ada", groups=("ITSM-NewJoiner",))


def joins_and_leaves_at_once(world: World) -> None:
    """The leaver overtakes the joiner."""
    world.put(ADA)
    world.look("ada")
    world.pass_time(seconds=61)
    world.directory.change("ada", account_enabled=False)
    world.look("ada")


def late(world: World) -> list[str]:
    return [line.record.why for line in world.audit("ada") if line.record.action == "late read"]


def test_a_leaver_that_overtook_something_reads_user_and_agent_once_more_after_the_latest_deadline() -> None:
    world = World()
    world.desk.fail(TryLater("busy"), asks=EnsureUser, times=20)
    joins_and_leaves_at_once(world)
    world.pass_time(minutes=14)
    assert late(world) == []
    world.pass_time(minutes=30)
    assert late(world) == ["still so", "still so"]
    assert [str(view.run.status) for view in world.runs()] == ["superseded", "verified"]


def test_a_leaver_that_met_nothing_reads_nothing_twice() -> None:
    world = World()
    world.put(ADA)
    world.look("ada")
    world.pass_time(hours=50)
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(hours=1)
    assert late(world) == []


def test_what_a_late_call_undid_is_done_again_and_somebody_is_told_once() -> None:
    world = World()
    agent = world.desk.put_agent(ADA.address, "Service Desk")
    joins_and_leaves_at_once(world)
    world.pass_time(minutes=5)
    [user] = world.desk.users
    assert not user.active and not agent.enabled
    user.active, agent.enabled, agent.roles = True, True, ("Administrator",)
    world.pass_time(minutes=30)
    assert not user.active and not agent.enabled and agent.roles == ()
    assert sorted(late(world)) == ["so again", "so again"]
    assert len([alert for alert in alerts(world) if "a late call undid it" in alert]) == 2


def test_nothing_is_taken_away_again_from_somebody_who_is_back() -> None:
    world = World()
    joins_and_leaves_at_once(world)
    world.pass_time(minutes=5)
    world.directory.change("ada", account_enabled=True)
    world.look("ada")
    world.pass_time(minutes=2)
    [user] = world.desk.users
    user.active = True
    world.pass_time(minutes=40)
    assert user.active and all(why.startswith("the person is back") for why in late(world))


def test_a_user_that_a_late_call_makes_for_somebody_who_has_left_is_found_and_deactivated() -> None:
    """The call lands minutes after the leaver has looked, found nobody, and ended."""
    world = World()
    world.desk.land_late(timedelta(minutes=4), asks=EnsureUser)
    joins_and_leaves_at_once(world)
    world.pass_time(minutes=4)
    assert world.runs()[-1].run.workflow == "leaver" and str(world.runs()[-1].run.status) == "verified"
    world.pass_time(minutes=30)
    assert [user.active for user in world.desk.users] == [False]
    assert "twin found" in world.actions("ada")


def test_a_paused_check_hides_no_later_moment_and_goes_on_after_the_pause() -> None:
    world = World()
    world.desk.fail(TryLater("busy"), asks=DeactivateUser, times=3)
    world.desk.fail(TryLater("busy"), asks=RetireAgent, times=3)
    joins_and_leaves_at_once(world)
    world.pass_time(minutes=10)
    world.app.pauses.pause("leaver", "to see")
    world.pass_time(minutes=60)
    assert late(world) == []
    world.app.pauses.resume("leaver")
    world.pass_time(minutes=1)
    assert late(world) == ["still so", "still so"]


def test_what_was_undone_is_told_once_though_the_desk_is_busy_when_it_is_done_again() -> None:
    world = World()
    joins_and_leaves_at_once(world)
    world.pass_time(minutes=5)
    [user] = world.desk.users
    user.active = True
    world.desk.fail(TryLater("busy"), asks=DeactivateUser, times=5)
    world.pass_time(hours=1)
    assert not user.active and len([alert for alert in alerts(world) if "a late call undid it" in alert]) == 1


# --- roles


def gains(world: World, group: str) -> None:
    world.directory.add_member(f"g-{group}".lower(), "ada")
    world.look("ada")


def works_here(*groups: str) -> World:
    """Ada has the roles of these groups from us."""
    world = World()
    world.put(person("ada"))
    world.look("ada")
    for group in groups:
        gains(world, group)
    world.pass_time(minutes=20)
    return world


def roles(world: World) -> tuple[str, ...]:
    return world.desk.agents[0].roles


def test_a_role_that_a_late_call_gives_after_its_group_was_lost_is_found_and_taken_away_and_somebody_is_told() -> None:
    world = works_here("ITSM-ServiceDesk")
    world.directory.end_membership("g-itsm-servicedesk", "ada")
    world.look("ada")
    world.pass_time(minutes=20)
    world.desk.land_late(timedelta(minutes=4), asks=SetRoles)
    gains(world, "ITSM-ServiceDesk")
    world.directory.end_membership("g-itsm-servicedesk", "ada")
    world.look("ada")
    world.pass_time(minutes=3)
    assert roles(world) == ()
    world.pass_time(minutes=30)
    assert roles(world) == () and not world.desk.agents[0].enabled
    assert late(world) == ["so again"]
    assert len([alert for alert in alerts(world) if "a late call undid it" in alert]) == 1


def test_a_late_call_of_a_leaver_takes_nothing_from_whoever_is_back_for_long() -> None:
    world = works_here("ITSM-ServiceDesk")
    world.desk.land_late(timedelta(minutes=10), asks=RetireAgent)
    for enabled in (False, True):
        world.directory.change("ada", account_enabled=enabled)
        world.look("ada")
    world.pass_time(minutes=9)
    assert roles(world) == ("Service Desk",)
    world.pass_time(minutes=60)
    assert roles(world) == ("Service Desk",) and late(world) == ["so again"]


def test_a_late_call_that_found_no_agent_to_take_anything_from_takes_nothing_from_the_one_that_was_made_since() -> None:
    world = works_here("ITSM-ChangeManagers")
    world.desk.land_late(timedelta(minutes=10), asks=SetRoles)
    world.directory.end_membership("g-itsm-changemanagers", "ada")
    world.look("ada")
    world.pass_time(minutes=2)
    assert world.desk.agents == []
    gains(world, "ITSM-ServiceDesk")
    world.pass_time(minutes=60)
    assert roles(world) == ("Service Desk",) and late(world) == ["so again"]


def test_the_late_read_of_roles_waits_for_a_run_that_is_about_to_set_them() -> None:
    world = works_here("ITSM-ServiceDesk")
    world.desk.fail(TryLater("busy"), asks=SetRoles)
    world.directory.end_membership("g-itsm-servicedesk", "ada")
    world.look("ada")
    world.pass_time(minutes=10)
    world.desk.fail(TryLater("busy"), asks=SetRoles, times=12)
    gains(world, "ITSM-ServiceDesk")
    world.pass_time(minutes=90)
    assert roles(world) == ("Service Desk",)
    assert late(world) == ["still so"] and alerts(world) == []


def test_a_role_that_was_given_at_once_is_not_read_again() -> None:
    world = works_here("ITSM-ServiceDesk")
    world.pass_time(minutes=60)
    assert late(world) == []
