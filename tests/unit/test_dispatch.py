"""One envelope about one person, on its odd days: pauses, rings, races, a store or bus that does not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from joinery.domain.events import Joined
from joinery.domain.person import Sighting
from joinery.domain.policy import Ring, WorkflowPolicy
from joinery.engine.envelope import Envelope, EnvelopeKind, person_subject
from joinery.engine.journal import whole_head
from joinery.engine.memory import FakeClock, MemoryQueue, MemoryStateStore
from joinery.engine.ports import Commit
from joinery.engine.retry import EngineTiming
from joinery.errors import LostRace, QueueUnavailable, Refused, StoreUnavailable, TryLater
from joinery.testing import TENANT, World, everyone, person
from workflows import CATALOGUE

ADA = person("ada", groups=("ITSM-NewJoiner",))


def in_ring(**rings: Ring) -> World:
    return World(replace(everyone(), workflows={name: WorkflowPolicy(ring=ring) for name, ring in rings.items()}))


def statuses(world: World) -> list[tuple[str, str]]:
    return [(view.run.workflow, str(view.run.status)) for view in world.runs()]


def head(world: World) -> dict[str, Any]:
    stored = whole_head(world.store.read("local|person:ada"))
    assert stored is not None
    return dict(stored)


def held(world: World) -> int:
    """Messages in the queue, for now and for later."""
    return (world.queue.waiting() or 0) + (world.queue.scheduled() or 0)


# --- rings ---


def test_shadow_plans_once_touches_nothing_and_leaves_the_baseline() -> None:
    world = in_ring(joiner=Ring.SHADOW)
    world.put(ADA)
    for _ in range(6):
        world.look("ada")
        world.pass_time(minutes=5)
    assert statuses(world) == [("joiner", "planned")]
    assert {call.method for call in world.desk.calls} <= {"find_similar"}
    assert head(world)["known"]["baseline"] is None
    world.pass_time(minutes=2)
    assert held(world) == 0


def test_a_rehearsal_is_not_told_again_with_every_look_even_with_a_role_group_beside_it() -> None:
    world = in_ring(joiner=Ring.SHADOW)
    world.put(ADA.evolve(groups=frozenset({"ITSM-NewJoiner", "ITSM-ServiceDesk"})))
    for _ in range(3):
        world.look("ada")
        world.pass_time(minutes=5)
    told = len(world.audit("ada"))
    for _ in range(5):
        world.look("ada")
        world.pass_time(minutes=5)
    assert len(world.audit("ada")) == told


def test_a_fact_that_went_away_and_came_back_is_rehearsed_again() -> None:
    world = in_ring(joiner=Ring.EVERYONE, leaver=Ring.SHADOW)
    world.put(ADA)
    world.look("ada")
    world.pass_time(minutes=20)
    for enabled in (False, True, False):
        world.directory.change("ada", account_enabled=enabled)
        world.look("ada")
        world.pass_time(minutes=5)
    assert statuses(world) == [("joiner", "verified"), ("leaver", "planned"), ("leaver", "planned")]
    assert world.desk.users[0].active


def test_a_shadowed_leaver_does_not_overtake_a_live_joiner() -> None:
    world = in_ring(joiner=Ring.EVERYONE, leaver=Ring.SHADOW)
    world.desk.fail(TryLater("busy"), times=3)
    world.put(ADA)
    world.look("ada")
    world.pass_time(seconds=61)
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(minutes=20)
    assert statuses(world) == [("joiner", "verified"), ("leaver", "planned")]


def test_off_records_and_moves_on() -> None:
    world = in_ring(joiner=Ring.OFF)
    world.put(ADA)
    world.look("ada")
    world.pass_time(minutes=5)
    assert world.runs() == [] and world.desk.calls == []
    assert head(world)["known"]["baseline"] is not None
    world.policy = everyone()
    world.restart()
    world.look("ada")
    world.pass_time(minutes=5)
    assert world.runs() == [], "what was decided while it was off stays decided"


# --- pause ---


@pytest.mark.parametrize("what", ["*", "joiner"])
def test_pause_stops_effects_and_not_intake_and_resume_does_them_once(what: str) -> None:
    world = World()
    world.app.pauses.pause(what, "change freeze")
    world.put(ADA)
    world.look("ada")
    world.pass_time(hours=3)
    assert statuses(world) == [("joiner", "open")]
    assert [call for call in world.desk.calls if call.method == "perform"] == []
    assert world.runs()[0].run.waiting_for == "paused: change freeze"
    assert world.app.pauses.resume(what)
    world.pass_time(minutes=20)
    assert statuses(world) == [("joiner", "verified")]
    assert len(world.desk.tickets) == 1


def test_pause_of_one_workflow_leaves_the_others_alone() -> None:
    world = World()
    world.app.pauses.pause("leaver", "x")
    world.put(ADA)
    world.look("ada")
    world.pass_time(minutes=20)
    assert statuses(world) == [("joiner", "verified")]


def test_days_of_pause_are_not_days_of_trying() -> None:
    world = World(timing=EngineTiming(pause_recheck=timedelta(minutes=10)))
    world.desk.fail(TryLater("busy"), times=3)
    world.put(ADA)
    world.look("ada")
    world.pass_time(seconds=61)
    world.app.pauses.pause("*", "x")
    world.pass_time(days=4)
    world.app.pauses.resume("*")
    world.desk.fail(TryLater("busy"), times=2)
    world.pass_time(hours=1)
    assert statuses(world) == [("joiner", "verified")]


# --- storms, outages, races ---


def test_a_directory_that_is_down_for_a_day_gets_few_calls_and_nothing_multiplies() -> None:
    """One message per message: the tick must not add a copy every minute."""
    world = World()
    world.put(ADA)
    world.look("ada")
    world.directory.fail(TryLater("down"), times=100_000)
    for _ in range(240):
        world.pass_time(minutes=1)
        world.app.tick()
    world.work()
    assert held(world) <= 2
    assert world.directory.looks["ada"] < 400
    world.directory._errors.clear()
    world.pass_time(minutes=20)
    assert statuses(world) == [("joiner", "verified")]


def test_nothing_is_asked_before_the_moment_that_the_directory_named() -> None:
    for seed in range(20):
        world = World(seed=seed)
        world.look("nobody")
        world.put(ADA)
        world.directory.fail(TryLater("throttled", after=timedelta(seconds=100)))
        world.look("ada")
        world.pass_time(seconds=99)
        assert world.directory.looks["ada"] == 1
        world.pass_time(seconds=60)
        assert world.directory.looks["ada"] >= 2


def test_while_the_directory_is_down_the_desk_gets_what_was_decided_before() -> None:
    world = World()
    world.desk.fail(TryLater("busy"), times=6)
    world.put(ADA)
    world.look("ada")
    world.pass_time(seconds=61)
    world.directory.change("ada", account_enabled=True)
    gone = world.directory._people.pop("ada")
    world.look("ada")
    world.directory._people["ada"] = gone
    world.directory.fail(TryLater("down"), times=1000)
    world.pass_time(minutes=30)
    assert statuses(world) == [("joiner", "verified")]
    assert held(world) <= 5


def test_a_directory_that_refuses_is_asked_again_until_it_is_mended() -> None:
    world = World()
    world.put(ADA)
    world.directory.fail(Refused("no permission"), times=6)
    world.look("ada")
    world.pass_time(hours=3)
    assert statuses(world) == [("joiner", "verified")]


class FailingStore(MemoryStateStore):
    """Fails at its n-th call, before it or (a lost reply) after it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.fails_at: int | None = None
        self.after = False
        self.error: Exception = StoreUnavailable("not now")

    def _around(self, act: Callable[[], Any]) -> Any:
        self.calls += 1
        if self.calls == self.fails_at and not self.after:
            raise self.error
        result = act()
        if self.calls == self.fails_at:
            raise self.error
        return result

    def read(self, partition: str) -> Any:
        return self._around(lambda: MemoryStateStore.read(self, partition))

    def commit(self, commit: Commit) -> Any:
        return self._around(lambda: MemoryStateStore.commit(self, commit))

    def put_index(self, index: str, key: str, data: dict[str, Any]) -> None:
        self._around(lambda: MemoryStateStore.put_index(self, index, key, data))

    def delete_index(self, index: str, key: str) -> None:
        self._around(lambda: MemoryStateStore.delete_index(self, index, key))

    def read_shared(self, name: str) -> Any:
        return self._around(lambda: MemoryStateStore.read_shared(self, name))

    def replace_shared(self, name: str, data: dict[str, Any], *, expected: str | None) -> Any:
        return self._around(lambda: MemoryStateStore.replace_shared(self, name, data, expected=expected))


