"""What every service desk promises: the Halo adapter on the pretend Halo, and the double in memory."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from desk_worlds import ALEX, ENSURE, KEY, OTHER_KEY, WITHIN, MemoryWorld, World

from joinery.domain.tickets import (
    AddNote,
    AgentRef,
    DeactivateUser,
    EnsureUser,
    FindUser,
    NoteRef,
    OpenTicket,
    Order,
    Result,
    RetireAgent,
    TicketRef,
    ToDo,
    UserRef,
)
from joinery.errors import OutcomeUnknown, Refused, TryLater


def onboarding(user_id: str | None, **changes: Any) -> OpenTicket:
    fields: dict[str, Any] = {
        "kind": "onboarding",
        "person": ALEX,
        "user_id": user_id,
        "summary": "New starter: Alex Example",
        "details": "Start: 1 December 2026",
        "to_do": (
            ToDo(text="Order or assign hardware", owner="Procurement", when="20 working days before the start"),
            ToDo(text="Confirm and close", owner="Manager", when="5 working days after the start"),
        ),
    }
    return OpenTicket(**{**fields, **changes})


# --- users ---


def test_a_person_without_a_user_gets_one_that_is_active_and_theirs(world: World) -> None:
    made = world.do(ENSURE)
    assert made.how == "created"
    assert [(address.casefold(), active) for address, active in world.users()] == [("alex.example@contoso.com", True)]
    assert [user.id for user in world.desk.find(ENSURE, KEY)] == [made.id]


def test_ensuring_twice_makes_one_user(world: World) -> None:
    first, second = world.do(ENSURE), world.do(ENSURE)
    assert (second.id, second.how) == (first.id, "found")
    assert len(world.users()) == 1


def test_a_user_with_the_same_address_in_other_letters_is_adopted_and_linked(world: World) -> None:
    there = world.add_user("ALEX.EXAMPLE@CONTOSO.COM")
    assert world.desk.find(ENSURE, KEY) == (), "it needs something yet"
    adopted = world.do(ENSURE)
    assert (adopted.id, adopted.how) == (there, "adopted")
    assert len(world.users()) == 1


def test_an_inactive_user_is_reactivated_instead_of_doubled(world: World) -> None:
    there = world.add_user("someone.else@contoso.com", directory_id=ALEX.id.upper(), active=False)
    assert world.desk.find(ENSURE, KEY) == ()
    back = world.do(ENSURE)
    assert (back.id, back.how) == (there, "reactivated")


def test_the_directory_id_counts_more_than_the_address(world: World) -> None:
    world.add_user("alex.example@contoso.com")
    linked = world.add_user("alex.married@contoso.com", directory_id=ALEX.id)
    assert world.do(ENSURE).id == linked


def test_an_address_that_belongs_to_another_directory_account_is_refused(world: World) -> None:
    world.add_user("alex.example@contoso.com", directory_id="00000000-0000-4000-8000-000000000001")
    with pytest.raises(Refused, match=r"two directory accounts|another directory id"):
        world.desk.perform(ENSURE, KEY, within=WITHIN)
    assert world.desk.perform(FindUser(person=ALEX), KEY, within=WITHIN) == UserRef(id=None, how="absent")


def test_an_address_that_only_contains_ours_is_somebody_else(world: World) -> None:
    world.add_user("not-alex.example@contoso.com")
    world.add_user("alex.example@contoso.com.au")
    assert world.do(ENSURE).how == "created"
    assert len(world.users()) == 3


def test_several_users_with_the_address_and_no_link_need_a_human(world: World) -> None:
    ids = {world.add_user("alex.example@contoso.com"), world.add_user("alex.example@contoso.com")}
    with pytest.raises(Refused) as caught:
        world.desk.perform(ENSURE, KEY, within=WITHIN)
    assert all(user_id in str(caught.value) for user_id in ids)


def test_of_several_linked_users_the_lowest_active_one_is_theirs(world: World) -> None:
    world.add_user("a@contoso.com", directory_id=ALEX.id, active=False)
    second = world.add_user("b@contoso.com", directory_id=ALEX.id)
    third = world.add_user("c@contoso.com", directory_id=ALEX.id)
    assert world.do(ENSURE).id == second
    assert [user.id for user in world.desk.find(ENSURE, KEY)] == [second, third]


def test_a_lost_answer_to_a_new_user_is_unknown_and_found(world: World) -> None:
    world.lose_answer(EnsureUser)
    with pytest.raises(OutcomeUnknown):
        world.desk.perform(ENSURE, KEY, within=WITHIN)
    (found,) = world.desk.find(ENSURE, KEY)
    assert world.desk.read_back(ENSURE, KEY, found).ok


def test_finding_a_user_makes_nothing_and_sees_inactive_ones(world: World) -> None:
    order = FindUser(person=ALEX)
    assert world.do(order) == UserRef(id=None, how="absent")
    there = world.add_user("alex.example@contoso.com", directory_id=ALEX.id, active=False)
    assert world.do(order) == UserRef(id=there, how="found")
    assert len(world.users()) == 1


def test_a_user_is_deactivated_once_and_again_without_harm(world: World) -> None:
    user_id = world.do(ENSURE).id
    for _ in range(2):
        assert world.do(DeactivateUser(user_id=user_id)) == UserRef(id=user_id, how="deactivated")
    assert [active for _, active in world.users()] == [False]


def test_nobody_to_deactivate_is_fine(world: World) -> None:
    assert world.do(DeactivateUser(user_id=None)) == UserRef(id=None, how="absent")


def test_a_deactivation_that_was_answered_and_not_done_does_not_pass_for_done(world: World) -> None:
    order = DeactivateUser(user_id=world.do(ENSURE).id)
    world.ignore(DeactivateUser)
    seen = world.desk.read_back(order, KEY, world.desk.perform(order, KEY, within=WITHIN))
    assert (seen.ok, seen.detail) == (False, f"user {order.user_id} is still active")


def test_a_user_that_was_answered_and_not_made_does_not_pass_for_made(world: World) -> None:
    world.ignore(EnsureUser)
    assert not world.desk.read_back(ENSURE, KEY, world.desk.perform(ENSURE, KEY, within=WITHIN)).ok


# --- agents ---


def test_a_leaver_who_is_no_agent_is_fine(world: World) -> None:
    world.add_agent("somebody.else@contoso.com", roles=1)
    assert world.do(RetireAgent(person=ALEX)) == AgentRef()


def test_all_agents_of_a_leaver_lose_their_roles_and_are_disabled(world: World) -> None:
    one = world.add_agent("ALEX.example@contoso.com", roles=2)
    two = world.add_agent("alex.example@contoso.com", roles=1, enabled=False)
    other = world.add_agent("not-alex.example@contoso.com", roles=1)
    assert world.do(RetireAgent(person=ALEX)) == AgentRef(ids=(one, two), roles_removed=3)
    assert [world.agent(agent_id) for agent_id in (one, two, other)] == [(0, False), (0, False), (1, True)]
    assert world.do(RetireAgent(person=ALEX)) == AgentRef(ids=(one, two), roles_removed=0)


def test_an_agent_with_an_address_that_the_person_only_had_before_is_for_a_human_to_decide(world: World) -> None:
    """The address may have been given to somebody else since; what is certain is done all the same."""
    theirs = world.add_agent(ALEX.mail, roles=2)
    agent_id = world.add_agent("alex.maiden@contoso.com", roles=1)
    married = ALEX.evolve(former_addresses=("alex.maiden@contoso.com",))
    with pytest.raises(Refused, match=f"agent {agent_id} has an address that this person had before"):
        world.desk.perform(RetireAgent(person=married), KEY, within=WITHIN)
    assert (world.agent(theirs), world.agent(agent_id)) == ((0, False), (1, True))


def test_an_agent_that_is_known_to_be_a_leavers_is_disabled_under_an_address_that_they_had_before(world: World) -> None:
    agent_id = world.add_agent("alex.maiden@contoso.com", roles=1)
    married = ALEX.evolve(former_addresses=("alex.maiden@contoso.com",))
    assert world.do(RetireAgent(person=married, known_id=agent_id)) == AgentRef(ids=(agent_id,), roles_removed=1)
    assert world.agent(agent_id) == (0, False)


def test_an_agent_that_was_theirs_and_whose_address_somebody_else_has_now_is_left_alone(world: World) -> None:
    agent_id = world.add_agent("alex.maiden@contoso.com", roles=1)
    world.add_user("alex.maiden@contoso.com", directory_id="another-account")
    married = ALEX.evolve(former_addresses=("alex.maiden@contoso.com",))
    with pytest.raises(Refused, match=f"agent {agent_id} has an address that this person had before"):
        world.desk.perform(RetireAgent(person=married, known_id=agent_id), KEY, within=WITHIN)
    assert world.agent(agent_id) == (1, True)


def test_a_user_at_a_former_address_of_the_person_is_not_taken_for_theirs(world: World) -> None:
    world.add_user("alex.maiden@contoso.com")
    married = ALEX.evolve(former_addresses=("alex.maiden@contoso.com",))
    assert world.do(FindUser(person=married)).id is None


def test_an_agent_with_the_address_of_the_persons_desk_user_is_retired_although_the_directory_has_another(world: World) -> None:
    user_id = world.do(ENSURE).id
    agent_id = world.add_agent(ALEX.mail, roles=1)
    married = ALEX.evolve(mail="alex.married@contoso.com", user_principal_name="alex.married@contoso.com")
    assert world.do(RetireAgent(person=married)) == AgentRef()
    assert world.do(RetireAgent(person=married, user_id=user_id)) == AgentRef(ids=(agent_id,), roles_removed=1)


def test_an_agent_whose_address_belongs_to_another_directory_account_is_left_alone(world: World) -> None:
    world.do(ENSURE)
    agent_id = world.add_agent(ALEX.mail, roles=1)
    other = ALEX.evolve(id="0d1e7c55-1111-4c1b-9a52-7f3f1f0c9d10")
    with pytest.raises(Refused, match=f"agent {agent_id} has the address of user"):
        world.desk.perform(RetireAgent(person=other), KEY, within=WITHIN)
    assert world.agent(agent_id) == (1, True)


def test_roles_that_were_answered_and_not_removed_do_not_pass_for_removed(world: World) -> None:
    agent_id = world.add_agent("alex.example@contoso.com", roles=2)
    world.ignore(RetireAgent)
    order = RetireAgent(person=ALEX)
    seen = world.desk.read_back(order, KEY, world.desk.perform(order, KEY, within=WITHIN))
    assert not seen.ok
    assert f"agent {agent_id} is still enabled" in seen.detail
    assert f"agent {agent_id} still has 2 roles" in seen.detail


def test_an_agent_who_was_made_after_the_order_is_seen_by_the_read_back(world: World) -> None:
    order = RetireAgent(person=ALEX)
    result = world.desk.perform(order, KEY, within=WITHIN)
    world.add_agent("alex.example@contoso.com", roles=1)
    assert not world.desk.read_back(order, KEY, result).ok


# --- tickets ---


def test_a_ticket_is_opened_found_by_its_key_and_read_back(world: World) -> None:
    order = onboarding(world.do(ENSURE).id)
    assert world.desk.find(order, KEY) == ()
    made = world.do(order)
    assert made.how == "created"
    assert world.tickets() == [f"New starter: Alex Example [{KEY}]"]
    assert [ticket.id for ticket in world.desk.find(order, KEY)] == [made.id]
    assert world.desk.find(order, OTHER_KEY) == ()


def test_a_person_without_a_user_still_gets_a_ticket(world: World) -> None:
    world.do(onboarding(None))
    assert len(world.tickets()) == 1


@pytest.mark.parametrize("near", [KEY[:-1], KEY + "A", f"x{KEY}"])
def test_a_key_that_is_cut_or_longer_is_another_key(world: World, near: str) -> None:
    order = onboarding(None)
    world.do(order, near)
    assert world.desk.find(order, KEY) == ()


def test_a_lost_answer_to_a_new_ticket_is_unknown_and_found(world: World) -> None:
    order = onboarding(None)
    world.lose_answer(OpenTicket)
    with pytest.raises(OutcomeUnknown):
        world.desk.perform(order, KEY, within=WITHIN)
    (found,) = world.desk.find(order, KEY)
    assert world.desk.read_back(order, KEY, found).ok


def test_a_lost_request_is_unknown_and_nothing_is_found(world: World) -> None:
    order = onboarding(None)
    world.lose_request(OpenTicket)
    with pytest.raises(OutcomeUnknown):
        world.desk.perform(order, KEY, within=WITHIN)
    assert world.desk.find(order, KEY) == ()
    world.do(order)
    assert len(world.tickets()) == 1


def test_a_refusal_and_a_busy_desk_say_so_and_make_nothing(world: World) -> None:
    order = onboarding(None)
    world.refuse(OpenTicket)
    with pytest.raises(Refused):
        world.desk.perform(order, KEY, within=WITHIN)
    world.throttle(OpenTicket)
    with pytest.raises(TryLater) as busy:
        world.desk.perform(order, KEY, within=WITHIN)
    assert busy.value.after == timedelta(seconds=7)
    assert world.tickets() == []


def test_a_ticket_that_searches_do_not_show_yet_can_be_read_back_and_is_found_after_the_lag(world: World) -> None:
    order = onboarding(None)
    world.hide_new_tickets(timedelta(seconds=30))
    world.do(order)
    assert world.desk.find(order, KEY) == ()
    world.clock.advance(timedelta(seconds=31))
    assert len(world.desk.find(order, KEY)) == 1


def test_twins_are_all_found_lowest_first(world: World) -> None:
    order = onboarding(None)
    made = [world.do(order).id for _ in range(3)]
    assert [ticket.id for ticket in world.desk.find(order, KEY)] == sorted(made, key=int)


def test_a_closed_ticket_is_found(world: World) -> None:
    order = onboarding(None)
    made = world.do(order)
    world.close_ticket(made.id)
    assert [ticket.id for ticket in world.desk.find(order, KEY)] == [made.id]
    assert world.desk.read_back(order, KEY, made).ok


def test_a_deleted_ticket_is_found_and_does_not_pass_for_done(world: World) -> None:
    order = onboarding(None)
    made = world.do(order)
    world.delete_ticket(made.id)
    assert [ticket.id for ticket in world.desk.find(order, KEY)] == [made.id]
    assert not world.desk.read_back(order, KEY, made).ok


def test_a_ticket_for_somebody_else_does_not_pass_for_done(world: World) -> None:
    mine, other = world.do(ENSURE).id, world.add_user("somebody.else@contoso.com")
    made = world.do(onboarding(mine))
    assert not world.desk.read_back(onboarding(other), KEY, made).ok


def test_a_ticket_that_was_answered_and_not_made_does_not_pass_for_made(world: World) -> None:
    order = onboarding(None)
    world.ignore(OpenTicket)
    assert not world.desk.read_back(order, KEY, world.desk.perform(order, KEY, within=WITHIN)).ok


def test_a_kind_that_policy_does_not_know_is_refused_by_name(world: World) -> None:
    with pytest.raises(Refused, match=r"\[desk.tickets.party\]"):
        world.desk.perform(onboarding(None, kind="party"), KEY, within=WITHIN)


def test_a_ticket_that_somebody_opened_by_hand_is_adopted_if_policy_says_so(world: World) -> None:
    user_id = world.do(ENSURE).id
    other = world.add_user("somebody.else@contoso.com")
    order = onboarding(user_id, kind="offboarding")
    world.add_ticket("not for Alex", kind="offboarding", user_id=other)
    world.add_ticket("not of this kind", kind="onboarding", user_id=user_id)
    world.close_ticket(world.add_ticket("long done", kind="offboarding", user_id=user_id))
    world.do(onboarding(user_id, kind="offboarding"), OTHER_KEY)
    assert world.desk.find_similar(order) is None
    by_hand = world.add_ticket("Alex leaves", kind="offboarding", user_id=user_id)
    similar = world.desk.find_similar(order)
    assert isinstance(similar, TicketRef)
    assert (similar.id, similar.how) == (by_hand, "adopted")
    assert world.desk.read_back(order, KEY, similar).ok
    assert world.desk.find_similar(onboarding(user_id)) is None


# --- notes ---


def test_a_note_is_said_once_and_found_by_its_key(world: World) -> None:
    ticket = world.do(onboarding(None))
    order = AddNote(ticket_id=ticket.id, text="User created.\nNothing else to do.")
    assert world.desk.find(order, KEY) == ()
    note = world.do(order)
    assert isinstance(note, NoteRef)
    assert world.desk.find(order, KEY) == (note,)
    assert world.desk.find(order, OTHER_KEY) == ()
    assert world.desk.find(AddNote(ticket_id=world.do(onboarding(None), OTHER_KEY).id, text=""), KEY) == ()


def test_a_lost_answer_to_a_note_is_unknown_and_found(world: World) -> None:
    order = AddNote(ticket_id=world.do(onboarding(None)).id, text="x")
    world.lose_answer(AddNote)
    with pytest.raises(OutcomeUnknown):
        world.desk.perform(order, KEY, within=WITHIN)
    assert len(world.desk.find(order, KEY)) == 1


def test_a_note_that_was_answered_and_not_written_does_not_pass_for_written(world: World) -> None:
    order = AddNote(ticket_id=world.do(onboarding(None)).id, text="x")
    world.ignore(AddNote)
    assert not world.desk.read_back(order, KEY, world.desk.perform(order, KEY, within=WITHIN)).ok


def test_a_note_on_a_ticket_that_does_not_exist_is_refused(world: World) -> None:
    with pytest.raises(Refused):
        world.desk.perform(AddNote(ticket_id="4040", text="x"), KEY, within=WITHIN)
    assert world.desk.find(AddNote(ticket_id="4040", text="x"), KEY) == ()


# --- all orders ---


def test_an_order_that_writes_a_target_value_has_made_nothing_to_find(world: World) -> None:
    world.do(ENSURE)
    orders: tuple[Order, ...] = (FindUser(person=ALEX), DeactivateUser(user_id="1"), RetireAgent(person=ALEX))
    assert [world.desk.find(order, KEY) for order in orders] == [(), (), ()]
    assert [world.desk.find_similar(order) for order in orders] == [None, None, None]


def test_a_result_of_another_order_is_a_mistake_of_ours(world: World) -> None:
    wrong: Result = NoteRef(ticket_id="1", id="1")
    with pytest.raises(TypeError):
        world.desk.read_back(ENSURE, KEY, wrong)


# --- what only the double can do on demand ---


def test_the_double_lets_a_write_land_after_its_outcome_was_unknown() -> None:
    world = MemoryWorld()
    world.memory.land_late(timedelta(seconds=40), asks=OpenTicket)
    order = onboarding(None)
    with pytest.raises(OutcomeUnknown):
        world.desk.perform(order, KEY, within=WITHIN)
    assert world.desk.find(order, KEY) == ()
    world.do(order)
    world.clock.advance(timedelta(seconds=41))
    assert len(world.desk.find(order, KEY)) == 2


@pytest.mark.parametrize("method", ["find", "find_similar", "read_back"])
def test_the_double_fails_reads_as_often_as_told_and_writes_not(method: str) -> None:
    world = MemoryWorld()
    order = onboarding(None)
    world.memory.fail(TryLater("down"), method=method, times=2)
    made = world.desk.perform(order, KEY, within=WITHIN)
    reads = {
        "find": lambda: world.desk.find(order, KEY),
        "find_similar": lambda: world.desk.find_similar(order),
        "read_back": lambda: world.desk.read_back(order, KEY, made),
    }
    for _ in range(2):
        with pytest.raises(TryLater):
            reads[method]()
    reads[method]()
    assert [call.method for call in world.memory.calls] == ["perform", method, method, method]
