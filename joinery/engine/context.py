"""What a recipe holds in its hand: ``ctx.do`` for outside effects, ``ctx.step`` for values, ``ctx.now`` for time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast, overload

import msgspec

from joinery.domain.approvers import Approval
from joinery.domain.cut_off import Cut, CutOff
from joinery.domain.events import AlertRaised, Fact
from joinery.domain.moments import from_text, to_text
from joinery.domain.person import DirectReports, Person
from joinery.domain.roles import Grant, Membership, Removal, Wanted
from joinery.domain.tickets import (
    AddNote,
    AgentRef,
    AskApproval,
    CloseTicket,
    DeactivateUser,
    EndTicket,
    EnsureAgent,
    EnsureApprover,
    EnsureUser,
    FindUser,
    NoteRef,
    OpenTicket,
    Order,
    Result,
    RetireAgent,
    RolesRef,
    RoundRef,
    SetRoles,
    TicketRef,
    UpdateUser,
    UserRef,
)
from joinery.engine import codec
from joinery.engine.asking import Question, QuestionLost, inherited
from joinery.engine.claims import Claims, RecipeError, StepGivenUp
from joinery.engine.cut_off import CUTS
from joinery.engine.effects import REFUSED_PREFIX, Effects
from joinery.engine.journal import APPROVAL, SLEEP, VALUE, Run, Step, StepState
from joinery.engine.leash import Leash
from joinery.engine.memberships import MEMBERSHIP
from joinery.engine.partition import Partition
from joinery.engine.ports import Document
from joinery.engine.reports import REPORTS
from joinery.engine.role_book import RoleBook
from joinery.engine.surroundings import Surroundings
from joinery.errors import JoineryError, Waiting

V = TypeVar("V")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How one step of this run stands: for the note that says what was done."""

    name: str
    state: StepState
    verified: bool | None


