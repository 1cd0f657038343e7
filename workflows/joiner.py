"""Somebody joins: a user on the desk, one onboarding ticket with the whole task list, and a note of what was done."""

from __future__ import annotations

from joinery.domain.person import Person
from joinery.domain.tickets import AddNote, EnsureUser, OpenTicket, ToDo
from joinery.engine.context import Context
from joinery.engine.recipes import workflow
from workflows.wording import facts_table, what_was_done

#: What a new starter needs, from whom, and when relative to the first working day. wd = working days.
TASKS = (
    ToDo(
        text="Search for an existing identity (rehire, contractor, name change): link it, do not create a second one",
        owner="IAM",
        when="at once",
    ),
    ToDo(
        text="Approve: the manager, and a second approver if access is privileged, with an end date",
        owner="Manager and Security",
        when="at once",
    ),
    ToDo(text="Order or assign hardware", owner="Procurement", when="20 working days before the start"),
    ToDo(text="Account, user principal name, mailbox and licence", owner="IAM", when="5 working days before the start"),
    ToDo(text="Build and enrol the device, ship it or set up the desk", owner="Endpoint", when="3 working days before the start"),
    ToDo(
        text="Groups, teams, shared mailboxes, phone, and apps without single sign-on",
        owner="App owners",
        when="2 working days before the start",
    ),
    ToDo(text="Service desk user or agent, site, and role from groups", owner="ITSM", when="2 working days before the start"),
    ToDo(
        text="Temporary access pass to the manager, valid for 24 hours across time zones",
        owner="IAM",
        when="1 working day before the start",
    ),
    ToDo(text="Enable the account and send the welcome mail", owner="Automatic", when="at the start of the first day"),
    ToDo(
        text="Read back: signed in, second factor registered, licence active, ticket linked to the person",
        owner="Automatic",
        when="4 hours after the start",
    ),
    ToDo(text="Confirm that everything is there, or list the gaps; then close", owner="Manager", when="5 working days after the start"),
    ToDo(
        text="Nobody signed in: hold, ask the manager or HR whether the person came, rescind if not",
        owner="Automatic",
        when="1 working day after the start",
    ),
)


@workflow(version=1)
def joiner(ctx: Context) -> None:
    """Runs once per episode, when a person has entered the joiner group and settled."""
    person = ctx.person
    user = ctx.do("make sure the person is a user on the desk", EnsureUser(person=person, known_id=ctx.known_user_id))
    ticket = ctx.do(
        "open the onboarding ticket",
        OpenTicket(
            kind="onboarding",
            person=person,
            user_id=user.id,
            summary=f"Onboarding: {person.name}{_start_in_words(person)}",
            details=facts_table(person, "Somebody joins. The task list of this ticket says what they need, from whom and when."),
            to_do=TASKS,
        ),
    )
    ctx.do("note what was done", AddNote(ticket_id=ticket.id, text=what_was_done(ctx.outcomes())))


def _start_in_words(person: Person) -> str:
    return f", starts {person.hire_date:%Y-%m-%d}" if person.hire_date else ""
