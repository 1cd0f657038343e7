"""The call budget: never more than promised in any window, counted at the desk; and little of it left lying."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joinery.engine.budget import BLOCK, CALLS, LEASE_LIFE, SLACK, LeasedCallBudget
from joinery.engine.memory import FakeClock, MemoryStateStore, SeededRandomness
from joinery.engine.ports import Document, StateStore
from joinery.errors import BudgetSpent, LostRace, StoreUnavailable

WINDOW = timedelta(minutes=5)


class CountingStore(MemoryStateStore):
    """Counts what the budget asks of it; ``before_replace`` runs between a worker's read and its write."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = self.writes = 0
        self.before_replace: Callable[[], None] | None = None
        self.loses: type[Exception] | None = None

    def read_shared(self, name: str) -> tuple[str | None, Document | None]:
        self.reads += 1
        return MemoryStateStore.read_shared(self, name)

    def replace_shared(self, name: str, data: Document, *, expected: str | None) -> str:
        act, self.before_replace = self.before_replace, None
        if act is not None:
            act()
        etag = MemoryStateStore.replace_shared(self, name, data, expected=expected)
        self.writes += 1
        lost, self.loses = self.loses, None
        if lost is not None:
            raise lost("written, and the answer was lost")
        return etag


def budget(store: StateStore, clock: FakeClock, calls: int = 300, seed: int = 1) -> LeasedCallBudget:
    return LeasedCallBudget(store, clock=clock, randomness=SeededRandomness(seed), calls=calls)


def spend_all(one: LeasedCallBudget, at_most: int = 10_000) -> int:
    """How many calls it allows in this moment."""
    for number in range(at_most):
        try:
            one.spend()
        except BudgetSpent:
            return number
    return at_most


class SkewedClock(FakeClock):
    """Another machine's clock, some seconds ahead or behind."""

    def __init__(self, true: FakeClock, ahead: float) -> None:
        super().__init__()
        self._true, self._ahead = true, timedelta(seconds=ahead)

    def now(self) -> datetime:
        return self._true.now() + self._ahead

    def monotonic(self) -> float:
        return self._true.monotonic()


@dataclass
class Desk:
    """Workers that crash and race, and the moments at which their calls arrive."""

    calls: int
    ahead: list[float]
    clock: FakeClock = field(default_factory=FakeClock)
    store: CountingStore = field(default_factory=CountingStore)
    arrived: list[float] = field(default_factory=list)
    made: int = 0
    busy: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.workers = [self.worker(ahead) for ahead in self.ahead]

    def worker(self, ahead: float) -> LeasedCallBudget:
        self.made += 1
        clock = SkewedClock(self.clock, ahead)
        return LeasedCallBudget(self.store, clock=clock, randomness=SeededRandomness(self.made), calls=self.calls)

    def spend(self, number: int, times: int, under_way: float, by: int = 1) -> None:
        if number in self.busy:
            # It cannot overtake itself: its threads wait for each other.
            return
        self.busy.add(number)
        with suppress(BudgetSpent, StoreUnavailable):
            for _ in range(times):
                self.workers[number].spend(by)
                self.arrived += [self.clock.monotonic() + under_way] * by
        self.busy.discard(number)

    def close(self, number: int) -> None:
        self.busy.add(number)
        self.workers[number].close()
        self.busy.discard(number)

    def crash(self, number: int) -> None:
        self.workers[number] = self.worker(self.ahead[number])

    def most_in_a_window(self) -> int:
        arrived = sorted(self.arrived)
        most = start = 0
        for end, moment in enumerate(arrived):
            while arrived[start] <= moment - WINDOW.total_seconds():
                start += 1
            most = max(most, end - start + 1)
        return most


# Clocks at most 4 s apart and calls at most 6 s under way: together the slack.
_WORKER = st.integers(0, 3)
_ACTIONS = st.one_of(
    st.tuples(st.just("spend"), _WORKER, st.integers(1, 60), st.floats(0, 6), st.integers(1, 2)),
    st.tuples(st.just("spend"), _WORKER, st.just(400), st.sampled_from([0.0, 6.0])),
    st.tuples(st.just("pass"), st.sampled_from([0.5, 4.0, 30.0, 59.0, 61.0, 140.0, 239.0, 290.0, 301.0, 305.5, 311.0, 371.0])),
    st.tuples(st.just("crash"), _WORKER),
    st.tuples(st.just("close"), _WORKER),
    st.tuples(st.just("race"), _WORKER, st.integers(1, 60), st.floats(0, 6)),
    st.tuples(st.just("lose"), st.sampled_from([StoreUnavailable, LostRace])),
)


