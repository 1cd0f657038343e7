"""`GET /Tickets`: the filters of the reference's section 3.1. Open and closed tickets by default, deleted ones only with `deleted=true`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulators.halo import customfields
from simulators.halo.listing import advanced, contains, holds, ordered, page
from simulators.halo.members import Doc
from simulators.halo.query import Query
from simulators.halo.tenant import Tenant
from simulators.halo.ticket_views import children_of, list_row
from simulators.halo.values import read_date

#: Parameter -> stored member, compared as ids.
_BY_ID = {
    "user_id": "user_id",
    "client_id": "client_id",
    "site_id": "site_id",
    "agent_id": "agent_id",
    "requesttype_id": "tickettype_id",
    "status_id": "status_id",
    "parent_id": "parent_id",
}
_BY_IDS = {
    "requesttype": "tickettype_id",
    "status": "status_id",
    "agent": "agent_id",
    "priority": "priority_id",
    "ticketids": "id",
    "client_ids": "client_id",
}
#: What `advanced_search` may name, beside the searchable custom fields.
_ADVANCED = ("id", "summary", "details", "client_reference", "user_id", "status_id", "tickettype_id")
_Row = Mapping[str, Any]


def listed(tenant: Tenant, query: Query) -> Doc:
    """`{"record_count", "tickets": […]}`, newest first, as many rows as the switch allows."""
    now = tenant.now()
    found = [row for row in tenant.rows("tickets") if row["deleted"] == query.flag("deleted") and _indexed(row, now)]
    for parameter, member in _BY_ID.items():
        if (wanted := query.id(parameter)) is not None:
            found = [row for row in found if row[member] == wanted]
    for parameter, member in _BY_IDS.items():
        if several := set(query.ids(parameter)):
            found = [row for row in found if row[member] in several]
    found = _by_state(found, query)
    if team := query.text("team"):
        name = tenant.name_of("team", team) or team
        found = [row for row in found if str(row["team"]).casefold() == name.casefold()]
    found = _by_dates(found, query)
    found = _by_text(tenant, found, query)
    shown = ordered([dict(row) for row in found], query, newest_first=True)
    chosen, around = page(shown, query, most=tenant.switches.page_cap)
    if query.flag("idonly") or query.flag("ticketidonly"):
        return {**around, "tickets": [{"id": row["id"]} for row in chosen]}
    children = children_of(tenant)
    return {**around, "tickets": [list_row(tenant, row, children) for row in chosen]}


def _indexed(row: _Row, now: str) -> bool:
    """Whether the search index has the ticket; one that was made in what is now the future (the clock was moved back) is there."""
    return bool(row["listed_from"] <= now or row["datecreated"] > now)


def _by_state(rows: list[_Row], query: Query) -> list[_Row]:
    if query.flag("open_only"):
        rows = [row for row in rows if not row["closed"]]
    if query.flag("closed_only"):
        rows = [row for row in rows if row["closed"]]
    return rows


def _by_dates(rows: list[_Row], query: Query) -> list[_Row]:
    """`datesearch` is spelt `dateoccured` in the published schema; `datecleared` means closing."""
    column = "dateclosed" if query.text("datesearch").lower() == "datecleared" else "dateoccurred"
    spans = [(column, query.moment("startdate"), query.moment("enddate"))]
    spans.append(("last_update", query.moment("lastupdatefromdate"), query.moment("lastupdatetodate")))
    for member, begin, end in spans:
        if begin is not None:
            rows = [row for row in rows if read_date(row[member]) >= begin]
        if end is not None:
            rows = [row for row in rows if read_date(row[member]) <= end]
    return rows


def _by_text(tenant: Tenant, rows: list[_Row], query: Query) -> list[_Row]:
    if wanted := query.text("search"):
        notes = _notes(tenant) if query.flag("searchactions") else {}
        rows = [row for row in rows if contains(wanted, *_searched(tenant, row), *notes.get(row["id"], ()))]
    for parameter, member in (
        ("search_summary", "summary"),
        ("search_details", "details"),
        ("search_reportedby", "reportedby"),
        ("search_id", "id"),
    ):
        if wanted := query.text(parameter):
            rows = [row for row in rows if contains(wanted, row.get(member))]
    if wanted := query.text("search_user_name") or query.text("username"):
        rows = [row for row in rows if contains(wanted, tenant.name_of("users", row["user_id"]))]
    if wanted := query.text("client_ref"):
        rows = [row for row in rows if str(row.get("client_reference") or "").casefold() == wanted.casefold()]
    conditions = advanced(query.text("advanced_search"), [*_ADVANCED, *customfields.searchable_names(tenant)])
    return [row for row in rows if holds(conditions, _columns(tenant, row))] if conditions else rows


def _searched(tenant: Tenant, row: _Row) -> list[Any]:
    """The columns of `search`: not the external references, and custom fields only when they are flagged searchable."""
    person = tenant.row("users", row["user_id"]) or {}
    fields = customfields.searchable(tenant, row["customfields"]).values()
    return [row["id"], row["summary"], row["details"], row.get("reportedby"), person.get("name"), person.get("emailaddress"), *fields]


def _columns(tenant: Tenant, row: _Row) -> dict[str, Any]:
    fields = customfields.searchable(tenant, row["customfields"])
    return {name: row.get(name) for name in _ADVANCED} | {name.casefold(): value for name, value in fields.items()}


def _notes(tenant: Tenant) -> dict[int, list[str]]:
    notes: dict[int, list[str]] = {}
    for action in tenant.rows("actions"):
        notes.setdefault(action["ticket_id"], []).append(action["note"])
    return notes
