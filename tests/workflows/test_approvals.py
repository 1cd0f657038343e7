"""Approvals from the question to the answer, whoever gives it, however late, and whatever happens meanwhile."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from questions import NAME, RULES, Office, staff
from stories import PRIVATE

from joinery.domain.events import Moved
from joinery.domain.moments import to_text
from joinery.domain.policy import ApprovalPolicy, Ring, WorkflowPolicy
from joinery.domain.tickets import AddNote, Answer, AskApproval, EnsureApprover, EnsureUser, OpenTicket, Verdict
from joinery.engine.context import Context
from joinery.engine.desk_door import DeskDoor
from joinery.engine.envelope import EnvelopeKind, person_subject
from joinery.engine.recipes import workflow
from joinery.errors import OutcomeUnknown, Refused, TryLater
from joinery.testing import TENANT


def test_the_manager_is_asked_and_their_answer_is_the_approval_with_its_evidence() -> None:
    office = Office().ask()
    assert office.asked() == ["bob"]
    assert office.open_questions() == [office.ticket.id]
    assert office.outcome() == ""
    office.answer("bob")
    office.minutes(6)
    approval = office.approval()
    assert approval is not None
    assert approval.approved
    assert (approval.by, approval.who, approval.how) == (office.user("bob"), "bob", "portal")
    assert approval.at.startswith("2026-01-05T09:")
    [said] = office.said("approval approved")
    assert office.user("bob") in said
    assert "round 1" in said
    assert office.open_questions() == []
    assert [str(view.run.status) for view in office.runs()] == ["verified"]


def test_a_refusal_names_who_and_why_and_is_no_approval() -> None:
    office = Office().ask()
    office.answer("bob", approved=False)
    office.minutes(6)
    approval = office.approval()
    assert approval is not None
    assert approval.outcome == "refused"
    assert not approval.approved
    assert f"User {office.user('bob')} refused it" in approval.why
    assert office.notes[-1].startswith("refused: User")


def test_the_words_of_whoever_decided_are_quoted_on_the_ticket_and_stand_nowhere_in_clear_text() -> None:
    office = Office().ask()
    office.answer(
        "bob", approved=False, words="Not before Ada Lovelace\n has <b>finished</b> [local-K5WXGZLTMVRXE4TF] " + "her training " * 60
    )
    office.minutes(6)
    approval = office.approval()
    assert approval is not None
    assert approval.words.startswith("Not before Ada Lovelace has <b>finished</b> (local-K5WXGZLTMVRXE4TF) her training")
    assert (len(approval.words) <= 500, approval.words[-1]) == (True, "…")
    assert f'They wrote: "{approval.words}"' in office.notes[-1]
    [told] = [line for line in office.audit("ada") if line.record.action == "approval refused"]
    assert told.personal == {"said": approval.words}
    assert not [line for line in office.audit("ada") if "Lovelace" in str(line.record)]


def test_an_answer_without_words_is_no_empty_quotation() -> None:
    office = Office().ask()
    office.answer("bob", words=" \n ")
    office.minutes(6)
    assert "They wrote" not in office.notes[-1]
    assert [line.personal for line in office.audit("ada") if line.record.action == "approval approved"] == [None]


def test_nobody_who_was_not_made_an_approver_is_asked() -> None:
    """The manager was no user of the desk before; now they are one who may approve."""
    office = Office()
    assert office.desk.users == []
    office.ask()
    bob = next(user for user in office.desk.users if user.directory_id == "bob")
    assert bob.approver
    assert office.user("ada") != bob.id


def test_an_answer_is_found_at_once_when_the_desk_tells_and_else_by_the_poll() -> None:
    told, polled = Office().ask(), Office().ask()
    for office in (told, polled):
        office.answer("bob")
    told.app.answers.hint([told.ticket.id])
    told.work()
    assert told.outcome() == "approved"
    assert polled.outcome() == ""
    assert polled.app.poll_approvals() == 1
    polled.work()
    assert polled.outcome() == "approved"


def test_an_answer_that_comes_before_anyone_waits_is_heard() -> None:
    """The reply to the asking is lost; the manager answers before we have found out that the round exists."""
    office = Office()
    office.desk.fail(OutcomeUnknown("cut"), asks=AskApproval, after_effect=True)
    office.ask()
    office.answer("bob")
    office.app.answers.hint([office.ticket.id])
    office.work()
    office.minutes(7)
    assert office.outcome() == "approved"
    assert len(office.ticket.rounds) == 1


def test_a_second_answer_is_recorded_and_changes_nothing() -> None:
    """Eve was asked too when Bob did not answer; both answer in the same moment."""
    office = Office(rules=replace(RULES, escalate_after=timedelta(hours=1))).ask()
    office.hours(1.5)
    assert office.asked() == ["bob", "eve"]
    rows = office.ticket.rounds[-1].answers
    office.answer("bob")
    rows[1] = replace(rows[1], verdict="rejected", by=rows[1].asked, how="portal", at="2027-01-01T00:00:00.000000Z")
    office.minutes(6)
    assert office.outcome() == "approved"
    assert any("another answer came first" in why for why in office.said("approval not counted"))


@pytest.mark.parametrize(
    ("who", "more", "why"),
    [
        ("bob", {"how": "override", "by": "7"}, "in place of whoever was asked"),
        ("bob", {"how": "automatic"}, "no person gave it"),
        ("bob", {"how": "agent", "by": "7"}, "somebody else gave it than was asked"),
        ("bob", {"how": "delegate", "by": "ADA"}, "nobody approves for themself"),
    ],
)
def test_what_is_no_answer_of_whoever_was_asked_does_not_count_and_is_said_once(who: str, more: dict[str, Any], why: str) -> None:
    office = Office().ask()
    more = {name: office.user("ada") if value == "ADA" else value for name, value in more.items()}
    office.answer(who, **more)
    office.minutes(12)
    assert office.outcome() == ""
    [said] = office.said("approval not counted")
    assert why in said
    assert sum(why in note for note in office.notes) == 1
    # That answer ended the round at the desk, so the manager is asked anew, and can answer.
    assert len(office.ticket.rounds) == 2
    office.answer("bob")
    office.minutes(6)
    assert office.outcome() == "approved"


def test_a_delegate_answers_for_the_manager() -> None:
    office = Office().ask()
    office.answer("bob", how="delegate", by="77")
    office.minutes(6)
    approval = office.approval()
    assert approval is not None
    assert (approval.outcome, approval.by, approval.who, approval.how) == ("approved", "77", "bob", "delegate")


def test_a_desk_that_answers_every_round_by_itself_is_asked_three_times_and_then_waited_for() -> None:
    office = Office().ask()
    for _ in range(6):
        if any(answer.verdict == "pending" for answer in office.ticket.rounds[-1].answers):
            office.answer("bob", how="automatic")
        office.minutes(70)
    assert len(office.ticket.rounds) == 3
    assert office.outcome() == ""


def test_a_status_set_by_hand_is_no_approval() -> None:
    office = Office().ask()
    office.ticket.status = "approved"
    office.minutes(130)
    assert office.outcome() == ""
    assert len([note for note in office.notes if "moved on by hand" in note]) == 1
    # Its row still waits, and an answer in it counts.
    office.answer("bob")
    office.minutes(65)
    assert office.outcome() == "approved"


def test_a_ticket_that_was_closed_by_hand_is_no_approval() -> None:
    office = Office().ask()
    office.ticket.closed = True
    office.minutes(12)
    assert office.outcome() == ""
    assert len([why for why in office.said("approval not counted") if "by hand" in why]) == 1


def test_a_ticket_that_was_deleted_fails_the_run_where_people_see_it() -> None:
    office = Office().ask()
    office.ticket.deleted = True
    office.minutes(12)
    [view] = office.runs()
    assert str(view.run.status) == "failed"
    assert f"ticket {office.ticket.id} is gone" in view.run.reason
    assert any("is gone" in why for why in office.said("alert"))
    assert office.open_questions() == []


def test_a_round_that_somebody_else_started_does_not_count_and_ours_is_started_again() -> None:
    office = Office().ask()
    stranger = office.desk.put_user(name="Stranger", approver=True)
    office.desk.start_round(office.ticket.id, stranger.id)
    office.desk.answer(office.ticket.id, stranger.id, True)
    office.minutes(12)
    assert office.outcome() == ""
    assert office.asked() == ["bob"]
    assert any("did not start" in why for why in office.said("approval not counted"))
    office.answer("bob")
    office.minutes(6)
    assert office.outcome() == "approved"


def test_a_new_manager_is_asked_instead_of_the_old_one() -> None:
    office = Office().ask()
    office.directory.change("ada", manager=staff("ada", "eve").manager)
    office.look("ada")
    office.pass_time(minutes=2)
    assert office.asked() == ["eve"]
    assert any(f"Held by user {office.user('eve')}" in note for note in office.notes)
    with pytest.raises(Refused):
        office.answer("bob")
    office.answer("eve")
    office.minutes(6)
    assert office.outcome() == "approved"


def test_a_round_that_gives_way_to_the_next_before_it_was_read_back_leaves_its_run_verified() -> None:
    office = Office()
    office.desk.fail(TryLater("busy"), asks=AskApproval, method="read_back", times=20)
    office.ask()
    assert office.asked() == ["bob"]
    office.desk.mend()
    office.directory.change("ada", manager=staff("ada", "eve").manager)
    office.look("ada")
    office.pass_time(minutes=2)
    assert [step.verified for view in office.runs() for step in view.steps if step.asks == AskApproval.__name__] == [True, True]
    [told] = office.said("step overtaken")
    assert "another one takes its place" in told
    office.answer("eve")
    office.minutes(6)
    assert [str(view.run.status) for view in office.runs()] == ["verified"]
    assert office.said("alert") == []


def test_a_manager_who_leaves_is_replaced_as_policy_says() -> None:
    office = Office()
    office.look("bob")
    office.pass_time(minutes=2)
    office.ask()
    office.directory.change("bob", account_enabled=False)
    office.look("bob")
    office.pass_time(minutes=2)
    assert office.asked() == ["eve"]


def test_what_waits_for_a_manager_who_moves_is_looked_at_so_that_the_manager_of_now_is_asked() -> None:
    office = Office()
    office.look("bob")
    office.pass_time(minutes=2)
    office.ask()
    # Nobody has told of this yet; the news is about Bob.
    office.directory.change("ada", manager=staff("ada", "eve").manager)
    office.directory.change("bob", department="Somewhere else")
    office.look("bob")
    office.pass_time(minutes=2)
    assert office.asked() == ["eve"]


def test_the_answer_of_somebody_who_has_left_meanwhile_does_not_count() -> None:
    office = Office().ask()
    office.directory.change("bob", account_enabled=False)
    office.answer("bob", how="mail link")
    office.minutes(6)
    assert office.outcome() == ""
    assert office.asked() == ["eve"]
    assert any("is disabled" in why for why in office.said("approval not counted"))


def test_a_manager_who_went_on_leave_is_passed_over_at_the_next_reminder() -> None:
    office = Office().ask()
    office.directory.add_member("g-on leave", "bob")
    office.hours(9)
    assert office.asked() == ["eve"]


def test_whoever_went_on_leave_after_they_were_asked_may_still_answer() -> None:
    office = Office().ask()
    office.directory.add_member("g-on leave", "bob")
    office.answer("bob")
    office.minutes(6)
    assert office.outcome() == "approved"


def test_a_row_of_somebody_who_was_not_asked_does_not_count() -> None:
    """A rule of the desk put another approver beside ours."""
    office = Office().ask()
    stranger = office.desk.put_user(name="Stranger", approver=True)
    office.ticket.rounds[-1].answers.append(Answer(asked=stranger.id, verdict=Verdict.PENDING))
    office.answer_as(stranger.id)
    office.minutes(6)
    assert office.outcome() == ""
    assert any("somebody who was not asked" in why for why in office.said("approval not counted"))


def test_an_answer_right_after_the_second_asking_is_found_by_the_next_poll() -> None:
    office = Office().ask()
    office.answer("bob", how="automatic")
    office.app.poll_approvals()
    office.work()
    assert len(office.ticket.rounds) == 2
    office.answer("bob")
    office.minutes(6)
    assert office.outcome() == "approved"


def test_a_note_that_the_desk_refuses_keeps_no_answer_waiting() -> None:
    office = Office()
    office.desk.fail(Refused("notes are off"), asks=AddNote, times=1000)
    office.ask()
    office.answer("bob")
    office.minutes(6)
    assert office.outcome() == "approved"


def test_a_decided_question_is_polled_no_more_though_its_run_goes_on() -> None:
    @workflow(version=1)
    def joiner(ctx: Context) -> None:
        user = ctx.do("make sure the person is a user on the desk", EnsureUser(person=ctx.person))
        ticket = ctx.do("open", OpenTicket(kind="role", person=ctx.person, user_id=user.id, summary="s", details="d"))
        ctx.ask_approval(NAME, ticket=ticket, of=("manager",))
        ctx.sleep_until("wait for a month", ctx.now() + timedelta(days=30))

    office = Office(recipe=joiner).ask()
    office.answer("bob")
    office.minutes(6)
    assert office.outcome() == "approved"
    assert [str(view.run.status) for view in office.runs()] == ["open"]
    assert office.open_questions() == []


def test_where_nobody_can_be_asked_it_is_not_approved() -> None:
    office = Office(rules=replace(RULES, fallback="")).ask(manager="")
    office.pass_time(minutes=2)
    approval = office.approval()
    assert approval is not None
    assert (approval.outcome, approval.approved) == ("nobody", False)
    assert office.ticket.rounds == []
    assert "There is nobody who may approve" in office.notes[-1]


def test_a_manager_who_is_set_a_moment_later_is_asked() -> None:
    """Taken away and set in two steps: nobody is an answer only at the second look."""
    office = Office(rules=replace(RULES, fallback=""))
    office.put(staff("ada", groups=("ITSM-NewJoiner",)))
    office.look("ada")
    office.pass_time(seconds=70)
    assert office.outcome() == ""
    office.directory.change("ada", manager=staff("ada", "bob").manager)
    office.look("ada")
    office.pass_time(minutes=2)
    assert office.asked() == ["bob"]


def test_an_approval_that_is_open_for_ninety_days_is_still_answered_once() -> None:
    office = Office(rules=replace(RULES, gives_up_after=timedelta(days=100))).ask()
    for _ in range(90):
        office.app.tick()
        office.pass_time(days=1)
    assert office.outcome() == "" and "bob" in office.asked()
    office.answer("bob")
    office.minutes(6)
    assert office.outcome() == "approved"
    assert [ticket.kind for ticket in office.desk.tickets] == ["role"] and len(office.ticket.rounds) <= 2
    assert len(office.notes) < 20


def test_reminders_and_the_end_come_in_working_time() -> None:
    """Eight hours a day: asked on Monday at 9:01, reminded on Tuesday, escalated on Wednesday evening, given up after ten working days."""
    office = Office(rules=replace(RULES, working=ApprovalPolicy().working)).ask()
    begun = office.clock.now()
    office.hours(23)
    assert [note for note in office.notes if note.startswith("Reminder")] == []
    office.hours(2)
    assert len([note for note in office.notes if note.startswith("Reminder")]) == 1
    assert office.asked() == ["bob"]
    office.hours(48)
    assert office.asked() == ["bob", "eve"]
    assert f"user {office.user('bob')} or user {office.user('eve')}" in office.notes[-1]
    while not office.outcome():
        office.hours(12)
        assert office.clock.now() - begun < timedelta(days=30)
    assert office.outcome() == "timed out"
    assert office.clock.now() - begun > timedelta(days=13)
    assert "Nobody answered in time" in office.notes[-1]


def test_an_answer_after_the_time_is_up_changes_nothing() -> None:
    office = Office(rules=replace(RULES, gives_up_after=timedelta(hours=2))).ask()
    office.hours(3)
    assert office.outcome() == "timed out"
    office.answer("bob")
    office.app.answers.hint([office.ticket.id])
    office.hours(1)
    assert office.outcome() == "timed out"


def test_whoever_answers_in_the_last_moment_is_heard_before_the_time_is_up() -> None:
    """Nothing told us of the answer: the ticket is read before it is given up."""
    office = Office(rules=replace(RULES, gives_up_after=timedelta(hours=2), remind_after=timedelta(hours=9))).ask()
    office.pass_time(minutes=100)
    office.answer("bob")
    office.pass_time(minutes=30)
    assert office.outcome() == "approved"


def test_several_are_asked_in_order_and_all_have_to_approve() -> None:
    office = Office("manager", "owner:owner@contoso.example").ask()
    assert office.asked() == ["bob"]
    office.answer("bob")
    office.minutes(7)
    assert office.outcome() == ""
    assert office.asked() == ["owner"]
    office.answer("owner", approved=False)
    office.minutes(7)
    assert office.outcome() == "refused"
    assert len(office.said("approval approved")) == 1


def test_one_person_in_two_places_is_asked_once() -> None:
    office = Office("manager", "owner:bob@contoso.example").ask()
    office.answer("bob")
    office.minutes(7)
    assert office.outcome() == "approved"
    assert len(office.ticket.rounds) == 1


def test_any_of_several_may_decide() -> None:
    office = Office("manager", "owner:owner@contoso.example", any_of=True).ask()
    assert office.asked() == ["bob", "owner"]
    office.answer("owner")
    office.minutes(7)
    assert office.outcome() == "approved"
    assert len(office.ticket.rounds) == 1


def test_an_owner_who_cannot_be_asked_is_no_way_to_an_approval() -> None:
    office = Office("owner:nobody@contoso.example", rules=replace(RULES, fallback="nobody@contoso.example")).ask()
    office.pass_time(minutes=2)
    assert office.outcome() == "nobody"


def test_a_desk_or_directory_in_trouble_is_waited_for() -> None:
    office = Office().ask()
    office.answer("bob")
    office.desk.fail(TryLater("busy"), method="ticket_state", times=2)
    office.desk.fail(Refused("no permission"), method="ticket_state")
    office.minutes(6)
    assert office.outcome() == ""
    office.minutes(20)
    assert office.outcome() == "approved"
    assert any("cannot go on" in why for why in office.said("alert"))


def test_an_approver_whom_the_desk_refuses_to_make_fails_the_run_after_two_days() -> None:
    office = Office()
    office.desk.fail(Refused("no licence"), asks=EnsureApprover, times=1000)
    office.ask()
    office.pass_time(hours=50)
    [view] = office.runs()
    assert str(view.run.status) == "failed"
    assert office.outcome() == ""


def test_a_pause_keeps_the_question_and_its_answer() -> None:
    office = Office().ask()
    office.app.pauses.pause("*", reason="maintenance")
    office.answer("bob")
    office.minutes(10)
    assert office.outcome() == ""
    office.app.pauses.resume("*")
    office.minutes(10)
    assert office.outcome() == "approved"


def test_a_plan_shows_whom_it_would_ask_and_touches_nothing() -> None:
    office = Office()
    policy = office.policy
    shadow = {name: replace(one, ring="shadow") for name, one in policy.workflows.items()}
    office.policy = replace(policy, workflows=shadow)  # type: ignore[arg-type]  # the ring by its name
    office.restart()
    office.ask()
    office.minutes(3)
    assert [str(view.run.status) for view in office.runs()] == ["planned"]
    assert office.outcome() == "approved"
    assert office.desk.tickets == []
    assert office.desk.users == []
    assert office.open_questions() == []
    assert any("bob: is asked" in why for why in office.said("approver sought"))


def test_a_hint_about_a_ticket_that_nobody_waits_for_is_nothing() -> None:
    office = Office().ask()
    office.desk.calls.clear()
    assert office.app.answers.hint(["4711", "", office.ticket.id[:2]]) == 0
    office.queue_up(person_subject("eve"), EnvelopeKind.ANSWER)
    office.queue_up(person_subject("nobody"), EnvelopeKind.ANSWER)
    office.work()
    assert office.desk.calls == []


def test_a_row_that_was_left_behind_goes_when_nobody_waits_any_more() -> None:
    office = Office().ask()
    office.store.put_index("approvals", "999", {"partition": f"{TENANT}|{person_subject('eve')}", "asked": [], "at": _text(office)})
    office.hours(1.2)
    assert office.open_questions() == [office.ticket.id]


def test_a_poll_in_the_middle_of_the_asking_keeps_no_answer_waiting() -> None:
    """The poll runs while the round is being started; the answer that comes afterwards is found by the next one."""
    office = Office()
    office.desk.fail(OutcomeUnknown("cut"), asks=AskApproval)
    office.ask()
    office.app.poll_approvals()
    office.pass_time(minutes=2)
    office.answer("bob")
    office.minutes(6)
    assert office.outcome() == "approved"


def test_hundred_open_approvals_cost_one_list_call_in_five_minutes() -> None:
    """Three days from Monday to Thursday, two reminders included, until it is time to escalate."""
    office = Office(rules=replace(RULES, working=ApprovalPolicy().working))
    for number in range(100):
        office.put(staff(f"p{number}", "bob", groups=("ITSM-NewJoiner",)))
        office.queue_up(person_subject(f"p{number}"), EnvelopeKind.LOOK)
    office.pass_time(minutes=20)
    assert len(office.open_questions()) == 100
    office.desk.calls.clear()
    office.hours(71.5)
    assert len(office.open_questions()) == 100
    assert len([line for line in office.audit("p7") if line.record.action == "approval reminder"]) == 2
    assert len(office.desk.calls) <= 1000
    assert {call.method for call in office.desk.calls} == {"awaiting"}


def test_without_an_open_approval_the_poll_asks_nothing() -> None:
    office = Office()
    office.minutes(12)
    assert office.desk.calls == []


def test_names_and_addresses_stay_out_of_audit_and_notes() -> None:
    office = Office("manager", "owner:lovelace@contoso.example")
    office.put(staff("owner2", mail="lovelace@contoso.example", display_name="Ada Lovelace"))
    office.put(staff("bob", "eve", mail="babbage@contoso.example", display_name="Charles Babbage"))
    office.ask()
    office.answer("bob", how="automatic")
    office.minutes(12)
    office.answer("bob")
    office.minutes(12)
    office.answer("owner2", approved=False)
    office.minutes(12)
    assert office.outcome() == "refused"
    told = [str(line.record) for line in office.audit("ada")] + office.notes
    assert not [text for text in told for private in PRIVATE if private in text]


def _text(office: Office) -> str:
    return to_text(office.clock.now())


# --- the desk's own hint ---

DOOR = DeskDoor(secret="0123456789abcdef0123456789abcdef", user="halo", password="open")
KNOWN = f"Basic {base64.b64encode(b'halo:open').decode()}"


def told(office: Office, body: bytes, *, secret: str = DOOR.secret, authorization: str = KNOWN) -> int:
    """The status that the desk gets for a post."""
    app = replace(office.app, desk_door=DOOR)
    return app.desk_event(body, secret=secret, authorization=authorization).status


def test_what_the_desk_posts_wakes_whoever_waits_and_nobody_else() -> None:
    office = Office().ask()
    office.answer("bob")
    office.desk.calls.clear()
    posted = json.dumps([{"object_id": 1}, {"ticket": {"id": int(office.ticket.id)}}]).encode()
    assert told(office, posted) == 202
    assert len(office.queue.receive_due()) == 1
    assert told(office, posted) == 202
    office.work()
    assert office.outcome() == "approved"
    assert [call.method for call in office.desk.calls].count("ticket_state") == 1


def test_a_forged_answer_is_a_look_at_the_ticket_and_no_more() -> None:
    office = Office().ask()
    forged = {"object_id": office.ticket.id, "result": 1, "status": "Approved", "approved": True, "user_id": office.user("bob")}
    office.desk.calls.clear()
    for _ in range(3):
        assert told(office, json.dumps(forged).encode()) == 202
    office.work()
    assert office.outcome() == ""
    assert {call.method for call in office.desk.calls} == {"ticket_state"}


def test_whoever_is_not_known_at_the_door_leaves_nothing_behind() -> None:
    office = Office().ask()
    body = json.dumps({"object_id": office.ticket.id}).encode()
    assert office.app.desk_event(body, secret="", authorization="").status == 404
    assert told(office, body, secret="guess") == 404
    assert told(office, body, authorization="") == 401
    assert told(office, b"{") == 400
    assert told(office, b"x" * 300_000) == 413
    assert office.queue.receive_due() == []


def test_a_hint_that_the_queue_or_the_store_does_not_take_is_sent_again_by_the_desk() -> None:
    office = Office().ask()
    body = json.dumps({"object_id": office.ticket.id}).encode()
    office.queue.unavailable = True
    assert told(office, body) == 503
    office.queue.unavailable = False
    assert told(office, body) == 202


# --- a run that overtakes another ---


@workflow(version=1)
def mover(ctx: Context) -> None:
    """Two questions on one ticket, the second after the first."""
    user = ctx.do("make sure the person is a user on the desk", EnsureUser(person=ctx.person))
    order = OpenTicket(kind="role", person=ctx.person, user_id=user.id, summary="s", details="d")
    ticket = ctx.do("open the ticket", order, about="access")
    for what in ("the first role", "the second role"):
        approval = ctx.ask_approval(f"ask for {what}", ticket=ticket, of=("manager",), about=f"access to {what}")
        ctx.do(f"say what was decided about {what}", AddNote(ticket_id=ticket.id, text=f"{what}: {approval.outcome}"))


def moves(office: Office, department: str) -> None:
    office.directory.change("ada", department=department)
    office.look("ada")
    office.minutes(8)


def mover_office() -> Office:
    office = Office(recipe=mover)
    office.policy = replace(office.policy, workflows={"mover": WorkflowPolicy(ring=Ring.EVERYONE)})
    office._catalogue = {Moved: mover}
    office.restart()
    return office.ask()


def test_a_run_that_overtakes_one_that_had_overtaken_another_goes_on_with_the_question() -> None:
    """The second run ends before it comes to the question: the desk does not answer it. The third finds what the first had asked."""
    office = mover_office()
    moves(office, "Legal")
    office.answer("bob", how="automatic")
    office.minutes(12)
    office.desk.fail(TryLater("busy"), method="find", asks=EnsureUser, times=20)
    moves(office, "Sales")
    moves(office, "Research")
    office.minutes(30)
    assert [str(view.run.status) for view in office.runs()] == ["superseded", "superseded", "open"]
    assert [len(ticket.rounds) for ticket in office.desk.tickets] == [2]
    assert len(office.said("approval not counted")) == 1
    last = office.runs()[-1]
    assert f"Held by user {office.user('bob')} since 2026-01-05 09:03 UTC" in last.run.waiting_for
    assert not [step for step in last.steps if step.asks in ("EnsureApprover", "AskApproval")]
    office.answer("bob")
    office.minutes(6)
    assert office.notes.count("the first role: approved") == 1
    assert [len(ticket.rounds) for ticket in office.desk.tickets] == [3]


def test_an_answer_to_one_question_is_none_to_another_on_the_same_ticket() -> None:
    """The first role was refused, the second is asked for when a further move begins: its answer says nothing about the first."""
    office = mover_office()
    moves(office, "Legal")
    office.answer("bob", approved=False)
    office.minutes(6)
    moves(office, "Sales")
    office.answer("bob")
    office.minutes(15)
    assert "the second role: approved" not in office.notes
    assert len(office.ticket.rounds) > 2


def test_a_run_that_overtakes_another_goes_on_with_its_open_question() -> None:
    """The second move merges with the first: one ticket, no further round, and the answer decides the second run."""

    @workflow(version=1)
    def mover(ctx: Context) -> None:
        user = ctx.do("make sure the person is a user on the desk", EnsureUser(person=ctx.person))
        order = OpenTicket(kind="role", person=ctx.person, user_id=user.id, summary="s", details="d")
        ticket = ctx.do("open the ticket", order, about="access")
        approval = ctx.ask_approval(NAME, ticket=ticket, of=("manager",), about="access")
        ctx.do("say what was decided", AddNote(ticket_id=ticket.id, text=str(approval.outcome)))

    office = Office(recipe=mover)
    office.policy = replace(office.policy, workflows={"mover": WorkflowPolicy(ring=Ring.EVERYONE)})
    office._catalogue = {Moved: mover}
    office.restart()
    office.ask()
    office.directory.change("ada", department="Legal")
    office.look("ada")
    office.minutes(5)
    office.answer("bob", how="automatic")
    office.minutes(12)
    office.directory.change("ada", department="Sales")
    office.look("ada")
    office.minutes(20)
    assert [str(view.run.status) for view in office.runs()] == ["superseded", "open"]
    assert office.open_questions() == [office.ticket.id]
    assert [len(ticket.rounds) for ticket in office.desk.tickets] == [2]
    office.answer("bob")
    office.minutes(6)
    assert [str(view.run.status) for view in office.runs()] == ["superseded", "verified"]
    assert office.notes[-1] == "approved"
    assert len(office.said("approval not counted")) == 1
    assert office.open_questions() == []


def test_somebody_who_leaves_between_the_walk_and_the_asking_is_not_asked() -> None:
    office = Office()
    look, looked = office.directory.look, []

    def leaving(person_id: str, groups: Any) -> Any:
        """Bob leaves after he was found."""
        found = look(person_id, groups)
        if person_id == "bob":
            looked.append(person_id)
            office.directory.change("bob", account_enabled=False)
        return found

    office.directory.look = leaving  # type: ignore[method-assign]  # the moment between two reads cannot be met otherwise
    office.ask()
    office.minutes(5)
    assert office.asked() == ["eve"]
    assert [user.directory_id for user in office.desk.users] == ["ada", "eve"]
