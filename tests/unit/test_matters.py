"""What outlives a run: effects about a matter are found by later runs, their tickets are known until one closes them, targets move."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from joinery.domain.events import Joined, Left, Moved
from joinery.domain.policy import BreakerPolicy, Policy, Ring, WorkflowPolicy
from joinery.domain.roles import DESIRED
from joinery.domain.tickets import AddNote, CloseTicket, OpenTicket, Order, Result, SetRoles
from joinery.engine.context import Context
from joinery.engine.journal import effect_key, shared_by
from joinery.engine.memory_desk import MemoryServiceDesk
from joinery.engine.recipes import Workflow
from joinery.errors import OutcomeUnknown, TryLater
from joinery.testing import World, everyone, person

ADA = person("ada", groups=("ITSM-NewJoiner",))


def asks(ctx: Context) -> None:
    """Opens the ticket of one matter, or finds it, and says something on it once."""
    order = OpenTicket(kind="role", person=ctx.person, user_id=None, summary="a matter", details="")
    ticket = ctx.do("open the ticket", order, about="the badge")
    ctx.do("say it", AddNote(ticket_id=ticket.id, text="said"), about="the badge")


def asks_and_closes(ctx: Context) -> None:
    asks(ctx)
    [ticket] = ctx.open_tickets.values()
    ctx.do("close it", CloseTicket(ticket_id=ticket))


def world_of(*recipes: object, ring: Ring = Ring.EVERYONE, desk: MemoryServiceDesk | None = None) -> World:
    """Recipes for joining and moving; nothing else happens."""
    first, second = recipes
    catalogue = {
        Joined: Workflow(name="joiner", version=1, recipe=first),  # type: ignore[arg-type]  # a recipe
        Moved: Workflow(name="mover", version=1, recipe=second),  # type: ignore[arg-type]  # a recipe
    }
    workflows = {name: WorkflowPolicy(ring=ring) for name in ("joiner", "mover")}
    return World(Policy(workflows=workflows, breaker=BreakerPolicy(hourly_min=100, daily_min=100)), catalogue=catalogue, desk=desk)


def live(world: World, *, days: float = 3) -> World:
    world.put(ADA)
    world.look("ada")
    world.pass_time(days=days)
    world.directory.change("ada", department="Legal")
    world.look("ada")
    world.pass_time(hours=3)
    return world


def tickets_known(world: World) -> dict[str, str]:
    return world.app.dispatcher.open_partition("local|person:ada").head.tickets


def test_a_later_run_finds_what_an_earlier_one_made_about_the_same_matter() -> None:
    world = live(world_of(asks, asks))
    assert [str(view.run.status) for view in world.runs()] == ["verified", "verified"]
    [ticket] = world.desk.tickets
    assert [note.text for note in world.desk.notes] == ["said"]
    assert ticket.key == effect_key(deployment="test", run=shared_by("local|person:ada", "the badge"), step="open the ticket")
    assert tickets_known(world) == {"the badge": ticket.id}


def test_what_is_not_about_a_matter_is_every_runs_own() -> None:
    def own(ctx: Context) -> None:
        ctx.do("open the ticket", OpenTicket(kind="role", person=ctx.person, user_id=None, summary="own", details=""))

    world = live(world_of(own, own))
    assert len(world.desk.tickets) == 2 and tickets_known(world) == {}


def test_two_people_have_their_matters_each_for_themselves() -> None:
    world = world_of(asks, asks)
    for name in ("ada", "bea"):
        world.put(person(name, groups=("ITSM-NewJoiner",)))
        world.look(name)
    world.pass_time(minutes=30)
    assert len(world.desk.tickets) == 2


def test_a_ticket_that_a_run_closed_is_nobodys_to_close_any_more() -> None:
    world = live(world_of(asks_and_closes, asks))
    [ticket] = world.desk.tickets
    assert ticket.closed and world.runs()[0].run.status == "verified"
    # The second run is about the same matter all the same, and finds the ticket.
    assert tickets_known(world) == {"the badge": ticket.id}


def test_the_open_tickets_do_not_change_under_a_run_that_closes_them() -> None:
    seen: list[dict[str, str]] = []

    def closes(ctx: Context) -> None:
        seen.append(dict(ctx.open_tickets))
        for about, ticket in ctx.open_tickets.items():
            ctx.do(f"close {about}", CloseTicket(ticket_id=ticket))
        ctx.do("say it", AddNote(ticket_id=next(iter(ctx.open_tickets.values())), text="closed"))

    world = world_of(asks, closes)
    world.put(ADA)
    world.look("ada")
    world.pass_time(days=3)
    world.desk.fail(TryLater("busy"), asks=AddNote, times=3)
    live(world, days=0)
    assert len(seen) == 4 and all(one == seen[0] for one in seen)
    assert [str(view.run.status) for view in world.runs()] == ["verified", "verified"] and tickets_known(world) == {}


def test_a_rehearsal_leaves_no_matter_behind() -> None:
    world = live(world_of(asks, asks, ring=Ring.SHADOW))
    assert tickets_known(world) == {} and not world.desk.tickets


def test_a_ticket_of_an_overtaken_run_whose_answer_was_lost_is_known_to_the_next() -> None:
    known: list[dict[str, str]] = []

    def leaves(ctx: Context) -> None:
        known.append(dict(ctx.open_tickets))

    catalogue = {
        Joined: Workflow(name="joiner", version=1, recipe=asks),
        Left: Workflow(name="leaver", version=1, recipe=leaves),
    }
    world = World(everyone(), catalogue=catalogue)
    world.desk.fail(OutcomeUnknown("cut"), asks=OpenTicket, after_effect=True)
    world.put(ADA)
    world.look("ada")
    world.pass_time(seconds=61)
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(hours=1)
    [ticket] = world.desk.tickets
    assert known == [{"the badge": ticket.id}]


@pytest.mark.parametrize("about", ["", DESIRED])
def test_only_an_order_about_the_desired_roles_follows_what_is_wanted(about: str) -> None:
    """Whoever names roles in a recipe of their own gets those."""

    def sets(ctx: Context) -> None:
        ctx.do("set roles", SetRoles(person=ctx.person, agent_id=None, roles=("Auditor",), ours=("Auditor",)), about=about)

    world = world_of(sets, sets)
    agent = world.desk.put_agent("ada@contoso.example", "Service Desk")
    world.put(ADA)
    world.look("ada")
    world.pass_time(minutes=30)
    assert agent.roles == (() if about else ("Auditor", "Service Desk"))


def test_a_write_that_does_not_show_is_sent_again_as_it_is_wanted_by_then() -> None:
    """Two runs set roles; the older one is read back after the newer one was done, and must not bring back what it was asked for."""
    plain = everyone()
    free = {name: replace(role, approval=()) for name, role in plain.roles.items() if not role.administrator}
    world = World(replace(plain, roles=free))
    world.put(person("ada"))
    world.look("ada")
    world.pass_time(minutes=20)
    world.desk.ignore(asks=SetRoles, times=1)
    world.directory.add_member("g-itsm-servicedesk", "ada")
    world.look("ada")
    world.directory.add_member("g-itsm-changemanagers", "ada")
    world.look("ada")
    assert world.desk.agents[0].roles == ("Change Manager", "Service Desk")
    world.pass_time(timedelta(minutes=20))
    assert world.desk.agents[0].roles == ("Change Manager", "Service Desk")
    assert [str(view.run.status) for view in world.runs()] == ["verified", "verified"]


def test_the_look_for_what_an_earlier_run_made_is_a_thorough_one() -> None:
    """The quick look of a first try asks for the newest alone, and what an earlier run made may be days old."""
    asked: list[tuple[str, bool]] = []

    class Listening(MemoryServiceDesk):
        def find(self, order: Order, key: str, *, quick: bool = False, ours: str | None = None) -> tuple[Result, ...]:
            asked.append((type(order).__name__, quick))
            return super().find(order, key, quick=quick, ours=ours)

    world = world_of(asks, asks, desk=Listening())
    world.put(ADA)
    world.look("ada")
    world.pass_time(minutes=2)
    assert asked == [("OpenTicket", True), ("AddNote", True)]
    world.pass_time(days=3)
    asked.clear()
    live(world, days=0)
    assert asked[0] == ("OpenTicket", False)
