"""What happens when a fact meets an open run: one table, as data."""

from __future__ import annotations

from enum import StrEnum

from joinery.domain.events import Fact, Left


class Overlap(StrEnum):
    """What becomes of the open run."""

    #: The open run resolves its open intents and ends; the new one waits for that.
    SUPERSEDE = "supersede"
    #: Both go on, the older first.
    QUEUE = "queue"


#: (new fact, workflow of the open run) -> what becomes of the open run. What is not listed queues.
FACT_MEETS_RUN: dict[tuple[type[Fact], str], Overlap] = {
    (Left, "joiner"): Overlap.SUPERSEDE,
}


def overlap(fact: Fact, workflow: str) -> Overlap:
    """Look the pair up."""
    return FACT_MEETS_RUN.get((type(fact), workflow), Overlap.QUEUE)
