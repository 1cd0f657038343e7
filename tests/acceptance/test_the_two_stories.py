"""A joiner and a leaver, told through the public interfaces only, and those with whom nothing happens."""

from __future__ import annotations

import re
from functools import partial

import pytest
from product import Product, wait_until
from tales import joined, left, made, verified
from world import BREAK_GLASS, Someone

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def up(up_either_way: Product) -> Product:
    """Told of one process, and of two workers over AMQP."""
    return up_either_way


def test_a_joiner_gets_exactly_one_onboarding_ticket_linked_to_their_user(up: Product) -> None:
    boss = up.world.person("Grace Lindqvist")
    ada = up.world.person("Ada Nilsson", manager=boss, employeeHireDate="2031-03-01T00:00:00Z", department="Treasury")
    up.world.add(ada)
    ticket = joined(up, ada)
    (user,) = up.world.users_of(ada)
    assert user["inactive"] is False
    assert ticket["user_id"] == user["id"]
    assert ticket["parent_id"] is None
    for said in ("Grace Lindqvist", "2031-03-01", "Treasury"):
        assert said in ticket["details"], said
    key = next(row["value"] for row in ticket["customfields"] if "key" in row["name"].lower())
    assert re.fullmatch(r"local-[A-Z2-7]{16}", key)
    assert ticket["summary"].endswith(f"[{key}]")
    assert ticket["third_party_id_string"] == key
    assert verified(up, ada) == 1


def test_the_onboarding_ticket_carries_twelve_to_dos_each_with_its_owner_and_its_time(up: Product) -> None:
    one = made(up, "Tilda Dolores")
    up.world.add(one)
    rows = joined(up, one)["todo_list"]
    assert isinstance(rows, list)
    assert len(rows) == 12
    assert [row["sequence"] for row in rows] == sorted(row["sequence"] for row in rows)
    for row in rows:
        assert row["group_name"], row
        assert "\N{EM DASH}" in row["text"], row
        assert row["done"] is False


def test_a_leaver_gets_one_ticket_an_inactive_user_and_an_agent_without_roles(up: Product) -> None:
    one = made(up, "Leo Parting")
    agent = up.world.agent(one, "Service Desk", "Administrator")
    up.world.add(one)
    joined(up, one)
    up.world.disable(one)
    left(up, one, agent=agent)
    onboarding, offboarding = up.world.tickets_of(one)
    assert offboarding["user_id"] == onboarding["user_id"]
    assert verified(up, one) == 2


@pytest.mark.parametrize("last", ["soft-deleted", "gone for good"])
def test_somebody_who_is_deleted_has_left(up: Product, last: str) -> None:
    one = made(up, f"Delia {last.partition(' ')[0].title()}")
    up.world.add(one)
    joined(up, one)
    up.world.graph("DELETE", f"/users/{one.id}")
    if last == "gone for good":
        up.world.graph("DELETE", f"/directory/deletedItems/{one.id}")
    left(up, one)


def test_a_protected_person_who_is_disabled_is_left_alone_and_the_audit_says_why(up: Product) -> None:
    by_name = up.world.person("Emergency One", upn="breakglass1@contoso.example")
    by_group = up.world.person("Emergency Two")
    up.world.add(by_group, BREAK_GLASS)
    for one in (by_name, by_group):
        up.world.agent(one, "Administrator")
        wait_until(f"{one.name} was looked at", partial(_protected, up, one), explain=up.story)
        up.world.disable(one)
    _somebody_else_comes_and_goes(up, "Nora Afterwards")
    for one in (by_name, by_group):
        assert up.world.tickets_of(one) == []
        assert up.world.users_of(one) == []
        assert "protected" in up.tale(one)
        assert verified(up, one) == 0
    rows = up.world.halo("GET", "/Agent?search=Emergency&includedisabled=true&includeenabled=true")
    agents = [row for row in (rows if isinstance(rows, list) else rows["results"]) if row["name"].startswith("Emergency")]
    assert [row["isdisabled"] for row in agents] == [False, False]


def test_nothing_happens_to_guests_mailboxes_services_and_the_unknown(up: Product) -> None:
    guest = up.world.person("Gus Guest", userType="Guest")
    mailbox = up.world.person("Info Mailbox", employeeId=None, accountEnabled=False)
    service = up.world.person("Backup Service", upn="svc-backup@contoso.example", employeeId=None)
    unknown = up.world.person("Una Unknown", employeeId=None)
    everyone = (guest, mailbox, service, unknown)
    for one in everyone:
        up.world.add(one)
    _somebody_else_comes_and_goes(up, "Otto Meanwhile")
    for one in everyone:
        if one is not mailbox:
            up.world.disable(one)
    _somebody_else_comes_and_goes(up, "Pia Meanwhile")
    for one in everyone:
        assert up.world.tickets_of(one) == [], one.name
        assert up.world.users_of(one) == [], one.name
        assert up.tale(one), f"the audit should say why nothing happened to {one.name}"


def _protected(it: Product, one: Someone) -> bool:
    return "protected" in it.tale(one)


def _somebody_else_comes_and_goes(it: Product, name: str) -> Someone:
    """By the time that this one has left, everybody before has been looked at."""
    one = made(it, name)
    it.world.add(one)
    joined(it, one)
    it.world.disable(one)
    left(it, one)
    return one
