"""Ending a membership of a group in the directory: a target state, so trying again is harmless, and a look shows whether it is so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from joinery.domain.groups import GroupTraits
from joinery.domain.person import Person
from joinery.domain.roles import Removal
from joinery.engine.groups import GroupBook
from joinery.engine.journal import Run, Step, StepState
from joinery.engine.partition import Partition
from joinery.engine.ports import Clock, Directory
from joinery.errors import OutcomeUnknown, Refused, TryLater, Waiting

#: What a step asks for that ends a membership.
MEMBERSHIP = "membership"

#: Pause between two looks: replicas of the directory lag.
_AGAIN = timedelta(minutes=1)
#: Looks that still show them as a member before it counts as one through another group.
_LOOKS = 3
#: After so long without an answer it is left to people.
_HORIZON = timedelta(hours=48)


@dataclass(frozen=True, kw_only=True, slots=True)
class MembershipEnder:
    """One for all runs."""

    directory: Directory
    groups: GroupBook
    clock: Clock

    def settle(self, partition: Partition, run: Run, step: Step, group: str, *, remove: bool) -> Step:
        """Bring the step to ``DONE``; its result is a ``Removal``. Only with ``remove``, and in a live run, anything is touched. Raises Waiting."""
        now = self.clock.now()
        if step.due is not None and now < step.due:
            raise Waiting(until=step.due, why=f"{step.name}: {step.trouble}")
        step = replace(step, first_tried_at=step.first_tried_at or now)
        try:
            outcome = self._outcome(run, step, group, remove=remove and run.mode == "live")
        except Refused as error:
            partition.audit("membership stays", str(error), run=run.id, step=step.name, group=group)
            outcome = Removal.REFUSED
        except (TryLater, OutcomeUnknown) as error:
            if now - (step.first_tried_at or now) < _HORIZON:
                raise self._later(partition, run, step, str(error), getattr(error, "after", None)) from None
            outcome = Removal.REFUSED
        if outcome is None:
            raise self._later(partition, run, replace(step, tries=step.tries + 1), "the directory still shows the membership")
        if outcome is Removal.REMOVED:
            partition.audit("membership ended", run=run.id, step=step.name, group=group, person=run.person.id)
        return partition.save_step(run, replace(step, state=StepState.DONE, result=str(outcome), verified=True, due=None, trouble=""))

    def _outcome(self, run: Run, step: Step, group: str, *, remove: bool) -> Removal | None:
        """What came of it; None while the directory still shows them as a member."""
        group_id = self.groups.ids().get(group)
        if group_id is None:
            return Removal.GONE
        if step.tries == 0:
            barrier = _barrier(self.directory.group_traits(group_id))
            if barrier is not None or not remove:
                return barrier or Removal.EDITABLE
        self.directory.remove_member(group_id, run.person.id)
        seen = self.directory.look(run.person.id, [group_id])
        if not isinstance(seen, Person) or group_id not in {one.lower() for one in seen.groups}:
            return Removal.REMOVED
        return None if step.tries + 1 < _LOOKS else Removal.NESTED

    def _later(self, partition: Partition, run: Run, step: Step, trouble: str, after: timedelta | None = None) -> Waiting:
        until: datetime = self.clock.now() + max(after or _AGAIN, _AGAIN)
        partition.save_step(run, replace(step, due=until, trouble=trouble))
        return Waiting(until=until, why=f"{step.name}: {trouble}")


def _barrier(traits: GroupTraits) -> Removal | None:
    """Why members of this group are not ours to edit; None where they are."""
    reasons = (
        (not traits.there, Removal.GONE),
        (traits.dynamic, Removal.DYNAMIC),
        (traits.synced, Removal.SYNCED),
        (traits.role_assignable, Removal.ROLE_ASSIGNABLE),
        (traits.mail_enabled, Removal.MAIL_ENABLED),
    )
    return next((removal for holds, removal in reasons if holds), None)
