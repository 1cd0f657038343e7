"""What every service desk promises about approvals: who is asked, what counts as an answer, and how a ticket ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from desk_worlds import ALEX, KEY, OTHER_KEY, WITHIN, World

from joinery.domain.tickets import AddNote, Answer, AskApproval, CloseTicket, EndTicket, NoteRef, OpenTicket, RoundRef, TicketState, Verdict
from joinery.errors import OutcomeUnknown, Refused


class Scene:
    """A ticket, and two users who may approve."""

    def __init__(self, world: World) -> None:
        self.world = world
        ticket = OpenTicket(kind="onboarding", person=ALEX, user_id=None, summary="Role for Alex", details="Please decide.")
        self.ticket = world.do(ticket).id
        self.boss = world.add_user("boss@contoso.com", approver=True)
        self.deputy = world.add_user("deputy@contoso.com", approver=True)

    def order(self, *users: str, number: int = 1) -> AskApproval:
        return AskApproval(ticket_id=self.ticket, user_ids=users or (self.boss,), round=number)

    def ask(self, *users: str, number: int = 1, key: str = KEY) -> RoundRef:
        asked: RoundRef = self.world.do(self.order(*users, number=number), key)
        return asked

    @property
    def state(self) -> TicketState:
        return self.world.desk.ticket_state(self.ticket)

    @property
    def answers(self) -> list[tuple[str, str, str, str]]:
        return [(answer.asked, str(answer.verdict), answer.by, answer.how) for answer in self.state.answers]

    @property
    def waits(self) -> bool:
        return self.ticket in self.world.desk.awaiting()


@pytest.fixture
def scene(world: World) -> Scene:
    return Scene(world)


# --- asking ---


def test_a_round_is_started_found_by_its_key_and_waits(scene: Scene) -> None:
    order = scene.order()
    assert scene.world.desk.find(order, KEY, quick=True) == ()
    assert not scene.waits
    round_ = scene.ask()
    assert scene.world.desk.find(order, KEY) == (round_,)
    assert scene.world.desk.find(order, OTHER_KEY) == ()
    assert (scene.state.there, scene.state.closed, scene.state.round) == (True, False, round_.number)
    assert scene.state.answers == (Answer(asked=scene.boss, verdict=Verdict.PENDING),)
    assert scene.waits


def test_everybody_who_is_named_is_asked_in_one_round(scene: Scene) -> None:
    scene.ask(scene.boss, scene.deputy)
    assert scene.answers == [(scene.boss, "pending", "", ""), (scene.deputy, "pending", "", "")]


def test_a_note_is_no_round_though_it_carries_the_key(scene: Scene) -> None:
    scene.world.do(AddNote(ticket_id=scene.ticket, text="x"), KEY)
    assert scene.world.desk.find(scene.order(), KEY) == ()


@pytest.mark.parametrize("lost", ["answer", "request"])
def test_a_start_whose_outcome_is_unknown_is_found_if_it_happened(scene: Scene, lost: str) -> None:
    scene.world.lose_answer(AskApproval) if lost == "answer" else scene.world.lose_request(AskApproval)
    with pytest.raises(OutcomeUnknown):
        scene.world.desk.perform(scene.order(), KEY, within=WITHIN)
    found = scene.world.desk.find(scene.order(), KEY)
    assert len(found) == (1 if lost == "answer" else 0)
    assert all(scene.world.desk.read_back(scene.order(), KEY, one).ok for one in found)


def test_a_start_that_was_answered_and_not_made_does_not_pass_for_made(scene: Scene) -> None:
    scene.world.ignore(AskApproval)
    result = scene.world.desk.perform(scene.order(), KEY, within=WITHIN)
    assert not scene.world.desk.read_back(scene.order(), KEY, result).ok
    assert scene.world.desk.find(scene.order(), KEY) == ()


def test_of_two_rounds_with_one_key_the_later_is_named_first(scene: Scene) -> None:
    first, second = scene.ask(), scene.ask()
    assert scene.world.desk.find(scene.order(), KEY) == (second, first)
    assert not scene.world.desk.read_back(scene.order(), KEY, first).ok


@pytest.mark.parametrize("who", ["nobody", "inactive", "unknown"])
def test_whoever_cannot_be_asked_is_refused_and_nothing_starts(scene: Scene, who: str) -> None:
    inactive = scene.world.add_user("gone@contoso.com", active=False, approver=True)
    order = AskApproval(ticket_id=scene.ticket, user_ids={"nobody": (), "inactive": (inactive,), "unknown": ("4040",)}[who])
    with pytest.raises(Refused):
        scene.world.desk.perform(order, KEY, within=WITHIN)
    assert (scene.state.round, scene.waits) == ("", False)


def test_on_a_ticket_that_is_not_there_nobody_is_asked(scene: Scene) -> None:
    order = AskApproval(ticket_id="4040", user_ids=(scene.boss,))
    with pytest.raises(Refused):
        scene.world.desk.perform(order, KEY, within=WITHIN)
    assert scene.world.desk.find(order, KEY) == ()
    assert scene.world.desk.ticket_state("4040") == TicketState(there=False)


# --- answers ---


@pytest.mark.parametrize(("approved", "verdict"), [(True, "approved"), (False, "rejected")])
def test_an_answer_in_the_portal_says_who_and_when(scene: Scene, approved: bool, verdict: str) -> None:
    scene.ask()
    scene.world.answer(scene.ticket, scene.boss, approved)
    assert scene.answers == [(scene.boss, verdict, scene.boss, "portal")]
    [answer] = scene.state.answers
    assert abs((datetime.fromisoformat(answer.at) - scene.world.clock.now()).total_seconds()) < 1
    assert not scene.waits


def test_an_answer_comes_with_the_words_that_were_written_with_it(scene: Scene) -> None:
    scene.ask()
    scene.world.answer(scene.ticket, scene.boss, False, words='Not before the <b>audit</b>,\nsays "Finance"')
    [answer] = scene.state.answers
    assert answer.words == 'Not before the <b>audit</b>,\nsays "Finance"'


def test_one_answer_decides_a_round_and_the_desk_takes_no_other(scene: Scene) -> None:
    scene.ask(scene.boss, scene.deputy)
    scene.world.answer(scene.ticket, scene.deputy, False)
    for user in (scene.boss, scene.deputy):
        with pytest.raises(Refused):
            scene.world.answer(scene.ticket, user, True)
    assert scene.answers == [(scene.boss, "pending", "", ""), (scene.deputy, "rejected", scene.deputy, "portal")]


def test_a_user_without_the_right_cannot_answer_in_the_portal(scene: Scene) -> None:
    plain = scene.world.add_user("plain@contoso.com")
    scene.ask(plain)
    with pytest.raises(Refused):
        scene.world.answer(scene.ticket, plain, True)
    assert scene.answers == [(plain, "pending", "", "")]


def test_a_delegate_answers_for_whoever_was_asked_and_both_are_named(scene: Scene) -> None:
    scene.ask()
    scene.world.answer(scene.ticket, scene.boss, True, by=scene.deputy)
    assert scene.answers == [(scene.boss, "approved", scene.deputy, "delegate")]


def test_an_override_is_called_one_and_names_another_than_was_asked(scene: Scene) -> None:
    scene.ask()
    scene.world.override(scene.ticket, scene.boss)
    [(asked, verdict, by, how)] = scene.answers
    assert (asked, verdict, how) == (scene.boss, "approved", "override")
    assert by not in ("", scene.boss)


def test_what_a_rule_of_the_desk_approved_is_automatic_and_nobody_s(scene: Scene) -> None:
    scene.world.answer_by_rule(scene.ticket, scene.boss)
    assert scene.answers == [(scene.boss, "approved", "", "automatic")]


def test_a_new_round_ends_the_one_before_and_its_answers_count_no_more(scene: Scene) -> None:
    first = scene.ask()
    scene.world.answer(scene.ticket, scene.boss, True)
    second = scene.ask(scene.deputy, number=2, key=OTHER_KEY)
    assert second.number != first.number
    assert (scene.state.round, scene.answers) == (second.number, [(scene.deputy, "pending", "", "")])
    with pytest.raises(Refused):
        scene.world.answer(scene.ticket, scene.boss, True)
    assert scene.waits


def test_a_round_that_somebody_else_started_has_another_number(scene: Scene) -> None:
    ours = scene.ask()
    scene.world.start_round(scene.ticket, scene.deputy)
    assert scene.state.round not in ("", ours.number)
    assert not scene.world.desk.read_back(scene.order(), KEY, ours).ok
    assert scene.world.desk.find(scene.order(), KEY) == (ours,)


def test_a_status_set_by_hand_answers_nothing(scene: Scene) -> None:
    scene.ask()
    scene.world.set_status(scene.ticket, "approved")
    assert scene.answers == [(scene.boss, "pending", "", "")]
    assert not scene.waits


def test_of_a_deleted_ticket_nothing_is_left(scene: Scene) -> None:
    scene.ask()
    scene.world.delete_ticket(scene.ticket)
    assert scene.state == TicketState(there=False)
    assert not scene.waits


def test_of_all_tickets_only_those_that_wait_are_listed(scene: Scene) -> None:
    order = OpenTicket(kind="onboarding", person=ALEX, user_id=None, summary="s", details="d")
    tickets = [scene.ticket, *(scene.world.do(order, OTHER_KEY).id for _ in range(3))]
    for ticket in tickets[:3]:
        scene.world.start_round(ticket, scene.boss)
    scene.world.answer(tickets[1], scene.boss, True)
    scene.world.close_ticket(tickets[2])
    assert scene.world.desk.awaiting() == {scene.ticket}


# --- the end of a ticket ---


def close(scene: Scene) -> Any:
    return scene.world.do(CloseTicket(ticket_id=scene.ticket))


def test_closing_a_ticket_takes_its_approval_back(scene: Scene) -> None:
    scene.ask()
    for _ in range(2):
        assert (close(scene).id, scene.state.closed, scene.answers, scene.waits) == (scene.ticket, True, [], False)
    with pytest.raises(Refused):
        scene.world.answer(scene.ticket, scene.boss, True)
    assert scene.world.desk.find(CloseTicket(ticket_id=scene.ticket), KEY) == ()


def test_an_answer_that_was_given_stays_on_the_closed_ticket(scene: Scene) -> None:
    scene.ask()
    scene.world.answer(scene.ticket, scene.boss, False)
    close(scene)
    assert (scene.state.closed, scene.answers) == (True, [(scene.boss, "rejected", scene.boss, "portal")])


def test_what_was_taken_back_is_no_round_any_more(scene: Scene) -> None:
    scene.ask()
    close(scene)
    assert (scene.state.round, scene.world.desk.find(scene.order(), KEY)) == ("", ())


def test_an_approval_left_on_a_ticket_that_somebody_closed_is_taken_back_too(scene: Scene) -> None:
    scene.ask()
    scene.world.close_ticket(scene.ticket)
    assert [verdict for _, verdict, _, _ in scene.answers] == ["pending"]
    close(scene)
    assert scene.answers == []


def test_an_approval_that_is_taken_back_does_not_bring_an_earlier_one_back(scene: Scene) -> None:
    scene.ask()
    scene.world.answer(scene.ticket, scene.boss, True)
    scene.ask(scene.deputy, number=2, key=OTHER_KEY)
    close(scene)
    assert (scene.state.round, scene.answers) == ("", [])


@pytest.mark.parametrize("gone", ["deleted", "never there"])
def test_a_ticket_that_is_gone_needs_no_closing(scene: Scene, gone: str) -> None:
    scene.world.delete_ticket(scene.ticket)
    ticket = scene.ticket if gone == "deleted" else "4040"
    assert scene.world.do(CloseTicket(ticket_id=ticket)).how == "absent"


def test_a_close_that_was_answered_and_not_made_does_not_pass_for_made(scene: Scene) -> None:
    order = CloseTicket(ticket_id=scene.ticket)
    scene.world.ignore(CloseTicket)
    seen = scene.world.desk.read_back(order, KEY, scene.world.desk.perform(order, KEY, within=WITHIN))
    assert (seen.ok, seen.detail) == (False, f"ticket {scene.ticket} is still open")


def end(scene: Scene) -> EndTicket:
    return EndTicket(ticket_id=scene.ticket, text="The role is on the agent.")


def test_what_came_of_a_ticket_and_its_end_are_one_action_that_carries_the_key(scene: Scene) -> None:
    scene.ask()
    scene.world.answer(scene.ticket, scene.boss, True)
    order = end(scene)
    assert scene.world.desk.find(order, OTHER_KEY) == ()
    made = scene.world.do(order, OTHER_KEY)
    assert (scene.state.closed, scene.waits, scene.world.desk.find(order, OTHER_KEY)) == (True, False, (made,))


def test_a_lost_answer_to_the_end_of_a_ticket_is_unknown_and_found(scene: Scene) -> None:
    scene.world.lose_answer(EndTicket)
    with pytest.raises(OutcomeUnknown):
        scene.world.desk.perform(end(scene), OTHER_KEY, within=WITHIN)
    (found,) = scene.world.desk.find(end(scene), OTHER_KEY)
    assert scene.world.desk.read_back(end(scene), OTHER_KEY, found).ok


def test_a_decided_round_leaves_nobody_asked_on_the_ended_ticket(scene: Scene) -> None:
    scene.ask(scene.boss, scene.deputy)
    scene.world.answer(scene.ticket, scene.boss, True)
    scene.world.do(end(scene), OTHER_KEY)
    assert scene.answers == [(scene.boss, "approved", scene.boss, "portal")]


def test_an_end_that_was_answered_and_not_made_does_not_pass_for_made(scene: Scene) -> None:
    seen = scene.world.desk.read_back(end(scene), OTHER_KEY, NoteRef(ticket_id=scene.ticket, id="1"))
    assert (seen.ok, seen.detail) == (False, f"ticket {scene.ticket} is still open")


def test_what_is_said_with_a_question_stands_on_its_ticket(scene: Scene) -> None:
    order = replace(scene.order(), text="Held by user 5.")
    scene.world.do(order, OTHER_KEY)
    (found,) = scene.world.desk.find(order, OTHER_KEY)
    assert found.id == scene.state.round
