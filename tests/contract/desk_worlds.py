"""Desks under test, each with what others than we can do to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from adapters.halo.client import HaloClient
from adapters.halo.desk import HaloServiceDesk
from joinery.domain.person import Person
from joinery.domain.policy import DeskPolicy, SiteRule, TicketPolicy
from joinery.domain.tickets import (
    AddNote,
    AskApproval,
    CloseTicket,
    DeactivateUser,
    EndTicket,
    EnsureAgent,
    EnsureApprover,
    EnsureUser,
    OpenTicket,
    Order,
    RetireAgent,
    SetRoles,
    UpdateUser,
)
from joinery.engine.memory_desk import MemoryServiceDesk
from joinery.engine.ports import ServiceDesk
from joinery.errors import OutcomeUnknown, Refused, TryLater
from simulators.clock import SimClock
from simulators.door import ConnectionDropped
from simulators.halo import PretendHalo, create_halo

KEY = "local-K5WXGZLTMVRXE4TF"
OTHER_KEY = "local-AAAAAAAAAAAAAAAA"
WITHIN = timedelta(seconds=10)

POLICY = DeskPolicy(
    site_rules=(SiteRule(attribute="office_location", value="Harbour", client="Contoso", site="Harbour"),),
    tickets={
        "onboarding": TicketPolicy(ticket_type="Onboarding", team="Service Desk"),
        "offboarding": TicketPolicy(ticket_type="Offboarding", team="Service Desk", adopt_similar=True),
    },
)

ALEX = Person(
    id="6b1f0a2e-5a3c-4f5d-9a65-7f3f1f0c9d10",
    user_principal_name="alex.example@contoso.com",
    mail="Alex.Example@contoso.com",
    display_name="Alex Example",
    given_name="Alex",
    surname="Example",
    job_title="Analyst",
    department="Finance",
)

ENSURE = EnsureUser(person=ALEX)

#: Nobody has made a role or a team of this name.
NO_SUCH = "Party Planner"


class TickingClock(SimClock):
    """The stand-in's clock with the monotonic side that ours has."""

    def monotonic(self) -> float:
        return self.now().timestamp()


class World(ABC):
    """A desk, and what others than we can do to it."""

    desk: ServiceDesk
    clock: TickingClock

    @abstractmethod
    def add_user(self, address: str, *, directory_id: str = "", active: bool = True, approver: bool = False) -> str: ...
    @abstractmethod
    def add_agent(self, address: str, *, roles: int, enabled: bool = True) -> str: ...
    @abstractmethod
    def add_ticket(self, summary: str, *, kind: str, user_id: str) -> str: ...
    @abstractmethod
    def tickets(self) -> list[str]:
        """Summaries of all tickets, oldest first."""

    @abstractmethod
    def users(self) -> list[tuple[str, bool]]:
        """Address and whether active, of everybody who has an address."""

    @abstractmethod
    def agent(self, agent_id: str) -> tuple[int, bool]:
        """How many roles, and whether enabled."""

    @abstractmethod
    def add_agent_with(self, address: str, *roles: str, enabled: bool = True) -> str:
        """An agent with the roles of these names."""

    @abstractmethod
    def roles(self, agent_id: str) -> tuple[tuple[str, ...], bool]:
        """Names, sorted, and whether enabled."""

    @abstractmethod
    def user(self, user_id: str) -> dict[str, Any]:
        """``name``, ``address``, ``title``, ``department``, ``manager``, ``site``, ``active``, ``approver``."""

    @abstractmethod
    def count_agents(self) -> int: ...
    @abstractmethod
    def limit_agents(self, most: int) -> None:
        """So many may be enabled."""

    @abstractmethod
    def answer(self, ticket_id: str, user_id: str, approved: bool, *, by: str = "", words: str = "") -> None:
        """The user answers in the portal a minute later, or ``by`` as their delegate. Raises Refused where the desk says no."""

    @abstractmethod
    def override(self, ticket_id: str, user_id: str) -> None:
        """Somebody who works on the desk approves in their place."""

    @abstractmethod
    def answer_by_rule(self, ticket_id: str, user_id: str) -> None:
        """Somebody starts a round that a rule of the desk approves at once."""

    @abstractmethod
    def start_round(self, ticket_id: str, user_id: str) -> None:
        """Somebody else asks somebody."""

    @abstractmethod
    def set_status(self, ticket_id: str, status: str) -> None:
        """By hand: ``approved`` or ``in progress``."""

    @abstractmethod
    def delete_ticket(self, ticket_id: str) -> None: ...
    @abstractmethod
    def close_ticket(self, ticket_id: str) -> None: ...
    @abstractmethod
    def lose_answer(self, of: type[Order]) -> None: ...
    @abstractmethod
    def lose_request(self, of: type[Order]) -> None: ...
    @abstractmethod
    def refuse(self, of: type[Order]) -> None: ...
    @abstractmethod
    def throttle(self, of: type[Order]) -> None: ...
    @abstractmethod
    def ignore(self, of: type[Order]) -> None: ...
    @abstractmethod
    def hide_new_tickets(self, lag: timedelta) -> None: ...

    def do(self, order: Order, key: str = KEY) -> Any:
        """Perform it and see that a later read agrees."""
        result = self.desk.perform(order, key, within=WITHIN)
        seen = self.desk.read_back(order, key, result)
        assert seen.ok, seen.detail
        return result


