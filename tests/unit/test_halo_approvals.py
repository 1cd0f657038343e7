"""Halo's approvals where they are easily misread: rows, rounds, statuses, and what a tenant may do differently."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from halo_tenant import ALEX, KEY, TICKET, WITHIN, Halo, a_user

from adapters.halo.client import HaloClient
from adapters.halo.desk import HaloServiceDesk
from adapters.system import SystemClock
from joinery.domain.policy import DeskPolicy
from joinery.domain.tickets import (
    Answer,
    AskApproval,
    CloseTicket,
    EndTicket,
    EnsureAgent,
    EnsureApprover,
    RoundRef,
    SetRoles,
    TicketState,
    Verdict,
)
from joinery.errors import Refused

OTHER_KEY = "local-BBBBBBBBBBBBBBBB"


@pytest.fixture
def halo() -> Iterator[Halo]:
    made = Halo()
    yield made
    made.stand_in.stop()


def an_approver(halo: Halo, **fields: Any) -> str:
    return str(a_user(halo, **{"name": "Boss", "emailaddress": "boss@contoso.com", "ischangeapprover2": True, **fields}))


def asked(halo: Halo, *users: str, key: str = KEY) -> tuple[AskApproval, RoundRef]:
    ticket = halo.desk.perform(TICKET, key, within=WITHIN)
    order = AskApproval(ticket_id=ticket.id, user_ids=users)
    result = halo.desk.perform(order, key, within=WITHIN)
    return order, result


# --- what a row says ---

ROW: dict[str, Any] = {
    "ticket_id": 5,
    "seq": 1,
    "actionnumber": 3,
    "user_id": 845,
    "agent_id": 0,
    "emailaddress": "boss@contoso.com",
    "result": 1,
    "datetime": "2026-11-23T09:20:00",
    "dateapproved": "2026-11-23T09:58:12.1234567",
    "delegated_by_uid": 0,
    "admin_overridden": False,
    "admin_override_id": 0,
    "requestor_agent_id": 57,
    "requestor_user_id": 0,
    "note": "",
}
AT = "2026-11-23T09:58:12.123456Z"


def said(
    verdict: Verdict = Verdict.APPROVED, *, asked: str = "845", by: str = "845", how: str = "portal", at: str = AT, words: str = ""
) -> Answer:
    return Answer(asked=asked, verdict=verdict, by=by, how=how, at=at, words=words)


PENDING = Answer(asked="845", verdict=Verdict.PENDING)


def desk_showing(ticket: dict[str, Any] | None, rows: list[dict[str, Any]] | None = None) -> tuple[HaloServiceDesk, list[str]]:
    """A desk with one ticket, and the calls that it gets."""
    calls: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api")
        if path == "/auth/token":
            return httpx.Response(200, json={"access_token": "t", "expires_in": 3600})
        calls.append(f"{request.method} {path}")
        found = {"/Tickets/5": ticket, "/TicketApproval": rows}.get(path)
        return httpx.Response(404) if found is None else httpx.Response(200, json=found)

    client = HaloClient(
        "http://halo.test/api", "http://halo.test/auth", "joinery", "local", transport=httpx.MockTransport(answer), clock=SystemClock()
    )
    return HaloServiceDesk(client, DeskPolicy(), deployment="local", search_lag=timedelta(0)), calls


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ({}, said()),
        ({"result": 2}, said(Verdict.REJECTED)),
        ({"result": 0}, PENDING),
        ({"result": None}, PENDING),
        ({"result": 3}, PENDING),
        ({"result": "approved"}, PENDING),
        ({"result": True}, PENDING),
        ({"user_id": 90, "delegated_by_uid": 845}, said(by="90", how="delegate")),
        ({"admin_overridden": True, "admin_override_id": 12}, said(by="12", how="override")),
        ({"user_id": 0, "agent_id": 12, "emailaddress": ""}, said(asked="", by="12", how="agent")),
        ({"user_id": 0}, said(asked="", by="", how="mail link")),
        ({"user_id": 0, "emailaddress": ""}, said(asked="", by="", how="automatic")),
        ({"requestor_user_id": 845}, said(by="", how="automatic")),
        ({"user_id": 0, "agent_id": 57, "emailaddress": ""}, said(asked="", by="", how="automatic")),
        ({"dateapproved": "2026-11-23T09:20:00"}, said(by="", how="automatic", at="2026-11-23T09:20:00.000000Z")),
        ({"dateapproved": "1899-12-30T00:00:00"}, said(at="")),
        ({"dateapproved": None}, said(at="")),
        ({"note": " after the audit "}, said(words="after the audit")),
        ({"note": "", "approver_note": "after the audit"}, said(words="after the audit")),
        ({"note": None, "approver_note": 7}, said()),
        ({"result": 0, "note": "not yet"}, PENDING),
    ],
)
def test_a_row_is_read_for_what_it_proves_and_no_more(row: dict[str, Any], answer: Answer) -> None:
    """An unknown result is no answer. Our own application's agent (57) and a rule are nobody; an agent's number is no user's."""
    desk, calls = desk_showing({"id": 5, "approvers": [ROW | row]})
    assert desk.ticket_state("5") == TicketState(there=True, round="3", answers=(answer,))
    assert calls == ["GET /Tickets/5"]


