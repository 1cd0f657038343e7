"""What comes on a ticket after its approval was decided: recorded, explained once on the ticket, and without any effect.

A decided question leaves a row in its partition, with what was answered by then, and an index row by which the desk's hint finds it. Where
somebody can still answer (nobody did in time, or another one did first) the poll goes on watching the ticket, with the list that it asks for
anyway, until it is closed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from joinery.domain.approvers import Approval, discounted, quoted
from joinery.domain.moments import to_text
from joinery.domain.tickets import AddNote, Answer, TicketState, Verdict
from joinery.engine import codec
from joinery.engine.answers import AnswerPost
from joinery.engine.asking import Asking, Question
from joinery.engine.journal import Run, effect_key, shared_by
from joinery.engine.partition import ENDED, STILL_ASKED, Partition
from joinery.engine.pauses import PauseBoard
from joinery.engine.ports import Row, ServiceDesk, StateStore
from joinery.engine.retry import EngineTiming
from joinery.errors import OutcomeUnknown, Refused, TryLater

#: Rows of a partition, above the open range: ``~ended.<ticket>``.
_ROW = "~ended."
#: Remembered in place of an answer where the whole ticket is gone.
_GONE = "gone"


@codec.stored
@dataclass(frozen=True, kw_only=True, slots=True)
class EndedQuestion:
    """The last question on a ticket that was decided: ids, rules and moments only."""

    ticket_id: str
    run: str
    step: str
    workflow: str
    outcome: str
    #: ISO 8601, UTC.
    at: str
    #: The desk's number of our last round and the desk ids of whom it asked; empty where there was none.
    number: str = ""
    users: tuple[str, ...] = ()
    #: What was answered before, or is recorded already.
    known: tuple[str, ...] = ()
    #: What is still to be said on the ticket.
    to_say: str = ""
    #: Said once: whatever comes then is in the audit alone, since each note costs calls.
    said: bool = False


def leave_behind(
    partition: Partition, store: StateStore, run: Run, question: Question, at: Asking, approval: Approval, state: TicketState | None
) -> None:
    """Remember a question in the commit that decides it; ``state`` is its ticket as last read. Raises StoreUnavailable."""
    ticket = question.ticket.id
    given = [answer for answer in state.answers if answer.verdict is not Verdict.PENDING] if state else []
    ended = EndedQuestion(
        ticket_id=ticket,
        run=run.id,
        step=question.name,
        workflow=run.workflow,
        outcome=str(approval.outcome),
        at=to_text(partition.clock.now()),
        number=at.number,
        users=at.users,
        known=tuple(_mark(answer, state.round) for answer in given) if state else (),
    )
    store.put_index(ENDED, ticket, {"partition": partition.name})
    if state is not None and _can_be_answered(state, ended):
        store.put_index(STILL_ASKED, ticket, {"partition": partition.name, "asked": [], "at": ended.at, "begun": True})
    partition.keep(_row(ended))


@dataclass(frozen=True, kw_only=True, slots=True)
class LateAnswers:
    """Looks at a ticket whose question was decided. One for all partitions."""

    desk: ServiceDesk
    answers: AnswerPost
    pauses: PauseBoard
    timing: EngineTiming
    deployment: str

    def hear(self, partition: Partition, ticket_id: str) -> None:
        """Something may have happened on a ticket for which nobody waits: one read, and one note if something did.

        Raises TryLater or Refused from the desk, LostRace, StoreUnavailable.
        """
        ended = self._of(partition, ticket_id)
        if ended is None:
            return
        if not ended.to_say:
            ended = self._read(partition, ended)
        identity = partition.head.identity
        if ended.to_say and (identity is None or identity.may_be_acted_upon):
            self._say(partition, ended)

    def _of(self, partition: Partition, ticket_id: str) -> EndedQuestion | None:
        data = partition.kept(f"{_ROW}{ticket_id}")
        return codec.from_document(data, EndedQuestion) if data else None

    def _read(self, partition: Partition, ended: EndedQuestion) -> EndedQuestion:
        """Record what is new, in one commit with the mark that says so."""
        state = self.desk.ticket_state(ended.ticket_id)
        before = ended
        for mark, what, words in _news(state, ended):
            why = f"{what} after the approval had ended ({ended.outcome}, {ended.at}); it changes nothing"
            personal = {"said": words} if words else None
            partition.audit("approval too late", why, run=ended.run, step=ended.step, personal=personal, ticket=ended.ticket_id)
            first = not (ended.said or ended.to_say) and mark != _GONE
            ended = replace(ended, known=(*ended.known, mark), to_say=f"{why}." if first else ended.to_say)
        if ended != before:
            partition.keep(_row(ended))
            partition.commit()
        if not _can_be_answered(state, ended):
            self.answers.watched_enough(ended.ticket_id)
        return ended

    def _say(self, partition: Partition, ended: EndedQuestion) -> None:
        """One note with a key of its own, which is looked for first: an earlier try may have written it."""
        if (reason := self.pauses.read().reason_for(ended.workflow)) is not None:
            raise TryLater(f"paused: {reason}", after=self.timing.pause_recheck)
        key = effect_key(deployment=self.deployment, run=shared_by(partition.name, f"ticket {ended.ticket_id}"), step="too late")
        note = AddNote(ticket_id=ended.ticket_id, text=f"{ended.to_say} What is answered here from now on is recorded and not said again.")
        try:
            if not self.desk.find(note, key):
                self.desk.perform(note, key, within=self.timing.call_deadline)
        except Refused as error:
            # A closed ticket may take no notes, and a deleted one takes none.
            partition.audit("approval too late", f"the desk refuses the note that says so: {error}", run=ended.run, step=ended.step)
        except OutcomeUnknown as error:
            raise TryLater(str(error), after=self.timing.call_deadline + 2 * self.desk.search_lag) from None
        partition.keep(_row(replace(ended, to_say="", said=True)))
        partition.commit()


def _news(state: TicketState, ended: EndedQuestion) -> Iterator[tuple[str, str, str]]:
    """Each thing that was not known when the question ended: its mark, what it is, and the words that came with it."""
    if not state.there:
        if _GONE not in ended.known:
            yield _GONE, f"ticket {ended.ticket_id} was deleted", ""
        return
    for answer in sorted(state.answers, key=lambda one: one.at):
        mark = _mark(answer, state.round)
        if answer.verdict is Verdict.PENDING or mark in ended.known:
            continue
        verb = "approved" if answer.verdict is Verdict.APPROVED else "refused"
        if state.round != ended.number:
            why = ", in a round that Joinery did not start,"
        else:
            other = discounted(answer, ended.users)
            why = f" ({other})" if other else ""
        yield (
            mark,
            f"user {answer.by or answer.asked} {verb} it ({answer.how or 'way unknown'}, {_when(answer)}){why}",
            quoted(answer.words),
        )


def _can_be_answered(state: TicketState, ended: EndedQuestion) -> bool:
    """Whether somebody of whom we asked can still answer."""
    waits = any(answer.verdict is Verdict.PENDING for answer in state.answers)
    return state.there and not state.closed and state.round == ended.number and waits


def _mark(answer: Answer, number: str) -> str:
    text = "\x1f".join((number, answer.asked, answer.by, str(answer.verdict), answer.how, answer.at))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _when(answer: Answer) -> str:
    return answer.at or "time unknown"


def _row(ended: EndedQuestion) -> Row:
    return Row(name=f"{_ROW}{ended.ticket_id}", data=codec.to_document(ended))
