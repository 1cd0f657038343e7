"""What an open question to people has come to, and where an answer finds it: the step's record, the index row, the waking."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from joinery.domain.tickets import TicketRef
from joinery.engine import codec
from joinery.engine.journal import APPROVAL, Run, RunStatus, StepState
from joinery.engine.partition import Partition


@codec.stored
@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """What an open question has come to."""

    #: Which of those who have to approve in order is at it.
    turn: int = 0
    #: Directory ids of whom the walks found; and of everybody asked in the present round, whoever was added since included.
    routes: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    #: Desk ids of ``asked``, and the desk's number of the round; empty until it has begun.
    users: tuple[str, ...] = ()
    number: str = ""
    #: Counted by us.
    round: int = 0
    #: Since when these people are asked, and since when the present round is there to be answered.
    begun: datetime | None = None
    round_began: datetime | None = None
    #: When the desk last did not list the ticket among those that wait for an answer.
    moved_on: datetime | None = None
    reminders: int = 0
    escalated: bool = False
    restarts: int = 0
    #: Since when nobody is found who could be asked.
    nobody_since: datetime | None = None
    #: Directory ids of those who approved when it was their turn.
    approved: tuple[str, ...] = ()
    #: What was found not to count, each said once.
    discounted: tuple[str, ...] = ()

    @property
    def held(self) -> str:
        """Who has it and since when, for the ticket."""
        who = " or ".join(f"user {user}" for user in self.users)
        return f"Held by {who} since {self.begun:%Y-%m-%d %H:%M} UTC: their answer is awaited."


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What a recipe wants to know."""

    name: str
    ticket: TicketRef
    of: tuple[str, ...]
    any_of: bool
    about: str


def part(question: str, name: str) -> str:
    """What a step of a question is called."""
    return f"{question}: {name}"


def wake(partition: Partition, ticket_id: str = "", *, moved_on: datetime | None = None) -> bool:
    """Let the runs look again that wait for an approval (on this ticket, if one is named); says whether there is one.

    ``moved_on`` is the moment at which the desk did not list the ticket among those that wait for an answer.
    """
    found = False
    for seq, steps in list(partition.steps.items()):
        run = partition.runs.get(seq)
        open_here = [step for step in steps.values() if step.asks == APPROVAL and step.state is StepState.RETRY]
        open_here = [step for step in open_here if ticket_id in ("", step.key)]
        if run is None or run.status is not RunStatus.OPEN or not open_here:
            continue
        found = True
        partition.save_run(replace(run, due=None))
        for step in open_here if moved_on else ():
            asking = replace(codec.from_document(step.result, Asking), moved_on=moved_on)
            partition.save_step(run, replace(step, result=codec.to_document(asking)))
    return found


def inherited(partition: Partition, run: Run, ticket_id: str) -> Asking | None:
    """What a run that this one overtook had come to with the approval on the same ticket."""
    for seq in reversed(run.supersedes):
        for row in partition.closed_rows(seq):
            data = row.data
            open_still = data.get("asks") == APPROVAL and data.get("key") == ticket_id and data.get("state") == StepState.ABANDONED
            if open_still and data.get("result"):
                return codec.from_document(data["result"], Asking)
    return None