class MemoryWorld(World):
    def __init__(self) -> None:
        self.clock = TickingClock(datetime(2026, 11, 23, 9, 0, tzinfo=UTC), frozen=True)
        self.memory = MemoryServiceDesk(clock=self.clock, policy=POLICY)
        self.memory.no_such_roles = self.memory.no_such_teams = {NO_SUCH}
        self.desk = self.memory

    def add_user(self, address: str, *, directory_id: str = "", active: bool = True, approver: bool = False) -> str:
        return self.memory.put_user(address=address, directory_id=directory_id, active=active, approver=approver).id

    def add_agent(self, address: str, *, roles: int, enabled: bool = True) -> str:
        return self.memory.put_agent(address, *(f"role {number}" for number in range(roles)), enabled=enabled).id

    def add_ticket(self, summary: str, *, kind: str, user_id: str) -> str:
        return self.memory.put_ticket(summary=summary, kind=kind, user_id=user_id).id

    def tickets(self) -> list[str]:
        return [ticket.summary for ticket in self.memory.tickets]

    def users(self) -> list[tuple[str, bool]]:
        return [(user.address, user.active) for user in self.memory.users]

    def agent(self, agent_id: str) -> tuple[int, bool]:
        (agent,) = (agent for agent in self.memory.agents if agent.id == agent_id)
        return len(agent.roles), agent.enabled

    def add_agent_with(self, address: str, *roles: str, enabled: bool = True) -> str:
        return self.memory.put_agent(address, *roles, enabled=enabled).id

    def roles(self, agent_id: str) -> tuple[tuple[str, ...], bool]:
        (agent,) = (agent for agent in self.memory.agents if agent.id == agent_id)
        return tuple(sorted(agent.roles)), agent.enabled

    def user(self, user_id: str) -> dict[str, Any]:
        user = self.memory.user(user_id)
        shown = {name: getattr(user, name) for name in ("name", "address", "title", "department", "site", "active", "approver")}
        return shown | {"manager": user.manager_address}

    def count_agents(self) -> int:
        return len(self.memory.agents)

    def limit_agents(self, most: int) -> None:
        self.memory.licences = most

    def answer(self, ticket_id: str, user_id: str, approved: bool, *, by: str = "", words: str = "") -> None:
        self.clock.advance(timedelta(minutes=1))
        if by and not self.memory.user(by).approver:
            # The double takes whichever delegate a test names.
            raise Refused("a delegate needs the right to approve too")
        self.memory.answer(ticket_id, user_id, approved, how="delegate" if by else "portal", by=by, words=words)

    def override(self, ticket_id: str, user_id: str) -> None:
        self.memory.answer(ticket_id, user_id, how="override", by="2")

    def answer_by_rule(self, ticket_id: str, user_id: str) -> None:
        self.memory.start_round(ticket_id, user_id)
        self.memory.answer(ticket_id, user_id, how="automatic")

    def start_round(self, ticket_id: str, user_id: str) -> None:
        self.memory.start_round(ticket_id, user_id)

    def set_status(self, ticket_id: str, status: str) -> None:
        ticket = next(ticket for ticket in self.memory.tickets if ticket.id == ticket_id)
        ticket.status, ticket.closed = status, False

    def delete_ticket(self, ticket_id: str) -> None:
        next(ticket for ticket in self.memory.tickets if ticket.id == ticket_id).deleted = True

    def close_ticket(self, ticket_id: str) -> None:
        next(ticket for ticket in self.memory.tickets if ticket.id == ticket_id).closed = True

    def lose_answer(self, of: type[Order]) -> None:
        self.memory.fail(OutcomeUnknown("lost"), asks=of, after_effect=True)

    def lose_request(self, of: type[Order]) -> None:
        self.memory.fail(OutcomeUnknown("lost"), asks=of)

    def refuse(self, of: type[Order]) -> None:
        self.memory.fail(Refused("no"), asks=of)

    def throttle(self, of: type[Order]) -> None:
        self.memory.fail(TryLater("busy", after=timedelta(seconds=7)), asks=of)

    def ignore(self, of: type[Order]) -> None:
        self.memory.ignore(of)

    def hide_new_tickets(self, lag: timedelta) -> None:
        self.memory.index_lag = lag