def whole_life(store: FailingStore) -> World:
    world = World(store=store)
    for leaves in (False, True):
        if leaves:
            world.directory.change("ada", account_enabled=False)
        else:
            world.put(ADA)
        world.look("ada")
        for _ in range(25):
            world.pass_time(minutes=1)
            at, store.fails_at = store.fails_at, None
            world.app.tick()
            store.fails_at = at
    return world


@pytest.mark.parametrize("after", [False, True], ids=["not answered", "answer lost"])
def test_a_store_that_fails_at_any_one_call_loses_and_doubles_nothing(after: bool) -> None:
    plain = FailingStore()
    whole_life(plain)
    for at in range(1, plain.calls):
        store = FailingStore()
        store.fails_at, store.after = at, after
        world = whole_life(store)
        assert statuses(world) == [("joiner", "verified"), ("leaver", "verified")], at
        assert [ticket.kind for ticket in world.desk.tickets] == ["onboarding", "offboarding"], at
        assert len(world.desk.notes) == 2 and not world.desk.users[0].active, at


def test_a_race_lost_at_any_commit_doubles_nothing() -> None:
    class Racing(FailingStore):
        def commit(self, commit: Commit) -> Any:
            self.calls += 1
            if self.calls == self.fails_at:
                snapshot = MemoryStateStore.read(self, commit.partition)
                if snapshot.head is not None:
                    rival = replace(commit, commit_id="rival", head=snapshot.head, expected=snapshot.etag, put=(), delete=())
                    MemoryStateStore.commit(self, rival)
                else:
                    raise LostRace("somebody was first")
            return MemoryStateStore.commit(self, commit)

        def _around(self, act: Callable[[], Any]) -> Any:
            return act()

    plain = Racing()
    whole_life(plain)
    assert plain.calls > 10
    for at in range(1, plain.calls + 1):
        store = Racing()
        store.fails_at = at
        world = whole_life(store)
        assert statuses(world) == [("joiner", "verified"), ("leaver", "verified")], at
        assert [ticket.kind for ticket in world.desk.tickets] == ["onboarding", "offboarding"], at
        assert len(world.desk.notes) == 2, at


