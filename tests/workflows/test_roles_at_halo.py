"""A role with approval, from the group to the agent, at a pretend Halo: what the desk holds, and how many calls it took."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from adapters.halo.client import HaloClient
from adapters.halo.desk import HaloServiceDesk
from joinery.domain.person import Manager
from joinery.engine.memory import FakeClock
from joinery.testing import World, everyone, person
from simulators.clock import SimClock
from simulators.halo import create_halo, sign_in

#: Lists of names.
NAMES = ("/TicketType", "/Team", "/FieldInfo", "/Client", "/Site", "/Outcome", "/ApprovalProcess", "/Status", "/Roles")

CHANGES = "ITSM-ChangeManagers"
BOB = person("bob")
ADA = person("ada", manager=Manager(id="bob", mail=BOB.mail))


class SameClock(SimClock):
    """The stand-in lives in the moment of the test."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now()


class Office:
    """Directory, store and queue in memory, and a Halo over its wire. Ada works for Bob, whom nobody has made a user."""

    def __init__(self) -> None:
        self.world = World(everyone())
        self.halo = create_halo(None, SameClock(self.world.clock))
        self.http = sign_in(self.halo)
        client = HaloClient(
            "http://halo.test/api",
            "http://halo.test/auth",
            "joinery",
            "local",
            transport=httpx.WSGITransport(app=self.halo.wsgi),
            clock=self.world.clock,
        )
        desk: Any = HaloServiceDesk(client, self.world.policy.desk, deployment="test", search_lag=timedelta(seconds=2))
        self.world.desk = desk
        self.world.restart()
        for someone in (BOB, ADA):
            self.world.put(someone)
            self.world.look(someone.id)
        self.world.pass_time(minutes=15)

    def get(self, path: str, **query: Any) -> Any:
        return self.http.get(f"/api{path}", params=query).raise_for_status().json()

    def gains(self, group: str = CHANGES, *, minutes: int = 30) -> None:
        self.world.directory.add_member(f"g-{group}".lower(), "ada")
        self.world.look("ada")
        self.world.pass_time(minutes=minutes)

    def loses(self, group: str = CHANGES, *, minutes: int = 30) -> None:
        self.world.directory.end_membership(f"g-{group}".lower(), "ada")
        self.world.look("ada")
        self.world.pass_time(minutes=minutes)

    def answers(self, result: int, *, minutes: int = 30, note: str = "") -> None:
        """Bob answers in the portal, and the poll hears of it."""
        ticket = self.ticket()
        row = [{"ticket_id": ticket["id"], "seq": ticket["approvers"][0]["seq"], "result": result, "note": note}]
        sign_in(self.halo, username=BOB.mail).post("/api/TicketApproval", json=row).raise_for_status()
        self.http.delete("/_calls")
        self.world.app.poll_approvals()
        self.world.pass_time(minutes=minutes)

    def ticket(self) -> dict[str, Any]:
        [row] = self.get("/Tickets")["tickets"]
        found: dict[str, Any] = self.get(f"/Tickets/{row['id']}", includedetails="true")
        return found

    def agents(self) -> list[tuple[str, list[str], bool]]:
        rows = self.get("/Agent", includedisabled="true", includeroles="true")["results"]
        return [(row["email"], [role["name"] for role in row["roles"]], not row["isdisabled"]) for row in rows]

    def statuses(self) -> list[str]:
        return [str(view.run.status) for view in self.world.runs()]

    def calls(self) -> list[str]:
        """What was called since this was asked last, but for tokens and lists of names."""
        seen = [f"{call['method']} {call['path'].removeprefix('/api')}" for call in self.http.get("/_calls").json()]
        self.http.delete("/_calls")
        return [call for call in seen if not call.endswith((*NAMES, "/token"))]


@pytest.fixture
def office() -> Iterator[Office]:
    made = Office()
    yield made
    made.halo.stop()


def test_a_manager_whom_nobody_had_made_a_user_approves_in_the_portal_and_the_role_is_there(office: Office) -> None:
    office.gains()
    ticket = office.ticket()
    [row] = ticket["approvers"]
    assert (row["emailaddress"], row["result"], ticket["status_id"]) == (BOB.mail, 0, 17)
    assert office.agents() == []
    office.answers(1)
    assert office.agents() == [(ADA.mail, ["Change Manager"], True)]
    assert (office.ticket()["status_id"], office.statuses()) == (9, ["verified"])
    office.loses()
    assert office.agents() == [(ADA.mail, [], False)]
    assert office.statuses() == ["verified", "verified"]


