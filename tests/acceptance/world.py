"""The two systems on the far side of the wire, driven through their public APIs by somebody who knows nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import httpx

JOINERS, BREAK_GLASS = "ITSM-NewJoiner", "ITSM-BreakGlass"
_SIGN_IN = {"grant_type": "client_credentials", "client_id": "local", "client_secret": "local"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Someone:
    """A person whom a test made."""

    id: str
    name: str
    mail: str


class World:
    """The pretend Graph and the pretend Halo. Raises httpx.HTTPStatusError where one of them says no."""

    def __init__(self, graph: str, halo: str) -> None:
        self.graph_url, self.halo_url = graph, halo
        self._http = httpx.Client(trust_env=False, timeout=30)
        self._tokens: dict[str, str] = {}
        self._groups: dict[str, str] = {}

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def answers(self) -> bool:
        """Whether both are there, with the group of the joiners."""
        try:
            self._http.get(f"{self.halo_url}/_faults").raise_for_status()
            return bool(self.group(JOINERS))
        except (httpx.TransportError, LookupError):
            return False

    # --- Graph ---

    def graph(self, method: str, path: str, body: Any = None) -> Any:
        """One call below /v1.0; the decoded answer, or None where there is no body."""
        form = {**_SIGN_IN, "scope": f"{self.graph_url}/.default"}
        return self._call(self.graph_url, "/local/oauth2/v2.0/token", form, method, f"/v1.0{path}", body)

    def person(self, name: str, *, manager: Someone | None = None, upn: str | None = None, **fields: Any) -> Someone:
        """Make somebody: an enabled member with an employee id, unless ``fields`` say otherwise (None leaves a field out)."""
        nick = "".join(letter for letter in name.lower().replace(" ", ".") if letter.isascii() and (letter.isalnum() or letter == "."))
        mail = upn or f"{nick}@contoso.example"
        body = {
            "accountEnabled": True,
            "displayName": name,
            "mailNickname": nick or "person",
            "userPrincipalName": mail,
            "mail": mail,
            "employeeId": f"E-{nick[:12]}",
            "department": "Finance",
            "passwordProfile": {"password": "Only-pretend-1"},
            **fields,
        }
        made = self.graph("POST", "/users", {key: value for key, value in body.items() if value is not None})
        one = Someone(id=made["id"], name=name, mail=str(body["mail"] or body["userPrincipalName"]))
        if manager is not None:
            self.set_manager(one, manager)
        return one

    def set_manager(self, one: Someone, manager: Someone) -> None:
        """Name somebody's manager."""
        self.graph("PUT", f"/users/{one.id}/manager/$ref", {"@odata.id": f"{self.graph_url}/v1.0/users/{manager.id}"})

    def group(self, name: str) -> str:
        """Id of a group. Raises LookupError."""
        if name not in self._groups:
            found = self.graph("GET", f"/groups?$filter=displayName eq '{name}'")["value"]
            if not found:
                raise LookupError(name)
            self._groups[name] = found[0]["id"]
        return self._groups[name]

    def forget_groups(self) -> None:
        """Ask for ids by name again."""
        self._groups.clear()

    def add(self, one: Someone, group: str = JOINERS) -> None:
        """Put somebody into a group."""
        self.graph("POST", f"/groups/{self.group(group)}/members/$ref", {"@odata.id": f"{self.graph_url}/v1.0/directoryObjects/{one.id}"})

    def remove(self, one: Someone, group: str = JOINERS) -> None:
        """Take somebody out of a group."""
        self.graph("DELETE", f"/groups/{self.group(group)}/members/{one.id}/$ref")

    def change(self, one: Someone, **fields: Any) -> None:
        """PATCH somebody."""
        self.graph("PATCH", f"/users/{one.id}", fields)

    def disable(self, one: Someone) -> None:
        """Switch somebody's account off."""
        self.change(one, accountEnabled=False)

    def graph_faults(self, *rules: dict[str, Any]) -> None:
        """Replace Graph's fault rules."""
        self._http.put(f"{self.graph_url}/_faults", json=list(rules)).raise_for_status()

    # --- Halo ---

    def halo(self, method: str, path: str, body: Any = None) -> Any:
        """One call below /api; the decoded answer, or None where there is no body."""
        return self._call(self.halo_url, "/auth/token", {**_SIGN_IN, "scope": "all"}, method, f"/api{path}", body)

    def answer(self, one: Someone, ticket: int, *, approved: bool, note: str = "") -> None:
        """Somebody signs in to Halo's portal and answers the row that waits for them."""
        form = {"grant_type": "password", "client_id": "local", "username": one.mail, "password": "local", "scope": "all"}
        granted = self._http.post(f"{self.halo_url}/auth/token", data=form)
        granted.raise_for_status()
        mine = {"Authorization": f"Bearer {granted.json()['access_token']}"}
        row = self.approvals(ticket)[-1]
        body = {"ticket_id": ticket, "seq": row["seq"], "result": 1 if approved else 2, "note": note}
        self._http.post(f"{self.halo_url}/api/TicketApproval", json=[body], headers=mine).raise_for_status()

    def approvals(self, ticket: int) -> list[dict[str, Any]]:
        """The rows of a ticket's approvals, of all rounds."""
        found: list[dict[str, Any]] = self.halo("GET", f"/TicketApproval?ticket_id={ticket}")
        return found

    def agents_of(self, one: Someone) -> list[dict[str, Any]]:
        """Details of Halo's agents with this person's mail, disabled ones too."""
        rows = self.halo("GET", "/Agent?includedisabled=true&includeenabled=true")
        mine = [row["id"] for row in (rows if isinstance(rows, list) else rows["results"]) if str(row["email"]).lower() == one.mail.lower()]
        return [self.agent_detail(number) for number in mine]

    def roles_of(self, one: Someone) -> list[str]:
        """Names of the roles of this person's enabled agents, sorted."""
        names = {str(row["id"]): row["name"] for row in self.halo("GET", "/Roles")}
        live = [agent for agent in self.agents_of(one) if not agent["isdisabled"]]
        return sorted(names[str(role.get("id", role.get("role_id")))] for agent in live for role in agent["roles"])

    def notes(self, ticket: int) -> str:
        """What was said on a ticket, hidden notes included."""
        answer = self.halo("GET", f"/Actions?ticket_id={ticket}&count=100")
        rows = answer if isinstance(answer, list) else answer["actions"]
        return "\n".join(str(row.get("note") or "") for row in rows)

    def halo_faults(self, *rules: dict[str, Any]) -> None:
        """Replace Halo's fault rules."""
        self._http.put(f"{self.halo_url}/_faults", json=list(rules)).raise_for_status()

    def halo_calls(self) -> list[dict[str, Any]]:
        """Calls that Halo received."""
        calls: list[dict[str, Any]] = self._http.get(f"{self.halo_url}/_calls").json()
        return calls

    def tickets(self, text: str = "") -> list[dict[str, Any]]:
        """Rows of all tickets, open and closed, whose summary holds ``text``, lowest id first."""
        rows: dict[int, dict[str, Any]] = {}
        page = 1
        while True:
            answer = self.halo("GET", f"/Tickets?pageinate=true&page_no={page}&page_size=100")
            fresh = {row["id"]: row for row in answer["tickets"] if row["id"] not in rows}
            if not fresh:
                break
            rows |= fresh
            page += 1
        return [row for _, row in sorted(rows.items()) if text in row["summary"]]

    def tickets_of(self, one: Someone, kind: str = "") -> list[dict[str, Any]]:
        """Rows of tickets that name this person (and start with this kind)."""
        # Somebody else's name may begin with theirs; a key follows theirs in brackets, or a date.
        named = re.compile(rf": {re.escape(one.name)}(?! [A-Z])")
        return [row for row in self.tickets(one.name) if row["summary"].startswith(kind) and named.search(row["summary"])]

    def ticket(self, number: int) -> dict[str, Any]:
        """A ticket with its details."""
        found: dict[str, Any] = self.halo("GET", f"/Tickets/{number}?includedetails=true")
        return found

    def users_of(self, one: Someone) -> list[dict[str, Any]]:
        """Details of Halo's users for this person, inactive ones too."""
        rows = self.halo("GET", "/Users?includeinactive=true&count=5000")["users"]
        wanted = one.mail.lower()
        return [
            self.halo("GET", f"/Users/{row['id']}?includedetails=true")
            for row in rows
            if str(row.get("emailaddress", "")).lower() == wanted or row.get("azureoid") == one.id
        ]

    def role(self, name: str) -> str:
        """Id of an agents' role."""
        return str(next(row["id"] for row in self.halo("GET", "/Roles") if row["name"] == name))

    def agent(self, one: Someone, *roles: str) -> int:
        """Make an agent with this person's mail; its id."""
        body = {"name": one.name, "email": one.mail, "roles": [{"id": self.role(name)} for name in roles]}
        return int(self.halo("POST", "/Agent", [body])["id"])

    def agent_detail(self, number: int) -> dict[str, Any]:
        """An agent with its roles."""
        found: dict[str, Any] = self.halo("GET", f"/Agent/{number}?includedetails=true")
        return found

    def _call(self, root: str, sign_in: str, form: dict[str, str], method: str, path: str, body: Any) -> Any:
        for attempt in (1, 2):
            if root not in self._tokens:
                granted = self._http.post(f"{root}{sign_in}", data=form)
                granted.raise_for_status()
                self._tokens[root] = granted.json()["access_token"]
            answer = self._http.request(method, f"{root}{path}", json=body, headers={"Authorization": f"Bearer {self._tokens[root]}"})
            if answer.status_code == httpx.codes.UNAUTHORIZED and attempt == 1:
                del self._tokens[root]
                continue
            break
        if answer.is_error:
            raise httpx.HTTPStatusError(
                f"{method} {path}: {answer.status_code} {answer.text[:500]}", request=answer.request, response=answer
            )
        return answer.json() if answer.content else None
