"""The seeded company: Contoso, 40 people in 6 departments, invented, always the same, made through the stand-ins' own APIs."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joinery.domain.policy import Policy
from simulators.driver import GraphDriver, HaloDriver

#: Where mail goes.
DOMAIN = "contoso.example"
#: Calls in one $batch ("json-batching").
_BATCH_MAX = 20
#: The offices, in the order in which teams fill them.
OFFICES = ("Head Office", "Harbour", "North")

#: Department -> its people, the head first: name, job title, group that stands for a role ("" for none).
#: Management's head is the head of the company.
_TEAMS: Mapping[str, Sequence[tuple[str, str, str]]] = {
    "Management": (
        ("Ingrid Solheim", "Chief executive", ""),
        ("Tomás Arrieta", "Executive assistant", ""),
    ),
    "IT": (
        ("Farah Haddad", "Head of IT", "ITSM-ChangeManagers"),
        ("Dmitri Volkov", "Change manager", "ITSM-ChangeManagers"),
        ("Aiko Tanaka", "Platform engineer", "ITSM-Admins"),
        ("Ruben Achterberg", "Platform engineer", "ITSM-Admins"),
        ("Lindiwe Khumalo", "Service desk lead", "ITSM-ServiceDesk"),
        ("Mateo Quispe", "Service desk analyst", "ITSM-ServiceDesk"),
        ("Zofia Wrona", "Service desk analyst", "ITSM-ServiceDesk"),
        ("Hamza Qureshi", "Service desk analyst", "ITSM-ServiceDesk"),
        ("Bridget Malone", "Service desk analyst", "ITSM-ServiceDesk"),
        ("Sione Tupou", "Endpoint engineer", ""),
    ),
    "Sales": (
        ("Valentina Rossi", "Head of sales", ""),
        ("Kofi Mensah", "Account manager", ""),
        ("Emre Yıldız", "Account manager", ""),
        ("Saoirse Byrne", "Account manager", ""),
        ("Jun-ho Park", "Sales engineer", ""),
        ("Priya Raman", "Sales engineer", ""),
        ("Callum Fraser", "Inside sales", ""),
        ("Leilani Kahale", "Inside sales", ""),
        ("Oumar Diallo", "Inside sales", ""),
    ),
    "Finance": (
        ("Wilhelm Brandt", "Head of finance", ""),
        ("Nadia Petrova", "Controller", ""),
        ("Thiago Moreira", "Accountant", ""),
        ("Grace Adeyemi", "Accountant", ""),
        ("Mei-Ling Chou", "Payroll specialist", ""),
        ("Anders Nyqvist", "Analyst", ""),
    ),
    "People": (
        ("Yara Benali", "Head of people", ""),
        ("Marcus Whitfield", "Recruiter", ""),
        ("Hinemoa Parata", "People partner", ""),
        ("Camille Girard", "People partner", ""),
    ),
    "Operations": (
        ("Samuel Okonkwo", "Head of operations", ""),
        ("Birgitta Lund", "Warehouse lead", ""),
        ("Hugo Castellano", "Dispatcher", ""),
        ("Nomvula Dube", "Dispatcher", ""),
        ("Pavel Novotný", "Logistics planner", ""),
        ("Shirin Kazemi", "Logistics planner", ""),
        ("Owen Pritchard", "Technician", ""),
        ("Anaïs Lemaire", "Technician", ""),
        ("Rashid Karimov", "Technician", ""),
    ),
}

#: Accounts that are nobody's: what kind each is follows from policy. The break-glass account also sits in the protected group.
BREAK_GLASS = f"breakglass01@{DOMAIN}"
_OTHERS: tuple[Mapping[str, Any], ...] = (
    {"displayName": "Reception", "userPrincipalName": f"shared-reception@{DOMAIN}", "employeeType": "Shared Mailbox"},
    {"displayName": "Backup service", "userPrincipalName": f"svc-backup@{DOMAIN}", "employeeType": "Service"},
    {"displayName": "Break glass 01", "userPrincipalName": BREAK_GLASS, "jobTitle": "Emergency access"},
    {"displayName": "Noor Verbeek (Fabrikam)", "userPrincipalName": f"noor.verbeek_fabrikam.example#EXT#@{DOMAIN}", "userType": "Guest"},
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Employee:
    """One of the forty."""

    number: int
    name: str
    title: str
    department: str
    office: str
    #: Group that stands for a role; empty for none.
    group: str
    #: Number of the manager; None for the head of the company.
    manager: int | None

    @property
    def address(self) -> str:
        """Mail and user principal name."""
        return address_of(self.name)

    @property
    def hired(self) -> str:
        """First working day, between 2014 and 2024."""
        return f"{2014 + self.number * 7 % 11}-{1 + self.number * 5 % 12:02d}-{1 + self.number * 3 % 28:02d}T00:00:00Z"


def employees() -> tuple[Employee, ...]:
    """All forty, heads before their teams."""
    found: list[Employee] = []
    for department, team in _TEAMS.items():
        head = len(found) + 1
        for at, (name, title, group) in enumerate(team):
            number = len(found) + 1
            office = OFFICES[0] if at == 0 else OFFICES[number % len(OFFICES)]
            manager = head if at else (1 if head != 1 else None)
            found.append(
                Employee(number=number, name=name, title=title, department=department, office=office, group=group, manager=manager)
            )
    return tuple(found)


def address_of(name: str) -> str:
    """``Emre Yıldız`` -> ``emre.yildiz@contoso.example``."""
    plain = unicodedata.normalize("NFKD", name.replace("ı", "i").replace("ł", "l").replace("ø", "o")).encode("ascii", "ignore").decode()
    return f"{'.'.join(plain.lower().split())}@{DOMAIN}"


def new_account(name: str, **more: Any) -> dict[str, Any]:
    """The body of POST /users for a person; ``more`` is added to it."""
    given, _, surname = name.partition(" ")
    address = address_of(name)
    return {
        "displayName": name,
        "givenName": given,
        # Graph refuses an empty text.
        "surname": surname or None,
        "userPrincipalName": address,
        "mail": address,
        "mailNickname": address.partition("@")[0],
        "accountEnabled": True,
        "companyName": "Contoso",
        "passwordProfile": {"password": "Sawdust-and-shavings-9", "forceChangePasswordNextSignIn": True},
        **more,
    }


def seed_company(graph: GraphDriver, halo: HaloDriver, policy: Policy) -> None:
    """Fill two worlds; what an earlier try that was cut off has made already stays. ``prepare_desk`` comes first.

    Raises httpx.HTTPStatusError or RuntimeError where one of them says no.
    """
    people = employees()
    accounts = [
        new_account(
            one.name,
            employeeId=f"C{1000 + one.number}",
            employeeType="Employee",
            jobTitle=one.title,
            department=one.department,
            officeLocation=one.office,
            employeeHireDate=one.hired,
        )
        for one in people
    ]
    accounts += [_other_account(account) for account in _OTHERS]
    there = {_upn(row) for row in graph.call("GET", "/users?$select=userPrincipalName&$top=999")["value"]}
    _batch(graph, [("POST", "/users", account) for account in accounts if _upn(account) not in there])
    made = graph.call("GET", "/users?$select=id,userPrincipalName&$top=999")["value"]
    by_address = {_upn(row): str(row["id"]) for row in made}
    ids = {one.number: by_address[one.address] for one in people}
    root = f"{graph.url}/v1.0"
    managers: list[tuple[str, str, Any]] = [
        ("PUT", f"/users/{ids[one.number]}/manager/$ref", {"@odata.id": f"{root}/users/{ids[one.manager]}"})
        for one in people
        if one.manager is not None
    ]
    _batch(graph, managers)
    wanted = [(one.group, ids[one.number]) for one in people if one.group]
    wanted += [(group, by_address[BREAK_GLASS]) for group in policy.identity.protected.groups[:1]]
    # A policy of one's own may name other groups; the company's roles then stand for nothing.
    groups = graph.make_groups(dict.fromkeys(group for group, _ in wanted))
    held = {
        (name, str(row["id"]))
        for name, group_id in groups.items()
        for row in graph.call("GET", f"/groups/{group_id}/members?$select=id&$top=999")["value"]
    }
    _batch(
        graph,
        [
            ("POST", f"/groups/{groups[group]}/members/$ref", {"@odata.id": f"{root}/directoryObjects/{member}"})
            for group, member in wanted
            if (group, member) not in held
        ],
    )
    _fill_desk(halo, policy, people, ids)


def _upn(row: Mapping[str, Any]) -> str:
    return str(row["userPrincipalName"]).lower()


def _other_account(account: Mapping[str, Any]) -> dict[str, Any]:
    name = str(account["displayName"])
    upn = str(account["userPrincipalName"])
    mail = "noor.verbeek@fabrikam.example" if "#EXT#" in upn else upn
    return {**new_account(name), "mailNickname": upn.partition("@")[0].replace("#EXT#", "_ext"), "mail": mail, **account}


def _batch(graph: GraphDriver, calls: Sequence[tuple[str, str, Any]]) -> list[Any]:
    """Make the calls, twenty at a time; their bodies in order. Raises RuntimeError with the first one that failed."""
    bodies: list[Any] = []
    for start in range(0, len(calls), _BATCH_MAX):
        requests = [
            {"id": str(at), "method": method, "url": path, "headers": {"Content-Type": "application/json"}, "body": body}
            for at, (method, path, body) in enumerate(calls[start : start + _BATCH_MAX])
        ]
        answers = {answer["id"]: answer for answer in graph.call("POST", "/$batch", {"requests": requests})["responses"]}
        for request in requests:
            answer = answers[request["id"]]
            if answer["status"] >= 400:
                raise RuntimeError(f"seeding: {request['method']} {request['url']} answered {answer['status']}: {answer.get('body')}")
            bodies.append(answer.get("body"))
    return bodies


# --- the desk ---


def prepare_desk(halo: HaloDriver, policy: Policy) -> None:
    """Make the client, sites, ticket types, teams, roles, statuses and approval process that policy names and a fresh Halo lacks; what exists stays as it is."""
    desk = policy.desk
    places = [(desk.default_client, desk.default_site), *((rule.client, rule.site) for rule in desk.site_rules)]
    clients = _ensure(halo, "client", [client for client, _ in places], collection="clients")
    known = {(str(row["name"]), int(row["client_id"])) for row in halo.call("GET", "/site?includeinactive=true")["sites"]}
    missing = [place for place in dict.fromkeys((site, clients[client]) for client, site in places) if place not in known]
    if missing:
        halo.call("POST", "/site", [{"name": site, "client_id": client} for site, client in missing])
    _ensure(halo, "tickettype", [ticket.ticket_type for ticket in desk.tickets.values()], more={"use": "ticket", "cancreate": True})
    _ensure(halo, "team", [*(ticket.team for ticket in desk.tickets.values()), *(rule.team for rule in policy.roles.values())])
    _ensure(halo, "roles", [rule.role for rule in policy.roles.values()])
    statuses = _ensure(halo, "status", [desk.awaiting_status])
    _ensure(halo, "status", [desk.closed_status], more={"closes": True})
    step = {"name": desk.approval_process, "sequence": 1, "statusawaitingapproval": statuses[desk.awaiting_status]}
    _ensure(halo, "approvalprocess", [desk.approval_process], more={"steps": [step]})


def _ensure(
    halo: HaloDriver, noun: str, names: Sequence[str], *, collection: str = "", more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Name -> id of rows that exist afterwards."""
    listed = halo.call("GET", f"/{noun}")
    ids = {str(row["name"]): row["id"] for row in (listed[collection] if collection else listed)}
    for name in dict.fromkeys(names):
        if name not in ids:
            made = halo.call("POST", f"/{noun}", [{"name": name, **(more or {})}])
            ids[name] = (made[0] if isinstance(made, list) else made)["id"]
    return ids


