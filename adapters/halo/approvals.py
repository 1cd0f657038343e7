"""Approvals: a round is started by an action that carries our key, and read from the rows of the ticket's present round.

What the vendor does not document (Halo reference 7, 13) is decided so:

* ``actionnumber`` of a row is the number of the action that started its round; a later start makes the earlier rows history.
* One user is named by ``new_approvalprocess_user_id``, several by ``new_approvalprocess_users``, which only actions have.
* ``result`` is 1 for approved and 2 for rejected (in the profile); 0, null and every other number is an answer that nobody has given yet.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any

from adapters.halo import wire
from adapters.halo.answers import NotThere
from adapters.halo.client import HaloClient
from adapters.halo.deadline import Deadline
from adapters.halo.names import APPROVAL_PROCESS, OUTCOME, STATUS, Names
from adapters.halo.notes import Notes
from adapters.halo.tickets import Tickets
from joinery.domain.moments import to_text
from joinery.domain.policy import DeskPolicy
from joinery.domain.tickets import Answer, AskApproval, CloseTicket, EndTicket, NoteRef, ReadBack, RoundRef, TicketRef, TicketState, Verdict
from joinery.errors import Refused

#: What says how a row was answered. A ticket may show its rows without it; then they are asked for.
_EVIDENCE = ("dateapproved", "delegated_by_uid", "admin_overridden", "requestor_agent_id")
#: Where a row has what was written with the answer: both are published, and one is what the answer is posted with (reference 7.2).
_WORDS = ("approver_note", "note")

#: Pages read of the tickets that await an approval: a list of more is a filter that was ignored.
_PAGES_MAX = 20


#: What ``result`` of a row means.
Codes = dict[int, Verdict]


class Approvals:
    """What the desk does with approvals, and the end of a ticket, which takes them back."""

    def __init__(self, client: HaloClient, names: Names, notes: Notes, tickets: Tickets, policy: DeskPolicy) -> None:
        self._client = client
        self._names = names
        self._notes = notes
        self._tickets = tickets
        self._policy = policy
        profile = client.profile
        self._codes: Codes = dict.fromkeys(profile.approved, Verdict.APPROVED) | dict.fromkeys(profile.rejected, Verdict.REJECTED)

    def ask(self, order: AskApproval, key: str, deadline: Deadline) -> RoundRef:
        """One action with a note that carries the key, and the start of the process for everybody who is named."""
        if not order.user_ids:
            raise Refused(f"nobody is named to approve on ticket {order.ticket_id}")
        ticket_id = wire.object_id(order.ticket_id, "ticket")
        asked = [wire.object_id(user_id, "user") for user_id in dict.fromkeys(order.user_ids)]
        process = self._names.resolve(
            APPROVAL_PROCESS, self._policy.approval_process, policy_key="[desk] approval_process", deadline=deadline
        )
        target: wire.Row = (
            {"new_approvalprocess_user_id": asked[0]}
            if len(asked) == 1
            else {"new_approvalprocess_users": [{"id": user_id} for user_id in asked]}
        )
        words = order.text or f"Approval asked of user{'s' if len(asked) > 1 else ''} {', '.join(map(str, asked))} (request {order.round})."
        number = self._notes.write(ticket_id, words, key, deadline, new_approvalprocess=process.id, **target)
        return RoundRef(ticket_id=str(ticket_id), number=str(number))

    def find(self, order: AskApproval, key: str, *, ours: str | None = None) -> tuple[RoundRef, ...]:
        """The rounds that actions with this key have started, the latest first: it ended the others."""
        deadline = self._client.deadline()
        ticket_id = wire.object_id(order.ticket_id, "ticket")
        started = self._notes.numbers(ticket_id, key, deadline)
        if not started:
            return ()
        if [str(number) for number in started] == [ours]:
            return (RoundRef(ticket_id=str(ticket_id), number=str(started[0])),)
        rounds = {_round(row) for row in self.rows(ticket_id, deadline)}
        return tuple(RoundRef(ticket_id=str(ticket_id), number=str(number)) for number in reversed(started) if number in rounds)

    def check(self, order: AskApproval, result: RoundRef) -> ReadBack:
        """The round is the present one, asks exactly the users that were named, and the ticket shows that it waits."""
        deadline = self._client.deadline()
        ticket_id = wire.object_id(order.ticket_id, "ticket")
        ticket = self._tickets.read(ticket_id, deadline)
        if ticket is None or not _lives(ticket):
            return ReadBack(ok=False, detail=f"ticket {order.ticket_id} is not there")
        rows = self._present(ticket, deadline)
        present = str(_round(rows[0])) if rows else "none"
        if present != result.number:
            return ReadBack(
                ok=False, detail=f"round {result.number} on ticket {order.ticket_id} is not in progress; the present one is {present}"
            )
        wrong = []
        asked = {_answer(row, self._codes).asked for row in rows}
        if missing := [user_id for user_id in order.user_ids if user_id not in asked]:
            wrong.append(f"does not ask user {', '.join(missing)}")
        if asked - set(order.user_ids):
            wrong.append("asks somebody whom we did not name")
        awaiting = self._names.resolve(STATUS, self._policy.awaiting_status, policy_key="[desk] awaiting_status", deadline=deadline).id
        if self._waits(rows) and wire.number(ticket.get("status_id")) != awaiting:
            wrong.append("leaves its ticket in a status that does not say that it waits")
        if wrong:
            return ReadBack(ok=False, detail=f"round {result.number} on ticket {order.ticket_id} {', '.join(wrong)}")
        return ReadBack(ok=True, detail=f"round {result.number} on ticket {order.ticket_id} is in progress")

    def state(self, ticket_id: str) -> TicketState:
        """One read; a second one where the ticket shows answers without what says how they were given."""
        deadline = self._client.deadline()
        ticket = self._tickets.read(wire.object_id(ticket_id, "ticket"), deadline)
        if ticket is None or not _lives(ticket):
            return TicketState(there=False)
        rows = self._present(ticket, deadline)
        return TicketState(
            there=True,
            closed=wire.true(ticket, "hasbeenclosed"),
            round=str(_round(rows[0])) if rows else "",
            answers=tuple(_answer(row, self._codes) for row in rows),
        )

    def awaiting(self) -> frozenset[str]:
        """The open tickets in the status that awaits an approval, each row checked again: an unknown filter is ignored (reference 2.2).

        Raises:
            Refused: the list goes on and on with tickets in another status, so the question was not understood.
        """
        deadline = self._client.deadline()
        status = int(self._names.resolve(STATUS, self._policy.awaiting_status, policy_key="[desk] awaiting_status", deadline=deadline).id)
        found: set[int] = set()
        query: dict[str, str | int] = {"status_id": status, "open_only": "true", "order": "id", "orderdesc": "true"}
        size = self._client.profile.page_size
        for number in range(1, _PAGES_MAX + 1):
            body = self._client.get("/Tickets", wire.page_query(self._client, query, number), deadline=deadline)
            rows = wire.rows_of(body, "/Tickets")
            # A page that is full to the last row may be the last: the list says how long it is. One that says too little costs a read of
            # each ticket that it hides, and hides no answer.
            total = wire.number(body.get("record_count")) if isinstance(body, dict) else None
            fit = {wire.id_of(row, "GET /Tickets") for row in rows if wire.number(row.get("status_id")) == status and _lives(row)}
            if len(rows) >= size and len(fit) < len(rows) // 2:
                raise Refused("GET /Tickets: the desk does not tell the tickets that await an approval from the others")
            if (len(rows) < size and (total or 0) <= len(found | fit)) or fit <= found or total == len(found | fit):
                return frozenset(str(ticket_id) for ticket_id in found | fit)
            found |= fit
        raise Refused(f"GET /Tickets: more than {_PAGES_MAX * size} tickets await an approval")

    def close(self, order: CloseTicket, key: str, deadline: Deadline) -> TicketRef:
        """Take back the rows that wait, then close, as the profile says. What cannot be taken back is for the read-back to tell."""
        ticket_id = wire.object_id(order.ticket_id, "ticket")
        ticket = self._tickets.read(ticket_id, deadline)
        if ticket is None or not _lives(ticket):
            return TicketRef(id=order.ticket_id, how="absent")
        self._take_back(ticket, deadline)
        if not wire.true(ticket, "hasbeenclosed"):
            status = self._closed_status(deadline)
            if self._client.profile.close_by == "action":
                self._act_and_close(ticket_id, "Closed, and nobody is asked any more.", key, deadline, new_status=status)
            else:
                self._client.post("/Tickets", {"id": ticket_id, "status_id": status}, deadline=deadline)
        return TicketRef(id=str(ticket_id), url=self._client.ticket_url(ticket_id), how="closed")

    def check_closed(self, order: CloseTicket) -> ReadBack:
        """Closed, or gone; and nobody is asked any more."""
        deadline = self._client.deadline()
        ticket = self._tickets.read(wire.object_id(order.ticket_id, "ticket"), deadline)
        if ticket is None or not _lives(ticket):
            return ReadBack(ok=True, detail=f"ticket {order.ticket_id} is not there any more")
        wrong = [] if wire.true(ticket, "hasbeenclosed") else ["is still open"]
        if self._waits(self._present(ticket, deadline)):
            wrong.append("still waits for an approval")
        return ReadBack(ok=not wrong, detail=f"ticket {order.ticket_id} {', '.join(wrong) or 'is closed'}")

    def end(self, order: EndTicket, key: str, deadline: Deadline) -> NoteRef:
        """One action with a note that carries the key, and the status that closes (Halo reference 3.3, 4).

        Where a tenant's workflow does not let an action close, the status is set after it, unless the profile closes by actions alone.
        Rows that a decided round left are taken back.
        """
        ticket_id = wire.object_id(order.ticket_id, "ticket")
        status, by = self._closed_status(deadline), self._client.profile.close_by
        if by == "status":
            done = self._notes.act(ticket_id, order.text, key, deadline, _includeticketinresponse=True)
        else:
            done = self._act_and_close(ticket_id, order.text, key, deadline, new_status=status, _includeticketinresponse=True)
        shown = done.get("ticket")
        ticket = shown if isinstance(shown, dict) and "hasbeenclosed" in shown else self._tickets.read(ticket_id, deadline)
        if ticket is not None:
            self._take_back(ticket, deadline)
            if not wire.true(ticket, "hasbeenclosed") and by != "action":
                self._client.post("/Tickets", {"id": ticket_id, "status_id": status}, deadline=deadline)
        return NoteRef(ticket_id=str(ticket_id), id=str(wire.id_of(done, "POST /Actions")))

    def check_ended(self, order: EndTicket) -> ReadBack:
        """Closed, or gone."""
        ticket = self._tickets.read(wire.object_id(order.ticket_id, "ticket"), self._client.deadline())
        if ticket is None or not _lives(ticket):
            return ReadBack(ok=True, detail=f"ticket {order.ticket_id} is not there any more")
        closed = wire.true(ticket, "hasbeenclosed")
        return ReadBack(ok=closed, detail=f"ticket {order.ticket_id} is {'closed' if closed else 'still open'}")

    def rows(self, ticket_id: int, deadline: Deadline, *, number: int | None = None) -> list[wire.Row]:
        """The ticket's rows of every round, or of the one with this number."""
        query: dict[str, str | int] = {"ticket_id": ticket_id, "includeapprovaldetails": "true"}
        if number is not None:
            query["action_number"] = number
        try:
            rows = wire.rows_of(self._client.get("/TicketApproval", query, deadline=deadline), "/TicketApproval")
        except NotThere:
            return []
        return [row for row in rows if wire.number(row.get("ticket_id")) == ticket_id]

    # --- below: how -----------------------------------------------------------------------------------------------

    def _closed_status(self, deadline: Deadline) -> int:
        found = self._names.resolve(STATUS, self._policy.closed_status, policy_key="[desk] closed_status", deadline=deadline)
        return int(found.id)

    def _act_and_close(self, ticket_id: int, words: str, key: str, deadline: Deadline, **carried: Any) -> wire.Row:
        """An action that carries the closing status, with the outcome that the profile names for it."""
        name = self._client.profile.close_outcome
        if not name:
            return self._notes.act(ticket_id, words, key, deadline, **carried)
        outcome = self._names.find(OUTCOME, name, deadline=deadline)
        if outcome is None:
            raise Refused(f"[close] outcome = {name!r}: the desk has no such outcome. It has: {self._names.existing(OUTCOME)}")
        return self._notes.act(ticket_id, words, key, deadline, outcome_id=outcome.id, **carried)

    def _take_back(self, ticket: wire.Row, deadline: Deadline) -> None:
        ticket_id = wire.id_of(ticket, "GET /Tickets")
        for row in self._present(ticket, deadline):
            if self._is_open(row):
                with contextlib.suppress(Refused):
                    self._client.delete(f"/TicketApproval/{ticket_id}&{wire.number(row.get('seq')) or 0}", deadline=deadline)

    def _is_open(self, row: wire.Row) -> bool:
        return _answer(row, self._codes).verdict is Verdict.PENDING

    def _waits(self, rows: list[wire.Row]) -> bool:
        return any(self._is_open(row) for row in rows)

    def _present(self, ticket: wire.Row, deadline: Deadline) -> list[wire.Row]:
        """The rows of the present round with their evidence; history does not count, whatever it says."""
        ticket_id = wire.id_of(ticket, "GET /Tickets")
        shown = ticket.get("approvers")
        if not isinstance(shown, list):
            return _latest(self.rows(ticket_id, deadline))
        rows = _latest([row for row in shown if isinstance(row, dict) and _is_of(row, ticket_id)])
        if all(self._is_open(row) or _is_whole(row) for row in rows):
            return rows
        return [row for row in self.rows(ticket_id, deadline, number=_round(rows[0])) if _round(row) == _round(rows[0])]


