"""The effect protocol and the twin check, where their order and their memory matter."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from joinery.domain.tickets import AddNote, OpenTicket
from joinery.engine.memory import MemoryStateStore
from joinery.engine.ports import Commit
from joinery.errors import OutcomeUnknown, Refused, StoreUnavailable, TryLater
from joinery.testing import World, person

ADA = person("ada", groups=("ITSM-NewJoiner",))


def joining(world: World | None = None, seconds: float = 61) -> World:
    world = world or World()
    world.put(ADA)
    world.look("ada")
    world.pass_time(seconds=seconds)
    return world


def statuses(world: World) -> list[str]:
    return [str(view.run.status) for view in world.runs()]


def calls(world: World, kind: type) -> list[str]:
    return [call.method for call in world.desk.calls if isinstance(call.order, kind)]


def alerts(world: World) -> list[str]:
    return [line.record.why for line in world.audit("ada") if line.record.action == "alert"]


def test_a_create_looks_intends_performs_and_reads_back_in_this_order() -> None:
    order: list[str] = []

    class Watched(MemoryStateStore):
        def commit(self, commit: Commit) -> str:
            states = [row.data["state"] for row in commit.put if row.data.get("asks") == "OpenTicket"]
            order.extend(f"commit {state}" for state in states)
            return MemoryStateStore.commit(self, commit)

    world = World(store=Watched())
    plain = world.desk._received

    def received(method: str, asked: Any, key: str) -> Any:
        if isinstance(asked, OpenTicket):
            order.append(method)
        return plain(method, asked, key)

    world.desk._received = received  # type: ignore[method-assign,assignment]  # listens
    joining(world)
    assert order[:6] == ["find", "find_similar", "commit intent", "perform", "read_back", "commit done"]


def test_without_an_intent_in_the_store_nothing_is_sent() -> None:
    class NoIntents(MemoryStateStore):
        def commit(self, commit: Commit) -> str:
            if any(row.data.get("state") == "intent" for row in commit.put):
                raise StoreUnavailable("not now")
            return MemoryStateStore.commit(self, commit)

    world = joining(World(store=NoIntents()), seconds=3600)
    assert "perform" not in [call.method for call in world.desk.calls]


def test_an_open_intent_is_not_looked_up_before_its_deadline_and_the_lag_have_passed() -> None:
    world = World()
    world.desk.fail(OutcomeUnknown("cut"), asks=OpenTicket)
    joining(world, seconds=60 + 11.9)
    assert calls(world, OpenTicket) == ["find", "find_similar", "perform"]
    world.pass_time(seconds=0.2)
    assert calls(world, OpenTicket)[3:] == ["find"]
    world.pass_time(seconds=1.8)
    assert calls(world, OpenTicket)[3:4] == ["find"] and calls(world, OpenTicket).count("perform") == 1
    world.pass_time(seconds=0.2)
    assert calls(world, OpenTicket).count("perform") == 2


def test_a_search_lag_that_was_raised_while_an_intent_was_open_is_waited_for() -> None:
    world = World()
    world.desk.fail(OutcomeUnknown("cut"), asks=OpenTicket, after_effect=True)
    joining(world, seconds=60)
    # The setting was wrong: this desk shows a new ticket much later, and a restart brought the right one.
    world.desk.search_lag = world.desk.index_lag = timedelta(seconds=60)
    world.pass_time(seconds=69)
    assert calls(world, OpenTicket) == ["find", "find_similar", "perform"]
    world.pass_time(minutes=5)
    assert len(world.desk.tickets) == 1


def test_a_new_look_during_the_wait_does_not_shorten_it() -> None:
    world = World()
    world.desk.fail(OutcomeUnknown("cut"), asks=OpenTicket, after_effect=True)
    joining(world, seconds=62)
    for _ in range(20):
        world.look("ada")
    assert calls(world, OpenTicket) == ["find", "find_similar", "perform"]


def test_the_live_call_gets_what_is_left_of_its_deadline() -> None:
    world = World()
    within: list[timedelta] = []
    plain = world.desk.perform

    def perform(order: Any, key: str, *, within_: list[timedelta] = within, **rest: timedelta) -> Any:
        within_.append(rest["within"])
        return plain(order, key, **rest)

    world.desk.perform = perform  # type: ignore[method-assign]  # listens
    joining(world)
    assert within and all(timedelta(0) < one <= timedelta(seconds=10) for one in within)


def test_a_stray_is_not_called_a_stray_while_the_run_may_still_adopt_it() -> None:
    """Given up for lost, it lands late while the workflow is paused; then the run finds it."""
    world = World()
    world.desk.land_late(timedelta(minutes=3), asks=OpenTicket)
    world.desk.fail(TryLater("busy"), asks=OpenTicket)
    joining(world, seconds=75)
    world.app.pauses.pause("joiner", "x")
    world.pass_time(hours=1)
    assert statuses(world) == ["open"] and not world.desk.notes
    world.app.pauses.resume("joiner")
    world.pass_time(hours=2)
    assert statuses(world) == ["verified"]
    assert len(world.desk.tickets) == 1
    assert not [note for note in world.desk.notes if "close" in note.text]
    assert alerts(world) == []


def test_a_twin_check_that_nobody_answers_is_given_up_with_an_alert() -> None:
    world = joining(seconds=120)
    world.desk.fail(Refused("no searching"), method="find", times=5000)
    world.pass_time(hours=60)
    assert len(alerts(world)) == 3 and all("could look for twins" in alert for alert in alerts(world))
    assert (world.queue.scheduled() or 0) == 0
    assert not world.app.reads.checks("local|person:ada")


def test_a_twin_check_weathers_a_busy_desk() -> None:
    world = joining(seconds=120)
    world.desk.fail(TryLater("busy"), method="find", times=12)
    world.pass_time(hours=3)
    assert alerts(world) == []
    assert world.actions("ada").count("twin check") == 3


def test_a_twin_that_takes_no_note_is_told_all_the_same_and_once() -> None:
    world = World()
    world.desk.land_late(timedelta(minutes=2), asks=OpenTicket)
    joining(world, seconds=300)
    world.desk.fail(Refused("the ticket is closed"), asks=AddNote, times=50)
    world.pass_time(hours=3)
    assert len(alerts(world)) == 1 and "refused the note" in alerts(world)[0]


def test_the_check_comes_fifteen_minutes_after_each_create() -> None:
    world = joining(seconds=60 + 15 * 60 - 1)
    assert "twin check" not in world.actions("ada")
    world.pass_time(seconds=15)
    assert world.actions("ada").count("twin check") == 3


def test_pause_holds_the_twin_check_too() -> None:
    world = joining(seconds=120)
    world.app.pauses.pause("*", "x")
    world.desk.calls.clear()
    world.pass_time(hours=2)
    assert world.desk.calls == []
    world.app.pauses.resume("*")
    world.app.tick()
    world.pass_time(minutes=1)
    assert world.actions("ada").count("twin check") == 3


def test_keys_are_the_same_for_the_same_step_and_differ_for_every_other() -> None:
    world = joining()
    keys = {step.name: step.key for step in world.runs()[0].steps}
    assert len(set(keys.values())) == len(keys)
    assert all(key.startswith("test-") and len(key) == len("test-") + 16 for key in keys.values())
    again = joining()
    assert {step.name: step.key for step in again.runs()[0].steps} == keys


def test_each_look_finds_the_due_row_of_what_waits_before_the_commit_that_needs_it() -> None:
    """Index first: a crash right after a commit must leave a row that the tick can find."""

    class Strict(MemoryStateStore):
        def commit(self, commit: Commit) -> str:
            key = commit.head["due_key"]
            assert not key or any(row.name == key for row in self.list_index("due")), "committed before its due row was written"
            for row in commit.put:
                if row.name.startswith("run.") and "step" not in row.name:
                    assert any(one.data["id"] == row.data["id"] for one in self.list_index("runs"))
            assert any(row.name == commit.partition for row in self.list_index("persons"))
            return MemoryStateStore.commit(self, commit)

    world = World(store=Strict())
    world.desk.fail(OutcomeUnknown("cut"), asks=OpenTicket)
    joining(world, seconds=3600)
    assert statuses(world) == ["verified"]
