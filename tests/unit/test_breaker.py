"""The breaker: never more than its limit, whoever races; the excess is held until a person decides, and forgotten if it was nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joinery.domain.events import Moved
from joinery.domain.policy import BreakerPolicy, WorkflowPolicy
from joinery.engine.alerts import causes
from joinery.engine.breaker import ACTIVE, HELD, Ask, Breaker, HeldBook, HeldChange, HeldDecision, Refusal, department_mark
from joinery.engine.context import Context
from joinery.engine.memory import FakeClock, MemoryStateStore
from joinery.engine.ports import Row
from joinery.engine.recipes import workflow
from joinery.errors import LostRace
from joinery.testing import World, everyone, person
from workflows import CATALOGUE

POLICY = BreakerPolicy(hourly_min=2, hourly_share=0.0, daily_min=3, daily_share=0.0)


def company(count: int, breaker: BreakerPolicy = POLICY, *, world: World | None = None) -> World:
    """People who have worked here for two days."""
    world = world or World(replace(everyone(), breaker=breaker))
    for number in range(count):
        world.put(person(f"p{number}", groups=("ITSM-NewJoiner",)))
        world.look(f"p{number}")
    world.pass_time(hours=50)
    return world


def leave(world: World, *numbers: int) -> None:
    for number in numbers:
        world.directory.change(f"p{number}", account_enabled=False)
        world.look(f"p{number}")


def offboarded(world: World) -> int:
    return sum(ticket.kind == "offboarding" for ticket in world.desk.tickets)


def minutes(world: World, count: int) -> None:
    for _ in range(count):
        world.pass_time(minutes=1)
        world.app.tick()
    world.work()


def decide(world: World, decision: HeldDecision, *numbers: int) -> None:
    book = HeldBook(world.store)
    for change in book.listed():
        if change.partition.rpartition(":")[2] in {f"p{number}" for number in numbers}:
            book.put(replace(change, decision=decision))


# --- slots


def test_a_slot_belongs_to_a_run_so_the_same_run_takes_no_second_one() -> None:
    breaker = Breaker(store=MemoryStateStore(), clock=FakeClock(), policy=POLICY)
    assert [breaker.take(Ask(workflow="leaver", run_id="run-1")) for _ in range(5)] == [None] * 5
    assert breaker.take(Ask(workflow="leaver", run_id="run-2")) is None
    full = Refusal(why="2 leaver runs began within the last hour, and 2 may, of 0 active people")
    assert breaker.take(Ask(workflow="leaver", run_id="run-3")) == full


def test_slots_are_free_again_after_their_hour_and_their_day() -> None:
    clock = FakeClock()
    breaker = Breaker(store=MemoryStateStore(), clock=clock, policy=POLICY)
    took = []
    for number in range(8):
        took.append(breaker.take(Ask(workflow="leaver", run_id=f"run-{number}")) is None)
        clock.advance(minutes=30)
    assert took == [True, True, True, False, False, False, False, False]
    clock.advance(hours=21)
    assert breaker.take(Ask(workflow="leaver", run_id="next")) is None


def test_workflows_have_slots_of_their_own_and_one_beyond_the_limit_counts() -> None:
    breaker = Breaker(store=MemoryStateStore(), clock=FakeClock(), policy=POLICY)
    assert (
        not breaker.take(Ask(workflow="leaver", run_id="a"), beyond=True)
        and not breaker.take(Ask(workflow="leaver", run_id="b"), beyond=True)
        and not breaker.take(Ask(workflow="leaver", run_id="c"), beyond=True)
    )
    refusal = breaker.take(Ask(workflow="leaver", run_id="d"))
    assert refusal is not None and "3 leaver runs" in refusal.why
    assert breaker.take(Ask(workflow="mover", run_id="d")) is None


@pytest.mark.parametrize(("active", "allowed"), [(0, 2), (199, 2), (300, 3), (1000, 10)])
def test_a_share_of_the_active_people_is_the_limit_where_it_is_more(active: int, allowed: int) -> None:
    store = MemoryStateStore()
    breaker = Breaker(store=store, clock=FakeClock(), policy=replace(POLICY, hourly_share=0.01, daily_share=0.5))
    for number in range(active):
        store.put_index(ACTIVE, f"local|person:{number}", {})
    breaker.count_active()
    assert sum(breaker.take(Ask(workflow="leaver", run_id=f"r{number}")) is None for number in range(20)) == allowed


def test_a_company_that_is_still_being_taken_in_is_counted_again_before_anybody_is_refused() -> None:
    store, clock = MemoryStateStore(), FakeClock()
    breaker = Breaker(store=store, clock=clock, policy=replace(POLICY, hourly_share=0.01, daily_share=0.5, wave_share=0.5))
    for number in range(5):
        store.put_index(ACTIVE, f"local|person:{number}", {})
    breaker.count_active()
    for number in range(5, 1500):
        store.put_index(ACTIVE, f"local|person:{number}", {})
    refusals = [breaker.take(Ask(workflow="leaver", run_id=f"r{number}")) for number in range(16)]
    assert [refusal is None for refusal in refusals] == [True] * 15 + [False]
    assert refusals[-1] == Refusal(why="15 leaver runs began within the last hour, and 15 may, of 1500 active people")


def test_a_large_company_is_not_counted_for_each_of_a_thousand_refusals() -> None:
    class Counting(MemoryStateStore):
        lists = 0

        def list_index(self, *args: object, **kwargs: object) -> tuple[Row, ...]:
            self.lists += 1
            return super().list_index(*args, **kwargs)  # type: ignore[arg-type]

    store, clock = Counting(), FakeClock()
    breaker = Breaker(store=store, clock=clock, policy=POLICY)
    for number in range(3000):
        store.put_index(ACTIVE, f"local|person:{number}", {})
    breaker.count_active()
    once = store.lists
    clock.advance(minutes=5)
    assert sum(breaker.take(Ask(workflow="leaver", run_id=f"r{number}")) is not None for number in range(1000)) == 998
    assert store.lists == 2 * once
    clock.advance(minutes=2)
    assert breaker.take(Ask(workflow="leaver", run_id="late")) is not None
    assert store.lists == 3 * once


class Racing:
    """A store in which the others go first: before a replace, the next of ``others`` acts."""

    def __init__(self, inner: MemoryStateStore, others: list[str], breaker: Breaker) -> None:
        self._inner, self._others, self._breaker = inner, others, breaker
        #: Those of them that got a slot.
        self.granted: set[str] = set()

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def replace_shared(self, *args: object, **kwargs: object) -> str:
        if self._others:
            other = self._others.pop()
            if not self._breaker.take(Ask(workflow="leaver", run_id=other)):
                self.granted.add(other)
        return self._inner.replace_shared(*args, **kwargs)  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcdef"), max_size=6), st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6), st.integers(1, 5))
def test_two_workers_never_take_the_last_slot_both(others: list[str], mine: list[str], limit: int) -> None:
    store, clock = MemoryStateStore(), FakeClock()
    policy = BreakerPolicy(hourly_min=limit, hourly_share=0, daily_min=limit, daily_share=0)
    plain = Breaker(store=store, clock=clock, policy=policy)
    race = Racing(store, others, plain)
    breaker = Breaker(store=race, clock=clock, policy=policy)  # type: ignore[arg-type]
    mine_granted = {run for run in mine if not breaker.take(Ask(workflow="leaver", run_id=run))}
    granted = mine_granted | race.granted
    taken = (store.read_shared("breaker")[1] or {})["slots"]["leaver"]
    # Not only what the row says: whoever was told yes stands in it.
    assert len(taken) == len(granted) <= limit


def test_a_row_that_others_change_all_the_time_is_a_lost_race_and_no_slot() -> None:
    class Contended(MemoryStateStore):
        def replace_shared(self, *args: object, **kwargs: object) -> str:
            raise LostRace("theirs")

    with pytest.raises(LostRace):
        Breaker(store=Contended(), clock=FakeClock(), policy=POLICY).take(Ask(workflow="leaver", run_id="x"))


# --- departments and waves


def test_a_department_that_leaves_at_once_is_held_before_the_company_is() -> None:
    store, clock = MemoryStateStore(), FakeClock()
    for number in range(1000):
        store.put_index(ACTIVE, f"local|person:{number}", {"department": department_mark("Sales" if number < 16 else f"D{number}")})
    policy = BreakerPolicy(hourly_min=2, hourly_share=0.05, daily_min=100, department_share=0.25)
    breaker = Breaker(store=store, clock=clock, policy=policy)
    breaker.count_active()
    took = [breaker.take(Ask(workflow="leaver", run_id=f"s{n}", department=" sales")) for n in range(6)]
    assert [refusal is None for refusal in took] == [True] * 4 + [False] * 2
    assert took[-1] == Refusal(why="4 leaver runs began within the last hour, and 4 may, of 16 in the department")
    assert breaker.take(Ask(workflow="leaver", run_id="f", department="Finance")) is None
    assert breaker.take(Ask(workflow="leaver", run_id="none")) is None, "whoever is in no department is only counted in all"


def test_the_active_people_are_counted_by_department_and_follow_a_move() -> None:
    world = company(3, BreakerPolicy())
    marks = {row.data["department"] for row in world.store.list_index(ACTIVE)}
    assert marks == {department_mark("FINANCE")}
    world.directory.change("p1", department="Sales")
    world.look("p1")
    assert sorted(row.data["department"] for row in world.store.list_index(ACTIVE)) == sorted(
        [department_mark("Finance")] * 2 + [department_mark("Sales")]
    )


@pytest.mark.parametrize(("how", "words"), [("gone", "the source went empty"), ("disabled", "everybody changed at once")])
def test_a_wave_is_named_as_what_it_looks_like_and_an_ordinary_day_is_not(how: str, words: str) -> None:
    store = MemoryStateStore()
    for number in range(40):
        store.put_index(ACTIVE, f"local|person:{number}", {})
    breaker = Breaker(store=store, clock=FakeClock(), policy=BreakerPolicy(hourly_min=2, hourly_share=0, daily_min=9))
    breaker.count_active()
    refusals = [breaker.take(Ask(workflow="leaver", run_id=f"r{number}", how=how)) for number in range(12)]
    assert [refusal.named[:21] if refusal else None for refusal in refusals][:9] == [None, None, *[""] * 7]
    assert refusals[-1] is not None and refusals[-1].named.startswith(words)


def test_moves_take_no_slots_but_a_wave_of_them_is_held_beyond_the_share() -> None:
    store, clock = MemoryStateStore(), FakeClock()
    for number in range(80):
        store.put_index(ACTIVE, f"local|person:{number}", {})
    breaker = Breaker(store=store, clock=clock, policy=BreakerPolicy(wave_min=5, wave_share=0.25))
    breaker.count_active()
    refusals = [breaker.take(Ask(workflow="mover", run_id=f"m{number}", how="moved")) for number in range(30)]
    assert [refusal is None for refusal in refusals] == [True] * 20 + [False] * 10
    assert refusals[-1] is not None and refusals[-1].named.startswith("everybody changed at once")
    clock.advance(minutes=61)
    assert breaker.take(Ask(workflow="mover", run_id="later", how="moved")) is None


def test_an_empty_source_is_one_alert_with_its_name() -> None:
    world = company(20, replace(POLICY, wave_share=0.25))
    world.app.breaker.count_active()
    for number in range(12):
        world.directory.purge(f"p{number}")
        world.look(f"p{number}")
    minutes(world, 3)
    assert offboarded(world) == 2
    told = [cause.cause for cause in causes(world.store, "local")]
    assert len(told) == 2 and sum("the source went empty" in cause for cause in told) == 1
    assert any("the source went empty" in change.why for change in HeldBook(world.store).listed())


def test_the_urgent_pass_and_count_whether_they_were_held_before_or_not() -> None:
    world = World(replace(everyone(), breaker=replace(POLICY, urgent_groups=("Urgent",))))
    company(6, world=world)
    world.directory.add_member("g-urgent", "p0")
    leave(world, 0, 1, 2, 3)
    minutes(world, 2)
    assert [user.active for user in world.desk.users] == [False, False, True, True, True, True], "the urgent one took a slot of the two"
    world.directory.add_member("g-urgent", "p3")
    world.look("p3")
    minutes(world, 2)
    assert not world.desk.users[3].active and world.desk.users[2].active
    assert [change.partition.rpartition(":")[2] for change in HeldBook(world.store).listed()] == ["p2"]


def test_whoever_is_held_for_one_thing_may_leave_for_another() -> None:
    @workflow(version=1)
    def mover(ctx: Context) -> None:
        ctx.now()

    policy = replace(everyone(), breaker=replace(POLICY, workflows=("leaver", "mover"), hourly_min=1))
    policy = replace(policy, workflows={**policy.workflows, "mover": WorkflowPolicy()})
    world = company(3, world=World(policy, catalogue={**CATALOGUE, Moved: mover}))
    book = HeldBook(world.store)
    for number in (0, 1):
        world.directory.change(f"p{number}", department="Sales")
        world.look(f"p{number}")
    minutes(world, 2)
    assert [change.workflow for change in book.listed()] == ["mover"]
    leave(world, 1)
    minutes(world, 2)
    assert offboarded(world) == 1 and book.listed() == ()


# --- what is held


def test_only_the_excess_is_held_and_nothing_happens_to_it_however_long_it_takes() -> None:
    world = company(6)
    leave(world, *range(6))
    minutes(world, 60 * 30)
    assert offboarded(world) == 2
    held = HeldBook(world.store).listed()
    assert [change.partition.rpartition(":")[2] for change in held] == ["p2", "p3", "p4", "p5"]
    assert all(world.desk.users[number].active for number in (2, 3, 4, 5))
    assert world.actions("p2").count("held") == 1 and world.actions("p2").count("alert") == 1
    assert world.app.health()[1]["held"] == 4 and world.app.health()[1]["alerts"] <= 1


def test_a_held_row_whose_commit_never_came_goes_once_somebody_decides_about_it() -> None:
    world = company(1)
    HeldBook(world.store).put(HeldChange(partition="local|person:p0", workflow="leaver", at=world.clock.now(), why="cut off"))
    decide(world, HeldDecision.RELEASE, 0)
    minutes(world, 2)
    assert HeldBook(world.store).listed() == ()
    assert offboarded(world) == 0


def test_what_is_released_runs_once_and_counts() -> None:
    world = company(4)
    leave(world, *range(4))
    decide(world, HeldDecision.RELEASE, 2)
    minutes(world, 5)
    assert offboarded(world) == 3 and not world.desk.users[2].active
    assert world.app.health()[1]["held"] == 1
    minutes(world, 120)
    assert offboarded(world) == 3
    decide(world, HeldDecision.RELEASE, 3)
    minutes(world, 5)
    assert offboarded(world) == 4 and world.app.health()[1]["held"] == 0


def test_what_is_discarded_starts_nothing_and_is_not_held_again() -> None:
    world = company(4)
    leave(world, *range(4))
    decide(world, HeldDecision.DISCARD, 2, 3)
    minutes(world, 120)
    assert offboarded(world) == 2 and world.app.health()[1]["held"] == 0
    world.look("p2")
    minutes(world, 5)
    assert offboarded(world) == 2 and "hold discarded" in world.actions("p2")


def test_whoever_is_active_again_is_let_go_of_and_may_leave_another_day() -> None:
    world = company(4)
    leave(world, *range(4))
    for number in (2, 3):
        world.directory.change(f"p{number}", account_enabled=True)
        world.look(f"p{number}")
    minutes(world, 5)
    assert world.app.health()[1]["held"] == 0 and "hold ended" in world.actions("p2")
    assert [str(view.run.status) for view in world.runs() if view.run.workflow == "leaver"] == ["verified", "verified"]
    world.pass_time(hours=25)
    leave(world, 2)
    minutes(world, 5)
    assert offboarded(world) == 3


def test_somebody_who_is_gone_for_good_stays_held_and_runs_when_released() -> None:
    world = company(3)
    leave(world, 0, 1)
    world.directory.purge("p2")
    world.look("p2")
    minutes(world, 10)
    assert world.app.health()[1]["held"] == 1
    decide(world, HeldDecision.RELEASE, 2)
    minutes(world, 10)
    assert offboarded(world) == 3


def test_whoever_is_held_and_then_gone_without_a_trace_stays_held_and_keeps_the_word_that_was_said() -> None:
    """Absence is in doubt until the second look: until then nobody knows that they are back."""
    world = company(4)
    leave(world, 0, 1, 2, 3)
    world.pass_time(hours=2)
    for gone in ("p2", "p3"):
        world.directory.purge(gone)
        world.look(gone)
    decide(world, HeldDecision.RELEASE, 3)
    assert [change.decision for change in HeldBook(world.store).listed()] == [None, HeldDecision.RELEASE]
    minutes(world, 5)
    assert [user.active for user in world.desk.users] == [False, False, True, False], "there were slots, and nobody's word but for one"
    assert "hold ended" not in world.actions("p2") and world.app.health()[1]["held"] == 1


def test_a_held_change_survives_a_restart_and_an_open_joiner_goes_on_meanwhile() -> None:
    world = company(3)
    world.put(person("new", groups=("ITSM-NewJoiner",)))
    world.look("new")
    leave(world, 0, 1)
    world.directory.change("new", account_enabled=True)
    world.restart()
    leave(world, 2)
    world.restart()
    minutes(world, 10)
    assert world.app.health()[1]["held"] == 1
    assert [str(view.run.status) for view in world.runs()][-3:] == ["verified"] * 3


def test_the_index_of_the_active_follows_who_comes_and_goes() -> None:
    world = company(4, BreakerPolicy())
    assert len(world.store.list_index(ACTIVE)) == 4
    leave(world, 0, 1)
    minutes(world, 2)
    assert len(world.store.list_index(ACTIVE)) == 2 and not world.store.list_index(HELD)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_whoever_comes_first_takes_the_slots_and_all_run_in_the_end(order: tuple[int, ...]) -> None:
    world = company(3)
    leave(world, *order)
    assert [change.partition.rpartition(":")[2] for change in HeldBook(world.store).listed()] == [f"p{order[2]}"]
    decide(world, HeldDecision.RELEASE, *range(3))
    minutes(world, 5)
    assert offboarded(world) == 3


def test_a_slot_taken_before_a_crash_is_the_one_that_the_repeat_uses() -> None:
    world = company(3, replace(POLICY, hourly_min=1, daily_min=1))
    inner = world.store.commit
    struck: list[int] = []

    def crash(commit: object) -> str:
        if not struck and any(row.name.startswith("run.") for row in commit.put):  # type: ignore[attr-defined]
            struck.append(1)
            raise KeyboardInterrupt
        return inner(commit)  # type: ignore[arg-type]

    world.store.commit = crash
    with pytest.raises(KeyboardInterrupt):
        leave(world, 0)
    world.restart()
    world.look("p0")
    leave(world, 1)
    world.pass_time(timedelta(minutes=5))
    assert struck and offboarded(world) == 1 and world.app.health()[1]["held"] == 1