def test_rows_of_earlier_rounds_and_of_other_tickets_do_not_count() -> None:
    rows = [ROW | {"actionnumber": 2}, ROW | {"result": 0}, ROW | {"ticket_id": 6, "actionnumber": 9}]
    desk, _ = desk_showing({"id": 5, "approvers": rows, "approvers_history": [ROW | {"actionnumber": 1}]})
    assert desk.ticket_state("5") == TicketState(there=True, round="3", answers=(PENDING,))


def test_a_ticket_whose_round_was_taken_back_has_none_whatever_its_history_says() -> None:
    desk, _ = desk_showing({"id": 5, "approvers": [], "approvers_history": [ROW]})
    assert desk.ticket_state("5") == TicketState(there=True)


def test_where_the_ticket_shows_answers_without_their_evidence_it_is_asked_for_and_checked_again() -> None:
    short = {member: ROW[member] for member in ("seq", "actionnumber", "user_id", "agent_id", "emailaddress", "result")}
    rows = [ROW | {"ticket_id": 6}, ROW | {"actionnumber": 2, "result": 2}, ROW | {"delegated_by_uid": 845, "user_id": 90}]
    desk, calls = desk_showing({"id": 5, "approvers": [short]}, rows)
    assert desk.ticket_state("5").answers == (said(by="90", how="delegate"),)
    assert calls == ["GET /Tickets/5", "GET /TicketApproval"]
    waiting, calls = desk_showing({"id": 5, "approvers": [short | {"result": 0}]}, rows)
    assert waiting.ticket_state("5").answers == (PENDING,)
    assert calls == ["GET /Tickets/5"], "nothing to be proven yet"


def test_a_desk_whose_tickets_do_not_show_their_approvals_is_asked_for_the_rows() -> None:
    desk, _ = desk_showing({"id": 5}, [ROW | {"actionnumber": 2}, ROW])
    assert desk.ticket_state("5") == TicketState(there=True, round="3", answers=(said(),))
    none, _ = desk_showing({"id": 5})
    assert none.ticket_state("5") == TicketState(there=True)


@pytest.mark.parametrize("ticket", [None, {"id": 6}, {"id": 5, "deleted": True}, {"id": 5, "merged_into_id": 4}])
def test_a_ticket_that_is_deleted_or_merged_away_is_not_there(ticket: dict[str, Any] | None) -> None:
    desk, _ = desk_showing(None if ticket is None else ticket | {"approvers": [ROW]})
    assert desk.ticket_state("5") == TicketState(there=False)


# --- what a start does ---


