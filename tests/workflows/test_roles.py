"""Groups drive roles on the desk: what is given, what waits for whom, what is refused, what ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from stories import statuses, tickets

from joinery.domain.events import Moved
from joinery.domain.moments import from_text
from joinery.domain.person import Manager
from joinery.domain.policy import BreakerPolicy, OnRefused, Policy, Ring, RolePolicy, WorkflowPolicy
from joinery.domain.tickets import EnsureAgent, FindUser, OpenTicket, SetRoles
from joinery.engine.breaker import HeldBook, HeldDecision
from joinery.engine.context import Context
from joinery.engine.memory_desk_things import DeskAgent, DeskTicket
from joinery.engine.policy_book import APPLIED, apply
from joinery.engine.promotion import Promotion, want_looks
from joinery.engine.recipes import Workflow
from joinery.errors import OutcomeUnknown, Refused, TryLater
from joinery.testing import World, everyone, person
from workflows import CATALOGUE

DESK, CHANGES, ADMINS = "ITSM-ServiceDesk", "ITSM-ChangeManagers", "ITSM-Admins"
BOB = person("bob")
ADA = person("ada", manager=Manager(id="bob", mail="bob@contoso.example"))


def policy(**changed: Any) -> Policy:
    """The roles of the default policy, each with these fields changed."""
    plain = everyone()
    return replace(plain, roles={group: replace(role, **changed) for group, role in plain.roles.items()})


def working(world: World | None = None, *groups: str) -> World:
    """Ada works here, for Bob, and is in these groups since before we came."""
    world = world or World()
    world.put(BOB)
    world.put(ADA.evolve(groups=frozenset(groups)))
    world.look("bob")
    world.look("ada")
    world.pass_time(minutes=15)
    return world


def gains(world: World, *groups: str) -> None:
    for group in groups:
        world.directory.add_member(f"g-{group}".lower(), "ada")
    world.look("ada")
    world.pass_time(minutes=20)


def loses(world: World, *groups: str) -> None:
    for group in groups:
        world.directory.end_membership(f"g-{group}".lower(), "ada")
    world.look("ada")
    world.pass_time(minutes=20)


def answers(world: World, approved: bool, *, ticket: DeskTicket | None = None, words: str = "") -> None:
    """Bob answers the request in front of the desk, and we hear of it."""
    asked = ticket or requests(world)[-1]
    [pending] = asked.rounds[-1].answers
    world.desk.answer(asked.id, pending.asked, approved, words=words)
    world.app.poll_approvals()
    world.pass_time(minutes=20)


def requests(world: World) -> list[DeskTicket]:
    return [ticket for ticket in world.desk.tickets if ticket.kind == "role"]


def agent(world: World) -> DeskAgent:
    [one] = world.desk.agents
    return one


def roles(world: World) -> tuple[str, ...]:
    """The roles of Ada's agent; none without an agent, and none while it is disabled."""
    held = [one.roles for one in world.desk.agents if one.enabled]
    return held[0] if held else ()


def notes(world: World, ticket: DeskTicket) -> str:
    return "\n".join(note.text for note in world.desk.notes if note.ticket_id == ticket.id)


# --- what is given


def test_a_group_whose_role_nobody_has_to_approve_gives_it_at_once_and_opens_no_ticket() -> None:
    world = working()
    gains(world, DESK)
    assert (agent(world).roles, agent(world).enabled, agent(world).team) == (("Service Desk",), True, "Service Desk")
    assert statuses(world) == [("role_change", "verified")] and not world.desk.tickets


def test_nothing_is_given_before_the_manager_has_answered_and_then_it_is_there_and_read_back() -> None:
    world = working()
    gains(world, CHANGES)
    [request] = requests(world)
    [asked] = request.rounds[-1].answers
    approver = next(user for user in world.desk.users if user.id == asked.asked)
    assert (approver.directory_id, approver.approver) == ("bob", True)
    assert (roles(world), world.desk.agents) == ((), [])
    answers(world, True)
    assert roles(world) == ("Change Manager",)
    assert request.closed and "The role Change Manager is on agent" in notes(world, request)
    assert statuses(world) == [("role_change", "verified")]


