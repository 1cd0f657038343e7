"""The mover and the renamer, from the outside: one ticket with two lists, one user in line, whatever changes on the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from stories import ada, alerts, assert_all_ended_well, assert_sound, joined, statuses, tickets

from joinery.domain.person import Manager
from joinery.domain.policy import Ring, WorkflowPolicy
from joinery.domain.tickets import AddNote, EnsureUser, OpenTicket, UpdateUser
from joinery.errors import OutcomeUnknown, Refused, TryLater
from joinery.testing import World, everyone, person
from workflows.mover import ADDS, REMOVES

GRACE = Manager(id="eve", display_name="Grace Hopper", mail="hopper@contoso.example")


def moved(world: World, minutes: float = 30, **fields: Any) -> World:
    """Ada, who joined long ago, changes."""
    joined(world)
    world.pass_time(hours=72)
    return changed(world, minutes, **fields)


def changed(world: World, minutes: float = 30, **fields: Any) -> World:
    world.directory.change("ada", **fields)
    world.look("ada")
    world.pass_time(minutes=minutes)
    return world


def test_a_mover_gets_one_ticket_with_a_list_for_each_manager_and_the_user_is_brought_in_line() -> None:
    world = moved(World(), department="Research", manager=GRACE)
    assert_all_ended_well(world)
    assert statuses(world) == [("joiner", "verified"), ("mover", "verified")]
    [ticket] = [one for one in world.desk.tickets if one.kind == "move"]
    assert {row.owner for row in ticket.to_do} == {REMOVES, ADDS}
    assert "Department: Finance -> Research" in ticket.details
    assert "Manager: Charles Babbage <babbage@contoso.example> -> Grace Hopper <hopper@contoso.example>" in ticket.details
    [user] = world.desk.users
    assert user.department == "Research" and ticket.user_id == user.id


def test_nothing_happens_before_the_move_has_settled_and_several_writes_are_one_move() -> None:
    world = moved(World(), minutes=0, department="Research")
    world.pass_time(seconds=30)
    changed(world, minutes=0, job_title="Head of Research")
    assert tickets(world, "move") == []
    world.pass_time(minutes=30)
    assert len(tickets(world, "move")) == 1
    assert [view.run.fact["fields"] for view in world.runs()[1:]] == [["department", "job_title"]]


def test_a_further_move_goes_on_with_the_first_ones_ticket_however_many_there_are() -> None:
    world = World()
    joined(world)
    world.pass_time(hours=72)
    world.desk.fail(TryLater("busy"), asks=UpdateUser, times=30)
    for department in ("Research", "Legal", "Sales"):
        changed(world, 5, department=department)
    world.pass_time(hours=24)
    assert_all_ended_well(world)
    assert statuses(world)[1:] == [("mover", "superseded"), ("mover", "superseded"), ("mover", "verified")]
    [ticket] = [one for one in world.desk.tickets if one.kind == "move"]
    going_on = [note.text for note in world.desk.notes if "The move goes on" in note.text]
    assert ["Finance -> Legal" in going_on[0], "Finance -> Sales" in going_on[1]] == [True, True]
    assert world.desk.users[0].department == "Sales" and all(note.ticket_id == ticket.id for note in world.desk.notes[1:])


def test_whoever_leaves_while_moving_leaves_and_the_movers_ticket_says_so() -> None:
    world = World()
    joined(world)
    world.pass_time(hours=72)
    world.desk.fail(TryLater("busy"), asks=UpdateUser, times=200)
    changed(world, 5, department="Research")
    changed(world, 60, account_enabled=False)
    assert statuses(world)[1:] == [("mover", "superseded"), ("leaver", "verified")]
    [move] = tickets(world, "move")
    assert any("has left" in note.text for note in world.desk.notes if note.ticket_id == move)


@pytest.mark.parametrize("what", [EnsureUser, OpenTicket, AddNote, UpdateUser])
@pytest.mark.parametrize("after_effect", [True, False])
def test_a_lost_answer_or_request_changes_nothing_in_the_end(what: type, after_effect: bool) -> None:
    world = World()
    joined(world)
    world.pass_time(hours=72)
    world.desk.fail(OutcomeUnknown("the connection dropped"), asks=what, after_effect=after_effect)
    changed(world, department="Research")
    assert_all_ended_well(world)
    assert len(tickets(world, "move")) == 1 and len(world.desk.users) == 1 and world.desk.users[0].department == "Research"


def test_a_user_who_cannot_be_brought_in_line_does_not_keep_the_ticket_waiting() -> None:
    world = World()
    joined(world)
    world.pass_time(hours=72)
    world.desk.fail(Refused("the site is unknown"), asks=UpdateUser, times=3)
    changed(world, minutes=5, department="Research")
    assert len(tickets(world, "move")) == 1 and len(alerts(world)) == 1
    world.pass_time(hours=30)
    assert statuses(world)[1:] == [("mover", "verified")]
    assert_sound(world)


def test_a_new_name_and_address_is_the_same_user_and_opens_no_ticket() -> None:
    world = moved(World(), display_name="Ada King", mail="king@contoso.example", user_principal_name="king@contoso.example")
    assert_all_ended_well(world)
    assert statuses(world)[1:] == [("renamer", "verified")]
    [user] = world.desk.users
    assert (user.name, user.address, user.directory_id) == ("Ada King", "king@contoso.example", "ada")
    assert [ticket.kind for ticket in world.desk.tickets] == ["onboarding"]


def test_whoever_is_no_user_of_the_desk_is_none_after_a_new_name() -> None:
    world = World()
    world.put(ada(groups=()))
    world.look("ada")
    changed(world, display_name="Ada King")
    assert statuses(world) == [("renamer", "verified")] and world.desk.users == []


def test_an_empty_field_filled_soon_after_joining_is_no_move() -> None:
    world = World()
    world.put(ada(manager=None))
    world.look("ada")
    world.pass_time(hours=1)
    changed(world, manager=GRACE)
    assert statuses(world) == [("joiner", "verified"), ("renamer", "verified")] and tickets(world, "move") == []
    assert world.desk.users[0].manager_address == GRACE.mail


def test_who_moved_from_where_is_in_no_audit_entry_and_no_reason() -> None:
    world = moved(World(), department="Research", manager=GRACE)
    told = " ".join(str(line.record.document()) for line in world.audit("ada"))
    assert "Hopper" not in told and "Babbage" not in told
    assert timedelta(0) <= world.clock.now() - world.runs()[1].run.started_at


# --- access of the old post

BOB = "bob"


def a_change_manager() -> World:
    """Ada works for Bob, who approved that she is a change manager; Eve is to be her next manager."""
    world = World()
    for one in (person(BOB), person("eve")):
        world.put(one)
        world.look(one.id)
    world.put(ada(groups=()))
    world.look("ada")
    world.pass_time(minutes=15)
    world.directory.add_member("g-itsm-changemanagers", "ada")
    world.look("ada")
    world.pass_time(minutes=20)
    approved(world, "role")
    assert roles(world) == ("Change Manager",)
    return world


def approved(world: World, kind: str, yes: bool = True) -> None:
    """Whoever is asked on the ticket of this kind answers."""
    [ticket] = [one for one in world.desk.tickets if one.kind == kind]
    world.desk.answer(ticket.id, ticket.rounds[-1].answers[0].asked, yes)
    world.app.poll_approvals()
    world.pass_time(minutes=20)


def roles(world: World) -> tuple[str, ...]:
    return tuple(world.desk.agents[0].roles)


@pytest.mark.parametrize("answer", [False, None], ids=["refused", "not answered"])
def test_what_the_old_manager_approved_ends_on_the_day_that_the_ticket_names(answer: bool | None) -> None:
    world = changed(a_change_manager(), department="Research", manager=GRACE)
    [move] = [one for one in world.desk.tickets if one.kind == "move"]
    assert "Old access: Change Manager ends by itself on 2026-01-20 00:00 UTC" in move.details
    if answer is not None:
        approved(world, "move", answer)
    world.pass_time(days=13)
    assert roles(world) == ("Change Manager",)
    world.pass_time(days=4)
    assert roles(world) == () and not world.desk.agents[0].enabled
    assert statuses(world)[-1] == ("role_change", "verified")
    notes = [note.text for note in world.desk.notes if note.ticket_id == move.id]
    assert any("The role Change Manager ends on 2026-01-20." in text for text in notes)


def test_what_the_new_manager_approves_stays() -> None:
    world = changed(a_change_manager(), department="Research", manager=GRACE)
    [move] = [one for one in world.desk.tickets if one.kind == "move"]
    asked = world.desk.user(move.rounds[-1].answers[0].asked)
    assert asked.directory_id == "eve", "the manager of now"
    approved(world, "move")
    world.pass_time(days=60)
    assert roles(world) == ("Change Manager",)
    assert statuses(world) == [("role_change", "verified"), ("mover", "verified")]


def test_an_approval_that_comes_after_the_old_access_has_ended_brings_nothing_back_and_the_ticket_says_so() -> None:
    world = a_change_manager()
    plain = world.policy
    world.policy = replace(plain, mover=replace(plain.mover, old_access_lasts=timedelta(days=1)))
    world.restart()
    changed(world, department="Legal")
    world.pass_time(days=3)
    assert roles(world) == ()
    approved(world, "move")
    assert roles(world) == ()
    assert any("The role Change Manager had ended before this answer" in note.text for note in world.desk.notes)


def test_an_answer_about_one_move_is_none_about_the_next_though_both_are_on_one_ticket() -> None:
    world = changed(a_change_manager(), department="Legal")
    for department in ("Sales", "Research"):
        world.desk.fail(TryLater("busy"), asks=AddNote, times=200)
        approved(world, "move")
        changed(world, department=department)
        world.desk.mend()
        world.pass_time(hours=1)
    world.app.poll_approvals()
    world.pass_time(hours=2)
    [move] = [one for one in world.desk.tickets if one.kind == "move"]
    assert len(move.rounds) == 3
    world.pass_time(days=16)
    assert roles(world) == ()


def test_another_title_alone_asks_nobody() -> None:
    world = changed(a_change_manager(), job_title="Head")
    [move] = [one for one in world.desk.tickets if one.kind == "move"]
    assert move.rounds == [] and "Old access" not in move.details
    world.pass_time(days=20)
    assert roles(world) == ("Change Manager",)


# --- who reports to them


def team(world: World, count: int) -> None:
    for number in range(count):
        world.put(person(f"r{number:03}", display_name=f"Report {number:03}", manager=Manager(id="ada")))
        world.look(f"r{number:03}")


def test_whoever_reports_to_somebody_who_moves_is_named_on_the_ticket_and_looked_at() -> None:
    world = World()
    joined(world)
    team(world, 3)
    world.pass_time(hours=72)
    # Nobody told of it: the look that the move sends is what finds out.
    world.directory.change("r001", manager=GRACE)
    looks = dict(world.directory.looks)
    changed(world, department="Research")
    assert_all_ended_well(world)
    [ticket] = [one for one in world.desk.tickets if one.kind == "move" and "Ada" in one.summary]
    assert "to be handed over where they do not move along: Report 000, Report 002" in ticket.details
    assert {one for one in ("r000", "r001", "r002") if world.directory.looks[one] > looks[one]} == {"r000", "r002"}
    assert "reports told" in world.actions("ada")


def test_a_manager_of_hundreds_gets_a_ticket_that_can_be_read() -> None:
    world = World()
    joined(world)
    team(world, 120)
    world.pass_time(hours=72)
    changed(world, department="Research")
    [ticket] = [one for one in world.desk.tickets if one.kind == "move"]
    assert "Report 029 and 90 more" in ticket.details and "Report 030" not in ticket.details


def test_a_directory_that_does_not_say_who_reports_keeps_nobodys_ticket_for_long() -> None:
    world = World()
    joined(world)
    team(world, 2)
    world.pass_time(hours=72)
    directory = world.directory

    def silent(person_id: str) -> tuple[()]:
        raise TryLater("busy")

    directory.reports_of = silent  # type: ignore[method-assign]
    changed(world, 10, department="Research")
    assert tickets(world, "move") == []
    world.pass_time(minutes=10)
    [ticket] = [one for one in world.desk.tickets if one.kind == "move"]
    assert "Direct reports" not in ticket.details
    assert "reports not told" in world.actions("ada")


def test_a_rehearsed_move_tells_nobody() -> None:
    world = World(replace(everyone(), workflows={**everyone().workflows, "mover": WorkflowPolicy(ring=Ring.SHADOW)}))
    joined(world)
    team(world, 2)
    world.pass_time(hours=72)
    looks = dict(world.directory.looks)
    changed(world, department="Research")
    assert [(view.run.workflow, view.run.mode) for view in world.runs()][1:] == [("mover", "shadow")]
    assert all(world.directory.looks[one] == looks[one] for one in ("r000", "r001"))