def test_the_key_and_who_is_asked_stand_in_an_internal_note(halo: Halo) -> None:
    boss = an_approver(halo)
    order, result = asked(halo, boss)
    action = halo.get(f"/Actions/{result.number}", ticket_id=order.ticket_id)
    assert (action["hiddenfromuser"], action["note_html"]) == (True, f"<p>Approval asked of user {boss} (request 1).</p><p>[{KEY}]</p>")


def test_an_approval_that_the_desk_did_not_start_is_neither_found_nor_taken_for_one(halo: Halo) -> None:
    boss = an_approver(halo)
    halo.http.put("/_faults", json=[{"fault": "approval_ignored"}])
    order, result = asked(halo, boss)
    seen = halo.desk.read_back(order, KEY, result)
    assert (seen.ok, halo.desk.find(order, KEY)) == (False, ())
    assert "the present one is none" in seen.detail


def test_a_process_that_asks_others_than_we_named_is_seen(halo: Halo) -> None:
    boss, agent = an_approver(halo), halo.post("/Agent", name="Chief", email="chief@contoso.com")
    board = halo.post("/CAB", name="Board", members=[{"user_id": int(boss)}, {"agent_id": agent["id"]}])
    order, _ = asked(halo, boss)
    action = halo.post("/Actions", ticket_id=order.ticket_id, outcome_id=7, new_approvalprocess=3, new_approvalprocess_cab_id=board["id"])
    ours = RoundRef(ticket_id=order.ticket_id, number=str(action["id"]))
    seen = halo.desk.read_back(order, KEY, ours)
    assert (seen.ok, "asks somebody whom we did not name" in seen.detail) == (False, True)


def test_a_process_that_leaves_the_status_alone_is_seen_because_the_poll_would_never_see_its_tickets(halo: Halo) -> None:
    process = halo.get("/ApprovalProcess/3")
    halo.post("/ApprovalProcess", id=process["id"], no_status_change=True)
    order, result = asked(halo, an_approver(halo))
    seen = halo.desk.read_back(order, KEY, result)
    assert (seen.ok, "a status that does not say that it waits" in seen.detail) == (False, True)


def test_an_answer_that_came_before_the_read_back_is_no_trouble(halo: Halo) -> None:
    order, result = asked(halo, an_approver(halo))
    halo.post("/TicketApproval", ticket_id=int(order.ticket_id), seq=1, result=1)
    assert halo.desk.read_back(order, KEY, result).ok


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (DeskPolicy(approval_process="Nobody's"), r"\[desk\] approval_process = \"Nobody's\".*Line manager, Named approver"),
        (DeskPolicy(awaiting_status="Nowhere"), r"\[desk\] awaiting_status = 'Nowhere'.*Awaiting Approval"),
        (DeskPolicy(closed_status="Nowhere"), r"\[desk\] closed_status = 'Nowhere'.*Closed"),
    ],
)
def test_a_name_that_the_desk_does_not_have_is_refused_with_its_place_in_the_policy(policy: DeskPolicy, said: str) -> None:
    halo = Halo(policy)
    with pytest.raises(Refused, match=said):
        asked(halo, an_approver(halo))
        halo.desk.perform(CloseTicket(ticket_id="1"), KEY, within=WITHIN)
        halo.desk.awaiting()


def test_a_desk_that_writes_null_for_what_waits_is_understood() -> None:
    halo = Halo(pending_is_null=True)
    order, result = asked(halo, an_approver(halo))
    assert halo.desk.read_back(order, KEY, result).ok
    assert [answer.verdict for answer in halo.desk.ticket_state(order.ticket_id).answers] == [Verdict.PENDING]


def test_a_desk_that_ignores_filters_does_not_mix_the_approvals_of_two_tickets(halo: Halo) -> None:
    boss, chief = an_approver(halo), an_approver(halo, emailaddress="chief@contoso.com")
    order, result = asked(halo, boss)
    asked(halo, chief, key=OTHER_KEY)
    halo.deaf_to = {"action_number", "status_id", "open_only", "includeapprovaldetails"}
    assert halo.desk.find(order, KEY) == (result,)
    assert [answer.asked for answer in halo.desk.ticket_state(order.ticket_id).answers] == [boss]
    waiting = halo.desk.awaiting()
    assert (len(waiting), order.ticket_id in waiting) == (2, True)
    halo.post("/Tickets", summary="does not wait")
    assert halo.desk.awaiting() == waiting


