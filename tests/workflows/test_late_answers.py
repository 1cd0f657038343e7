"""What comes after an approval was decided: recorded, explained once on the ticket, and nothing changes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from questions import RULES, Office

from joinery.domain.tickets import AddNote, Verdict
from joinery.engine.desk_door import DeskDoor
from joinery.engine.partition import ENDED, STILL_ASKED
from joinery.errors import OutcomeUnknown, Refused, TryLater

DOOR = DeskDoor(secret="0123456789abcdef0123456789abcdef", user="halo", password="open")
KNOWN = f"Basic {base64.b64encode(b'halo:open').decode()}"
LATE = "approval too late"


def polled(office: Office) -> None:
    """Nobody tells us; the timer ticks."""
    office.hours(1.2)


def told(office: Office) -> None:
    """The desk posts the ticket's id, and no poll comes in between."""
    app = replace(office.app, desk_door=DOOR)
    posted = app.desk_event(json.dumps({"object_id": int(office.ticket.id)}).encode(), secret=DOOR.secret, authorization=KNOWN)
    assert posted.status == 202
    office.pass_time(minutes=2)


both = pytest.mark.parametrize("heard", [polled, told])
Heard = Callable[[Office], None]


def unanswered() -> Office:
    """Nobody answers in time; the recipe leaves the ticket open."""
    office = Office(rules=replace(RULES, gives_up_after=timedelta(hours=2), remind_after=timedelta(0))).ask()
    office.hours(2.2)
    assert office.outcome() == "timed out"
    assert [str(view.run.status) for view in office.runs()] == ["verified"]
    return office


def escalated() -> Office:
    """Bob and Eve are asked; Bob approves."""
    office = Office(rules=replace(RULES, escalate_after=timedelta(hours=1))).ask()
    office.hours(1.5)
    assert office.asked() == ["bob", "eve"]
    office.answer("bob")
    office.minutes(6)
    assert office.outcome() == "approved"
    return office


def second_answer(office: Office, at: str = "2026-01-05T12:00:00.000000Z") -> None:
    """Eve's row, as a desk shows it that took both."""
    rows = office.ticket.rounds[-1].answers
    place = next(number for number, row in enumerate(rows) if row.asked == office.user("eve"))
    rows[place] = replace(rows[place], verdict=Verdict.REJECTED, by=rows[place].asked, how="portal", at=at)


def nothing_changed(office: Office, outcome: str) -> None:
    assert office.outcome() == outcome
    assert [str(view.run.status) for view in office.runs()] == ["verified"]
    assert len([note for note in office.notes if note.startswith(f"{outcome}: ")]) == 1


def after_twin_checks(office: Office) -> None:
    """Every create was looked at once more; what is called from now on is about answers."""
    office.minutes(20)
    office.desk.calls.clear()


def late_notes(office: Office) -> list[str]:
    return [note for note in office.notes if "after the approval had ended" in note]


@both
def test_a_second_answer_after_the_first_was_believed_is_recorded_and_explained_and_the_first_stands(heard: Heard) -> None:
    office = escalated()
    second_answer(office)
    heard(office)
    [why] = office.said(LATE)
    assert why.startswith(
        f"user {office.user('eve')} refused it (portal, 2026-01-05T12:00:00.000000Z) after the approval had ended (approved,"
    )
    assert [note.startswith(why) for note in late_notes(office)] == [True]
    nothing_changed(office, "approved")


@both
def test_an_answer_after_the_timeout_is_recorded_and_explained_and_is_no_approval(heard: Heard) -> None:
    office = unanswered()
    office.answer("bob", words="Sorry, Ada Lovelace may have it")
    heard(office)
    [why] = office.said(LATE)
    assert f"user {office.user('bob')} approved it (portal" in why and "(timed out," in why
    assert len(late_notes(office)) == 1
    nothing_changed(office, "timed out")
    [entry] = [line for line in office.audit("ada") if line.record.action == LATE]
    assert entry.personal == {"said": "Sorry, Ada Lovelace may have it"}
    assert "Lovelace" not in str(entry.record)


@both
@pytest.mark.parametrize(
    ("more", "why"), [({"how": "override", "by": "7"}, "in place of whoever was asked"), ({"how": "automatic"}, "no person gave it")]
)
def test_an_answer_of_somebody_else_after_the_timeout_says_so_too(heard: Heard, more: dict[str, Any], why: str) -> None:
    office = unanswered()
    office.answer("bob", **more)
    heard(office)
    [said] = office.said(LATE)
    assert why in said
    nothing_changed(office, "timed out")


@both
def test_an_answer_in_a_round_that_somebody_else_started_afterwards_is_none_of_ours(heard: Heard) -> None:
    office = unanswered()
    stranger = office.desk.put_user(name="Stranger", approver=True)
    office.desk.start_round(office.ticket.id, stranger.id)
    office.desk.answer(office.ticket.id, stranger.id, True)
    heard(office)
    [said] = office.said(LATE)
    assert f"user {stranger.id} approved it" in said and "in a round that Joinery did not start" in said
    nothing_changed(office, "timed out")