def _lives(ticket: wire.Row) -> bool:
    return not wire.true(ticket, "deleted") and not (wire.number(ticket.get("merged_into_id")) or 0) > 0


def _is_of(row: wire.Row, ticket_id: int) -> bool:
    return wire.number(row.get("ticket_id", ticket_id)) == ticket_id


def _round(row: wire.Row) -> int:
    return wire.number(row.get("actionnumber")) or 0


def _latest(rows: list[wire.Row]) -> list[wire.Row]:
    latest = max((_round(row) for row in rows), default=0)
    return sorted((row for row in rows if _round(row) == latest), key=lambda row: wire.number(row.get("seq")) or 0)


def _answer(row: wire.Row, codes: Codes) -> Answer:
    """What one row says. Numbers of agents and of users are two series, so a row that asks an agent asks no user of ours."""
    user, agent, delegated = (wire.number(row.get(member)) or 0 for member in ("user_id", "agent_id", "delegated_by_uid"))
    asked = str(delegated or user or "")
    verdict = codes.get(wire.number(row.get("result")) or 0, Verdict.PENDING)
    if verdict is Verdict.PENDING:
        return Answer(asked=asked, verdict=verdict)
    answered_at, asked_at = wire.moment(row, "dateapproved"), wire.moment(row, "datetime")
    by, how = str(user or agent or ""), "delegate" if delegated else "portal" if user else "agent"
    if wire.true(row, "admin_overridden"):
        by, how = str(wire.number(row.get("admin_override_id")) or ""), "override"
    elif _by_itself(row, user, agent, answered_at, asked_at):
        by, how = "", "automatic"
    elif not user and not agent:
        # Whoever holds the link has answered: that proves a mailbox, not a person (reference 7.2).
        by, how = "", "mail link"
    words = next((text for member in _WORDS if (text := wire.text(row, member))), "")
    return Answer(asked=asked, verdict=verdict, by=by, how=how, at=to_text(answered_at) if answered_at else "", words=words)


def _is_whole(row: wire.Row) -> bool:
    """Whether an answered row says how it was answered, and what was written with it."""
    return all(member in row for member in _EVIDENCE) and any(member in row for member in _WORDS)


def _by_itself(row: wire.Row, user: int, agent: int, answered_at: datetime | None, asked_at: datetime | None) -> bool:
    """Whether a rule of the process answered: nobody is named, whoever asked is whoever answered, or it was answered when it was asked.

    Our own application asks as an agent; an answer of that agent is ours and nobody's.
    """
    nobody = not user and not agent and not wire.text(row, "emailaddress")
    requestor_user, requestor_agent = (wire.number(row.get(member)) or 0 for member in ("requestor_user_id", "requestor_agent_id"))
    oneself = bool(user and user == requestor_user) or bool(agent and agent == requestor_agent)
    return nobody or oneself or (answered_at is not None and asked_at is not None and answered_at <= asked_at)
