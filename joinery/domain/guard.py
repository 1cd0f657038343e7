"""Whether we may act: which ring the workflow is in, and whether somebody pressed pause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from joinery.domain.person import Person
from joinery.domain.policy import Policy, Ring, WorkflowPolicy


class Verdict(StrEnum):
    """What may come of a fact."""

    #: A run starts and acts.
    ACT = "act"
    #: A run is planned and recorded; nothing outside is touched.
    SHADOW = "shadow"
    #: Too many at once: it waits for a person's decision, and the baseline with it.
    HOLD = "hold"
    #: The fact is recorded; nothing starts.
    RECORD = "record"
    #: The same, because somebody said so: that is a decision, and the fact is not read again.
    DROP = "drop"


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardDecision:
    """The verdict and the sentence for the audit."""

    verdict: Verdict
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Pauses:
    """What is paused, with the reason somebody gave. The key ``*`` pauses every workflow."""

    reasons: Mapping[str, str] = field(default_factory=dict)

    def reason_for(self, workflow: str) -> str | None:
        """Why effects of this workflow are paused; None if they are not."""
        return self.reasons.get("*", self.reasons.get(workflow))


def guard(workflow: str | None, policy: Policy, *people: Person) -> GuardDecision:
    """Decide about a fact whose recipe is ``workflow`` (None: there is no recipe yet).

    ``people``: the person now, and as the last decision had left them; whoever is or was inside a ring is treated as one of it, so that
    leaving the group or the department is no way around it.
    """
    if workflow is None:
        return GuardDecision(verdict=Verdict.RECORD, why="no recipe")
    match ring := policy.ring_of(workflow):
        case Ring.EVERYONE:
            return GuardDecision(verdict=Verdict.ACT, why=f"{workflow} is in the ring everyone")
        case Ring.SHADOW:
            return GuardDecision(verdict=Verdict.SHADOW, why=f"{workflow} is in the ring shadow")
        case Ring.OFF:
            return GuardDecision(verdict=Verdict.RECORD, why=f"{workflow} is off")
        case Ring.PILOT | Ring.DEPARTMENTS:
            inside = _is_inside(policy.workflows[workflow], people)
            return GuardDecision(
                verdict=Verdict.ACT if inside else Verdict.SHADOW,
                why=f"{workflow} is in the ring {ring}, and the person is {'inside' if inside else 'outside'}",
            )


def _is_inside(workflow: WorkflowPolicy, people: tuple[Person, ...]) -> bool:
    if workflow.ring is Ring.PILOT:
        return any(workflow.pilot_group in person.groups for person in people)
    departments = {name.strip().casefold() for name in workflow.departments}
    return any(person.department.strip().casefold() in departments for person in people)
