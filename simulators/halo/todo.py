"""The to-dos inside a ticket (`todo_list`, schema `FaultToDo`): merged by id, added without one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from simulators.halo.errors import refused
from simulators.halo.members import Doc
from simulators.halo.tenant import Caller, Tenant


def merged(tenant: Tenant, who: Caller, ticket_id: int, stored: Iterable[Doc], sent: Iterable[Mapping[str, Any]] | None) -> list[Doc]:
    """The ticket's list after a write. 400 for a row with an id that this ticket does not have."""
    rows = [dict(row) for row in stored]
    by_id = {row["id"]: row for row in rows}
    for change in sent or ():
        given = {member: value for member, value in change.items() if value is not None or member.endswith(("_date", "_start", "_end"))}
        number = given.pop("id", 0)
        if number > 0:
            if number not in by_id:
                raise refused(f"There is no to-do {number} on ticket {ticket_id}.")
            row = by_id[number]
        else:
            row = _blank(tenant, who, ticket_id, rows)
            rows.append(row)
        row.update(given | {"ticket_id": ticket_id})
        row["done_by_id"], row["done_by_name"] = _doer(tenant, who, row)
    return sorted(rows, key=lambda row: (row["group_seq"], row["sequence"], row["id"]))


def _blank(tenant: Tenant, who: Caller, ticket_id: int, rows: list[Doc]) -> Doc:
    return {
        "id": tenant.next_id("todo"),
        "ticket_id": ticket_id,
        "text": "",
        "group_id": 0,
        "group_name": "",
        "group_seq": 0,
        "sequence": max((row["sequence"] for row in rows), default=0) + 1,
        "done": False,
        "start_date": None,
        "end_date": None,
        "actual_start": None,
        "actual_end": None,
        "addedby": who.agent_id,
        "done_by_id": 0,
        "done_by_name": "",
    }


def _doer(tenant: Tenant, who: Caller, row: Doc) -> tuple[int, str]:
    if not row["done"]:
        return 0, ""
    return (row["done_by_id"], row["done_by_name"]) if row["done_by_id"] else (who.agent_id, who.name)