# --- which tickets wait ---


def test_one_call_lists_a_hundred_tickets_that_wait(halo: Halo) -> None:
    boss = int(an_approver(halo))
    start = {"new_approvalprocess": 3, "new_approvalprocess_user_id": boss}
    tickets = {str(halo.post("/Tickets", summary="x", **start)["id"]) for _ in range(99)}
    halo.desk.awaiting()
    assert halo.calls(halo.desk.awaiting) == ["GET /api/Tickets"]
    assert halo.desk.awaiting() == tickets
    tickets |= {str(halo.post("/Tickets", summary="x", **start)["id"]) for _ in range(51)}
    assert halo.calls(halo.desk.awaiting) == ["GET /api/Tickets"] * 2
    assert halo.desk.awaiting() == tickets


def test_a_desk_that_lists_every_ticket_instead_of_those_that_wait_is_not_read_to_its_end(halo: Halo) -> None:
    for number in range(120):
        halo.post("/Tickets", summary=f"printer {number}")
    halo.desk.awaiting()
    halo.deaf_to = {"status_id"}
    halo.http.delete("/_calls")
    with pytest.raises(Refused, match="does not tell the tickets"):
        halo.desk.awaiting()
    assert len(halo.http.get("/_calls").json()) == 1


def test_a_list_of_exactly_one_page_is_asked_for_once(halo: Halo) -> None:
    awaiting = next(row["id"] for row in halo.get("/Status") if row["name"] == "Awaiting Approval")
    for number in range(100):
        halo.post("/Tickets", summary=f"Role {number}", status_id=awaiting)
    assert len(halo.desk.awaiting()) == 100
    assert halo.calls(halo.desk.awaiting) == ["GET /api/Tickets"]
    last = halo.post("/Tickets", summary="One more", status_id=awaiting)
    assert str(last["id"]) in halo.desk.awaiting()
    assert halo.calls(halo.desk.awaiting) == ["GET /api/Tickets"] * 2


# --- the end of a ticket ---


def test_an_approval_that_the_desk_does_not_take_back_does_not_keep_the_ticket_open_and_is_told(halo: Halo) -> None:
    order, _ = asked(halo, an_approver(halo))
    path = f"/api/TicketApproval/{order.ticket_id}&1"
    halo.http.put("/_faults", json=[{"match": {"method": "DELETE", "path": path}, "fault": "status", "status": 403}])
    close = CloseTicket(ticket_id=order.ticket_id)
    seen = halo.desk.read_back(close, KEY, halo.desk.perform(close, KEY, within=WITHIN))
    assert (seen.ok, seen.detail) == (False, f"ticket {order.ticket_id} still waits for an approval")
    assert halo.desk.ticket_state(order.ticket_id).closed


class NoStatusByAction(httpx.BaseTransport):
    """A tenant whose workflow lets no action change a ticket's status."""

    def __init__(self, wire: httpx.BaseTransport) -> None:
        self._wire = wire

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and request.url.path == "/api/Actions":
            rows = [{name: value for name, value in row.items() if name != "new_status"} for row in json.loads(request.read())]
            headers = {name: request.headers[name] for name in ("authorization", "content-type")}
            request = httpx.Request("POST", request.url, headers=headers, content=json.dumps(rows))
        return self._wire.handle_request(request)


def test_where_no_action_closes_a_ticket_the_status_is_set_after_it(halo: Halo) -> None:
    halo._wire = NoStatusByAction(halo._wire)
    ticket = halo.desk.perform(TICKET, KEY, within=WITHIN).id
    order = EndTicket(ticket_id=ticket, text="The role is on agent 4.")
    made = halo.desk.perform(order, OTHER_KEY, within=WITHIN)
    assert (halo.desk.find(order, OTHER_KEY), halo.desk.read_back(order, OTHER_KEY, made).ok) == ((made,), True)


