"""The breaker: a bad source must not offboard everybody. A leaver takes a slot before its run is committed; the excess is held.

All workers share one row, replaced under its etag, so two of them can never take the last slot both. A slot belongs to a run id, and a
run id to a fact: deciding the same fact again, after a crash or a lost race, takes no second one. A slot is free again a day later.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from joinery.domain.moments import from_text, to_text
from joinery.domain.policy import BreakerPolicy
from joinery.engine.ports import Clock, Document, StateStore
from joinery.errors import LostRace

#: The shared rows, the index of active people and the one of people whose change is held.
SLOTS, SIZE, ACTIVE, HELD = "breaker", "active-people", "active", "held"

#: The cause of a look at somebody about whose held change a person decided.
DECIDED = "operator"

_HOUR, _DAY = timedelta(hours=1), timedelta(hours=24)
#: How often the active people are counted.
_COUNTED_EVERY = timedelta(hours=1)
#: Others may take slots at the same moment; each of them makes progress.
_RACES = 50


class HeldDecision(StrEnum):
    """What a person decided about a held change."""

    RELEASE = "release"
    DISCARD = "discard"


@dataclass(frozen=True, kw_only=True, slots=True)
class Breaker:
    """Counts who leaves, over an hour and over a day, for all workers together."""

    store: StateStore
    clock: Clock
    policy: BreakerPolicy

    def take(self, workflow: str, run_id: str, *, beyond: bool = False) -> str:
        """Take a slot for a run; returns ``""``, or why there is none. ``beyond`` takes one however many are taken: it counts all the same.

        Raises LostRace where others took slots all the time, or StoreUnavailable.
        """
        slot = hashlib.sha256(run_id.encode()).hexdigest()[:12]
        for _ in range(_RACES):
            etag, document = self.store.read_shared(SLOTS)
            now = self.clock.now()
            rows: dict[str, dict[str, str]] = (document or {}).get("slots", {})
            taken = {one: at for one, at in rows.get(workflow, {}).items() if now - from_text(at) < _DAY}
            if slot in taken:
                return ""
            if not beyond and (full := self._full(workflow, [from_text(at) for at in taken.values()], now)):
                return full
            try:
                slots = {**rows, workflow: {**taken, slot: to_text(now)}}
                self.store.replace_shared(SLOTS, {"slots": slots}, expected=etag)
            except LostRace:
                continue
            return ""
        raise LostRace("the breaker's row: others took slots all the time")

    def _full(self, workflow: str, taken: list[datetime], now: datetime) -> str:
        active = int((self.store.read_shared(SIZE)[1] or {}).get("count", 0))
        limits = (
            (_HOUR, "hour", max(self.policy.hourly_min, int(self.policy.hourly_share * active))),
            (_DAY, "day", max(self.policy.daily_min, int(self.policy.daily_share * active))),
        )
        for span, word, limit in limits:
            count = sum(now - at < span for at in taken)
            if count >= limit:
                return f"{count} {workflow} runs began within the last {word}, and {limit} may, of {active} active people"
        return ""

    def count_active(self) -> None:
        """Count the active people anew where the last count is old. Raises StoreUnavailable."""
        etag, document = self.store.read_shared(SIZE)
        now = self.clock.now()
        if document is not None and now - from_text(document["at"]) < _COUNTED_EVERY:
            return
        count, after = 0, ""
        while rows := self.store.list_index(ACTIVE, after=after):
            count += len(rows)
            after = rows[-1].name
        try:
            self.store.replace_shared(SIZE, {"count": count, "at": to_text(now)}, expected=etag)
        except LostRace:
            # Another worker counted in the same moment.
            return


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldChange:
    """A change of a person that waits for somebody's decision."""

    partition: str
    workflow: str
    at: datetime
    why: str
    decision: HeldDecision | None = None


class HeldBook:
    """The index of what is held: written before the commit that holds it, removed after the one that ends it."""

    def __init__(self, store: StateStore) -> None:
        self._store = store

    def put(self, change: HeldChange) -> None:
        """Insert or replace. Raises StoreUnavailable."""
        data: Document = {"workflow": change.workflow, "at": to_text(change.at), "why": change.why, "decision": str(change.decision or "")}
        self._store.put_index(HELD, change.partition, data)

    def get(self, partition: str) -> HeldChange | None:
        """What is held of one person."""
        return next((change for change in self.listed(prefix=partition) if change.partition == partition), None)

    def drop(self, partition: str) -> None:
        """It is decided, or no longer so."""
        self._store.delete_index(HELD, partition)

    def listed(self, *, prefix: str = "") -> tuple[HeldChange, ...]:
        """Everything that is held, by partition."""
        found: list[HeldChange] = []
        after = ""
        while rows := self._store.list_index(HELD, prefix=prefix, after=after):
            found += [
                HeldChange(
                    partition=row.name,
                    workflow=row.data["workflow"],
                    at=from_text(row.data["at"]),
                    why=row.data["why"],
                    decision=HeldDecision(row.data["decision"]) if row.data["decision"] else None,
                )
                for row in rows
            ]
            after = rows[-1].name
        return tuple(found)
