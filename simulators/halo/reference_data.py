"""The nouns that tickets, users and agents point to: client, site, status, type, priority, outcome, field, team, role, approval process, CAB.

Each is a list, a single GET, an array POST that merges on id, and a DELETE; lists are bare arrays, but for clients and sites.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, request

from simulators.halo import agents, approvals, users
from simulators.halo.errors import forbidden, misbound, not_found, refused
from simulators.halo.events import CATALOGUE
from simulators.halo.http import answer, apply, query
from simulators.halo.listing import contains, ordered, page
from simulators.halo.members import CAB, PROCESS, REFERENCE, ROLE_LINK, STEP, Doc, Shape, bind
from simulators.halo.query import path_id, read_json
from simulators.halo.tenant import Tenant, caller, new_guid

Fill = Callable[[Tenant, Doc], Doc]


@dataclass(frozen=True, kw_only=True, slots=True)
class Noun:
    """One kind of reference row and its routes."""

    #: The path under /api, in lower case, and the kind under which rows are stored.
    path: str
    #: The member that is mandatory.
    label: str = "name"
    #: The list's collection key; None for a bare array.
    collection: str | None = None
    #: Ids are GUIDs instead of numbers.
    guid: bool = False
    #: Types of the members that matter; others are stored as they come.
    shape: Shape = field(default_factory=lambda: REFERENCE)
    #: Fills a new or changed row in; 400 for what cannot be.
    fill: Fill | None = None
    #: Called after a row is new.
    added: Callable[[Tenant, Doc], None] | None = None


def _site(tenant: Tenant, row: Doc) -> Doc:
    client_id = row.get("client_id")
    if not isinstance(client_id, int | float) or tenant.row("client", int(client_id)) is None:
        raise refused("Please select a Client.")
    client_id = int(client_id)
    return row | {"client_id": client_id, "client_name": tenant.name_of("client", client_id), "inactive": bool(row.get("inactive"))}


def _client(tenant: Tenant, row: Doc) -> Doc:
    return row | {"inactive": bool(row.get("inactive"))}


def _field(tenant: Tenant, row: Doc) -> Doc:
    name = str(row["name"])
    name = name if name.startswith("CF") else f"CF{name}"
    if any(known["name"].casefold() == name.casefold() and known["id"] != row["id"] for known in tenant.rows("fieldinfo")):
        raise refused(f"The field name {name} is in use.")
    return {"label": name.removeprefix("CF"), "type": 0, "searchable": False, "usage": 1} | row | {"name": name}


def _role(tenant: Tenant, row: Doc) -> Doc:
    return {
        "id_int": row.get("id_int") or 1 + max((known["id_int"] for known in tenant.rows("roles")), default=0),
        "is_integration": False,
    } | row


def _team(tenant: Tenant, row: Doc) -> Doc:
    return {
        "guid": new_guid(),
        "department_id": 1,
        "department_name": "IT",
        "inactive": False,
        "forrequests": True,
        "forprojects": False,
    } | row


def _process(tenant: Tenant, row: Doc) -> Doc:
    steps = row.get("steps") or []
    if not isinstance(steps, list):
        raise misbound("[0].steps", "Error converting value to a list.")
    bound = [bind(step, STEP, f"[0].steps[{at}]") for at, step in enumerate(steps)]
    filled = [approvals.new_step(tenant, step, at + 1) for at, step in enumerate(bound)]
    return {"guid": new_guid(), "no_status_change": False} | row | {"steps": filled}


NOUNS = (
    Noun(path="client", collection="clients", fill=_client),
    Noun(path="site", collection="sites", fill=_site, added=users.add_general_user),
    Noun(path="status"),
    Noun(path="tickettype"),
    Noun(path="outcome", label="outcome", fill=lambda tenant, row: {"buttonname": row["outcome"]} | row),
    Noun(path="fieldinfo", fill=_field),
    Noun(path="team", fill=_team),
    Noun(path="roles", guid=True, fill=_role, shape=ROLE_LINK),
    Noun(path="userroles"),
    Noun(path="approvalprocess", fill=_process, shape=PROCESS),
    Noun(
        path="cab",
        shape=CAB,
        fill=lambda tenant, row: {"approvals_needed": 1, "rejection_threshold": 1, "all_must_approve": False, "members": []} | row,
    ),
)


def add_routes(app: Flask, tenant: Tenant) -> None:
    """The routes of every noun, and the read-only lists (`/Priority`, `/Lookup`, `/TicketType` options are ignored)."""
    for noun in NOUNS:
        _add_noun(app, tenant, noun)

    @app.get("/api/priority")
    def priorities() -> Response:
        return answer([dict(row) for row in tenant.rows("priority")])

    @app.get("/api/lookup")
    def lookup() -> Response:
        number = query().integer("lookupid")
        rows = CATALOGUE.items() if number == 64 else ()
        return answer([{"id": at, "lookupid": 64, "name": name, "value2": str(event)} for at, (event, name) in enumerate(rows, 1)])

    @app.get("/api/azureadmapping")
    def imported() -> Response:
        return answer([{"id": at, "connectionid": 1, "group_name": name} for at, name in enumerate(tenant.switches.import_maps, 1)])

    @app.get("/api/team/tree")
    def team_tree() -> Response:
        teams = [dict(row) for row in tenant.rows("team")]
        return answer([{"id": 1, "name": "IT", "teams": teams}])


def _add_noun(app: Flask, tenant: Tenant, noun: Noun) -> None:
    def find(key: str) -> Doc:
        found = tenant.row(noun.path, key.lower()) if noun.guid else tenant.row(noun.path, path_id(key))
        if found is None and noun.guid and key.isdecimal():
            found = next((dict(row) for row in tenant.rows(noun.path) if row.get("id_int") == int(key)), None)
        if found is None:
            raise not_found()
        return found

    def many() -> Response:
        rows = [_shown(row) for row in tenant.rows(noun.path)]
        if noun.collection is None:
            return answer(_filtered(tenant, noun, rows))
        chosen, around = page(ordered(_filtered(tenant, noun, rows), query()), query())
        return answer({**around, noun.collection: chosen})

    def write() -> Response:
        _check_may_write(tenant)
        sent = read_json(request)
        if not isinstance(sent, list) or not sent or not all(isinstance(row, dict) for row in sent):
            raise misbound("", "The request body has to be an array of objects.")
        rows = [row | bind(row, noun.shape, f"[{at}]") for at, row in enumerate(sent)]
        return apply(tenant, rows, lambda row: _save(tenant, noun, row), _shown, known=lambda row: bool(row.get("id")))

    def delete(key: str) -> Response:
        _check_may_write(tenant)
        row = find(key)
        tenant.drop(noun.path, row["id"])
        return answer(_shown(row))

    base = f"/api/{noun.path}"
    app.add_url_rule(base, f"{noun.path}_list", many, methods=["GET"])
    app.add_url_rule(base, f"{noun.path}_write", write, methods=["POST"])
    app.add_url_rule(f"{base}/<key>", f"{noun.path}_one", lambda key: answer(_shown(find(key))), methods=["GET"])
    app.add_url_rule(f"{base}/<key>", f"{noun.path}_delete", delete, methods=["DELETE"])


def _save(tenant: Tenant, noun: Noun, row: Doc) -> Doc:
    key = str(row.get("id") or "").lower()
    before = tenant.row(noun.path, key) if key else None
    if key and before is None:
        raise not_found()
    after = {**(before or {}), **{name: value for name, value in row.items() if value is not None and not name.startswith("_")}}
    if not str(after.get(noun.label) or "").strip():
        raise refused(f"Please enter a {noun.label.title()}.")
    after["id"] = before["id"] if before is not None else (new_guid() if noun.guid else tenant.next_id(noun.path))
    if noun.fill is not None:
        after = noun.fill(tenant, after)
    tenant.put(noun.path, after["id"], after)
    if before is None and noun.added is not None:
        noun.added(tenant, after)
    return after


def add(tenant: Tenant, path: str, row: Mapping[str, Any]) -> None:
    """Seed one row under the id it brings, as if it had been posted."""
    noun = next(noun for noun in NOUNS if noun.path == path)
    filled = noun.fill(tenant, dict(row)) if noun.fill is not None else dict(row)
    tenant.put(path, filled["id"], filled)
    if noun.added is not None:
        noun.added(tenant, filled)


def _filtered(tenant: Tenant, noun: Noun, rows: list[Doc]) -> list[Doc]:
    asked = query()
    if noun.path == "site" and (client_id := asked.id("client_id")) is not None:
        rows = [row for row in rows if row["client_id"] == client_id]
    if noun.collection and not asked.flag("includeinactive"):
        rows = [row for row in rows if not row["inactive"]]
    if noun.collection and (wanted := asked.text("search")):
        rows = [row for row in rows if contains(wanted, row["name"])]
    if noun.path == "roles" and (agent_id := asked.id("agentid")) is not None:
        held = {role["id"] for role in agents.role_links(tenant, (tenant.row("agents", agent_id) or {"roles": []})["roles"])}
        rows = [row for row in rows if row["id"] in held]
    return rows


def _shown(row: Mapping[str, Any]) -> Doc:
    """A row as it goes out; a site's client comes back as a double."""
    shown = {name: value for name, value in row.items() if name != "closes"}
    return shown | {"client_id": float(row["client_id"])} if "client_id" in row else shown


def _check_may_write(tenant: Tenant) -> None:
    if caller().is_user or not caller().may("admin"):
        raise forbidden()
