"""Groups that stand for a role were gained or lost: the agent's roles become what is wanted, and whoever has to approve is asked first.

Everything that needs nobody's approval is one run; each group whose role somebody has to approve is a run of its own, which waits.
"""

from __future__ import annotations

from typing import cast

from joinery.domain.approvers import Approval, ApprovalOutcome
from joinery.domain.events import RolesChanged
from joinery.domain.policy import OnRefused
from joinery.domain.roles import DESIRED, GrantState, Membership, Removal, Wanted, group_of
from joinery.domain.tickets import AddNote, CloseTicket, EndTicket, EnsureAgent, EnsureUser, OpenTicket, RolesRef, SetRoles, TicketRef
from joinery.engine.context import Context
from joinery.engine.recipes import workflow
from workflows.wording import facts_table

#: What the help desk has to know about a membership whose role was refused.
_MEMBERSHIP = {
    Removal.REMOVED: "The membership of the group was ended in the directory, and a later look shows it.",
    Removal.EDITABLE: "They are still in the group. Please take them out: nothing stands in the way.",
    Removal.DYNAMIC: "They are still in the group, by its membership rule: change the attribute that the rule asks for, or the rule.",
    Removal.SYNCED: "They are still in the group, which is mastered on premises: take them out there; the directory follows with the next sync.",
    Removal.ROLE_ASSIGNABLE: "They are still in the group, to which roles of the directory can be assigned: a privileged administrator has to take them out.",
    Removal.MAIL_ENABLED: "They are still in the group, which is a mail-enabled one: take them out in the mail system.",
    Removal.NESTED: "They are still in the group through another group inside it: take them out of that one.",
    Removal.GONE: "The group is not in the directory any more.",
    Removal.REFUSED: "They are still in the group: the directory refused to take them out. Please do it by hand.",
}

_SETS = "make the agent's roles what is wanted"


def _first_role_change(ctx: Context) -> None:
    _change(ctx, apart=True)


@workflow(version=2, earlier={1: _first_role_change})
def role_change(ctx: Context) -> None:
    """Runs when watched groups of an active person were gained or lost, or what one of them gave has ended by its date."""
    _change(ctx)


def _change(ctx: Context, *, apart: bool = False) -> None:
    """``apart``: each note is an action of its own, as version 1 wrote them."""
    changed = cast(RolesChanged, ctx.fact)
    wanted = ctx.decide_roles("decide which roles are wanted")
    to_ask = [membership for membership in wanted.asked if membership.group in changed.gained]
    if changed.lost or changed.ended or len(changed.gained) > len(to_ask):
        _set_roles(ctx, wanted, _SETS)
    _withdraw(ctx, changed)
    for membership in to_ask:
        _ask(ctx, membership, apart=apart)


def _ask(ctx: Context, membership: Membership, *, apart: bool) -> None:
    """One membership: ticket, answer, role."""
    person, group, role, about = ctx.person, membership.group, membership.role, membership.matter
    user = ctx.do(f"make sure the person is a user on the desk, for {group}", EnsureUser(person=person, known_id=ctx.known_user_id))
    ticket = ctx.do(
        f"open the change ticket for {group}",
        OpenTicket(
            kind="role",
            person=person,
            user_id=user.id,
            summary=f"Role {role.role}: {person.name}",
            details=facts_table(person, _request(membership)),
        ),
        about=about,
    )
    approval = ctx.ask_approval(
        f"get the approval for {group}", ticket=ticket, of=role.approval, any_of=role.any_approval, about=about, note_apart=apart
    )
    wanted = ctx.remember_answer(f"write down the answer for {group}", membership, approval, ticket)
    if approval.approved:
        has = _set_roles(ctx, wanted, f"{_SETS}, {group} included")
        text = f"{approval.told} {_given(ctx, membership, has)}"
    else:
        if not apart and ctx.known_agent_id is not None:
            # An edit, a failed run or an earlier membership may have left the role there: what is refused is not on the agent.
            _set_roles(ctx, wanted, f"{_SETS}, {group} not included")
        text = _refused(ctx, membership, approval)
    # A question that nobody answered has to be taken back before its ticket is closed.
    answered = approval.outcome in (ApprovalOutcome.APPROVED, ApprovalOutcome.REFUSED)
    _close(ctx, ticket, group, text, apart=apart or not answered)