class Context:
    """One run, seen from its recipe. Finished steps return what they returned."""

    def __init__(
        self,
        partition: Partition,
        run: Run,
        effects: Effects,
        leash: Leash,
        *,
        around: Surroundings,
        roles: RoleBook,
        inherited: tuple[tuple[str, TicketRef], ...] = (),
    ) -> None:
        self._partition = partition
        self._run = run
        self._effects = effects
        self._leash = leash
        self._around = around
        self._roles = roles
        self._inherited = inherited
        self._open_tickets: Mapping[str, str] | None = None
        self._cuts: tuple[Cut, ...] | None = None
        #: For the runner: which steps this execution asked for, and what stopped it.
        self.claims = Claims(partition, run)
        #: Steps that could not be done yet and that the recipe went on without.
        self.open_until: datetime | None = None

    @property
    def person(self) -> Person:
        """The person as they were when the run was decided."""
        return self._run.person

    @property
    def before(self) -> Person | None:
        """The person as the last decision had left them: what they moved from."""
        return self._run.before

    @property
    def old_access_lasts(self) -> timedelta:
        """How long roles that a manager approved before a move last after it, unless they are confirmed."""
        return self._around.policy.mover.old_access_lasts

    @property
    def known_user_id(self) -> str | None:
        """The person's user on the desk, if an earlier run made or found them."""
        return self._partition.head.desk_user_id

    @property
    def known_agent_id(self) -> str | None:
        """The person's agent on the desk, if an earlier run made or found it."""
        return self._partition.head.desk_agent_id

    @property
    def inherited_tickets(self) -> tuple[TicketRef, ...]:
        """Tickets of the runs that this one overtook, and of those that they had overtaken."""
        return tuple(ticket for _, ticket in self._inherited)

    def inherited_ticket(self, kind: str) -> TicketRef | None:
        """The first ticket of that kind of the runs that this one overtook: the one to go on with."""
        return next((ticket for one, ticket in self._inherited if one == kind), None)

    @property
    def open_tickets(self) -> Mapping[str, str]:
        """Matter (as in ``about``) -> id of the ticket about it that no run has closed. It does not change while a run goes on: it is remembered."""
        name = "see which tickets are open"
        if self._open_tickets is None and (name in self._steps or self._partition.head.tickets):
            self._open_tickets = self.step(name, lambda: dict(self._partition.head.tickets))
        return self._open_tickets or {}

    @property
    def grants(self) -> Mapping[str, Grant]:
        """Group -> its last membership that was decided on, as it stands at this moment."""
        return self._roles.grants

    def wanted_roles(self) -> Wanted:
        """Which roles the person is to have at this moment. For what an order says; a recipe branches on ``decide_roles``."""
        return self._roles.wanted()

    def decide_roles(self, name: str) -> Wanted:
        """The same, computed once and remembered."""
        return codec.from_document(self.step(name, lambda: codec.to_document(self._roles.wanted())), Wanted)

    def remember_answer(self, name: str, membership: Membership, approval: Approval, ticket: TicketRef) -> Wanted:
        """Write down what was decided about a membership, with the evidence; returns which roles are wanted from then on. Done once.

        A membership that has ended meanwhile stays ended. One that gives its role already goes on as if it were granted now, or, if it
        is not approved, until the date that it has.
        """

        def remember() -> Document:
            self._roles.answered(membership, approval, ticket.id)
            return codec.to_document(self._roles.wanted())

        return codec.from_document(self.step(name, remember), Wanted)

    def limit_grants(self, name: str, groups: Iterable[str], until: datetime) -> None:
        """What these memberships gave ends at that moment at the latest, whatever becomes of them. Done once."""
        self.step(name, lambda: self._roles.limit(groups, until))

    def end_membership(self, name: str, group: str, *, remove: bool) -> Removal:
        """Whether a membership can be ended, and with ``remove`` end it where it can. Raises Waiting."""
        with self._leash.engine():
            step = self.claims.opened(name, asks=MEMBERSHIP)
            if step.state is not StepState.DONE:
                self.claims.interruptible(self._effects.may_act)
                ender = self._around.memberships
                step = self.claims.interruptible(lambda: ender.settle(self._partition, self._run, step, group, remove=remove))
                self.claims.interruptible(self._partition.commit)
            return Removal(step.result)

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """What policy cuts off in the directory when somebody leaves. It does not change while a run goes on: it is remembered.

        To be asked for before any step: a run that has some already began when nothing was cut off.
        """
        name, policy = "see what is cut off in the directory", self._around.policy.cut_off
        if self._cuts is None and (name in self._steps or (policy.writes and not self._steps)):
            wanted = {Cut.SESSIONS: policy.revoke_sessions, Cut.GROUPS: policy.remove_from_groups}
            self._cuts = tuple(Cut(one) for one in self.step(name, lambda: [str(cut) for cut, is_wanted in wanted.items() if is_wanted]))
        return self._cuts or ()

    def cut_off(self, name: str, cut: Cut) -> CutOff | None:
        """Cut the person off in the directory, and go on without it: None while it is not over. The run does not end before it is."""
        with self._leash.engine():
            step = self.claims.opened(name, asks=CUTS[cut])
            if step.state is not StepState.DONE:
                self.claims.interruptible(self._effects.may_act)
                try:
                    step = self._around.cut_offs.settle(self._partition, self._run, step, cut)
                except Waiting as pause:
                    self.open_until = pause.until if self.open_until is None else min(self.open_until, pause.until)
                    return None
                except JoineryError as error:
                    self.claims.stop(error)
                self.claims.interruptible(self._partition.commit)
            return codec.from_document(step.result, CutOff)

    def tell_reports(self, name: str) -> DirectReports:
        """Look at everybody who reports to the person, for something changed for their manager; returns who that is. Done once. Raises Waiting."""
        with self._leash.engine():
            step = self.claims.opened(name, asks=REPORTS)
            if step.state is not StepState.DONE:
                step = self.claims.interruptible(lambda: self._around.reports.settle(self._partition, self._run, step))
                self.claims.interruptible(self._partition.commit)
            return codec.from_document(step.result, DirectReports)

    def report(self, name: str, why: str, *, cause: str) -> None:
        """Tell whoever watches the alerts, once: ids and rules only; ``cause`` is the same text for everything that one remedy mends."""
        if self._run.mode == "live":
            self.step(name, lambda: self._partition.alert(why, cause=cause, run=self._run.id, step=name))

    @property
    def fact(self) -> Fact:
        """What this run is about."""
        return cast(Fact, codec.untag(self._run.fact))

    @property
    def alert(self) -> AlertRaised:
        """What this run is about, in a recipe for alerts."""
        return cast(AlertRaised, codec.untag(self._run.fact))

    @overload
    def do(self, name: str, order: EnsureUser | FindUser | DeactivateUser | UpdateUser | EnsureApprover, *, about: str = "") -> UserRef: ...
    @overload
    def do(self, name: str, order: OpenTicket | CloseTicket, *, about: str = "") -> TicketRef: ...
    @overload
    def do(self, name: str, order: AddNote | EndTicket, *, about: str = "") -> NoteRef: ...
    @overload
    def do(self, name: str, order: RetireAgent | EnsureAgent, *, about: str = "") -> AgentRef: ...
    @overload
    def do(self, name: str, order: SetRoles, *, about: str = "") -> RolesRef: ...
    @overload
    def do(self, name: str, order: AskApproval, *, about: str = "") -> RoundRef: ...
    def do(self, name: str, order: Order, *, about: str = "") -> Result:
        """Ask for an outside effect and return what came of it. The name is a promise: it is what people see, and it stays.

        ``about`` names a matter that outlives this run: whatever an earlier run of this person made under the same name about the same
        matter is found, and not made again.
        """
        with self._leash.engine():
            step = self.claims.interruptible(lambda: self._effects.settle(self.claims.claim(name, order), order, about=about))
            if step.state is not StepState.DONE:
                self.claims.stop(StepGivenUp(f"{name}: {step.trouble}"))
            return cast(Result, codec.untag(step.result))

    @overload
    def try_to(
        self, name: str, order: EnsureUser | FindUser | DeactivateUser | UpdateUser | EnsureApprover, *, about: str = ""
    ) -> UserRef | None: ...
    @overload
    def try_to(self, name: str, order: OpenTicket | CloseTicket, *, about: str = "") -> TicketRef | None: ...
    @overload
    def try_to(self, name: str, order: AddNote | EndTicket, *, about: str = "") -> NoteRef | None: ...
    @overload
    def try_to(self, name: str, order: RetireAgent | EnsureAgent, *, about: str = "") -> AgentRef | None: ...
    @overload
    def try_to(self, name: str, order: SetRoles, *, about: str = "") -> RolesRef | None: ...
    @overload
    def try_to(self, name: str, order: AskApproval, *, about: str = "") -> RoundRef | None: ...
    def try_to(self, name: str, order: Order, *, about: str = "") -> Result | None:
        """As ``do``, but go on without it: None while it cannot be done. The run does not end before it is done or given up."""
        with self._leash.engine():
            self.claims.claim(name, order)
            try:
                step = self._effects.settle(name, order, about=about)
            except Waiting as pause:
                later = self._steps.get(name)
                if later is None or later.state is StepState.INTENT or not later.tries:
                    # Not a refusal but a pause, the end of our time, or an unknown outcome: what follows must not overtake it.
                    self.claims.stop(pause)
                self.open_until = pause.until if self.open_until is None else min(self.open_until, pause.until)
                return None
            except JoineryError as error:
                self.claims.stop(error)
            return cast(Result, codec.untag(step.result)) if step.state is StepState.DONE else None

    def is_refused(self, name: str) -> bool:
        """Whether a step that ``try_to`` went on without is refused, and not for the first time: mending it may take people long."""
        step = self._steps.get(name)
        return step is not None and step.state is not StepState.DONE and step.tries > 1 and step.trouble.startswith(REFUSED_PREFIX)

    def step(self, name: str, fn: Callable[[], V]) -> V:
        """A value that is computed once and remembered: small, JSON-able, and without any outside effect."""
        with self._leash.engine():
            self.claims.claim(name, None)
            done = self._steps.get(name)
            if done is not None:
                return cast(V, _as_stored(done.result))
            with self._leash.recipe():
                value = fn()
            try:
                stored: Any = codec.tag(value) if codec.is_tagged(value) else msgspec.json.decode(msgspec.json.encode(value))
            except TypeError as error:
                raise RecipeError(f"step {name!r} returned something that cannot be stored: {error}") from None
            step = Step(n=len(self._steps) + 1, name=name, asks=VALUE, state=StepState.DONE, result=stored, verified=True)
            self._partition.save_step(self._run, step)
            self.claims.interruptible(self._partition.commit)
            # What a repeat will return, so that a recipe that works once works always.
            return cast(V, _as_stored(stored))

    def now(self) -> datetime:
        """The time, read once per call site order and written down: a repeat of the recipe sees the same moment."""
        count = sum(1 for name in self.claims.asked if name.startswith("the time"))
        return from_text(self.step(f"the time, reading {count + 1}", lambda: to_text(self._partition.clock.now())))

    def sleep_until(self, name: str, moment: datetime) -> None:
        """Go on at ``moment``, and not before: the one that was given first stays. A rehearsal does not wait. Raises Waiting."""
        with self._leash.engine():
            self.claims.claim(name, None, asks=SLEEP)
            known = self._steps.get(name)
            if known is not None and known.state is StepState.DONE:
                return
            step = known or Step(n=len(self._steps) + 1, name=name, asks=SLEEP, result=to_text(moment))
            until = from_text(step.result)
            slept = self._partition.clock.now() >= until or self._run.mode != "live"
            self._partition.save_step(self._run, replace(step, state=StepState.DONE, verified=True) if slept else step)
            if not slept:
                self.claims.stop(Waiting(until=until, why=f"{name}: until {until:%Y-%m-%d %H:%M} UTC"))
            self.claims.interruptible(self._partition.commit)

    def ask_approval(
        self, name: str, *, ticket: TicketRef, of: tuple[str, ...], any_of: bool = False, about: str = "", note_apart: bool = False
    ) -> Approval:
        """Ask on a ticket for an approval and return what was decided; nothing but ``outcome`` approved is one.

        ``of`` names who has to approve: ``manager`` (of now, asked anew when it changes) or ``owner:<mail>``; one after the other, or with
        ``any_of`` all at once, and the first answer decides. A run that overtook another goes on with what that one had asked on the same
        ticket; ``about`` as in ``do``. ``note_apart`` says who is asked in a note of its own, as recipes did once. What it does on the desk are
        steps whose names begin with this one's. Raises Waiting.
        """
        with self._leash.engine():
            if not of:
                self.claims.stop(RecipeError(f"{name!r} asks nobody; that would be no approval"))
            self.claims.claim(name, None, asks=APPROVAL)
            self.claims.claim_parts(name)
            question = Question(name=name, ticket=ticket, of=of, any_of=any_of, about=about, note_apart=note_apart)
            before = inherited(self._partition, self._run, name, ticket.id) if name not in self._steps else None
            try:
                approval = self._around.asker.ask(self._partition, self._run, self._effects, question, before)
            except QuestionLost as lost:
                self.claims.stop(StepGivenUp(str(lost)))
                raise
            except (JoineryError, Waiting) as stop:
                self.claims.stop(stop)
                raise
            self.claims.claim_parts(name)
            return approval

    def outcomes(self) -> tuple[Outcome, ...]:
        """How the effects asked for so far stand."""
        asked = (self._steps[name] for name in self.claims.asked if name in self._steps)
        return tuple(Outcome(name=s.name, state=s.state, verified=s.verified) for s in asked if s.order is not None)

    @property
    def _steps(self) -> Mapping[str, Step]:
        return self.claims.steps


def _as_stored(result: Any) -> Any:
    return codec.untag(result) if isinstance(result, dict) and "is" in result else result


def renew(run: Run, **changes: object) -> Run:
    """The run with some fields changed."""
    return replace(run, **changes)  # type: ignore[arg-type]  # fields of Run