def test_a_worker_that_lost_its_lock_in_the_middle_of_a_call_and_its_successor_open_one_ticket() -> None:
    """The first worker stalls inside the desk's call; the second takes the session over and ends the run."""
    world = World()
    world.put(ADA)
    world.look("ada")
    plain = world.desk.perform
    stalled: list[int] = []

    def perform(order: Any, key: str, *, within: timedelta) -> Any:
        result = plain(order, key, within=within)
        if type(order).__name__ == "OpenTicket" and not stalled:
            stalled.append(1)
            first = world.app
            world.restart()
            world.queue_up(person_subject("ada"), EnvelopeKind.LOOK)
            world.pass_time(minutes=2)
            world.app = first
        return result

    world.desk.perform = perform  # type: ignore[method-assign]  # a call that takes two minutes
    world.pass_time(minutes=30)
    assert stalled and len(world.desk.tickets) == 1
    assert statuses(world) == [("joiner", "verified")]
    assert len(world.desk.notes) == 1


def test_a_call_is_not_sent_once_its_moment_has_passed() -> None:
    """A worker that sleeps between the commit of its intent and the call sends nothing."""
    slow: list[int] = []

    class Sleepy(MemoryStateStore):
        def commit(self, commit: Commit) -> str:
            etag = MemoryStateStore.commit(self, commit)
            intended = any(
                "step" in row.name and row.data.get("state") == "intent" and row.data["asks"] == "OpenTicket" for row in commit.put
            )
            if intended and not slow:
                slow.append(len(world.desk.calls))
                world.clock.advance(seconds=11)
            return etag

    world = World(store=Sleepy())
    world.put(ADA)
    world.look("ada")
    world.pass_time(minutes=20)
    assert slow and world.desk.calls[slow[0]].method != "perform"
    assert len(world.desk.tickets) == 1 and statuses(world) == [("joiner", "verified")]


