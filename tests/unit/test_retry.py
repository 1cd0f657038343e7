"""When to try again, and when to give up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joinery.domain.tickets import EnsureUser
from joinery.engine.memory import SeededRandomness
from joinery.engine.retry import BUSY, REFUSED, RetryDecision, RetryPolicy
from joinery.errors import Refused, TryLater
from joinery.testing import World, person

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


class Ladder(World):
    """Remembers when the desk was asked to perform."""

    def __init__(self) -> None:
        super().__init__()
        self.tried_at: list[float] = []
        received = self.desk._received

        def noted(method: str, order: Any, key: str) -> Any:
            if isinstance(order, EnsureUser) and method == "perform":
                self.tried_at.append(self.clock.monotonic())
            return received(method, order, key)

        self.desk._received = noted  # type: ignore[method-assign]  # listens
        self.put(person("ada", groups=("ITSM-NewJoiner",)))
        self.look("ada")

    def pauses(self) -> list[float]:
        return [later - earlier for earlier, later in pairwise(self.tried_at)]

    def alerts(self) -> list[str]:
        return [line.record.why for line in self.audit("ada") if line.record.action == "alert"]


@pytest.mark.parametrize(
    ("error", "first", "longest"), [(TryLater("busy"), 2, 300), (Refused("no such site"), 30, 900)], ids=["busy", "refused"]
)
def test_the_whole_ladder_doubles_from_first_to_longest_and_ends_after_48_hours_with_one_alert_per_cause(
    error: Exception, first: float, longest: float
) -> None:
    world = Ladder()
    world.desk.fail(error, asks=EnsureUser, times=5000)
    world.pass_time(hours=47.5)
    assert [str(view.run.status) for view in world.runs()] == ["open"]
    for number, pause in enumerate(world.pauses()):
        expected = min(longest, first * 2**number)
        assert expected / 2 - 0.01 <= pause <= expected + 0.01, number
    assert len(world.alerts()) == isinstance(error, Refused)
    world.pass_time(hours=1)
    assert [str(view.run.status) for view in world.runs()] == ["failed"]
    tries = len(world.tried_at)
    assert HORIZON <= timedelta(seconds=world.tried_at[-1] - world.tried_at[0]) <= HORIZON + timedelta(seconds=longest)
    # The end of the run is told once, whatever was told of its cause before.
    assert len(world.alerts()) == 1 + isinstance(error, Refused)
    assert "joiner failed" in world.alerts()[-1]
    world.pass_time(days=3)
    assert (len(world.tried_at), len(world.alerts())) == (tries, 1 + isinstance(error, Refused))


@pytest.mark.parametrize("asked", [7, 120, 4000])
def test_what_the_desk_asked_for_is_waited_for_and_nothing_is_sent_before(asked: int) -> None:
    world = Ladder()
    world.desk.fail(TryLater("throttled", after=timedelta(seconds=asked)), asks=EnsureUser)
    world.pass_time(seconds=61)
    world.desk.calls.clear()
    for _ in range(5):
        world.pass_time(seconds=asked / 6)
        world.look("ada")
    assert [call for call in world.desk.calls if isinstance(call.order, EnsureUser)] == []
    world.pass_time(seconds=asked)
    assert world.pauses()[0] == pytest.approx(asked)
    assert [str(view.run.status) for view in world.runs()] == ["verified"]
