"""Cutting a leaver off in the directory: only whoever a fresh look finds disabled, everything that can be edited, all of it read back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from stories import alerts, assert_all_ended_well, assert_sound, joined, statuses, tickets

from joinery.domain.groups import DirectGroup
from joinery.domain.policy import CutOffPolicy, Policy, Ring, WorkflowPolicy
from joinery.engine.cut_off import ENABLED_AGAIN, ROUND
from joinery.engine.envelope import decode
from joinery.errors import OutcomeUnknown, Refused, TryLater
from joinery.testing import World, everyone

ALL = CutOffPolicy(revoke_sessions=True, remove_from_groups=True)
#: Traits of a group that nobody is taken out of, and what the ticket says about it.
STAYS = {
    "dynamic": "its membership rule decides",
    "synced": "mastered on premises",
    "role_assignable": "a privileged administrator has to take them out",
    "mail_enabled": "take them out in the mail system",
    "licensed": "see to the mailbox first",
}


def policy(cut_off: CutOffPolicy = ALL, **changes: object) -> Policy:
    return replace(everyone(), cut_off=cut_off, **changes)  # type: ignore[arg-type]  # fields of Policy


def active(world: World | None = None, *groups: str) -> World:
    """Ada has joined, and is in these groups that policy does not know."""
    world = joined(world or World(policy()))
    for name in groups:
        world.directory.put_group(name.lower(), name=name)
        world.directory.add_member(name.lower(), "ada")
    world.directory.calls.clear()
    return world


def leave(world: World, minutes: float = 30) -> World:
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(minutes=minutes)
    return world


def groups(world: World) -> set[str]:
    return {group.name for group in world.directory.groups_of("ada")}


def note(world: World) -> str:
    """All notes on the offboarding ticket."""
    [ticket] = tickets(world, "offboarding")
    return "\n".join(one.text for one in world.desk.notes if one.ticket_id == ticket)


def untouched(world: World) -> bool:
    return not world.directory.calls["remove_member"] and not world.directory.calls["revoke_sessions"]


def test_by_default_nothing_in_the_directory_is_touched_or_even_listed() -> None:
    world = leave(active(World(), "Staff"))
    assert_all_ended_well(world)
    assert untouched(world) and not world.directory.calls["groups_of"]
    assert groups(world) == {"Staff", "ITSM-NewJoiner"}


def test_sessions_end_and_every_group_is_left_once_and_the_ticket_tells_it_in_one_note() -> None:
    world = leave(active(None, "Staff", "Finance"))
    assert_all_ended_well(world)
    assert groups(world) == set() and world.directory.sessions_valid_from("ada") is not None
    assert (world.directory.calls["revoke_sessions"], world.directory.calls["remove_member"]) == (1, 3)
    assert "left: Finance, ITSM-NewJoiner, Staff" in note(world)
    assert "end everything that the person is signed in with: done, and read back" in note(world)
    assert note(world).count("Joinery did this:") == 1
    [left] = [line.record for line in world.audit("ada") if line.record.action == "taken out of groups"]
    assert left.detail["groups"] == ["finance", "g-itsm-newjoiner", "staff"]
    assert [line.record.detail["removed"] for line in world.audit("ada") if line.record.action == "cut off"] == [0, 3]


@pytest.mark.parametrize("on", ["revoke_sessions", "remove_from_groups"])
def test_each_is_done_without_the_other(on: str) -> None:
    world = leave(active(World(policy(CutOffPolicy(**{on: True}))), "Staff"))
    assert_all_ended_well(world)
    calls = world.directory.calls
    assert (calls["revoke_sessions"] > 0, calls["remove_member"] > 0) == (on == "revoke_sessions", on == "remove_from_groups")


@pytest.mark.parametrize("trait", sorted(STAYS))
def test_a_group_that_is_not_ours_to_leave_is_kept_with_the_reason(trait: str) -> None:
    world = active(None, "Staff", "Special")
    world.directory.put_traits("special", **{trait: True})
    assert_all_ended_well(leave(world))
    assert groups(world) == {"Special"}
    assert "still in: Special (" in note(world) and STAYS[trait] in note(world)


def test_a_group_that_policy_keeps_is_kept_whatever_its_case() -> None:
    world = leave(active(World(policy(replace(ALL, keep_groups=("STAFF",)))), "Staff", "Finance"))
    assert_all_ended_well(world)
    assert groups(world) == {"Staff"} and "still in: Staff (policy keeps them in)" in note(world)


@pytest.mark.parametrize("how", ["soft_delete", "purge"])
def test_an_account_that_is_gone_needs_no_cutting(how: str) -> None:
    world = active(None, "Staff")
    getattr(world.directory, how)("ada")
    world.look("ada")
    world.pass_time(minutes=30)
    assert_all_ended_well(world)
    assert untouched(world) and "the account is gone" in note(world)


def test_whoever_is_enabled_again_is_not_touched_and_is_looked_at() -> None:
    """They came back in the moment in which their leave was decided, and nobody has noticed yet."""
    world = active(None, "Staff")
    world.directory.change("ada", account_enabled=False)
    world.directory.stale_looks("ada")
    world.directory.change("ada", account_enabled=True)
    world.queue.sent.clear()
    world.look("ada")
    world.pass_time(seconds=59)
    assert untouched(world) and "cut off" not in world.actions("ada")
    world.pass_time(minutes=30)
    assert untouched(world)
    assert_sound(world)
    assert statuses(world)[-1] == ("leaver", "superseded")


def test_after_three_looks_that_show_them_enabled_the_step_ends_and_causes_a_look() -> None:
    """As for somebody whose return nobody believes yet: the directory shows them enabled to us alone."""
    world = active(None, "Staff")
    seen = world.app.dispatcher.runner._around.cut_offs
    world.directory.change("ada", account_enabled=False)
    looks = iter([True] * 6)
    inner = world.directory.look

    def enabled(person_id: str, ids: object) -> object:
        sighting = inner(person_id, ids)  # type: ignore[arg-type]
        return sighting.evolve(account_enabled=next(looks)) if hasattr(sighting, "evolve") else sighting

    object.__setattr__(seen, "directory", _Showing(world.directory, enabled))
    world.look("ada")
    world.pass_time(minutes=30)
    assert untouched(world) and groups(world) == {"Staff", "ITSM-NewJoiner"}
    assert note(world).count("the account is enabled again") == 2
    assert [decode(one.body).cause for one in world.queue.sent].count(ENABLED_AGAIN) == 2
    assert world.actions("ada").count("not cut off") == 2


class _Showing:
    def __init__(self, inner: object, look: object) -> None:
        self._inner, self.look = inner, look

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


@pytest.mark.parametrize(
    ("change", "proof"),
    [({"user_principal_name": "breakglass-ada@contoso.example"}, "protected"), ({"employee_id": ""}, "unknown")],
)
def test_whoever_became_protected_or_unclassified_is_never_touched(change: dict[str, str], proof: str) -> None:
    world = active(None, "Staff")
    world.directory.change("ada", account_enabled=False)
    world.directory.stale_looks("ada")
    world.directory.change("ada", **change)
    world.look("ada")
    world.pass_time(minutes=30)
    assert untouched(world)
    assert any(line.record.action == "left alone" and line.record.why.startswith(proof) for line in world.audit("ada"))


def test_a_rehearsal_says_what_would_be_left_and_touches_nothing() -> None:
    rings = {**everyone().workflows, "leaver": WorkflowPolicy(ring=Ring.SHADOW)}
    world = leave(active(World(policy(workflows=rings)), "Staff"))
    assert statuses(world)[-1] == ("leaver", "planned")
    assert untouched(world)
    run = world.runs()[-1]
    [step] = [step for step in run.steps if step.asks == "cut-off of groups"]
    assert step.result["end"] == "planned" and step.result["names"] == ["ITSM-NewJoiner", "Staff"]


def test_hundreds_of_groups_are_left_in_rounds_and_the_note_names_the_first_of_them() -> None:
    names = [f"Group {number:03d}" for number in range(3 * ROUND + 5)]
    world = leave(active(None, *names))
    assert_all_ended_well(world)
    assert groups(world) == set() and world.directory.calls["remove_member"] == len(names) + 1
    assert world.actions("ada").count("taken out of groups") == 4
    assert f"and {len(names) + 1 - 30} more" in note(world)


def test_a_refused_write_keeps_nothing_else_open_and_goes_on_by_itself_once_it_is_mended() -> None:
    world = active(None, "Staff")
    world.directory.change("ada", account_enabled=False)
    refuse = world.directory.revoke_sessions, world.directory.remove_member
    refusal = Refused("the app lacks a permission")

    def no(*_: str) -> None:
        raise refusal

    world.directory.revoke_sessions = world.directory.remove_member = no  # type: ignore[method-assign]
    world.look("ada")
    world.pass_time(minutes=5)
    assert not world.desk.users[0].active
    assert note(world).count("not done yet, will be tried again") == 2
    assert len(alerts(world)) == 2
    world.directory.revoke_sessions, world.directory.remove_member = refuse  # type: ignore[method-assign]
    world.pass_time(hours=1)
    assert_all_ended_well(world)
    assert groups(world) == set() and "left: ITSM-NewJoiner, Staff" in note(world)


def test_a_group_that_stays_refused_is_left_to_people_and_the_others_are_left() -> None:
    world = active(None, "Staff", "Unit")
    inner = world.directory.remove_member

    def but_one(group: str, person: str) -> None:
        if group == "unit":
            raise Refused("the group is in a restricted unit")
        inner(group, person)

    world.directory.remove_member = but_one  # type: ignore[method-assign]
    leave(world, minutes=300)
    assert statuses(world)[-1] == ("leaver", "verified")
    assert groups(world) == {"Unit"} and "still in: Unit (the directory refused it" in note(world)
    assert "membership stays" in world.actions("ada")


@pytest.mark.parametrize("error", [TryLater("busy", after=timedelta(seconds=7)), OutcomeUnknown("cut"), Refused("no")])
@pytest.mark.parametrize("what", ["look", "groups_of", "sessions_valid_from", "revoke_sessions", "remove_member"])
def test_one_bad_answer_anywhere_changes_nothing_about_the_end(what: str, error: Exception) -> None:
    world = active(None, "Staff")
    world.directory.change("ada", account_enabled=False)
    inner, left = getattr(world.directory, what), [1 if what != "look" else 2]

    def once(*args: object) -> object:
        left[0] -= 1
        if left[0] == 0:
            raise error
        return inner(*args)

    setattr(world.directory, what, once)
    world.look("ada")
    world.pass_time(minutes=60)
    assert_all_ended_well(world)
    assert groups(world) == set() and world.directory.sessions_valid_from("ada") is not None
    assert "left: ITSM-NewJoiner, Staff" in note(world)


def test_a_list_that_lags_is_read_until_it_shows_what_was_done() -> None:
    world = active(None, "Staff")
    inner, before = world.directory.groups_of, world.directory.groups_of("ada")
    lags = [before] * 4
    world.directory.groups_of = lambda person_id: lags.pop() if lags else inner(person_id)  # type: ignore[method-assign]
    leave(world)
    assert_all_ended_well(world)
    assert not lags and "left: ITSM-NewJoiner, Staff" in note(world)


def test_sessions_that_do_not_show_as_ended_are_revoked_again_and_in_the_end_left_to_people() -> None:
    world = active()
    world.directory.sessions_valid_from = lambda person_id: None  # type: ignore[method-assign]
    leave(world, minutes=60)
    assert world.directory.calls["revoke_sessions"] > 3 and tickets(world, "offboarding")
    assert statuses(world)[-1] == ("leaver", "open")
    world.pass_time(hours=50)
    assert statuses(world)[-1] == ("leaver", "unverified")
    assert "please do it by hand" in note(world) and any("given up" in why for why in alerts(world))


def test_a_return_between_two_rounds_stops_what_is_left() -> None:
    world = active(None, *(f"Group {number:03d}" for number in range(3 * ROUND)))
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    assert world.directory.calls["remove_member"] == ROUND
    world.directory.change("ada", account_enabled=True)
    world.look("ada")
    world.pass_time(minutes=30)
    assert_sound(world)
    assert statuses(world)[-1] == ("leaver", "superseded")
    assert world.directory.calls["remove_member"] == ROUND
    assert "taken out of these groups of the directory: Group 000, Group 001" in note(world)


def test_a_pause_stops_it_like_everything_else() -> None:
    world = active(None, "Staff")
    world.directory.change("ada", account_enabled=False)
    world.app.pauses.pause("leaver", "a drill")
    world.look("ada")
    world.pass_time(minutes=10)
    assert untouched(world)


def test_what_policy_said_when_the_run_began_is_what_the_run_does() -> None:
    world = active(None, "Staff")
    world.directory.change("ada", account_enabled=False)
    inner = world.directory.groups_of

    def busy(person_id: str) -> tuple[DirectGroup, ...]:
        raise TryLater("busy")

    world.directory.groups_of = busy  # type: ignore[method-assign]
    world.look("ada")
    world.pass_time(minutes=3)
    world.directory.groups_of = inner  # type: ignore[method-assign]
    world.policy = everyone()
    world.restart()
    world.pass_time(hours=1)
    assert_all_ended_well(world)
    assert groups(world) == set()


def test_a_returner_is_told_what_they_left_and_not_what_refused_to_let_them_go() -> None:
    world = active(None, "Staff", "Unit")
    inner = world.directory.remove_member

    def but_one(group: str, person: str) -> None:
        if group == "unit":
            raise Refused("the group is in a restricted unit")
        inner(group, person)

    world.directory.remove_member = but_one  # type: ignore[method-assign]
    leave(world, minutes=3)
    world.directory.change("ada", account_enabled=True)
    world.look("ada")
    world.pass_time(minutes=30)
    assert statuses(world)[-1] == ("leaver", "superseded")
    assert "of the directory: ITSM-NewJoiner, Staff." in note(world)


def test_what_is_still_listed_after_two_days_was_not_left() -> None:
    world = active(None, "Staff")
    world.directory.remove_member = lambda group, person: None  # type: ignore[method-assign]
    leave(world, minutes=60 * 50)
    assert statuses(world)[-1] == ("leaver", "unverified")
    assert "take the person out of the directory's groups: given up" in note(world) and "left: " not in note(world)
