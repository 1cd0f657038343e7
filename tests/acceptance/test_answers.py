"""A role that needs the manager's word, over plain HTTP: asked in the pretend Halo, answered there, and heard at once."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from product import Product, wait_until
from tales import joined, made
from world import Someone

pytestmark = pytest.mark.servers

GROUP = "ITSM-ChangeManagers"


def asked(it: Product, one: Someone) -> dict[str, Any]:
    """Wait until the change ticket waits for an answer; its one open row of approval."""
    rows: list[dict[str, Any]] = []

    def there() -> bool:
        rows[:] = [
            row
            for ticket in it.world.tickets_of(one, "Role")
            for row in it.world.halo("GET", f"/TicketApproval?ticket_id={ticket['id']}")
            if row["result"] == 0
        ]
        return bool(rows)

    wait_until(f"somebody is asked about {one.name}", there, explain=it.story)
    (row,) = rows
    return row


def answer(it: Product, who: str, row: dict[str, Any], result: int) -> None:
    """Somebody signs in to the portal and answers."""
    form = {"grant_type": "password", "client_id": "local", "username": who, "password": "local", "scope": "all"}
    token = httpx.post(f"{it.world.halo_url}/auth/token", data=form, trust_env=False).raise_for_status().json()["access_token"]
    body = [{"ticket_id": row["ticket_id"], "seq": row["seq"], "actionnumber": row["actionnumber"], "result": result}]
    headers = {"Authorization": f"Bearer {token}"}
    httpx.post(f"{it.world.halo_url}/api/TicketApproval", json=body, headers=headers, trust_env=False).raise_for_status()


def roles_of(it: Product, one: Someone) -> list[str]:
    """Names of the roles on the person's agent."""
    agents = [row for row in it.world.halo("GET", "/Agent?includedisabled=true") if str(row.get("email", "")).lower() == one.mail.lower()]
    return [role["name"] for row in agents for role in it.world.agent_detail(row["id"])["roles"]]


def test_the_managers_word_in_halo_gives_the_role_within_seconds(up: Product) -> None:
    one = made(up, "Edda Wishes")
    up.world.add(one)
    joined(up, one)
    up.world.add(one, GROUP)
    row = asked(up, one)
    assert row["emailaddress"] == "edda.wishes.boss@contoso.example"
    assert roles_of(up, one) == []
    answer(up, row["emailaddress"], row, 1)
    # Well under the five minutes of the poll: Halo told us.
    wait_until("the role is there", lambda: roles_of(up, one) == ["Change Manager"], within=30, explain=up.story)


def test_a_refusal_in_halo_gives_nothing(up: Product) -> None:
    one = made(up, "Rolf Refused")
    up.world.add(one)
    joined(up, one)
    up.world.add(one, GROUP)
    row = asked(up, one)
    answer(up, row["emailaddress"], row, 2)
    wait_until("nothing is open any more", lambda: up.health()[1]["open_runs"] == 0, within=30, explain=up.story)
    assert roles_of(up, one) == []
    (ticket,) = up.world.tickets_of(one, "Role")
    said = [row["note"] for row in up.world.halo("GET", f"/Actions?ticket_id={ticket['id']}&count=100")["actions"]]
    assert any("refused it" in str(text) for text in said), said


@pytest.mark.parametrize("path", ["desk-events", "desk-events/", "desk-events/guess", "desk-events/guess/more"])
def test_whoever_does_not_know_the_desks_door_finds_none(up: Product, path: str) -> None:
    posted = httpx.post(f"{up.url}/api/{path}", json={"object_id": 1}, auth=("joinery", "guess"), trust_env=False)
    assert posted.status_code == 404
