"""``ctx.ask_approval``: ask whoever has to approve, wait in working time, believe nothing but the rows of our own round.

What a question has come to is kept in its step until it is decided (``Asking``). Whatever it does on the desk is a step of its own under
the effect protocol, named after the question, so that a crash finds it again. The directory is asked whenever the question is looked at.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from joinery.domain.approvers import Approval, ApprovalOutcome, People, Route, discounted, objection, owner_in, quoted, walk
from joinery.domain.moments import to_text
from joinery.domain.person import Person, Sighting
from joinery.domain.policy import Policy
from joinery.domain.tickets import Answer, AskApproval, EnsureApprover, FindUser, TicketState, Verdict
from joinery.domain.worktime import add_working_time
from joinery.engine import codec
from joinery.engine.asking import Asking, Parts, Question, QuestionLost
from joinery.engine.effects import Effects
from joinery.engine.journal import APPROVAL, Run, Step, StepState
from joinery.engine.late_answers import leave_behind
from joinery.engine.partition import APPROVALS, Partition
from joinery.engine.ports import Clock, Document, StateStore
from joinery.errors import Refused, StoreUnavailable, TryLater, Waiting

#: How often a question is asked anew because something else than a valid answer ended its round.
_RESTARTS = 2
#: Steps of one question from which on it asks nobody new: the run has to fit into one commit.
_ROUNDS_UP_TO = 20
#: So many open questions say on their tickets that somebody was reminded; more of them would cost too many calls.
_REMINDED_ON_TICKETS = 20
#: How long the desk's list of tickets that wait for an answer may be behind.
_LISTED = timedelta(minutes=1)
#: Pauses where the desk or the directory does not answer, or says no.
_BUSY, _REFUSED = timedelta(minutes=1), timedelta(minutes=15)


class Asker:
    """One for all runs."""

    def __init__(self, *, people: People, policy: Policy, store: StateStore, clock: Clock) -> None:
        self.people = people
        self.policy = policy
        self.store = store
        self.clock = clock

    def ask(self, partition: Partition, run: Run, effects: Effects, question: Question, inherited: Asking | None) -> Approval:
        """The decided approval.

        Raises:
            Waiting: nobody has decided yet.
            QuestionLost: nobody can any more.
        """
        return _OpenQuestion(self, partition, run, effects, question, inherited).go()


class _OpenQuestion:
    """One look at one question."""

    def __init__(
        self, asker: Asker, partition: Partition, run: Run, effects: Effects, question: Question, inherited: Asking | None
    ) -> None:
        self._asker = asker
        self._rules = asker.policy.approvals
        self._partition = partition
        self._run = run
        self._effects = effects
        self._question = question
        self._now = asker.clock.now()
        self._parts = Parts(partition, run, effects, question)
        step = self._steps.get(question.name)
        self._step = step or Step(n=len(self._steps) + 1, name=question.name, asks=APPROVAL, key=question.ticket.id)
        stored = step.result if step is not None and step.state is StepState.RETRY else None
        self._at = codec.from_document(stored, Asking) if stored else inherited or Asking()
        #: The ticket as last read; None before.
        self._state: TicketState | None = None
        self._taken_over = inherited is not None and step is None

    @property
    def _steps(self) -> dict[str, Step]:
        return self._partition.steps.get(self._run.seq, {})

    @property
    def _is_decided(self) -> bool:
        return self._step.state is StepState.DONE

    def go(self) -> Approval:
        if self._is_decided:
            return self._decided()
        if self._taken_over:
            self._save()
            self._point_here()
        try:
            while not self._is_decided:
                self._go_on()
        except StoreUnavailable:
            raise
        except TryLater as error:
            raise self._later(error.after or _BUSY, str(error)) from None
        except Refused as error:
            self._partition.alert(f"an approval cannot go on: {error}", run=self._run.id, step=self._question.name)
            raise self._later(_REFUSED, f"refused: {error}") from None
        return self._decided()

    def _decided(self) -> Approval:
        approval = codec.untag(self._step.result)
        if not isinstance(approval, Approval):
            raise TypeError(f"the journal holds a {type(approval).__name__} where an approval was decided")
        return approval

    def _go_on(self) -> None:
        """One decision, one round, or a wait. Raises Waiting."""
        if not self._at.asked:
            self._route()
        elif not self._at.number:
            if not self._begin_round():
                raise self._later(_BUSY, "whoever was to be asked cannot be asked any more; looking for another")
            if self._run.mode == "live":
                # Whoever answers at once makes the desk tell us; the poll finds it otherwise.
                self._wait()
        else:
            self._hear()

    # --- whom to ask ---

    def _route(self) -> None:
        """Begin a turn: find out whom to ask."""
        found = self._walk()
        self._at = replace(self._at, nobody_since=self._at.nobody_since if not found else None)
        if not found:
            self._nobody()
        elif (ids := tuple(found)) and not self._question.any_of and ids[0] in self._at.approved:
            self._partition.audit("approval counts twice", f"{ids[0]} approved before", run=self._run.id, step=self._question.name)
            self._turn_taken()
        else:
            self._new_round(routes=ids, asked=ids, begun=self._now, reminders=0, escalated=False)

    def _walk(self, *, past: tuple[str, ...] = ()) -> dict[str, Person]:
        """Whom those who have to approve now lead to: directory id -> person, each once."""
        of = self._question.of if self._question.any_of else self._question.of[self._at.turn : self._at.turn + 1]
        routes = [self._walk_one(one, past) for one in of]
        found = {route.approver.id: route.approver for route in routes if route.approver}
        if tuple(found) != self._at.routes or past or not (found or self._at.nobody_since):
            for one, route in zip(of, routes, strict=True):
                kind = one.partition(":")[0]
                why = "; ".join(route.trail)
                self._partition.audit("approver sought", why, run=self._run.id, step=self._question.name, of=kind, found=_id(route))
        return found

    def _walk_one(self, of: str, past: tuple[str, ...]) -> Route:
        owner = owner_in(self._question.of)
        return walk(self._person(), of, self._asker.people, self._asker.policy, role_owner=owner, past=frozenset(past))

    def _person(self) -> Person:
        """The person as the directory shows them now; whoever is gone is somebody else's business, and keeps the last manager."""
        sighting = self._asker.people.look(self._run.person.id)
        return sighting if isinstance(sighting, Person) else self._run.person

    def _nobody(self) -> None:
        """Not at the first look: a manager is often taken away and set in two steps, and replicas lag. Raises Waiting."""
        since = self._at.nobody_since or self._now
        patience = max(self._asker.policy.timing.second_look, timedelta(seconds=1))
        if self._run.mode == "live" and self._now < since + patience:
            self._at = replace(self._at, nobody_since=since)
            raise self._later(since + patience - self._now, "nobody can be asked; looking again")
        self._decide(Approval(outcome=ApprovalOutcome.NOBODY, why="There is nobody who may approve this, so it is not approved."))

    # --- rounds ---

    def _new_round(self, **changes: Any) -> None:
        """Plan the next round; it is in the journal before anything is done about it."""
        self._parts.overtake(f"ask, round {self._at.round}")
        self._at = replace(self._at, round=self._at.round + 1, number="", users=(), **changes)
        self._save()
        self._point_here()

    def _point_here(self) -> None:
        """The index row by which an answer finds this partition: written before the commit that it points to."""
        if self._run.mode == "live":
            at = to_text(self._asker.clock.now())
            row: Document = {"partition": self._partition.name, "asked": list(self._at.asked), "at": at, "begun": bool(self._at.number)}
            self._asker.store.put_index(APPROVALS, self._question.ticket.id, row)

    def _begin_round(self) -> bool:
        """Make sure that everybody may approve, ask them, and say so on the ticket. False: somebody cannot be asked any more. Raises Waiting."""
        users = []
        for who in self._at.asked:
            name = f"make sure {who} may approve"
            sighting = None if self._parts.began(name) else self._asker.people.look(who)
            if sighting is not None and objection(self._run.person, sighting, self._asker.policy):
                self._at = replace(self._at, asked=(), routes=())
                return False
            result = self._parts.settle(name, functools.partial(_made_approver, sighting))
            users.append(str(result.id))
        number, apart = self._at.round, self._question.note_apart
        said = f"{replace(self._at, users=tuple(users)).held} Round {number} of this approval."
        order = AskApproval(ticket_id=self._question.ticket.id, user_ids=tuple(users), round=number, text="" if apart else said)
        result = self._parts.settle(f"ask, round {number}", lambda: order)
        self._at = replace(self._at, users=tuple(users), number=str(result.number), round_began=self._asker.clock.now())
        self._save()
        self._point_here()
        self._partition.audit(
            "approval asked", run=self._run.id, step=self._question.name, round=number, of=list(self._at.asked), users=users
        )
        if apart:
            self._parts.say(f"say who is asked, round {number}", said)
        return True

    # --- answers ---

    def _hear(self) -> None:
        """Decide, ask anew, remind, escalate, give up, or wait. Raises Waiting.

        The ticket is read where somebody said that there is an answer, and before anything is done that an answer would make wrong.
        """
        self._parts.finish_notes()
        found = self._walk()
        over = self._now >= self._after(self._rules.gives_up_after)
        escalates = not self._at.escalated and self._now >= self._after(self._rules.escalate_after)
        changed, ended = tuple(found) != self._at.routes, False
        if self._at.heard or changed or over or escalates or self._run.mode != "live":
            state = self._state = self._effects.ticket_state(self._question.ticket.id)
            if not state.there:
                raise QuestionLost(f"ticket {self._question.ticket.id} is gone, and an approval was open on it")
            self._at = replace(self._at, heard=False)
            if self._take_answer(state):
                return
            ended = self._ended(state) and self._at.restarts < _RESTARTS
        if not found:
            self._nobody()
            return
        self._at = replace(self._at, nobody_since=None)
        room = len(self._parts.steps) < _ROUNDS_UP_TO
        if changed and room:
            self._new_round(routes=tuple(found), asked=tuple(found), begun=self._now, reminders=0, escalated=False)
        elif ended and room:
            self._new_round(restarts=self._at.restarts + 1)
        elif over:
            self._decide(Approval(outcome=ApprovalOutcome.TIMED_OUT, why=f"Nobody answered in time: {self._at.held}"))
        elif escalates:
            self._escalate(room)
        elif (due := self._next_reminder()) and self._now >= due:
            self._at = replace(self._at, reminders=self._at.reminders + 1)
            if self._at.reminders == 1 and self._few_are_open():
                self._parts.say(f"remind, round {self._at.round}", f"Reminder: {self._at.held}")
            self._partition.audit("approval reminder", run=self._run.id, step=self._question.name, count=self._at.reminders)
            self._save()
        else:
            self._wait()

    def _take_answer(self, state: TicketState) -> bool:
        """Whether a valid answer decided this turn. What does not count is said once."""
        if state.round != self._at.number:
            self._discount(f"round {state.round or '(none)'} of the ticket is not the one that Joinery started")
        given = sorted((one for one in state.answers if one.verdict is not Verdict.PENDING), key=lambda one: one.at)
        valid: Answer | None = None
        for answer in given:
            why = self._why_not(answer, state) or ("another answer came first" if valid else "")
            if why:
                self._discount(f"an answer of user {answer.by or answer.asked} ({answer.how or 'unknown way'}) does not count: {why}")
            else:
                valid = answer
        began = self._at.round_began or self._now
        if not given and (state.closed or (self._at.moved_on and self._at.moved_on > began + _LISTED)):
            self._discount("the ticket was moved on by hand; without an answer of somebody who was asked it is not approved")
        if valid is None:
            return False
        who = self._at.asked[self._at.users.index(valid.asked)]
        said = "approved" if valid.verdict is Verdict.APPROVED else "refused"
        by = valid.by or valid.asked
        why = f"User {by} {said} it ({valid.how or 'way unknown'}, {valid.at or to_text(self._now)}, round {self._at.round})."
        evidence: Document = {"who": who, "by": by, "how": valid.how, "at": valid.at, "round": self._at.round, "number": self._at.number}
        words = quoted(valid.words)
        personal = {"said": words} if words else None
        self._partition.audit(f"approval {said}", why, run=self._run.id, step=self._question.name, personal=personal, **evidence)
        refused = valid.verdict is Verdict.REJECTED
        outcome = ApprovalOutcome.REFUSED if refused else ApprovalOutcome.APPROVED
        approval = Approval(outcome=outcome, by=by, who=who, how=valid.how, at=valid.at, why=why, words=words)
        if refused:
            self._decide(approval)
        else:
            self._at = replace(self._at, approved=(*self._at.approved, who))
            self._turn_taken(approval)
        return True

    def _why_not(self, answer: Answer, state: TicketState) -> str:
        """Why an answer does not count; empty where it does."""
        if state.round != self._at.number:
            return "it belongs to a round that Joinery did not start"
        if why := discounted(answer, self._at.users):
            return why
        if answer.how == "delegate" and answer.by == self._own_user():
            return "nobody approves for themself"
        who = self._at.asked[self._at.users.index(answer.asked)]
        # Whoever went on leave after they were asked may still answer.
        here = replace(self._asker.policy, approvals=replace(self._rules, away_groups=()))
        why = objection(self._run.person, self._asker.people.look(who), here) if self._run.mode == "live" else ""
        return f"whoever was asked {why}" if why else ""

    def _own_user(self) -> str | None:
        """The person's own user on the desk. Raises Waiting."""
        known = self._partition.head.desk_user_id
        if known is None:
            known = self._parts.settle("find the person on the desk", lambda: FindUser(person=self._run.person)).id
        return known

    def _discount(self, why: str) -> None:
        """Record what does not count, once."""
        if why in self._at.discounted:
            return
        self._at = replace(self._at, discounted=(*self._at.discounted, why))
        self._partition.audit("approval not counted", why, run=self._run.id, step=self._question.name, round=self._at.round)
        self._save()
        self._parts.say(f"say what does not count, round {self._at.round}", f"{why[0].upper()}{why[1:]}. The approval is still awaited.")

    def _ended(self, state: TicketState) -> bool:
        """Whether nobody can answer our round any more, though nobody of ours did."""
        return state.round != self._at.number or any(one.verdict is not Verdict.PENDING for one in state.answers)

    def _turn_taken(self, last: Approval | None = None) -> None:
        """Whoever had to approve in this turn did: the next one's turn, or done."""
        turn = self._at.turn + 1
        if not self._question.any_of and turn < len(self._question.of):
            self._at = replace(self._at, turn=turn, round=self._at.round, number="", routes=(), asked=(), users=(), restarts=0)
            self._save()
            self._route()
            return
        if last is None:
            who = self._at.approved[-1]
            last = Approval(outcome=ApprovalOutcome.APPROVED, who=who, at=to_text(self._now), why="Whoever has to approve did so before.")
        self._decide(last)

    # --- time ---

    def _after(self, amount: timedelta) -> datetime:
        return add_working_time(self._at.begun or self._now, amount, self._rules.working)

    def _next_reminder(self) -> datetime | None:
        each = self._rules.remind_after
        return self._after(each * (self._at.reminders + 1)) if each > timedelta(0) else None

    def _few_are_open(self) -> bool:
        """Whether there are calls for a note about a reminder; where many questions are open, the audit alone has it."""
        return len(self._asker.store.list_index(APPROVALS, limit=_REMINDED_ON_TICKETS + 1)) <= _REMINDED_ON_TICKETS

    def _escalate(self, room: bool) -> None:
        """The next manager up is asked too, in a new round; where there is none, those who were asked go on being asked."""
        self._at = replace(self._at, escalated=True)
        above = tuple(one for one in self._walk(past=self._at.asked) if one not in self._at.asked) if room else ()
        self._partition.audit("approval escalated", run=self._run.id, step=self._question.name, to=list(above))
        if above:
            self._new_round(asked=(*self._at.asked, *above))
        else:
            self._save()

    def _wait(self) -> None:
        """Until the next timer. Raises Waiting."""
        escalates = None if self._at.escalated else self._after(self._rules.escalate_after)
        timers = (self._after(self._rules.gives_up_after), escalates, self._next_reminder(), self._parts.note_due)
        self._save()
        raise Waiting(until=min(one for one in timers if one), why=f"{self._question.name}: {self._at.held}")

    def _later(self, pause: timedelta, why: str) -> Waiting:
        self._save()
        return Waiting(until=self._now + pause, why=f"{self._question.name}: {why}")

    # --- the journal ---

    def _save(self) -> None:
        self._step = self._partition.save_step(self._run, replace(self._step, result=codec.to_document(self._at)))

    def _decide(self, approval: Approval) -> None:
        """The end of the question, in one commit."""
        approval = replace(approval, at=approval.at or to_text(self._now))
        self._parts.give_up()
        self._partition.audit("approval decided", f"{approval.outcome}: {approval.why}", run=self._run.id, step=self._question.name)
        done = replace(self._step, state=StepState.DONE, result=codec.tag(approval), verified=True)
        self._step = self._partition.save_step(self._run, done)
        ticket, store = self._question.ticket.id, self._asker.store
        if self._run.mode == "live":
            leave_behind(self._partition, store, self._run, self._question, self._at, approval, self._state)
        self._partition.afterwards(lambda: store.delete_index(APPROVALS, ticket))
        self._partition.commit()


def _made_approver(sighting: Sighting | None) -> EnsureApprover:
    if not isinstance(sighting, Person):
        raise TypeError("whoever is to be made an approver was looked at first")
    return EnsureApprover(person=sighting)


def _id(route: Route) -> str:
    return route.approver.id if route.approver else ""