@settings(max_examples=400, deadline=None)
@given(
    calls=st.sampled_from([24, 30, 100, 300]),
    ahead=st.lists(st.floats(-2, 2), min_size=4, max_size=4),
    actions=st.lists(_ACTIONS, min_size=5, max_size=60),
)
def test_never_more_than_the_budget_in_any_window_whoever_crashes_races_or_loses_an_answer(
    calls: int, ahead: list[float], actions: list[tuple]
) -> None:
    desk = Desk(calls=calls, ahead=ahead)
    for what, *detail in actions:
        match what:
            case "spend":
                desk.spend(*detail)
            case "pass":
                desk.clock.advance(seconds=detail[0])
            case "crash":
                desk.crash(*detail)
            case "close":
                desk.close(*detail)
            case "race":
                desk.store.before_replace = lambda detail=detail: desk.spend(*detail)
            case "lose":
                desk.store.loses = detail[0]
    assert desk.most_in_a_window() <= calls


def test_calls_that_are_long_under_way_and_clocks_that_differ_are_within_the_slack() -> None:
    desk = Desk(calls=300, ahead=[-2.0, 2.0])
    desk.spend(0, 400, under_way=6.0)
    while desk.clock.monotonic() < 320:
        desk.clock.advance(seconds=0.5)
        desk.spend(1, 400, under_way=0.0)
    # All but the last block, which nobody settled before it was refused.
    assert len(desk.arrived) == 575
    assert desk.most_in_a_window() <= 300


@pytest.mark.parametrize(("calls", "workers"), [(300, 1), (300, 2), (300, 4), (700, 4), (100, 2)])
def test_at_least_nine_tenths_of_the_budget_are_used_where_there_is_always_work(calls: int, workers: int) -> None:
    desk = Desk(calls=calls, ahead=[0.0] * workers)
    hours, again = 2, [0.0] * workers
    while desk.clock.monotonic() < hours * 3600:
        for number, worker in enumerate(desk.workers):
            while again[number] <= desk.clock.monotonic():
                try:
                    worker.spend()
                except BudgetSpent as spent:
                    assert spent.after is not None
                    # There are always many who were refused: one of them is back within a second of the first free call.
                    again[number] = desk.clock.monotonic() + min(spent.after.total_seconds(), 1.0)
                    break
                desk.arrived.append(desk.clock.monotonic())
                if len(desk.arrived) % 3 == 0:
                    # Three calls in a tenth of a second: about what one process does.
                    break
        desk.clock.advance(seconds=0.1)
    used = len(desk.arrived) / (calls * hours * 12)
    assert desk.most_in_a_window() <= calls
    assert used >= 0.9, used


def test_the_store_is_written_once_for_a_block_and_not_asked_for_a_call() -> None:
    clock, store = FakeClock(), CountingStore()
    one = budget(store, clock)
    assert spend_all(one) == 300
    assert store.writes == 300 // BLOCK
    assert store.reads == store.writes + 1


def test_who_was_refused_is_refused_again_without_asking_the_store_until_something_is_free() -> None:
    clock, store = FakeClock(), CountingStore()
    one = budget(store, clock)
    spend_all(one)
    reads = store.reads
    for _ in range(1000):
        with pytest.raises(BudgetSpent) as refused:
            one.spend()
        assert refused.value.after is not None
        assert refused.value.after >= WINDOW
        # A thousand who come back are spread over a window, not sent back together.
        assert refused.value.after <= 2 * WINDOW + SLACK + timedelta(seconds=5)
    assert store.reads == reads
    clock.advance(WINDOW + SLACK + timedelta(seconds=5))
    assert spend_all(one) == 300


def test_refused_beside_others_who_hold_leases_it_asks_every_quarter_minute() -> None:
    clock, store = FakeClock(), CountingStore()
    idle = [budget(store, clock, seed=seed) for seed in range(12)]
    for one in idle:
        one.spend()
    late = budget(store, clock, seed=99)
    with pytest.raises(BudgetSpent):
        late.spend()
    for one in idle:
        one.close()
    clock.advance(seconds=15)
    # 288 are free, and whole blocks are leased.
    assert spend_all(late) == 275


