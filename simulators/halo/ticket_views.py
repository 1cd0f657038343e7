"""How a ticket looks from outside: a row of a list, and the whole of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from simulators.halo import approvals, customfields
from simulators.halo.members import Doc, words
from simulators.halo.tenant import Tenant

#: Stored for the stand-in's own use.
_INTERNAL = ("closed", "listed_from", "application", "approval_round", "todo_list", "deleted", "customfields")
#: In a list only these stored members are shown.
_LISTED = words(
    "id summary details tickettype_id status_id priority_id sla_id client_id site_id user_id agent_id team parent_id dateoccurred datecreated "
    "last_update category_1 category_2 category_3 category_4 client_reference third_party_id_string"
)


def children_of(tenant: Tenant) -> Counter[int]:
    """How many children each ticket has; deleted ones do not count."""
    return Counter(row["parent_id"] for row in tenant.rows("tickets") if row["parent_id"] is not None and not row["deleted"])


def list_row(tenant: Tenant, ticket: Mapping[str, Any], children: Counter[int]) -> Doc:
    """A row of a list: ids rather than names, `hasbeenclosed` true or null, `parent_id` null without a parent."""
    row = {member: ticket[member] for member in _LISTED if member in ticket}
    return row | {
        "client_name": tenant.name_of("client", ticket["client_id"]),
        "site_name": tenant.name_of("site", ticket["site_id"]),
        "user_name": tenant.name_of("users", ticket["user_id"]),
        "dateclosed": ticket["dateclosed"],
        "hasbeenclosed": True if ticket["closed"] else None,
        "child_count": children[ticket["id"]],
        "customfields": customfields.shown(tenant, ticket["customfields"]),
    }


def full(tenant: Tenant, ticket: Mapping[str, Any], *, details: bool = True, child_ids: bool = False) -> Doc:
    """The whole ticket; `details` adds what `includedetails=true` adds: to-dos, user, priority and the approval rows."""
    row = {member: value for member, value in ticket.items() if member not in _INTERNAL}
    children = [child["id"] for child in tenant.rows("tickets") if child["parent_id"] == ticket["id"] and not child["deleted"]]
    approval = approvals.of_ticket(tenant, ticket)
    row |= {
        "hdid": ticket["id"],
        "key": ticket["guid"],
        "client_name": tenant.name_of("client", ticket["client_id"]),
        "site_name": tenant.name_of("site", ticket["site_id"]),
        "user_name": tenant.name_of("users", ticket["user_id"]),
        "hasbeenclosed": bool(ticket["closed"]),
        "deleted": bool(ticket["deleted"]),
        "child_count": len(children),
        "customfields": customfields.shown(tenant, ticket["customfields"]),
        "approval_process_id": approval.process_id,
        "approval_process_step": approval.step,
        "faultapprovalexists": bool(approval.current or approval.history),
    }
    if child_ids:
        row["child_ticket_ids"] = children
    if details:
        row |= {
            "todo_list": [dict(item) for item in ticket["todo_list"]],
            "user": _user(tenant, ticket["user_id"]),
            "priority": _priority(tenant, ticket["priority_id"]),
            "approvers": approval.current,
            "approvers_history": approval.history,
        }
    return row


def _user(tenant: Tenant, user_id: int) -> Doc | None:
    user = tenant.row("users", user_id)
    if user is None:
        return None
    members = ("id", "name", "firstname", "surname", "emailaddress", "client_id", "inactive")
    return {member: user[member] for member in members} | {"site_id": float(user["site_id"]), "site_id_int": user["site_id"]}


def _priority(tenant: Tenant, priority_id: int) -> Doc | None:
    found = tenant.row("priority", priority_id)
    return None if found is None else {member: found[member] for member in ("id", "slaid", "priorityid", "name")}