def test_the_request_says_what_the_role_is_who_decides_and_what_happens_until_then() -> None:
    world = working(World(policy(lasts=timedelta(days=30), administrator=True, approval=("manager", "owner:eve@contoso.example"))))
    gains(world, ADMINS)
    [request] = requests(world)
    for words in (
        "ITSM-Admins, which stands for the role Administrator",
        "It may change the desk itself.",
        "It ends by itself after 30 days.",
        "their manager, then the owner of the role (eve@contoso.example)",
        "Nothing is given before that",
    ):
        assert words in request.details


def test_losing_the_group_takes_the_role_away_and_the_last_one_disables_the_agent() -> None:
    world = working()
    gains(world, DESK, CHANGES)
    answers(world, True)
    assert roles(world) == ("Change Manager", "Service Desk")
    loses(world, CHANGES)
    assert roles(world) == ("Service Desk",)
    loses(world, DESK)
    assert (agent(world).roles, agent(world).enabled) == ((), False)
    assert {status for _, status in statuses(world)} == {"verified"}


def test_a_role_that_two_groups_give_stays_while_one_of_them_does() -> None:
    world = working(World(replace(everyone(), roles={one: RolePolicy(role="Service Desk") for one in (DESK, ADMINS)})))
    gains(world, DESK, ADMINS)
    loses(world, ADMINS)
    assert roles(world) == ("Service Desk",)
    loses(world, DESK)
    assert roles(world) == ()


def test_what_needs_nobody_is_there_while_what_needs_somebody_waits_and_no_request_waits_for_another() -> None:
    world = working()
    gains(world, DESK, CHANGES, ADMINS)
    assert roles(world) == ("Service Desk",)
    admins, changes = requests(world)
    assert (changes.summary.startswith("Role Change Manager"), admins.summary.startswith("Role Administrator")) == (True, True)
    answers(world, True, ticket=admins)
    assert roles(world) == ("Administrator", "Service Desk")
    answers(world, False, ticket=changes)
    assert roles(world) == ("Administrator", "Service Desk")
    assert statuses(world) == [("role_change", "verified")] * 3


def test_a_role_that_no_group_gives_stays_and_is_told_once() -> None:
    world = working()
    world.desk.put_agent("ada@contoso.example", "Auditor")
    gains(world, DESK)
    loses(world, DESK)
    assert agent(world).roles == ("Auditor",)
    raised = [line.record.why for line in world.audit("ada") if line.record.action == "alert"]
    assert len(raised) == 2 and all("roles that no group gives: Auditor" in why for why in raised)
    assert len(tickets(world, "alert")) <= 1


def test_a_role_that_no_group_gives_goes_where_policy_says_so() -> None:
    world = working(World(replace(everyone(), roles_alone=True)))
    world.desk.put_agent("ada@contoso.example", "Auditor")
    gains(world, DESK)
    assert agent(world).roles == ("Service Desk",)


def raised(world: World) -> list[str]:
    return [line.record.why for line in world.audit("ada") if line.record.action == "alert"]


@pytest.mark.parametrize(
    ("by_hand", "told"),
    [((), []), (("Change Manager",), []), (("change manager", "Auditor"), ["Auditor"]), (("Auditor", "Reporter"), ["Auditor, Reporter"])],
)
def test_of_an_agent_that_somebody_made_by_hand_only_what_no_group_gives_is_told_when_a_role_is_approved(
    by_hand: tuple[str, ...], told: list[str]
) -> None:
    world = working()
    world.desk.put_agent("ada@contoso.example", *by_hand)
    gains(world, CHANGES)
    assert (raised(world), agent(world).roles) == ([], by_hand), "nothing is done before the answer"
    answers(world, True)
    assert [why.partition(" has roles that no group gives: ")[2] for why in raised(world)] == told
    assert set(agent(world).roles) == {"Change Manager", *by_hand} - {"change manager"}
    assert statuses(world) == [("role_change", "verified")]


