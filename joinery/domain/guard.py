"""Whether we may act: which ring the workflow is in, and whether somebody pressed pause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from joinery.domain.policy import Policy, Ring


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


def guard(workflow: str | None, policy: Policy) -> GuardDecision:
    """Decide about a fact whose recipe is ``workflow`` (None: there is no recipe yet)."""
    if workflow is None:
        return GuardDecision(verdict=Verdict.RECORD, why="no recipe")
    match policy.ring_of(workflow):
        case Ring.EVERYONE:
            return GuardDecision(verdict=Verdict.ACT, why=f"{workflow} is in the ring everyone")
        case Ring.SHADOW:
            return GuardDecision(verdict=Verdict.SHADOW, why=f"{workflow} is in the ring shadow")
        case Ring.OFF:
            return GuardDecision(verdict=Verdict.RECORD, why=f"{workflow} is off")