def _set_roles(ctx: Context, wanted: Wanted, name: str) -> RolesRef:
    """The agent as desired, or no agent where none is wanted and there is none."""
    agent_id = None
    if wanted.roles:
        agent = ctx.do(
            f"{name}: make sure there is an agent", EnsureAgent(person=ctx.person, team=wanted.team, known_id=ctx.known_agent_id)
        )
        agent_id = agent.id
    order = SetRoles(
        person=ctx.person,
        agent_id=agent_id,
        roles=wanted.roles,
        ours=wanted.ours,
        as_they_are=wanted.as_they_are,
        known_id=ctx.known_agent_id,
    )
    has = ctx.do(name, order, about=DESIRED)
    if has.foreign:
        ctx.report(
            f"{name}: report the roles that no group gives",
            f"agent {has.id} has roles that no group gives: {', '.join(has.foreign)}",
            cause="agents have roles that no group gives; they were left as they are",
        )
    return has


def _withdraw(ctx: Context, changed: RolesChanged) -> None:
    """Tickets of memberships that have ended, whether or not somebody has answered: nobody is to work on them any more."""
    for about, ticket_id in ctx.open_tickets.items():
        group, nth = group_of(about) or ("", 0)
        grant = ctx.grants.get(group)
        ours = group in (*changed.gained, *changed.lost, *changed.ended)
        if not ours or (grant is not None and grant.nth == nth and grant.state is not GrantState.ENDED):
            continue
        text = f"Withdrawn: the membership of {group} that this ticket is about has ended. Nothing is to be done or decided here any more."
        # Somebody may have deleted it: what comes after must not wait for that.
        ctx.try_to(f"say on ticket {ticket_id} that it is withdrawn", AddNote(ticket_id=ticket_id, text=text), about=about)
        ctx.try_to(f"close ticket {ticket_id}", CloseTicket(ticket_id=ticket_id))


def _close(ctx: Context, ticket: TicketRef, group: str, text: str, *, apart: bool) -> None:
    if not apart:
        ctx.do(f"say what came of {group}, and close its change ticket", EndTicket(ticket_id=ticket.id, text=text))
        return
    ctx.do(f"say what came of {group}", AddNote(ticket_id=ticket.id, text=text))
    ctx.do(f"close the change ticket for {group}", CloseTicket(ticket_id=ticket.id))


def _request(membership: Membership) -> str:
    role = membership.role
    names = ["their manager" if one == "manager" else f"the owner of the role ({one.partition(':')[2]})" for one in role.approval]
    whom = (" or " if role.any_approval else ", then ").join(names) or "whoever policy names"
    lasts = f" It ends by itself after {role.lasts.days} days." if role.lasts is not None else ""
    rights = " It may change the desk itself." if role.administrator else ""
    return (
        f"Somebody was added to {membership.group}, which stands for the role {role.role} (team {role.team}).{rights}{lasts}"
        f" It has to be approved by {whom}. Nothing is given before that; a refusal stands until the membership of the group ends."
    )


def _given(ctx: Context, membership: Membership, has: RolesRef) -> str:
    role = membership.role.role
    if role in has.roles:
        until = ctx.grants[membership.group].until if membership.group in ctx.grants else None
        ends = f", until {until:%Y-%m-%d %H:%M} UTC" if until else ""
        return f"The role {role} is on agent {has.id}{ends}."
    return f"The desk took the change for agent {has.id}, and the role {role} does not show yet; it is read again."


def _refused(ctx: Context, membership: Membership, approval: Approval) -> str:
    text = f"{approval.told} The role {membership.role.role} is not given, and is not asked for again while they are in {membership.group}."
    policy = membership.role.on_refused
    if policy is OnRefused.LEAVE:
        return text
    remove = policy is OnRefused.REMOVE
    removal = ctx.end_membership(f"see to the membership of {membership.group}", membership.group, remove=remove)
    return f"{text} {_MEMBERSHIP[removal]}"