@pytest.mark.parametrize("alone", [False, True])
def test_a_role_from_before_us_is_neither_taken_nor_told_however_the_desk_spells_it(alone: bool) -> None:
    world = working(World(replace(everyone(), roles_alone=alone)), CHANGES)
    world.desk.put_agent("ada@contoso.example", "CHANGE manager", "Auditor")
    gains(world, DESK)
    kept = () if alone else ("Auditor",)
    assert set(agent(world).roles) == {"CHANGE manager", "Service Desk", *kept}
    assert [why.partition(": ")[2] for why in raised(world)] == list(kept)
    assert statuses(world) == [("role_change", "verified")]


def test_a_membership_from_before_us_whose_role_needs_an_approval_is_neither_given_nor_taken() -> None:
    world = working(None, CHANGES)
    assert statuses(world) == []
    gains(world, DESK)
    assert roles(world) == ("Service Desk",)
    other = working(World(), CHANGES)
    other.desk.put_agent("ada@contoso.example", "Change Manager")
    gains(other, DESK)
    assert roles(other) == ("Change Manager", "Service Desk")
    assert not [line for line in other.audit("ada") if line.record.action == "alert"]
    loses(other, CHANGES)
    assert roles(other) == ("Service Desk",)


def test_a_role_that_the_desk_takes_and_does_not_show_is_sent_again_and_then_told() -> None:
    world = working()
    world.desk.ignore(asks=SetRoles, times=2)
    gains(world, DESK)
    assert roles(world) == ("Service Desk",) and statuses(world) == [("role_change", "verified")]
    world.desk.ignore(asks=SetRoles, times=50)
    loses(world, DESK)
    assert statuses(world)[-1] == ("role_change", "unverified")


def test_no_free_licence_is_a_refusal_that_people_hear_of_and_the_request_stays_open_meanwhile() -> None:
    world = working()
    world.desk.fail(Refused("the licence allows 3 agents"), asks=SetRoles, times=2)
    gains(world, CHANGES)
    asked = requests(world)[0]
    [pending] = asked.rounds[-1].answers
    world.desk.answer(asked.id, pending.asked, True)
    world.app.poll_approvals()
    world.work()
    assert roles(world) == () and not asked.closed
    assert any("licence" in line.record.why for line in world.audit("ada") if line.record.action == "alert")
    world.pass_time(hours=2)
    assert roles(world) == ("Change Manager",) and asked.closed


# --- what is refused


def test_a_refusal_is_on_the_ticket_with_who_and_why_and_is_not_asked_again_while_the_membership_lasts() -> None:
    world = working()
    gains(world, CHANGES)
    answers(world, False, words="not this year")
    [request] = requests(world)
    assert roles(world) == () and request.closed
    assert "refused it (portal" in notes(world, request) and "not asked for again" in notes(world, request)
    assert 'They wrote: "not this year"' in notes(world, request)
    assert "Please take them out: nothing stands in the way." in notes(world, request)
    world.app.sweep()
    world.look("ada", times=3)
    world.pass_time(days=8)
    gains(world, DESK)
    assert len(requests(world)) == 1 and roles(world) == ("Service Desk",)


def test_the_next_membership_of_the_same_group_is_asked_for_again() -> None:
    world = working()
    gains(world, CHANGES)
    answers(world, False)
    loses(world, CHANGES)
    gains(world, CHANGES)
    assert len(requests(world)) == 2
    answers(world, True)
    assert roles(world) == ("Change Manager",)


def test_nobody_to_ask_is_no_approval() -> None:
    world = World()
    world.put(ADA.evolve(manager=None))
    world.look("ada")
    world.pass_time(minutes=5)
    gains(world, CHANGES)
    world.pass_time(days=30)
    [request] = requests(world)
    assert roles(world) == () and request.closed and "is not given" in notes(world, request)
    assert statuses(world) == [("role_change", "verified")]


def test_an_answer_that_never_comes_is_a_refusal_that_is_remembered() -> None:
    world = working()
    gains(world, CHANGES)
    world.pass_time(days=40)
    assert roles(world) == () and requests(world)[0].closed
    gains(world, DESK)
    assert len(requests(world)) == 1


