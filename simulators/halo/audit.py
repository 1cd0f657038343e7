"""Histories: `/Audit` over tickets and agents, `/UserChange` over users."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, jsonify

from simulators.halo.errors import forbidden
from simulators.halo.http import query
from simulators.halo.listing import ordered, page
from simulators.halo.tenant import Caller, Tenant, caller


def note_change(
    tenant: Tenant, who: Caller, table: str, key: int, member: str, before: Any, after: Any, *, ticket_id: int = 0, user_id: int = 0
) -> None:
    """One row of `/Audit`."""
    number = tenant.next_id("audit")
    row = {
        "id": number,
        "ticket_id": ticket_id,
        "agent_id": who.agent_id,
        "user_id": user_id or who.user_id,
        "username": who.name,
        "date": tenant.now(),
        "value": member,
        "from": _text(before),
        "to": _text(after),
        "table_name": table,
        "id1": key,
        "id2": 0,
        "actoutcome": "",
        "clientid": 0,
    }
    tenant.put("audit", number, row)


def note_user_change(tenant: Tenant, who: Caller, user: dict[str, Any], member: str, before: Any, after: Any) -> None:
    """One row of `/UserChange`."""
    number = tenant.next_id("userchange")
    row = {
        "id": number,
        "user_id": user["id"],
        "user_name": user["name"],
        "field_name": member,
        "old_value": _text(before),
        "new_value": _text(after),
        "who": who.name,
        "who_agent_id": who.agent_id,
        "actionby_application_id": tenant.shown_application(who),
        "datetime": tenant.now(),
    }
    tenant.put("userchange", number, row)


def of_ticket(tenant: Tenant, ticket_id: int) -> list[dict[str, Any]]:
    """The audit rows of one ticket, oldest first."""
    return [dict(row) for row in tenant.rows("audit") if row["ticket_id"] == ticket_id]


def add_routes(app: Flask, tenant: Tenant) -> None:
    """`/api/audit` and `/api/userchange`; rows cannot be written here."""

    def history(kind: str, collection: str) -> Response:
        if caller().is_user:
            raise forbidden()
        rows = ordered([dict(row) for row in tenant.rows(kind)], query(), newest_first=True)
        chosen, around = page(rows, query())
        return jsonify({**around, collection: chosen})

    app.add_url_rule("/api/audit", "audit", lambda: history("audit", "audit"), methods=["GET"])
    app.add_url_rule("/api/userchange", "userchange", lambda: history("userchange", "changes"), methods=["GET"])


def _text(value: Any) -> str:
    return "" if value is None else str(value)
