"""Advances one run: the recipe from the top, until it ends, waits, or fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta

from joinery.domain.cut_off import in_words
from joinery.domain.events import Left, Returned
from joinery.domain.guard import Pauses
from joinery.domain.roles import DESIRED
from joinery.domain.tickets import AddNote, FindUser, OpenTicket, RetireAgent, SetRoles, TicketRef
from joinery.engine import codec
from joinery.engine.claims import RecipeError, StepGivenUp
from joinery.engine.context import Context, renew
from joinery.engine.cut_off import groups_left
from joinery.engine.effects import Effects
from joinery.engine.journal import Check, Run, RunStatus, StepState, effect_key, shared_by
from joinery.engine.leash import RecipeStuck, leash
from joinery.engine.overlap import NOTHING_STARTS
from joinery.engine.partition import Partition
from joinery.engine.ports import Clock, Randomness, ServiceDesk
from joinery.engine.recipes import Recipe, Workflow
from joinery.engine.retry import EngineTiming
from joinery.engine.role_book import RoleBook
from joinery.engine.surroundings import Surroundings
from joinery.errors import JoineryError, Waiting

_log = logging.getLogger(__name__)

#: How often a run asks whether a release with its recipe has come, and after how long somebody is told; a deployment takes minutes.
_UNKNOWN_RECIPE = timedelta(minutes=5)
_REPORTED = " (reported)"

#: Kind of the fact that stopped a run -> what its tickets say.
_STOPPED = {
    Returned.kind: "the person is back",
    NOTHING_STARTS: "what it was about is over, and nothing is done about that",
}


class Runner:
    """Knows the workflows by name and the desks by mode."""

    def __init__(
        self,
        workflows: Mapping[str, Workflow],
        desks: Mapping[str, ServiceDesk],
        *,
        clock: Clock,
        randomness: Randomness,
        timing: EngineTiming,
        deployment: str,
        around: Surroundings,
    ) -> None:
        self._workflows = workflows
        self._desks = desks
        self._clock = clock
        self._randomness = randomness
        self._timing = timing
        self._deployment = deployment
        self._around = around

    def advance(self, partition: Partition, run: Run, *, pauses: Callable[[], Pauses], stop_at: float) -> None:
        """Take one open run as far as it goes now, a commit per step. Raises LostRace or StoreUnavailable."""
        book = RoleBook(partition, run, self._around)
        effects = Effects(
            partition,
            run,
            desk=self._desks[run.mode],
            clock=self._clock,
            randomness=self._randomness,
            timing=self._timing,
            pauses=pauses,
            deployment=self._deployment,
            stop_at=stop_at,
            up_to_date=book.up_to_date,
        )
        try:
            if run.status is RunStatus.SUPERSEDING:
                self._wind_up(partition, run, effects)
            else:
                self._cook(partition, run, effects, book)
        except Waiting as pause:
            soonest = pause
            if run.status is not RunStatus.SUPERSEDING:
                # What is done already is read back meanwhile: that it does not show must not wait for a step that is stuck.
                try:
                    self._verify(partition, run, effects)
                except Waiting as other:
                    soonest = min(pause, other, key=lambda one: one.until)
            partition.save_run(renew(partition.runs.get(run.seq, run), due=soonest.until, waiting_for=pause.why))
        partition.commit()

    def _wind_up(self, partition: Partition, run: Run, effects: Effects) -> None:
        """A later fact overtook this run: resolve its open intents, say so where that is due, then close it. Raises Waiting."""
        self._let_go(partition, run, effects)
        if run.stopped_by:
            self._say_stopped(partition, run, effects)
        partition.audit("run superseded", run=run.id)
        self._read_roles_later(partition, run)
        partition.close_run(renew(run, status=RunStatus.SUPERSEDED))

    @staticmethod
    def _say_stopped(partition: Partition, run: Run, effects: Effects) -> None:
        """One note on each ticket that the run opened: people may be at work on it. Raises Waiting."""
        text = f"Joinery stopped this {run.workflow}: {_STOPPED.get(run.stopped_by, run.stopped_by)}. What was done so far stays as it is."
        steps = list(partition.steps.get(run.seq, {}).values())
        tickets = [codec.untag(step.result) for step in steps if step.asks == OpenTicket.__name__ and step.state is StepState.DONE]
        for left in map(groups_left, steps):
            if left.removed:
                text += f" They were taken out of these groups of the directory: {in_words(left.names, left.removed)}."
                if not tickets:
                    why = f"they were taken out of {left.removed} groups, and no ticket was open that could name them; the audit has their ids"
                    cause = f"a {run.workflow} was stopped when groups were left, and no ticket was open that could name them; the audit has their ids"
                    partition.alert(why, cause=cause, run=run.id)
        for ticket in tickets:
            effects.settle(f"say on ticket {ticket.id} that it was stopped", AddNote(ticket_id=ticket.id, text=text))

    @staticmethod
    def _let_go(partition: Partition, run: Run, effects: Effects) -> None:
        """Before a run ends: no intent of it is open any more. Raises Waiting."""
        for step in list(partition.steps.get(run.seq, {}).values()):
            if effects.abandon(step) is not step:
                partition.commit()

    def _cook(self, partition: Partition, run: Run, effects: Effects, book: RoleBook) -> None:
        overtaken = [seq for seq in run.supersedes if seq in partition.runs]
        if overtaken:
            due = partition.runs[overtaken[0]].due or self._clock.now()
            raise Waiting(until=due, why="the run that this one overtakes still has an open intent")
        if run.reason:
            self._fail(partition, run, effects, run.reason)
            return
        workflow = self._workflows.get(run.workflow)
        recipe = workflow.recipe_of(run.version) if workflow else None
        if recipe is None:
            self._fail(partition, run, effects, self._without_recipe(partition, run))
            return
        if run.unknown_since is not None:
            run = partition.save_run(renew(run, unknown_since=None))
        ctx, reason = self._execute(partition, run, effects, recipe, book)
        if reason:
            self._fail(partition, run, effects, reason)
            return
        if ctx.open_until is not None:
            raise Waiting(until=ctx.open_until, why="a step that was refused is tried again")
        if run.mode == "live" and (missing := ctx.claims.not_asked()):
            # What it stood for may have been done under another name.
            why = f"step {missing[0]!r} is in the journal and the recipe did not ask for it; a changed recipe needs a new version"
            self._fail(partition, run, effects, why)
            return
        self._verify(partition, run, effects)
        self._finish(partition, run, effects)

    def _without_recipe(self, partition: Partition, run: Run) -> str:
        """Why a run fails whose recipe this release has not. Raises Waiting before the horizon: a release that has it may be on its way."""
        why, now = f"this release has no recipe for {run.workflow} version {run.version}", self._clock.now()
        since = run.unknown_since or now
        if now - since >= self._timing.horizon:
            return f"{why}, for {self._timing.horizon.total_seconds() / 3600:g} hours"
        if run.waiting_for.endswith(_REPORTED):
            why += _REPORTED
        elif now - since >= _UNKNOWN_RECIPE:
            partition.alert(f"{why}; deploy one that keeps it among the earlier ones", run=run.id)
            why += _REPORTED
        partition.save_run(renew(run, unknown_since=since))
        raise Waiting(until=now + _UNKNOWN_RECIPE, why=why)

    def _execute(self, partition: Partition, run: Run, effects: Effects, recipe: Recipe, book: RoleBook) -> tuple[Context, str]:
        """Run the recipe from the top; returns its context and why it failed, or ``""``. Raises what interrupts it for a while."""
        reason = ""
        with leash(self._timing.recipe_limit) as held:
            ctx = Context(partition, run, effects, held, around=self._around, roles=book, inherited=self._inherited(partition, run))
            try:
                returned: object = recipe(ctx)  # type: ignore[func-returns-value]  # a recipe may break this promise
                if returned is not None:
                    reason = f"the recipe returned a {type(returned).__name__}; a recipe returns nothing"
            except (StepGivenUp, RecipeError) as stop:
                reason = str(stop)
            except JoineryError as stop:
                if ctx.claims.interruption is not None:
                    raise
                reason = f"the recipe raised {type(stop).__name__} after {self._last(ctx)}"
            except RecipeStuck:
                limit = self._timing.recipe_limit.total_seconds()
                reason = f"the recipe went on for more than {limit:g} s after {self._last(ctx)} without asking for anything"
            except Exception as error:
                # The text of a stray exception may hold names or addresses; its class and the place do not.
                _log.warning("recipe failed", extra={"action": "recipe_failed", "run": run.id, "error": type(error).__name__})
                reason = f"the recipe raised {type(error).__name__} after {self._last(ctx)}"
        if isinstance(ctx.claims.interruption, (StepGivenUp, RecipeError)):
            reason = str(ctx.claims.interruption)
        elif ctx.claims.interruption is not None:
            raise ctx.claims.interruption
        return ctx, reason

    def _verify(self, partition: Partition, run: Run, effects: Effects) -> None:
        pending: Waiting | None = None
        for step in list(partition.steps.get(run.seq, {}).values()):
            try:
                if effects.verify(step) is not step:
                    partition.commit()
                later = partition.steps[run.seq][step.name]
                if later.state is StepState.DONE and later.verified is None and later.due:
                    raise Waiting(until=later.due, why=f"{step.name}: {later.trouble}")
            except Waiting as pause:
                pending = pause if pending is None or pause.until < pending.until else pending
        if pending is not None:
            raise pending

    def _finish(self, partition: Partition, run: Run, effects: Effects) -> None:
        steps = partition.steps.get(run.seq, {}).values()
        failed = [step.name for step in steps if step.state is StepState.FAILED]
        if failed:
            self._fail(partition, run, effects, f"given up: {', '.join(failed)}")
            return
        if run.mode == "shadow":
            status = RunStatus.PLANNED
        elif any(step.verified is False for step in steps):
            status = RunStatus.UNVERIFIED
        else:
            status = RunStatus.VERIFIED
        partition.audit(f"run {status}", run=run.id, steps=len(steps))
        if run.mode == "live" and isinstance(codec.untag(run.fact), Left):
            self._read_again_later(partition, run)
        self._read_roles_later(partition, run)
        partition.close_run(renew(run, status=status))

    def _read_again_later(self, partition: Partition, run: Run) -> None:
        """What a leaver took away is read once more where a write of another run may still land: after the latest deadline of any."""
        if not run.supersedes and all(check.run == run.id for check in partition.checks.values()):
            return
        due = self._clock.now() + self._timing.twin_check_after
        for step in partition.steps.get(run.seq, {}).values():
            order = codec.untag(step.order) if step.order else None
            if order is not None and not order.creates and not isinstance(order, FindUser) and step.state is StepState.DONE:
                check = Check(key=step.key, due=due, run=run.id, step=step.name, order=step.order or {}, ours=None, result=step.result)
                partition.save_check(check)

    def _read_roles_later(self, partition: Partition, run: Run) -> None:
        """A write of roles that did not succeed at once may land after every later one: what the agent has is read once more."""
        writes = (SetRoles.__name__, RetireAgent.__name__)
        tried = [step for step in partition.steps.get(run.seq, {}).values() if step.asks in writes and step.tries]
        if run.mode == "live" and tried:
            # One for all runs: the latest deadline counts. Which agent, and which roles, is said when it is read.
            key = effect_key(deployment=self._deployment, run=shared_by(partition.name, DESIRED), step="read again")
            due = self._clock.now() + self._timing.twin_check_after
            order = codec.tag(SetRoles(person=run.person, agent_id=None, roles=(), ours=()))
            partition.save_check(Check(key=key, due=due, run=run.id, step=tried[-1].name, order=order, ours=None))

    def _fail(self, partition: Partition, run: Run, effects: Effects, reason: str) -> None:
        run = partition.save_run(renew(run, reason=reason))
        self._let_go(partition, run, effects)
        partition.audit("run failed", reason, run=run.id)
        self._read_roles_later(partition, run)
        why = f"{run.workflow} failed: {reason}"
        partition.alert(why, cause=f"{why}; once that is mended, `joinery failed retry` lets it go on", run=run.id)
        partition.close_run(renew(run, status=RunStatus.FAILED, reason=reason))

    def _inherited(self, partition: Partition, run: Run) -> tuple[tuple[str, TicketRef], ...]:
        """Kind and ref of the tickets of every run that this one overtook, of those that these had overtaken, and so on; oldest first."""
        tickets: dict[str, tuple[str, TicketRef]] = {}
        seqs = sorted(run.supersedes)
        for seq in seqs:
            for row in partition.closed_rows(seq):
                seqs += [one for one in row.data.get("supersedes", ()) if one not in seqs]
                if row.data.get("asks") == OpenTicket.__name__ and row.data.get("state") == StepState.DONE:
                    ticket, order = codec.untag(row.data["result"]), row.data["order"] or {}
                    tickets[ticket.id] = (str(order.get("kind", "")), ticket)
        return tuple(sorted(tickets.values(), key=lambda one: int(one[1].id) if one[1].id.isdecimal() else 0))

    @staticmethod
    def _last(ctx: Context) -> str:
        return f"step {ctx.claims.asked[-1]!r}" if ctx.claims.asked else "its beginning"
