"""``ctx.sleep_until``: a run that goes on at its moment, through restarts, and never before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from joinery.domain.events import Joined, Left
from joinery.domain.policy import Ring, WorkflowPolicy
from joinery.domain.tickets import AddNote, OpenTicket
from joinery.engine.context import Context
from joinery.engine.recipes import Workflow
from joinery.testing import World, everyone, person

LAST_DAY = datetime(2026, 4, 5, 17, 0, tzinfo=UTC)


class Night:
    """A world with a recipe that sleeps until a moment which may change meanwhile."""

    def __init__(self, ring: Ring = Ring.EVERYONE) -> None:
        self.until = LAST_DAY
        policy = replace(everyone(), workflows={"joiner": WorkflowPolicy(ring=ring)})
        self.world = World(policy, catalogue={Joined: Workflow(name="joiner", version=1, recipe=self.recipe)})
        self.world.put(person("ada", groups=("ITSM-NewJoiner",)))
        self.world.look("ada")
        self.world.pass_time(minutes=2)

    def recipe(self, ctx: Context) -> None:
        ticket = ctx.do("open", OpenTicket(kind="onboarding", person=ctx.person, user_id=None, summary="s", details="d"))
        ctx.sleep_until("wait for the last day", self.until)
        ctx.do("say so", AddNote(ticket_id=ticket.id, text=f"woke at {ctx.now():%Y-%m-%d %H:%M}"))

    @property
    def status(self) -> str:
        [view] = self.world.runs()
        return str(view.run.status)


def test_ninety_days_pass_in_a_blink_and_the_run_goes_on_in_its_minute() -> None:
    night = Night()
    world = night.world
    [view] = world.runs()
    assert view.run.due == LAST_DAY
    assert "2026-04-05 17:00 UTC" in view.run.waiting_for
    world.restart()
    world.pass_time(LAST_DAY - world.clock.now() - timedelta(seconds=1))
    assert (night.status, world.desk.notes) == ("open", [])
    world.pass_time(seconds=2)
    assert night.status == "verified"
    assert [note.text for note in world.desk.notes] == ["woke at 2026-04-05 17:00"]


def test_a_look_in_between_does_not_wake_it() -> None:
    night = Night()
    night.world.directory.change("ada", job_title="Analyst")
    night.world.look("ada")
    night.world.pass_time(days=2)
    assert night.status == "open"


def test_the_moment_that_was_given_first_stays() -> None:
    """A repeat of the recipe may compute another one: what was promised is kept."""
    night = Night()
    night.until = LAST_DAY + timedelta(days=30)
    night.world.pass_time(LAST_DAY - night.world.clock.now())
    assert night.status == "verified"


def test_a_moment_that_has_passed_is_no_wait() -> None:
    night = Night()
    night.world.pass_time(LAST_DAY - night.world.clock.now() + timedelta(days=1))
    night.world.put(person("eve", groups=("ITSM-NewJoiner",)))
    night.world.look("eve")
    night.world.pass_time(minutes=2)
    assert [str(view.run.status) for view in night.world.runs()] == ["verified", "verified"]


def test_whoever_leaves_is_not_waited_for() -> None:
    night = Night()
    world = night.world
    leaver = Workflow(name="leaver", version=1, recipe=lambda ctx: None)
    world._catalogue = {**world._catalogue, Left: leaver}
    world.policy = replace(world.policy, workflows={name: WorkflowPolicy(ring=Ring.EVERYONE) for name in ("joiner", "leaver")})
    world.restart()
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(minutes=2)
    assert [str(view.run.status) for view in world.runs()] == ["superseded", "verified"]


def test_a_plan_does_not_wait() -> None:
    night = Night(ring=Ring.SHADOW)
    assert night.status == "planned"
