"""What a newer release wrote stays as it is, and the message waits for that release."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from joinery.engine import journal
from joinery.engine.journal import JOURNAL_VERSION, KNOWN, Head, whole_head
from joinery.engine.memory import MemoryStateStore
from joinery.engine.partition import DUE
from joinery.engine.ports import Commit, Document, Row
from joinery.errors import OutcomeUnknown, UnknownJournal
from joinery.testing import TENANT, World, person

ADA = f"{TENANT}|person:ada"
JOINER = person("ada", groups=("ITSM-NewJoiner",))


def stored(world: World) -> tuple[Any, ...]:
    return world.store.read(ADA), world.store.scan(ADA, "~")


def rewrite(world: World, *put: Row, **head: Any) -> None:
    """What another release might leave behind."""
    snapshot = world.store.read(ADA)
    assert snapshot.head is not None
    world.store.commit(
        Commit(partition=ADA, expected=snapshot.etag, commit_id=f"newer than {snapshot.etag}", head={**snapshot.head, **head}, put=put)
    )


def joining(world: World) -> World:
    """Ada's joiner stands still at its first step, whose outcome is unknown."""
    world.put(JOINER)
    world.desk.fail(OutcomeUnknown("cut"))
    world.look("ada")
    world.pass_time(seconds=61)
    return world


def test_every_head_says_which_version_its_partition_is_written_in() -> None:
    world = World()
    world.put(JOINER)
    world.look("ada")
    head = world.store.read(ADA).head
    assert head is not None and head["version"] == JOURNAL_VERSION


def test_a_head_without_a_version_has_the_first_one() -> None:
    assert Head.from_document({"runs": 3}, partition=ADA).runs == 3


def test_a_partition_that_has_what_is_known_inside_its_head_is_read_and_written_beside_it() -> None:
    world = World()
    world.put(JOINER)
    world.look("ada")
    world.pass_time(minutes=30)
    snapshot = world.store.read(ADA)
    inside = {name: value for name, value in (whole_head(snapshot) or {}).items() if name != "commit_id"}
    first = Commit(partition=ADA, expected=snapshot.etag, commit_id="the first release", head={**inside, "version": 1}, delete=(KNOWN,))
    world.store.commit(first)

    world.put(JOINER.evolve(account_enabled=False))
    world.look("ada")
    world.pass_time(minutes=30)
    assert [str(view.run.status) for view in world.runs()] == ["verified", "verified"]
    head, rows = world.store.read(ADA).head, world.store.read(ADA).rows
    assert head is not None and head["version"] == JOURNAL_VERSION and KNOWN not in head
    assert [row.data["episode"]["stage"] for row in rows if row.name == KNOWN] == ["left"]


def test_what_is_known_is_written_only_where_it_changed() -> None:
    class Watching(MemoryStateStore):
        def __init__(self) -> None:
            super().__init__()
            self.written: list[bool] = []

        def commit(self, commit: Commit) -> str:
            self.written.append(any(row.name == KNOWN for row in commit.put))
            return super().commit(commit)

    store = Watching()
    world = World(store=store)
    world.put(JOINER)
    world.look("ada")
    world.pass_time(minutes=30)
    # First sight and the decision: everything between and after is about the run.
    assert sum(store.written) == 2 and len(store.written) > 6


def test_a_journal_of_a_newer_release_is_left_alone_and_goes_on_once_the_release_knows_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    world.put(JOINER)
    world.look("ada")
    rewrite(world, version=JOURNAL_VERSION + 1, invented={"kept": True})
    before = stored(world)
    with caplog.at_level(logging.WARNING):
        world.pass_time(hours=3)
        for _ in range(3):
            world.app.tick()
            world.work()
    assert stored(world) == before
    assert not world.desk.tickets and not world.app.parking.listed()
    assert world.queue.scheduled(), "the message is gone"
    [why] = {str(vars(record).get("why")) for record in caplog.records if vars(record).get("action") == "put_back"}
    assert ADA in why and f"version {JOURNAL_VERSION + 1}" in why and "deploy the newer release" in why
    monkeypatch.setattr(journal, "JOURNAL_VERSION", JOURNAL_VERSION + 1)
    world.restart()
    world.pass_time(hours=1)
    assert [ticket.kind for ticket in world.desk.tickets] == ["onboarding"]
    assert [str(view.run.status) for view in world.runs()] == ["verified"]
    head = world.store.read(ADA).head
    assert head is not None and head["version"] == JOURNAL_VERSION + 1


def test_one_partition_of_a_newer_release_does_not_hold_up_the_others() -> None:
    """The tick reads every due partition; a message that was lost is found all the same."""
    world = World()
    for identity in ("ada", "bob"):
        world.put(person(identity, groups=("ITSM-NewJoiner",)))
        world.look(identity)
    rewrite(world, version=99)
    world.queue = world.queue.__class__(world.clock)
    world.restart()
    world.clock.advance(timedelta(minutes=2))
    world.app.tick()
    world.pass_time(minutes=30)
    assert [(ticket.kind, ticket.user_id) for ticket in world.desk.tickets] == [("onboarding", world.desk.users[0].id)]
    assert [user.directory_id for user in world.desk.users] == ["bob"]
    assert any(ADA in row.name for row in world.store.list_index(DUE)), "the row that wakes Ada is gone"


def _run_of_an_unknown_state(rows: dict[str, Document]) -> Row:
    return Row(name="run.000001", data={**rows["run.000001"], "status": "hovering"})


def _run_for_an_unknown_fact(rows: dict[str, Document]) -> Row:
    return Row(name="run.000001", data={**rows["run.000001"], "fact": {"is": "Cloned", "of": "ada"}})


def _step_without_its_number(rows: dict[str, Document]) -> Row:
    return Row(name="run.000001.step.001", data={**rows["run.000001.step.001"], "n": "first"})


def _step_that_asks_for_something_unknown(rows: dict[str, Document]) -> Row:
    return Row(name="run.000001.step.001", data={**rows["run.000001.step.001"], "order": {"is": "OrderLaptop"}})


@pytest.mark.parametrize(
    "harm", [_run_of_an_unknown_state, _run_for_an_unknown_fact, _step_without_its_number, _step_that_asks_for_something_unknown]
)
def test_a_row_that_cannot_be_read_is_named_and_left_alone_until_it_can(harm: Any) -> None:
    world = joining(World())
    sound = {row.name: row.data for row in world.store.read(ADA).rows}
    bad = harm(sound)
    rewrite(world, bad)
    before = stored(world)
    with pytest.raises(UnknownJournal, match=rf"person:ada, row {bad.name} cannot be read .*deploy the release"):
        world.app.dispatcher.open_partition(ADA)
    world.pass_time(minutes=10)
    world.look("ada")
    assert stored(world) == before
    rewrite(world, Row(name=bad.name, data=sound[bad.name]))
    world.pass_time(hours=1)
    assert [ticket.kind for ticket in world.desk.tickets] == ["onboarding"]
    assert [str(view.run.status) for view in world.runs()] == ["verified"]
