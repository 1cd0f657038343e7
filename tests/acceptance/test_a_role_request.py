"""A group stands for a role: who is added to it gets a request that the manager decides in Halo, and nothing before that."""

from __future__ import annotations

import json
from typing import Any

import pytest
from product import Product, wait_until
from world import Someone

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def up(up_either_way: Product) -> Product:
    """Told of one process, and of two workers over AMQP."""
    return up_either_way


CHANGES, DESK = "ITSM-ChangeManagers", "ITSM-ServiceDesk"


def known(it: Product, name: str) -> tuple[Someone, Someone]:
    """Somebody who works here, and their manager; nobody has ever had anything to do with Halo."""
    boss = it.world.person(f"{name} Boss")
    one = it.world.person(name, manager=boss)
    for each in (boss, one):
        wait_until(f"{each.name} was looked at", lambda each=each: "first sight" in it.tale(each), explain=it.story)  # type: ignore[misc]  # bound per turn
    return one, boss


def requested(it: Product, one: Someone) -> dict[str, Any]:
    """The request, once somebody is asked on it."""

    def asked() -> dict[str, Any] | None:
        rows = it.world.tickets_of(one, "Role")
        return rows[-1] if rows and it.world.approvals(rows[-1]["id"]) and "approval asked" in it.tale(one) else None

    found = wait_until(f"a request for {one.name}", asked, explain=it.story)
    assert found is not None
    return found


def changed(it: Product, one: Someone) -> int:
    """How many changes of their roles were verified. A manager who is named a moment after the account is a move, and a run of its own."""
    told = json.loads(it.command("audit", "show", "--person", one.id, "--json").stdout)
    return sum(entry["action"] == "run verified" and entry["run"].startswith("role_change") for entry in told)


def quiet(it: Product) -> bool:
    return bool(it.health()[1]["open_runs"] == 0)


def test_the_manager_decides_and_the_role_is_there_afterwards_and_gone_with_the_membership(up: Product) -> None:
    one, boss = known(up, "Rosa Change")
    assert up.world.users_of(boss) == []
    up.world.add(one, CHANGES)
    request = requested(up, one)
    (row,) = up.world.approvals(request["id"])
    (approver,) = up.world.users_of(boss)
    assert (row["user_id"], row["result"]) == (approver["id"], 0)
    assert up.world.agents_of(one) == []
    up.world.answer(boss, request["id"], approved=True)
    wait_until("the role is there", lambda: up.world.roles_of(one) == ["Change Manager"] and quiet(up), explain=up.story)
    assert "The role Change Manager is on agent" in up.world.notes(request["id"])
    assert up.world.ticket(request["id"])["hasbeenclosed"] is True
    assert changed(up, one) == 1
    up.world.remove(one, CHANGES)
    wait_until("the role is gone", lambda: up.world.roles_of(one) == [] and changed(up, one) == 2, explain=up.story)
    assert len(up.world.tickets_of(one, "Role")) == 1


def test_a_refusal_gives_nothing_says_why_on_the_ticket_and_is_not_asked_again(up: Product) -> None:
    one, boss = known(up, "Rolf Refused")
    up.world.add(one, CHANGES)
    request = requested(up, one)
    up.world.answer(boss, request["id"], approved=False, note="not this year")
    wait_until("it is decided", lambda: changed(up, one) == 1 and quiet(up), explain=up.story)
    assert up.world.roles_of(one) == []
    assert "refused it" in up.world.notes(request["id"]) and "not asked for again" in up.world.notes(request["id"])
    assert 'They wrote: "not this year"' in up.world.notes(request["id"])
    assert "not this year" not in up.log()
    assert up.world.ticket(request["id"])["hasbeenclosed"] is True
    up.world.change(one, officeLocation="Elsewhere")
    up.restart()
    wait_until("it was swept", lambda: up.health()[0] == 200, explain=up.story)
    up.world.add(one, DESK)
    wait_until("another role", lambda: up.world.roles_of(one) == ["Service Desk"] and quiet(up), explain=up.story)
    assert [row["id"] for row in up.world.tickets_of(one, "Role")] == [request["id"]]
    up.world.halo("DELETE", f"/Tickets/{request['id']}")
    wait_until("the deletion is recorded", lambda: "approval too late" in up.tale(one), explain=up.story)
    assert up.world.roles_of(one) == ["Service Desk"]


def test_a_role_that_nobody_has_to_approve_is_given_at_once_and_the_agent_is_disabled_with_the_last_one(up: Product) -> None:
    one, _ = known(up, "Rita Atonce")
    up.world.add(one, DESK)
    wait_until("the role is there", lambda: up.world.roles_of(one) == ["Service Desk"] and quiet(up), explain=up.story)
    assert up.world.tickets_of(one) == []
    up.world.disable(one)
    wait_until("the role is gone", lambda: up.world.roles_of(one) == [] and quiet(up), explain=up.story)
    (agent,) = up.world.agents_of(one)
    assert (agent["isdisabled"], agent["roles"]) == (True, [])
