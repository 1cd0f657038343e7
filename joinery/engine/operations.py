"""What people did to Joinery itself: an audit chain of its own, in the partition ``<tenant>|operator``."""

from __future__ import annotations

from typing import Any

from joinery.engine.partition import Partition
from joinery.engine.ports import Clock, Randomness, StateStore
from joinery.errors import LostRace

#: The action that says that personal data were erased; its detail has ``partition``, ``person`` (id) and ``up_to`` (seq).
ERASED = "erased"


def operator_partition(tenant: str) -> str:
    """The partition of the operators' audit."""
    return f"{tenant}|operator"


class OperatorLog:
    """Writes the operators' audit."""

    def __init__(self, tenant: str, *, store: StateStore, clock: Clock, randomness: Randomness) -> None:
        self._tenant = tenant
        self._store = store
        self._clock = clock
        self._randomness = randomness

    def record(self, action: str, why: str, *, by: str, **detail: Any) -> None:
        """Add an entry; ``by`` is a person's name and can be erased, ``detail`` holds ids and counts alone. Raises StoreUnavailable."""
        while True:
            partition = Partition(
                operator_partition(self._tenant), store=self._store, queue=None, clock=self._clock, randomness=self._randomness
            )
            partition.audit(action, why, personal={"by": by} if by else None, **detail)
            try:
                partition.commit()
            except LostRace:
                # Somebody else did something in the same moment: theirs comes first.
                continue
            return