def test_the_lease_of_the_dead_counts_in_full_and_then_expires() -> None:
    clock, store = FakeClock(), CountingStore()
    budget(store, clock, seed=1).spend()
    other = budget(store, clock, seed=2)
    assert spend_all(other) == 275
    clock.advance(LEASE_LIFE + WINDOW + SLACK - timedelta(seconds=1))
    # All that the other spent is free again, the dead one's block is not.
    assert spend_all(other) == 275
    clock.advance(LEASE_LIFE + WINDOW + SLACK)
    assert spend_all(budget(store, clock, seed=3)) == 300


def test_a_lease_is_not_spent_from_after_its_end() -> None:
    clock, store = FakeClock(), CountingStore()
    one = budget(store, clock)
    one.spend()
    clock.advance(LEASE_LIFE)
    one.spend()
    assert store.writes == 2


def test_a_wall_clock_that_was_set_back_makes_no_lease_longer() -> None:
    clock, store = FakeClock(), CountingStore()
    one = budget(store, clock)
    one.spend()
    clock.advance(LEASE_LIFE)
    clock.set(clock.now() - timedelta(hours=1))
    one.spend()
    assert store.writes == 2


def test_a_wall_clock_that_was_set_back_by_an_hour_does_not_stop_the_work_for_an_hour() -> None:
    clock, store = FakeClock(), CountingStore()
    spend_all(budget(store, clock, seed=1))
    clock.set(clock.now() - timedelta(hours=1))
    fresh = budget(store, clock, seed=2)
    for _ in range(40):
        with suppress(BudgetSpent):
            fresh.spend()
            break
        clock.advance(seconds=15)
    else:
        pytest.fail("still refused after ten minutes")


@pytest.mark.parametrize("lost", [StoreUnavailable, LostRace])
def test_a_block_whose_answer_was_lost_is_neither_lost_nor_counted_twice(lost: type[Exception]) -> None:
    clock, store = FakeClock(), CountingStore()
    one = budget(store, clock)
    spent = 0
    for _ in range(100):
        one.spend()
        spent += 1
    store.loses = lost
    with suppress(StoreUnavailable):
        one.spend()
        spent += 1
    assert spent + spend_all(one) == 300


def test_what_is_not_spent_is_given_back_at_the_end() -> None:
    clock, store = FakeClock(), CountingStore()
    one = budget(store, clock, seed=1)
    for _ in range(25 + 25):
        one.spend()
    clock.advance(LEASE_LIFE)
    for _ in range(5):
        one.spend()
    # Of the block in hand 20 are left. Leased, they would be nobody's.
    one.close()
    for _ in range(20):
        one.spend()
    one.close()
    assert spend_all(budget(store, clock, seed=2)) == 225


def test_nothing_more_is_spent_from_a_lease_that_the_row_may_call_settled() -> None:
    clock, store = FakeClock(), CountingStore()
    one = budget(store, clock)
    for _ in range(24):
        one.spend()
    store.loses = StoreUnavailable
    with pytest.raises(StoreUnavailable):
        one.spend(2)
    assert store.writes == 2
    # One call was left in the settled lease: it is free again, and no longer ours without another write.
    one.spend()
    assert store.writes == 3


def test_a_store_that_does_not_answer_is_said_and_nothing_is_spent() -> None:
    clock, store = FakeClock(), CountingStore()
    one = budget(store, clock)
    store.unavailable = True
    with pytest.raises(StoreUnavailable):
        one.spend()
    one.close()
    store.unavailable = False
    assert spend_all(one) == 300


def test_the_threads_of_one_process_share_one_lease_and_stay_within_it() -> None:
    store, counted = CountingStore(), []
    one = budget(store, FakeClock())
    threads = [threading.Thread(target=lambda: counted.append(spend_all(one))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counted) == 300
    assert store.writes == 300 // BLOCK


def test_a_small_budget_is_leased_in_smaller_blocks_so_that_nobody_holds_it_all() -> None:
    clock, store = FakeClock(), CountingStore()
    first, second = budget(store, clock, calls=24, seed=1), budget(store, clock, calls=24, seed=2)
    first.spend()
    assert spend_all(second) == 22
    with pytest.raises(ValueError, match="at once"):
        first.spend(3)
    with pytest.raises(ValueError, match="allows none"):
        budget(store, clock, calls=0)


def test_the_row_stays_small_however_long_it_is_used() -> None:
    clock, store = FakeClock(), CountingStore()
    workers = [budget(store, clock, calls=700, seed=seed) for seed in range(4)]
    for number in range(4000):
        with suppress(BudgetSpent):
            workers[number % 4].spend()
        clock.advance(seconds=0.4)
    _, row = store.read_shared(CALLS)
    assert len(str(row)) < 3000