@pytest.mark.parametrize(
    ("trait", "words"),
    [
        ("dynamic", "by its membership rule"),
        ("synced", "mastered on premises"),
        ("role_assignable", "a privileged administrator has to take them out"),
        ("mail_enabled", "take them out in the mail system"),
    ],
)
def test_a_group_that_cannot_be_edited_is_reported_with_what_to_do_and_left_alone(trait: str, words: str) -> None:
    world = working(World(policy(on_refused=OnRefused.REMOVE)))
    world.directory.put_traits("g-itsm-changemanagers", **{trait: True})
    gains(world, CHANGES)
    answers(world, False)
    assert words in notes(world, requests(world)[0])
    assert world.directory.calls["remove_member"] == 0 and "ada" in world.directory.people_in("g-itsm-changemanagers")


def test_where_policy_says_so_the_refused_person_is_taken_out_of_the_group_and_the_account_stays() -> None:
    world = working(World(policy(on_refused=OnRefused.REMOVE)))
    gains(world, CHANGES)
    answers(world, False)
    assert "The membership of the group was ended" in notes(world, requests(world)[0])
    assert "ada" not in world.directory.people_in("g-itsm-changemanagers") and "membership ended" in world.actions("ada")
    world.look("ada")
    world.pass_time(hours=1)
    assert len(requests(world)) == 1 and roles(world) == ()


def test_a_membership_through_another_group_is_reported_after_looks_that_still_show_it() -> None:
    world = working(World(policy(on_refused=OnRefused.REMOVE)))
    world.directory.put_group("g-inner", name="inner")
    world.directory.add_member("g-inner", "ada")
    world.directory.add_member("g-itsm-changemanagers", "g-inner")
    world.look("ada")
    world.pass_time(minutes=20)
    answers(world, False)
    assert "through another group inside it" in notes(world, requests(world)[0])


def test_a_directory_that_does_not_answer_is_asked_again_and_the_ticket_waits_for_it() -> None:
    world = working(World(policy(on_refused=OnRefused.REMOVE)))
    gains(world, CHANGES)
    asked = requests(world)[0]
    world.desk.answer(asked.id, asked.rounds[-1].answers[0].asked, False)
    world.app.poll_approvals()
    world.directory.fail(TryLater("busy"), times=4)
    world.work()
    world.pass_time(hours=1)
    assert "ada" not in world.directory.people_in("g-itsm-changemanagers") and asked.closed


def test_where_policy_says_so_nothing_is_said_about_the_membership() -> None:
    world = working(World(policy(on_refused=OnRefused.LEAVE)))
    gains(world, CHANGES)
    answers(world, False)
    assert "still in the group" not in notes(world, requests(world)[0]) and world.directory.calls["group_traits"] == 0


# --- what changes on the way


def test_a_group_that_is_lost_while_its_request_waits_closes_the_ticket_and_nobody_can_approve_it_any_more() -> None:
    world = working()
    gains(world, CHANGES)
    loses(world, CHANGES)
    [request] = requests(world)
    assert request.closed and "Withdrawn" in notes(world, request)
    assert statuses(world) == [("role_change", "superseded"), ("role_change", "verified")]
    assert not world.desk.agents


def test_another_group_leaves_a_request_that_waits_alone() -> None:
    world = working()
    gains(world, CHANGES)
    gains(world, DESK)
    loses(world, DESK)
    [request] = requests(world)
    assert len(request.rounds) == 1 and not request.closed and roles(world) == ()
    answers(world, True)
    assert roles(world) == ("Change Manager",)
    assert [status for _, status in statuses(world)] == ["verified"] * 3


def test_leaving_closes_the_request_and_what_was_approved_a_moment_too_late_gives_nothing() -> None:
    world = working()
    gains(world, DESK, CHANGES)
    [request] = requests(world)
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(minutes=30)
    assert request.closed and "has left" in notes(world, request)
    assert (agent(world).roles, agent(world).enabled) == ((), False)
    assert world.app.dispatcher.open_partition("local|person:ada").head.tickets == {}


