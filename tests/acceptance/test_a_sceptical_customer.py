"""Odd people, odd orders of things, and hands in the machinery: what somebody tries who does not believe it."""

from __future__ import annotations

from pathlib import Path

import pytest
from product import Product, product, wait_until
from tales import joined, left, made
from world import JOINERS, Someone

pytestmark = pytest.mark.servers

_NAMES = (
    "Séan O'Brien",
    "Zoë 😀👩‍👩‍👧 Müller",
    "<script>alert(1)</script>",
    "Eve [local-AAAAAAAAAAAAAAAA]",
    '100% & Söns; "Q" \\ back',
    "Doe, John (ext.) #42?",
    "L" * 200,
)


@pytest.mark.parametrize("number", range(len(_NAMES)))
def test_a_name_is_only_a_name(up: Product, number: int) -> None:
    one = up.world.person(_NAMES[number], upn=f"odd.{number}@contoso.example")
    up.world.add(one)
    ticket = joined(up, one)
    assert ticket["summary"].endswith(f"[{ticket['third_party_id_string']}]")
    assert "<script" not in str(ticket["details_html"])
    up.world.disable(one)
    left(up, one)


@pytest.mark.parametrize("name", ["o'neil", "a+b", "jürgen", "x" * 60])
def test_a_sign_in_name_may_hold_what_directories_allow(up: Product, name: str) -> None:
    one = up.world.person(f"Signs In {name[:5]}", upn=f"{name}@contoso.example")
    up.world.add(one)
    joined(up, one)
    up.world.disable(one)
    left(up, one)


def test_managers_in_a_circle_are_no_trouble(up: Product) -> None:
    first = up.world.person("Loop First")
    second = up.world.person("Loop Second", manager=first)
    up.world.set_manager(first, second)
    for one in (first, second):
        up.world.add(one)
        joined(up, one)


def test_a_user_who_is_in_halo_already_but_inactive_is_taken_back(up: Product) -> None:
    one = up.world.person("Back Again")
    site = up.world.halo("GET", "/Site?count=100")["sites"][0]
    row = {"name": one.name, "emailaddress": one.mail, "site_id": site["id"], "inactive": True}
    before = up.world.halo("POST", "/Users", [row])
    up.world.add(one)
    assert joined(up, one)["user_id"] == before["id"]


def test_a_ticket_deleted_by_hand_is_not_opened_again(up: Product) -> None:
    one = made(up, "Tess Deleted")
    up.world.add(one)
    up.world.halo("DELETE", f"/Tickets/{joined(up, one)['id']}")
    up.world.change(one, jobTitle="Somebody")
    up.world.disable(one)
    left(up, one, earlier=0)


def test_a_person_put_in_and_out_of_the_group_quickly_gets_one_ticket(up: Product) -> None:
    one = made(up, "Quentin Quick")
    for _ in range(5):
        up.world.add(one)
        up.world.remove(one)
    up.world.add(one)
    joined(up, one)
    for _ in range(5):
        up.world.remove(one)
        up.world.add(one)
    _somebody_else_joins(up, "Quinn After")
    joined(up, one)


def test_somebody_who_comes_back_and_joins_again_starts_anew_and_can_leave_again(up: Product) -> None:
    one = made(up, "Ria Returner")
    up.world.add(one)
    joined(up, one)
    up.world.disable(one)
    left(up, one)
    up.world.remove(one)
    up.world.change(one, accountEnabled=True)
    wait_until("the return is seen", lambda: "Returned" in up.tale(one), explain=up.story)
    up.world.add(one)
    wait_until("a second onboarding", lambda: len(up.world.tickets_of(one, "Onboarding")) == 2, explain=up.story)
    up.wait_quiet()
    up.world.disable(one)
    wait_until("a second offboarding", lambda: len(up.world.tickets_of(one, "Offboarding")) == 2, explain=up.story)


