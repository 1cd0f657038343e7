"""What a recipe may do, and what it cannot get away with."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from joinery.domain.events import Joined
from joinery.domain.tickets import AddNote, EnsureUser, OpenTicket, TicketRef
from joinery.engine.context import Context
from joinery.engine.recipes import Recipe, Workflow
from joinery.errors import LostRace, OutcomeUnknown, TryLater, Waiting
from joinery.testing import World, everyone, person

ADA = person("ada", groups=("ITSM-NewJoiner",))


def cook(recipe: Recipe, *, minutes: float = 30, prepare: Any = None) -> World:
    """A world in which ``recipe`` answers a joiner."""
    world = World(catalogue={Joined: Workflow(name="joiner", version=1, recipe=recipe)})
    if prepare:
        prepare(world)
    world.put(ADA)
    world.look("ada")
    world.pass_time(minutes=minutes)
    return world


def ended(world: World) -> tuple[str, str]:
    [view] = world.runs()
    return str(view.run.status), view.run.reason


def ticket(ctx: Context, name: str = "open a ticket") -> TicketRef:
    user = ctx.do(f"user for {name}", EnsureUser(person=ctx.person))
    return ctx.do(name, OpenTicket(kind="onboarding", person=ctx.person, user_id=user.id, summary="s", details="d"))


def only_a_ticket(ctx: Context) -> None:
    ticket(ctx)


def cut_off(world: World) -> None:
    world.desk.fail(OutcomeUnknown("cut"), asks=OpenTicket, after_effect=True)


def test_a_recipe_that_only_returns_is_verified() -> None:
    assert ended(cook(lambda ctx: None)) == ("verified", "")


def test_a_recipe_that_raises_fails_with_the_class_and_the_place_and_never_the_text() -> None:
    def recipe(ctx: Context) -> None:
        ticket(ctx)
        raise ValueError(f"something about {ctx.person.display_name}")

    world = cook(recipe)
    assert ended(world) == ("failed", "the recipe raised ValueError after step 'open a ticket'")
    assert world.actions("ada").count("alert") == 1


@pytest.mark.parametrize("caught", [Exception, BaseException])
def test_a_recipe_cannot_swallow_a_pause(caught: type[BaseException]) -> None:
    def recipe(ctx: Context) -> None:
        with suppress(caught):
            ticket(ctx)
        ctx.do("a second one", OpenTicket(kind="onboarding", person=ctx.person, user_id=None, summary="s", details="d"))

    world = cook(recipe, prepare=cut_off)
    assert ended(world)[0] == "verified"
    assert len(world.desk.tickets) == 2


def test_a_recipe_that_swallows_a_pause_and_returns_has_not_ended() -> None:
    def recipe(ctx: Context) -> None:
        try:
            ticket(ctx)
        except BaseException:
            return

    world = cook(recipe, prepare=cut_off, minutes=1.1)
    assert ended(world)[0] == "open"
    world.pass_time(minutes=5)
    assert ended(world)[0] == "verified" and len(world.desk.tickets) == 1


def test_a_recipe_that_swallows_a_pause_and_raises_something_else_has_not_failed() -> None:
    def recipe(ctx: Context) -> None:
        try:
            ticket(ctx)
        except BaseException as stop:
            raise ValueError("mine") from stop

    world = cook(recipe, prepare=cut_off)
    assert ended(world)[0] == "verified" and len(world.desk.tickets) == 1


def test_nothing_may_follow_a_swallowed_pause_in_the_same_execution() -> None:
    reached: list[str] = []

    def recipe(ctx: Context) -> None:
        try:
            ticket(ctx)
        except BaseException:
            ctx.step("count", lambda: reached.append("x"))

    cook(recipe, prepare=cut_off, minutes=1.1)
    assert reached == []


def test_a_lost_race_cannot_be_swallowed_either() -> None:
    world = World(catalogue={})

    def recipe(ctx: Context) -> None:
        try:
            ctx.step("value", lambda: 1)
        except LostRace:
            return

    world = cook(recipe)
    assert ended(world)[0] == "verified"


def test_a_name_used_twice_fails_the_run() -> None:
    def recipe(ctx: Context) -> None:
        ctx.step("once", lambda: 1)
        ctx.step("once", lambda: 2)

    status, reason = ended(cook(recipe))
    assert status == "failed" and "'once'" in reason


def test_a_renamed_meaning_fails_the_run_and_first_finds_out_what_became_of_the_old_one() -> None:
    version = [1]

    def recipe(ctx: Context) -> None:
        if version[0] == 1:
            ctx.do("the step", OpenTicket(kind="onboarding", person=ctx.person, user_id=None, summary="s", details="d"))
        else:
            ctx.step("the step", lambda: 1)

    world = cook(recipe, prepare=cut_off, minutes=1.1)
    version[0] = 2
    world.pass_time(minutes=5)
    status, reason = ended(world)
    assert status == "failed" and "needs a new name" in reason
    [step] = world.runs()[0].steps
    assert step.state == "done" and step.result["id"] == world.desk.tickets[0].id
    assert world.actions("ada").count("alert") == 1


def test_a_stray_exception_out_of_a_call_leaves_no_intent_open_and_does_not_repeat_for_ever() -> None:
    """What the adapter did not translate: the run fails, and what became of the call is known first."""
    world = cook(only_a_ticket, prepare=lambda world: world.desk.fail(KeyError("x"), asks=OpenTicket, after_effect=True))
    assert ended(world)[0] == "failed"
    assert {str(step.state) for step in world.runs()[0].steps} == {"done"}
    assert len(world.desk.tickets) == 1
    assert world.actions("ada").count("alert") == 1


@pytest.mark.parametrize(
    "value",
    [1, "text", None, True, 1.5, ["a"], {"a": 1}, ("a", "b"), datetime(2026, 1, 5, tzinfo=UTC), TicketRef(id="7"), timedelta(hours=1)],
)
def test_a_value_is_the_same_the_first_time_and_every_time(value: object) -> None:
    seen: list[object] = []
    computed: list[object] = []

    def recipe(ctx: Context) -> None:
        def compute() -> object:
            computed.append(value)
            return value

        seen.append(ctx.step("value", compute))
        ticket(ctx)

    cook(recipe, prepare=cut_off)
    assert len(computed) == 1
    assert len(seen) >= 2 and all(type(one) is type(seen[0]) and one == seen[0] for one in seen)


def test_a_value_that_cannot_be_stored_fails_the_run_without_telling_the_value() -> None:
    world = cook(lambda ctx: ctx.step("odd", lambda: object()))  # type: ignore[arg-type]
    status, reason = ended(world)
    assert status == "failed" and "'odd'" in reason


def test_time_is_read_once_and_written_down() -> None:
    seen: list[tuple[datetime, datetime]] = []

    def recipe(ctx: Context) -> None:
        first = ctx.now()
        ticket(ctx)
        seen.append((first, ctx.now()))

    world = cook(recipe, prepare=lambda world: world.desk.fail(TryLater("busy"), asks=OpenTicket, times=4))
    [(first, second)] = seen
    assert first == world.runs()[0].run.started_at and second > first


def test_an_optional_step_that_is_refused_does_not_hold_up_the_rest_and_is_not_forgotten() -> None:
    def recipe(ctx: Context) -> None:
        ctx.try_to("a ticket", OpenTicket(kind="onboarding", person=ctx.person, user_id=None, summary="s", details="d"))
        ctx.do("a user", EnsureUser(person=ctx.person))

    world = cook(recipe, prepare=lambda world: world.desk.fail(TryLater("busy"), asks=OpenTicket, times=3), minutes=1)
    assert len(world.desk.users) == 1 and world.desk.tickets == []
    world.pass_time(minutes=10)
    assert ended(world)[0] == "verified" and len(world.desk.tickets) == 1


def test_an_optional_step_with_an_unknown_outcome_is_not_overtaken() -> None:
    def recipe(ctx: Context) -> None:
        ctx.try_to("a ticket", OpenTicket(kind="onboarding", person=ctx.person, user_id=None, summary="s", details="d"))
        ctx.do("a user", EnsureUser(person=ctx.person))

    world = cook(recipe, prepare=cut_off, minutes=1.1)
    assert world.desk.users == []
    world.pass_time(minutes=10)
    assert ended(world)[0] == "verified"


def test_a_recipe_with_a_hundred_steps_is_taken_up_again_when_its_time_is_used_up() -> None:
    """Sixty seconds of work per message; the person's other messages get their turn."""

    def recipe(ctx: Context) -> None:
        for number in range(20):
            found = ctx.step(f"work {number}", lambda: world.clock.advance(seconds=5).isoformat())
            assert found
            ctx.do(f"user {number}", EnsureUser(person=ctx.person))

    world = World(catalogue={Joined: Workflow(name="joiner", version=1, recipe=recipe)})
    world.put(ADA)
    world.look("ada")
    while world.queue.next_due() is not None and not (world.runs() and world.runs()[0].run.closed_at):
        world.clock.advance(max(timedelta(0), world.queue.next_due() - world.clock.now()))  # type: ignore[operator]  # asked above
        for message in world.queue.receive_due():
            before = world.clock.monotonic()
            world.app.handle(message.body)
            assert world.clock.monotonic() - before <= 65
    assert ended(world)[0] == "verified"


def test_waiting_is_no_exception_that_a_careless_recipe_could_catch() -> None:
    assert not issubclass(Waiting, Exception)


def test_a_workflow_in_no_ring_starts_nothing() -> None:
    policy = replace(everyone(), workflows={})
    world = World(policy)
    world.put(ADA)
    world.look("ada")
    world.pass_time(minutes=5)
    assert world.runs() == [] and world.desk.calls == []
    assert "joiner is off" in [line.record.why for line in world.audit("ada")]


def test_notes_of_one_run_on_one_ticket_have_keys_of_their_own() -> None:
    def recipe(ctx: Context) -> None:
        opened = ticket(ctx)
        for number in range(3):
            ctx.do(f"note {number}", AddNote(ticket_id=opened.id, text="same words"))

    world = cook(recipe)
    assert len({note.key for note in world.desk.notes}) == 3
