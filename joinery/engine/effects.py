"""The effect protocol: an outside effect is done once, and a later read shows that it was done.

A create looks before it creates, commits an intent with the moment after which it must not start, performs, and commits
the result with the read-back. When the outcome is unknown, or a crash left an intent behind, it waits until nothing of
ours can still be on its way *and* visible only later, looks twice, adopts what it finds, and only then performs again.
A write to a target value needs no intent: repeating it is harmless.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from joinery.domain.guard import Pauses
from joinery.domain.tickets import FindUser, OpenTicket, Order, ReadBack, Result, TicketRef, TicketState
from joinery.engine import codec
from joinery.engine.journal import Check, Run, Step, StepState, effect_key, knowing, shared_by
from joinery.engine.partition import Partition
from joinery.engine.ports import Clock, Randomness, ServiceDesk
from joinery.engine.retry import BUSY, REFUSED, EngineTiming, RetryPolicy
from joinery.errors import BudgetSpent, OutcomeUnknown, Refused, StoreUnavailable, TryLater, Waiting

#: How the trouble of a step begins that the desk refused.
REFUSED_PREFIX = "refused: "


class Effects:
    """Carries out the orders of one run in one partition."""

    def __init__(
        self,
        partition: Partition,
        run: Run,
        *,
        desk: ServiceDesk,
        clock: Clock,
        randomness: Randomness,
        timing: EngineTiming,
        pauses: Callable[[], Pauses],
        deployment: str,
        stop_at: float,
        up_to_date: Callable[[Order, str], Order],
    ) -> None:
        self._partition = partition
        self._run = run
        self._desk = desk
        self._clock = clock
        self._randomness = randomness
        self._timing = timing
        self._pauses = pauses
        self._deployment = deployment
        self._stop_at = stop_at
        #: Turns an order and the matter it is about into what it comes to at this moment.
        self._up_to_date = up_to_date

    def settle(self, name: str, order: Order, *, about: str = "") -> Step:
        """Bring one step to ``DONE`` or ``FAILED``. With ``about``, a later run that goes on with the same matter finds what this one made.

        Raises:
            Waiting: not yet; the step says when to go on. Its state is saved in the partition.
        """
        step = self._step(name, order, about)
        if step.state in (StepState.DONE, StepState.FAILED):
            return step
        self.may_act()
        order = self._up_to_date(order, about)
        if step.due and self._clock.now() < step.due:
            raise Waiting(until=step.due, why=f"{name}: {step.trouble or 'not due yet'}")
        try:
            if not order.creates:
                return self._write(step, order)
            if step.state is StepState.INTENT:
                return self._resolve(step, order)
            return self._create(step, order)
        except StoreUnavailable:
            # Our own memory failed, not the desk: what is open stays open, and is looked up when the store answers again.
            raise
        except BudgetSpent as error:
            raise self._without_calls(step, error) from None
        except TryLater as error:
            return self._later(step, str(error), BUSY, asked=error.after, said=error.said)
        except Refused as error:
            return self._later(step, f"{REFUSED_PREFIX}{error}", REFUSED, said=error.said)
        except OutcomeUnknown as error:
            return self._unknown(step, str(error))

    def abandon(self, step: Step) -> Step:
        """The run ends without it: find out what became of this step, without ever performing it.

        Raises:
            Waiting: an open intent may still land.
        """
        if step.state is StepState.RETRY:
            return self._save(step, state=StepState.ABANDONED, due=None)
        if step.state is not StepState.INTENT or step.order is None:
            return step
        if step.due and self._clock.now() < step.due:
            raise Waiting(until=step.due, why=f"{step.name}: finding out whether it happened")
        order: Order = codec.untag(step.order)
        try:
            found = self._found_after_deadline(step, order)
        except BudgetSpent as error:
            raise self._without_calls(step, error) from None
        except (TryLater, Refused) as error:
            decision = BUSY.decide(
                now=self._clock.now(),
                first_tried_at=step.first_tried_at or self._clock.now(),
                tries=step.tries + 1,
                horizon=self._timing.horizon,
                randomness=self._randomness,
                asked=error.after if isinstance(error, TryLater) else None,
            )
            if decision.at is not None:
                self._save(step, due=decision.at, tries=step.tries + 1, trouble=str(error))
                raise Waiting(until=decision.at, why=f"{step.name}: {error}") from None
            # Whoever waits for the end of this run has waited long enough; the twin check goes on asking.
            why = f"nobody could find out whether it happened and the run ends without it: {error}"
            self._partition.alert(why, run=self._run.id, step=step.name)
            found = ()
        if found:
            self._twin_check(step, order, ours=_id_of(found[0]))
            self._remember_ticket(step, found[0])
            self._partition.audit(
                "step adopted", "it had happened, and the run ends without asking for it", run=self._run.id, step=step.name
            )
            return self._save(step, state=StepState.DONE, result=codec.tag(found[0]), due=None)
        self._twin_check(step, order, ours=None)
        self._partition.audit("step abandoned", "it did not happen, and must not any more", run=self._run.id, step=step.name)
        return self._save(step, state=StepState.ABANDONED, due=None)

    def verify(self, step: Step) -> Step:
        """Read an effect back again; after the last pause it is ``unverified``.

        Raises:
            Waiting: it does not show yet.
        """
        if step.verified is not None or step.state is not StepState.DONE or step.order is None:
            return step
        if step.due and self._clock.now() < step.due:
            raise Waiting(until=step.due, why=f"{step.name}: {step.trouble or 'to be read back'}")
        self.may_act()
        order: Order = self._up_to_date(codec.untag(step.order), step.about)
        result: Result = codec.untag(step.result)
        try:
            if not order.creates:
                result = self._desk.perform(order, step.key, within=self._timing.call_deadline)
                step = replace(step, order=codec.tag(order), result=codec.tag(result))
            seen = self._desk.read_back(order, step.key, result)
        except (TryLater, Refused, OutcomeUnknown) as error:
            return self._not_read(step, error)
        return self._remember_verification(step, seen)

    def ticket_state(self, ticket_id: str) -> TicketState:
        """Where a ticket's approval stands. Raises Waiting while we may not act, else what the desk raises."""
        self.may_act()
        return self._desk.ticket_state(ticket_id)

    # --- the protocol's parts ---

    def _create(self, step: Step, order: Order) -> Step:
        # What an earlier run made may be old, and only a thorough look finds it.
        known = step.asks == OpenTicket.__name__ and step.about in self._partition.head.tickets
        earlier = bool(step.about) and bool(self._run.supersedes or known)
        found = self._desk.find(order, step.key, quick=step.tries == 0 and not earlier)
        if found:
            return self._adopt(step, order, found[0])
        similar = self._desk.find_similar(order)
        if similar is not None:
            return self._adopt(step, order, similar)
        now = self._clock.now()
        not_after = now + self._timing.call_deadline
        step = self._save(
            step,
            state=StepState.INTENT,
            not_after=not_after,
            looked_at=None,
            due=not_after + self._desk.search_lag,
            first_tried_at=step.first_tried_at or now,
        )
        self._partition.audit("step intended", run=self._run.id, step=step.name, key=step.key)
        self._partition.commit()
        if self._clock.now() >= not_after:
            raise TryLater("the commit of the intent took longer than the call may take; nothing was sent")
        result = self._desk.perform(order, step.key, within=not_after - self._clock.now())
        return self._done(step, order, result)

    def _write(self, step: Step, order: Order) -> Step:
        step = replace(step, first_tried_at=step.first_tried_at or self._clock.now())
        result = self._desk.perform(order, step.key, within=self._timing.call_deadline)
        if isinstance(order, FindUser):
            # The recipe goes on with what was found, so it has to be right before it goes on.
            seen = self._desk.read_back(order, step.key, result)
            if not seen.ok:
                raise TryLater(seen.detail)
            return self._settled(step, order, result, seen)
        return self._done(step, order, result)

    def _resolve(self, step: Step, order: Order) -> Step:
        """An intent is open: the outcome is unknown, after a restart or a lost answer."""
        found = self._found_after_deadline(step, order)
        if found:
            return self._adopt(step, order, found[0])
        self._twin_check(step, order, ours=None)
        self._partition.audit("step not found", "it did not happen; performing it again", run=self._run.id, step=step.name)
        return self._create(replace(step, state=StepState.RETRY, tries=step.tries + 1), order)

    def _found_after_deadline(self, step: Step, order: Order) -> tuple[Result, ...]:
        """Look once the call can no longer start and has become visible, and a second time one lag later."""
        now, lag = self._clock.now(), self._desk.search_lag
        visible_at = (step.not_after or now) + lag
        if now < visible_at:
            self._wait(step, visible_at, "finding out whether it happened")
        found = self._desk.find(order, step.key)
        if found:
            return found
        if step.looked_at is None:
            step = self._save(step, looked_at=now)
            self._wait(step, now + lag, "not found; looking a second time")
        elif now < step.looked_at + lag:
            self._wait(step, step.looked_at + lag, "not found; looking a second time")
        return ()

    def _adopt(self, step: Step, order: Order, result: Result) -> Step:
        self._partition.audit("step adopted", "found before it was repeated", run=self._run.id, step=step.name, key=step.key)
        if hasattr(result, "how"):
            result = replace(result, how="adopted")  # type: ignore[arg-type]  # the results that say how are dataclasses
        return self._done(step, order, result)

    def _done(self, step: Step, order: Order, result: Result) -> Step:
        try:
            seen = self._desk.read_back(order, step.key, result)
        except (TryLater, Refused, OutcomeUnknown) as error:
            return self._settled(step, order, result, error)
        return self._settled(step, order, result, seen)

    def _settled(self, step: Step, order: Order, result: Result, seen: ReadBack | TryLater | Refused | OutcomeUnknown) -> Step:
        """Remember the result and what the read-back said, in one commit."""
        step = replace(step, state=StepState.DONE, result=codec.tag(result), due=None, looked_at=None, trouble="")
        if order.creates:
            self._twin_check(step, order, ours=_id_of(result))
        if self._run.mode == "live":
            self._partition.head = knowing(self._partition.head, order, result)
        self._remember_ticket(step, result)
        self._partition.audit("step done", run=self._run.id, step=step.name, key=step.key, result=codec.to_document(result))
        step = self._remember_verification(step, seen) if isinstance(seen, ReadBack) else self._not_read(step, seen)
        self._partition.commit()
        return step

    def _remember_ticket(self, step: Step, result: Result) -> None:
        """A ticket about a matter that outlives the run is known to every later run until one closes it."""
        if step.about and step.asks == OpenTicket.__name__ and isinstance(result, TicketRef) and self._run.mode == "live":
            head = self._partition.head
            self._partition.head = replace(head, tickets={**head.tickets, step.about: result.id})

    def _not_read(self, step: Step, error: TryLater | Refused | OutcomeUnknown) -> Step:
        """A desk that does not answer, or refuses the question, has not said that it is not so: ask for as long as any step is tried."""
        now = self._clock.now()
        if isinstance(error, BudgetSpent):
            pause = error.after or timedelta(0)
            first = step.first_tried_at + pause if step.first_tried_at else None
            return self._save(step, due=now + pause, first_tried_at=first, trouble=step.trouble or str(error))
        refused = isinstance(error, Refused)
        decision = (REFUSED if refused else BUSY).decide(
            now=now,
            first_tried_at=step.first_tried_at or now,
            tries=step.tries + 1,
            horizon=self._timing.horizon,
            randomness=self._randomness,
            asked=error.after if isinstance(error, TryLater) else None,
        )
        if decision.at is None:
            return self._remember_verification(
                replace(step, verify_tries=len(self._timing.verify_pauses)), ReadBack(ok=False, detail=str(error))
            )
        if refused and str(error) != step.trouble:
            self._partition.alert(f"done, and the desk refuses to show it: {error}", run=self._run.id, step=step.name)
        return self._save(step, due=decision.at, tries=step.tries + 1, first_tried_at=step.first_tried_at or now, trouble=str(error))

    def _remember_verification(self, step: Step, seen: ReadBack) -> Step:
        if seen.ok:
            self._partition.audit("step verified", seen.detail, run=self._run.id, step=step.name)
            return self._save(step, verified=True, due=None, trouble="")
        pauses = self._timing.verify_pauses
        if step.verify_tries < len(pauses):
            due = self._clock.now() + pauses[step.verify_tries]
            return self._save(step, verify_tries=step.verify_tries + 1, due=due, trouble=seen.detail)
        self._partition.audit("step unverified", seen.detail, run=self._run.id, step=step.name)
        cause = f"{self._run.workflow}: {step.asks} is answered with success, and what was asked for does not show"
        self._partition.alert(f"answered with success, but {seen.detail}", cause=cause, run=self._run.id, step=step.name)
        return self._save(step, verified=False, due=None, trouble=seen.detail)

    def _twin_check(self, step: Step, order: Order, *, ours: str | None) -> None:
        if self._run.mode != "live":
            return
        # Counted from the last moment at which a call of ours could have started.
        due = max(self._clock.now(), step.not_after or self._clock.now()) + self._timing.twin_check_after
        check = Check(key=step.key, due=due, run=self._run.id, step=step.name, order=codec.tag(order), ours=ours)
        self._partition.save_check(check)

    def _later(self, step: Step, trouble: str, policy: RetryPolicy, asked: timedelta | None = None, said: str = "") -> Step:
        """Certainly not done by this try; an intent of an earlier try stays an intent."""
        now = self._clock.now()
        first = step.first_tried_at or now
        latest = self._partition.steps.get(self._run.seq, {}).get(step.name, step)
        if step.due is not None and now - step.due > policy.wait_max:
            # It was due long ago and nobody tried: the run was paused, or all of us were down. That time does not count.
            first = now
        decision = policy.decide(
            now=now,
            first_tried_at=first,
            tries=latest.tries + 1,
            horizon=self._timing.horizon,
            randomness=self._randomness,
            asked=asked,
        )
        # The intent that this very try committed is settled: the call was not accepted. One that was found open is not.
        state = StepState.INTENT if step.state is StepState.INTENT else StepState.RETRY
        if decision.at is None and state is StepState.RETRY:
            self._partition.audit("step failed", trouble, run=self._run.id, step=step.name, tries=latest.tries + 1)
            # The alert comes with the end of the run, which this step now decides.
            return self._save(latest, state=StepState.FAILED, due=None, trouble=trouble, tries=latest.tries + 1)
        at = decision.at or now + policy.wait_max
        if decision.at is None and not latest.overdue:
            self._partition.alert(f"still unknown whether it happened: {trouble}", run=self._run.id, step=step.name)
            latest = replace(latest, overdue=True)
        if trouble != latest.trouble:
            words = {"said": said} if said else None
            self._partition.audit("step delayed", trouble, run=self._run.id, step=step.name, personal=words, tries=latest.tries + 1)
            if policy is REFUSED:
                self._partition.alert(trouble, run=self._run.id, step=step.name)
        self._save(latest, state=state, due=at, tries=latest.tries + 1, trouble=trouble, first_tried_at=first)
        raise Waiting(until=at, why=f"{step.name}: {trouble}")

    def _without_calls(self, step: Step, spent: BudgetSpent) -> Waiting:
        """Nobody is in trouble and nothing was sent: no try, no audit entry, and the time that passes does not count for the horizon."""
        pause = spent.after or timedelta(0)
        latest = self._partition.steps.get(self._run.seq, {}).get(step.name, step)
        # As in _later: the intent that this very try committed is settled, one that was found open is not.
        settled = latest.state is StepState.INTENT and step.state is not StepState.INTENT
        self._save(
            latest,
            state=StepState.RETRY if settled else latest.state,
            due=self._clock.now() + pause,
            first_tried_at=step.first_tried_at + pause if step.first_tried_at else None,
            # What the desk said stays on record: whether a step is refused must not depend on our budget.
            trouble=latest.trouble or str(spent),
        )
        return Waiting(until=self._clock.now() + pause, why=f"{step.name}: {spent}")

    def _unknown(self, step: Step, trouble: str) -> Step:
        step = self._partition.steps[self._run.seq].get(step.name, step) if self._run.seq in self._partition.steps else step
        if step.state is not StepState.INTENT:
            # A write to a target value: repeat it.
            return self._later(step, trouble, BUSY)
        until = (step.not_after or self._clock.now()) + self._desk.search_lag
        self._partition.audit("step unknown", trouble, run=self._run.id, step=step.name, key=step.key)
        self._save(step, due=until, trouble=trouble)
        raise Waiting(until=until, why=f"{step.name}: finding out whether it happened")

    # --- small things ---

    def _step(self, name: str, order: Order, about: str) -> Step:
        steps = self._partition.steps.get(self._run.seq, {})
        if name in steps:
            # What was not sent yet is asked for as the recipe asks for it now: the person may have been completed meanwhile.
            known = steps[name]
            return replace(known, order=codec.tag(order)) if known.state is StepState.RETRY else known
        matter = shared_by(self._partition.name, about) if about else self._run.id
        key = effect_key(deployment=self._deployment, run=matter, step=name)
        return Step(n=len(steps) + 1, name=name, asks=type(order).__name__, key=key, about=about, order=codec.tag(order))

    def _save(self, step: Step, **changes: object) -> Step:
        return self._partition.save_step(self._run, replace(step, **changes))  # type: ignore[arg-type]  # fields of Step

    def _wait(self, step: Step, until: datetime, why: str) -> None:
        self._save(step, due=until)
        raise Waiting(until=until, why=f"{step.name}: {why}")

    def may_act(self) -> None:
        """Go on, unless somebody paused this workflow or this message has had its share of work. Raises Waiting."""
        # Read anew before every effect: whoever presses pause means now.
        reason = self._pauses().reason_for(self._run.workflow)
        now = self._clock.now()
        if reason is not None and self._run.mode == "live":
            raise Waiting(until=now + self._timing.pause_recheck, why=f"paused: {reason}")
        if self._clock.monotonic() >= self._stop_at:
            raise Waiting(until=now, why="enough work for one message; going on with the next")


def _id_of(result: Result) -> str | None:
    identity = getattr(result, "id", None)
    return str(identity) if identity is not None else None
