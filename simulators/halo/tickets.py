"""Writing tickets (`/Tickets`, schema `Faults`): create, merge, close, recover, delete."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from simulators.halo import audit, customfields, events, todo
from simulators.halo.agents import UNASSIGNED
from simulators.halo.errors import not_found, refused
from simulators.halo.members import Doc, words
from simulators.halo.tenant import Caller, Tenant, check_unknown_id, new_guid
from simulators.halo.values import UNSET_DATE, both, halo_date

_FIRST_STATUS = 1
_DEFAULTS: Doc = {
    "tickettype_id": 1,
    "priority_id": 3,
    "sla_id": 1,
    "agent_id": UNASSIGNED,
    "team": "Service Desk",
    "impact": 3,
    "urgency": 3,
}
#: Sent members that are stored as they are.
_STORED = frozenset(
    words(
        "summary tickettype_id priority_id sla_id impact urgency categoryid_1 categoryid_2 categoryid_3 categoryid_4 category_1 category_2 category_3 "
        "category_4 agent_id team template_id third_party_id third_party_id_string third_party_call_id client_reference supplier_reference reference "
        "matching_value reportedby justification impactlevel impactdescription risklevel riskdescription backoutplan communicationplan testplan "
        "closure_note flagged merged_into_id dateoccurred startdate targetdate deadlinedate planneddate planneddateend workflow_id workflow_step"
    )
)
#: Dates that a null or a sentinel date takes away; elsewhere null means "not sent".
_CLEARABLE = frozenset({"startdate", "targetdate", "deadlinedate", "planneddate", "planneddateend"})
#: What the audit writes down when it changes.
_AUDITED = ("summary", "status_id", "agent_id", "team", "user_id", "tickettype_id", "priority_id", "parent_id")
_POINTERS = {"tickettype_id": "tickettype", "priority_id": "priority", "agent_id": "agents", "status_id": "status"}


def save(tenant: Tenant, who: Caller, row: Doc) -> Doc:
    """Create a ticket (no id), or merge into the one with the id; answers the stored document.

    404 for an unknown or deleted id; 400 for a missing summary and for references to rows that do not exist.
    """
    number = row.get("id") or 0
    before = tenant.row("tickets", number) if number > 0 else None
    if number > 0 and before is None:
        check_unknown_id(tenant)
    if before is not None and before["deleted"] and not row.get("_recover"):
        raise not_found()
    if before is not None and (tenant.switches.write_ignored or tenant.fault("write_ignored")):
        return before
    after = _changed(tenant, row, before) if before is not None else _created(tenant, who, row)
    if row.get("_validate_only"):
        return after
    if before is None:
        after["id"] = tenant.next_id("tickets")
        if lag := tenant.fault("index_lag"):
            after["listed_from"] = halo_date(tenant.clock.now() + timedelta(seconds=lag.delay))
    after["customfields"] = customfields.merged(tenant, after["customfields"], row.get("customfields"))
    after["todo_list"] = todo.merged(tenant, who, after["id"], after["todo_list"], row.get("todo_list"))
    status = row.get("status_id") if (row.get("status_id") or 0) > 0 else None
    if before is not None and not before["closed"] and tenant.switches.closes_by in ("action", "outcome") and closes(tenant, status):
        raise refused("The workflow of this ticket does not permit this status.")
    return _store(tenant, who, before, set_status(tenant, after, status) if status else after)


def change(tenant: Tenant, who: Caller, ticket_id: int, members: Mapping[str, Any]) -> Doc:
    """Change stored members of a ticket on behalf of an action or an approval, with audit and events."""
    before = tenant.row("tickets", ticket_id)
    if before is None:
        raise not_found()
    after = {**before, **{name: value for name, value in members.items() if name != "status_id"}, "last_update": tenant.now()}
    _check_pointers(tenant, after)
    status = members.get("status_id")
    return _store(tenant, who, before, set_status(tenant, after, status) if status else after)


def set_status(tenant: Tenant, ticket: Doc, status_id: int) -> Doc:
    """The ticket in a status: entering one that closes stamps `dateclosed`, leaving it takes the stamp away. 400 for an unknown status."""
    status = tenant.row("status", status_id)
    if status is None:
        raise refused(f"Status {status_id} does not exist.")
    closes = bool(status.get("closes"))
    closed_on = (ticket["dateclosed"] if ticket["closed"] else tenant.now()) if closes else UNSET_DATE
    ticket.update({"status_id": status_id, "closed": closes, "dateclosed": closed_on})
    return ticket


def closes(tenant: Tenant, status_id: int | None) -> bool:
    """Whether tickets in this status are closed."""
    return bool((tenant.row("status", status_id or 0) or {}).get("closes"))


def delete(tenant: Tenant, who: Caller, ticket_id: int) -> Doc:
    """Delete softly; `_recover` brings it back. 404 when it is not there or deleted already."""
    before = tenant.row("tickets", ticket_id)
    if before is None or before["deleted"]:
        raise not_found()
    after = {**before, "deleted": True, "last_update": tenant.now()}
    tenant.put("tickets", ticket_id, after)
    audit.note_change(tenant, who, "faults", ticket_id, "deleted", "False", "True", ticket_id=ticket_id)
    events.happened(tenant, who, events.DELETED, after)
    return after


def _created(tenant: Tenant, who: Caller, row: Doc) -> Doc:
    if not str(row.get("summary") or "").strip() and not row.get("_novalidate"):
        raise refused("Please enter a Summary.")
    now = tenant.now()
    ticket: Doc = {
        **_DEFAULTS,
        "id": 0,
        "guid": new_guid(),
        "summary": "",
        "details": "",
        "details_html": "",
        "status_id": _FIRST_STATUS,
        "closed": False,
        "dateclosed": UNSET_DATE,
        "dateoccurred": now,
        "datecreated": now,
        "last_update": now,
        "parent_id": None,
        "deleted": False,
        "listed_from": "",
        "customfields": {},
        "todo_list": [],
        "application": who.client,
        "approval_round": 0,
    }
    return _changed(tenant, row, ticket, new=True)


def _changed(tenant: Tenant, row: Doc, before: Doc, *, new: bool = False) -> Doc:
    ticket = dict(before)
    for name in _STORED & row.keys():
        value = row[name]
        if value is None:
            ticket.update({name: None} if name in _CLEARABLE else {})
        elif name not in _POINTERS or value > 0:
            ticket[name] = value
    ticket.update(both(row, "details", "details_html"))
    if "parent_id" in row:
        ticket["parent_id"] = _parent(tenant, ticket["id"], row["parent_id"])
    if new or {"user_id", "site_id", "userlookup"} & row.keys():
        ticket.update(_requester(tenant, row, before))
    if row.get("_recover"):
        ticket["deleted"] = False
    if (row.get("team_id") or 0) > 0:
        ticket["team"] = tenant.name_of("team", row["team_id"]) or ticket["team"]
    _check_pointers(tenant, ticket)
    return ticket | {"last_update": tenant.now()}


def _requester(tenant: Tenant, row: Doc, before: Doc) -> Doc:
    """User, site and client: a named user brings the own ones; without one it is the General User of the site."""
    lookup = row.get("userlookup")
    user_id = row.get("user_id") or (lookup.get("id") if isinstance(lookup, dict) else 0) or 0
    if isinstance(user_id, int) and user_id > 0:
        named = tenant.row("users", user_id)
        if named is None:
            raise refused(f"User {user_id} does not exist.")
        user: Mapping[str, Any] = named
    else:
        site_id = row.get("site_id") or before.get("site_id") or 0
        user = _general_user(tenant, site_id if site_id > 0 else _first_site(tenant, row.get("client_id") or 0))
    return {"user_id": user["id"], "site_id": user["site_id"], "client_id": user["client_id"]}


def _general_user(tenant: Tenant, site_id: int) -> Mapping[str, Any]:
    for user in tenant.rows("users"):
        if user["site_id"] == site_id and user["is_general"]:
            return user
    raise refused(f"Site {site_id} does not exist.")


def _first_site(tenant: Tenant, client_id: int) -> int:
    sites = [site for site in tenant.rows("site") if client_id <= 0 or site["client_id"] == client_id]
    if not sites:
        raise refused(f"Client {client_id} does not exist.")
    return int(sites[0]["id"])


def _parent(tenant: Tenant, ticket_id: int, parent_id: int | None) -> int | None:
    if parent_id is None or parent_id <= 0:
        return None
    above: int | None = parent_id
    while above is not None:
        parent = tenant.row("tickets", above)
        if parent is None or above == ticket_id:
            raise refused(f"Ticket {parent_id} cannot be the parent.")
        above = parent["parent_id"]
    return parent_id


def _check_pointers(tenant: Tenant, ticket: Doc) -> None:
    for member, kind in _POINTERS.items():
        if tenant.row(kind, ticket[member]) is None:
            raise refused(f"{member} {ticket[member]} does not exist.")


def _store(tenant: Tenant, who: Caller, before: Doc | None, after: Doc) -> Doc:
    tenant.put("tickets", after["id"], after)
    if before is None:
        events.happened(tenant, who, events.NEW, after)
        return after
    for member in _AUDITED:
        if before[member] != after[member]:
            audit.note_change(tenant, who, "faults", after["id"], member, before[member], after[member], ticket_id=after["id"])
    if before["status_id"] != after["status_id"]:
        events.happened(tenant, who, events.STATUS_CHANGED, after)
    if after["closed"] and not before["closed"]:
        events.happened(tenant, who, events.CLOSED, after)
    if who.is_user:
        events.happened(tenant, who, events.UPDATED_BY_USER, after)
    return after
