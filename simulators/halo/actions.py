"""Actions on tickets (`/Actions`): ids count per ticket, an outcome is mandatory, an action can change its ticket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, request

from simulators.halo import approvals, customfields, tickets
from simulators.halo.action_rows import blank_action
from simulators.halo.errors import forbidden, not_found, refused
from simulators.halo.http import answer, apply, query
from simulators.halo.listing import ordered, page
from simulators.halo.members import ACTION, Doc
from simulators.halo.query import body_rows, path_id
from simulators.halo.tenant import Caller, Tenant, caller
from simulators.halo.ticket_views import full
from simulators.halo.trouble import rewritten
from simulators.halo.values import both, read_date

INTERNAL_NOTE = 7
#: Member of the action -> member of the ticket that it changes.
_CARRIED = {
    "new_agent": "agent_id",
    "new_team": "team",
    "new_priority": "priority_id",
    "new_tickettype": "tickettype_id",
    "new_sla_id": "sla_id",
    "new_category1": "category_1",
    "new_category2": "category_2",
    "new_category3": "category_3",
    "new_category4": "category_4",
}


def save(tenant: Tenant, who: Caller, row: Doc) -> Doc:
    """Add an action, or merge into the one with (ticket_id, id). 400 without a ticket or an outcome, or with an unknown one."""
    ticket = tenant.row("tickets", row.get("ticket_id") or 0)
    if not row.get("ticket_id"):
        raise refused("An action needs a ticket_id.")
    if ticket is None or ticket["deleted"]:
        raise refused(f"Ticket {row['ticket_id']} does not exist.")
    if who.is_user and ticket["user_id"] != who.user_id:
        raise forbidden()
    number = row.get("id") or 0
    if number > 0:
        before = tenant.row("actions", _key(ticket["id"], number))
        if before is None:
            raise not_found()
        after = before | _content(tenant, row)
        tenant.put("actions", _key(ticket["id"], number), after)
        return after
    return _add(tenant, who, ticket, row)


def _add(tenant: Tenant, who: Caller, ticket: Doc, row: Doc) -> Doc:
    outcome_id, outcome, outcome_row = _outcome(tenant, row)
    private = outcome_id == INTERNAL_NOTE if row.get("hiddenfromuser") is None else row["hiddenfromuser"]
    action: Doc = blank_action(tenant, who, ticket, outcome_id, outcome) | _content(tenant, row) | {"hiddenfromuser": private}
    own_status = (outcome_row or {}).get("newstatus") or 0
    status = row.get("new_status") or own_status
    by = tenant.switches.closes_by
    if tickets.closes(tenant, status) and (by == "status" or (by == "outcome" and status != own_status)):
        status = 0
    changes = {member: row[name] for name, member in _CARRIED.items() if row.get(name) not in (None, 0, -1, "")}
    if row.get("customfields"):
        changes["customfields"] = customfields.merged(tenant, ticket["customfields"], row["customfields"])
    if status > 0:
        changes["status_id"] = status
    if changes:
        ticket = tickets.change(tenant, who, ticket["id"], changes)
    action |= {"new_status": ticket["status_id"], "new_status_name": tenant.name_of("status", ticket["status_id"])}
    if row.get("customfields"):
        action["customfields"] = customfields.shown(tenant, customfields.merged(tenant, {}, row["customfields"]))
    tenant.put("actions", _key(ticket["id"], action["id"]), action)
    approvals.start_if_asked(tenant, who, ticket["id"], row, action_number=action["id"])
    return action


def _content(tenant: Tenant, row: Doc) -> Doc:
    kept = {
        name: row[name] for name in ("hiddenfromuser", "important", "timetaken", "datetime", "private_note") if row.get(name) is not None
    }
    words = both(row, "note", "note_html")
    if words and tenant.switches.rewrites_html:
        words |= {"note_html": rewritten(words["note_html"])}
    return kept | words


def _outcome(tenant: Tenant, row: Doc) -> tuple[int, str, Mapping[str, Any] | None]:
    number, name = row.get("outcome_id") or 0, str(row.get("outcome") or "").strip()
    if number > 0:
        found = tenant.row("outcome", number)
        if found is None:
            raise refused(f"Outcome {number} does not exist.")
        return number, str(found["outcome"]), found
    if not name:
        raise refused("An action needs an outcome or an outcome_id.")
    for known in tenant.rows("outcome"):
        if name.casefold() in (str(known["outcome"]).casefold(), str(known["buttonname"]).casefold()):
            return int(known["id"]), str(known["outcome"]), known
    return 0, name, None


def _key(ticket_id: int, number: int) -> str:
    return f"{ticket_id}/{number}"


def add_routes(app: Flask, tenant: Tenant) -> None:
    """`/api/actions`; list, single read and delete need `ticket_id` in the query."""

    def its_ticket() -> Doc:
        ticket_id = query().id("ticket_id")
        if ticket_id is None:
            raise refused("ticket_id is needed.")
        ticket = tenant.row("tickets", ticket_id)
        if ticket is None or (caller().is_user and ticket["user_id"] != caller().user_id):
            raise not_found()
        return ticket

    def one(number: str) -> Doc:
        action = tenant.row("actions", _key(its_ticket()["id"], path_id(number)))
        if action is None or (caller().is_user and action["hiddenfromuser"]):
            raise not_found()
        return action

    @app.get("/api/actions")
    def actions_list() -> Response:
        ticket_id = its_ticket()["id"]
        rows = [dict(row) for row in tenant.rows("actions") if row["ticket_id"] == ticket_id and _wanted(row)]
        chosen, around = page(ordered(rows, query(), newest_first=True), query())
        if not query().flag("includehtmlnote"):
            chosen = [{name: value for name, value in row.items() if name != "note_html"} for row in chosen]
        return answer({"ticket_id": ticket_id, **around, "actions": chosen})

    @app.get("/api/actions/<number>")
    def actions_one(number: str) -> Response:
        return answer(one(number))

    @app.post("/api/actions")
    def actions_write() -> Response:
        rows = body_rows(request, ACTION)

        def show(action: Doc) -> Doc:
            if not any(row.get("_includeticketinresponse") for row in rows):
                return action
            return action | {"ticket": full(tenant, tenant.row("tickets", action["ticket_id"]) or {})}

        return apply(tenant, rows, lambda row: save(tenant, caller(), row), show, known=lambda row: (row.get("id") or 0) > 0)

    @app.delete("/api/actions/<number>")
    def actions_delete(number: str) -> Response:
        action = one(number)
        if caller().is_user:
            raise forbidden()
        tenant.drop("actions", _key(action["ticket_id"], action["id"]))
        return answer(action)


def _wanted(row: Mapping[str, Any]) -> bool:
    asked = query()
    begin, end = asked.moment("startdate"), asked.moment("enddate")
    at = read_date(row["datetime"])
    return not (
        (asked.flag("excludesys") and row["issystem"])
        or (asked.flag("agentonly") and row["who_type"] != 1)
        or ((asked.flag("conversationonly") or asked.flag("excludeprivate") or caller().is_user) and row["hiddenfromuser"])
        or (asked.flag("importantonly") and not row["important"])
        or (begin is not None and at < begin)
        or (end is not None and at > end)
    )
