"""The leaver, from the outside: one ticket, the user inactive, the agent disabled and without roles, all read back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from stories import ada, alerts, assert_all_ended_well, assert_sound, end_state, joined, statuses, tickets

from joinery.domain.tickets import AddNote, DeactivateUser, FindUser, OpenTicket, RetireAgent
from joinery.errors import OutcomeUnknown, Refused, TryLater
from joinery.testing import World


def leave(world: World, minutes: float = 30) -> World:
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(minutes=minutes)
    return world


def active(*, agent: bool = True) -> World:
    """A world in which Ada has joined and works on the desk."""
    world = joined(World())
    if agent:
        world.desk.put_agent("lovelace@contoso.example", "Service Desk", "Administrator")
    world.desk.calls.clear()
    return world


def test_a_leaver_keeps_nothing_on_the_desk() -> None:
    world = leave(active())
    assert_all_ended_well(world)
    [user], [agent] = world.desk.users, world.desk.agents
    assert not user.active
    assert (agent.enabled, agent.roles) == (False, ())
    assert len(tickets(world, "offboarding")) == 1
    assert statuses(world) == [("joiner", "verified"), ("leaver", "verified")]


@pytest.mark.parametrize(
    "how",
    [
        lambda world: world.directory.change("ada", account_enabled=False),
        lambda world: world.directory.soft_delete("ada"),
        lambda world: world.directory.purge("ada"),
    ],
    ids=["disabled", "soft-deleted", "gone"],
)
def test_whatever_the_evidence_the_end_is_the_same(how: Callable[[World], None]) -> None:
    world = active()
    how(world)
    world.look("ada")
    world.pass_time(minutes=30)
    assert_all_ended_well(world)
    assert end_state(world) == end_state(leave(active()))


def test_an_absence_seen_once_takes_nothing_away() -> None:
    world = active()
    gone = world.directory._people.pop("ada")
    world.look("ada")
    world.directory._people["ada"] = gone
    world.pass_time(minutes=30)
    assert statuses(world) == [("joiner", "verified")]
    assert world.desk.users[0].active


def test_somebody_who_never_was_on_the_desk_leaves_with_a_ticket_all_the_same() -> None:
    world = World()
    world.put(ada(groups=()))
    world.look("ada")
    leave(world)
    assert_all_ended_well(world)
    assert len(tickets(world, "offboarding")) == 1 and world.desk.users == []


@pytest.mark.parametrize("what", [FindUser, OpenTicket, DeactivateUser, RetireAgent, AddNote])
@pytest.mark.parametrize(
    ("error", "after_effect"),
    [(OutcomeUnknown("cut"), True), (OutcomeUnknown("cut"), False), (TryLater("busy"), False), (Refused("no"), False)],
)
def test_one_bad_answer_anywhere_changes_nothing_about_the_end(what: type, error: Exception, after_effect: bool) -> None:
    world = active()
    world.desk.fail(error, asks=what, after_effect=after_effect)
    leave(world, minutes=60)
    assert_all_ended_well(world)
    assert end_state(world) == end_state(leave(active()))


def test_a_ticket_that_is_refused_does_not_keep_access_open() -> None:
    world = active()
    world.desk.fail(Refused("the desk has no such team"), asks=OpenTicket, times=6)
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(seconds=1)
    assert not world.desk.users[0].active and not world.desk.agents[0].enabled
    assert tickets(world, "offboarding") == []
    world.pass_time(hours=2)
    assert_all_ended_well(world)
    assert len(alerts(world)) == 1


def test_a_ticket_whose_outcome_is_unknown_is_settled_before_anything_else() -> None:
    world = active()
    world.desk.fail(OutcomeUnknown("cut"), asks=OpenTicket, after_effect=True)
    leave(world)
    assert_all_ended_well(world)
    assert len(tickets(world, "offboarding")) == 1


@pytest.mark.parametrize("what", [DeactivateUser, RetireAgent])
def test_success_that_changes_nothing_is_tried_again_before_it_counts(what: type) -> None:
    world = active()
    world.desk.ignore(what, times=2)
    leave(world)
    assert_all_ended_well(world)


@pytest.mark.parametrize("what", [DeactivateUser, RetireAgent])
def test_success_that_never_changes_anything_ends_unverified_with_one_alert(what: type) -> None:
    world = active()
    world.desk.ignore(what, times=50)
    leave(world, minutes=60)
    assert statuses(world)[-1] == ("leaver", "unverified")
    assert len(alerts(world)) == 1
    assert_sound(world)


@pytest.mark.parametrize("error", [TryLater("busy"), OutcomeUnknown("cut")])
def test_a_desk_that_cannot_be_read_for_an_hour_is_not_a_desk_that_lies(error: Exception) -> None:
    world = active()
    world.desk.fail(error, asks=DeactivateUser, method="read_back", times=15)
    leave(world, minutes=120)
    assert_all_ended_well(world)
    assert alerts(world) == []


@pytest.mark.parametrize("prefix", ["breakglass-"])
def test_a_protected_person_is_left_alone_and_the_audit_says_why(prefix: str) -> None:
    world = World()
    world.put(ada(user_principal_name=f"{prefix}1@contoso.example"))
    world.look("ada")
    leave(world)
    world.directory.soft_delete("ada")
    world.look("ada")
    world.pass_time(days=1)
    assert world.runs() == [] and world.desk.calls == []
    told = [line.record.why for line in world.audit("ada") if line.record.action == "left alone"]
    assert told and all("protected: userPrincipalName starts with 'breakglass'" in why for why in told)


@pytest.mark.parametrize(
    "fields",
    [
        {"user_type": "Guest"},
        {"employee_id": "", "employee_type": ""},
        {"user_principal_name": "shared-room@x"},
        {"user_principal_name": "svc-backup@x"},
        {"user_type": ""},
        {"groups": ("ITSM-NewJoiner", "ITSM-BreakGlass")},
    ],
)
def test_nothing_happens_about_an_identity_that_is_no_member(fields: dict[str, object]) -> None:
    world = World()
    world.put(ada(**fields))
    for change in ({}, {"account_enabled": False}, {"account_enabled": True}):
        world.directory.change("ada", **change)
        world.look("ada")
        world.pass_time(minutes=5)
    world.directory.purge("ada")
    world.look("ada")
    world.pass_time(minutes=5)
    assert world.runs() == [] and world.desk.calls == []


def test_who_becomes_protected_while_active_is_left_alone_when_disabled() -> None:
    world = active()
    world.directory.add_member("g-itsm-breakglass", "ada")
    world.look("ada")
    leave(world)
    assert world.desk.users[0].active
    assert statuses(world) == [("joiner", "verified")]


def test_who_becomes_a_member_later_joins_then() -> None:
    world = World()
    world.put(ada(employee_id=""))
    world.look("ada")
    world.pass_time(minutes=10)
    assert world.runs() == []
    world.directory.change("ada", employee_id="E-1")
    world.look("ada")
    world.pass_time(minutes=20)
    assert statuses(world) == [("joiner", "verified")]


def test_a_stale_look_without_the_employee_id_does_not_swallow_a_joiner() -> None:
    world = World()
    world.put(ada())
    world.look("ada")
    world.directory.change("ada", employee_id="")
    world.directory.stale_looks("ada")
    world.directory.change("ada", employee_id="E-1")
    world.pass_time(minutes=20)
    assert statuses(world) == [("joiner", "verified")]


def test_leaving_and_coming_back_between_two_looks_is_nothing() -> None:
    world = active()
    world.directory.change("ada", account_enabled=False)
    world.directory.change("ada", account_enabled=True)
    world.look("ada")
    world.pass_time(hours=1)
    assert statuses(world) == [("joiner", "verified")]


def test_a_return_is_recorded_and_a_second_leave_is_a_second_run() -> None:
    world = leave(active())
    world.directory.change("ada", account_enabled=True)
    world.look("ada")
    world.pass_time(minutes=5)
    assert "no recipe" in [line.record.why for line in world.audit("ada")]
    leave(world)
    assert [workflow for workflow, _ in statuses(world)] == ["joiner", "leaver", "leaver"]
    assert_all_ended_well(world)


def test_a_late_landing_after_the_leave_is_told() -> None:
    """A user that lands after every deadline of an overtaken joiner cannot be prevented, only found."""
    world = World()
    world.desk.land_late(timedelta(minutes=10), asks=None)
    world.put(ada())
    world.look("ada")
    world.pass_time(seconds=61)
    leave(world, minutes=60)
    assert statuses(world) == [("joiner", "superseded"), ("leaver", "verified")]
    assert len(alerts(world)) == 1
