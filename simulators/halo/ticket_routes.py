"""`/Tickets`: list, single, array POST, `/Tickets/Object`, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, request

from simulators.halo import approvals, audit, tickets
from simulators.halo.errors import forbidden, not_found
from simulators.halo.http import answer, apply, query
from simulators.halo.members import TICKET, Doc
from simulators.halo.query import body_object, body_rows, path_id
from simulators.halo.tenant import Caller, Tenant, caller
from simulators.halo.ticket_lists import listed
from simulators.halo.ticket_views import full


def add_routes(app: Flask, tenant: Tenant) -> None:
    """The ticket routes."""

    def write(rows: list[Doc]) -> Response:
        who = caller()
        return apply(tenant, rows, lambda row: save(tenant, who, row), lambda ticket: full(tenant, ticket), known=tenant.knows("tickets"))

    @app.get("/api/tickets")
    def tickets_list() -> Response:
        return answer(listed(tenant, query()))

    @app.get("/api/tickets/<number>")
    def tickets_one(number: str) -> Response:
        ticket = tenant.row("tickets", path_id(number))
        if ticket is None or ticket["deleted"]:
            raise not_found()
        body = full(tenant, ticket, details=query().flag("includedetails"), child_ids=query().flag("includechildids"))
        if query().flag("includelastaction"):
            body["lastaction"] = _last_action(tenant, ticket["id"])
        if query().flag("include_auditing"):
            body["audit"] = audit.of_ticket(tenant, ticket["id"])
        return answer(body)

    @app.post("/api/tickets")
    def tickets_write() -> Response:
        return write(body_rows(request, TICKET))

    @app.post("/api/tickets/object")
    def tickets_write_object() -> Response:
        return write([body_object(request, TICKET)])

    @app.delete("/api/tickets/<number>")
    def tickets_delete(number: str) -> Response:
        if caller().is_user:
            raise forbidden()
        return answer(full(tenant, tickets.delete(tenant, caller(), path_id(number))))


def save(tenant: Tenant, who: Caller, row: Doc) -> Doc:
    """One row of a POST; somebody in the portal writes own tickets only. Starts the approval that the row asks for."""
    if who.is_user:
        before = tenant.row("tickets", row.get("id") or 0)
        if before is not None and before["user_id"] != who.user_id:
            raise forbidden()
        row = row | {"user_id": who.user_id}
    ticket = tickets.save(tenant, who, row)
    if not row.get("_validate_only"):
        approvals.start_if_asked(tenant, who, ticket["id"], row)
    return tenant.row("tickets", ticket["id"]) or ticket


def _last_action(tenant: Tenant, ticket_id: int) -> Mapping[str, Any] | None:
    rows = [row for row in tenant.rows("actions") if row["ticket_id"] == ticket_id]
    return max(rows, key=lambda row: int(row["id"]), default=None)
