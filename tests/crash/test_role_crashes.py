"""A role request through a crash anywhere: one ticket, one round, one decision, the role once, and nothing left behind."""

from __future__ import annotations

import os
from dataclasses import replace

from crashes import CrashingWorld, every_crash

from joinery.domain.person import Manager
from joinery.domain.policy import OnRefused
from joinery.domain.tickets import Verdict
from joinery.engine.audit import first_break
from joinery.engine.partition import APPROVALS, DUE, OPEN_RUNS
from joinery.testing import person

GROUP = "g-itsm-changemanagers"
#: Every so-manieth death; each of them in a campaign.
EVERY = 1 if os.environ.get("JOINERY_CAMPAIGN") else 3


def asked_for(world: CrashingWorld) -> None:
    """Ada is asked for, and her manager knows."""
    world.put(person("bob"))
    world.put(person("ada", manager=Manager(id="bob", mail="bob@contoso.example")))
    for name in ("bob", "ada"):
        world.look(name)
    world.directory.add_member(GROUP, "ada")
    world.look("ada")
    world.minutes(12)


def answer(world: CrashingWorld, approved: bool) -> None:
    """The manager answers whatever waits for them."""
    [ticket] = world.desk.tickets
    [row] = ticket.rounds[-1].answers
    world.desk.answer(ticket.id, row.asked, approved)
    world.minutes(30)


def approved_and_lost(world: CrashingWorld) -> None:
    asked_for(world)
    answer(world, True)
    world.directory.end_membership(GROUP, "ada")
    world.look("ada")
    world.minutes(20)


def refused_and_removed(world: CrashingWorld) -> None:
    policy = world.policy
    world.policy = replace(policy, roles={name: replace(role, on_refused=OnRefused.REMOVE) for name, role in policy.roles.items()})
    world.after_a_crash()
    asked_for(world)
    answer(world, False)
    world.look("ada")
    world.minutes(20)


def lost_while_it_waits(world: CrashingWorld) -> None:
    asked_for(world)
    world.directory.end_membership(GROUP, "ada")
    world.look("ada")
    world.minutes(20)


def left_while_it_waits(world: CrashingWorld) -> None:
    asked_for(world)
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.minutes(20)


def assert_nothing_left_behind(world: CrashingWorld) -> None:
    records = [line.record for line in world.audit("ada")]
    assert first_break(records) is None
    assert not any(view.run.closed_at is None for view in world.runs()), world.plan.died_at
    world.app.sweep()
    # Rows of an index that were left behind are swept at their moment: the next reminder, the next poll that may ask again.
    world.pass_time(hours=12)
    world.tick()
    world.work()
    assert not any(world.store.list_index(index) for index in (OPEN_RUNS, DUE, APPROVALS)), world.plan.died_at
    assert not world.app.parking.listed()
    assert world.app.dispatcher.open_partition("local|person:ada").head.tickets == {}, world.plan.died_at


def state(world: CrashingWorld) -> dict[str, object]:
    return {
        "users": sorted((user.directory_id, user.active, user.approver) for user in world.desk.users),
        "tickets": [(ticket.key, ticket.closed, len(ticket.rounds)) for ticket in world.desk.tickets],
        "notes": sorted(note.key for note in world.desk.notes),
        "agents": [(agent.enabled, agent.roles) for agent in world.desk.agents],
        "runs": [(view.run.id, str(view.run.status)) for view in world.runs()],
        "facts": world.actions("ada").count("fact"),
        "decided": world.actions("ada").count("role decided"),
        "alerts": world.actions("ada").count("alert"),
    }


def test_an_approved_role_that_is_lost_again_survives_a_crash_anywhere() -> None:
    whole, *crashed = every_crash(approved_and_lost, every=EVERY)
    assert [status for _, status in state(whole)["runs"]] == ["verified", "verified"]  # type: ignore[attr-defined]
    assert whole.desk.agents[0].roles == () and len(crashed) > 100
    for world in crashed:
        assert state(world) == state(whole), world.plan.died_at
        assert_nothing_left_behind(world)


def test_a_refusal_that_ends_the_membership_survives_a_crash_anywhere() -> None:
    whole, *crashed = every_crash(refused_and_removed, every=EVERY)
    assert "ada" not in whole.directory.people_in(GROUP) and not whole.desk.agents
    for world in crashed:
        assert state(world) == state(whole), world.plan.died_at
        assert "ada" not in world.directory.people_in(GROUP)
        assert_nothing_left_behind(world)


def test_a_request_that_is_withdrawn_is_closed_through_a_crash_anywhere() -> None:
    for world in every_crash(lost_while_it_waits, every=EVERY):
        [ticket] = world.desk.tickets
        assert ticket.closed, world.plan.died_at
        assert sum("Withdrawn" in note.text for note in world.desk.notes) == 1, world.plan.died_at
        assert all(answer.verdict is not Verdict.PENDING for one in ticket.rounds for answer in one.answers), world.plan.died_at
        assert [str(view.run.status) for view in world.runs()] == ["superseded", "verified"], world.plan.died_at
        assert_nothing_left_behind(world)


def test_a_request_of_somebody_who_leaves_is_closed_through_a_crash_anywhere() -> None:
    for world in every_crash(left_while_it_waits, every=EVERY):
        [request] = [ticket for ticket in world.desk.tickets if ticket.kind == "role"]
        assert request.closed and not world.desk.agents, world.plan.died_at
        assert sum("The person has left." in note.text for note in world.desk.notes) == 1, world.plan.died_at
        assert_nothing_left_behind(world)
