"""A plan is the product itself on a copy: the same facts, recipes and texts, and nothing stored or touched."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from joinery.cli.orders import run_lines
from joinery.domain.events import Left, LeftHow, Moved
from joinery.domain.guard import Verdict
from joinery.domain.person import Absence, Manager, Person, Sighting
from joinery.domain.policy import BreakerPolicy, CutOffPolicy, Policy, Ring, WorkflowPolicy
from joinery.domain.tickets import EnsureApprover, OpenTicket, SetRoles
from joinery.engine.context import Context
from joinery.engine.recipes import workflow
from joinery.engine.retry import EngineTiming
from joinery.planning import Planner, StoredDirectory
from joinery.testing import DEPLOYMENT, TENANT, World, everyone, person
from workflows import CATALOGUE

ADA = f"{TENANT}|person:ada"


def world_with_ada(policy: Policy | None = None) -> World:
    world = World(policy)
    world.put(person("ada", groups=("ITSM-NewJoiner",)))
    world.look("ada")
    world.pass_time(hours=50)
    return world


def planner(world: World, policy: Policy | None = None) -> Planner:
    return Planner(
        store=world.store,
        directory=StoredDirectory(world.store, TENANT),
        policy=policy or world.policy,
        catalogue=CATALOGUE,
        clock=world.clock,
        tenant=TENANT,
        deployment=DEPLOYMENT,
        timing=EngineTiming(),
    )


def ada(world: World) -> Person:
    seen = world.app.reads.find("ada")[0].person
    assert seen is not None
    return seen


def test_what_is_planned_is_what_happens_step_by_step() -> None:
    world = world_with_ada()
    plan = planner(world).plan(ADA, ada(world).evolve(account_enabled=False))
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(minutes=2)
    happened = world.runs()[-1]
    (planned,) = plan.runs
    assert (planned.workflow, planned.verdict, planned.fact) == ("leaver", Verdict.ACT, Left(how=LeftHow.DISABLED))
    assert [step.name for step in planned.steps] == [step.name for step in happened.steps]
    ticket = next(step.order for step in planned.steps if isinstance(step.order, OpenTicket))
    filed = world.desk.tickets[-1]
    assert (ticket.summary, ticket.details) == (filed.summary.partition(" [")[0], filed.details)
    assert plan.why == "the account was disabled"


def test_a_plan_stores_nothing_touches_nothing_and_asks_nobody() -> None:
    world = world_with_ada()
    before, calls, looks = world.store.read(ADA), len(world.desk.calls), world.queue.waiting()
    for sighting in (ada(world), Absence(id="ada", soft_deleted=True), ada(world).evolve(groups=frozenset({"ITSM-Admins"}))):
        planner(world).plan(ADA, sighting)
    assert world.store.read(ADA) == before
    assert (len(world.desk.calls), world.queue.waiting()) == (calls, looks)
    assert len(world.runs()) == 1


def test_what_has_to_last_says_when_it_would_be_believed() -> None:
    world = world_with_ada()
    plan = planner(world).plan(ADA, Absence(id="ada", soft_deleted=False))
    assert plan.believed_at == world.clock.now() + timedelta(seconds=60)
    assert plan.runs[0].fact == Left(how=LeftHow.GONE)


def test_nothing_new_plans_nothing_and_says_why() -> None:
    world = world_with_ada()
    plan = planner(world).plan(ADA, ada(world))
    assert (plan.runs, plan.recorded, plan.why) == ((), (), "nothing that matters changed")
    shared = planner(world).plan(ADA, ada(world).evolve(employee_type="Service", account_enabled=False))
    assert shared.runs == () and shared.why.startswith("service")


def test_a_plan_for_somebody_made_while_we_watch_asks_for_the_roles_of_the_groups_they_are_in() -> None:
    world = World()
    world.app.sweep()
    eve = person("eve", groups=("ITSM-ServiceDesk",))
    old, new = (eve.evolve(created_at=world.clock.now() + timedelta(minutes=late)) for late in (-1, 1))
    assert [run.workflow for run in planner(world).plan(f"{TENANT}|person:eve", new).runs] == ["role_change"]
    assert planner(world).plan(f"{TENANT}|person:eve", old).runs == ()


def test_a_plan_for_somebody_new_says_what_joining_would_do() -> None:
    world = World()
    plan = planner(world).plan(f"{TENANT}|person:eve", person("eve", groups=("ITSM-NewJoiner",)))
    assert [run.workflow for run in plan.runs] == ["joiner"]
    assert plan.believed_at is not None


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda policy: replace(policy, workflows={"leaver": WorkflowPolicy(ring=Ring.SHADOW)}), Verdict.SHADOW),
        (lambda policy: replace(policy, workflows={"leaver": WorkflowPolicy(ring=Ring.OFF)}), Verdict.RECORD),
        (lambda policy: replace(policy, breaker=BreakerPolicy(hourly_min=0, hourly_share=0)), Verdict.HOLD),
    ],
)
def test_ring_and_breaker_are_asked_as_they_are(change: Callable[[Policy], Policy], verdict: Verdict) -> None:
    world = world_with_ada()
    for _ in range(2):
        # Twice: asking takes no slot.
        plan = planner(world, change(everyone())).plan(ADA, ada(world).evolve(account_enabled=False))
        assert [run.verdict for run in plan.runs] == [verdict]


def test_an_open_run_that_a_fact_would_meet_is_named_with_what_becomes_of_it() -> None:
    world = World()
    world.app.pauses.pause("joiner", "not today")
    world.put(person("ada", groups=("ITSM-NewJoiner",)))
    world.look("ada")
    world.pass_time(minutes=5)
    plan = planner(world).plan(ADA, ada(world).evolve(account_enabled=False))
    assert [list((run.meets or {}).values()) for run in plan.runs] == [["supersede"]]


def test_a_recipe_that_waits_is_lived_through_and_its_waits_are_told() -> None:
    @workflow(version=1)
    def mover(ctx: Context) -> None:
        ctx.sleep_until("the old access ends", ctx.now() + timedelta(days=14))

    world = world_with_ada()
    those: dict[type, object] = {**CATALOGUE, Moved: mover}
    plan = replace(planner(world), catalogue=those).plan(ADA, ada(world).evolve(department="Sales"))  # type: ignore[arg-type]
    assert [round((wait.until - world.clock.now()) / timedelta(days=1)) for wait in plan.runs[0].waits] == [14]
    assert plan.runs[0].trouble == ""


def test_a_role_that_needs_approval_is_planned_with_whom_it_asks_and_what_follows() -> None:
    world = world_with_ada()
    world.put(person("boss"))
    world.look("boss")
    boss = Manager(id="boss", display_name="Boss", mail="boss@contoso.example")
    plan = planner(world).plan(ADA, ada(world).evolve(manager=boss, groups=frozenset({"ITSM-ChangeManagers"})))
    run = next(run for run in plan.runs if run.workflow == "role_change")
    orders = [step.order for step in run.steps]
    assert [order.person.id for order in orders if isinstance(order, EnsureApprover)] == ["boss"]
    assert [order.roles for order in orders if isinstance(order, SetRoles)][-1] == ("Change Manager",)
    said = "\n".join(run_lines(run, world.policy))
    assert "approver Boss <boss@contoso.example>" in said and "reminded after 8 h of working time" in said
    assert world.desk.tickets == [ticket for ticket in world.desk.tickets if ticket.kind == "onboarding"]


def test_what_a_leaver_would_lose_in_the_directory_is_said_and_nothing_is_touched() -> None:
    cut_off = CutOffPolicy(revoke_sessions=True, remove_from_groups=True, keep_groups=("Alumni",))
    world = world_with_ada(replace(everyone(), cut_off=cut_off))
    (run,) = planner(world).plan(ADA, ada(world).evolve(account_enabled=False)).runs
    text = "\n".join(run_lines(run, world.policy))
    assert "end everything that the person is signed in with\n      touches  an account that a look of its own finds disabled" in text
    assert "groups   all that list the person and can be edited, but for those with licences, Alumni" in text
    assert world.directory.sessions_valid_from("ada") is None and len(world.directory.groups_of("ada")) == 1


def test_a_plan_takes_well_under_a_second() -> None:
    world = world_with_ada()
    sighting: Sighting = ada(world).evolve(account_enabled=False)
    # Its own work, on a machine that may have much else to do.
    began = time.process_time()
    planner(world).plan(ADA, sighting)
    assert time.process_time() - began < 1