# --- what it costs ---


def test_what_a_role_with_approval_costs_at_the_desk(halo: Halo) -> None:
    """Each row: the look before a create, the write, the read-back. Names are known from earlier orders."""
    desk = halo.desk
    order, _ = asked(halo, an_approver(halo), key=OTHER_KEY)
    desk.read_back(order, OTHER_KEY, RoundRef(ticket_id=order.ticket_id, number="1"))
    desk.perform(CloseTicket(ticket_id=order.ticket_id), OTHER_KEY, within=WITHIN)
    desk.perform(
        EnsureAgent(person=ALEX.evolve(id="x", mail="x@contoso.com", user_principal_name=""), team="Identity"), OTHER_KEY, within=WITHIN
    )
    roles = SetRoles(person=ALEX, agent_id=None, roles=("Change Manager",), ours=("Change Manager",))
    desk.perform(SetRoles(person=ALEX, agent_id=None, roles=(), ours=()), OTHER_KEY, within=WITHIN)
    with pytest.raises(Refused):
        desk.perform(roles, OTHER_KEY, within=WITHIN)
    boss = ALEX.evolve(id="b0550000-0000-4000-8000-000000000000", mail="chief@contoso.com", user_principal_name="chief@contoso.com")
    results: list[Any] = []

    def whole(order: Any) -> list[str]:
        def act() -> None:
            if order.creates:
                found = desk.find(order, KEY, quick=True)
                assert found == ()
            results.append(desk.perform(order, KEY, within=WITHIN))
            assert desk.read_back(order, KEY, results[-1]).ok

        return [call.partition("/api")[0] + call.partition("/api")[2].partition("&")[0] for call in halo.calls(act)]

    ticket = desk.perform(TICKET, KEY, within=WITHIN).id
    assert whole(EnsureApprover(person=boss)) == ["GET /Users", "GET /Users", "POST /Users", f"GET /Users/{results[-1].id}"]
    assert whole(AskApproval(ticket_id=ticket, user_ids=(results[-1].id,))) == ["GET /Actions", "POST /Actions", f"GET /Tickets/{ticket}"]
    assert halo.calls(lambda: desk.ticket_state(ticket)) == [f"GET /api/Tickets/{ticket}"]
    halo.post("/TicketApproval", ticket_id=int(ticket), seq=1, result=1)
    assert halo.calls(lambda: desk.ticket_state(ticket)) == [f"GET /api/Tickets/{ticket}"]
    made = whole(EnsureAgent(person=ALEX, team="Identity"))
    agent = results[-1].id
    assert made == ["GET /Agent", "GET /Users", "POST /Agent", f"GET /Agent/{agent}"]
    roles = SetRoles(person=ALEX, agent_id=agent, roles=("Change Manager",), ours=("Change Manager",))
    assert whole(roles) == ["POST /Agent", f"GET /Agent/{agent}"], "the agent was just read"
    assert whole(roles) == [f"GET /Agent/{agent}", f"GET /Agent/{agent}"], "nothing differs, so nothing is written"
    assert whole(CloseTicket(ticket_id=ticket)) == [f"GET /Tickets/{ticket}", "POST /Tickets", f"GET /Tickets/{ticket}"]


def test_no_ticket_that_waits_is_lost_where_the_tenant_cuts_pages_shorter_than_we_ask() -> None:
    halo = Halo(page_cap=2)
    boss = a_user(halo, emailaddress="boss@contoso.com", ischangeapprover2=True)
    tickets = [halo.desk.perform(TICKET, f"{KEY[:-1]}{letter}", within=WITHIN).id for letter in "ABCDE"]
    for ticket in tickets:
        halo.desk.perform(AskApproval(ticket_id=ticket, user_ids=(str(boss),)), KEY, within=WITHIN)
    assert halo.desk.awaiting() == frozenset(tickets)
    halo.stand_in.stop()