def test_a_rehearsed_leave_follows_what_becomes_of_an_open_request_meanwhile() -> None:
    plain = policy()
    world = World(replace(plain, workflows={**plain.workflows, "leaver": WorkflowPolicy(ring=Ring.SHADOW)}))
    gains(working(world), CHANGES)
    world.desk.fail(Refused("no"), asks=FindUser)
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    answers(world, approved=False)
    world.pass_time(hours=2)
    assert statuses(world) == [("role_change", "verified"), ("leaver", "planned")]


def test_a_leave_that_was_held_and_discarded_ends_the_request_that_was_open_and_nothing_fails() -> None:
    """Nobody offboards them, and nobody gives them anything any more."""
    world = World(replace(policy(), breaker=BreakerPolicy(hourly_min=0, hourly_share=0, daily_min=0, daily_share=0)))
    gains(working(world), CHANGES)
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    book = HeldBook(world.store)
    [change] = book.listed()
    book.put(replace(change, decision=HeldDecision.DISCARD))
    for _ in range(5):
        world.pass_time(minutes=1)
        world.app.tick()
    world.pass_time(minutes=30)
    assert [(view.run.workflow, str(view.run.status)) for view in world.runs()] == [("role_change", "superseded")]
    assert [why for why in raised(world) if "held" not in why] == []


def test_whoever_comes_back_is_asked_for_anew_and_gets_at_once_what_needs_nobody() -> None:
    world = working()
    gains(world, DESK, CHANGES)
    answers(world, True)
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(hours=1)
    assert roles(world) == ()
    world.directory.change("ada", account_enabled=True)
    world.look("ada")
    world.pass_time(hours=1)
    assert roles(world) == ("Service Desk",) and len(requests(world)) == 2
    answers(world, True)
    assert roles(world) == ("Change Manager", "Service Desk")


def test_a_request_whose_ticket_got_lost_on_the_way_is_found_again_after_the_group_was_lost() -> None:
    world = working()
    world.desk.fail(OutcomeUnknown("cut"), asks=OpenTicket, after_effect=True)
    world.directory.add_member("g-itsm-changemanagers", "ada")
    world.look("ada")
    loses(world, CHANGES)
    world.pass_time(hours=1)
    [request] = requests(world)
    assert request.closed and "Withdrawn" in notes(world, request)


def test_a_role_that_came_and_went_while_the_desk_was_away_is_what_is_wanted_last() -> None:
    world = working()
    world.desk.fail(TryLater("busy"), asks=EnsureAgent, times=30)
    gains(world, DESK)
    loses(world, DESK)
    world.pass_time(hours=5)
    assert roles(world) == ()
    assert statuses(world) == [("role_change", "superseded"), ("role_change", "verified")]


def test_an_unfinished_run_that_is_overtaken_for_one_group_leaves_nothing_undone_about_the_other() -> None:
    world = working()
    gains(world, CHANGES, ADMINS)
    world.desk.fail(TryLater("busy"), times=30)
    loses(world, CHANGES, ADMINS)
    gains(world, ADMINS)
    world.pass_time(hours=12)
    first, second, third = requests(world)
    assert (first.closed, second.closed, third.closed) == (True, True, False)
    assert third.summary.startswith("Role Administrator")


def test_a_ticket_that_somebody_deleted_keeps_nobody_in_a_role_and_is_told() -> None:
    world = working()
    gains(world, DESK, CHANGES)
    requests(world)[0].deleted = True
    loses(world, DESK, CHANGES)
    assert roles(world) == () and not agent(world).enabled
    assert any("there is no ticket" in line.record.why for line in world.audit("ada") if line.record.action == "alert")


# --- a move


