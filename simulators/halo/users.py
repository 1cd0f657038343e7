"""End users (`/Users`): the site is the parent, `site_id` is a double, every site has a General User, inactive ones hide from lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, request

from simulators.halo import audit, customfields
from simulators.halo.errors import forbidden, not_found, refused
from simulators.halo.http import answer, apply, query
from simulators.halo.listing import advanced, contains, holds, ordered, page
from simulators.halo.members import USER, Doc, words
from simulators.halo.published import USER_ROW
from simulators.halo.query import Query, body_rows, path_id
from simulators.halo.tenant import Caller, Tenant, caller, check_unknown_id, new_guid

GENERAL_USER = "General User"
_TEXTS = words(
    "firstname surname emailaddress email2 email3 phonenumber mobilenumber mobilenumber2 department title other1 other2 other3 other4 other5 "
    "admanager manager_email relationship azureoid azure_tenant_id azure_tenant_domain azure_id third_party_id login activedirectory_dn "
    "onpremise_activedirectory_dn samaccountname third_party_guid aaduserid networklogin notes"
)
_FLAGS = words(
    "inactive isserviceaccount neversendemails isheadofdept ischangeapprover ischangeapprover2 ispoapprover delegation_activated delegation_timebased"
)
_NUMBERS = ("web_access_level", "linked_agent_id", "delegation_user_id", "azure_connectionid", "azure_roleid")
_DATES = ("contract_end_date", "delegation_start", "delegation_end", "azure_last_login_date")
#: The columns of `search`; the Entra object id is not among them.
_SEARCHED = words(
    "name firstname surname emailaddress email2 email3 login networklogin department title manager_email other1 other2 other3 other4 other5 "
    "phonenumber mobilenumber mobilenumber2"
)
#: What `advanced_search` may name; `azureoid` by a switch.
_ADVANCED = ("id", "name", "firstname", "surname", "emailaddress", "login", "department", "title", "client_id", "site_id")


def save(tenant: Tenant, who: Caller, row: Doc) -> Doc:
    """Create a user, or merge into the one with the id. 404 for an unknown id, 400 without a name or with an unknown site."""
    number = row.get("id") or 0
    before = tenant.row("users", number) if number > 0 else None
    if number > 0 and before is None:
        check_unknown_id(tenant)
    if before is not None and (tenant.switches.write_ignored or tenant.fault("write_ignored")):
        return before
    row = {name: value for name, value in row.items() if name not in tenant.switches.unkept_user_members}
    after = {
        **(before or _blank()),
        **{name: row[name] for name in (*_TEXTS, *_FLAGS, *_NUMBERS, "name", "departments") if row.get(name) is not None},
    }
    after |= {name: row[name] for name in _DATES if name in row}
    after["name"] = str(after["name"]).strip() or f"{after['firstname']} {after['surname']}".strip()
    if not after["name"]:
        raise refused("Please enter a Name.")
    after |= _place(tenant, row, before)
    after["roles"] = _roles(tenant, row, after["roles"])
    after["customfields"] = customfields.merged(tenant, after["customfields"], row.get("customfields"))
    if before is None:
        after["id"] = tenant.next_id("users")
    tenant.put("users", after["id"], after)
    _log(tenant, who, before, after)
    return after


def add_general_user(tenant: Tenant, site: Mapping[str, Any]) -> None:
    """The General User of a new site, who stands for a requester nobody named."""
    number = tenant.next_id("users")
    place = {"id": number, "name": GENERAL_USER, "site_id": site["id"], "client_id": site["client_id"], "is_general": True}
    tenant.put("users", number, _blank() | place)


def shown(tenant: Tenant, user: Mapping[str, Any]) -> Doc:
    """A user as it goes out: `site_id` as a double with its integer twin, `inactive` always a boolean, roles as objects."""
    row = {name: value for name, value in user.items() if name != "is_general"}
    return row | {
        "site_id": float(user["site_id"]),
        "site_id_int": user["site_id"],
        "site_name": tenant.name_of("site", user["site_id"]),
        "client_name": tenant.name_of("client", user["client_id"]),
        "key": user["id"],
        "roles": [{"id": role, "name": tenant.name_of("userroles", role)} for role in user["roles"]],
        "customfields": customfields.shown(tenant, user["customfields"]),
    }


def may_approve(tenant: Tenant, user: Mapping[str, Any]) -> bool:
    """Whether a user may answer approvals in the portal: by a flag of their own or of one of their roles."""
    if user.get("ischangeapprover") or user.get("ischangeapprover2"):
        return True
    return any((tenant.row("userroles", role) or {}).get("ischangeapprover2") for role in user.get("roles", ()))


def _blank() -> Doc:
    return (
        dict.fromkeys(_TEXTS, "")
        | dict.fromkeys(_FLAGS, False)
        | dict.fromkeys(_NUMBERS, 0)
        | dict.fromkeys(_DATES)
        | {"id": 0, "guid": new_guid(), "name": "", "departments": [], "roles": [], "customfields": {}, "is_general": False}
    )


def _place(tenant: Tenant, row: Doc, before: Doc | None) -> Doc:
    sent = row.get("site_id") if row.get("site_id") is not None else row.get("site_id_int")
    if sent is None and before is not None:
        return {}
    site = tenant.row("site", int(sent)) if sent is not None and sent == int(sent) else None
    if site is None:
        raise refused("Please select a Site." if sent is None else f"Site {sent:g} does not exist.")
    return {"site_id": site["id"], "client_id": site["client_id"]}


def _roles(tenant: Tenant, row: Doc, stored: list[int]) -> list[int]:
    roles = list(stored) if row.get("roles") is None else [role.get("id") or 0 for role in row["roles"]]
    roles += [role.get("id") or 0 for role in row.get("add_roles") or ()]
    for role in roles:
        if tenant.row("userroles", role) is None:
            raise refused(f"User role {role} does not exist.")
    return list(dict.fromkeys(roles))


def _log(tenant: Tenant, who: Caller, before: Doc | None, after: Doc) -> None:
    if before is None:
        audit.note_user_change(tenant, who, after, "created", "", after["name"])
        return
    for member in after:
        if before.get(member) != after[member]:
            audit.note_user_change(tenant, who, after, member, before.get(member), after[member])


def _listed(tenant: Tenant, asked: Query) -> list[Doc]:
    active, inactive = _states(asked)
    found = [user for user in tenant.rows("users") if (inactive if user["inactive"] else active)]
    for parameter in ("client_id", "site_id"):
        if (wanted := asked.id(parameter)) is not None:
            found = [user for user in found if user[parameter] == wanted]
    if asked.flag("exclude_generaluser") or asked.flag("exclude_defaultsiteusers"):
        found = [user for user in found if not user["is_general"]]
    if asked.flag("approvers_only"):
        found = [user for user in found if may_approve(tenant, user)]
    if asked.flag("exclude_agents"):
        found = [user for user in found if not user["linked_agent_id"]]
    if asked.text("integration_type").lower() == "azure":
        found = [user for user in found if user["azureoid"]]
    if (role := asked.id("role")) is not None:
        found = [user for user in found if role in user["roles"]]
    if wanted_text := asked.text("search"):
        found = [user for user in found if contains(wanted_text, *(user.get(column) for column in _SEARCHED))]
    allowed = (*_ADVANCED, "azureoid") if tenant.switches.azureoid_searchable else _ADVANCED
    conditions = advanced(asked.text("advanced_search"), allowed)
    return [dict(user) for user in found if holds(conditions, user)]


def _states(asked: Query) -> tuple[bool, bool]:
    """(active, inactive): active ones unless refused, inactive ones only when asked for; `activeinactive` is "true,true"."""
    if both := asked.text("activeinactive").lower():
        first, _, second = both.partition(",")
        return first.strip() == "true", second.strip() == "true"
    return asked.text("includeactive").lower() != "false", asked.flag("includeinactive")


def add_routes(app: Flask, tenant: Tenant) -> None:
    """The user routes."""

    def one(number: str) -> Doc:
        user = tenant.row("users", path_id(number))
        if user is None:
            raise not_found()
        if caller().is_user and user["id"] != caller().user_id:
            raise forbidden()
        return user

    @app.get("/api/users")
    def users_list() -> Response:
        if caller().is_user:
            raise forbidden()
        chosen, around = page(ordered(_listed(tenant, query()), query()), query())
        if query().flag("idonly"):
            return answer({**around, "users": [{"id": user["id"]} for user in chosen]})
        rows = [shown(tenant, user) for user in chosen]
        if tenant.switches.user_rows == "published":
            rows = [{name: value for name, value in row.items() if name in USER_ROW} for row in rows]
        return answer({**around, "users": rows})

    @app.get("/api/users/me")
    def users_me() -> Response:
        return answer(shown(tenant, one(str(caller().user_id))))

    @app.get("/api/users/<number>")
    def users_one(number: str) -> Response:
        return answer(shown(tenant, one(number)))

    @app.post("/api/users")
    def users_write() -> Response:
        if caller().is_user:
            raise forbidden()
        rows = body_rows(request, USER)
        who = caller()
        return apply(tenant, rows, lambda row: save(tenant, who, row), lambda user: shown(tenant, user), known=tenant.knows("users"))

    @app.delete("/api/users/<number>")
    def users_delete(number: str) -> Response:
        user = one(number)
        if caller().is_user:
            raise forbidden()
        if user["is_general"]:
            raise refused("The General User of a site cannot be deleted.")
        tenant.drop("users", user["id"])
        audit.note_user_change(tenant, caller(), user, "deleted", user["name"], "")
        return answer(shown(tenant, user))
