"""A policy edit is no person's change: what it would start waits until somebody applies it, and what it takes away is gone at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from joinery.domain.edits import facts_of_edit, in_force, kept, rules_of, waiting
from joinery.domain.events import Joined, RolesChanged
from joinery.domain.policy import IdentityPolicy, KindRule, Policy, RolePolicy
from joinery.engine.context import Context
from joinery.engine.policy_book import APPLIED, RULES, applied_rules, apply, written_rules
from joinery.engine.promotion import WANTED, want_looks
from joinery.engine.recipes import Catalogue, workflow
from joinery.testing import World, everyone, person
from workflows import CATALOGUE


@workflow(version=1)
def role_change(ctx: Context) -> None:
    ctx.now()


RECIPES: Catalogue = {**CATALOGUE, RolesChanged: role_change}
NEW = RolePolicy(role="Problem Manager")


def edited(policy: Policy, **roles: RolePolicy) -> Policy:
    return replace(policy, roles={**policy.roles, **roles})


def at_work(*who: str) -> World:
    world = World(everyone(), catalogue=RECIPES)
    world.directory.put_group("g-new", name="NEW")
    for one in who:
        world.put(person(one))
        world.look(one)
    world.pass_time(hours=1)
    return world


def restart(world: World, policy: Policy) -> None:
    world.policy = policy
    world.restart()
    world.pass_time(hours=2)
    world.app.hints.groups.refresh()
    minutes(world, 2)


def minutes(world: World, count: int) -> None:
    for _ in range(count):
        world.pass_time(minutes=1)
        world.app.tick()
    world.work()


def started(world: World) -> list[tuple[str, str]]:
    return [(view.partition.rpartition(":")[2], view.run.workflow) for view in world.runs()]


def look_at_all(world: World, *who: str) -> None:
    for one in who:
        world.look(one)
    minutes(world, 15)


# --- the engine


def test_a_new_role_group_starts_nothing_until_it_is_applied_and_then_exactly_its_people() -> None:
    world = at_work("ada", "ben", "eve")
    for one in ("ada", "ben"):
        world.directory.add_member("g-new", one)
    policy = edited(everyone(), NEW=NEW)
    restart(world, policy)
    look_at_all(world, "ada", "ben", "eve")
    assert world.app.health()[1]["policy_waits"] == ["[roles] NEW: new, gives Problem Manager, without approval"]
    # Somebody in the new group changes in another way meanwhile: the baseline moves, and must not take the group in.
    world.directory.change("ben", employee_type="Worker")
    look_at_all(world, "ben")
    assert started(world) == []
    apply(world.store, policy, world.clock)
    want_looks(world.store, ["local|person:ada", "local|person:ben"], APPLIED)
    minutes(world, 15)
    assert sorted(started(world)) == [("ada", "role_change"), ("ben", "role_change")]
    assert world.store.list_index(WANTED) == ()
    look_at_all(world, "ada", "ben", "eve")
    assert len(started(world)) == 2
    assert world.app.health()[1]["policy_waits"] == []


def test_changes_of_people_go_on_by_the_rules_in_force_while_an_edit_waits() -> None:
    world = at_work("ada")
    policy = edited(everyone(), NEW=NEW)
    restart(world, policy)
    world.directory.add_member("g-itsm-servicedesk", "ada")
    look_at_all(world, "ada")
    world.directory.change("ada", account_enabled=False)
    look_at_all(world, "ada")
    assert started(world) == [("ada", "role_change"), ("ada", "leaver")]


def test_another_joiner_group_makes_nobody_a_joiner_until_it_is_applied() -> None:
    world = at_work("ada")
    world.directory.add_member("g-new", "ada")
    policy = replace(everyone(), joiner_group="NEW")
    restart(world, policy)
    look_at_all(world, "ada")
    assert started(world) == []
    apply(world.store, policy, world.clock)
    want_looks(world.store, ["local|person:ada"], APPLIED)
    minutes(world, 15)
    assert started(world) == [("ada", "joiner")]


def test_a_group_that_was_taken_out_and_comes_back_waits_like_a_new_one() -> None:
    world = at_work("ada")
    without = replace(everyone(), roles={})
    restart(world, without)
    look_at_all(world, "ada")
    world.directory.add_member("g-itsm-servicedesk", "ada")
    restart(world, everyone())
    look_at_all(world, "ada")
    assert started(world) == []


def test_whoever_an_edit_protects_is_protected_at_once() -> None:
    world = at_work("ada")
    protecting = IdentityPolicy(protected=KindRule(upn_prefixes=("ada",)))
    restart(world, replace(everyone(), identity=protecting))
    world.directory.change("ada", account_enabled=False)
    look_at_all(world, "ada")
    assert started(world) == []
    restart(world, everyone())
    look_at_all(world, "ada")
    assert started(world) == [], "what it protects no longer waits"


def test_nothing_waits_on_the_first_day_and_two_workers_agree() -> None:
    world = at_work("ada")
    document = world.store.read_shared(RULES)[1]
    assert applied_rules(document) == rules_of(everyone())
    written = written_rules(document)
    assert written is not None and written[0] == rules_of(everyone())
    etag = world.store.read_shared(RULES)[0]
    world.restart()
    world.look("ada")
    assert world.store.read_shared(RULES)[0] == etag, "the same file writes nothing"


# --- the rules


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (lambda policy: replace(policy, joiner_group="X"), "[joiner] group: ITSM-NewJoiner -> X"),
        (lambda policy: edited(policy, NEW=NEW), "[roles] NEW: new, gives Problem Manager, without approval"),
        (
            lambda policy: edited(policy, **{"ITSM-ServiceDesk": RolePolicy(role="Service Desk", approval=("manager",), team="T")}),
            "[roles] ITSM-ServiceDesk: Service Desk, without approval -> Service Desk, approved by manager (also team)",
        ),
        (
            lambda policy: replace(policy, identity=replace(policy.identity, protected=KindRule(groups=("ITSM-BreakGlass",)))),
            "[identity.protected] recognises no longer: breakglass",
        ),
    ],
)
def test_what_waits_is_said_in_the_words_of_the_file(edit: Callable[[Policy], Policy], line: str) -> None:
    policy = edit(Policy())
    assert list(waiting(rules_of(Policy()), policy)) == [line]
    assert rules_of(in_force(rules_of(Policy()), policy)) == rules_of(Policy())
    assert list(waiting(rules_of(policy), policy)) == []


def test_what_an_edit_takes_away_does_not_wait_and_everything_else_is_in_force() -> None:
    before = rules_of(Policy())
    after = replace(Policy(), roles={"ITSM-Admins": Policy().roles["ITSM-Admins"]}, workflows={})
    assert list(waiting(before, after)) == []
    assert in_force(before, after) == after
    assert kept(before, after).roles == after.roles


def test_the_facts_of_an_edit_are_those_that_only_it_makes() -> None:
    world = at_work("ada")
    world.directory.add_member("g-new", "ada")
    restart(world, edited(everyone(), NEW=NEW))
    look_at_all(world, "ada")
    known = world.app.reads.find("ada")[0].head.known
    now = world.clock.now()
    assert facts_of_edit(known, {}, everyone(), edited(everyone(), NEW=NEW), now) == (RolesChanged(gained=("NEW",)),)
    assert facts_of_edit(known, {}, everyone(), replace(everyone(), joiner_group="NEW"), now) == (Joined(),)
    assert facts_of_edit(known, {}, everyone(), everyone(), now) == ()


def test_an_edit_strikes_whoever_was_given_the_role_that_a_group_stood_for_before() -> None:
    world = at_work("ada")
    world.directory.add_member("g-itsm-servicedesk", "ada")
    world.look("ada")
    head = world.app.reads.find("ada")[0].head
    other = edited(everyone(), **{"ITSM-ServiceDesk": replace(everyone().roles["ITSM-ServiceDesk"], role="Problem Manager")})
    now = world.clock.now()
    both = (RolesChanged(gained=("ITSM-ServiceDesk",), lost=("ITSM-ServiceDesk",)),)
    assert facts_of_edit(head.known, head.grants, everyone(), other, now) == both
    assert facts_of_edit(head.known, head.grants, other, other, now) == ()
