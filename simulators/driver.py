"""Drives the stand-ins through their own public APIs, as anything that can talk to Graph or Halo could."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import httpx


class _Driver(ABC):
    """One client of a stand-in, with a token that is fetched when it is needed."""

    _root = ""

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(base_url=self.url, transport=transport, trust_env=False, timeout=30)
        self._token = ""

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call below the API's root; the decoded answer, or None where there is no body."""
        answer = self._send(method, path, body)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._token = ""
            answer = self._send(method, path, body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, method: str, path: str, body: Any) -> httpx.Response:
        self._token = self._token or self._fetch_token()
        return self._http.request(method, f"{self._root}{path}", json=body, headers={"Authorization": f"Bearer {self._token}"})

    def _fetch_token(self) -> str:
        path, scope = self._token_at()
        granted = self._http.post(path, data={"client_id": "local", "scope": scope, **self._sign_in()})
        granted.raise_for_status()
        return str(granted.json()["access_token"])

    def _sign_in(self) -> dict[str, str]:
        """Who asks for a token."""
        return {"grant_type": "client_credentials", "client_secret": "local"}

    @abstractmethod
    def _token_at(self) -> tuple[str, str]:
        """Where tokens are had, and the scope to ask for."""


class GraphDriver(_Driver):
    """An administrator of the pretend tenant; calls are below ``/v1.0``. Raises httpx.HTTPStatusError where Graph says no."""

    _root = "/v1.0"

    def _token_at(self) -> tuple[str, str]:
        return "/local/oauth2/v2.0/token", f"{self.url}/.default"

    def group_id(self, name: str) -> str | None:
        """Id of the group with this display name."""
        quoted = name.replace("'", "''")
        found = self.call("GET", f"/groups?$filter=displayName eq '{quoted}'&$select=id")["value"]
        return str(found[0]["id"]) if found else None

    def make_groups(self, names: Iterable[str]) -> dict[str, str]:
        """Create the groups that do not exist yet; name -> id of all of them."""
        ids = {}
        for name in names:
            nickname = "".join(letter for letter in name if letter.isalnum())[:60] or "group"
            body = {"displayName": name, "mailNickname": nickname, "mailEnabled": False, "securityEnabled": True}
            ids[name] = self.group_id(name) or str(self.call("POST", "/groups", body)["id"])
        return ids

    def add_member(self, group_id: str, user_id: str) -> None:
        """Put somebody into a group."""
        self.call("POST", f"/groups/{group_id}/members/$ref", {"@odata.id": f"{self.url}/v1.0/directoryObjects/{user_id}"})

    def set_manager(self, user_id: str, manager_id: str) -> None:
        """Name somebody's manager."""
        self.call("PUT", f"/users/{user_id}/manager/$ref", {"@odata.id": f"{self.url}/v1.0/users/{manager_id}"})


class HaloDriver(_Driver):
    """An agent of the pretend desk, as the client ``local``; calls are below ``/api``. Raises httpx.HTTPStatusError where Halo says no."""

    _root = "/api"

    def _token_at(self) -> tuple[str, str]:
        return "/auth/token", "all"

    def roles_of(self, mail: str) -> list[str]:
        """Names of the roles of the enabled agents with this address, sorted."""
        answer = self.call("GET", "/Agent?includeroles=true")
        rows = answer if isinstance(answer, list) else answer["results"]
        mine = [row for row in rows if str(row["email"]).casefold() == mail.casefold() and not row["isdisabled"]]
        return sorted({str(role["name"]) for row in mine for role in row["roles"]})

    def faults(self, rules: list[dict[str, Any]]) -> None:
        """Replace the fault rules."""
        self._http.put("/_faults", json=rules).raise_for_status()


class PortalDriver(HaloDriver):
    """Somebody with a name, signed in to the pretend desk. Raises httpx.HTTPStatusError where Halo says no, to signing in as well."""

    def __init__(self, url: str, mail: str) -> None:
        super().__init__(url)
        self._mail = mail

    def _sign_in(self) -> dict[str, str]:
        return {"grant_type": "password", "username": self._mail, "password": "local"}

    def waiting_for_me(self) -> list[dict[str, Any]]:
        """The rows of approvals that this person may answer now."""
        return [row for row in self.call("GET", "/TicketApproval?mine=true") if not row["result"]]

    def approve(self, row: dict[str, Any]) -> None:
        """Say yes."""
        self.call("POST", "/TicketApproval", [{"ticket_id": row["ticket_id"], "seq": row["seq"], "result": 1}])
