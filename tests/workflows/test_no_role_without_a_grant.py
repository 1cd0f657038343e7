"""A role on an agent has a membership behind it that was decided about, whatever came between: leaves, returns, edits, failures, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from stories import statuses, tickets
from test_roles import ADMINS, CHANGES, DESK, answers, applied, edited, gains, loses, notes, requests, roles, working

from joinery.domain.policy import BreakerPolicy, Ring, WorkflowPolicy
from joinery.domain.tickets import CloseTicket, RetireAgent, SetRoles
from joinery.engine.breaker import HeldBook, HeldDecision
from joinery.engine.promotion import Promotion
from joinery.errors import Refused, TryLater
from joinery.testing import World, everyone

ADA = "local|person:ada"


def world_in(**rings: Ring) -> World:
    plain = everyone()
    return World(replace(plain, workflows={**plain.workflows, **{name: WorkflowPolicy(ring=ring) for name, ring in rings.items()}}))


def leaves(world: World, *, minutes: float = 30) -> None:
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(minutes=minutes)


def returns(world: World) -> None:
    world.directory.change("ada", account_enabled=True)
    world.look("ada")
    world.pass_time(hours=3)


def still_open(world: World) -> list[str]:
    return [ticket.summary.partition(":")[0] for ticket in requests(world) if not ticket.closed]


def leaves_and_is_back_before_the_desk_answers(world: World, *orders: Any) -> None:
    for order in orders:
        world.desk.fail(TryLater("down"), asks=order, times=20)
    leaves(world, minutes=3)
    returns(world)


# --- back before anything was taken


def test_whoever_is_back_without_a_group_before_the_desk_took_its_role_loses_the_role() -> None:
    world = working()
    gains(world, CHANGES)
    answers(world, approved=True)
    world.directory.end_membership("g-itsm-changemanagers", "ada")
    leaves_and_is_back_before_the_desk_answers(world, RetireAgent)
    assert ("leaver", "superseded") in statuses(world)
    assert roles(world) == ()


def test_whoever_is_back_in_a_group_before_the_desk_took_its_role_has_it_when_it_is_approved_again() -> None:
    world = working()
    gains(world, CHANGES, DESK)
    answers(world, approved=True)
    leaves_and_is_back_before_the_desk_answers(world, RetireAgent)
    assert roles(world) == ("Service Desk",) and len(requests(world)) == 2
    answers(world, approved=True)
    assert roles(world) == ("Change Manager", "Service Desk")


def test_a_request_that_a_withdrawn_leaver_had_not_closed_is_closed() -> None:
    world = working()
    gains(world, CHANGES)
    world.directory.end_membership("g-itsm-changemanagers", "ada")
    leaves_and_is_back_before_the_desk_answers(world, RetireAgent, CloseTicket)
    assert still_open(world) == []


# --- a return that role changes do not act upon


@pytest.mark.parametrize("ring", [Ring.SHADOW, Ring.OFF, Ring.EVERYONE])
def test_whoever_is_back_can_leave_again_whatever_becomes_of_their_roles(ring: Ring) -> None:
    world = working(world_in(role_change=ring), DESK)
    leaves(world)
    returns(world)
    leaves(world)
    assert len(tickets(world, "offboarding")) == 2


def test_what_somebody_has_who_came_back_while_shadow_watches_is_a_gain_until_a_person_decides() -> None:
    world = working(world_in(role_change=Ring.SHADOW), CHANGES)
    leaves(world)
    returns(world)
    world.look("ada")
    world.pass_time(days=2)
    assert [(view.run.workflow, view.run.mode) for view in world.runs()] == [("leaver", "live"), ("role_change", "shadow")]
    world.app.promotions.decide(ADA, "role_change", Promotion.RUN)
    world.look("ada")
    world.pass_time(minutes=20)
    assert still_open(world) == ["Role Change Manager"]


# --- what a person decided stays decided


@contextmanager
def no_slots(world: World) -> Iterator[None]:
    """Whatever strikes anybody is held."""
    plain = world.policy
    world.policy = replace(plain, breaker=BreakerPolicy(wave_min=0, wave_share=0.0))
    world.restart()
    yield
    world.policy = plain
    world.restart()


def test_what_was_discarded_does_not_come_back_beside_something_that_is_rehearsed() -> None:
    world = working(world_in(role_change=Ring.SHADOW))
    with no_slots(world):
        world.directory.change("ada", department="Legal")
        gains(world, DESK)
        [held] = HeldBook(world.store).listed()
        assert held.workflow == "mover"
        HeldBook(world.store).put(replace(held, decision=HeldDecision.DISCARD))
        world.look("ada")
        world.pass_time(minutes=20)
    world.look("ada")
    world.pass_time(minutes=20)
    assert tickets(world, "move") == [] and HeldBook(world.store).listed() == ()


def test_what_was_dropped_is_not_rehearsed_again_beside_something_that_is() -> None:
    world = working(world_in(role_change=Ring.SHADOW, mover=Ring.SHADOW))
    world.directory.change("ada", department="Legal")
    gains(world, DESK)
    world.app.promotions.decide(ADA, "mover", Promotion.DROP)
    for _ in range(3):
        world.look("ada")
        world.pass_time(minutes=20)
    assert sorted(name for name, _ in statuses(world)) == ["mover", "role_change"]


@pytest.mark.parametrize("by_hand", [(), ("Service Desk",)])
def test_a_role_that_was_discarded_is_neither_given_nor_taken_by_a_later_run_about_another_group(by_hand: tuple[str, ...]) -> None:
    world = working()
    if by_hand:
        world.desk.put_agent("ada@contoso.example", *by_hand)
    with no_slots(world):
        gains(world, DESK)
        [held] = HeldBook(world.store).listed()
        HeldBook(world.store).put(replace(held, decision=HeldDecision.DISCARD))
        world.look("ada")
        world.pass_time(minutes=20)
    gains(world, CHANGES)
    answers(world, approved=True)
    assert roles(world) == ("Change Manager", *by_hand)
    loses(world, DESK)
    gains(world, DESK)
    assert roles(world) == ("Change Manager", "Service Desk"), "the next membership is another"


def test_a_role_that_was_dropped_after_a_rehearsal_is_not_given_by_a_later_run_about_another_group() -> None:
    world = working(world_in(role_change=Ring.SHADOW))
    gains(world, DESK)
    world.app.promotions.decide(ADA, "role_change", Promotion.DROP)
    world.look("ada")
    world.policy = everyone()
    world.restart()
    gains(world, CHANGES)
    answers(world, approved=True)
    assert roles(world) == ("Change Manager",)


def test_a_request_that_ends_because_somebody_dropped_the_loss_of_its_group_says_that_nobody_goes_on_with_it() -> None:
    world = working()
    gains(world, CHANGES)
    world.policy = world_in(role_change=Ring.SHADOW).policy
    world.restart()
    loses(world, CHANGES)
    assert statuses(world) == [("role_change", "open"), ("role_change", "planned")]
    world.app.promotions.decide(ADA, "role_change", Promotion.DROP)
    world.look("ada")
    world.pass_time(minutes=20)
    assert statuses(world) == [("role_change", "superseded"), ("role_change", "planned")]
    assert "Joinery stopped this role_change: what it was about is over" in notes(world, requests(world)[0])


# --- a rule that was gone for a while


def with_rules(world: World, *groups: str) -> None:
    """Another policy file, in which these groups stand for roles, and a look at Ada under it."""
    world.policy = replace(world.policy, roles={group: role for group, role in everyone().roles.items() if group in groups})
    world.restart()
    world.pass_time(hours=1)
    world.app.hints.groups.refresh(force=True)
    world.look("ada")
    world.pass_time(minutes=20)


def test_a_role_whose_group_was_left_while_its_rule_was_gone_is_taken_away_once_the_rule_is_back() -> None:
    world = working()
    gains(world, CHANGES)
    answers(world, approved=True)
    with_rules(world, DESK, ADMINS)
    loses(world, CHANGES)
    with_rules(world, DESK, ADMINS, CHANGES)
    assert roles(world) == ("Change Manager",), "the rule waits to be applied"
    applied(world, world.policy)
    assert roles(world) == ()


def test_a_membership_whose_rule_was_gone_is_asked_about_like_a_new_one_once_the_rule_is_back() -> None:
    world = working()
    gains(world, CHANGES)
    answers(world, approved=True)
    with_rules(world, DESK, ADMINS)
    with_rules(world, DESK, ADMINS, CHANGES)
    applied(world, world.policy)
    assert len(requests(world)) == 2 and roles(world) == ()
    answers(world, approved=False)
    assert roles(world) == ()


# --- what is refused is not on the agent, however it came there


def test_a_role_that_a_failed_run_left_on_the_agent_is_taken_away_when_the_next_membership_is_refused() -> None:
    world = working()
    gains(world, CHANGES)
    answers(world, approved=True)
    world.desk.fail(Refused("not now"), asks=SetRoles, times=500)
    loses(world, CHANGES)
    world.pass_time(days=3)
    assert statuses(world)[-1] == ("role_change", "failed") and roles(world) == ("Change Manager",)
    world.desk.mend()
    gains(world, CHANGES)
    answers(world, approved=False)
    assert roles(world) == ()


def test_a_role_that_needed_nobody_for_a_while_is_taken_away_when_the_open_request_for_it_is_refused() -> None:
    world = working()
    gains(world, CHANGES)
    free = edited(world, ITSM_ChangeManagers=replace(world.policy.roles[CHANGES], approval=()))
    applied(world, free)
    gains(world, DESK)
    assert roles(world) == ("Change Manager", "Service Desk")
    answers(world, approved=False)
    assert roles(world) == ("Service Desk",)


def test_what_another_group_gives_stays_when_a_request_for_the_same_role_is_refused() -> None:
    asked = everyone().roles[CHANGES]
    world = working(World(replace(everyone(), roles={CHANGES: asked, ADMINS: asked})))
    gains(world, CHANGES)
    answers(world, approved=True)
    gains(world, ADMINS)
    answers(world, approved=False)
    assert roles(world) == ("Change Manager",)


# --- whether they leave is not decided


@pytest.mark.parametrize("shadow", [True, False])
def test_nobody_whose_leave_waits_for_a_person_is_given_a_role(shadow: bool) -> None:
    full = BreakerPolicy(hourly_min=0, hourly_share=0, daily_min=0, daily_share=0)
    world = world_in(leaver=Ring.SHADOW) if shadow else World(replace(everyone(), breaker=full))
    gains(working(world), CHANGES)
    leaves(world)
    answers(world, True)
    world.pass_time(hours=5)
    assert roles(world) == () and any("is disabled" in view.run.waiting_for for view in world.runs())
    # It was a wrong list: they are here.
    world.directory.change("ada", account_enabled=True)
    world.look("ada")
    world.pass_time(minutes=30)
    assert roles(world) == ("Change Manager",)


def test_what_somebody_lost_is_taken_away_though_their_leave_waits() -> None:
    world = World(replace(everyone(), breaker=BreakerPolicy(hourly_min=0, hourly_share=0, daily_min=0, daily_share=0)))
    gains(working(world), DESK)
    world.desk.fail(TryLater("busy"), asks=SetRoles, times=3)
    loses(world, DESK)
    leaves(world, minutes=120)
    assert roles(world) == ()
