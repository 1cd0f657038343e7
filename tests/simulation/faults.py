"""What goes wrong, and when; made from the same seed as the story.

A window lasts from ``at`` for ``lasts`` seconds. A single fault lies in wait from ``at`` on, and strikes at the ``n``-th
occasion that it fits. No fault outlives the story: afterwards everything works, and everything has to come right.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.simulation.story import DAY, HOUR, MINUTE, Story

#: No replica lags longer than this, in seconds. It is the second look: the engine's promise holds for what lags less.
LAG_MAX = 55.0
#: A call whose answer is lost may land this much later; deadlines end after 10 s, and whoever looks for twins comes after 15 minutes.
LATE_MAX = 14 * MINUTE

DROPPED, DOUBLED, DELAYED, UNSUBSCRIBED = "notifications dropped", "notifications doubled", "notifications delayed", "unsubscribed"
STALE, DIRECTORY_DOWN, DIRECTORY_REFUSES, LINKS_EXPIRE = "stale reads", "directory down", "directory refuses", "links expire"
DESK_DOWN, DESK_CUTS, DESK_THROTTLES, DESK_REFUSES, INDEX_LAG = "desk down", "desk cuts", "desk throttles", "desk refuses", "index lag"
STORE_DOWN, BUS_DOWN, BUS_REFUSES, BUS_TAKES_SOME = "store down", "bus down", "bus refuses", "bus takes some"
CLOCK_JUMP, PAUSED, FORGED = "clock jump", "paused", "forged"
LOST_REQUEST, LOST_RESPONSE, LANDS_LATE = "lost request", "lost response", "lands late"
COMMIT_REPLY_LOST, STORE_BLIP, CRASH, STALL = "commit reply lost", "store blip", "crash", "stall"

#: While one of these lasts, and for some time after it, a look may come late.
BLINDING = frozenset(
    {DIRECTORY_DOWN, DIRECTORY_REFUSES, STORE_DOWN, BUS_DOWN, BUS_REFUSES, BUS_TAKES_SOME, CLOCK_JUMP, CRASH, STALL, STORE_BLIP}
)
#: Which orders a lost or late answer may be about; empty fits all.
ORDERS = ("", "OpenTicket", "EnsureUser", "AddNote", "DeactivateUser", "RetireAgent")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    kind: str
    at: float
    lasts: float = 0.0
    #: At which occasion that fits, from ``at`` on.
    n: int = 1
    #: Seconds or a share, as the kind needs it.
    much: float = 0.0
    #: For answers of the desk the order's class, for crash and stall the call; empty fits all.
    asks: str = ""
    #: Stall: the whole process stands still, so that nobody renews its lock.
    hard: bool = False

    @property
    def end(self) -> float:
        """When a window closes."""
        return self.at + self.lasts


def plan(rng: random.Random, story: Story) -> tuple[Fault, ...]:
    """Faults for a story: most of them soon after something happened, where there is work that they can hit."""
    moments = [act.at for one in story.people for act in one.acts if act.at >= 0] or [0.0]
    faults = []
    for _ in range(rng.randint(3, 26)):
        near = rng.choice(moments) + rng.choice((0.0, rng.uniform(0, 10), rng.uniform(50, 75), rng.uniform(0, 20 * MINUTE)))
        faults.append(_draw(rng, min(near, story.length - 1), story.length))
    if rng.random() < 0.25:
        faults.append(Fault(kind=DESK_DOWN, at=rng.uniform(0, story.length / 2), lasts=min(6 * HOUR, story.length / 2)))
    return tuple(sorted(faults, key=lambda fault: fault.at))


_WEIGHTS = {
    DROPPED: 8, DOUBLED: 6, DELAYED: 6, UNSUBSCRIBED: 2, STALE: 6, DIRECTORY_DOWN: 3, DIRECTORY_REFUSES: 2, LINKS_EXPIRE: 3,
    DESK_DOWN: 4, DESK_CUTS: 5, DESK_THROTTLES: 4, DESK_REFUSES: 3, INDEX_LAG: 3,
    STORE_DOWN: 3, BUS_DOWN: 3, BUS_REFUSES: 3, BUS_TAKES_SOME: 3, CLOCK_JUMP: 2, PAUSED: 3, FORGED: 2,
    LOST_REQUEST: 8, LOST_RESPONSE: 8, LANDS_LATE: 8, COMMIT_REPLY_LOST: 6, STORE_BLIP: 6, CRASH: 16, STALL: 16,
}  # fmt: skip


def _draw(rng: random.Random, at: float, latest: float) -> Fault:
    kind = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    lasts = rng.choice((rng.uniform(5, 60), rng.uniform(60, 20 * MINUTE), rng.uniform(20 * MINUTE, 3 * HOUR)))
    lasts = max(1.0, min(lasts, latest - at))
    match kind:
        case "notifications dropped" | "notifications doubled" | "notifications delayed":
            return Fault(kind=kind, at=at, lasts=rng.choice((lasts, DAY)), much=rng.choice((0.1, 0.5, 1.0)))
        case "stale reads":
            return Fault(kind=kind, at=at, lasts=lasts, much=rng.uniform(1, LAG_MAX))
        case "directory refuses":
            return Fault(kind=kind, at=at, lasts=min(lasts, 30 * MINUTE))
        case "links expire" | "forged" | "unsubscribed":
            return Fault(kind=kind, at=at)
        case "desk throttles":
            return Fault(kind=kind, at=at, lasts=lasts, much=rng.uniform(1, 300))
        case "clock jump":
            return Fault(kind=kind, at=at, lasts=lasts, much=rng.choice((-HOUR, HOUR, rng.uniform(-90, 90))))
        case "lost request" | "lost response":
            return Fault(kind=kind, at=at, n=rng.randint(1, 4), asks=rng.choice(ORDERS))
        case "lands late":
            late = rng.choice((rng.uniform(0.1, 12), rng.uniform(12, 180), rng.uniform(180, LATE_MAX)))
            return Fault(kind=kind, at=at, n=rng.randint(1, 3), asks=rng.choice(ORDERS), much=late)
        case "commit reply lost" | "store blip":
            return Fault(kind=kind, at=at, n=rng.randint(1, 12))
        case "crash":
            asks, n = _place(rng)
            return Fault(kind=kind, at=at, n=n, asks=asks)
        case "stall":
            much = rng.choice((rng.uniform(0.1, 15), rng.uniform(15, 90), rng.uniform(90, 400)))
            asks, n = _place(rng)
            return Fault(kind=kind, at=at, n=n, asks=asks, much=much, hard=rng.random() < 0.7)
        case _:
            return Fault(kind=kind, at=at, lasts=lasts, much=rng.uniform(0, 1))


def _place(rng: random.Random) -> tuple[str, int]:
    """At any call, or right at those where most is at stake; before and after each count as two."""
    asks = rng.choice(("", "", "store.commit", "desk.perform", "queue.send"))
    return asks, rng.randint(1, 12 if asks else 60)