@pytest.mark.parametrize(
    "address", ["CASE.AGENT@Contoso.Example", "case.agent.upn@contoso.example"], ids=["other case", "the sign-in name"]
)
def test_the_agent_of_a_leaver_is_found_by_either_address(up: Product, address: str) -> None:
    suffix = "Upn" if "upn" in address else "Case"
    mail = "case.mail@contoso.example" if suffix == "Upn" else "case.agent@contoso.example"
    one = up.world.person(f"Agent {suffix}", upn="case.agent.upn@contoso.example" if suffix == "Upn" else mail, mail=mail)
    agent = up.world.agent(Someone(id="", name=one.name, mail=address), "Administrator")
    up.world.add(one)
    joined(up, one)
    up.world.disable(one)
    left(up, one, agent=agent)


def test_the_agent_of_a_leaver_is_found_by_an_address_that_they_had_before(up: Product) -> None:
    one = made(up, "Nadja Newname")
    agent = up.world.agent(one, "Administrator")
    up.world.add(one)
    joined(up, one)
    up.world.change(one, userPrincipalName="nadja.married@contoso.example", mail="nadja.married@contoso.example")
    wait_until("the new name is seen", lambda: "nadja.married" in up.tale(one), explain=up.story)
    up.world.disable(one)
    left(up, one, agent=agent)


def test_somebody_who_shares_an_address_takes_nothing_from_its_owner(tmp_path: Path) -> None:
    """Whose agent it is needs a human, so the run stays open; hence a product of its own."""
    with product(tmp_path) as it:
        owner = it.world.person("Olive Owner", upn="olive@contoso.example", mail="shared@contoso.example")
        other = it.world.person("Oscar Sharer", upn="oscar@contoso.example", mail="shared@contoso.example")
        agent = it.world.agent(owner, "Administrator")
        it.world.add(owner)
        joined(it, owner)
        wait_until("the other one is known", lambda: it.tale(other), explain=it.story)
        it.world.disable(other)
        wait_until("the agent's turn has come", lambda: "take the agent's roles away" in it.tale(other), explain=it.story)
        assert it.world.agent_detail(agent)["isdisabled"] is False
        assert len(it.world.agent_detail(agent)["roles"]) == 1
        assert [user["inactive"] for user in it.world.users_of(owner)] == [False]


def test_a_person_who_gets_an_employee_id_later_joins_then(up: Product) -> None:
    one = up.world.person("Lea Later", employeeId=None)
    up.world.add(one)
    wait_until("the person is left alone", lambda: "unknown" in up.tale(one), explain=up.story)
    assert up.world.tickets_of(one) == []
    up.world.change(one, employeeId="E-77")
    joined(up, one)


def test_a_member_of_a_group_within_the_group_joins_too(up: Product) -> None:
    body = {"displayName": "Nested Joiners", "mailNickname": "nested", "mailEnabled": False, "securityEnabled": True}
    nested = up.world.graph("POST", "/groups", body)
    objects = f"{up.world.graph_url}/v1.0/directoryObjects"
    before = made(up, "Nils Nested")
    up.world.graph("POST", f"/groups/{nested['id']}/members/$ref", {"@odata.id": f"{objects}/{before.id}"})
    up.world.graph("POST", f"/groups/{up.world.group(JOINERS)}/members/$ref", {"@odata.id": f"{objects}/{nested['id']}"})
    joined(up, before)


def test_thirty_people_at_once_each_get_one_ticket(up: Product) -> None:
    people = [up.world.person(f"Burst Person{number:02d}") for number in range(30)]
    for one in people:
        up.world.add(one)
    for one in people:
        joined(up, one)
    for one in people:
        up.world.disable(one)
    for one in people:
        left(up, one)


def test_a_watched_group_made_anew_is_watched_after_the_next_start_at_the_latest(tmp_path: Path) -> None:
    with product(tmp_path) as it:
        it.world.graph("DELETE", f"/groups/{it.world.group(JOINERS)}")
        it.world.forget_groups()
        it.world.graph("POST", "/groups", {"displayName": JOINERS, "mailNickname": "nj", "mailEnabled": False, "securityEnabled": True})
        one = made(it, "Greg Group")
        it.world.add(one)
        it.restart()
        joined(it, one)


def _somebody_else_joins(it: Product, name: str) -> None:
    one = made(it, name)
    it.world.add(one)
    joined(it, one)
