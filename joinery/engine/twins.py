"""The twin check: some time after each create, does exactly one object carry its key?

A call that lands later than every deadline cannot be prevented, only found. The lowest id is ours; the others get a note
and one alert. Nothing is ever deleted.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from joinery.domain.tickets import AddNote, OpenTicket, Order, TicketRef
from joinery.engine import codec
from joinery.engine.journal import Check, StepState, effect_key
from joinery.engine.partition import Partition
from joinery.engine.ports import Clock, Randomness, ServiceDesk
from joinery.engine.retry import BUSY, REFUSED, EngineTiming
from joinery.errors import BudgetSpent, OutcomeUnknown, Refused, TryLater


class TwinChecks:
    """Carries out the due checks of a partition."""

    def __init__(self, desk: ServiceDesk, *, clock: Clock, randomness: Randomness, timing: EngineTiming, deployment: str) -> None:
        self._desk = desk
        self._clock = clock
        self._randomness = randomness
        self._timing = timing
        self._deployment = deployment

    def carry_out(self, partition: Partition) -> None:
        """Settle every check that is due, a commit each. Raises LostRace or StoreUnavailable."""
        now = self._clock.now()
        due = sorted((check for check in partition.checks.values() if check.due <= now), key=lambda check: check.due)
        for number, check in enumerate(due):
            try:
                self._settle(partition, check)
            except BudgetSpent as spent:
                # No trouble, and no try: all of them come back together when there are calls again.
                for waiting in due[number:]:
                    partition.save_check(replace(waiting, due=now + (spent.after or timedelta(0))))
                partition.commit()
                return
            partition.commit()

    def _settle(self, partition: Partition, check: Check) -> None:
        order: Order = codec.untag(check.order)
        if check.ours is None and _still_open(partition, check):
            # The run may yet adopt what we would call a stray.
            partition.save_check(replace(check, due=self._clock.now() + self._timing.twin_check_after))
            return
        unmarked: list[str] = []
        try:
            found = self._desk.find(order, check.key)
            ids = [str(getattr(result, "id", "")) for result in found]
            # An object of a run that was overtaken before it could land is nobody's: the leaver's picture has changed meanwhile.
            # And where a ticket that somebody else opened was adopted, every one with our key is a stray.
            adopted = isinstance(order, OpenTicket) and check.ours not in ids
            ours = check.ours if check.ours is None or adopted else (ids or [check.ours])[0]
            others = [(identity, result) for identity, result in zip(ids, found, strict=True) if identity != ours]
            for identity, result in others:
                if isinstance(result, TicketRef) and not self._mark(check, identity, ours=ours):
                    unmarked.append(identity)
        except BudgetSpent:
            raise
        except (TryLater, Refused, OutcomeUnknown) as error:
            self._again(partition, check, error)
            return
        if others:
            strays = [identity for identity, _ in others]
            partition.audit("twin found", run=check.run, step=check.step, key=check.key, ours=ours, others=strays)
            refused = f"; the desk refused the note on {', '.join(unmarked)}" if unmarked else ""
            why = f"{len(strays)} more with the same key: {', '.join(strays)}{refused}"
            partition.audit("alert", why, run=check.run, step=check.step)
        else:
            partition.audit("twin check", f"no twin: {len(found)} found", run=check.run, step=check.step, key=check.key)
        partition.drop_check(check)

    def _mark(self, check: Check, ticket: str, *, ours: str | None) -> bool:
        """Say it on the stray ticket, once: the note has a key of its own and is looked for first. False if the desk refuses."""
        if ours is None:
            text = "This ticket was created after Joinery had given up on it, because a later change overtook the run. Please close it."
        else:
            text = f"This ticket is a twin of ticket {ours}: the desk accepted one request twice. Work goes on in ticket {ours}; please close this one."
        note = AddNote(ticket_id=ticket, text=text)
        key = effect_key(deployment=self._deployment, run=check.key, step=f"twin {ticket}")
        if self._desk.find(note, key):
            return True
        try:
            self._desk.perform(note, key, within=self._timing.call_deadline)
        except Refused:
            # A closed ticket may take no notes; the alert says it all the same.
            return False
        return True

    def _again(self, partition: Partition, check: Check, error: Exception) -> None:
        asked: timedelta | None = error.after if isinstance(error, TryLater) else None
        first = check.first_tried_at or self._clock.now()
        decision = (REFUSED if isinstance(error, Refused) else BUSY).decide(
            now=self._clock.now(),
            first_tried_at=first,
            tries=check.tries + 1,
            horizon=self._timing.horizon,
            randomness=self._randomness,
            asked=asked,
        )
        if decision.at is None:
            partition.audit("alert", f"nobody could look for twins: {error}", run=check.run, step=check.step)
            partition.drop_check(check)
            return
        partition.save_check(replace(check, due=decision.at, tries=check.tries + 1, first_tried_at=first))


def _still_open(partition: Partition, check: Check) -> bool:
    """Whether the run that the check belongs to has not settled its step yet."""
    for run in partition.runs.values():
        if run.id == check.run:
            step = partition.steps.get(run.seq, {}).get(check.step)
            return step is not None and step.state in (StepState.RETRY, StepState.INTENT)
    return False
