"""Cutting a leaver off where evidence is mixed, answers break off or time stands still: nobody who may be back, and nothing told that is not so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from stories import alerts, assert_all_ended_well, assert_sound, statuses
from test_cut_off import ALL, active, groups, leave, note, policy, untouched

from joinery.domain.person import Absence
from joinery.domain.tickets import AddNote
from joinery.engine.cut_off import ROUND
from joinery.errors import Refused, TryLater
from joinery.testing import World, everyone


def busy_then_due(world: World) -> None:
    """Ada has left, and the cut-off is due in a minute: the directory was busy when it looked."""
    world.directory.change("ada", account_enabled=False)
    inner, looks = world.directory.look, [0]

    def busy(person_id: str, ids: object) -> object:
        looks[0] += 1
        if looks[0] > 1:
            raise TryLater("busy")
        return inner(person_id, ids)  # type: ignore[arg-type]

    world.directory.look = busy  # type: ignore[method-assign, assignment]
    world.look("ada")
    world.directory.look = inner  # type: ignore[method-assign]


def test_whoever_was_seen_enabled_a_moment_ago_is_not_touched_because_a_replica_lags() -> None:
    """They are back, a look has seen it, and its replica is ahead of the one that the cut-off asks right after it."""
    world = active(None, "Staff")
    busy_then_due(world)
    inner = world.directory.look
    world.clock.advance(minutes=2)
    world.directory.change("ada", account_enabled=True)
    shown = iter([True, False, False])

    def lagging(person_id: str, ids: object) -> object:
        return inner(person_id, ids).evolve(account_enabled=next(shown, True))  # type: ignore[arg-type, union-attr]

    world.directory.look = lagging  # type: ignore[method-assign, assignment]
    world.look("ada")
    assert untouched(world)
    world.pass_time(minutes=30)
    assert untouched(world) and statuses(world)[-1] == ("leaver", "superseded")


def test_one_look_that_shows_them_disabled_again_is_not_believed() -> None:
    world = active(None, "Staff")
    world.directory.change("ada", account_enabled=False)
    inner = world.directory.look
    shown = iter([False, True, True, False, True])

    def flapping(person_id: str, ids: object) -> object:
        return inner(person_id, ids).evolve(account_enabled=next(shown, True))  # type: ignore[arg-type, union-attr]

    world.directory.look = flapping  # type: ignore[method-assign, assignment]
    world.look("ada")
    world.pass_time(minutes=30)
    assert untouched(world) and "done, and read back" not in note(world).partition("end everything")[2]
    assert groups(world) == {"Staff", "ITSM-NewJoiner"}


def absent_once(world: World, *, soft: bool = False) -> Callable[..., object]:
    inner, looks = world.directory.look, [0]

    def look(person_id: str, ids: object) -> object:
        looks[0] += 1
        return Absence(id=person_id, soft_deleted=soft) if looks[0] == 2 else inner(person_id, ids)  # type: ignore[arg-type]

    return look


def test_an_account_that_one_look_does_not_find_is_looked_for_again() -> None:
    world = active(None, "Staff")
    world.directory.look = absent_once(world)  # type: ignore[method-assign, assignment]
    leave(world)
    assert_all_ended_well(world)
    assert world.directory.sessions_valid_from("ada") is not None and "the account is gone" not in note(world)


def test_what_was_left_before_the_account_was_deleted_is_told_for_a_restored_one_lacks_it() -> None:
    world = active(None, *(f"Group {number:03d}" for number in range(ROUND + 5)))
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    assert world.directory.calls["remove_member"] == ROUND
    world.directory.soft_delete("ada")
    world.pass_time(minutes=30)
    assert_all_ended_well(world)
    assert "the account is gone" in note(world) and "left: Group 000, Group 001" in note(world)


def test_a_returner_is_not_told_of_groups_that_a_broken_off_round_never_came_to() -> None:
    world = active(None, "Anna", "Bert", "Carl")
    inner, calls = world.directory.remove_member, [0]

    def throttled(group: str, person: str) -> None:
        calls[0] += 1
        if calls[0] == 1:
            raise Refused("the group is in a restricted unit")
        if calls[0] > 2:
            raise TryLater("too many requests", after=timedelta(minutes=10))
        inner(group, person)

    world.directory.remove_member = throttled  # type: ignore[method-assign]
    leave(world, minutes=1)
    assert groups(world) == {"Anna", "Carl", "ITSM-NewJoiner"}
    world.directory.change("ada", account_enabled=True)
    world.look("ada")
    world.pass_time(minutes=30)
    assert statuses(world)[-1] == ("leaver", "superseded")
    assert "of the directory: Bert." in note(world)


def test_a_round_ends_before_the_look_that_it_relies_on_is_old() -> None:
    world = active(None, *(f"Group {number:03d}" for number in range(ROUND)))
    inner, look, looked_at, ages = world.directory.remove_member, world.directory.look, [0.0], []

    def slow(group: str, person: str) -> None:
        ages.append(world.clock.monotonic() - looked_at[0])
        world.clock.advance(seconds=9)
        inner(group, person)

    def noted(person_id: str, ids: object) -> object:
        looked_at[0] = world.clock.monotonic()
        return look(person_id, ids)  # type: ignore[arg-type]

    world.directory.remove_member, world.directory.look = slow, noted  # type: ignore[method-assign, assignment]
    leave(world)
    assert_all_ended_well(world)
    assert groups(world) == set() and len(ages) == ROUND + 1 and max(ages) < 20


def test_the_days_of_a_pause_do_not_count_as_days_of_refusal() -> None:
    world = active(None, *(f"Group {number:03d}" for number in range(2 * ROUND)))
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.app.pauses.pause("leaver", "a long weekend")
    world.clock.advance(hours=60)
    world.app.pauses.resume("leaver")
    world.pass_time(minutes=30)
    assert_all_ended_well(world)
    assert groups(world) == set() and "given up" not in note(world)


def test_a_directory_that_asks_for_no_pause_is_not_asked_at_once_for_ever() -> None:
    world = active(None, "Staff")
    asked = [0]

    def throttled(group: str, person: str) -> None:
        asked[0] += 1
        world.clock.advance(seconds=0.01)
        raise TryLater("too many requests", after=timedelta(0))

    world.directory.remove_member = throttled  # type: ignore[method-assign]
    leave(world, minutes=10)
    assert asked[0] < 10


def test_a_run_that_began_before_policy_cut_leavers_off_does_not_begin_to() -> None:
    """Its note on the ticket is written, and would not tell of it."""
    world = active(World(policy(replace(ALL, revoke_sessions=False, remove_from_groups=False))), "Staff")
    inner = world.desk.perform

    def no_agents(order: object, *args: object, **named: object) -> object:
        if type(order).__name__ == "RetireAgent":
            raise Refused("agents are not ours")
        return inner(order, *args, **named)  # type: ignore[arg-type, call-overload]

    world.desk.perform = no_agents  # type: ignore[method-assign, assignment]
    leave(world, minutes=10)
    assert "Joinery did this" in note(world)
    world.desk.perform = inner  # type: ignore[method-assign]
    world.policy = policy()
    world.restart()
    world.pass_time(hours=2)
    assert_all_ended_well(world)
    assert untouched(world)


def test_a_permission_that_comes_hours_later_is_enough() -> None:
    """As the alert says. Grants of a managed identity may take hours to show."""
    world = active(None, "Staff")
    inner = world.directory.remove_member

    def no(group: str, person: str) -> None:
        raise Refused("the app lacks a permission")

    world.directory.remove_member = no  # type: ignore[method-assign]
    leave(world, minutes=240)
    assert statuses(world)[-1] == ("leaver", "open") and any("lacks a permission" in why for why in alerts(world))
    world.directory.remove_member = inner  # type: ignore[method-assign]
    world.pass_time(hours=1)
    assert_all_ended_well(world)
    assert groups(world) == set()


def test_a_directory_that_refuses_every_group_for_days_is_no_success() -> None:
    world = active(None, "Staff")

    def no(group: str, person: str) -> None:
        raise Refused("the app lacks a permission")

    world.directory.remove_member = no  # type: ignore[method-assign]
    leave(world, minutes=60 * 50)
    assert statuses(world)[-1] == ("leaver", "unverified")
    assert "given up" in note(world) and "left: " not in note(world)


def test_somebody_hears_what_a_returner_lacks_even_where_no_ticket_was_opened_yet() -> None:
    world = active(None, "Staff")

    def down(*_: object, **__: object) -> object:
        raise TryLater("the desk is down")

    inner = world.desk.perform
    world.desk.perform = down  # type: ignore[method-assign, assignment]
    leave(world, minutes=3)
    assert groups(world) == set()
    world.directory.change("ada", account_enabled=True)
    world.look("ada")
    world.pass_time(minutes=5)
    world.desk.perform = inner  # type: ignore[method-assign]
    world.pass_time(hours=1)
    assert_sound(world)
    assert statuses(world)[-1] == ("leaver", "superseded")
    assert any("taken out of 2 groups" in why for why in alerts(world))


@pytest.mark.parametrize("cut", ["revoke_sessions", "remove_from_groups"])
def test_nothing_is_touched_for_somebody_who_is_back_before_the_first_try(cut: str) -> None:
    world = active(World(policy(replace(everyone().cut_off, **{cut: True}))), "Staff")
    busy_then_due(world)
    world.directory.change("ada", account_enabled=True)
    world.pass_time(minutes=30)
    world.look("ada")
    world.pass_time(minutes=30)
    assert untouched(world)


def test_what_came_of_it_is_told_once_although_the_desk_was_down_when_the_note_was_written() -> None:
    world = active(None, "Staff")
    refuse, perform = world.directory.remove_member, world.desk.perform

    def no(group: str, person: str) -> None:
        raise Refused("the app lacks a permission")

    def no_notes(order: object, *args: object, **named: object) -> object:
        if isinstance(order, AddNote):
            raise TryLater("the desk is down")
        return perform(order, *args, **named)  # type: ignore[call-overload]

    world.directory.remove_member, world.desk.perform = no, no_notes  # type: ignore[method-assign, assignment]
    leave(world, minutes=10)
    world.directory.remove_member = refuse  # type: ignore[method-assign]
    world.pass_time(minutes=30)
    assert groups(world) == set() and note(world) == ""
    world.desk.perform = perform  # type: ignore[method-assign]
    world.pass_time(hours=1)
    assert_all_ended_well(world)
    assert note(world).count("left: ITSM-NewJoiner, Staff") == 1