def test_a_refusal_gives_nothing_stands_on_the_ticket_and_is_not_asked_again(office: Office) -> None:
    office.gains()
    office.answers(2, note="<script>not</script> this year")
    assert (office.agents(), office.ticket()["status_id"], office.statuses()) == ([], 9, ["verified"])
    notes = " ".join(row["note"] for row in office.get("/Actions", ticket_id=office.ticket()["id"])["actions"])
    assert "refused it (portal" in notes
    shown = office.get("/Actions", ticket_id=office.ticket()["id"], includehtmlnote="true")["actions"]
    [ours] = [row["note_html"] for row in shown if "They wrote" in row.get("note_html", "")]
    assert "&lt;script&gt;not&lt;/script&gt; this year" in ours
    office.world.look("ada")
    office.world.pass_time(hours=3)
    assert len(office.get("/Tickets")["tickets"]) == 1


def test_an_approval_that_somebody_starts_anew_after_the_refusal_is_recorded_and_gives_nothing(office: Office) -> None:
    office.gains()
    office.answers(2)
    ticket = office.ticket()
    office.http.delete("/_calls")
    office.world.app.answers.hint([str(ticket["id"])])
    office.world.pass_time(minutes=2)
    assert (office.calls(), office.world.actions("ada").count("approval too late")) == ([f"GET /Tickets/{ticket['id']}"], 0)
    process = next(row["id"] for row in office.get("/ApprovalProcess") if row["name"] == "Line manager")
    user = ticket["approvers"][0]["user_id"]
    again = {"ticket_id": ticket["id"], "outcome_id": 7, "new_approvalprocess": process, "new_approvalprocess_user_id": user}
    office.http.post("/api/Actions", json=[again]).raise_for_status()
    office.world.pass_time(minutes=1)
    row = {"ticket_id": ticket["id"], "seq": office.ticket()["approvers"][0]["seq"], "result": 1}
    sign_in(office.halo, username=BOB.mail).post("/api/TicketApproval", json=[row]).raise_for_status()
    office.world.app.answers.hint([str(ticket["id"])])
    office.world.pass_time(hours=1)
    assert office.world.actions("ada").count("approval too late") == 1
    notes = " ".join(row["note"] for row in office.get("/Actions", ticket_id=ticket["id"])["actions"])
    assert (
        f"user {user} approved it (portal" in notes
        and "in a round that Joinery did not start, after the approval had ended (refused" in notes
    )
    assert (office.agents(), office.statuses()) == ([], ["verified"])


def test_a_group_that_is_lost_before_anybody_answered_takes_the_question_back(office: Office) -> None:
    office.gains()
    office.loses()
    ticket = office.ticket()
    assert (ticket["status_id"], ticket["approvers"], office.agents()) == (9, [], [])


def test_a_role_with_approval_costs_these_calls(office: Office) -> None:
    """Each create: a look, the write, the read-back. Lists of names are asked for once an hour and counted apart; so are the twin checks."""
    office.calls()
    office.gains(minutes=5)
    assert office.calls() == [
        *("GET /Users", "GET /Users", "POST /Users", "GET /Users/4"),
        *("GET /Tickets", "POST /Tickets", "GET /Tickets/1"),
        *("GET /Users", "GET /Users", "POST /Users", "GET /Users/5"),
        *("GET /Actions", "POST /Actions", "GET /Tickets/1"),
        *("GET /Actions", "POST /Actions", "GET /Actions"),
    ], "the person's user, the ticket, the approver, the question, the note that says who is asked"
    office.answers(1, minutes=5)
    assert office.calls() == [
        *("GET /Tickets", "GET /Tickets/1"),
        *("GET /Agent", "GET /Users", "POST /Agent", "GET /Agent/4"),
        *("POST /Agent", "GET /Agent/4"),
        *("GET /Actions", "POST /Actions", "GET /Actions"),
        *("GET /Tickets/1", "POST /Tickets", "GET /Tickets/1"),
    ], "the poll and the answer, the agent, the role, the note that says what came of it, the end of the ticket"
    office.world.pass_time(minutes=20)
    assert len(office.calls()) == 14, "one look for twins after each of seven creates"


def test_a_role_that_nobody_has_to_approve_costs_these_calls(office: Office) -> None:
    office.calls()
    office.gains("ITSM-ServiceDesk", minutes=5)
    assert office.calls() == ["GET /Agent", "GET /Users", "POST /Agent", "GET /Agent/4", "POST /Agent", "GET /Agent/4"]
    office.world.pass_time(minutes=20)
    office.calls()
    office.loses("ITSM-ServiceDesk", minutes=8)
    assert office.calls() == ["GET /Agent", "POST /Agent", "GET /Agent/4"]
