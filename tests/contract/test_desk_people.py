"""What every service desk promises about approvers, users kept in line, agents and their roles."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from desk_worlds import ALEX, KEY, NO_SUCH, WITHIN, World

from joinery.domain.person import Manager
from joinery.domain.tickets import (
    AgentRef,
    DeactivateUser,
    EnsureAgent,
    EnsureApprover,
    EnsureUser,
    FindUser,
    RetireAgent,
    RolesRef,
    SetRoles,
    UpdateUser,
    UserRef,
)
from joinery.errors import OutcomeUnknown, Refused

APPROVER = EnsureApprover(person=ALEX)
AGENT = EnsureAgent(person=ALEX, team="Identity")
OURS = ("Service Desk", "Change Manager", "Administrator")
OTHER_ACCOUNT = "00000000-0000-4000-8000-000000000001"


def roles(*wanted: str, **changes: Any) -> SetRoles:
    fields: dict[str, Any] = {"person": ALEX, "agent_id": None, "roles": wanted, "ours": OURS}
    return SetRoles(**{**fields, **changes})


def refused(world: World, order: Any, match: str | None = None) -> None:
    with pytest.raises(Refused, match=match):
        world.desk.perform(order, KEY, within=WITHIN)


# --- approvers ---


def test_whoever_is_to_approve_becomes_a_user_who_may(world: World) -> None:
    made = world.do(APPROVER)
    assert made.how == "created"
    assert (world.user(made.id)["approver"], world.user(made.id)["active"]) == (True, True)
    assert [user.id for user in world.desk.find(APPROVER, KEY)] == [made.id]
    assert world.do(APPROVER).how == "found"


def test_a_user_without_the_right_gets_it_and_is_no_approver_before(world: World) -> None:
    there = world.do(EnsureUser(person=ALEX)).id
    assert not world.user(there)["approver"]
    assert world.desk.find(APPROVER, KEY) == ()
    assert (world.do(APPROVER).id, world.user(there)["approver"]) == (there, True)


def test_making_sure_of_a_user_takes_no_right_away(world: World) -> None:
    there = world.do(APPROVER).id
    assert world.do(EnsureUser(person=ALEX)).id == there
    assert world.user(there)["approver"]


def test_a_lost_answer_to_a_new_approver_is_unknown_and_found(world: World) -> None:
    world.lose_answer(EnsureApprover)
    with pytest.raises(OutcomeUnknown):
        world.desk.perform(APPROVER, KEY, within=WITHIN)
    (found,) = world.desk.find(APPROVER, KEY)
    assert world.desk.read_back(APPROVER, KEY, found).ok


# --- users in line ---


def test_a_user_is_brought_in_line_with_the_person_and_only_once(world: World) -> None:
    user_id = world.do(EnsureUser(person=ALEX)).id
    moved = ALEX.evolve(
        display_name="Alex Married",
        surname="Married",
        mail="alex.married@contoso.com",
        job_title="Head of Audit",
        department="",
        office_location="Harbour",
        manager=Manager(id="m", mail="boss@contoso.com"),
    )
    order = UpdateUser(person=moved, user_id=user_id)
    assert (world.do(order).how, world.do(order).how) == ("updated", "found")
    assert world.user(user_id) == {
        "name": "Alex Married",
        "address": "alex.married@contoso.com",
        "title": "Head of Audit",
        "department": "",
        "manager": "boss@contoso.com",
        "site": "Harbour",
        "active": True,
        "approver": False,
    }
    assert world.do(UpdateUser(person=ALEX, user_id=user_id)).how == "updated"
    assert (world.user(user_id)["site"], world.user(user_id)["manager"]) == ("Head Office", "")


def test_an_agent_goes_along_with_a_new_address_and_stays_the_one(world: World) -> None:
    user_id = world.do(EnsureUser(person=ALEX)).id
    agent_id = world.add_agent_with(ALEX.mail, "Service Desk")
    married = ALEX.evolve(mail="alex.married@contoso.com", user_principal_name="alex.married@contoso.com").remembering(ALEX)
    world.do(UpdateUser(person=married, user_id=user_id))
    assert world.do(EnsureAgent(person=married)) == AgentRef(ids=(agent_id,))
    assert world.roles(agent_id) == (("Service Desk",), True)


@pytest.mark.parametrize("why", ["not linked", "somebody else has the address", "another has the new one"])
def test_an_agent_of_whom_it_is_not_clear_whose_it_is_does_not_go_along(world: World, why: str) -> None:
    user_id = world.add_user(ALEX.mail, directory_id="" if why == "not linked" else ALEX.id)
    if why == "somebody else has the address":
        world.add_user(ALEX.mail, directory_id=OTHER_ACCOUNT)
    ids = [world.add_agent_with(ALEX.mail, "Service Desk")]
    married = ALEX.evolve(mail="alex.married@contoso.com", user_principal_name="")
    if why == "another has the new one":
        ids.append(world.add_agent_with(married.mail))
    world.do(UpdateUser(person=married, user_id=user_id))
    found = world.desk.find(EnsureAgent(person=married), KEY)
    assert [agent.id for agent in found] == ids[1:]


def test_an_update_wakes_nobody_and_takes_no_right_away(world: World) -> None:
    user_id = world.add_user(ALEX.mail, directory_id=ALEX.id, active=False, approver=True)
    world.do(UpdateUser(person=ALEX, user_id=user_id))
    assert (world.user(user_id)["active"], world.user(user_id)["approver"]) == (False, True)


def test_a_user_of_another_directory_account_is_not_touched(world: World) -> None:
    user_id = world.add_user("somebody@contoso.com", directory_id=OTHER_ACCOUNT)
    refused(world, UpdateUser(person=ALEX, user_id=user_id), "another directory account")
    assert world.user(user_id)["address"] == "somebody@contoso.com"


def test_an_update_that_was_answered_and_not_made_does_not_pass_for_made(world: World) -> None:
    user_id = world.do(EnsureUser(person=ALEX)).id
    order = UpdateUser(person=ALEX.evolve(department="Sales"), user_id=user_id)
    world.ignore(UpdateUser)
    seen = world.desk.read_back(order, KEY, world.desk.perform(order, KEY, within=WITHIN))
    assert (seen.ok, seen.detail) == (False, f"user {user_id} still has another department")


def test_an_update_of_a_user_who_is_gone_is_refused(world: World) -> None:
    refused(world, UpdateUser(person=ALEX, user_id="4040"))


# --- agents ---


def test_a_person_without_an_agent_gets_one_that_can_do_nothing_yet(world: World) -> None:
    made = world.do(AGENT)
    assert world.roles(made.id) == ((), False)
    assert world.desk.find(AGENT, KEY) == (made,)
    assert (world.do(AGENT), world.count_agents()) == (made, 1)


def test_an_agent_that_is_there_is_the_one_and_stays_as_it_is(world: World) -> None:
    there = world.add_agent_with("ALEX.example@contoso.com", "Read Only", enabled=False)
    assert world.do(AGENT) == AgentRef(ids=(there,))
    assert (world.roles(there), world.count_agents()) == ((("Read Only",), False), 1)


def test_an_agent_whose_address_belongs_to_another_account_is_neither_taken_nor_doubled(world: World) -> None:
    world.add_user(ALEX.mail, directory_id=OTHER_ACCOUNT)
    refused(world, AGENT, "another directory account")
    there = world.add_agent_with(ALEX.mail, "Service Desk")
    assert world.desk.find(AGENT, KEY) == ()
    for order in (AGENT, roles("Change Manager"), roles("Change Manager", agent_id=there), roles()):
        refused(world, order, "another directory account")
    assert (world.roles(there), world.count_agents()) == ((("Service Desk",), True), 1)


def test_several_agents_with_the_address_need_a_human(world: World) -> None:
    ids = [world.add_agent_with(ALEX.mail) for _ in range(2)]
    for order in (AGENT, roles("Change Manager"), roles()):
        refused(world, order, ", ".join(ids))


def test_an_agent_with_an_address_the_person_only_had_before_needs_a_human(world: World) -> None:
    """A second agent would be made beside what may be theirs; giving it a role might give it to a stranger."""
    there = world.add_agent_with("alex.maiden@contoso.com", "Read Only")
    married = ALEX.evolve(former_addresses=("alex.maiden@contoso.com",))
    for order in (EnsureAgent(person=married), roles("Change Manager", person=married)):
        refused(world, order, f"agent {there} has an address that this person had before")
    world.add_user("alex.maiden@contoso.com", directory_id=OTHER_ACCOUNT)
    assert world.do(EnsureAgent(person=married)).id != there


def test_an_agent_that_is_known_to_be_theirs_goes_along_to_the_new_address_unless_somebody_else_has_the_old_one(world: World) -> None:
    there = world.do(AGENT).id
    married = ALEX.evolve(mail="alex.king@contoso.com", user_principal_name="alex.king@contoso.com", former_addresses=ALEX.addresses)
    assert world.do(EnsureAgent(person=married, known_id=there)).id == there
    assert (world.do(EnsureAgent(person=married)).id, world.count_agents()) == (there, 1), "it is found by the new address alone"
    again = married.evolve(mail="alex.third@contoso.com", user_principal_name="alex.third@contoso.com", former_addresses=married.addresses)
    world.add_user("alex.king@contoso.com", directory_id=OTHER_ACCOUNT)
    assert world.do(EnsureAgent(person=again, known_id=there)).id != there


def test_a_team_that_the_desk_does_not_have_is_refused_by_name(world: World) -> None:
    refused(world, EnsureAgent(person=ALEX, team=NO_SUCH), f"team = '{NO_SUCH}'")
    assert world.count_agents() == 0


def test_a_person_without_an_address_gets_no_agent(world: World) -> None:
    refused(world, EnsureAgent(person=ALEX.evolve(mail="", user_principal_name="")), "no address")


def test_a_lost_answer_to_a_new_agent_is_unknown_and_found(world: World) -> None:
    world.lose_answer(EnsureAgent)
    with pytest.raises(OutcomeUnknown):
        world.desk.perform(AGENT, KEY, within=WITHIN)
    (found,) = world.desk.find(AGENT, KEY)
    assert world.desk.read_back(AGENT, KEY, found).ok


def test_an_agent_that_was_answered_and_not_made_does_not_pass_for_made(world: World) -> None:
    world.ignore(EnsureAgent)
    assert not world.desk.read_back(AGENT, KEY, world.desk.perform(AGENT, KEY, within=WITHIN)).ok


# --- roles ---


def test_roles_of_ours_become_exactly_what_is_wanted_and_others_are_reported_and_stay(world: World) -> None:
    agent_id = world.add_agent_with(ALEX.mail, "Read Only", "Service Desk")
    given = world.do(roles("Change Manager"))
    assert given == RolesRef(id=agent_id, roles=("Change Manager", "Read Only"), foreign=("Read Only",))
    assert world.roles(agent_id) == (("Change Manager", "Read Only"), True)
    assert world.do(roles("Change Manager")) == given


def test_roles_that_are_not_ours_go_where_policy_says_so(world: World) -> None:
    agent_id = world.add_agent_with(ALEX.mail, "Read Only", "Service Desk")
    assert world.do(roles("Service Desk", alone=True)) == RolesRef(id=agent_id, roles=("Service Desk",))
    assert world.roles(agent_id) == (("Service Desk",), True)


@pytest.mark.parametrize("alone", [False, True])
def test_a_role_that_is_left_as_it_is_is_neither_taken_nor_reported_nor_given(world: World, alone: bool) -> None:
    agent_id = world.add_agent_with(ALEX.mail, "Read Only")
    order = roles("Service Desk", ours=("Service Desk",), as_they_are=("READ only", "Change Manager"), alone=alone)
    assert world.do(order) == RolesRef(id=agent_id, roles=("Read Only", "Service Desk"))
    assert world.roles(agent_id) == (("Read Only", "Service Desk"), True)


def test_the_first_role_enables_an_agent_and_the_last_one_that_goes_disables_it(world: World) -> None:
    agent_id = world.do(AGENT).id
    world.do(roles("Service Desk", agent_id=agent_id))
    assert world.roles(agent_id) == (("Service Desk",), True)
    world.do(roles(agent_id=agent_id))
    assert world.roles(agent_id) == ((), False)


@pytest.mark.parametrize("enabled", [True, False])
def test_an_agent_that_keeps_roles_of_others_stays_enabled_or_disabled_as_it_was(world: World, enabled: bool) -> None:
    agent_id = world.add_agent_with(ALEX.mail, "Read Only", "Service Desk", enabled=enabled)
    world.do(roles())
    assert world.roles(agent_id) == (("Read Only",), enabled)


def test_nobody_to_take_a_role_from_is_fine_and_nobody_to_give_one_to_is_not(world: World) -> None:
    world.add_agent_with("not-alex.example@contoso.com", "Service Desk")
    assert world.do(roles()) == RolesRef(id=None)
    refused(world, roles("Service Desk"))
    assert world.count_agents() == 1


def test_an_agent_who_appears_after_nobody_was_found_does_not_pass(world: World) -> None:
    result = world.desk.perform(roles(), KEY, within=WITHIN)
    world.add_agent_with(ALEX.mail, "Service Desk")
    assert not world.desk.read_back(roles(), KEY, result).ok


def test_a_role_that_policy_or_the_desk_does_not_know_changes_nothing(world: World) -> None:
    agent_id = world.add_agent_with(ALEX.mail, "Service Desk")
    refused(world, roles("Problem Manager"), "Problem Manager")
    refused(world, roles(NO_SUCH, ours=(*OURS, NO_SUCH)), f"role = '{NO_SUCH}'")
    assert world.roles(agent_id) == (("Service Desk",), True)


def test_roles_that_were_answered_and_not_changed_are_named(world: World) -> None:
    agent_id = world.add_agent_with(ALEX.mail, "Service Desk")
    world.ignore(SetRoles)
    order = roles("Change Manager", agent_id=agent_id)
    seen = world.desk.read_back(order, KEY, world.desk.perform(order, KEY, within=WITHIN))
    assert not seen.ok
    assert seen.detail == f"agent {agent_id} still has the role Service Desk, does not have the role Change Manager"


def test_the_ceiling_of_the_licence_is_a_refusal(world: World) -> None:
    world.add_agent_with("somebody@contoso.com", "Service Desk")
    # Those of the desk's own applications do not count.
    world.limit_agents(1)
    agent_id = world.do(AGENT).id
    refused(world, roles("Service Desk", agent_id=agent_id))
    assert world.roles(agent_id) == ((), False)


def test_a_lost_answer_to_roles_is_unknown_and_a_repeat_is_harmless(world: World) -> None:
    agent_id = world.add_agent_with(ALEX.mail)
    world.lose_answer(SetRoles)
    with pytest.raises(OutcomeUnknown):
        world.desk.perform(roles("Service Desk"), KEY, within=WITHIN)
    assert world.do(roles("Service Desk")).roles == ("Service Desk",)
    assert world.desk.find(roles("Service Desk"), KEY) == ()
    assert world.roles(agent_id) == (("Service Desk",), True)


def test_an_agent_who_is_gone_is_refused(world: World) -> None:
    refused(world, roles("Service Desk", agent_id="4040"))


# --- who is known from before ---


def test_a_user_who_is_known_and_active_is_taken_and_one_who_left_or_is_somebody_else_s_is_not(world: World) -> None:
    known = world.do(EnsureUser(person=ALEX)).id
    order = EnsureUser(person=ALEX, known_id=known)
    (found,) = world.desk.find(order, KEY, quick=True)
    assert (found, world.desk.read_back(order, KEY, found).ok) == (UserRef(id=known), True)
    world.do(DeactivateUser(user_id=known))
    assert world.desk.find(order, KEY, quick=True) == ()
    stranger = world.add_user("somebody@contoso.com", directory_id=OTHER_ACCOUNT)
    assert world.desk.find(EnsureUser(person=ALEX, known_id=stranger), KEY, quick=True) == ()
    assert world.do(FindUser(person=ALEX, known_id=stranger)).id == known


def test_a_thorough_look_sees_the_twin_of_a_user_who_is_known(world: World) -> None:
    known = world.do(EnsureUser(person=ALEX)).id
    twin = world.add_user("alex.example@contoso.com", directory_id=ALEX.id)
    found = world.desk.find(EnsureUser(person=ALEX, known_id=known), KEY)
    assert [one.id for one in found if isinstance(one, UserRef)] == [known, twin]


def test_an_agent_who_is_known_stays_theirs_whoever_else_s_user_has_the_address(world: World) -> None:
    agent = world.do(AGENT).id
    world.add_user("alex.example@contoso.com", directory_id=OTHER_ACCOUNT)
    world.clock.advance(timedelta(minutes=2))
    refused(world, RetireAgent(person=ALEX), "belongs to another directory account")
    assert world.do(roles("Change Manager", known_id=agent)).id == agent
    assert world.do(replace(AGENT, known_id=agent)).ids == (agent,)
    assert world.do(RetireAgent(person=ALEX, known_id=agent)) == AgentRef(ids=(agent,), roles_removed=1)


def test_an_agent_who_is_known_and_has_somebody_else_s_address_by_now_is_left_alone(world: World) -> None:
    agent = world.do(AGENT).id
    world.add_user("alex.example@contoso.com", directory_id=OTHER_ACCOUNT)
    world.clock.advance(timedelta(minutes=2))
    renamed = ALEX.evolve(mail="alex.married@contoso.com", user_principal_name="alex.married@contoso.com")
    refused(world, SetRoles(person=renamed, agent_id=agent, roles=(), ours=OURS, known_id=agent), "belongs to another directory account")
    assert world.do(RetireAgent(person=renamed, known_id=agent)) == AgentRef()