def test_a_bus_that_takes_nothing_loses_nothing() -> None:
    world = World()
    world.put(ADA)
    world.queue_up(person_subject("ada"), EnvelopeKind.LOOK)
    [message] = world.queue.receive_due()
    world.queue.unavailable = True
    world.app.handle(message.body)
    world.queue.unavailable = False
    assert held(world) == 0, "the wake was not taken"
    world.pass_time(minutes=2)
    world.app.tick()
    for _ in range(20):
        world.pass_time(minutes=1)
        world.app.tick()
    assert statuses(world) == [("joiner", "verified")]


def test_if_store_and_bus_are_both_down_the_message_stays_with_the_bus() -> None:
    world = World()
    world.put(ADA)
    world.queue_up(person_subject("ada"), EnvelopeKind.LOOK)
    [message] = world.queue.receive_due()
    world.queue.unavailable = world.store.unavailable = True
    with pytest.raises(QueueUnavailable):
        world.app.handle(message.body)


def test_while_the_store_is_down_the_pauses_grow_and_the_message_survives() -> None:
    world = World()
    world.put(ADA)
    world.store.unavailable = True
    world.look("ada")
    for _ in range(12):
        world.pass_time(minutes=10)
        assert held(world) == 1
    assert len(world.queue.sent) < 15
    world.store.unavailable = False
    world.pass_time(hours=2)
    assert statuses(world) == [("joiner", "verified")]


def test_a_bus_whose_clock_is_ahead_does_not_make_us_send_ourselves_messages_in_a_ring() -> None:
    world = World()
    ahead = FakeClock(world.clock.now() + timedelta(seconds=3))
    world.queue = MemoryQueue(ahead)
    world.restart()
    world.put(ADA)
    world.queue_up(person_subject("ada"), EnvelopeKind.LOOK)
    for _ in range(300):
        while messages := world.queue.receive_due():
            for message in messages:
                world.app.handle(message.body)
            assert len(world.queue.sent) < 12
        world.clock.advance(seconds=0.5)
        ahead.advance(seconds=0.5)
    assert statuses(world) == [("joiner", "verified")]
    assert len(world.queue.sent) < 12


def test_who_was_never_seen_leaves_nothing_behind() -> None:
    world = World()
    world.look("nobody", times=3)
    world.queue_up(person_subject("nobody"), EnvelopeKind.WAKE)
    world.pass_time(minutes=2)
    assert world.store.partitions() == [] and held(world) == 0


def test_a_run_is_listed_once_whatever_was_written_before_a_commit_that_never_came() -> None:
    store = MemoryStateStore()
    world = World(store=store)
    world.put(ADA)
    world.look("ada")
    failed: list[int] = []
    plain = store.commit

    def commit(commit: Commit) -> str:
        if not failed and any(row.name.startswith("run.") for row in commit.put):
            failed.append(1)
            raise StoreUnavailable("not now")
        return plain(commit)

    store.commit = commit  # type: ignore[method-assign]  # fails once
    world.pass_time(minutes=20)
    assert failed and len(world.runs()) == 1


