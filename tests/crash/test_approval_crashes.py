"""Any touch of the outside may be the last one while somebody is asked: nobody is asked twice in one round, and no answer is lost."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from typing import Any

from crashes import CrashingWorld, every_crash

from joinery.domain.events import Joined
from joinery.domain.person import Manager
from joinery.domain.policy import WorkingTime
from joinery.domain.tickets import AddNote, EnsureUser, OpenTicket
from joinery.engine.audit import first_break
from joinery.engine.context import Context
from joinery.engine.partition import APPROVALS, DUE, OPEN_RUNS
from joinery.engine.recipes import workflow
from joinery.testing import person

FAST = {"remind_after": timedelta(minutes=18), "escalate_after": timedelta(minutes=20), "gives_up_after": timedelta(minutes=50)}


@workflow(version=1)
def joiner(ctx: Context) -> None:
    """Asks, and says what came of it."""
    user = ctx.do("make sure the person is a user on the desk", EnsureUser(person=ctx.person))
    order = OpenTicket(kind="role", person=ctx.person, user_id=user.id, summary="Change Manager", details="")
    ticket = ctx.do("open the ticket", order)
    approval = ctx.ask_approval("the approval", ticket=ticket, of=("manager",))
    ctx.do("say what was decided", AddNote(ticket_id=ticket.id, text=str(approval.outcome)))


def office(world: CrashingWorld) -> None:
    """Ada under Bob under Eve; everything goes fast."""
    approvals = replace(world.policy.approvals, **FAST, working=WorkingTime(days=tuple(range(7)), begins=0, ends=24))
    world.policy = replace(world.policy, approvals=approvals)
    world._catalogue = {Joined: joiner}
    world.restart()
    world.put(person("eve"))
    world.put(person("bob", manager=Manager(id="eve")))
    world.put(person("ada", manager=Manager(id="bob"), groups=("ITSM-NewJoiner",)))
    world.look("ada")


def user(world: CrashingWorld, identity: str) -> str:
    return next(one.id for one in world.desk.users if one.directory_id == identity)


def answered(world: CrashingWorld) -> None:
    """Bob answers after a few minutes; the poll finds it."""
    office(world)
    world.minutes(5)
    world.desk.answer(world.desk.tickets[0].id, user(world, "bob"), True)
    world.minutes(12)


def escalated(world: CrashingWorld) -> None:
    """Bob is reminded; Eve is asked too, and refuses."""
    office(world)
    world.minutes(26)
    world.desk.answer(world.desk.tickets[0].id, user(world, "eve"), False)
    world.minutes(12)


def unanswered(world: CrashingWorld) -> None:
    office(world)
    world.minutes(75)


def moved(world: CrashingWorld) -> None:
    """Ada gets another manager while Bob is asked, and Eve answers."""
    office(world)
    world.minutes(4)
    world.directory.change("ada", manager=Manager(id="eve"))
    world.look("ada")
    world.minutes(4)
    world.desk.answer(world.desk.tickets[0].id, user(world, "eve"), True)
    world.minutes(12)


def state(world: CrashingWorld) -> dict[str, Any]:
    by_id = {one.id: one.directory_id for one in world.desk.users}
    [ticket] = world.desk.tickets
    return {
        "users": sorted(by_id.values()),
        "rounds": [[(by_id[answer.asked], str(answer.verdict)) for answer in one.answers] for one in ticket.rounds],
        "notes": len(world.desk.notes),
        "keys": len({note.key for note in world.desk.notes}),
        "said": world.desk.notes[-1].text,
        "runs": [str(view.run.status) for view in world.runs()],
        "decided": world.actions("ada").count("approval decided"),
        "alerts": world.actions("ada").count("alert"),
        "open": [row.name for row in world.store.list_index(APPROVALS)],
    }


def holds_through_a_crash_anywhere(story: Any, end: dict[str, Any], deaths: int, *, every: int = 1) -> None:
    """Long stories take a spread of their deaths, and all of them in a campaign."""
    every = 1 if os.environ.get("JOINERY_CAMPAIGN") else every
    whole, *crashed = every_crash(story, every=every)
    assert {name: state(whole)[name] for name in end} == end
    assert len(crashed) >= deaths // every
    for world in crashed:
        assert state(world) == state(whole), world.plan.died_at
        assert first_break([line.record for line in world.audit("ada")]) is None
        world.app.sweep()
        world.minutes(20)
        assert not world.store.list_index(OPEN_RUNS), world.plan.died_at
        assert not world.store.list_index(DUE), world.plan.died_at
        assert not world.app.parking.listed()


def test_an_approval_survives_a_crash_anywhere() -> None:
    end = {"rounds": [[("bob", "approved")]], "said": "approved", "runs": ["verified"], "decided": 1, "alerts": 0, "open": []}
    holds_through_a_crash_anywhere(answered, end, 80)


def test_an_escalation_and_a_refusal_survive_a_crash_anywhere() -> None:
    end = {"rounds": [[("bob", "pending")], [("bob", "pending"), ("eve", "rejected")]], "said": "refused", "decided": 1, "open": []}
    holds_through_a_crash_anywhere(escalated, end, 100, every=3)


def test_the_end_of_the_time_survives_a_crash_anywhere() -> None:
    holds_through_a_crash_anywhere(unanswered, {"said": "timed out", "runs": ["verified"], "decided": 1, "open": []}, 100, every=3)


def test_a_new_manager_is_asked_through_a_crash_anywhere() -> None:
    end = {"rounds": [[("bob", "pending")], [("eve", "approved")]], "said": "approved", "decided": 1, "open": []}
    holds_through_a_crash_anywhere(moved, end, 100)
