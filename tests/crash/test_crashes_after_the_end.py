"""Any touch of the outside may be the last one when an answer comes too late, and when a failed run goes on: nothing twice, nothing lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from crashes import CrashingWorld, every_crash
from test_approval_crashes import office, state, user

from joinery.engine.audit import first_break
from joinery.engine.envelope import person_subject
from joinery.engine.partition import OPEN_RUNS
from joinery.engine.promotion import RETRIED, retry
from joinery.testing import TENANT

ADA = f"{TENANT}|{person_subject('ada')}"


def too_late(world: CrashingWorld) -> None:
    """Nobody answers in time; then Bob does. The recipe leaves its ticket open."""
    office(world)
    world.minutes(56)
    world.desk.answer(world.desk.tickets[0].id, user(world, "bob"), True)
    world.minutes(14)


def retried(world: CrashingWorld) -> None:
    """The ticket is deleted and restored; somebody lets the run go on, and Bob answers."""
    office(world)
    world.minutes(4)
    world.desk.tickets[0].deleted = True
    world.minutes(14)
    world.desk.tickets[0].deleted = False
    retry(world.whole_store, ADA, [1])
    world.minutes(6)
    world.desk.answer(world.desk.tickets[0].id, user(world, "bob"), True)
    world.minutes(14)


def told(world: CrashingWorld) -> dict[str, Any]:
    """What must be the same wherever it died."""
    late = [note for note in world.desk.notes if "after the approval had ended" in note.text]
    actions = world.actions("ada")
    counted = {action: actions.count(action) for action in ("approval too late", "run reopened", "run failed", "run not reopened")}
    return {**state(world), "late": len(late), "said": "", **counted}


def holds_through_a_crash_anywhere(story: Callable[[CrashingWorld], None], end: dict[str, Any], *, every: int) -> None:
    whole, *crashed = every_crash(story, every=1 if os.environ.get("JOINERY_CAMPAIGN") else every)
    assert {name: told(whole)[name] for name in end} == end
    assert len(crashed) > 20
    for world in crashed:
        assert told(world) == told(whole), world.plan.died_at
        assert first_break([line.record for line in world.audit("ada")]) is None
        world.app.sweep()
        world.minutes(20)
        assert not world.store.list_index(OPEN_RUNS), world.plan.died_at
        assert not world.store.list_index(RETRIED), world.plan.died_at


def test_an_answer_that_comes_too_late_is_recorded_and_said_once_through_a_crash_anywhere() -> None:
    holds_through_a_crash_anywhere(too_late, {"late": 1, "approval too late": 1, "decided": 1, "runs": ["verified"]}, every=3)


def test_a_failed_run_that_goes_on_asks_nobody_twice_through_a_crash_anywhere() -> None:
    end = {"rounds": [[("bob", "approved")]], "run reopened": 1, "run failed": 1, "runs": ["verified"], "decided": 1, "open": []}
    holds_through_a_crash_anywhere(retried, end, every=3)