def test_facts_without_a_recipe_are_recorded_and_start_nothing() -> None:
    world = World(catalogue={Joined: CATALOGUE[Joined]})
    world.put(person("ada"))
    world.look("ada")
    world.put(person("ada", department="Legal", display_name="Ada L.", groups=("ITSM-Admins",)))
    world.look("ada")
    world.pass_time(minutes=2)
    facts = [line.record.detail["fact"]["is"] for line in world.audit("ada") if line.record.action == "fact"]
    assert facts == ["RolesChanged", "Moved", "Renamed"]
    assert world.runs() == []


def test_the_same_news_is_told_once() -> None:
    world = World()
    world.put(person("ada"))
    world.look("ada", times=5)
    assert [line.record.why for line in world.audit("ada")] == [
        "first sight, not in ITSM-NewJoiner: taken in as they are",
        "nothing that matters changed",
    ]


def test_a_change_that_the_first_look_does_not_show_is_seen_at_the_second() -> None:
    """Whoever told us may be ahead of the replica that answers; nobody tells it again."""
    world = World()
    world.put(person("ada"))
    world.look("ada")
    world.pass_time(minutes=2)
    world.directory.stale_looks("ada")
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    assert statuses(world) == []
    world.pass_time(minutes=2)
    assert statuses(world) == [("leaver", "verified")]


def test_somebody_who_is_disabled_and_enabled_again_is_seen_to_be_back_though_the_replica_lags_and_nobody_tells_again() -> None:
    """Both changes in one page of the sweep are one look."""
    world = World()
    world.put(person("ada", groups=("ITSM-NewJoiner",)))
    world.look("ada")
    world.pass_time(minutes=30)
    world.directory.change("ada", account_enabled=False)
    world.directory.stale_looks("ada")
    world.directory.change("ada", account_enabled=True)
    world.look("ada")
    assert head(world)["known"]["episode"]["stage"] == "left"
    world.pass_time(minutes=30)
    assert head(world)["known"]["episode"]["stage"] == "active"


def test_the_second_look_is_remembered_where_the_bus_does_not_take_it() -> None:
    """Put back, the hint would leave one more message each time that the bus took it and did not say so."""
    world = World()
    world.put(person("ada"))
    world.look("ada")
    world.pass_time(minutes=2)
    world.directory.stale_looks("ada")
    world.directory.change("ada", account_enabled=False)
    world.queue.unavailable = True
    sent = len(world.queue.sent)
    world.app.handle(
        Envelope(tenant=TENANT, subject=person_subject("ada"), kind=EnvelopeKind.LOOK, cause="test", at=world.clock.now()).encode()
    )
    assert len(world.queue.sent) == sent
    world.queue.unavailable = False
    world.clock.advance(minutes=2)
    world.app.tick()
    world.work()
    assert statuses(world) == [("leaver", "verified")]


def test_the_second_look_waits_on_the_clock_of_the_bus_where_ours_is_behind() -> None:
    world = World()
    world.put(person("ada"))
    world.look("ada")
    world.pass_time(minutes=20)
    ahead = world.clock.now() + timedelta(hours=1)
    look = Envelope(tenant=TENANT, subject=person_subject("ada"), kind=EnvelopeKind.LOOK, cause="test", at=world.clock.now())
    world.app.handle(look.encode(), enqueued_at=ahead)
    assert world.queue.sent[-1].not_before == ahead + world.policy.timing.second_look


def test_evidence_is_as_old_as_the_question_however_long_the_answer_takes() -> None:
    """An answer that says "joiner" may have been true when it was asked for, and not any more when it is read."""

    world = World()
    quick = world.directory.look

    def slow(person_id: str, groups: Iterable[str]) -> Sighting:
        seen = quick(person_id, groups)
        world.clock.advance(seconds=50)
        return seen

    world.directory.look = slow  # type: ignore[method-assign]  # slow from now on
    world.put(ADA)
    hint = Envelope(tenant=TENANT, subject=person_subject("ada"), kind=EnvelopeKind.LOOK, cause="test", at=world.clock.now()).encode()
    world.app.handle(hint)
    world.clock.advance(seconds=5)
    world.app.handle(hint)
    assert world.runs() == [], "the second question was put 55 seconds after the first"
    world.app.handle(hint)
    assert statuses(world) == [("joiner", "verified")]
