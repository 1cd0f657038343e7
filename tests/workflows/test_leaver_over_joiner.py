"""Somebody leaves before their onboarding is finished, at every point of it and whatever became of the call in flight."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from stories import ada, alerts, assert_chains_sound, assert_sound, statuses, tickets

from joinery.domain.tickets import AddNote, EnsureUser, OpenTicket
from joinery.errors import OutcomeUnknown, Refused, TryLater
from joinery.testing import World

CREATES = (EnsureUser, OpenTicket, AddNote)

OUTCOMES: dict[str, Callable[[World, type], None]] = {
    "the response was lost": lambda world, what: world.desk.fail(OutcomeUnknown("cut"), asks=what, after_effect=True),
    "the request was lost": lambda world, what: world.desk.fail(OutcomeUnknown("cut"), asks=what),
    "it lands within the deadline": lambda world, what: world.desk.land_late(timedelta(seconds=8), asks=what),
    "it lands between the two looks": lambda world, what: world.desk.land_late(timedelta(seconds=13), asks=what),
    "the desk is busy": lambda world, what: world.desk.fail(TryLater("busy"), asks=what, times=3),
    "the desk refuses": lambda world, what: world.desk.fail(Refused("no"), asks=what, times=3),
    "it does not show yet": lambda world, what: world.desk.ignore(what),
}


def stuck(what: type, outcome: str) -> World:
    """A joiner that waits at one of its steps."""
    world = World()
    world.put(ada())
    world.look("ada")
    world.pass_time(seconds=59)
    OUTCOMES[outcome](world, what)
    world.pass_time(seconds=1)
    return world


def leave(world: World, minutes: float = 40) -> World:
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(minutes=minutes)
    return world


@pytest.mark.parametrize(
    ("what", "outcome"),
    # A ticket that was answered and does not exist refuses every note; that is a failed run, not this story.
    [(what, outcome) for what in CREATES for outcome in OUTCOMES if (what, outcome) != (OpenTicket, "it does not show yet")],
)
def test_the_leaver_ends_verified_and_nothing_is_done_twice(what: type, outcome: str) -> None:
    world = stuck(what, outcome)
    assert statuses(world) == [("joiner", "open")]
    leave(world)
    assert statuses(world) == [("joiner", "superseded"), ("leaver", "verified")]
    assert_sound(world)
    assert len(tickets(world, "offboarding")) == 1
    assert all(not user.active for user in world.desk.users)
    onboarding = tickets(world, "onboarding")
    told = [note.ticket_id for note in world.desk.notes if "has left before" in note.text]
    assert told == onboarding, "every onboarding ticket that exists says so, once"


@pytest.mark.parametrize("what", [EnsureUser, OpenTicket, AddNote])
def test_the_leaver_waits_until_the_open_intent_is_resolved(what: type) -> None:
    world = stuck(what, "the response was lost")
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(seconds=11)
    assert statuses(world) == [("joiner", "superseding"), ("leaver", "open")]
    assert tickets(world, "offboarding") == []
    world.pass_time(seconds=1)
    assert statuses(world)[0] == ("joiner", "superseded")
    assert len(tickets(world, "offboarding")) == 1


@pytest.mark.parametrize("what", [EnsureUser, OpenTicket, AddNote])
def test_what_lands_after_every_look_is_found_and_told_once(what: type) -> None:
    world = World()
    world.put(ada())
    world.look("ada")
    world.pass_time(seconds=59)
    world.desk.land_late(timedelta(minutes=5), asks=what)
    world.pass_time(seconds=1)
    leave(world, minutes=60)
    assert statuses(world) == [("joiner", "superseded"), ("leaver", "verified")]
    assert_chains_sound(world)
    assert len(alerts(world)) == 1
    if what is OpenTicket:
        [late] = tickets(world, "onboarding")
        assert [note.ticket_id for note in world.desk.notes if "Please close it" in note.text] == [late]


@pytest.mark.parametrize("seconds", range(60, 80))
def test_leaving_in_any_second_of_a_cut_off_onboarding_ends_the_same(seconds: int) -> None:
    world = World()
    world.desk.fail(OutcomeUnknown("cut"), asks=OpenTicket)
    world.put(ada())
    world.look("ada")
    world.pass_time(seconds=seconds)
    leave(world)
    assert_sound(world)
    assert statuses(world)[-1] == ("leaver", "verified")
    assert len(tickets(world, "onboarding")) <= 1 and len(tickets(world, "offboarding")) == 1
    assert not world.desk.users[0].active


def test_leaving_while_settling_starts_nothing() -> None:
    world = World()
    world.put(ada())
    world.look("ada")
    world.pass_time(seconds=30)
    leave(world)
    assert world.runs() == [] and world.desk.tickets == []


def test_a_finished_joiner_is_not_overtaken() -> None:
    world = World()
    world.put(ada())
    world.look("ada")
    world.pass_time(seconds=61)
    leave(world)
    assert statuses(world) == [("joiner", "verified"), ("leaver", "verified")]
    assert not [note for note in world.desk.notes if "has left before" in note.text]


def test_a_search_that_is_refused_for_two_days_keeps_the_leaver_waiting_no_longer() -> None:
    world = stuck(OpenTicket, "the response was lost")
    world.desk.fail(Refused("no searching"), method="find", times=5000)
    leave(world, minutes=49 * 60)
    world.desk._troubles.clear()
    world.pass_time(hours=1)
    assert statuses(world) == [("joiner", "superseded"), ("leaver", "verified")]
    assert alerts(world), "somebody was told"
    assert not world.desk.users[0].active


def test_pause_holds_the_leaver_and_not_the_resolution() -> None:
    world = stuck(OpenTicket, "the response was lost")
    world.app.pauses.pause("*", "the auditors are here")
    leave(world)
    assert statuses(world) == [("joiner", "superseded"), ("leaver", "open")]
    assert world.desk.users[0].active
    world.app.pauses.resume("*")
    world.pass_time(minutes=30)
    world.app.tick()
    world.pass_time(minutes=1)
    assert statuses(world)[-1] == ("leaver", "verified")
    assert_sound(world)
