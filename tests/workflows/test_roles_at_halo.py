"""A role with approval, from the group to the agent, at a pretend Halo: what the desk holds in the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from offices import ADA, BOB, Office

from simulators.halo import sign_in


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
