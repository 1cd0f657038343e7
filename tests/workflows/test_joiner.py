"""The joiner, from the outside: whatever happens on the way, one user, one ticket, one note, all read back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from stories import ada, alerts, assert_all_ended_well, assert_sound, end_state, joined, statuses, tickets

from joinery.domain.policy import Policy, TicketPolicy
from joinery.domain.tickets import AddNote, EnsureUser, OpenTicket
from joinery.errors import OutcomeUnknown, Refused, TryLater
from joinery.testing import World, everyone
from workflows.joiner import TASKS

CREATES = (EnsureUser, OpenTicket, AddNote)


def test_a_joiner_gets_a_user_and_one_ticket_with_the_whole_task_list_and_a_note() -> None:
    world = joined(World())
    assert_all_ended_well(world)
    [user], [ticket], [note] = world.desk.users, world.desk.tickets, world.desk.notes
    assert (user.directory_id, user.active) == ("ada", True)
    assert (ticket.kind, ticket.user_id, ticket.to_do) == ("onboarding", user.id, TASKS)
    assert "Charles Babbage" in ticket.details and "Finance" in ticket.details
    assert "make sure the person is a user on the desk: done, and read back" in note.text
    assert statuses(world) == [("joiner", "verified")]
    assert alerts(world) == []


def test_nothing_happens_before_the_account_has_settled() -> None:
    world = World()
    world.put(ada())
    world.look("ada")
    world.pass_time(seconds=59)
    assert world.desk.users == [] and world.runs() == []
    world.pass_time(seconds=1)
    assert len(world.desk.tickets) == 1


@pytest.mark.parametrize("what", CREATES)
def test_a_lost_response_is_found_and_adopted(what: type) -> None:
    world = World()
    world.desk.fail(OutcomeUnknown("the connection dropped"), asks=what, after_effect=True)
    joined(world)
    assert_all_ended_well(world)
    assert (len(world.desk.users), len(world.desk.tickets), len(world.desk.notes)) == (1, 1, 1)


@pytest.mark.parametrize("what", CREATES)
def test_a_lost_request_is_performed_again_after_two_looks(what: type) -> None:
    world = World()
    world.desk.fail(OutcomeUnknown("the connection dropped"), asks=what)
    joined(world)
    assert_all_ended_well(world)
    assert (len(world.desk.users), len(world.desk.tickets), len(world.desk.notes)) == (1, 1, 1)
    finds = [call for call in world.desk.calls if call.method == "find" and isinstance(call.order, what)]
    assert len(finds) >= 3, "once before the create, and twice before the repeat"


@pytest.mark.parametrize("what", CREATES)
@pytest.mark.parametrize("seconds", [1, 9, 11, 13])
def test_what_lands_late_but_before_the_second_look_is_adopted(what: type, seconds: int) -> None:
    world = World()
    world.desk.land_late(timedelta(seconds=seconds), asks=what)
    joined(world)
    assert_all_ended_well(world)
    assert (len(world.desk.users), len(world.desk.tickets), len(world.desk.notes)) == (1, 1, 1)


def test_a_create_cut_off_is_settled_within_20_seconds() -> None:
    world = World()
    world.desk.fail(OutcomeUnknown("the connection dropped"), asks=OpenTicket)
    world.put(ada())
    world.look("ada")
    world.pass_time(seconds=60 + 20)
    assert statuses(world) == [("joiner", "verified")]


def test_an_index_that_lags_less_than_we_wait_hides_nothing() -> None:
    world = World()
    world.desk.index_lag = timedelta(seconds=13)
    world.desk.fail(OutcomeUnknown("the connection dropped"), asks=OpenTicket, after_effect=True)
    joined(world)
    assert_all_ended_well(world)
    assert len(world.desk.tickets) == 1


@pytest.mark.parametrize("seconds", [15, 60, 600])
def test_what_lands_after_every_deadline_is_found_and_marked_once(seconds: int) -> None:
    world = World()
    world.desk.land_late(timedelta(seconds=seconds), asks=OpenTicket)
    joined(world, minutes=40)
    ours, stray = tickets(world, "onboarding")
    assert statuses(world) == [("joiner", "verified")]
    assert [note.ticket_id for note in world.desk.notes if "twin" in note.text] == [stray]
    assert len(alerts(world)) == 1 and stray in alerts(world)[0]
    [found] = [line.record for line in world.audit("ada") if line.record.action == "twin found"]
    assert (found.detail["ours"], found.detail["others"]) == (ours, [stray])


def test_an_index_that_lags_longer_than_we_wait_makes_a_twin_that_is_found_and_marked_once() -> None:
    """The lowest id counts as ours; what the audit says and what the notes say agree."""
    world = World()
    world.desk.index_lag = timedelta(seconds=60)
    world.desk.fail(OutcomeUnknown("the connection dropped"), asks=OpenTicket, after_effect=True)
    joined(world, minutes=40)
    lowest, other = tickets(world, "onboarding")
    [found] = [line.record for line in world.audit("ada") if line.record.action == "twin found"]
    assert (found.detail["ours"], found.detail["others"]) == (lowest, [other])
    assert [note.ticket_id for note in world.desk.notes if "twin" in note.text] == [other]
    assert len(alerts(world)) == 1


@pytest.mark.parametrize("late", [False, True], ids=["the answer is lost", "it lands late"])
def test_a_note_on_a_twin_whose_outcome_is_unknown_is_looked_for_before_it_is_written_again(late: bool) -> None:
    world = World()
    world.desk.index_lag = timedelta(seconds=60)
    world.desk.fail(OutcomeUnknown("the connection dropped"), asks=OpenTicket, after_effect=True)
    joined(world, minutes=14)
    if late:
        world.desk.land_late(timedelta(seconds=8), asks=AddNote)
    else:
        world.desk.fail(OutcomeUnknown("the connection dropped"), asks=AddNote, after_effect=True)
    world.pass_time(minutes=30)
    world.desk.find(EnsureUser(person=ada()), "whatever is late has landed by now")
    assert len([note for note in world.desk.notes if "twin" in note.text]) == 1
    assert len(alerts(world)) == 1


@pytest.mark.parametrize("what", CREATES)
def test_answers_of_try_later_are_weathered_with_growing_pauses(what: type) -> None:
    world = World()
    world.desk.fail(TryLater("busy"), asks=what, times=8)
    joined(world, minutes=60)
    assert_all_ended_well(world)
    asked = [call for call in world.desk.calls if call.method == "perform" and isinstance(call.order, what)]
    assert len(asked) == 9
    assert alerts(world) == []


@pytest.mark.parametrize("method", ["find", "find_similar", "read_back"])
def test_reads_that_are_refused_for_a_while_harm_nothing(method: str) -> None:
    world = World()
    world.desk.fail(TryLater("busy"), method=method, times=9)
    joined(world, minutes=60)
    assert_all_ended_well(world)
    assert alerts(world) == []


def test_what_the_other_side_asks_for_is_waited_for() -> None:
    world = World()
    world.desk.fail(TryLater("busy", after=timedelta(minutes=7)), asks=OpenTicket)
    world.put(ada())
    world.look("ada")
    world.pass_time(minutes=1, seconds=6 * 60 + 59)
    assert world.desk.tickets == []
    world.pass_time(seconds=1)
    assert len(world.desk.tickets) == 1


def test_a_refusal_that_is_mended_goes_on_by_itself_after_one_alert() -> None:
    world = World()
    world.desk.fail(Refused("policy.toml: the desk has no such team"), asks=OpenTicket, times=5)
    joined(world, minutes=90)
    assert_all_ended_well(world)
    assert len(alerts(world)) == 1


@pytest.mark.parametrize("error", [TryLater("busy"), Refused("no such team")])
def test_after_two_days_of_trying_the_run_fails_with_one_alert_more(error: Exception) -> None:
    """One alert for a refusal when it begins, and exactly one when the run is given up."""
    world = World()
    world.desk.fail(error, asks=OpenTicket, times=2_000)
    world.put(ada())
    world.look("ada")
    world.pass_time(hours=49)
    assert statuses(world) == [("joiner", "failed")]
    assert len(alerts(world)) == (2 if isinstance(error, Refused) else 1)
    assert "failed" in alerts(world)[-1]
    assert_sound(world)


def test_an_outcome_that_stays_unknown_for_two_days_alerts_once_and_is_not_forgotten() -> None:
    world = World()
    world.desk.fail(OutcomeUnknown("the connection dropped"), asks=OpenTicket, after_effect=True)
    world.put(ada())
    world.look("ada")
    world.pass_time(seconds=61)
    world.desk.fail(TryLater("busy"), method="find", times=5000)
    world.pass_time(hours=49)
    assert len([alert for alert in alerts(world) if "still unknown" in alert]) == 1
    world.desk._troubles.clear()
    world.pass_time(hours=1)
    assert statuses(world) == [("joiner", "verified")]
    assert len(tickets(world, "onboarding")) == 1
    assert len([alert for alert in alerts(world) if "still unknown" in alert]) == 1


def test_success_that_changes_nothing_ends_unverified_with_one_alert() -> None:
    world = World()
    world.desk.ignore(AddNote)
    joined(world, minutes=60)
    assert statuses(world) == [("joiner", "unverified")]
    assert len(alerts(world)) == 1


def test_a_ticket_that_a_human_opened_is_adopted_where_policy_says_so_and_a_late_one_of_ours_is_marked() -> None:
    plain = Policy()
    kinds = {**plain.desk.tickets, "onboarding": TicketPolicy(ticket_type="Onboarding", team="Service Desk", adopt_similar=True)}
    world = World(everyone(replace(plain, desk=replace(plain.desk, tickets=kinds))))
    world.desk.land_late(timedelta(minutes=5), asks=OpenTicket)
    world.put(ada())
    world.look("ada")
    world.pass_time(seconds=61)
    by_hand = world.desk.put_ticket(kind="onboarding", user_id=world.desk.users[0].id)
    world.pass_time(minutes=40)
    [ours, stray] = [ticket.id for ticket in world.desk.tickets]
    assert ours == by_hand.id
    assert any(note.ticket_id == ours and "Joinery did this" in note.text for note in world.desk.notes)
    assert [note.ticket_id for note in world.desk.notes if "twin" in note.text] == [stray]
    assert len(alerts(world)) == 1


def test_the_same_person_looked_at_a_hundred_times_joins_once() -> None:
    world = World()
    world.put(ada())
    world.look("ada", times=50)
    world.pass_time(minutes=2)
    world.look("ada", times=50)
    world.pass_time(minutes=20)
    assert_all_ended_well(world)
    assert end_state(world) == end_state(joined(World()))
    assert world.actions("ada").count("fact") == 1
