"""Drives the stand-ins through their own public APIs, as anything that can talk to Graph or Halo could."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx


class GraphDriver:
    """An administrator of the pretend tenant. Raises httpx.HTTPStatusError where Graph says no."""

    def __init__(self, url: str, *, tenant: str = "local", transport: httpx.BaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        self._tenant = tenant
        self._http = httpx.Client(base_url=self.url, transport=transport, trust_env=False, timeout=30)
        self._token = ""

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call below ``/v1.0``; the decoded answer, or None where there is no body."""
        answer = self._send(method, path, body)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._token = ""
            answer = self._send(method, path, body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def _send(self, method: str, path: str, body: Any) -> httpx.Response:
        if not self._token:
            form = {"grant_type": "client_credentials", "client_id": "local", "client_secret": "local", "scope": f"{self.url}/.default"}
            granted = self._http.post(f"/{self._tenant}/oauth2/v2.0/token", data=form)
            granted.raise_for_status()
            self._token = granted.json()["access_token"]
        return self._http.request(method, f"/v1.0{path}", json=body, headers={"Authorization": f"Bearer {self._token}"})

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

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class HaloDriver:
    """An agent of the pretend desk, as the client ``local``. Raises httpx.HTTPStatusError where Halo says no."""

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(base_url=self.url, transport=transport, trust_env=False, timeout=30)
        self._token = ""

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call below ``/api``; the decoded answer, or None where there is no body."""
        answer = self._send(method, path, body)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._token = ""
            answer = self._send(method, path, body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def _send(self, method: str, path: str, body: Any) -> httpx.Response:
        if not self._token:
            form = {"grant_type": "client_credentials", "client_id": "local", "client_secret": "local", "scope": "all"}
            granted = self._http.post("/auth/token", data=form)
            granted.raise_for_status()
            self._token = granted.json()["access_token"]
        return self._http.request(method, f"/api{path}", json=body, headers={"Authorization": f"Bearer {self._token}"})

    def faults(self, rules: list[dict[str, Any]]) -> None:
        """Replace the fault rules."""
        self._http.put("/_faults", json=rules).raise_for_status()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
