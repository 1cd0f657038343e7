"""Orders about agents, roles and approvals as the engine carries them out, and as a plan shows them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from joinery.domain.events import Joined
from joinery.domain.policy import Ring, WorkflowPolicy
from joinery.domain.tickets import (
    Answer,
    AskApproval,
    CloseTicket,
    EnsureAgent,
    EnsureApprover,
    EnsureUser,
    OpenTicket,
    SetRoles,
    UpdateUser,
    Verdict,
)
from joinery.engine.context import Context
from joinery.engine.dry_run import PLANNED, DryRunServiceDesk
from joinery.engine.memory_desk import MemoryServiceDesk
from joinery.engine.recipes import Recipe, Workflow
from joinery.errors import OutcomeUnknown, Refused
from joinery.testing import World, everyone, person

ADA = person("ada", groups=("ITSM-NewJoiner",))
BOB = person("bob")


def a_role(ctx: Context) -> None:
    """Everything that one role takes, with an approver who is somebody else."""
    user = ctx.do("their user", EnsureUser(person=ctx.person))
    ticket = ctx.do("ticket", OpenTicket(kind="role", person=ctx.person, user_id=user.id, summary="s", details="d"))
    approver = ctx.do("an approver", EnsureApprover(person=BOB))
    ctx.do("ask", AskApproval(ticket_id=ticket.id, user_ids=(approver.id or "",)))
    agent = ctx.do("their agent", EnsureAgent(person=ctx.person, team="Service Desk"))
    ctx.do("roles", SetRoles(person=ctx.person, agent_id=agent.id, roles=("Change Manager",), ours=("Change Manager",)))
    ctx.do("in line", UpdateUser(person=ctx.person, user_id=user.id or ""))
    ctx.do("close", CloseTicket(ticket_id=ticket.id))


def a_question(ctx: Context) -> None:
    """A round that nobody answers."""
    ticket = ctx.do("ticket", OpenTicket(kind="role", person=ctx.person, user_id=None, summary="s", details="d"))
    approver = ctx.do("an approver", EnsureApprover(person=BOB))
    ctx.do("ask", AskApproval(ticket_id=ticket.id, user_ids=(approver.id or "",)))


def cook(policy: Ring = Ring.EVERYONE, *, minutes: float = 40, cut: type | None = None, recipe: Recipe = a_role) -> World:
    rings = replace(everyone(), workflows={"joiner": WorkflowPolicy(ring=policy)})
    world = World(rings, catalogue={Joined: Workflow(name="joiner", version=1, recipe=recipe)})
    if cut:
        world.desk.fail(OutcomeUnknown("cut"), asks=cut, after_effect=True)
    world.put(ADA)
    world.look("ada")
    world.pass_time(minutes=minutes)
    return world


def test_a_run_does_all_of_it_once_and_reads_it_back() -> None:
    world = cook()
    [view] = world.runs()
    assert str(view.run.status) == "verified"
    assert [(user.directory_id, user.approver) for user in world.desk.users] == [("ada", False), ("bob", True)]
    assert [(agent.address, agent.roles, agent.enabled) for agent in world.desk.agents] == [(ADA.mail, ("Change Manager",), True)]
    assert [(ticket.closed, len(ticket.rounds)) for ticket in world.desk.tickets] == [(True, 1)]


@pytest.mark.parametrize(("recipe", "made"), [(a_role, 5), (a_question, 3)])
def test_neither_a_round_nor_an_agent_is_called_a_twin_of_itself(recipe: Recipe, made: int) -> None:
    actions = cook(recipe=recipe).actions("ada")
    assert (actions.count("alert"), actions.count("twin check")) == (0, made)


@pytest.mark.parametrize("cut", [AskApproval, EnsureAgent, EnsureApprover])
def test_what_was_made_and_whose_answer_was_lost_is_found(cut: type) -> None:
    world = cook(cut=cut)
    assert [len(things) for things in (world.desk.users, world.desk.agents, world.desk.tickets[0].rounds)] == [2, 1, 1]
    assert "step adopted" in world.actions("ada")


def test_the_user_of_an_approver_is_not_taken_for_the_persons_own() -> None:
    known: list[str | None] = []

    def recipe(ctx: Context) -> None:
        ctx.do("their user", EnsureUser(person=ctx.person))
        ctx.do("an approver", EnsureApprover(person=BOB))
        known.append(ctx.known_user_id)

    world = cook(recipe=recipe)
    assert known[-1] == next(user.id for user in world.desk.users if user.directory_id == "ada")


def test_in_shadow_nothing_of_it_happens_and_the_whole_of_it_is_planned() -> None:
    world = cook(Ring.SHADOW)
    [view] = world.runs()
    assert str(view.run.status) == "planned"
    assert (world.desk.users, world.desk.agents, world.desk.tickets) == ([], [], [])


def test_a_plan_counts_what_it_would_have_asked_as_approved_and_reads_what_is_there() -> None:
    desk = MemoryServiceDesk()
    plan = DryRunServiceDesk(desk)
    assert plan.ticket_state(PLANNED).answers == (Answer(asked=PLANNED, verdict=Verdict.APPROVED, by=PLANNED, how=PLANNED),)
    ticket, approver = desk.put_ticket(), desk.put_user(approver=True)
    desk.start_round(ticket.id, approver.id)
    assert [answer.verdict for answer in plan.ticket_state(ticket.id).answers] == [Verdict.PENDING]
    assert plan.awaiting() == {ticket.id}
    nobody = SetRoles(person=ADA, agent_id=None, roles=(), ours=())
    assert plan.perform(nobody, "k", within=timedelta(seconds=1)).id is None  # type: ignore[union-attr]  # a RolesRef


# --- what people do in front of the desk in memory ---


def test_one_answer_decides_a_round_and_nobody_answers_it_again() -> None:
    desk = MemoryServiceDesk()
    ticket, first, second = desk.put_ticket(), desk.put_user(approver=True), desk.put_user(approver=True)
    desk.start_round(ticket.id, first.id, second.id)
    desk.answer(ticket.id, second.id, False)
    for user in (first, second):
        with pytest.raises(Refused):
            desk.answer(ticket.id, user.id)
    assert [answer.verdict for answer in desk.ticket_state(ticket.id).answers] == [Verdict.PENDING, Verdict.REJECTED]
    assert desk.awaiting() == frozenset()


def test_who_is_no_approver_cannot_answer_in_the_portal_and_who_was_not_asked_not_at_all() -> None:
    desk = MemoryServiceDesk()
    ticket, asked, stranger = desk.put_ticket(), desk.put_user(), desk.put_user(approver=True)
    desk.start_round(ticket.id, asked.id)
    for user, how in ((asked, "portal"), (stranger, "portal"), (stranger, "delegate")):
        with pytest.raises(Refused):
            desk.answer(ticket.id, user.id, how=how)
    desk.answer(ticket.id, asked.id, how="delegate", by=stranger.id)
    [answer] = desk.ticket_state(ticket.id).answers
    assert (answer.by, answer.how) == (stranger.id, "delegate")
