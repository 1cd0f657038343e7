"""Whether we are ready, and the counters that say how we are: what `/api/health` answers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from joinery.domain.moments import from_text, to_text
from joinery.engine.alerts import QUIET, causes
from joinery.engine.breaker import HELD
from joinery.engine.coverage_watch import coverage
from joinery.engine.groups import GroupBook
from joinery.engine.parking import PARKED
from joinery.engine.partition import OPEN_RUNS
from joinery.engine.pauses import PauseBoard
from joinery.engine.policy_book import PolicyBook
from joinery.engine.ports import Clock, Document, MessageQueue, StateStore
from joinery.engine.rows import index_rows
from joinery.engine.seals import SEALED
from joinery.engine.sweeps import STARTED, SWEPT
from joinery.errors import QueueUnavailable, StoreUnavailable

#: The shared row of the subscriptions as last seen to.
SUBSCRIBED = "subscribed"


@dataclass(kw_only=True, slots=True)
class Counters:
    """What came in at this process's door since it started."""

    received: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, received: int, dropped: Iterable[str]) -> None:
        """Add one request's notifications."""
        with self.lock:
            self.received += received
            self.dropped.update(dropped)


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """Reads how things stand."""

    tenant: str
    store: StateStore
    queue: MessageQueue
    groups: GroupBook
    pauses: PauseBoard
    policies: PolicyBook
    clock: Clock
    #: Of the subscriptions that this process would make.
    fingerprint: str
    counters: Counters = field(default_factory=Counters)

    def report(self) -> tuple[bool, Document]:
        """Ready or not, and the counters. Never raises."""
        try:
            return self._report()
        except (StoreUnavailable, QueueUnavailable) as error:
            return False, {"ready": False, "waiting_for": [f"{type(error).__name__}"]}

    def _report(self) -> tuple[bool, Document]:
        now = self.clock.now()
        subscribed = self.store.read_shared(SUBSCRIBED)[1] or {}
        ends = {resource: from_text(moment) for resource, moment in subscribed.get("ends", {}).items()}
        swept = self.store.read_shared(SWEPT)[1]
        covered = coverage(self.store, self.clock)
        started = self.store.read_shared(STARTED)[1]
        sealed = self.store.read_shared(SEALED)[1]
        waiting_for = []
        if sum(moment > now for moment in ends.values()) < 2 or subscribed.get("fingerprint") != self.fingerprint:
            waiting_for.append("both subscriptions")
        if swept is None or (started is not None and swept["at"] < started["at"]):
            waiting_for.append("the start-up sweep")
        with self.counters.lock:
            received, dropped = self.counters.received, dict(self.counters.dropped)
        document: Document = {
            "ready": not waiting_for,
            "waiting_for": waiting_for,
            "received": received,
            "dropped": dropped,
            "queued": self.queue.waiting(),
            "scheduled": self.queue.scheduled(),
            "parked": self._count(PARKED),
            "open_runs": self._count(OPEN_RUNS),
            "held": self._count(HELD),
            "alerts": sum(now - cause.last_at < QUIET for cause in causes(self.store, self.tenant)),
            "coverage": {
                "swept_at": swept["at"] if swept else None,
                "covered_until": {row: to_text(span.until) for row, span in covered.spans.items() if span},
                "holes": [one.what for one in covered.open_troubles],
                "found_by_sweep": sum(covered.found.values()),
                "sealed_at": sealed["at"] if sealed else None,
                "subscriptions_end_at": {resource: to_text(moment) for resource, moment in ends.items()},
                "groups_missing": list(self.groups.missing()) if not waiting_for else [],
            },
            "paused": dict(self.pauses.read().reasons),
            "policy_waits": list(self.policies.waits()),
        }
        return not waiting_for, document

    def _count(self, index: str) -> int:
        return sum(1 for _ in index_rows(self.store, index))
