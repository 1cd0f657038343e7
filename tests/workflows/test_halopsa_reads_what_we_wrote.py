"""A client that somebody else wrote for Halo's API, unmodified, reads what our adapter wrote over HTTP."""

from __future__ import annotations

import html
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from not_run import HALOPSA, not_run
from offices import ADA, BOB, Office

pytestmark = pytest.mark.servers

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / ".venv" / "halopsa"


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[Office, dict[str, Any]]]:
    """Ada joins and gets a role that Bob approves; then the other client reads everything."""
    if not PACKAGE.is_dir():
        not_run(HALOPSA)
    office = Office(served=True)
    assert office.server is not None
    try:
        office.gains("ITSM-NewJoiner")
        joiner = office.ticket()["id"]
        office.gains()
        role = next(row["id"] for row in office.get("/Tickets")["tickets"] if row["id"] != joiner)
        office.says(role, 1)
        office.hears(minutes=30)
        assert office.statuses() == ["verified", "verified"]
        reader = [sys.executable, str(ROOT / "tests" / "halopsa" / "reader.py"), office.server.url, ADA.mail, str(joiner), str(role)]
        # It honours proxies and .netrc; neither is for a Halo on this machine.
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGE), "NO_PROXY": "*"}
        done = subprocess.run(reader, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        yield office, {"joiner": joiner, "role": role, **json.loads(done.stdout)}
    finally:
        office.client.close()
        office.server.close()
        office.halo.stop()


def test_it_lists_both_tickets_and_reads_each_with_its_user_tasks_and_key(told: tuple[Office, dict[str, Any]]) -> None:
    office, seen = told
    assert {row["id"] for row in seen["tickets"]["tickets"]} == {seen["joiner"], seen["role"]}
    joiner, role = (seen["ticket"][str(seen[name])] for name in ("joiner", "role"))
    ours = office.world.policy.desk.tickets
    types = {row["id"]: row["name"] for row in office.get("/TicketType")}
    for ticket, kind in ((joiner, "onboarding"), (role, "role")):
        assert (types[ticket["tickettype_id"]], ticket["team"]) == (ours[kind].ticket_type, ours[kind].team)
        assert ticket["user_id"] == seen["user"]["id"]
        [key] = [field["value"] for field in ticket["customfields"] if field["name"] == "CFjoineryKey"]
        assert key.startswith("test-") and ticket["summary"].endswith(f"[{key}]") and ticket["third_party_id_string"] == key
    assert ADA.name in joiner["summary"] and joiner["hasbeenclosed"] is not True and role["hasbeenclosed"] is True
    assert [task["text"] for task in joiner["todo_list"]] and all(task["group_name"] for task in joiner["todo_list"])


def test_it_reads_the_user_that_stands_for_the_person(told: tuple[Office, dict[str, Any]]) -> None:
    _, seen = told
    assert [row["id"] for row in seen["users"]["users"]] == [seen["user"]["id"]]
    wanted = {"name": ADA.name, "emailaddress": ADA.mail, "azureoid": ADA.id, "manager_email": BOB.mail, "inactive": False}
    assert {member: seen["user"][member] for member in wanted} == wanted


def test_it_reads_the_agent_with_the_role_that_was_approved(told: tuple[Office, dict[str, Any]]) -> None:
    office, seen = told
    rule = office.world.policy.roles["ITSM-ChangeManagers"]
    agent = seen["agent"]
    assert [row["id"] for row in seen["agents"]["results"]] == [agent["id"]]
    assert (agent["email"], agent["isdisabled"], [role["name"] for role in agent["roles"]]) == (ADA.mail, False, [rule.role])
    assert agent["team"] == rule.team


def test_it_reads_who_approved_and_what_we_said_about_it(told: tuple[Office, dict[str, Any]]) -> None:
    office, seen = told
    [row] = seen["ticket"][str(seen["role"])]["approvers"]
    bob = next(user for user in office.get("/Users")["users"] if user["emailaddress"] == BOB.mail)
    assert (row["result"], row["user_id"]) == (1, bob["id"])
    notes = [html.unescape(action["note"]) for action in seen["actions"][str(seen["role"])]["actions"]]
    assert any("approved" in note and "[test-" in note for note in notes), notes
