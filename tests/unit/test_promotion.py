"""Rings: what shadow saw waits until a person says what of it is to run, and what acts beside it swallows nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from joinery.domain.events import Moved, Renamed, RolesChanged
from joinery.domain.policy import Ring, WorkflowPolicy
from joinery.engine.breaker import HeldBook, HeldDecision
from joinery.engine.context import Context
from joinery.engine.promotion import PROMOTED, Promotion
from joinery.engine.recipes import Catalogue, workflow
from joinery.testing import World, everyone, person
from workflows import CATALOGUE

ADA, BEN = "local|person:ada", "local|person:ben"


@workflow(version=1)
def mover(ctx: Context) -> None:
    ctx.now()


@workflow(version=1)
def renamer(ctx: Context) -> None:
    ctx.now()


@workflow(version=1)
def role_change(ctx: Context) -> None:
    ctx.now()


RECIPES: Catalogue = {**CATALOGUE, Moved: mover, Renamed: renamer, RolesChanged: role_change}


def rings(**rings: Ring) -> World:
    policy = everyone()
    named = {name: WorkflowPolicy(ring=ring) for name, ring in rings.items()}
    return World(replace(policy, workflows={**policy.workflows, **named}), catalogue=RECIPES)


def promote(world: World, ring: Ring = Ring.EVERYONE, **names: Ring) -> None:
    """Another policy file, and a restart with it."""
    world.policy = replace(world.policy, workflows={name: WorkflowPolicy(ring=ring) for name in world.policy.workflows})
    world.restart()


def work_here(world: World, *who: str) -> None:
    for one in who:
        world.put(person(one, groups=("ITSM-NewJoiner",)))
        world.look(one)
    world.pass_time(hours=50)


def minutes(world: World, count: int) -> None:
    for _ in range(count):
        world.pass_time(minutes=1)
        world.app.tick()
    world.work()


def runs_of(world: World, identity: str) -> list[tuple[str, str, str]]:
    return [
        (view.run.workflow, view.run.mode, str(view.run.status))
        for view in world.runs()
        if view.partition.endswith(f":{identity}") and view.run.workflow != "joiner"
    ]


def test_a_wider_ring_starts_nothing_that_shadow_saw_until_somebody_says_so() -> None:
    world = rings(leaver=Ring.SHADOW)
    work_here(world, "ada", "ben")
    for one in ("ada", "ben"):
        world.directory.change(one, account_enabled=False)
        world.look(one)
    promote(world)
    for one in ("ada", "ben"):
        world.look(one)
    minutes(world, 10)
    assert runs_of(world, "ada") == runs_of(world, "ben") == [("leaver", "shadow", "planned")]
    world.app.promotions.decide(ADA, "leaver", Promotion.RUN)
    minutes(world, 5)
    assert runs_of(world, "ada")[1:] == [("leaver", "live", "verified")]
    assert runs_of(world, "ben") == [("leaver", "shadow", "planned")], "exactly what was chosen"
    assert [user.active for user in world.desk.users] == [False, True]
    assert world.store.list_index(PROMOTED) == ()


def test_what_is_promoted_runs_once_even_while_the_ring_is_shadow() -> None:
    world = rings(leaver=Ring.SHADOW)
    work_here(world, "ada")
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.app.promotions.decide(ADA, "leaver", Promotion.RUN)
    minutes(world, 10)
    world.restart()
    world.look("ada")
    minutes(world, 5)
    assert runs_of(world, "ada") == [("leaver", "shadow", "planned"), ("leaver", "live", "verified")]


def test_what_is_dropped_starts_nothing_and_is_not_seen_again() -> None:
    world = rings(leaver=Ring.SHADOW)
    work_here(world, "ada")
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.app.promotions.decide(ADA, "leaver", Promotion.DROP)
    minutes(world, 5)
    promote(world)
    world.look("ada")
    minutes(world, 5)
    assert runs_of(world, "ada") == [("leaver", "shadow", "planned")]
    assert sum("somebody decided that nothing starts" in line.record.why for line in world.audit("ada")) == 1
    assert world.app.reads.find("ada")[0].head.rehearsed == ()


def test_the_next_change_after_a_promoted_one_acts_by_the_ring() -> None:
    world = rings(mover=Ring.SHADOW)
    work_here(world, "ada")
    world.directory.change("ada", department="Sales")
    world.look("ada")
    minutes(world, 3)
    promote(world)
    world.app.promotions.decide(ADA, "mover", Promotion.RUN)
    minutes(world, 3)
    world.directory.change("ada", department="Legal")
    world.look("ada")
    minutes(world, 15)
    assert [mode for _, mode, _ in runs_of(world, "ada")] == ["shadow", "live", "live"]


def test_a_rehearsed_leaver_who_is_then_gone_without_a_trace_waits_for_a_word_all_the_same() -> None:
    world = rings(leaver=Ring.SHADOW)
    work_here(world, "ada")
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    promote(world)
    world.directory.purge("ada")
    world.look("ada")
    minutes(world, 5)
    assert runs_of(world, "ada") == [("leaver", "shadow", "planned")]
    world.app.promotions.decide(ADA, "leaver", Promotion.RUN)
    minutes(world, 5)
    assert runs_of(world, "ada")[1:] == [("leaver", "live", "verified")]


def test_what_was_dropped_does_not_come_back_while_something_beside_it_still_waits() -> None:
    world = rings(mover=Ring.SHADOW, renamer=Ring.SHADOW)
    work_here(world, "ada")
    world.directory.change("ada", department="Sales", display_name="Ada L")
    world.look("ada")
    minutes(world, 3)
    world.app.promotions.decide(ADA, "mover", Promotion.DROP)
    minutes(world, 3)
    promote(world)
    for _ in range(3):
        world.look("ada")
        minutes(world, 3)
    assert [(name, mode) for name, mode, _ in runs_of(world, "ada")] == [("mover", "shadow"), ("renamer", "shadow")]
    world.app.promotions.decide(ADA, "renamer", Promotion.RUN)
    minutes(world, 3)
    assert [(name, mode) for name, mode, _ in runs_of(world, "ada")][2:] == [("renamer", "live")]


def test_a_word_that_comes_too_late_is_not_kept_for_the_next_rehearsal_while_another_one_stands() -> None:
    world = rings(mover=Ring.SHADOW, renamer=Ring.SHADOW)
    work_here(world, "ada")
    world.directory.change("ada", department="Sales", display_name="Ada L")
    world.look("ada")
    minutes(world, 3)
    assert len(runs_of(world, "ada")) == 2
    world.directory.change("ada", department="Finance")
    world.look("ada")
    world.app.promotions.decide(ADA, "mover", Promotion.RUN)
    minutes(world, 3)
    assert world.store.list_index(PROMOTED) == ()
    world.directory.change("ada", department="Legal")
    world.look("ada")
    minutes(world, 5)
    assert all(mode == "shadow" for _, mode, _ in runs_of(world, "ada"))


def test_a_rehearsal_that_stands_no_more_cannot_be_promoted() -> None:
    world = rings(leaver=Ring.SHADOW)
    work_here(world, "ada")
    for enabled in (False, True):
        world.directory.change("ada", account_enabled=enabled)
        world.look("ada")
    world.pass_time(minutes=20)
    world.app.promotions.decide(ADA, "leaver", Promotion.RUN)
    minutes(world, 5)
    assert runs_of(world, "ada") == [("leaver", "shadow", "planned")]
    assert world.store.list_index(PROMOTED) == () and world.desk.users[0].active


def test_what_is_promoted_still_needs_a_slot_of_the_breaker() -> None:
    world = rings(leaver=Ring.SHADOW)
    world.policy = replace(world.policy, breaker=replace(world.policy.breaker, hourly_min=1, hourly_share=0))
    world.restart()
    work_here(world, "ada", "ben")
    for one in ("ada", "ben"):
        world.directory.change(one, account_enabled=False)
        world.look(one)
        world.app.promotions.decide(f"local|person:{one}", "leaver", Promotion.RUN)
    minutes(world, 5)
    book = HeldBook(world.store)
    assert [one.partition for one in book.listed()] == [BEN]
    book.put(replace(book.listed()[0], decision=HeldDecision.RELEASE))
    minutes(world, 5)
    assert [runs_of(world, one)[-1] for one in ("ada", "ben")] == [("leaver", "live", "verified")] * 2


@pytest.mark.parametrize("shadowed", ["mover", "renamer", "role_change"])
def test_what_acts_beside_a_rehearsal_does_not_swallow_it(shadowed: str) -> None:
    world = rings(**{shadowed: Ring.SHADOW})
    work_here(world, "ada")
    world.directory.change("ada", department="Sales", display_name="Ada B")
    world.directory.add_member("g-itsm-servicedesk", "ada")
    world.look("ada")
    minutes(world, 15)
    assert sorted(runs_of(world, "ada")) == sorted(
        (name, "shadow" if name == shadowed else "live", "planned" if name == shadowed else "verified")
        for name in ("mover", "renamer", "role_change")
    )
    world.app.promotions.decide(ADA, shadowed, Promotion.RUN)
    minutes(world, 15)
    again = [view.run for view in world.runs()][-1]
    assert (again.workflow, again.mode, str(again.status)) == (shadowed, "live", "verified")
    assert len(runs_of(world, "ada")) == 4
    minutes(world, 60)
    assert len(runs_of(world, "ada")) == 4


def test_a_joiner_in_shadow_is_still_one_after_the_roles_were_seen_to() -> None:
    world = rings(joiner=Ring.SHADOW)
    world.put(person("ada", groups=("ITSM-NewJoiner", "ITSM-ServiceDesk")))
    world.look("ada")
    minutes(world, 20)
    assert sorted((view.run.workflow, view.run.mode) for view in world.runs()) == [("joiner", "shadow"), ("role_change", "live")]
    world.app.promotions.decide(ADA, "joiner", Promotion.RUN)
    minutes(world, 20)
    assert sorted((view.run.workflow, view.run.mode) for view in world.runs()) == [
        ("joiner", "live"),
        ("joiner", "shadow"),
        ("role_change", "live"),
    ]


def test_the_pilots_runs_act_and_everybody_elses_are_rehearsed() -> None:
    policy = everyone()
    pilot = WorkflowPolicy(ring=Ring.PILOT, pilot_group="Pilot")
    world = World(replace(policy, workflows={**policy.workflows, "mover": pilot}), catalogue=RECIPES)
    work_here(world, "ada", "ben")
    world.directory.add_member("g-pilot", "ada")
    world.look("ada")
    for one in ("ada", "ben"):
        world.directory.change(one, department="Sales")
        world.look(one)
    minutes(world, 5)
    assert runs_of(world, "ada") == [("mover", "live", "verified")]
    assert runs_of(world, "ben") == [("mover", "shadow", "planned")]
