"""The breaker: a bad source must not offboard or turn over everybody. A leaver takes a slot before its run is committed; the excess is held.

All workers share one row, replaced under its etag, so two of them can never take the last slot both. A slot belongs to a run id, and a
run id to a fact: deciding the same fact again, after a crash or a lost race, takes no second one. A slot is free again a day later.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from joinery.domain.events import Fact, Left, LeftHow, RolesChanged
from joinery.domain.moments import from_text, to_text
from joinery.domain.policy import BreakerPolicy
from joinery.engine.ports import Clock, Document, Row, StateStore
from joinery.engine.rows import index_row, index_rows
from joinery.errors import LostRace

#: The shared rows, the index of active people and the one of people whose change is held.
SLOTS, SIZE, ACTIVE, HELD = "breaker", "active-people", "active", "held"

#: The cause of a look at somebody about whose held change a person decided.
DECIDED = "operator"

_HOUR, _DAY = timedelta(hours=1), timedelta(hours=24)
#: How often the active people are counted, and how old a count may be that refuses somebody. A small company is counted for each refusal.
_COUNTED_EVERY, _REFUSES_FOR, _SMALL = timedelta(hours=1), timedelta(minutes=1), 1000
#: The evidence of whoever is not in the directory any more.
GONE = "gone"
#: What a wave looks like: the same words for everybody it strikes, so that it is one alert.
_EMPTY = "the source went empty: a large share of the active people is gone from the directory or out of its scope"
_CHANGED = "everybody changed at once: a large share of the active people is struck by one kind of change"
#: Others may take slots at the same moment; each of them makes progress.
_RACES = 50


class HeldDecision(StrEnum):
    """What a person decided about a held change."""

    RELEASE = "release"
    DISCARD = "discard"


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why there is no slot. ``named`` says what it looks like, in words that are the same for everybody it hits; empty for an ordinary day."""

    why: str
    named: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """A run that wants to begin."""

    workflow: str
    run_id: str
    #: Of the person it is about.
    department: str = ""
    #: The evidence, as ``evidence`` names it.
    how: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Breaker:
    """Counts what begins, over an hour and over a day, for all workers together.

    The workflows that policy names take slots, which are limited: in all, and in each department. Of every workflow it is counted how many
    people it strikes within an hour, for a wave is no ordinary day.
    """

    store: StateStore
    clock: Clock
    policy: BreakerPolicy
    #: False for a copy, which has the last count and no index of active people to count again.
    counts: bool = True

    def take(self, ask: Ask, *, beyond: bool = False) -> Refusal | None:
        """Take a slot for a run; None where it may begin. ``beyond`` takes one however many are taken: it counts all the same.

        Raises LostRace where others took slots all the time, or StoreUnavailable.
        """
        slot = hashlib.sha256(ask.run_id.encode()).hexdigest()[:12]
        mark = department_mark(ask.department)
        for _ in range(_RACES):
            etag, document = self.store.read_shared(SLOTS)
            size = self.store.read_shared(SIZE)[1] or {}
            now = self.clock.now()
            stored = document or {}
            slots: dict[str, dict[str, str]] = stored.get("slots", {})
            taken = {one: value for one, value in slots.get(ask.workflow, {}).items() if now - _at(value) < _DAY}
            if slot in taken:
                return None
            struck = _within_the_hour(stored.get("struck", {}).get(ask.workflow, {}), now)
            minute = f"{now:%Y-%m-%dT%H:%M}"
            struck = {**struck, minute: {**struck.get(minute, {}), ask.how: struck.get(minute, {}).get(ask.how, 0) + 1}}
            refusal = None if beyond else self._refusal(ask, mark, taken, struck, size, now)
            if refusal is not None and self._is_stale(size, now):
                # A company that is still being taken in grows faster than it is counted.
                self.count_active(anew=True)
                refusal = self._refusal(ask, mark, taken, struck, self.store.read_shared(SIZE)[1] or {}, now)
            if refusal is None and ask.workflow in self.policy.workflows:
                taken = {**taken, slot: f"{to_text(now)}|{mark}"}
            fresh = {
                "slots": {**slots, ask.workflow: taken},
                "struck": {**stored.get("struck", {}), ask.workflow: struck},
            }
            try:
                self.store.replace_shared(SLOTS, fresh, expected=etag)
            except LostRace:
                continue
            return refusal
        raise LostRace("the breaker's row: others took slots all the time")

    def _refusal(
        self, ask: Ask, mark: str, taken: dict[str, str], struck: dict[str, dict[str, int]], size: Document, now: datetime
    ) -> Refusal | None:
        active = int(size.get("count", 0))
        if ask.workflow in self.policy.workflows:
            full = self._full(ask.workflow, mark, taken, size, now)
            return Refusal(why=full, named=self._named(struck, active)) if full else None
        count, limit = _sum(struck), max(self.policy.wave_min, int(self.policy.wave_share * active))
        if count <= limit:
            return None
        why = f"{count} {ask.workflow} runs were asked for within the last hour, and {limit} may, of {active} active people"
        return Refusal(why=why, named=self._named(struck, active) or _CHANGED)

    def _full(self, workflow: str, mark: str, taken: dict[str, str], size: Document, now: datetime) -> str:
        policy, active = self.policy, int(size.get("count", 0))
        there = int(size.get("departments", {}).get(mark, 0))
        own = [value for value in taken.values() if value.partition("|")[2] == mark] if mark else []
        limits = (
            (taken.values(), _HOUR, "hour", max(policy.hourly_min, int(policy.hourly_share * active)), f"{active} active people"),
            (taken.values(), _DAY, "day", max(policy.daily_min, int(policy.daily_share * active)), f"{active} active people"),
            (own, _HOUR, "hour", max(policy.hourly_min, int(policy.department_share * there)), f"{there} in the department"),
        )
        for values, span, word, limit, of in limits:
            count = sum(now - _at(value) < span for value in values)
            if count >= limit:
                return f"{count} {workflow} runs began within the last {word}, and {limit} may, of {of}"
        return ""

    def _named(self, struck: dict[str, dict[str, int]], active: int) -> str:
        """What it looks like, where so many are struck within an hour that it is no ordinary day."""
        count = _sum(struck)
        if not active or count < max(self.policy.hourly_min + 1, self.policy.wave_share * active):
            return ""
        gone = sum(minute.get(GONE, 0) for minute in struck.values())
        return _EMPTY if gone * 2 > count else _CHANGED

    def _is_stale(self, size: Document, now: datetime) -> bool:
        if not self.counts:
            return False
        return int(size.get("count", 0)) < _SMALL or now - from_text(size["at"]) >= _REFUSES_FOR

    def count_active(self, *, anew: bool = False) -> None:
        """Count the active people where the last count is old, or ``anew``. Raises StoreUnavailable."""
        etag, document = self.store.read_shared(SIZE)
        now = self.clock.now()
        if not anew and document is not None and now - from_text(document["at"]) < _COUNTED_EVERY:
            return
        departments = Counter(row.data.get("department", "") for row in index_rows(self.store, ACTIVE))
        count = departments.total()
        fresh: Document = {"count": count, "at": to_text(now), "departments": {mark: n for mark, n in departments.items() if mark}}
        try:
            self.store.replace_shared(SIZE, fresh, expected=etag)
        except LostRace:
            # Another worker counted in the same moment.
            return


