"""A pretend Graph in process, and short words for driving it through its public API."""

from pathlib import Path
from typing import Any

import httpx

from simulators.clock import SimClock
from simulators.graph import create_graph

HOST = "http://127.0.0.1:7081"


class Tenant:
    """A client with a token, aimed at a pretend Graph in this process."""

    def __init__(self, data: Path | None = None, **switches: Any) -> None:
        self.clock = SimClock()
        self.graph = create_graph(data, self.clock, **switches)
        self.bare = httpx.Client(transport=httpx.WSGITransport(app=self.graph.wsgi), base_url=HOST)
        self.client = httpx.Client(
            transport=httpx.WSGITransport(app=self.graph.wsgi),
            base_url=HOST + "/v1.0",
            headers={"Authorization": f"Bearer {token(self.bare)}"},
        )

    def person(self, name: str, **props: Any) -> str:
        """A new user; answers the id."""
        body = {"accountEnabled": True, "displayName": name, "userPrincipalName": f"{name}@example.com", **props}
        return str(done(self.client.post("/users", json=body), 201)["id"])

    def group(self, name: str, *members: str, **props: Any) -> str:
        """A new group with these members; answers the id."""
        links = [self.link(member) for member in members]
        return str(done(self.client.post("/groups", json={"displayName": name, "members@odata.bind": links, **props}), 201)["id"])

    def link(self, key: str) -> str:
        """An @odata.id."""
        return f"{HOST}/v1.0/directoryObjects/{key}"

    def add(self, group: str, member: str) -> httpx.Response:
        """POST members/$ref"""
        return self.client.post(f"/groups/{group}/members/$ref", json={"@odata.id": self.link(member)})

    def rows(self, url: str, **headers: str) -> list[dict[str, Any]]:
        """All rows of a list over all its pages."""
        found: list[dict[str, Any]] = []
        while url:
            page = done(self.client.get(url, headers=headers), 200)
            found += page["value"]
            url = page.get("@odata.nextLink", "")
        return found

    def sweep(self, url: str, **headers: str) -> tuple[list[dict[str, Any]], str]:
        """A delta round: its rows and its deltaLink."""
        found: list[dict[str, Any]] = []
        while True:
            page = done(self.client.get(url, headers=headers), 200)
            found += page["value"]
            if "@odata.deltaLink" in page:
                return found, str(page["@odata.deltaLink"])
            url = page["@odata.nextLink"]

    def fault(self, **rule: Any) -> None:
        """One fault rule instead of the present ones."""
        assert self.bare.put("/_faults", json=[{"match": {}, **rule}]).status_code == 200


def token(client: httpx.Client) -> str:
    """A bearer token of the tenant local."""
    form = {
        "grant_type": "client_credentials",
        "client_id": "local",
        "client_secret": "local",
        "scope": "https://graph.microsoft.com/.default",
    }
    return str(done(client.post("/local/oauth2/v2.0/token", data=form), 200)["access_token"])


def done(answer: httpx.Response, status: int) -> Any:
    """The body of an answer that has the status it should have."""
    assert answer.status_code == status, f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
    return answer.json() if answer.content else None


def code(answer: httpx.Response) -> tuple[int, str]:
    """Status and Graph's code of a refusal."""
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "innerError"} and {"request-id", "date"} <= set(error["innerError"])
    return answer.status_code, error["code"]
