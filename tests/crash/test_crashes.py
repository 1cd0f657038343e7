"""Any touch of the outside may be the last one: the end is the same, and nothing is done twice."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from crashes import CrashingWorld, every_crash

from joinery.domain.tickets import OpenTicket
from joinery.engine.audit import first_break
from joinery.engine.partition import DUE, OPEN_RUNS
from joinery.errors import OutcomeUnknown
from joinery.testing import person

PERSON = person("ada", groups=("ITSM-NewJoiner",))


def joins(world: CrashingWorld) -> None:
    world.put(PERSON)
    world.look("ada")
    world.minutes(30)


def leaves(world: CrashingWorld) -> None:
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.minutes(40)


def overtaken(world: CrashingWorld) -> None:
    world.desk.fail(OutcomeUnknown("cut"), asks=OpenTicket, after_effect=True)
    world.put(PERSON)
    world.look("ada")
    world.pass_time(seconds=65)
    world.tick()
    world.pass_time(seconds=2)
    leaves(world)


def twins(world: CrashingWorld) -> None:
    world.desk.land_late(timedelta(minutes=2), asks=OpenTicket)
    joins(world)


def joins_and_leaves(world: CrashingWorld) -> None:
    world.desk.put_agent(PERSON.address, "Service Desk")
    joins(world)
    leaves(world)


def group_news(world: CrashingWorld) -> None:
    world.put(PERSON)
    world.look_group("ITSM-NewJoiner")
    world.minutes(30)
    world.directory.end_membership("g-itsm-newjoiner", "ada")
    world.look_group("ITSM-NewJoiner")
    world.minutes(2)


def state(world: CrashingWorld) -> dict[str, object]:
    return {
        "users": [(user.directory_id, user.active) for user in world.desk.users],
        "tickets": sorted(ticket.kind for ticket in world.desk.tickets),
        "keys": sorted(ticket.key for ticket in world.desk.tickets),
        "notes": sorted(note.key for note in world.desk.notes),
        "agents": [(agent.enabled, agent.roles) for agent in world.desk.agents],
        "runs": [(view.run.id, str(view.run.status)) for view in world.runs()],
        "facts": world.actions("ada").count("fact"),
        "alerts": world.actions("ada").count("alert"),
    }


def assert_nothing_left_behind(world: CrashingWorld) -> None:
    records = [line.record for line in world.audit("ada")]
    assert first_break(records) is None
    assert all(view.run.closed_at for view in world.runs())
    world.app.sweep()
    world.work()
    assert not world.store.list_index(OPEN_RUNS)
    assert not world.store.list_index(DUE)
    assert not world.app.parking.listed()


@pytest.fixture(params=["memory", "sqlite"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """In memory every death; on a file, where each costs a hundred syncs, all of them in a campaign and else a spread of them."""
    if request.param == "memory":
        return {}
    return {"folder": tmp_path, "every": 1 if os.environ.get("JOINERY_CAMPAIGN") else 13}


def test_a_joiner_and_a_leaver_survive_a_crash_anywhere(where: dict[str, Any]) -> None:
    whole, *crashed = every_crash(joins_and_leaves, **where)
    assert [status for _, status in state(whole)["runs"]] == ["verified", "verified"]  # type: ignore[attr-defined]
    assert len(crashed) >= 100 // where.get("every", 1)
    for world in crashed:
        assert state(world) == state(whole), world.plan.died_at
        assert_nothing_left_behind(world)


def test_a_leaver_over_an_open_joiner_survives_a_crash_anywhere(where: dict[str, Any]) -> None:
    """How far the joiner came differs; that nothing is doubled, and everybody is told, does not."""
    for world in every_crash(overtaken, **where):
        runs = [(view.run.workflow, str(view.run.status)) for view in world.runs()]
        assert runs == [("joiner", "superseded"), ("leaver", "verified")], world.plan.died_at
        kinds = [ticket.kind for ticket in world.desk.tickets]
        assert kinds.count("offboarding") == 1 and kinds.count("onboarding") <= 1, world.plan.died_at
        onboarding = [ticket.id for ticket in world.desk.tickets if ticket.kind == "onboarding"]
        told = [note.ticket_id for note in world.desk.notes if "has left before" in note.text]
        assert told == onboarding, world.plan.died_at
        assert not any(user.active for user in world.desk.users) and len(world.desk.users) <= 1, world.plan.died_at
        assert world.actions("ada").count("alert") == 0
        assert_nothing_left_behind(world)


def test_a_late_twin_is_found_and_marked_once_through_a_crash_anywhere() -> None:
    whole, *crashed = every_crash(twins)
    assert state(whole)["alerts"] == 1
    for world in crashed:
        marks = [note for note in world.desk.notes if "is a twin of" in note.text]
        found = [ticket for ticket in world.desk.tickets if ticket.kind == "onboarding"]
        # A crash before the first call lets the late one be the only one.
        assert len(marks) == len(found) - 1 <= 1, world.plan.died_at
        assert world.actions("ada").count("alert") == len(marks), world.plan.died_at
        assert [str(view.run.status) for view in world.runs()] == ["verified"]
        assert_nothing_left_behind(world)


def test_news_about_a_group_survive_a_crash_anywhere() -> None:
    whole, *crashed = every_crash(group_news)
    for world in crashed:
        assert state(world) == state(whole), world.plan.died_at
        assert_nothing_left_behind(world)
