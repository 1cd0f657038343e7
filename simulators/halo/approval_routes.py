"""`/TicketApproval`: the rows, the answers, and the odd path that takes a row away."""

from __future__ import annotations

from flask import Flask, Response, request

from simulators.halo import approvals
from simulators.halo.errors import forbidden, not_found
from simulators.halo.http import answer, apply, query
from simulators.halo.members import APPROVAL, Doc
from simulators.halo.query import body_rows, path_id
from simulators.halo.tenant import Tenant, caller
from simulators.halo.ticket_views import full


def add_routes(app: Flask, tenant: Tenant) -> None:
    """A bare array of rows of all rounds; `action_number` narrows to one, `mine=true` to the caller's."""

    @app.get("/api/ticketapproval")
    def approvals_list() -> Response:
        ticket_id, round_number, who = query().id("ticket_id"), query().id("action_number"), caller()
        rows = [dict(row) for row in tenant.rows("approvals")]
        rows = [row for row in rows if ticket_id is None or row["ticket_id"] == ticket_id]
        rows = [row for row in rows if round_number is None or row["actionnumber"] == round_number]
        if query().flag("mine"):
            rows = [row for row in rows if approvals.is_approver(tenant, who, row)]
        rows.sort(key=lambda row: (row["ticket_id"], row["actionnumber"], row["seq"]))
        return answer([approvals.shown(tenant, row) for row in rows])

    @app.get("/api/ticketapproval/<number>")
    def approvals_one(number: str) -> Response:
        wanted = path_id(number)
        row = next((row for row in tenant.rows("approvals") if row["uniqueid"] == wanted), None)
        if row is None:
            raise not_found()
        return answer(approvals.shown(tenant, row))

    @app.post("/api/ticketapproval")
    def approvals_answer() -> Response:
        rows = body_rows(request, APPROVAL)

        def show(row: Doc) -> Doc:
            row = approvals.shown(tenant, row)
            if not any(sent.get("_includeticketinresponse") for sent in rows):
                return row
            return row | {"ticket": full(tenant, tenant.row("tickets", row["ticket_id"]) or {})}

        return apply(tenant, rows, lambda row: approvals.answer(tenant, caller(), row), show, known=lambda row: True)

    @app.delete("/api/ticketapproval/<number>&<seq>")
    def approvals_withdraw(number: str, seq: str) -> Response:
        if caller().is_user:
            raise forbidden()
        return answer(approvals.shown(tenant, approvals.withdraw(tenant, path_id(number), path_id(seq))))
