"""What no notification told, a sweep finds: the end is the same, and nothing runs for ever."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from joinery.domain.moments import to_text
from joinery.domain.person import Sighting
from joinery.domain.policy import BreakerPolicy
from joinery.engine.breaker import HeldBook, HeldChange
from joinery.engine.envelope import EnvelopeKind, person_subject
from joinery.engine.partition import OPEN_RUNS
from joinery.engine.ports import DeltaPage, LinkExpired, Outgoing
from joinery.engine.sweeps import STARTED
from joinery.errors import QueueUnavailable, Refused, TryLater
from joinery.testing import World, everyone, person

ADA = person("ada", groups=("ITSM-NewJoiner",))


def swept(world: World, minutes: int = 0) -> World:
    """A sweep, then time with a tick a minute and a sweep every five."""
    world.app.sweep()
    world.work()
    for minute in range(minutes):
        world.pass_time(minutes=1)
        world.app.tick()
        if minute % 5 == 4:
            world.app.sweep()
            world.work()
    return world


def end(world: World) -> tuple[list[tuple[str, str]], list[str], list[bool], int]:
    runs = [(view.run.workflow, str(view.run.status)) for view in world.runs()]
    return runs, [ticket.kind for ticket in world.desk.tickets], [user.active for user in world.desk.users], len(world.desk.notes)


STEPS: tuple[Callable[[World], None], ...] = (
    lambda world: world.put(person("ada")),
    lambda world: world.put(ADA),
    lambda world: world.directory.change("ada", department="Legal"),
    lambda world: world.directory.change("ada", account_enabled=False),
)
EXPECTED = (
    [("joiner", "verified"), ("mover", "verified"), ("leaver", "verified")],
    ["onboarding", "move", "offboarding"],
    [False],
    3,
)


def told(delivery: Callable[[World, int], None]) -> World:
    """The story, each state of which lasts until one look."""
    world = World()
    swept(world)
    for number, step in enumerate(STEPS):
        step(world)
        delivery(world, number)
        world.pass_time(minutes=30)
    return world


def sweeps_only(world: World, number: int) -> None:
    swept(world, 10)


def test_every_notification_three_times() -> None:
    assert end(told(lambda world, _: world.look("ada", times=3))) == EXPECTED


def test_no_notification_at_all() -> None:
    assert end(told(sweeps_only)) == EXPECTED


def test_every_notification_two_days_late_after_the_sweeps_found_it() -> None:
    world = told(sweeps_only)
    world.pass_time(days=2)
    for _ in range(4):
        world.look("ada", times=3)
        world.pass_time(minutes=30)
    assert end(world) == EXPECTED


@pytest.mark.parametrize("seed", range(8))
def test_notifications_about_many_people_in_any_order_and_number(seed: int) -> None:
    order = random.Random(seed)
    names = [f"p{number}" for number in range(6)]
    world = World()
    world.app.sweep()
    for enabled in (True, False):
        for name in names:
            world.put(person(name, groups=("ITSM-NewJoiner",), account_enabled=enabled))
        post = names * 3
        order.shuffle(post)
        for name in post:
            world.queue_up(person_subject(name), EnvelopeKind.LOOK)
        world.pass_time(minutes=30)
    kinds = [ticket.kind for ticket in world.desk.tickets]
    assert (kinds.count("onboarding"), kinds.count("offboarding")) == (6, 6)
    assert all(str(view.run.status) == "verified" for view in world.runs())


def test_the_first_sweep_looks_at_everybody_and_the_next_at_nobody() -> None:
    world = World()
    for number in range(5):
        world.put(person(f"p{number}"))
    swept(world)
    looks = world.directory.looks.total()
    calls = world.directory.calls["people_delta"] + world.directory.calls["groups_delta"]
    report = world.app.sweep()
    assert (report.people, report.groups) == (0, 0)
    assert world.directory.calls["people_delta"] + world.directory.calls["groups_delta"] == calls + 2
    world.work()
    assert world.directory.looks.total() == looks


def test_a_sweep_that_dies_at_any_send_is_repeated_and_misses_nobody() -> None:
    for dies_at in range(1, 6):
        world = World()
        world.directory._page_size = 2
        for number in range(5):
            world.put(person(f"p{number}", groups=("ITSM-NewJoiner",)))
        plain: Callable[[Iterable[Outgoing]], None] = world.queue.send
        sends: list[int] = []

        def send(messages: Iterable[Outgoing], plain=plain, sends=sends, dies_at=dies_at) -> None:  # type: ignore[no-untyped-def]  # bound per turn
            sends.append(1)
            if len(sends) == dies_at:
                raise QueueUnavailable("gone")
            plain(messages)

        world.queue.send = send  # type: ignore[method-assign]  # fails once
        try:
            world.app.sweep()
        except QueueUnavailable:
            world.restart()
            world.app.sweep()
        world.pass_time(minutes=20)
        assert len(world.desk.tickets) == 5, dies_at


def test_after_an_expired_link_everybody_is_compared_and_who_is_gone_without_a_trace_leaves() -> None:
    world = World()
    # Nobody is in a watched group: only the comparison of the people can tell.
    for name in ("ada", "bob"):
        world.put(person(name))
    swept(world, 10)
    world.directory.purge("ada")
    world.directory.expire_links()
    swept(world, 20)
    runs = sorted((view.partition[-3:], view.run.workflow) for view in world.runs())
    assert runs == [("ada", "leaver")]


def test_after_an_expired_link_who_left_a_watched_group_meanwhile_is_looked_at() -> None:
    world = World()
    world.put(person("ada", groups=("ITSM-Admins",)))
    swept(world, 15)
    world.directory.end_membership("g-itsm-admins", "ada")
    world.directory.expire_links()
    world.directory.looks.clear()
    etag, _ = world.store.read_shared("delta-people")
    # The people's link knows nothing of it: only the comparison of the group can tell.
    world.store.replace_shared("delta-people", {"link": world.directory.people_delta(None).delta_link, "about": None}, expected=etag)
    swept(world, 1)
    facts = [line.record.detail["fact"] for line in world.audit("ada") if line.record.action == "fact"]
    assert facts[-1]["lost"] == ["ITSM-Admins"]


def test_links_that_expire_at_once_end_the_sweep() -> None:
    class Odd(World):
        pages = 0

    world = Odd()
    plain = world.directory.people_delta

    def people_delta(link: str | None) -> DeltaPage:
        Odd.pages += 1
        assert Odd.pages < 10, "the sweep goes round in a ring"
        if link is not None:
            raise LinkExpired("too old")
        return DeltaPage(person_ids=("ada",), next_link="next")

    assert plain is not None
    world.directory.people_delta = people_delta  # type: ignore[method-assign]  # an odd directory
    with pytest.raises(TryLater):
        world.app.sweep()


def test_dangling_rows_are_swept_and_living_ones_are_not() -> None:
    world = World()
    world.store.put_index(OPEN_RUNS, "local|person:ghost|000001", {"id": "x", "at": "2020-01-01T00:00:00.000000Z"})
    world.store.put_index("due", "2020-01-01T00:00:00.000000Z|local|person:ghost", {"partition": "local|person:ghost"})
    world.desk.fail(TryLater("busy"), times=200)
    world.put(ADA)
    world.look("ada")
    world.pass_time(hours=1)
    world.app.sweep()
    world.app.tick()
    assert [row.data["id"] for row in world.store.list_index(OPEN_RUNS)] == [world.runs()[0].run.id]
    assert "ghost" not in str(world.store.list_index("due"))


def test_a_held_change_that_nobody_holds_is_listed_no_more_and_one_that_waits_for_a_person_is() -> None:
    world = World(replace(everyone(), breaker=BreakerPolicy(hourly_min=0, hourly_share=0, daily_min=0, daily_share=0)))
    for one in ("ada", "ben"):
        world.put(person(one, groups=("ITSM-NewJoiner",)))
        world.look(one)
    world.pass_time(hours=1)
    world.directory.change("ben", account_enabled=False)
    world.look("ben")
    # A worker stood still between this row and its commit, and lost the race.
    HeldBook(world.store).put(HeldChange(partition="local|person:ada", workflow="leaver", at=world.clock.now(), why="full"))
    world.app.sweep()
    assert len(HeldBook(world.store).listed()) == 2
    world.pass_time(minutes=11)
    world.app.sweep()
    assert [change.partition for change in HeldBook(world.store).listed()] == ["local|person:ben"]


def test_the_tick_wakes_what_a_lost_message_left_behind_once_per_tick() -> None:
    world = World()
    world.put(ADA)
    world.look("ada")
    world.queue._waiting.clear()
    world.clock.advance(minutes=2)
    assert world.app.tick() == 1
    world.pass_time(minutes=20)
    assert [str(view.run.status) for view in world.runs()] == ["verified"]
    assert world.app.tick() == 0


def test_a_young_row_without_its_commit_is_left_for_the_commit_that_may_still_come() -> None:
    world = World()
    moment = "2026-01-05T07:59:00.000000Z"
    world.store.put_index("due", f"{moment}|local|person:ghost", {"partition": "local|person:ghost"})
    world.app.tick()
    assert world.store.list_index("due")
    world.clock.advance(timedelta(minutes=2))
    world.app.tick()
    assert not world.store.list_index("due")


def test_two_workers_that_start_in_the_same_moment_both_start(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    other, read = world.restart(), world.store.read_shared

    def read_just_before_the_other_one_starts(name: str) -> Any:
        found = read(name)
        monkeypatch.undo()
        other.starting(alone=False)
        return found

    monkeypatch.setattr(world.store, "read_shared", read_just_before_the_other_one_starts)
    world.app.starting(alone=False)
    assert world.store.read_shared(STARTED)[1] == {"at": to_text(world.clock.now())}


def test_a_start_drops_a_fresh_row_only_where_nobody_else_can_be_in_the_middle_of_its_commit() -> None:
    world = World()
    row = ("local|person:ada|000001", {"id": "x", "at": to_text(world.clock.now() - timedelta(seconds=1))})
    world.store.put_index(OPEN_RUNS, *row)
    world.app.starting(alone=False)
    assert [one.name for one in world.store.list_index(OPEN_RUNS)] == [row[0]]
    world.app.starting(alone=True)
    assert not world.store.list_index(OPEN_RUNS)


def test_whoever_the_directory_refused_to_show_for_hours_is_looked_at_after_the_next_sweep_that_ends_well() -> None:
    """The sweep that told of them stored its link long ago: no other would tell again."""
    world = World()
    world.put(ADA)
    swept(world, 15)
    world.directory.change("ada", account_enabled=False)
    world.app.sweep()
    world.directory.fail(Refused("the secret has expired"), times=13)
    world.pass_time(hours=6)
    assert [parked.reason.partition(":")[0] for parked in world.app.reads.parked()] == ["refused 13 times"]
    assert end(world)[0] == [("joiner", "verified")]
    swept(world, 15)
    assert end(world)[0] == [("joiner", "verified"), ("leaver", "verified")]
    looks = world.directory.looks.total()
    swept(world, 10)
    assert world.directory.looks.total() == looks


def test_whoever_is_refused_for_ever_is_parked_once_and_looked_at_again_every_other_hour() -> None:
    world = World()
    world.put(ADA)
    swept(world, 15)
    world.directory.looks.clear()
    world.directory.change("ada", account_enabled=False)
    plain = world.directory.look

    def look(person_id: str, groups: Iterable[str]) -> Sighting:
        plain(person_id, groups)
        raise Refused("not this one")

    world.directory.look = look  # type: ignore[method-assign]  # one person whom we may not see
    swept(world, 12 * 60)
    assert len(world.app.reads.parked()) == 1
    # Thirteen times in two hours, and again with the next sweep.
    assert 6 * 10 < world.directory.looks["ada"] < 6 * 14


def test_a_group_whose_news_was_given_up_is_compared_after_the_next_sweep_that_ends_well() -> None:
    world = World()
    for name in ("ada", "bob"):
        world.put(person(name))
    swept(world, 10)
    world.directory.add_member("g-itsm-admins", "ada")
    world.app.sweep()
    world.queue._waiting.clear()
    world.queue_up("group:g-itsm-admins", EnvelopeKind.LOOK_GROUP)
    world.directory.fail(Refused("no permission"), times=13)
    world.pass_time(hours=6)
    world.directory.looks.clear()
    swept(world, 10)
    assert world.directory.looks["ada"] > 0