def _fill_desk(halo: HaloDriver, policy: Policy, people: Sequence[Employee], ids: Mapping[int, str]) -> None:
    """A user for everybody, an agent for whoever holds a role."""
    sites = {str(row["name"]): int(row["id"]) for row in halo.call("GET", "/site")["sites"]}
    fallback = sites[policy.desk.default_site]
    linked = {row.get("azureoid") for row in halo.call("GET", "/Users?includeinactive=true&count=500")["users"]}
    users = [
        {
            "name": one.name,
            "firstname": one.name.partition(" ")[0],
            "surname": one.name.partition(" ")[2],
            "emailaddress": one.address,
            "login": one.address,
            "azureoid": ids[one.number],
            "site_id": sites.get(one.office, fallback),
            "department": one.department,
            "title": one.title,
        }
        for one in people
        if ids[one.number] not in linked
    ]
    if users:
        halo.call("POST", "/Users", users)
    roles = {str(row["name"]): row["id"] for row in halo.call("GET", "/roles")}
    stands_for = {group: rule.role for group, rule in policy.roles.items()}
    listed = halo.call("GET", "/Agent?includedisabled=true")
    known = {str(row["email"]).lower() for row in (listed["results"] if isinstance(listed, dict) else listed)}
    agents = [
        {
            "name": one.name,
            "email": one.address,
            "jobtitle": one.title,
            "team": "Service Desk",
            "roles": [{"id": roles[role]} for role in ("Agent", stands_for.get(one.group, "")) if role in roles],
        }
        for one in people
        if one.group and one.address not in known
    ]
    if agents:
        halo.call("POST", "/Agent", agents)
