"""Custom fields: sent by id or by name, answered in full. Fields that `/FieldInfo` does not know fall away without a word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from simulators.halo.members import Doc
from simulators.halo.tenant import Tenant


def merged(tenant: Tenant, stored: Mapping[str, Any], sent: Iterable[Mapping[str, Any]] | None) -> dict[str, Any]:
    """The stored values (by field id as text) with the sent ones over them."""
    values = dict(stored)
    for row in sent or ():
        field = _field(tenant, row)
        if field is not None:
            values[str(field["id"])] = row.get("value")
    return values


def shown(tenant: Tenant, stored: Mapping[str, Any]) -> list[Doc]:
    """`[{id, name, label, type, value, display}]` of the fields that have a value and still exist."""
    rows = []
    for key, value in stored.items():
        field = tenant.row("fieldinfo", key)
        if field is not None:
            base = {member: field[member] for member in ("id", "name", "label", "type")}
            rows.append({**base, "value": value, "display": "" if value is None else str(value)})
    return rows


def searchable(tenant: Tenant, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Values by field name of the fields that are flagged searchable."""
    found = {}
    for key, value in stored.items():
        field = tenant.row("fieldinfo", key)
        if field is not None and field.get("searchable"):
            found[str(field["name"])] = value
    return found


def searchable_names(tenant: Tenant) -> list[str]:
    """The names of all fields that are flagged searchable."""
    return [str(field["name"]) for field in tenant.rows("fieldinfo") if field.get("searchable")]


def _field(tenant: Tenant, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if row.get("id"):
        return tenant.row("fieldinfo", row["id"])
    name = str(row.get("name") or "").casefold()
    return next((field for field in tenant.rows("fieldinfo") if str(field["name"]).casefold() == name), None)
