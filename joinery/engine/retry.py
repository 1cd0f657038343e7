"""Durable retry: when to try again, and when to give up. Seconds inside one call are the adapters' business."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from joinery.engine.ports import Randomness


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineTiming:
    """Deadlines and delays of the effect protocol."""

    #: One live call, from the check of its intent to the closed socket.
    call_deadline: timedelta = timedelta(seconds=10)
    #: After each create: how many objects carry its key?
    twin_check_after: timedelta = timedelta(minutes=15)
    #: Pauses between read-backs of an effect that does not show yet.
    verify_pauses: tuple[timedelta, ...] = (timedelta(seconds=1), timedelta(seconds=5), timedelta(seconds=20), timedelta(seconds=60))
    #: How long a step is tried before its run fails.
    horizon: timedelta = timedelta(hours=48)
    #: Work per message; then commit, wake ourselves, complete.
    work_budget: timedelta = timedelta(seconds=60)
    #: How long a recipe may compute between two calls of its context.
    recipe_limit: timedelta = timedelta(seconds=10)
    #: How often a paused run asks whether it may go on.
    pause_recheck: timedelta = timedelta(seconds=15)
    #: How often the desk is asked which tickets wait for an approval, all workers together.
    approvals_polled_every: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryDecision:
    """When to try again; None: give up."""

    at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """Doubling pauses with jitter, from ``wait_initial`` to ``wait_max``."""

    wait_initial: timedelta
    wait_max: timedelta

    def decide(
        self,
        *,
        now: datetime,
        first_tried_at: datetime,
        tries: int,
        horizon: timedelta,
        randomness: Randomness,
        asked: timedelta | None = None,
    ) -> RetryDecision:
        """After ``tries`` failures; ``asked`` is how long the other side wants us to wait at least."""
        if now - first_tried_at >= horizon:
            return RetryDecision(at=None)
        wait = min(self.wait_max, self.wait_initial * 2 ** min(tries - 1, 20)) * randomness.uniform(0.5, 1.0)
        if asked is not None:
            wait = max(wait, asked)
        return RetryDecision(at=now + wait)


#: The other side is busy or unreachable.
BUSY = RetryPolicy(wait_initial=timedelta(seconds=2), wait_max=timedelta(minutes=5))
#: The other side said no: a person has to mend something; we notice by ourselves when they have.
REFUSED = RetryPolicy(wait_initial=timedelta(seconds=30), wait_max=timedelta(minutes=15))
#: The store does not answer; the envelope goes back to its session.
STORE_PAUSE = timedelta(seconds=30)


def busy_pause(attempt: int) -> timedelta:
    """How long a message waits that was put back so often before."""
    doubled: int = 2 ** min(attempt, 7)
    return min(BUSY.wait_initial * doubled, BUSY.wait_max)


def refused_pause(refusals: int) -> timedelta:
    """How long a message waits that was refused so often before."""
    doubled: int = 2 ** min(refusals, 5)
    return min(REFUSED.wait_initial * doubled, REFUSED.wait_max)
