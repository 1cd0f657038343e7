"""What a fresh tenant holds: reference data, no people. Ids are scattered as in a real tenant, so that mixing two of them up shows."""

from __future__ import annotations

import uuid

from simulators.halo import agents
from simulators.halo.approvals import BY_MANAGER, BY_USER
from simulators.halo.auth import CLIENTS, prepare_key
from simulators.halo.reference_data import add
from simulators.halo.roles import ADMINISTRATOR, NAMES, role_guid
from simulators.halo.tenant import Tenant

CLIENT_ID = 12
#: The first one is where the company sits.
SITES = {18: "Head Office", 19: "Harbour", 20: "North"}
_STATUSES = {
    1: "New",
    2: "In Progress",
    3: "Action Required",
    4: "With User",
    9: "Closed",
    10: "With CAB",
    17: "Awaiting Approval",
    18: "Approved",
    19: "Rejected",
    20: "Complete",
}
#: Tickets in these are closed.
_CLOSING = frozenset({9, 20})
_TYPES = {1: "Incident", 3: "Service Request", 4: "Change Request", 31: "Onboarding", 32: "Offboarding", 33: "Access Request", 34: "Mover"}
_PRIORITIES = {1: "Critical", 2: "High", 3: "Medium", 4: "Low"}
_OUTCOMES = {
    1: ("Re-assign", 0),
    2: ("Email User", 0),
    3: ("Close Request", 9),
    4: ("User Updated", 0),
    7: ("Internal Note", 0),
    16: ("Approval Requested", 0),
    17: ("Approval Result", 0),
}
_TEAMS = (
    "Service Desk",
    "Identity",
    "IAM",
    "Endpoint",
    "Procurement",
    "App owners",
    "Security",
    "HR",
    "ITSM",
    "Manager",
    "Facilities",
    "Change Advisory Board",
)


def seed_reference(tenant: Tenant) -> None:
    """Fill an empty tenant. Does nothing in one that has been filled before. Opens its own transaction."""
    with tenant.state.transaction():
        if tenant.row("client", CLIENT_ID) is not None or tenant.row("secret", "seeded") is not None:
            return
        prepare_key(tenant)
        tenant.put("secret", "seeded", {"value": "yes"})
        add(tenant, "client", {"id": CLIENT_ID, "name": "Contoso"})
        for number, name in SITES.items():
            add(tenant, "site", {"id": number, "name": name, "client_id": CLIENT_ID})
        _tickets(tenant)
        _people(tenant)
        _approvals(tenant)


def _tickets(tenant: Tenant) -> None:
    for at, (number, name) in enumerate(_STATUSES.items(), 1):
        add(tenant, "status", {"id": number, "name": name, "shortname": name, "sequence": at, "closes": number in _CLOSING})
    for at, (number, name) in enumerate(_TYPES.items(), 1):
        add(tenant, "tickettype", {"id": number, "name": name, "sequence": at, "use": "ticket", "cancreate": True})
    for number, name in _PRIORITIES.items():
        guid = str(uuid.uuid5(uuid.UUID(role_guid("priority")), name))
        tenant.put("priority", number, {"id": guid, "slaid": 1, "priorityid": number, "name": name, "ishidden": False})
    for number, (name, status) in _OUTCOMES.items():
        alias = "Private Note" if name == "Internal Note" else name
        add(tenant, "outcome", {"id": number, "outcome": name, "buttonname": alias, "newstatus": status})
    for number, name, label in ((210, "CFjoineryKey", "Joinery key"), (211, "CFjoineryKind", "Joinery kind")):
        add(tenant, "fieldinfo", {"id": number, "name": name, "label": label, "searchable": number == 210})


def _people(tenant: Tenant) -> None:
    for number, name in enumerate(_TEAMS, 5):
        add(tenant, "team", {"id": number, "name": name})
    for number, name in enumerate(NAMES, 1):
        add(tenant, "roles", {"id": role_guid(name), "id_int": number, "name": name})
    user_roles = {1: ("Standard User", False), 2: ("Approver", True), 3: ("Site Manager", True)}
    for number, (name, approves) in user_roles.items():
        add(tenant, "userroles", {"id": number, "name": name, "ischangeapprover2": approves})
    # Ids below 20 belong to the product: "Unassigned" and the agents that the API applications log in as.
    tenant.put("agents", agents.UNASSIGNED, agents.blank() | {"id": agents.UNASSIGNED, "name": "Unassigned"})
    for client, number in CLIENTS.items():
        own = {"id": number, "name": client.title(), "isapiagent": True, "roles": [ADMINISTRATOR]}
        tenant.put("agents", number, agents.blank() | own)


def _approvals(tenant: Tenant) -> None:
    # The one asks the requester's manager, the other whomever its start names.
    for number, name, kind in ((2, "Line manager", BY_MANAGER), (3, "Named approver", BY_USER)):
        add(tenant, "approvalprocess", {"id": number, "name": name, "steps": [{"name": name, "type": kind, "sequence": 1}]})
