"""The coverage ledger: spans, holes, who is told of them and when, and what only a sweep found."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.stores.sqlite import SqliteStateStore
from joinery.cli.coverage import show_coverage
from joinery.engine.alerts import causes
from joinery.engine.coverage import FOUND_KEPT, Ledger, found_by_day
from joinery.engine.coverage_watch import Coverage, coverage
from joinery.engine.envelope import EnvelopeKind, decode
from joinery.engine.memory import DEFAULT_START
from joinery.engine.ports import DeltaPage, LinkExpired, Outgoing
from joinery.engine.restoring import forget_bookmarks
from joinery.errors import QueueUnavailable, TryLater
from joinery.testing import TENANT, World, person

START = DEFAULT_START


def minute(number: float) -> datetime:
    return START + timedelta(minutes=number)


def now(world: World) -> Coverage:
    return coverage(world.store, world.clock)


def span(world: World, row: str = "delta-people") -> tuple[datetime, datetime, int]:
    current = now(world).spans[row]
    assert current is not None
    return current.since, current.until, current.rounds


def sweeps(world: World, times: int) -> None:
    """A sweep every five minutes, a tick every minute."""
    for _ in range(times):
        world.app.sweep()
        world.work()
        ticks(world, 5)


def ticks(world: World, minutes: int) -> None:
    for _ in range(minutes):
        world.pass_time(minutes=1)
        world.app.tick()
        world.work()


def alerts(world: World) -> list[str]:
    return [cause.cause for cause in reversed(causes(world.store, TENANT))]


def shared_writes(world: World) -> list[str]:
    """Names of the shared rows that are written from now on."""
    written: list[str] = []
    plain = world.store.replace_shared

    def replace_shared(name: str, data: Any, *, expected: str | None) -> str:
        written.append(name)
        return plain(name, data, expected=expected)

    world.store.replace_shared = replace_shared
    return written


def test_a_chain_of_rounds_is_one_span_from_the_first_listing_to_the_beginning_of_the_last_round() -> None:
    world = World()
    world.put(person("ada"))
    sweeps(world, 4)
    assert span(world) == (START, minute(15), 4)
    assert span(world, "delta-groups-0") == (START, minute(15), 4)
    assert not any(now(world).holes.values())
    assert alerts(world) == []


def test_a_sweep_without_news_writes_no_row_more_than_its_links_and_its_end() -> None:
    world = World()
    sweeps(world, 1)
    written = shared_writes(world)
    sweeps(world, 1)
    assert written == ["delta-people", "delta-groups-0", "swept"]


def test_what_changed_while_a_round_was_on_its_way_is_covered_by_the_next_one_alone() -> None:
    """Its first page was read before the change: the round covers what was before its beginning, however long it takes."""
    world = World()
    world.directory._page_size = 1
    for name in ("ada", "ben", "cyd"):
        world.put(person(name))
    sweeps(world, 1)
    for name in ("ada", "ben", "cyd"):
        world.directory.change(name, department="Legal")
    plain, calls = world.directory.people_delta, 0

    def people_delta(link: str | None) -> DeltaPage:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise TryLater("the process dies between two pages")
        return plain(link)

    world.directory.people_delta = people_delta  # type: ignore[method-assign]  # fails once
    with pytest.raises(TryLater):
        world.app.sweep()
    world.pass_time(minutes=7)
    world.restart().sweep()
    # The round began at the fifth minute and ended at the twelfth, in another process.
    assert span(world) == (START, minute(5), 2)


def test_a_lost_link_is_a_hole_that_is_told_once_and_no_trouble_any_more_once_everybody_was_compared() -> None:
    world = World()
    world.put(person("ada"))
    sweeps(world, 3)
    world.directory.expire_links()
    world.app.sweep()
    assert span(world) == (minute(15), minute(15), 1)
    [hole] = now(world).holes["delta-people"]
    assert (hole.since, hole.until) == (minute(10), minute(15))
    assert now(world).open_troubles == ()
    ticks(world, 3)
    sweeps(world, 2)
    said = alerts(world)
    assert len(said) == 2 and all("2026-01-05T08:10:00Z is found by comparing everybody" in one for one in said)
    assert {"delta-people", "delta-groups-0"} == {word for one in said for word in one.split() if word.startswith("delta-")}
    assert now(world).troubles == ()


def test_a_link_that_is_lost_again_before_everybody_was_compared_is_the_same_trouble() -> None:
    world = World()
    sweeps(world, 1)
    plain = world.directory.people_delta

    def broken(link: str | None) -> DeltaPage:
        if link is None:
            raise TryLater("busy")
        raise LinkExpired("too old")

    world.directory.people_delta = broken  # type: ignore[method-assign]  # cannot list anybody now
    for _ in range(3):
        with pytest.raises(TryLater):
            world.app.sweep()
        ticks(world, 2)
    assert [one.what for one in now(world).open_troubles] == ["delta-people"]
    assert world.app.health()[1]["coverage"]["holes"] == ["delta-people"]
    assert len(alerts(world)) == 1
    assert [decode(message.body).kind for message in world.queue.sent].count(EnvelopeKind.ALERT) == 1
    world.directory.people_delta = plain  # type: ignore[method-assign]  # and now it can
    world.directory.expire_links()
    sweeps(world, 1)
    assert now(world).open_troubles == ()
    assert world.app.health()[1]["coverage"]["holes"] == []


def test_sweeps_that_fail_for_a_quarter_of_an_hour_are_told_once_and_it_is_over_with_the_next_one() -> None:
    world = World()
    sweeps(world, 2)
    world.directory.fail(TryLater("away"), times=8)
    for _ in range(8):
        with pytest.raises(TryLater):
            world.app.sweep()
        ticks(world, 5)
    assert [one.what for one in now(world).open_troubles] == ["late"]
    [said] = alerts(world)
    assert "since 2026-01-05T08:05:00Z" in said
    assert [cause.count for cause in causes(world.store, TENANT)] == [1]
    sweeps(world, 2)
    assert now(world).troubles == ()
    # The link outlived it: what changed meanwhile was told by it, and there is no hole.
    assert not any(now(world).holes.values())
    assert span(world) == (START, minute(55), 4)


def test_another_outage_is_another_cause() -> None:
    world = World()
    for _ in range(2):
        sweeps(world, 1)
        ticks(world, 30)
    assert len(set(alerts(world))) == 2


def test_a_machine_that_was_asleep_tells_nobody_if_it_sweeps_when_it_wakes() -> None:
    world = World()
    sweeps(world, 1)
    world.pass_time(hours=9)
    world.app.tick()
    sweeps(world, 2)
    assert alerts(world) == []
    assert now(world).troubles == ()


def test_nobody_is_late_who_was_switched_off_or_never_began() -> None:
    world = World()
    ticks(world, 90)
    assert alerts(world) == []
    sweeps(world, 1)
    world.clock.advance(timedelta(days=3))
    world.restart().starting(alone=True)
    ticks(world, 10)
    assert alerts(world) == []
    ticks(world, 10)
    assert len(alerts(world)) == 1


def test_a_bus_that_does_not_take_the_alert_gets_it_at_the_next_tick() -> None:
    world = World()
    sweeps(world, 1)
    world.directory.expire_links()
    world.app.sweep()
    world.work()
    plain = world.queue.send

    def send(messages: Iterable[Outgoing]) -> None:
        raise QueueUnavailable("gone")

    world.queue.send = send  # type: ignore[method-assign]  # the bus is away
    with pytest.raises(QueueUnavailable):
        world.app.tick()
    world.queue.send = plain  # type: ignore[method-assign]  # and back
    ticks(world, 2)
    assert len(alerts(world)) == 2


def test_a_restored_backup_is_a_hole_that_nobody_need_be_told_of() -> None:
    world = World()
    sweeps(world, 2)
    forget_bookmarks(world.store)
    sweeps(world, 1)
    [hole] = now(world).holes["delta-people"]
    assert (hole.since, hole.until) == (minute(5), minute(10)) and "restore" in hole.why
    assert alerts(world) == []


def test_a_lost_link_is_covered_too_where_the_bookmark_was_dropped_before_everybody_was_compared() -> None:
    world = World()
    sweeps(world, 1)
    world.app.sweeper.troubles.lost("delta-people", START)
    ticks(world, 2)
    assert [one.what for one in now(world).open_troubles] == ["delta-people"]
    forget_bookmarks(world.store)
    sweeps(world, 1)
    assert now(world).troubles == ()


def test_a_lost_link_of_groups_that_are_watched_no_more_is_told_and_forgotten() -> None:
    world = World()
    sweeps(world, 1)
    world.app.sweeper.troubles.lost("delta-inner-0", START)
    ticks(world, 2)
    assert now(world).troubles == ()
    assert len(alerts(world)) == 1


def test_a_row_of_an_earlier_release_begins_a_span() -> None:
    world = World()
    sweeps(world, 1)
    etag, stored = world.store.read_shared("delta-people")
    assert stored is not None
    world.store.replace_shared("delta-people", {"link": stored["link"], "about": None}, expected=etag)
    sweeps(world, 1)
    assert span(world) == (minute(5), minute(5), 1)


def test_the_ledger_remembers_the_latest_holes_only() -> None:
    ledger = Ledger()
    for number in range(0, 40, 2):
        ledger = ledger.broken("lost", minute(number)).ended(f"link {number}")
    assert len(ledger.spans) == 10
    assert ledger.holes[-1].until == minute(38)
    assert Ledger.read({"ledger": ledger.document()}) == ledger


# --- what only a sweep found ---


def test_whom_a_sweep_was_the_first_to_tell_is_counted_once_a_day() -> None:
    world = World()
    for name in ("ada", "ben", "cyd", "dee"):
        world.put(person(name))
    sweeps(world, 2)
    # They were there before we watched: nobody could have told.
    assert found_by_day(world.store) == {}
    world.directory.change("ada", department="Legal")
    sweeps(world, 1)
    world.directory.change("ada", department="Sales")
    world.directory.change("ben", account_enabled=False)
    world.directory.soft_delete("cyd")
    world.directory.change("dee", department="Legal")
    world.look("dee", cause="notification")
    sweeps(world, 1)
    assert found_by_day(world.store) == {"2026-01-05": 3}
    assert world.app.health()[1]["coverage"]["found_by_sweep"] == 3


def test_a_newcomer_whom_a_sweep_found_counts() -> None:
    world = World()
    sweeps(world, 1)
    world.put(person("new", created_at=world.clock.now()))
    sweeps(world, 1)
    assert found_by_day(world.store) == {"2026-01-05": 1}


def test_finds_are_forgotten_after_a_week() -> None:
    world = World()
    world.put(person("ada"))
    sweeps(world, 1)
    world.directory.change("ada", department="Legal")
    sweeps(world, 1)
    world.pass_time(FOUND_KEPT)
    world.app.sweep()
    assert found_by_day(world.store)
    world.pass_time(days=1)
    world.app.sweep()
    assert found_by_day(world.store) == {}


# --- the command ---


def test_the_command_shows_spans_holes_and_finds_and_ends_with_1_while_a_hole_is_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOINERY_DATA", raising=False)
    store = SqliteStateStore(tmp_path / "state.db")
    world = World(store=store)
    world.put(person("ada"))
    sweeps(world, 2)
    world.directory.expire_links()
    world.directory.change("ada", department="Legal")
    sweeps(world, 2)
    world.app.renew_subscriptions()
    assert show_coverage(str(tmp_path), as_json=False) == 0
    said = capsys.readouterr().out
    assert "delta-people: from 2026-01-05 08:10:00 to 2026-01-05 08:15:00 in 2 rounds" in said
    assert "  hole from 2026-01-05 08:05:00 to 2026-01-05 08:10:00: the directory knew the link no more; everybody was compared" in said
    assert "first to tell of 1 person (2026-01-05: 1)" in said
    assert "/groups are ordered until 2026-02-02" in said
    ticks(world, 30)
    assert show_coverage(str(tmp_path), as_json=True) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["open"] == [{"what": "late", "since": "2026-01-05T08:15:00.000000Z"}]
    assert document["links"]["delta-groups-0"]["rounds"] == 2
    store.close()
