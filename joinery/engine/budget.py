"""The call budget: so many calls to the desk per rolling window, for all workers together, leased in blocks from one shared row.

A worker writes the row once for a block of calls and then spends them without asking anybody. When it takes its next block it
settles the one before: how many calls were made, and when. A lease that nobody settles (its worker died) counts as spent to the
last call in its last moment. So the row never promises more than the budget in *any* window, whatever workers crash:

* a call made at ``t`` is counted from the moment its block was leased until ``t + window + slack``;
* ``slack`` covers how long a call is under way and how far apart the workers' clocks are, together.

What the care costs, while somebody is refused: less than one block that is free in the row, the unspent rest of live leases (for
at most ``LEASE_LIFE``), the leases of the dead (until they are a window old), and ``slack`` and one bucket on top of each window.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from joinery.engine.ports import Clock, Document, Randomness, StateStore
from joinery.errors import BudgetSpent, LostRace, StoreUnavailable

_log = logging.getLogger(__name__)

#: The shared row.
CALLS = "desk-calls"
#: Calls in one lease, and the part of a small budget that a lease may be: one worker must not hold it all.
BLOCK, _BLOCKS = 25, 12
#: How long a lease may be spent from.
LEASE_LIFE = timedelta(seconds=60)
#: How late a call may arrive, with the difference between two workers' clocks. As long as the engine's deadline of one call.
SLACK = timedelta(seconds=10)
#: Calls are remembered to this many seconds, rounded up: the row stays under 3 kB.
_BUCKET = 5
#: While others hold leases, more may become free than the row can tell; a process that was refused asks again this soon.
_ASK_AGAIN = timedelta(seconds=15)
#: How many calls a refused run is assumed to want when it comes back. Low: rather a refusal too many than calls left lying.
_CALLS_PER_VISIT = 5
#: Of so many workers that race for the row, each wins once.
_RACES = 20


class LeasedCallBudget:
    """This process's share of the budget: one lease in hand, spent by all of its threads.

    Args:
        calls: how many per window, all workers together.
        window: as long as the desk's own.
        slack: added to the window, for calls under way and clocks that differ.
    """

    def __init__(
        self,
        store: StateStore,
        *,
        clock: Clock,
        randomness: Randomness,
        calls: int = 300,
        window: timedelta = timedelta(minutes=5),
        slack: timedelta = SLACK,
    ) -> None:
        if calls < 1:
            raise ValueError(f"a budget of {calls} calls allows none; leave the budget out for a desk without a limit")
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._calls = calls
        self._window = window.total_seconds()
        self._counts_for = (window + slack).total_seconds()
        self._slack = slack.total_seconds()
        self._block = min(BLOCK, max(1, calls // _BLOCKS))
        self._lock = threading.Lock()
        self._lease: _Lease | None = None
        #: Leases whose write brought no answer: they may stand in the row, and nothing was spent from them.
        self._unsure: set[str] = set()
        #: On the monotonic clock: before this nothing is free, and nobody needs to ask.
        self._nothing_until = -math.inf
        self._refused = 0

    def spend(self, n: int = 1) -> None:
        """Count ``n`` calls that are about to be made, at most one block of them.

        Raises:
            BudgetSpent: none are left; ``after`` says when some will be, spread over those who were refused.
            StoreUnavailable: nobody knows.
        """
        if not 1 <= n <= self._block:
            raise ValueError(f"between 1 and {self._block} calls are spent at once, not {n}")
        with self._lock:
            now = self._clock.monotonic()
            if self._lease is None or not self._lease.holds(n, now):
                if now < self._nothing_until:
                    raise self._refusal(now)
                self._take()
            if self._lease is not None:
                self._lease.spend(n, self._clock.monotonic())

    def close(self) -> None:
        """Give back what is not spent. Without it, or where the store does not answer, the lease expires."""
        with self._lock, suppress(StoreUnavailable, LostRace):
            if self._lease is not None:
                self._lease.open = False
                etag, row = self._store.read_shared(CALLS)
                ledger = _Ledger.read(row, self._clock.now().timestamp(), self._counts_for, self._slack)
                self._settle(ledger)
                self._store.replace_shared(CALLS, ledger.document(), expected=etag)
                self._lease, self._unsure = None, set()

    # --- below: under the lock ---

    def _take(self) -> None:
        """Settle the lease before, and take the next block; one write for both."""
        if self._lease is not None:
            # From here on the row may say what was spent from it: it must stay true.
            self._lease.open = False
        for _ in range(_RACES):
            now, at = self._clock.monotonic(), self._clock.now().timestamp()
            etag, row = self._store.read_shared(CALLS)
            ledger = _Ledger.read(row, at, self._counts_for, self._slack)
            self._settle(ledger)
            missing = self._block - (self._calls - ledger.taken())
            if missing > 0:
                # Nothing is written: our own settled calls come free for ourselves all the same, the others' view is the careful one.
                if ledger.corrected:
                    # Or else what lies in the future would be put off anew by every read.
                    with suppress(LostRace):
                        self._store.replace_shared(CALLS, ledger.document(), expected=etag)
                pause = ledger.freed_at(missing, self._counts_for) - at
                self._nothing_until = now + (min(pause, _ASK_AGAIN.total_seconds()) if ledger.leases else pause)
                _log.info("call budget spent", extra={"action": "budget_spent", "seconds": math.ceil(self._nothing_until - now)})
                raise self._refusal(now)
            lease = _Lease(id=self._randomness.token(), calls=self._block, at=at, since=now)
            ledger.leases[lease.id] = (lease.calls, lease.until)
            self._unsure.add(lease.id)
            try:
                self._store.replace_shared(CALLS, ledger.document(), expected=etag)
            except LostRace:
                # Another worker was first, or our own write won and its answer was lost: the row will show which.
                continue
            self._lease, self._unsure, self._refused = lease, set(), 0
            return
        self._nothing_until = self._clock.monotonic() + self._randomness.uniform(0.5, 1.5)
        raise self._refusal(self._clock.monotonic())

    def _settle(self, ledger: _Ledger) -> None:
        """Put what was really spent in the place of the whole block; not twice, where an answer was lost."""
        for identity in self._unsure:
            ledger.leases.pop(identity, None)
        if self._lease is not None and ledger.leases.pop(self._lease.id, None) is not None:
            ledger.spent.update(self._lease.spent)

    def _refusal(self, now: float) -> BudgetSpent:
        """The k-th who is refused comes back somewhere in the time that the budget needs for k visits, at most a window."""
        self._refused += 1
        spread = min(self._window, self._refused * _CALLS_PER_VISIT * self._window / self._calls)
        after = max(self._nothing_until - now, 0.0) + self._randomness.uniform(0.0, spread)
        return BudgetSpent("the desk's call budget is spent", after=timedelta(seconds=after))


@dataclass(kw_only=True, slots=True)
class _Lease:
    """A block in hand. Its time is measured on the monotonic clock, so that a corrected wall clock makes no lease longer."""

    id: str
    calls: int
    #: When it was asked for, in seconds since 1970 and on the monotonic clock.
    at: float
    since: float
    spent: Counter[int] = field(default_factory=Counter)
    open: bool = True

    @property
    def until(self) -> int:
        """Seconds since 1970."""
        return math.ceil(self.at + LEASE_LIFE.total_seconds())

    def holds(self, n: int, now: float) -> bool:
        """Whether ``n`` calls may still be made from it."""
        return self.open and now < self.since + LEASE_LIFE.total_seconds() and self.spent.total() + n <= self.calls

    def spend(self, n: int, now: float) -> None:
        """Count them in the bucket of this moment."""
        self.spent[math.ceil((self.at + now - self.since) / _BUCKET) * _BUCKET] += n


@dataclass(kw_only=True, slots=True)
class _Ledger:
    """The shared row: what was spent, in buckets, and what is leased; moments in seconds since 1970."""

    #: End of the bucket -> calls.
    spent: Counter[int]
    #: Lease -> calls, and until when they may be made.
    leases: dict[str, tuple[int, int]]
    #: Something lay in the future.
    corrected: bool = False

    @classmethod
    def read(cls, row: Document | None, now: float, counts_for: float, slack: float) -> _Ledger:
        """What still counts. A moment in the future is a clock that was corrected: it counts from now on, not for hours."""
        row = row or {}
        latest = math.ceil(now + slack) + _BUCKET
        spent: Counter[int] = Counter()
        for at, calls in row.get("spent", ()):
            if now < at + counts_for:
                spent[min(at, latest)] += calls
        last = latest + math.ceil(LEASE_LIFE.total_seconds())
        held = {one: (calls, until) for one, (calls, until) in row.get("leases", {}).items() if now < until + counts_for}
        corrected = any(at > latest for at, _ in row.get("spent", ())) or any(until > last for _, until in held.values())
        return cls(spent=spent, leases={one: (calls, min(until, last)) for one, (calls, until) in held.items()}, corrected=corrected)

    def document(self) -> Document:
        """As it is stored."""
        return {
            "spent": sorted([at, calls] for at, calls in self.spent.items()),
            "leases": {one: list(it) for one, it in self.leases.items()},
        }

    def taken(self) -> int:
        """Calls that are spent or promised."""
        return self.spent.total() + sum(calls for calls, _ in self.leases.values())

    def freed_at(self, missing: int, counts_for: float) -> float:
        """When at least so many of them count no more."""
        moment = 0.0
        for at, calls in sorted(self._held()):
            moment = at + counts_for
            missing -= calls
            if missing <= 0:
                break
        return moment

    def _held(self) -> Iterator[tuple[int, int]]:
        yield from self.spent.items()
        for calls, until in self.leases.values():
            yield until, calls
