"""Advances one run: the recipe from the top, until it ends, waits, or fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from joinery.domain.guard import Pauses
from joinery.domain.tickets import TicketRef
from joinery.engine import codec
from joinery.engine.context import Context, RecipeError, StepGivenUp, renew
from joinery.engine.effects import Effects
from joinery.engine.journal import Run, RunStatus, StepState
from joinery.engine.partition import Partition
from joinery.engine.ports import Clock, Randomness, ServiceDesk
from joinery.engine.recipes import Workflow
from joinery.engine.retry import EngineTiming
from joinery.errors import JoineryError, Waiting

_log = logging.getLogger(__name__)


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
    ) -> None:
        self._workflows = workflows
        self._desks = desks
        self._clock = clock
        self._randomness = randomness
        self._timing = timing
        self._deployment = deployment

    def advance(self, partition: Partition, run: Run, *, pauses: Callable[[], Pauses], stop_at: float) -> None:
        """Take one open run as far as it goes now, a commit per step. Raises LostRace or StoreUnavailable."""
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
        )
        try:
            if run.status is RunStatus.SUPERSEDING:
                self._wind_up(partition, run, effects)
            else:
                self._cook(partition, run, effects)
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
        """A later fact overtook this run: resolve its open intents, then close it."""
        self._let_go(partition, run, effects)
        partition.audit("run superseded", run=run.id)
        partition.close_run(renew(run, status=RunStatus.SUPERSEDED))

    @staticmethod
    def _let_go(partition: Partition, run: Run, effects: Effects) -> None:
        """Before a run ends: no intent of it is open any more. Raises Waiting."""
        for step in list(partition.steps.get(run.seq, {}).values()):
            if effects.abandon(step) is not step:
                partition.commit()

    def _cook(self, partition: Partition, run: Run, effects: Effects) -> None:
        overtaken = [seq for seq in run.supersedes if seq in partition.runs]
        if overtaken:
            due = partition.runs[overtaken[0]].due or self._clock.now()
            raise Waiting(until=due, why="the run that this one overtakes still has an open intent")
        workflow = self._workflows.get(run.workflow)
        if run.reason or workflow is None:
            self._fail(partition, run, effects, run.reason or f"there is no workflow called {run.workflow!r} any more")
            return
        ctx = Context(partition, run, effects, inherited=self._inherited(partition, run))
        try:
            workflow.recipe(ctx)
            reason = ""
        except (StepGivenUp, RecipeError) as stop:
            reason = str(stop)
        except JoineryError as stop:
            if ctx.interruption is not None:
                raise
            reason = f"the recipe raised {type(stop).__name__} after {self._last(ctx)}"
        except Exception as error:
            # The text of a stray exception may hold names or addresses; its class and the place do not.
            _log.warning("recipe failed", extra={"action": "recipe_failed", "run": run.id, "error": type(error).__name__})
            reason = f"the recipe raised {type(error).__name__} after {self._last(ctx)}"
        if isinstance(ctx.interruption, (StepGivenUp, RecipeError)):
            reason = str(ctx.interruption)
        elif ctx.interruption is not None:
            raise ctx.interruption
        if reason:
            self._fail(partition, run, effects, reason)
            return
        if ctx.open_until is not None:
            raise Waiting(until=ctx.open_until, why="a step that was refused is tried again")
        self._verify(partition, run, effects)
        self._finish(partition, run, effects)

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
        # What an older recipe began and this one no longer asks for: what became of it has to be known first.
        self._let_go(partition, run, effects)
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
        partition.close_run(renew(run, status=status))

    def _fail(self, partition: Partition, run: Run, effects: Effects, reason: str) -> None:
        run = partition.save_run(renew(run, reason=reason))
        self._let_go(partition, run, effects)
        partition.audit("run failed", reason, run=run.id)
        partition.audit("alert", f"{run.workflow} failed: {reason}", run=run.id)
        partition.close_run(renew(run, status=RunStatus.FAILED, reason=reason))

    def _inherited(self, partition: Partition, run: Run) -> tuple[TicketRef, ...]:
        tickets = [
            codec.untag(row.data["result"])
            for seq in run.supersedes
            for row in partition.closed_rows(seq)
            if row.data.get("asks") == "OpenTicket" and row.data.get("state") == StepState.DONE
        ]
        return tuple(ticket for ticket in tickets if isinstance(ticket, TicketRef))

    @staticmethod
    def _last(ctx: Context) -> str:
        return f"step {ctx.asked[-1]!r}" if ctx.asked else "its beginning"