def moving(approve: bool | None) -> World:
    """A move that limits what the old manager approved to two weeks, and asks the new one."""

    def mover(ctx: Context) -> None:
        old = [one for one in ctx.decide_roles("what they have").given if "manager" in one.role.approval]
        ctx.limit_grants("old access ends", [one.group for one in old], from_text(ctx.step("when", lambda: "2026-01-20T00:00:00Z")))
        ticket = ctx.do("ticket", OpenTicket(kind="move", person=ctx.person, user_id=None, summary="Move", details=""))
        for one in old:
            answer = ctx.ask_approval(f"ask for {one.group}", ticket=ticket, of=("manager",))
            ctx.remember_answer(f"remember {one.group}", one, answer, ticket)

    world = working(World(everyone(), catalogue={**CATALOGUE, Moved: Workflow(name="mover", version=1, recipe=mover)}))
    gains(world, DESK, CHANGES)
    answers(world, True)
    world.put(person("eve"))
    world.look("eve")
    world.directory.change("ada", department="Legal", manager=Manager(id="eve", mail="eve@contoso.example"))
    world.look("ada")
    world.pass_time(minutes=20)
    if approve is not None:
        answers(world, approve, ticket=next(ticket for ticket in world.desk.tickets if ticket.kind == "move"))
    return world


@pytest.mark.parametrize("approve", [False, None])
def test_what_the_old_manager_approved_ends_by_its_date_unless_the_new_one_approves_it(approve: bool | None) -> None:
    world = moving(approve)
    assert roles(world) == ("Change Manager", "Service Desk")
    world.pass_time(days=16)
    assert roles(world) == ("Service Desk",)


def test_what_the_new_manager_approves_goes_on() -> None:
    world = moving(True)
    world.pass_time(days=60)
    assert roles(world) == ("Change Manager", "Service Desk")


def test_two_groups_with_one_role_and_two_moves_one_after_the_other_are_each_asked_about_on_their_own_ticket() -> None:
    asked = RolePolicy(role="Change Manager", approval=("manager",))
    world = working(World(replace(everyone(), roles={CHANGES: asked, ADMINS: asked})))
    gains(world, CHANGES, ADMINS)
    for request in requests(world):
        answers(world, True, ticket=request)
    for department in ("Legal", "Sales"):
        world.directory.change("ada", department=department)
        world.look("ada")
        world.pass_time(minutes=20)
        ticket = [one for one in world.desk.tickets if one.kind == "move"][-1]
        for _ in (CHANGES, ADMINS):
            answers(world, True, ticket=ticket)
    assert [status for _, status in statuses(world)] == ["verified"] * 4
    assert len({(note.key, note.ticket_id) for note in world.desk.notes}) == len({note.key for note in world.desk.notes})
    world.pass_time(days=60)
    assert roles(world) == ("Change Manager",)


# --- what ends by its date


def test_a_grant_with_an_end_date_ends_by_itself_and_is_given_again_with_the_next_membership() -> None:
    world = working(World(policy(lasts=timedelta(days=30))))
    gains(world, DESK, CHANGES)
    answers(world, True)
    assert "until 2026-02-04" in notes(world, requests(world)[0])
    world.pass_time(days=28)
    assert roles(world) == ("Change Manager", "Service Desk")
    world.pass_time(days=3)
    assert roles(world) == () and not agent(world).enabled
    assert len(requests(world)) == 1
    loses(world, DESK)
    gains(world, DESK)
    assert roles(world) == ("Service Desk",)


def test_a_date_that_passes_while_nothing_may_act_is_kept_as_soon_as_it_may() -> None:
    world = working(World(policy(lasts=timedelta(days=3))))
    gains(world, DESK)
    world.app.pauses.pause("role_change", "a freeze")
    world.pass_time(days=4)
    assert roles(world) == ("Service Desk",)
    world.app.pauses.resume("role_change")
    world.pass_time(hours=1)
    assert roles(world) == ()


# --- rings


def test_a_rehearsal_plans_everything_and_touches_nothing_and_the_real_thing_can_still_come() -> None:
    shadow = replace(everyone(), workflows={"role_change": WorkflowPolicy(ring=Ring.SHADOW)})
    world = working(World(shadow))
    gains(world, DESK, CHANGES)
    assert statuses(world) == [("role_change", "planned")]
    assert not world.desk.tickets and not world.desk.agents and not world.desk.notes
    assert world.app.dispatcher.open_partition("local|person:ada").head.grants == {}
    world.policy = everyone()
    world.restart()
    world.app.promotions.decide("local|person:ada", "role_change", Promotion.RUN)
    world.look("ada")
    world.pass_time(minutes=20)
    assert roles(world) == ("Service Desk",) and len(requests(world)) == 1


