"""A run goes on with the recipe it began with, and a recipe that breaks its word ends its own run and nobody else's."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from test_context import ADA, cook, cut_off, ended, only_a_ticket, ticket

from joinery.domain.events import Joined
from joinery.domain.tickets import AddNote
from joinery.engine.context import Context
from joinery.engine.leash import RecipeStuck, leash
from joinery.engine.recipes import Recipe, Workflow
from joinery.engine.retry import EngineTiming
from joinery.testing import World, person


def deploy(world: World, *, version: int, recipe: Recipe, **earlier: Recipe) -> None:
    """Another release takes over: ``v1=`` and so on are the recipes that it still has."""
    old = {int(name[1:]): one for name, one in earlier.items()}
    world._catalogue = {Joined: Workflow(name="joiner", version=version, recipe=recipe, earlier=old)}
    world.restart()


def noted(text: str) -> Recipe:
    def recipe(ctx: Context) -> None:
        ctx.do("note", AddNote(ticket_id=ticket(ctx).id, text=text))

    return recipe


def test_an_open_run_ends_with_the_recipe_it_began_with_and_the_next_one_begins_with_the_new_one() -> None:
    world = cook(noted("old meaning"), prepare=cut_off, minutes=1.1)
    deploy(world, version=2, recipe=noted("new meaning"), v1=noted("old meaning"))
    world.put(person("bob", groups=("ITSM-NewJoiner",)))
    world.look("bob")
    world.pass_time(minutes=30)
    assert [(view.run.version, str(view.run.status)) for view in world.runs()] == [(1, "verified"), (2, "verified")]
    assert sorted(note.text for note in world.desk.notes) == ["new meaning", "old meaning"]


def test_a_run_whose_recipe_this_release_has_not_waits_for_one_that_has_and_somebody_is_told_once() -> None:
    world = cook(noted("one"), prepare=cut_off, minutes=1.1)
    deploy(world, version=2, recipe=noted("two"))
    world.pass_time(hours=3)
    [view] = world.runs()
    assert str(view.run.status) == "open" and "no recipe for joiner version 1" in view.run.waiting_for
    assert world.actions("ada").count("alert") == 1 and not world.desk.tickets[1:] and not world.desk.notes
    deploy(world, version=2, recipe=noted("two"), v1=noted("one"))
    world.pass_time(minutes=10)
    assert ended(world)[0] == "verified" and [note.text for note in world.desk.notes] == ["one"]


def test_an_older_release_leaves_a_run_of_a_newer_recipe_alone() -> None:
    world = cook(only_a_ticket, prepare=cut_off, minutes=1.1)
    world._catalogue = {}
    world.restart()
    world.pass_time(minutes=4)
    assert ended(world)[0] == "open" and world.actions("ada").count("alert") == 0


def test_a_run_that_nobody_has_a_recipe_for_fails_at_the_horizon_after_its_intent_was_resolved() -> None:
    world = cook(only_a_ticket, prepare=cut_off, minutes=1.1)
    world._catalogue = {}
    world.restart()
    world.pass_time(hours=49)
    status, reason = ended(world)
    assert status == "failed" and "no recipe for joiner version 1" in reason
    assert {str(step.state) for step in world.runs()[0].steps} == {"done"} and len(world.desk.tickets) == 1


def test_a_workflow_refuses_an_earlier_recipe_that_is_not_earlier() -> None:
    with pytest.raises(ValueError, match="cannot be earlier"):
        Workflow(name="joiner", version=2, recipe=only_a_ticket, earlier={2: only_a_ticket})


# --- recipes that break their word


def test_a_recipe_that_renames_a_create_in_mid_run_fails_before_anything_is_made_twice() -> None:
    world = World(catalogue={Joined: Workflow(name="joiner", version=1, recipe=only_a_ticket)})
    cut_off(world)
    world.put(ADA)
    world.look("ada")
    world.pass_time(minutes=1.1)
    deploy(world, version=1, recipe=lambda ctx: (ticket(ctx, "open another ticket"), None)[1])
    world.pass_time(minutes=30)
    status, reason = ended(world)
    assert status == "failed" and "'user for open another ticket' stands where 'user for open a ticket' was" in reason
    assert len(world.desk.tickets) == 1 and len(world.desk.users) == 1


def test_a_recipe_that_drops_a_step_in_mid_run_fails_and_names_it_after_its_intent_was_resolved() -> None:
    world = cook(only_a_ticket, prepare=cut_off, minutes=1.1)
    deploy(world, version=1, recipe=lambda ctx: None)
    world.pass_time(minutes=30)
    status, reason = ended(world)
    assert status == "failed" and "'user for open a ticket' is in the journal" in reason
    assert {str(step.state) for step in world.runs()[0].steps} == {"done"}


def test_a_recipe_that_returns_something_fails_and_says_what() -> None:
    assert ended(cook(lambda ctx: 7)) == ("failed", "the recipe returned a int; a recipe returns nothing")  # type: ignore[arg-type, return-value]


def hurried(recipe: Recipe) -> World:
    """A World in which a recipe may compute for 0.2 s, and a second person is served by the real one."""

    def choose(ctx: Context) -> None:
        (recipe if ctx.person.id == "ada" else only_a_ticket)(ctx)

    world = World(
        catalogue={Joined: Workflow(name="joiner", version=1, recipe=choose)}, timing=EngineTiming(recipe_limit=timedelta(seconds=0.2))
    )
    for one in (ADA, person("bob", groups=("ITSM-NewJoiner",))):
        world.put(one)
        world.look(one.id)
    world.pass_time(minutes=5)
    return world


def loops(ctx: Context) -> None:
    ticket(ctx)
    while True:
        pass


def loops_and_catches(ctx: Context) -> None:
    ticket(ctx)
    for _ in range(3):
        try:
            while True:
                pass
        except BaseException:
            continue


def loops_in_a_value(ctx: Context) -> None:
    def compute() -> int:
        while True:
            pass

    ctx.step("count for ever", compute)


@pytest.mark.parametrize("recipe", [loops, loops_and_catches, loops_in_a_value])
def test_a_recipe_that_loops_for_ever_fails_with_the_step_and_others_go_on(recipe: Recipe) -> None:
    world = hurried(recipe)
    stuck, fine = sorted(world.runs(), key=lambda view: view.partition)
    assert str(fine.run.status) == "verified"
    if recipe is not loops_and_catches:
        assert str(stuck.run.status) == "failed" and "went on for more than 0.2 s after step '" in stuck.run.reason
    assert [ticket.kind for ticket in world.desk.tickets].count("onboarding") == (1 if recipe is loops_in_a_value else 2)


def test_the_engine_is_never_cut_in_two_however_long_it_takes() -> None:
    world = World(
        catalogue={Joined: Workflow(name="joiner", version=1, recipe=only_a_ticket)},
        timing=EngineTiming(recipe_limit=timedelta(seconds=0.1)),
    )
    inner = world.desk.perform

    def slow(*args: object, **kwargs: object) -> object:
        time.sleep(0.4)
        return inner(*args, **kwargs)  # type: ignore[arg-type]

    world.desk.perform = slow  # type: ignore[method-assign, assignment]
    world.put(ADA)
    world.look("ada")
    world.pass_time(minutes=5)
    assert ended(world)[0] == "verified"


def test_a_leash_stops_only_the_thread_that_holds_it_and_lets_go_at_the_end() -> None:
    survived = threading.Event()

    def bystander() -> None:
        time.sleep(0.5)
        survived.set()

    other = threading.Thread(target=bystander)
    other.start()
    with pytest.raises(RecipeStuck), leash(timedelta(seconds=0.2)):
        while True:
            pass
    until = time.monotonic() + 0.4
    while time.monotonic() < until:
        pass
    other.join()
    assert survived.is_set()


def test_more_creates_of_a_kind_may_follow_those_in_the_journal() -> None:
    def recipe(ctx: Context) -> None:
        opened = ticket(ctx)
        for count in range(3):
            ctx.do(f"note {count}", AddNote(ticket_id=opened.id, text=str(count)))

    world = cook(recipe, prepare=cut_off)
    assert ended(world)[0] == "verified" and len(world.desk.notes) == 3
