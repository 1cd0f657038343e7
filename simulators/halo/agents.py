"""Agents (`/Agent`, schema `Uname`): roles are GUID objects inside the agent, disabled agents hide from lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flask import Flask, Response, request

from simulators.halo import audit, customfields
from simulators.halo.errors import forbidden, not_found, refused
from simulators.halo.http import answer, apply, query
from simulators.halo.listing import contains, ordered
from simulators.halo.members import AGENT, Doc
from simulators.halo.query import Query, body_rows, path_id
from simulators.halo.roles import ADMINISTRATOR
from simulators.halo.tenant import Caller, Tenant, caller, check_unknown_id, new_guid

UNASSIGNED = 1
_TEXTS = ("name", "firstname", "surname", "email", "initials", "jobtitle", "team", "ad", "activedirectory_dn", "third_party_guid", "colour")
_FLAGS = ("isdisabled", "isapiagent", "isinvite")
_NUMBERS = ("useadlogin", "linemanager", "licence_type", "adconnection", "azure_connectionid", "azure_roleid")


def save(tenant: Tenant, who: Caller, row: Doc) -> Doc:
    """Create an agent, or merge into the one with the id.

    404 for an unknown id; 400 without a name, with an unknown role, or when the licence ceiling (a switch) is reached.
    """
    number = row.get("id") or 0
    before = tenant.row("agents", number) if number > 0 else None
    if number > 0 and before is None:
        check_unknown_id(tenant)
    if before is not None and (tenant.switches.write_ignored or tenant.fault("write_ignored")):
        return before
    stored = before or blank()
    after = stored | {name: row[name] for name in (*_TEXTS, *_FLAGS, *_NUMBERS, "departments", "claims") if row.get(name) is not None}
    if not str(after["name"]).strip():
        raise refused("Please enter a Name.")
    after["roles"] = _roles(tenant, row, stored["roles"])
    after["teams"] = _teams(tenant, row, after)
    after["customfields"] = customfields.merged(tenant, stored["customfields"], row.get("customfields"))
    _check_licences(tenant, before, after)
    if before is None:
        after["id"] = tenant.next_id("agents")
    tenant.put("agents", after["id"], after)
    for member in ("isdisabled", "roles", "team", "name", "email") if before is not None else ():
        if stored[member] != after[member]:
            audit.note_change(tenant, who, "uname", after["id"], member, stored[member], after[member])
    return after


def shown(tenant: Tenant, agent: Mapping[str, Any], *, roles: bool = True) -> Doc:
    """An agent as it goes out; lists leave the roles out unless they are asked for."""
    row = dict(agent) | {
        "initials": agent["initials"] or "".join(part[0] for part in str(agent["name"]).split()[:2]).upper(),
        "is_agent": True,
        "teams": [{**link, "team_name": tenant.name_of("team", link["team_id"]), "agent_id": agent["id"]} for link in agent["teams"]],
        "customfields": customfields.shown(tenant, agent["customfields"]),
    }
    del row["roles"]
    return row | {"roles": role_links(tenant, agent["roles"])} if roles else row


def role_links(tenant: Tenant, ids: Iterable[str]) -> list[Doc]:
    """`[{id (GUID), id_int, name}]` of the roles that exist."""
    found = (tenant.row("roles", guid) for guid in ids)
    return [{member: role[member] for member in ("id", "id_int", "name")} for role in found if role is not None]


def blank() -> Doc:
    """An agent with nothing said about it: enabled, without roles."""
    return (
        dict.fromkeys(_TEXTS, "")
        | dict.fromkeys(_FLAGS, False)
        | dict.fromkeys(_NUMBERS, 0)
        | {"id": 0, "guid": new_guid(), "licence_type": 1, "colour": "#2196f3", "departments": [], "claims": [], "roles": [], "teams": []}
        | {"customfields": {}}
    )


def _roles(tenant: Tenant, row: Doc, stored: list[str]) -> list[str]:
    """The role ids after a write: `roles` is the full list, `add_roles` comes on top, unless the switch says otherwise."""
    given = None if row.get("roles") is None else [_role(tenant, link) for link in row["roles"]]
    added = [_role(tenant, link) for link in row.get("add_roles") or ()]
    if tenant.switches.roles_mode == "ignore" or ((given is not None or added) and tenant.fault("role_change_ignored")):
        return stored
    if given is not None and tenant.switches.roles_mode == "take":
        given = [role for role in given if role in stored]
    if given is None or tenant.switches.roles_mode == "add":
        given = [*stored, *(given or ())]
    return list(dict.fromkeys([*given, *added]))


def _role(tenant: Tenant, link: Mapping[str, Any]) -> str:
    wanted = str(link.get("id") or "").lower()
    if tenant.row("roles", wanted) is not None:
        return wanted
    number = link.get("id_int") or 0
    by_number = next((role for role in tenant.rows("roles") if not wanted and role["id_int"] == number), None)
    if by_number is None:
        raise refused(f"Role {wanted or number} does not exist.")
    return str(by_number["id"])


def _teams(tenant: Tenant, row: Doc, agent: Doc) -> list[Doc]:
    """Team memberships: `teams` is the full list; the default team, given by name, is always among them."""
    links = list(agent["teams"])
    if row.get("teams") is not None:
        links = []
        for link in row["teams"]:
            if tenant.row("team", link.get("team_id") or 0) is None:
                raise refused(f"Team {link.get('team_id')} does not exist.")
            links.append({"team_id": link["team_id"], "is_manager": bool(link.get("is_manager")), "in_section": True})
    default = next((team for team in tenant.rows("team") if str(team["name"]).casefold() == str(agent["team"]).casefold()), None)
    if default is not None and all(link["team_id"] != default["id"] for link in links):
        links.append({"team_id": default["id"], "is_manager": False, "in_section": True})
    return links


def _check_licences(tenant: Tenant, before: Doc | None, after: Doc) -> None:
    ceiling = tenant.switches.agent_licences
    takes_one = not after["isdisabled"] and not after["isapiagent"] and (before is None or before["isdisabled"])
    if ceiling is None or not takes_one:
        return
    used = sum(not agent["isdisabled"] and not agent["isapiagent"] and agent["id"] != UNASSIGNED for agent in tenant.rows("agents"))
    if used >= ceiling:
        raise refused(f"The licence allows {ceiling} agents. Disable an agent or buy a licence.")


def _listed(tenant: Tenant, asked: Query) -> list[Doc]:
    everybody = asked.flag("showall")
    enabled, disabled = asked.text("includeenabled").lower() != "false", everybody or asked.flag("includedisabled")
    if both := asked.text("activeinactive").lower():
        enabled, disabled = both.partition(",")[0] == "true", both.partition(",")[2] == "true"
    found = [agent for agent in tenant.rows("agents") if (disabled if agent["isdisabled"] else enabled)]
    if not (everybody or asked.flag("includeapiagents")):
        found = [agent for agent in found if not agent["isapiagent"]]
    if not asked.flag("includeunassigned"):
        found = [agent for agent in found if agent["id"] != UNASSIGNED]
    if wanted := asked.text("search"):
        found = [agent for agent in found if contains(wanted, agent["name"], agent["email"])]
    if (team := asked.id("team_id")) is not None:
        found = [agent for agent in found if any(link["team_id"] == team for link in agent["teams"])]
    if name := asked.text("team"):
        found = [agent for agent in found if str(agent["team"]).casefold() == name.casefold()]
    if (role := asked.id("role")) is not None:
        found = [agent for agent in found if any(link["id_int"] == role for link in role_links(tenant, agent["roles"]))]
    return ordered([dict(agent) for agent in found], asked)


def add_routes(app: Flask, tenant: Tenant) -> None:
    """The agent routes; writing agents takes an application, or an agent who is Administrator."""

    def one(number: str) -> Doc:
        agent = tenant.row("agents", path_id(number))
        if agent is None:
            raise not_found()
        return agent

    def check_may_write() -> None:
        own = tenant.row("agents", caller().agent_id)
        if own is None or not caller().may("admin") or ADMINISTRATOR not in own["roles"]:
            raise forbidden()

    @app.get("/api/agent")
    def agents_list() -> Response:
        if caller().is_user:
            raise forbidden()
        rows = [shown(tenant, agent, roles=query().flag("includeroles")) for agent in _listed(tenant, query())]
        return answer(rows if tenant.switches.agent_envelope == "bare" else {"record_count": len(rows), "results": rows})

    @app.get("/api/agent/me")
    def agents_me() -> Response:
        if caller().is_user:
            raise not_found()
        return answer(shown(tenant, one(str(caller().agent_id))))

    @app.get("/api/agent/<number>")
    def agents_one(number: str) -> Response:
        if caller().is_user:
            raise forbidden()
        return answer(shown(tenant, one(number)))

    @app.post("/api/agent")
    def agents_write() -> Response:
        check_may_write()
        rows = body_rows(request, AGENT)
        who = caller()
        return apply(tenant, rows, lambda row: save(tenant, who, row), lambda agent: shown(tenant, agent), known=tenant.knows("agents"))

    @app.delete("/api/agent/<number>")
    def agents_delete(number: str) -> Response:
        check_may_write()
        agent = one(number)
        if agent["id"] == UNASSIGNED or agent["isapiagent"]:
            raise refused("This agent is in use and cannot be deleted.")
        tenant.drop("agents", agent["id"])
        audit.note_change(tenant, caller(), "uname", agent["id"], "deleted", "False", "True")
        return answer(shown(tenant, agent))
