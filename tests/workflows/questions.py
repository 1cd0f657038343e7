"""What the stories about approvals share: a company with managers, a recipe that asks, and what the desk's people do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from joinery.domain.approvers import Approval
from joinery.domain.events import Joined
from joinery.domain.person import Manager, Person
from joinery.domain.policy import ApprovalPolicy, Policy, WorkingTime
from joinery.domain.tickets import AddNote, EnsureUser, OpenTicket
from joinery.engine import codec
from joinery.engine.context import Context
from joinery.engine.journal import APPROVAL
from joinery.engine.partition import APPROVALS
from joinery.engine.recipes import workflow
from joinery.testing import World, everyone, person

NAME = "the manager's approval"
FALLBACK = "board@contoso.example"
#: A Monday, nine o'clock.
MONDAY = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
#: Day and night, so that a story need not count the hours of the week.
RULES = ApprovalPolicy(fallback=FALLBACK, away_groups=("On leave",), working=WorkingTime(days=tuple(range(7)), begins=0, ends=24))


def asking(*of: str, any_of: bool = False) -> Any:
    """A recipe that opens a ticket, asks, and says what came of it."""

    @workflow(version=1)
    def joiner(ctx: Context) -> None:
        user = ctx.do("make sure the person is a user on the desk", EnsureUser(person=ctx.person))
        order = OpenTicket(kind="role", person=ctx.person, user_id=user.id, summary="Change Manager", details="")
        ticket = ctx.do("open the ticket", order)
        approval = ctx.ask_approval(NAME, ticket=ticket, of=of or ("manager",), any_of=any_of)
        ctx.do("say what was decided", AddNote(ticket_id=ticket.id, text=f"{approval.outcome}: {approval.told}"))

    return joiner


def staff(identity: str, manager: str = "", **fields: Any) -> Person:
    """Somebody with a manager."""
    return person(identity, **{"manager": Manager(id=manager) if manager else None, **fields})


class Office(World):
    """Ada under Bob under Eve under Top; a board; and the ticket on which Ada's question is asked."""

    def __init__(self, *of: str, any_of: bool = False, rules: ApprovalPolicy = RULES, recipe: Any = None, **more: Any) -> None:
        policy = replace(everyone(Policy(desk=Policy().desk)), approvals=rules)
        super().__init__(policy, catalogue={Joined: recipe or asking(*of, any_of=any_of)}, **more)
        self.clock.advance(MONDAY - self.clock.now())
        for one in (staff("bob", "eve"), staff("eve", "top"), staff("top"), staff("board"), staff("owner", "top")):
            self.put(one)

    def ask(self, **ada: Any) -> Office:
        """Ada joins, and her question is asked."""
        self.put(staff("ada", **{"manager": "bob", "groups": ("ITSM-NewJoiner",), **ada}))
        self.look("ada")
        self.pass_time(minutes=2)
        return self

    def minutes(self, count: float) -> None:
        """Time passes, and every minute the timer ticks."""
        for _ in range(round(count)):
            self.app.tick()
            self.pass_time(minutes=1)

    def hours(self, count: float) -> None:
        """As above, in steps of five minutes."""
        for _ in range(round(count * 12)):
            self.app.tick()
            self.pass_time(minutes=5)

    def user(self, identity: str) -> str:
        """Their id on the desk."""
        return next(user.id for user in self.desk.users if user.directory_id == identity)

    @property
    def ticket(self) -> Any:
        """The ticket of the question."""
        return next(ticket for ticket in self.desk.tickets if ticket.kind == "role")

    @property
    def notes(self) -> list[str]:
        """Everything that was said on it."""
        return [note.text for note in self.desk.notes if note.ticket_id == self.ticket.id]

    def asked(self) -> list[str]:
        """Directory ids of whom the present round asks."""
        by_id = {user.id: user.directory_id for user in self.desk.users}
        return [by_id[answer.asked] for answer in self.ticket.rounds[-1].answers]

    def answer(self, identity: str, approved: bool = True, **more: Any) -> None:
        """Somebody answers in front of the desk."""
        self.answer_as(self.user(identity), approved, **more)

    def answer_as(self, user_id: str, approved: bool = True, **more: Any) -> None:
        """A user of the desk answers."""
        self.desk.answer(self.ticket.id, user_id, approved, **more)

    def approval(self) -> Approval | None:
        """What was decided; None while it is open."""
        for view in self.runs():
            for step in view.steps:
                if step.asks == APPROVAL and isinstance(step.result, dict) and step.result.get("is"):
                    decided = codec.untag(step.result)
                    assert isinstance(decided, Approval)
                    return decided
        return None

    def outcome(self) -> str:
        """The outcome in a word; empty while it is open."""
        decided = self.approval()
        return str(decided.outcome) if decided else ""

    def open_questions(self) -> list[str]:
        """Tickets that somebody waits for."""
        return [row.name for row in self.store.list_index(APPROVALS)]

    def said(self, action: str) -> list[str]:
        """What the audit says under an action."""
        return [line.record.why for line in self.audit("ada") if line.record.action == action]


def after(**units: float) -> timedelta:
    """A short name."""
    return timedelta(**units)