class Wire(httpx.WSGITransport):
    """The pretend Halo in process; a dropped connection looks as it does on a socket."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return super().handle_request(request)
        except ConnectionDropped as dropped:
            raise httpx.RemoteProtocolError("dropped") from dropped


_PATHS: dict[type[Order], str] = {
    OpenTicket: "/api/Tickets",
    AddNote: "/api/Actions",
    EnsureUser: "/api/Users",
    DeactivateUser: "/api/Users",
    RetireAgent: "/api/Agent",
    EnsureApprover: "/api/Users",
    UpdateUser: "/api/Users",
    EnsureAgent: "/api/Agent",
    SetRoles: "/api/Agent",
    AskApproval: "/api/Actions",
    CloseTicket: "/api/Tickets",
    EndTicket: "/api/Actions",
}

#: Orders that write to what is there: the desk can answer such a write with success and change nothing.
_TARGETS = (DeactivateUser, RetireAgent, UpdateUser, SetRoles, CloseTicket)


class HaloWorld(World):
    def __init__(self, **switches: Any) -> None:
        self.clock = TickingClock(datetime(2026, 11, 23, 9, 0, tzinfo=UTC), frozen=True)
        self.halo: PretendHalo = create_halo(None, self.clock, **({"strict": "everybody"} | switches))
        wire = Wire(app=self.halo.wsgi)
        self.http = httpx.Client(transport=wire, base_url="http://halo.test", trust_env=False)
        form = {"grant_type": "client_credentials", "client_id": "local", "client_secret": "local", "scope": "all"}
        token = self.http.post("/auth/token", data=form).json()["access_token"]
        self.http.headers["authorization"] = f"Bearer {token}"
        self.client = HaloClient(
            "http://halo.test/api",
            "http://halo.test/auth",
            "joinery",
            "local",
            transport=wire,
            clock=self.clock,
            sleep=lambda seconds: self.clock.advance(timedelta(seconds=seconds)),
        )
        self.desk = HaloServiceDesk(self.client, POLICY, deployment="local", search_lag=timedelta(seconds=2))

    def post(self, path: str, **row: Any) -> dict[str, Any]:
        answer = self.http.post(f"/api{path}", json=[row])
        assert answer.is_success, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def get(self, path: str, **query: Any) -> Any:
        return self.http.get(f"/api{path}", params=query).json()

    def faults(self, *rules: dict[str, Any]) -> None:
        assert self.http.put("/_faults", json=list(rules)).is_success

    def _fault(self, of: type[Order], fault: str, **more: Any) -> None:
        self.faults({"match": {"method": "POST", "path": _PATHS[of]}, "fault": fault, "times": 1, **more})

    def add_user(self, address: str, *, directory_id: str = "", active: bool = True, approver: bool = False) -> str:
        row = {"name": address, "emailaddress": address, "site_id": 18, "azureoid": directory_id, "inactive": not active}
        return str(self.post("/Users", **row, ischangeapprover2=approver)["id"])

    def add_agent(self, address: str, *, roles: int, enabled: bool = True) -> str:
        chosen = [{"id": role["id"]} for role in self.get("/Roles")[:roles]]
        return str(self.post("/Agent", name=address, email=address, roles=chosen, isdisabled=not enabled)["id"])

    def add_ticket(self, summary: str, *, kind: str, user_id: str) -> str:
        kinds = {row["name"].lower(): row["id"] for row in self.get("/TicketType")}
        return str(self.post("/Tickets", summary=summary, tickettype_id=kinds[kind], user_id=int(user_id))["id"])

    def tickets(self) -> list[str]:
        return [row["summary"] for row in reversed(self.get("/Tickets", pageinate="true", page_size=100)["tickets"])]

    def users(self) -> list[tuple[str, bool]]:
        rows = self.get("/Users", includeinactive="true")["users"]
        return [(row["emailaddress"], not row["inactive"]) for row in sorted(rows, key=lambda row: row["id"]) if row["emailaddress"]]

    def agent(self, agent_id: str) -> tuple[int, bool]:
        row = self.get(f"/Agent/{agent_id}", includedetails="true")
        return len(row["roles"]), not row["isdisabled"]

    def add_agent_with(self, address: str, *roles: str, enabled: bool = True) -> str:
        ids = {role["name"]: role["id"] for role in self.get("/Roles")}
        chosen = [{"id": ids[role]} for role in roles]
        return str(self.post("/Agent", name=address, email=address, roles=chosen, isdisabled=not enabled)["id"])

    def roles(self, agent_id: str) -> tuple[tuple[str, ...], bool]:
        row = self.get(f"/Agent/{agent_id}", includedetails="true")
        return tuple(sorted(role["name"] for role in row["roles"])), not row["isdisabled"]

    def user(self, user_id: str) -> dict[str, Any]:
        row = self.get(f"/Users/{user_id}", includedetails="true")
        shown = {"address": "emailaddress", "manager": "manager_email", "site": "site_name", "approver": "ischangeapprover2"}
        names = {name: shown.get(name, name) for name in ("name", "address", "title", "department", "manager", "site", "approver")}
        return {name: row[member] for name, member in names.items()} | {"active": not row["inactive"]}

    def count_agents(self) -> int:
        return int(self.get("/Agent", includedisabled="true")["record_count"])

    def limit_agents(self, most: int) -> None:
        assert self.http.put("/_switches", json={"agent_licences": most}).is_success

    def _row(self, ticket_id: str, user_id: str) -> dict[str, Any]:
        rows = [row for row in self.get("/TicketApproval", ticket_id=ticket_id) if str(row["user_id"]) == user_id]
        if not rows:
            raise Refused("nobody asked them")
        return {"ticket_id": int(ticket_id), "seq": rows[-1]["seq"], "actionnumber": rows[-1]["actionnumber"]}

    def answer(self, ticket_id: str, user_id: str, approved: bool, *, by: str = "", words: str = "") -> None:
        self.clock.advance(timedelta(minutes=1))
        row = self._row(ticket_id, user_id)
        if by:
            self.post("/Users", id=int(user_id), delegation_activated=True, delegation_user_id=int(by))
        form = {"grant_type": "password", "client_id": "local", "client_secret": "local", "scope": "all", "password": "local"}
        who = self.get(f"/Users/{by or user_id}")["emailaddress"]
        token = self.http.post("/auth/token", data=form | {"username": who}).json()["access_token"]
        portal = {"authorization": f"Bearer {token}"}
        said = row | {"result": 1 if approved else 2, "note": words}
        if not self.http.post("/api/TicketApproval", json=[said], headers=portal).is_success:
            raise Refused("the portal says no")

    def override(self, ticket_id: str, user_id: str) -> None:
        if not self.http.post("/api/TicketApproval", json=[self._row(ticket_id, user_id) | {"result": 1}]).is_success:
            raise Refused("the desk says no")

    def answer_by_rule(self, ticket_id: str, user_id: str) -> None:
        step = {"name": "x", "sequence": 1, "autoapproveforapprovalrequestor": True}
        process = self.post("/ApprovalProcess", name="Lenient", steps=[step])["id"]
        self.post("/Tickets", id=int(ticket_id), user_id=int(user_id))
        self.post("/Actions", ticket_id=int(ticket_id), outcome_id=7, new_approvalprocess=process, new_approvalprocess_user_id=int(user_id))

    def start_round(self, ticket_id: str, user_id: str) -> None:
        self.post("/Actions", ticket_id=int(ticket_id), outcome_id=7, new_approvalprocess=3, new_approvalprocess_user_id=int(user_id))

    def set_status(self, ticket_id: str, status: str) -> None:
        ids = {row["name"].casefold(): row["id"] for row in self.get("/Status")}
        self.post("/Tickets", id=int(ticket_id), status_id=ids[status])

    def delete_ticket(self, ticket_id: str) -> None:
        assert self.http.delete(f"/api/Tickets/{ticket_id}").is_success

    def close_ticket(self, ticket_id: str) -> None:
        self.post("/Tickets", id=int(ticket_id), status_id=9)

    def lose_answer(self, of: type[Order]) -> None:
        self._fault(of, "lost_response")

    def lose_request(self, of: type[Order]) -> None:
        self._fault(of, "lost_request")

    def refuse(self, of: type[Order]) -> None:
        self._fault(of, "status", status=400, body={"Message": "no"})

    def throttle(self, of: type[Order]) -> None:
        self._fault(of, "throttle", retry_after=7)

    def ignore(self, of: type[Order]) -> None:
        # A create that answers with success and makes nothing names an object that is not there.
        body = {"id": 999_999, "ticket_id": 1}
        self._fault(of, "write_ignored") if of in _TARGETS else self._fault(of, "status", status=201, body=body)

    def hide_new_tickets(self, lag: timedelta) -> None:
        self._fault(OpenTicket, "index_lag", delay=lag.total_seconds())
