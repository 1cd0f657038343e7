"""Somebody leaves: one offboarding ticket, the desk's user inactive, any agent disabled and without roles, all read back."""

from __future__ import annotations

from typing import cast

from joinery.domain.cut_off import Cut
from joinery.domain.events import Left, LeftHow
from joinery.domain.tickets import AddNote, CloseTicket, DeactivateUser, FindUser, OpenTicket, RetireAgent, ToDo
from joinery.engine.context import Context
from joinery.engine.recipes import workflow
from workflows.wording import facts_table, what_was_done

#: What has to be done when somebody leaves, by whom, and when relative to the last working moment.
TASKS = (
    ToDo(
        text="Hand over: new owners, asset list, agree on the mailbox (not for dismissals)",
        owner="Manager",
        when="5 to 10 working days before the last day",
    ),
    ToDo(
        text="Block sign-in, revoke sessions, reset the password, disable devices, remove sign-in methods, drop privileged roles",
        owner="IAM",
        when="at the last working moment",
    ),
    ToDo(
        text="Read back; watch for new sign-ins; list tokens, OAuth grants and local app users",
        owner="Security",
        when="15 minutes after the last working moment",
    ),
    ToDo(
        text="Automatic reply, forward or delegate the mailbox; hide it from the address list",
        owner="Messaging",
        when="1 hour after the last working moment",
    ),
    ToDo(
        text="Hold if needed, convert the mailbox to shared, check its size (under 50 GB, no archive), only then remove the licence",
        owner="Messaging",
        when="1 hour after the last working moment",
    ),
    ToDo(
        text="Check that the account did not land among the deleted users",
        owner="IAM",
        when="15 minutes after the licence was removed",
    ),
    ToDo(
        text="Groups, teams, lists and apps; report dynamic, mail-enabled and role-assignable groups that cannot be edited",
        owner="App owners",
        when="1 day after the last day",
    ),
    ToDo(
        text="Service desk: reassign the agent's tickets, re-route approvals, end delegations",
        owner="ITSM",
        when="1 day after the last day",
    ),
    ToDo(text="Confirm that all access is removed", owner="IAM", when="5 working days after the last day"),
    ToDo(
        text="Laptop, phone and badge returned; asset register updated",
        owner="Endpoint",
        when="2 to 4 weeks after the last day",
    ),
    ToDo(
        text="Review the delegate's access; delete or archive by policy, with approval",
        owner="Manager",
        when="30 days after the last day",
    ),
)

FIND = "find the person on the desk"

_HOW = {
    LeftHow.DISABLED: "The account was disabled in the directory.",
    LeftHow.SOFT_DELETED: "The account was deleted in the directory and can be restored for 30 days.",
    LeftHow.GONE: "The account is gone from the directory.",
}


#: What is cut off in the directory -> the step that does it.
_CUTS = {
    Cut.SESSIONS: "end everything that the person is signed in with",
    Cut.GROUPS: "take the person out of the directory's groups",
}


def _first_leaver(ctx: Context) -> None:
    _leave(ctx, ())


@workflow(version=2, earlier={1: _first_leaver})
def leaver(ctx: Context) -> None:
    """Runs when an active person's account is disabled, deleted or gone. What is refused is tried again and does not keep the rest open.

    Where policy says so, the account is cut off in the directory too, once the desk is seen to.
    """
    _leave(ctx, ctx.cuts)


def _leave(ctx: Context, cuts: tuple[Cut, ...]) -> None:
    person = ctx.person
    left = cast(Left, ctx.fact)
    user = ctx.try_to(FIND, FindUser(person=person, known_id=ctx.known_user_id, alone=True))
    ticket = None
    # Where it is not clear who they are on the desk, people still need the ticket: without a user, on the site's general one.
    if user is not None or ctx.is_refused(FIND):
        ticket = ctx.try_to(
            "open the offboarding ticket",
            OpenTicket(
                kind="offboarding",
                person=person,
                user_id=user.id if user else None,
                summary=f"Offboarding: {person.name}",
                details=facts_table(person, f"Somebody leaves. {_HOW[left.how]} The task list of this ticket says what has to be done."),
                to_do=TASKS,
            ),
        )
    if user is not None:
        ctx.try_to("deactivate the person's user", DeactivateUser(user_id=user.id))
    ctx.try_to(
        "take the agent's roles away and disable the agent",
        RetireAgent(person=person, user_id=user.id if user else None, known_id=ctx.known_agent_id),
    )
    cut_off = {_CUTS[cut]: ctx.cut_off(_CUTS[cut], cut) for cut in cuts}
    for about, waiting in ctx.open_tickets.items():
        text = "The person has left. Nothing is to be approved here any more."
        ctx.try_to(f"say on ticket {waiting} that nothing is to be approved", AddNote(ticket_id=waiting, text=text), about=about)
        ctx.try_to(f"close ticket {waiting}", CloseTicket(ticket_id=waiting))
    for overtaken in ctx.inherited_tickets:
        if overtaken.id in ctx.open_tickets.values():
            continue
        text = f"The person has left before the onboarding was finished. Please stop; ticket {ticket.id if ticket else '(being opened)'} covers the leave."
        ctx.try_to(f"say on ticket {overtaken.id} that the person has left", AddNote(ticket_id=overtaken.id, text=text))
    # The note waits for what is under way in the directory; not for what is refused there, which may take people long.
    if ticket is None or any(done is None and not ctx.is_refused(name) for name, done in cut_off.items()):
        return
    told = (
        frozenset(ctx.step("see what the note tells of the directory", lambda: [name for name in cut_off if cut_off[name]])) if cuts else ()
    )
    # What is done by the time at which the desk takes the note, and was not when it was written, has a note of its own.
    now = {name: done if name in told else None for name, done in cut_off.items()}
    ctx.do("note what was done", AddNote(ticket_id=ticket.id, text=what_was_done(ctx.outcomes(), now)))
    for name, done in cut_off.items():
        if done is not None and name not in told:
            text = what_was_done((), {name: done})
            ctx.do(f"note what came of it: {name}", AddNote(ticket_id=ticket.id, text=text))
