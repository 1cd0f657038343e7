"""An open question to people: what it has come to, what it does on the desk, and how an answer wakes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from joinery.domain.tickets import AddNote, Order, TicketRef
from joinery.engine import codec
from joinery.engine.effects import Effects
from joinery.engine.journal import APPROVAL, Run, RunStatus, Step, StepState
from joinery.engine.partition import Partition
from joinery.errors import JoineryError, Waiting

#: Steps of one question from which on it writes no more notes: the run has to fit into one commit.
_NOTES_UP_TO = 14


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
    #: Somebody said that there may be an answer, and the ticket was not read since.
    heard: bool = False
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
    #: Who is asked is said in a note of its own, and not in the action that asks.
    note_apart: bool = False


class QuestionLost(JoineryError):
    """Nobody can answer any more, for a reason that a person has to look at; the run fails."""


class Parts:
    """What a question does on the desk: steps of its run whose names begin with its own."""

    def __init__(self, partition: Partition, run: Run, effects: Effects, question: Question) -> None:
        self._partition = partition
        self._run = run
        self._effects = effects
        self._question = question
        #: When a note that is refused for now is to be tried again.
        self.note_due: datetime | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """Those that began."""
        steps = self._partition.steps.get(self._run.seq, {})
        return tuple(step for name, step in steps.items() if name.startswith(part(self._question.name, "")))

    def began(self, name: str) -> bool:
        """Whether there is such a step; it has its order then."""
        return self._known(part(self._question.name, name)) is not None

    def settle(self, name: str, order: Callable[[], Order]) -> Any:
        """One effect; what is under way already stays what it was. Raises Waiting, or QuestionLost where it was given up."""
        full = part(self._question.name, name)
        known = self._known(full)
        wanted: Order = codec.untag(known.order) if known is not None and known.order else order()
        step = self._effects.settle(full, wanted, about=self._question.about)
        if step.state is not StepState.DONE:
            raise QuestionLost(f"{full}: {step.trouble}")
        return codec.untag(step.result)

    def overtake(self, name: str) -> None:
        """Another of ours takes its place: where it was not read back by now, it never shows again, and the other one is read back instead."""
        step = self._known(part(self._question.name, name))
        if step is not None and step.state is StepState.DONE and step.verified is None:
            why = "another one takes its place before it was read back; that one is"
            self._partition.audit("step overtaken", why, run=self._run.id, step=step.name)
            self._partition.save_step(self._run, replace(step, verified=True, due=None, trouble=""))

    def say(self, name: str, text: str) -> None:
        """A note, once. One that is refused keeps no answer waiting. Raises Waiting."""
        full = part(self._question.name, name)
        if self._known(full) is not None or len(self.steps) < _NOTES_UP_TO:
            self._note(full, AddNote(ticket_id=self._question.ticket.id, text=text))

    def finish_notes(self) -> None:
        """Those that were cut off, or refused until now. Raises Waiting."""
        for step in self.steps:
            if step.asks == AddNote.__name__ and step.state in (StepState.RETRY, StepState.INTENT):
                self._note(step.name, codec.untag(step.order or {}))

    def give_up(self) -> None:
        """The question is decided: what certainly was not done needs not be done."""
        for step in self.steps:
            if step.state is StepState.RETRY:
                self._effects.abandon(step)

    def _note(self, full: str, note: AddNote) -> None:
        try:
            self._effects.settle(full, note, about=self._question.about)
        except Waiting as pause:
            step = self._known(full)
            if step is None or step.state is StepState.INTENT or not step.tries:
                raise
            self.note_due = pause.until

    def _known(self, full: str) -> Step | None:
        return self._partition.steps.get(self._run.seq, {}).get(full)


def part(question: str, name: str) -> str:
    """What a step of a question is called."""
    return f"{question}: {name}"


def wake(partition: Partition, ticket_id: str = "", *, heard: bool = False, moved_on: datetime | None = None) -> bool:
    """Let the runs look again that wait for an approval (on this ticket, if one is named); says whether there is one.

    ``heard``: there may be an answer to be read. ``moved_on`` is the moment at which the desk did not list the ticket among those that wait for an answer.
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
        for step in open_here if heard else ():
            before = codec.from_document(step.result, Asking)
            asking = replace(before, heard=True, moved_on=moved_on or before.moved_on)
            partition.save_step(run, replace(step, result=codec.to_document(asking)))
    return found


def inherited(partition: Partition, run: Run, name: str, ticket_id: str) -> Asking | None:
    """What the run that this one overtook had come to with the question of that name on the same ticket, or the one that it had overtaken.

    The latest that asked it counts. Several questions may have been asked on one ticket: an answer to another one is none to this.
    """
    seqs = sorted(run.supersedes, reverse=True)
    for seq in seqs:
        for row in partition.closed_rows(seq):
            data = row.data
            seqs += [one for one in data.get("supersedes", ()) if one not in seqs]
            if (data.get("asks"), data.get("name"), data.get("key")) == (APPROVAL, name, ticket_id):
                if data.get("state") == StepState.ABANDONED and data.get("result"):
                    return codec.from_document(data["result"], Asking)
                # It was decided, and is asked anew: not in a round that has an answer to the earlier question.
                names, asks = (str(one.data.get("name", "")) for one in partition.closed_rows(seq)), part(name, "ask, round ")
                return Asking(round=max((int(one.removeprefix(asks)) for one in names if one.startswith(asks)), default=0))
    return None
