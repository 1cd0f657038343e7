"""Somebody moves: one ticket with what the old manager takes away and the new one gives, and the desk's user in line with the new post."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from joinery.domain.events import Moved
from joinery.domain.person import DirectReports, Manager, Person
from joinery.domain.roles import GrantState, Membership
from joinery.domain.tickets import AddNote, EnsureUser, OpenTicket, ToDo, UpdateUser
from joinery.engine.context import Context
from joinery.engine.recipes import workflow
from workflows.wording import facts_table, what_was_done

#: The two lists of the ticket.
REMOVES, ADDS = "Old manager removes", "New manager adds"

#: What has to be done when somebody moves, on whose list, and when relative to the day of the move. wd = working days.
TASKS = (
    ToDo(
        text="Agree with the new manager on the date; list the access and the apps that go with the old post", owner=REMOVES, when="at once"
    ),
    ToDo(text="Hand over duties, approvals, open tickets and direct reports", owner=REMOVES, when="by the day of the move"),
    ToDo(text="Take back equipment that stays with the post; update the asset register", owner=REMOVES, when="on the day of the move"),
    ToDo(
        text="End the access of the old post: groups, shared mailboxes, apps without single sign-on; change shared passwords",
        owner=REMOVES,
        when="on the day on which the old access ends",
    ),
    ToDo(text="Approve the new access; check that duties which must be apart stay apart", owner=ADDS, when="at once"),
    ToDo(text="Groups, shared mailboxes, phone and apps of the new post", owner=ADDS, when="by the day of the move"),
    ToDo(text="Order or assign equipment; update the asset register", owner=ADDS, when="by the day of the move"),
    ToDo(text="Check the list of access and confirm it; then close", owner=ADDS, when="10 wd after the move"),
)

#: Field -> what people call it.
_WORDS = {
    "department": "Department",
    "job_title": "Job title",
    "manager": "Manager",
    "company_name": "Company",
    "office_location": "Office",
}


#: A move that changes one of these changes whose word the old roles stand on.
_NEW_POST = frozenset({"manager", "department"})


def _first_mover(ctx: Context) -> None:
    _move(ctx, DirectReports())


@workflow(version=2, earlier={1: _first_mover})
def mover(ctx: Context) -> None:
    """Runs when department, title, manager, company or office changed and settled. A further move goes on with the first one's ticket.

    Roles that a manager had approved end by a date; until then the manager of now is asked, for each, whether it stays. Whoever reports to
    the person is looked at, and named on the ticket.
    """
    _move(ctx, ctx.tell_reports("look at everybody who reports to the person"))


def _move(ctx: Context, reports: DirectReports) -> None:
    person, moved = ctx.person, cast(Moved, ctx.fact)
    user = ctx.do("make sure the person is a user on the desk", EnsureUser(person=person, known_id=ctx.known_user_id))
    given = ctx.decide_roles("see which roles the person has").given
    old = [one for one in given if "manager" in one.role.approval and _NEW_POST & set(moved.fields)]
    until = _midnight_after(ctx.now() + ctx.old_access_lasts)
    what = changes(moved, ctx.before, person)
    if reports.count:
        what += f"\n\n{_reports(reports)}"
    if old:
        what += f"\n\n{_access(old, until)}"
        ctx.limit_grants("let old access end by its date", [one.group for one in old], until)
    ticket = ctx.inherited_ticket("move")
    if ticket is not None:
        ctx.do("say on the ticket how the move goes on", AddNote(ticket_id=ticket.id, text=f"The move goes on. As things are now:\n{what}"))
    else:
        ticket = ctx.do(
            "open the mover ticket",
            OpenTicket(
                kind="move",
                person=person,
                user_id=user.id,
                summary=f"Move: {person.name}",
                details=facts_table(person, f"Somebody moves. The task list of this ticket has a part for each manager.\n\n{what}"),
                to_do=TASKS,
            ),
        )
    if user.id is not None:
        ctx.try_to("bring the person's user on the desk in line", UpdateUser(person=person, user_id=user.id))
    ctx.do("note what was done", AddNote(ticket_id=ticket.id, text=what_was_done(ctx.outcomes())))
    for one in old:
        approval = ctx.ask_approval(
            f"ask whether {one.role.role} stays, for {one.group}",
            ticket=ticket,
            of=("manager",),
            about=f"{one.matter} moved, ticket {ticket.id}",
        )
        ctx.remember_answer(f"write down whether {one.role.role} stays, for {one.group}", one, approval, ticket)
        stays = _what_becomes_of_it(ctx, one) if approval.approved else f"ends on {until:%Y-%m-%d}"
        ctx.do(
            f"say whether {one.role.role} stays, for {one.group}",
            AddNote(ticket_id=ticket.id, text=f"The role {one.role.role} {stays}. {approval.told}"),
        )


def _what_becomes_of_it(ctx: Context, approved: Membership) -> str:
    grant = ctx.grants.get(approved.group)
    if grant is None or grant.nth != approved.nth or grant.state is GrantState.ENDED:
        return "had ended before this answer, which does not bring it back: the next membership of its group is asked about anew"
    return "stays"


def _midnight_after(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _reports(reports: DirectReports) -> str:
    more = reports.count - len(reports.names)
    names = f"{', '.join(reports.names)} and {more} more" if more else ", ".join(reports.names)
    return f"Direct reports in the directory, to be handed over where they do not move along: {names}"


def _access(old: list[Membership], until: datetime) -> str:
    roles = ", ".join(one.role.role for one in old)
    return f"Old access: {roles} ends by itself on {until:%Y-%m-%d} 00:00 UTC, unless the manager of now approves that it stays."


def changes(moved: Moved, before: Person | None, now: Person) -> str:
    """One line per field that changed, from what to what."""
    lines = (f"{_WORDS[field]}: {_value(before, field) or 'not set'} -> {_value(now, field) or 'not set'}" for field in moved.fields)
    return "\n".join(lines)


def _value(person: Person | None, field: str) -> str:
    value = getattr(person, field, "") if person is not None else ""
    if isinstance(value, Manager):
        return f"{value.display_name} <{value.mail or value.user_principal_name}>" if value.display_name else value.id
    return str(value or "")
