"""When to try again, and when to give up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from joinery.engine.memory import SeededRandomness
from joinery.engine.retry import BUSY, REFUSED, RetryDecision, RetryPolicy

NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
HORIZON = timedelta(hours=48)


def decide(
    policy: RetryPolicy, tries: int, *, since: timedelta = timedelta(0), asked: timedelta | None = None, seed: int = 0
) -> RetryDecision:
    return policy.decide(now=NOW, first_tried_at=NOW - since, tries=tries, horizon=HORIZON, randomness=SeededRandomness(seed), asked=asked)


@given(st.sampled_from([BUSY, REFUSED]), st.integers(1, 10_000), st.integers(0, 1000))
def test_pauses_grow_to_their_bound_and_never_beyond(policy: RetryPolicy, tries: int, seed: int) -> None:
    at = decide(policy, tries, seed=seed).at
    assert at is not None
    expected = min(policy.wait_max, policy.wait_initial * 2 ** min(tries - 1, 20))
    assert NOW + expected / 2 <= at <= NOW + expected


@given(st.integers(1, 50), st.integers(0, 100_000), st.integers(0, 1000))
def test_what_the_other_side_asked_for_is_never_undercut(tries: int, seconds: int, seed: int) -> None:
    at = decide(BUSY, tries, asked=timedelta(seconds=seconds), seed=seed).at
    assert at is not None and at >= NOW + timedelta(seconds=seconds)


def test_after_the_horizon_nobody_tries() -> None:
    assert decide(BUSY, 3, since=HORIZON).at is None
    assert decide(BUSY, 3, since=HORIZON - timedelta(seconds=1)).at is not None
