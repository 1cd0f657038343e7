"""What is looked at once more, some time after it was done: a call that lands later than every deadline cannot be prevented, only found.

The twin check, after each create: does exactly one object carry its key? The lowest id is ours; the others get a note and one alert.
Nothing is ever deleted. The late read, after a leaver that overtook something: is what it took away still taken away? If not, it is
taken away again. And after a write of roles that was cut off: has the agent what is wanted by then? A user of somebody who has left is
deactivated wherever a late call brings one up.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from joinery.domain.changes import Stage
from joinery.domain.guard import Pauses
from joinery.domain.tickets import (
    AddNote,
    DeactivateUser,
    EnsureAgent,
    EnsureUser,
    OpenTicket,
    Order,
    Result,
    RolesRef,
    SetRoles,
    TicketRef,
)
from joinery.engine import codec
from joinery.engine.journal import Check, StepState, effect_key
from joinery.engine.partition import Partition
from joinery.engine.policy_book import PolicyBook
from joinery.engine.ports import Clock, Randomness, ServiceDesk
from joinery.engine.retry import BUSY, REFUSED, EngineTiming
from joinery.engine.role_book import asking_for, wanted_now
from joinery.errors import BudgetSpent, OutcomeUnknown, Refused, StoreUnavailable, TryLater


class LateChecks:
    """Carries out the due checks of a partition."""

    def __init__(
        self,
        desk: ServiceDesk,
        *,
        policies: PolicyBook,
        clock: Clock,
        randomness: Randomness,
        timing: EngineTiming,
        deployment: str,
        leave_workflow: str | None,
    ) -> None:
        self._desk = desk
        self._policies = policies
        self._clock = clock
        self._randomness = randomness
        self._timing = timing
        self._deployment = deployment
        #: The workflow that answers ``Left``; None where nobody is taken anything away.
        self._leave_workflow = leave_workflow

    def carry_out(self, partition: Partition, pauses: Pauses) -> None:
        """Settle every check that is due, a commit each; one whose workflow is paused waits. Raises LostRace or StoreUnavailable."""
        now = self._clock.now()
        due = sorted((check for check in partition.checks.values() if check.due <= now), key=lambda check: check.due)
        for number, check in enumerate(due):
            if pauses.reason_for(check.run.partition("-")[0]) is not None:
                # A moment that has passed would hide the later ones from whoever wakes this partition.
                partition.save_check(replace(check, due=now + self._timing.pause_recheck))
                partition.commit()
                continue
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
        try:
            if order.creates:
                self._look_for_twins(partition, check, order)
            elif isinstance(order, SetRoles):
                self._read_roles_again(partition, check, order)
            else:
                self._read_again(partition, check, order)
        except (StoreUnavailable, BudgetSpent):
            raise
        except (TryLater, Refused, OutcomeUnknown) as error:
            self._again(partition, partition.checks.get(check.key, check), error)

    def _look_for_twins(self, partition: Partition, check: Check, order: Order) -> None:
        if check.ours is None and _still_open(partition, check):
            # The run may yet adopt what we would call a stray.
            partition.save_check(replace(check, due=self._clock.now() + self._timing.twin_check_after))
            return
        if (visible_at := self._notes_visible_at(check)) is not None and self._clock.now() < visible_at:
            # A note of an earlier try may be on its way, and would be written twice.
            partition.save_check(replace(check, due=visible_at))
            return
        found = self._desk.find(order, check.key, ours=check.ours)
        ids = [str(getattr(result, "id", "")) for result in found]
        unmarked: list[str] = []
        if isinstance(order, EnsureUser) and self._is_gone(partition):
            # Whichever of them it is: nobody who has left is to be active.
            others = list(zip(ids, found, strict=True))
            for identity in ids:
                self._desk.perform(DeactivateUser(user_id=identity), check.key, within=self._timing.call_deadline)
        else:
            # An object of a run that was overtaken before it could land is nobody's: the leaver's picture has changed meanwhile.
            # And where a ticket that somebody else opened was adopted, every one with our key is a stray.
            adopted = isinstance(order, OpenTicket) and check.ours not in ids
            ours = check.ours if check.ours is None or adopted else (ids or [check.ours])[0]
            others = [(identity, result) for identity, result in zip(ids, found, strict=True) if identity != ours]
            if others:
                check = replace(check, notes_until=self._clock.now() + self._timing.call_deadline)
                partition.save_check(check)
                partition.commit()
            for identity, result in others:
                if isinstance(result, TicketRef) and not self._mark(check, identity, ours=ours):
                    unmarked.append(identity)
            check = replace(check, ours=ours)
        if others:
            strays = [identity for identity, _ in others]
            partition.audit("twin found", run=check.run, step=check.step, key=check.key, ours=check.ours, others=strays)
            refused = f"; the desk refused the note on {', '.join(unmarked)}" if unmarked else ""
            why = f"{len(strays)} more with the same key: {', '.join(strays)}{refused}"
            partition.alert(why, run=check.run, step=check.step)
        else:
            partition.audit("twin check", f"no twin: {len(found)} found", run=check.run, step=check.step, key=check.key)
        partition.drop_check(check)

    def _read_again(self, partition: Partition, check: Check, order: Order) -> None:
        """Is what a leaver took away still taken away? A write of the run that it overtook may have landed after it."""
        if not self._is_gone(partition):
            partition.audit("late read", "the person is back; nothing is taken away any more", run=check.run, step=check.step)
            partition.drop_check(check)
            return
        self._do_again(partition, check, order)

    def _read_roles_again(self, partition: Partition, check: Check, order: SetRoles) -> None:
        """Has the agent what is wanted by now? A write that was cut off may have landed after every later one."""
        head = partition.head
        agent, identity = head.desk_agent_id, head.identity
        if agent is None or head.episode.stage is not Stage.ACTIVE or (identity is not None and not identity.may_be_acted_upon):
            # There is no agent that we made or found; or whoever has left is the leaver's business.
            partition.drop_check(check)
        elif _sets_roles(partition):
            partition.save_check(replace(check, due=self._clock.now() + self._timing.twin_check_after))
        else:
            policy = self._policies.now()
            order = replace(order, person=head.known.seen or order.person, agent_id=agent, known_id=agent)
            check = replace(check, result=check.result or codec.tag(RolesRef(id=agent)))
            self._do_again(partition, check, asking_for(order, wanted_now(head, policy), policy))

    def _do_again(self, partition: Partition, check: Check, order: Order) -> None:
        result: Result = codec.untag(check.result or {})
        seen = self._desk.read_back(order, check.key, result)
        if seen.ok:
            partition.audit("late read", "still so" if not check.undone else "so again", run=check.run, step=check.step)
            partition.drop_check(check)
            return
        if not check.undone:
            check = replace(check, undone=True)
            partition.save_check(check)
            partition.alert(f"a late call undid it, it is done again: {seen.detail}", run=check.run, step=check.step)
            # Whatever becomes of the next call, this is told once.
            partition.commit()
        again = self._desk.perform(order, check.key, within=self._timing.call_deadline)
        partition.save_check(replace(check, result=codec.tag(again), due=self._clock.now() + self._timing.verify_pauses[0]))

    def _is_gone(self, partition: Partition) -> bool:
        """Whether the person has left, a live run said so, and nothing about them is under way."""
        head = partition.head
        left = head.episode.stage is Stage.LEFT and f"{head.episode.number}.{self._leave_workflow}.live" in head.ordinals
        allowed = head.identity is None or head.identity.may_be_acted_upon
        return left and allowed and not any(run.mode == "live" for run in partition.runs.values())

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
            partition.alert(f"nobody could look for twins: {error}", run=check.run, step=check.step)
            partition.drop_check(check)
            return
        due = max(decision.at, self._notes_visible_at(check) or decision.at)
        partition.save_check(replace(check, due=due, tries=check.tries + 1, first_tried_at=first))

    def _notes_visible_at(self, check: Check) -> datetime | None:
        """When every note that a try may have sent can be found."""
        return check.notes_until + 2 * self._desk.search_lag if check.notes_until is not None else None


def _still_open(partition: Partition, check: Check) -> bool:
    """Whether the run that the check belongs to has not settled its step yet."""
    for run in partition.runs.values():
        if run.id == check.run:
            step = partition.steps.get(run.seq, {}).get(check.step)
            return step is not None and step.state in (StepState.RETRY, StepState.INTENT)
    return False


def _sets_roles(partition: Partition) -> bool:
    """Whether a run is about to set the agent's roles: what is wanted may not be there yet."""
    steps = [step for run in partition.runs.values() if run.mode == "live" for step in partition.steps.get(run.seq, {}).values()]
    names = (SetRoles.__name__, EnsureAgent.__name__)
    return any(step.asks in names and step.state in (StepState.RETRY, StepState.INTENT) for step in steps)