def department_mark(department: str) -> str:
    """Stands for a department where names have no place; empty for none."""
    plain = department.strip().casefold()
    return hashlib.sha256(plain.encode()).hexdigest()[:8] if plain else ""


def evidence(fact: Fact) -> str:
    """What kind of change it is, for the count of what strikes many at once."""
    match fact:
        case Left(how=LeftHow.DISABLED):
            return "disabled"
        case Left():
            return GONE
        case RolesChanged(lost=lost) if lost:
            return "lost"
    return fact.kind


def _at(value: str) -> datetime:
    return from_text(value.partition("|")[0])


def _within_the_hour(struck: dict[str, dict[str, int]], now: datetime) -> dict[str, dict[str, int]]:
    oldest = f"{now - _HOUR:%Y-%m-%dT%H:%M}"
    return {minute: counts for minute, counts in struck.items() if minute > oldest}


def _sum(struck: dict[str, dict[str, int]]) -> int:
    return sum(sum(minute.values()) for minute in struck.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldChange:
    """A change of a person that waits for somebody's decision."""

    partition: str
    #: The workflows that would begin, with a comma between them.
    workflow: str
    at: datetime
    why: str
    decision: HeldDecision | None = None

    @property
    def workflows(self) -> tuple[str, ...]:
        """The workflows that would begin."""
        return tuple(self.workflow.split(", "))


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
        row = index_row(self._store, HELD, partition)
        return _held_change(row) if row else None

    def drop(self, partition: str) -> None:
        """It is decided, or no longer so."""
        self._store.delete_index(HELD, partition)

    def listed(self) -> tuple[HeldChange, ...]:
        """Everything that is held, by partition."""
        return tuple(_held_change(row) for row in index_rows(self._store, HELD))


def _held_change(row: Row) -> HeldChange:
    return HeldChange(
        partition=row.name,
        workflow=row.data["workflow"],
        at=from_text(row.data["at"]),
        why=row.data["why"],
        decision=HeldDecision(row.data["decision"]) if row.data["decision"] else None,
    )
