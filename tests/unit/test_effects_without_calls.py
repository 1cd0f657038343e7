"""A spent call budget is nobody's trouble: the run waits, and nothing else is remembered of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from joinery.domain.tickets import EnsureUser, FindUser, OpenTicket
from joinery.engine.journal import StepState
from joinery.errors import BudgetSpent, Refused, TryLater
from joinery.testing import World, person

ADA = person("ada", groups=("ITSM-NewJoiner",))
SPENT = "the desk's call budget is spent"


class Switched:
    """A budget that a test opens and shuts; with ``left`` it shuts by itself after so many calls."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.refused = 0

    def spend(self, n: int = 1) -> None:
        if self.left is not None:
            if self.left < n:
                self.refused += 1
                raise BudgetSpent(SPENT, after=timedelta(minutes=5))
            self.left -= n


def starving(left: int | None = 0) -> tuple[World, Switched]:
    world, budget = World(), Switched()
    world.desk.budget = budget
    budget.left = left
    world.put(ADA)
    world.look("ada")
    return world, budget


def test_a_run_without_calls_waits_for_days_without_a_try_an_entry_or_an_alert() -> None:
    world, budget = starving()
    world.pass_time(minutes=2)
    before = world.actions("ada")
    world.pass_time(days=5)
    [view] = world.runs()
    assert view.run.waiting_for.endswith(SPENT)
    assert [(step.tries, step.first_tried_at) for step in view.steps] == [(0, None)]
    assert world.actions("ada") == before
    # A look every five minutes, not more.
    assert budget.refused <= 5 * 24 * 12 + 1
    budget.left = None
    world.pass_time(minutes=30)
    assert [str(view.run.status) for view in world.runs()] == ["verified"]
    assert not [action for action in world.actions("ada") if action in ("step delayed", "alert", "step unknown")]


@pytest.mark.parametrize("left", range(1, 16))
def test_wherever_in_a_run_the_calls_end_it_goes_on_there_and_ends_the_same(left: int) -> None:
    """15 calls of the port are one joiner; the ones after the run are the twin checks."""
    world, budget = starving(left)
    world.pass_time(days=3)
    budget.left = None
    world.pass_time(hours=1)
    assert [str(view.run.status) for view in world.runs()] == ["verified"]
    assert len(world.desk.tickets) == len(world.desk.users) == 1
    actions = world.actions("ada")
    assert not {"alert", "step delayed", "step unknown", "step not found"} & set(actions)
    assert actions.count("twin check") == 3


def test_an_intent_whose_call_was_never_made_is_settled_and_not_looked_up() -> None:
    # The user is made and read back, the ticket is looked for twice and intended: the next call would make it.
    world, budget = starving()
    world.pass_time(minutes=2)
    performed = world.desk.perform

    def without_calls(order, key, *, within):  # type: ignore[no-untyped-def]  # as the port
        if isinstance(order, OpenTicket):
            raise BudgetSpent(SPENT, after=timedelta(seconds=1))
        return performed(order, key, within=within)

    world.desk.perform = without_calls  # type: ignore[method-assign]  # no call is left for this one
    budget.left = None
    world.pass_time(minutes=6)
    [ticket] = [step for step in world.runs()[0].steps if step.asks == "OpenTicket"]
    assert (ticket.state, ticket.tries, ticket.first_tried_at) == (StepState.RETRY, 0, None)


def test_time_without_calls_does_not_count_for_the_horizon() -> None:
    world, budget = starving(None)
    world.desk.fail(TryLater("busy"), times=2)
    world.pass_time(seconds=62)
    budget.left = 0
    world.pass_time(days=4)
    world.desk.fail(TryLater("busy"), times=3)
    budget.left = None
    world.pass_time(hours=1)
    assert [str(view.run.status) for view in world.runs()] == ["verified"]


def test_a_step_that_the_desk_refused_stays_refused_while_there_are_no_calls() -> None:
    world, budget = starving(None)
    world.desk.fail(Refused("no such site"), asks=EnsureUser, times=500)
    world.pass_time(hours=2)
    alerts = world.actions("ada").count("alert")
    budget.left = 0
    world.pass_time(days=1)
    budget.left = None
    world.pass_time(hours=2)
    assert world.actions("ada").count("alert") == alerts
    assert world.actions("ada").count("step delayed") == 1


def test_a_read_back_without_calls_is_no_failed_read_back() -> None:
    world, budget = starving(None)
    world.desk.ignore(EnsureUser)
    world.pass_time(seconds=61)
    tries = [step.verify_tries for step in world.runs()[0].steps if step.asks == "EnsureUser"]
    budget.left = 0
    world.pass_time(days=3)
    assert [step.verify_tries for step in world.runs()[0].steps if step.asks == "EnsureUser"] == tries
    assert "step unverified" not in world.actions("ada")


def test_a_run_that_was_overtaken_resolves_its_intent_when_there_are_calls_again() -> None:
    world, budget = starving(None)
    world.desk.land_late(timedelta(minutes=1), asks=OpenTicket)
    world.pass_time(seconds=62)
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    budget.left = 0
    world.pass_time(days=4)
    assert [str(view.run.status) for view in world.runs()] == ["superseding", "open"]
    budget.left = None
    world.pass_time(hours=1)
    assert [str(view.run.status) for view in world.runs()] == ["superseded", "verified"]
    assert "alert" not in world.actions("ada")
    assert any(isinstance(call.order, FindUser) for call in world.desk.calls)


def test_twin_checks_wait_together_and_are_no_failed_tries() -> None:
    world, budget = starving(None)
    world.pass_time(minutes=5)
    budget.left = 0
    world.pass_time(days=4)
    checks = world.app.reads.checks("local|person:ada")
    assert [(check.tries, check.first_tried_at) for check in checks] == [(0, None)] * 3
    # One question in five minutes for the three of them.
    assert budget.refused <= 4 * 24 * 12 + 3
    budget.left = None
    world.pass_time(minutes=10)
    assert world.actions("ada").count("twin check") == 3
    assert "alert" not in world.actions("ada")