def test_what_came_while_role_changes_were_off_is_neither_given_nor_taken_once_they_are_on() -> None:
    world = working(World(replace(everyone(), workflows={})))
    world.desk.put_agent("ada@contoso.example", "Change Manager")
    gains(world, CHANGES)
    assert statuses(world) == []
    world.policy = everyone()
    world.restart()
    gains(world, DESK)
    assert roles(world) == ("Change Manager", "Service Desk") and not requests(world)


# --- lost and gained again while the desk is down


def test_a_role_that_was_lost_is_taken_away_though_the_next_membership_waits_and_is_refused() -> None:
    world = working()
    gains(world, CHANGES)
    answers(world, approved=True)
    assert roles(world) == ("Change Manager",)
    world.desk.fail(TryLater("down"), asks=SetRoles, times=40)
    loses(world, CHANGES)
    gains(world, CHANGES)
    world.pass_time(hours=12)
    assert [status for _, status in statuses(world)] == ["verified", "superseded", "open"]
    assert len(requests(world)) == 2 and roles(world) == ()
    answers(world, approved=False)
    assert roles(world) == ()


def test_two_roles_lost_and_gained_again_before_the_desk_answers_are_asked_about_at_once_and_apart() -> None:
    world = working()
    gains(world, CHANGES, ADMINS)
    for request in requests(world):
        answers(world, True, ticket=request)
    world.desk.fail(TryLater("down"), asks=SetRoles, times=40)
    loses(world, CHANGES, ADMINS)
    gains(world, CHANGES, ADMINS)
    world.pass_time(hours=10)
    assert roles(world) == ()
    waiting = [ticket for ticket in requests(world) if not ticket.closed]
    assert sorted(ticket.summary.partition(":")[0] for ticket in waiting) == ["Role Administrator", "Role Change Manager"]
    answers(world, True, ticket=waiting[1])
    assert len(roles(world)) == 1 and [ticket.closed for ticket in waiting] == [False, True]


# --- a group that stands for another role


def edited(world: World, **roles: RolePolicy) -> Policy:
    """From now on the worker runs with this file; what it changes waits."""
    world.policy = replace(world.policy, roles={**world.policy.roles, **{name.replace("_", "-"): role for name, role in roles.items()}})
    world.restart()
    world.pass_time(hours=1)
    return world.policy


def applied(world: World, policy: Policy) -> None:
    apply(world.store, policy, world.clock)
    want_looks(world.store, ["local|person:ada"], APPLIED)
    for _ in range(3):
        world.app.tick()
        world.pass_time(minutes=5)


def test_a_group_that_stands_for_another_role_gives_it_to_whoever_is_in_it_once_the_edit_is_applied() -> None:
    world = working()
    gains(world, DESK)
    policy = edited(world, ITSM_ServiceDesk=RolePolicy(role="Problem Manager", team="Service Desk"))
    assert roles(world) == ("Service Desk",) and len(world.runs()) == 1
    applied(world, policy)
    assert "Problem Manager" in roles(world)
    assert [view.run.fact for view in world.runs()][1:] == [{"is": "RolesChanged", "gained": [DESK], "lost": [DESK], "ended": []}]
    world.look("ada")
    world.pass_time(hours=1)
    assert len(world.runs()) == 2


def test_a_role_that_was_approved_is_no_approval_of_the_one_its_group_stands_for_now() -> None:
    world = working()
    gains(world, CHANGES)
    answers(world, approved=True)
    old = world.policy.roles[CHANGES]
    policy = edited(world, ITSM_ChangeManagers=replace(old, role="Administrator", administrator=True))
    world.desk.fail(TryLater("busy"), asks=SetRoles, times=25)
    gains(world, DESK)
    apply(world.store, policy, world.clock)
    # A run that is open goes on by the rules of now, before anybody has looked because of the edit.
    world.pass_time(hours=3)
    assert "Service Desk" in roles(world) and "Administrator" not in roles(world)
    applied(world, policy)
    assert len(requests(world)) == 2 and "Administrator" not in roles(world)
    answers(world, approved=True)
    assert "Administrator" in roles(world)