@both
def test_a_ticket_that_is_deleted_afterwards_is_recorded_and_what_was_decided_stands(heard: Heard) -> None:
    office = unanswered()
    office.ticket.deleted = True
    heard(office)
    [said] = office.said(LATE)
    assert said.startswith(f"ticket {office.ticket.id} was deleted after the approval had ended (timed out,")
    assert late_notes(office) == []
    nothing_changed(office, "timed out")


def test_however_often_it_is_told_it_is_recorded_once_and_said_once() -> None:
    office = unanswered()
    office.answer("bob")
    for _ in range(3):
        told(office)
    office.hours(3)
    assert (len(office.said(LATE)), len(late_notes(office))) == (1, 1)


def test_a_further_answer_is_recorded_and_not_said_again() -> None:
    office = escalated()
    second_answer(office)
    told(office)
    second_answer(office, at="2026-01-06T08:00:00.000000Z")
    office.desk.calls.clear()
    told(office)
    assert [call.method for call in office.desk.calls] == ["ticket_state"]
    assert (len(office.said(LATE)), len(late_notes(office))) == (2, 1)


def test_a_late_answer_costs_one_read_and_one_note_that_is_looked_for_first() -> None:
    office = unanswered()
    office.answer("bob")
    office.desk.calls.clear()
    told(office)
    assert [call.method for call in office.desk.calls] == ["ticket_state", "find", "perform"]
    office.desk.calls.clear()
    told(office)
    assert [call.method for call in office.desk.calls] == ["ticket_state"]


def test_a_ticket_on_which_nobody_can_answer_any_more_is_not_looked_at_and_ends_the_poll() -> None:
    office = Office().ask()
    office.answer("bob")
    office.minutes(6)
    assert office.store.list_index(STILL_ASKED) == ()
    assert [row.name for row in office.store.list_index(ENDED)] == [office.ticket.id]
    after_twin_checks(office)
    office.hours(3)
    assert office.desk.calls == []


def test_a_ticket_that_waits_on_is_watched_with_the_one_list_and_for_a_week_at_most() -> None:
    office = unanswered()
    after_twin_checks(office)
    office.hours(2)
    assert {call.method for call in office.desk.calls} == {"awaiting"} and len(office.desk.calls) <= 24
    office.hours(24 * 7)
    assert office.store.list_index(STILL_ASKED) == ()
    office.desk.calls.clear()
    office.hours(2)
    assert office.desk.calls == []


def test_a_ticket_that_is_closed_is_watched_no_longer() -> None:
    office = unanswered()
    after_twin_checks(office)
    office.ticket.closed = True
    office.hours(3)
    assert [call.method for call in office.desk.calls] == ["awaiting", "ticket_state"]
    assert office.said(LATE) == []


@pytest.mark.parametrize("after_effect", [True, False])
def test_a_note_whose_outcome_is_unknown_is_looked_for_and_stands_there_once(after_effect: bool) -> None:
    office = unanswered()
    office.answer("bob")
    office.desk.fail(OutcomeUnknown("cut"), asks=AddNote, after_effect=after_effect)
    told(office)
    assert (len(office.said(LATE)), len(late_notes(office))) == (1, 1)


def test_a_busy_desk_is_asked_again_and_nothing_is_recorded_twice() -> None:
    office = unanswered()
    office.answer("bob")
    office.desk.fail(TryLater("busy"), method="ticket_state", times=2)
    office.desk.fail(TryLater("busy"), asks=AddNote, times=2)
    told(office)
    assert (len(office.said(LATE)), len(late_notes(office))) == (1, 1)


def test_a_desk_that_takes_no_note_on_the_ticket_is_recorded_and_left_alone() -> None:
    office = unanswered()
    office.answer("bob")
    office.desk.fail(Refused("closed tickets take no notes"), asks=AddNote)
    told(office)
    told(office)
    assert late_notes(office) == []
    assert [why for why in office.said(LATE) if "refuses the note" in why and "take no notes" in why]
    assert len(office.said(LATE)) == 2


def test_a_pause_keeps_the_note_back_and_not_the_record() -> None:
    office = unanswered()
    office.answer("bob")
    office.app.pauses.pause("*", reason="maintenance")
    told(office)
    assert (len(office.said(LATE)), late_notes(office)) == (1, [])
    office.app.pauses.resume("*")
    office.pass_time(minutes=2)
    assert (len(office.said(LATE)), len(late_notes(office))) == (1, 1)


def test_nothing_is_written_about_whoever_became_protected() -> None:
    office = unanswered()
    office.answer("bob")
    office.directory.change("ada", user_type="Guest")
    office.look("ada")
    told(office)
    assert (len(office.said(LATE)), late_notes(office)) == (1, [])


def test_a_question_that_is_asked_again_on_the_same_ticket_is_open_and_nothing_is_late() -> None:
    office = Office("manager", "owner:owner@contoso.example").ask()
    office.answer("bob")
    office.minutes(7)
    assert office.asked() == ["owner"]
    told(office)
    assert office.said(LATE) == []