def test_another_approval_for_the_same_role_is_for_the_memberships_to_come() -> None:
    world = working()
    gains(world, DESK)
    old = world.policy.roles[DESK]
    policy = edited(world, ITSM_ServiceDesk=replace(old, approval=("manager",)))
    applied(world, policy)
    assert len(world.runs()) == 1 and roles(world) == ("Service Desk",)


# --- made while we watch


def appears(world: World, *, made: timedelta) -> None:
    """Ada, made that long after the first sweep began, is in a role group before anybody looks at her."""
    world.put(BOB)
    world.app.sweep()
    since = world.clock.now()
    world.pass_time(hours=1)
    world.put(ADA.evolve(groups=frozenset({CHANGES}), created_at=since + made))
    world.look("ada")
    world.pass_time(minutes=20)


def test_somebody_made_and_put_into_a_role_group_before_the_first_look_has_gained_it() -> None:
    world = World()
    appears(world, made=timedelta(minutes=30))
    assert statuses(world) == [("role_change", "open")] and len(requests(world)) == 1
    answers(world, approved=True)
    assert roles(world) == ("Change Manager",)


def test_an_account_that_is_dated_to_the_second_in_which_we_began_to_watch_is_made_while_we_watch() -> None:
    world = World()
    world.clock.advance(milliseconds=700)
    assert world.clock.now().microsecond == 700_000
    appears(world, made=timedelta(milliseconds=-700))
    assert len(requests(world)) == 1


def test_an_account_that_is_older_than_our_watch_was_in_the_group_before_us() -> None:
    world = World()
    appears(world, made=timedelta(minutes=-1))
    assert statuses(world) == [] and requests(world) == []


def test_whoever_is_made_before_the_first_sweep_was_there_before_us() -> None:
    world = World()
    world.put(BOB)
    world.put(ADA.evolve(groups=frozenset({CHANGES}), created_at=world.clock.now()))
    world.look("ada")
    world.pass_time(minutes=20)
    world.app.sweep()
    world.look("ada")
    assert statuses(world) == []


def test_what_a_newcomer_is_in_stays_a_gain_while_shadow_watches_and_is_decided_by_a_person() -> None:
    world = World(replace(everyone(), workflows={**everyone().workflows, "role_change": WorkflowPolicy(ring=Ring.SHADOW)}))
    appears(world, made=timedelta(minutes=30))
    assert [(view.run.workflow, view.run.mode) for view in world.runs()] == [("role_change", "shadow")]
    world.policy = everyone()
    world.restart()
    world.look("ada")
    world.pass_time(minutes=20)
    assert requests(world) == []
    world.app.promotions.decide("local|person:ada", "role_change", Promotion.RUN)
    world.look("ada")
    world.pass_time(minutes=20)
    assert len(requests(world)) == 1


# --- an agent without a user


def test_an_agent_of_somebody_who_is_no_user_goes_along_with_a_new_address_and_is_disabled_when_they_leave() -> None:
    world = working()
    gains(world, DESK)
    assert world.desk.users == []
    world.directory.change("ada", display_name="Ada King", mail="king@contoso.example", user_principal_name="king@contoso.example")
    world.look("ada")
    world.pass_time(hours=1)
    loses(world, DESK)
    gains(world, DESK)
    assert (agent(world).address, roles(world)) == ("king@contoso.example", ("Service Desk",))
    world.directory.change("ada", mail="byron@contoso.example", user_principal_name="byron@contoso.example")
    world.look("ada")
    world.pass_time(hours=1)
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(hours=1)
    assert (agent(world).roles, agent(world).enabled) == ((), False)
    assert [status for _, status in statuses(world)] == ["verified"] * 6
