"""A whole Joinery whose directory is the pretend Graph, spoken to over HTTP in this process; desk, store and bus are in memory."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import httpx

from adapters.graph.client import GraphClient
from adapters.graph.directory import GraphDirectory
from adapters.graph.intake import GraphIntake
from adapters.graph.token import ClientCredentials
from joinery.domain.policy import Policy
from joinery.engine.envelope import EnvelopeKind, decode
from joinery.testing import World
from simulators.graph import create_graph

BASE = "http://graph.local"


class Company(World):
    """Driven through Graph's public API; its clock is ours."""

    def __init__(self, policy: Policy | None = None) -> None:
        super().__init__(policy)
        self.graph = create_graph(None, notify=False)
        self.graph.clock.set(self.clock.now(), frozen=True)
        transport = httpx.WSGITransport(app=self.graph.wsgi)
        self.tokens = ClientCredentials(
            authority=BASE,
            tenant="local",
            client_id="local",
            client_secret="local",
            scope=f"{BASE}/.default",
            transport=transport,
            clock=self.clock,
        )
        self.hand = httpx.Client(base_url=f"{BASE}/v1.0", transport=transport, headers={"Authorization": f"Bearer {self.tokens.token()}"})

        def pause(seconds: float) -> None:
            self.clock.advance(seconds=seconds)

        client = GraphClient(f"{BASE}/v1.0", self.tokens, transport=transport, clock=self.clock, sleep=pause)
        self.directory = GraphDirectory(client, clock=self.clock)  # type: ignore[assignment]  # the real one in place of the double
        self.intake = GraphIntake(("s3cret",))  # type: ignore[assignment]  # likewise
        self.groups = {name: self.group(name) for name in self.policy.watched_groups}
        self.restart()

    # --- what people do in the directory ---

    def do(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        """A call of an administrator."""
        reply = self.hand.request(method, path, json=body, headers=headers)
        assert reply.is_success, reply.text
        return reply.json() if reply.content else None

    def hire(self, name: str, *groups: str) -> str:
        """An employee, in these groups (names or ids); answers the id."""
        body = {"accountEnabled": True, "displayName": name, "userPrincipalName": f"{name}@contoso.example", "employeeId": f"E-{name}"}
        key = str(self.do("POST", "/users", {**body, "department": "Finance"})["id"])
        for group in groups:
            self.add(group, key)
        return key

    def group(self, name: str, *members: str) -> str:
        """A group with these members; answers the id."""
        key = str(self.do("POST", "/groups", {"displayName": name})["id"])
        for member in members:
            self.add(key, member)
        return key

    def add(self, group: str, member: str) -> None:
        self.do("POST", f"/groups/{self._id(group)}/members/$ref", {"@odata.id": f"{BASE}/v1.0/directoryObjects/{member}"})

    def remove(self, group: str, member: str) -> None:
        self.do("DELETE", f"/groups/{self._id(group)}/members/{member}/$ref")

    def purge(self, person: str) -> None:
        self.do("DELETE", f"/users/{person}")
        self.do("DELETE", f"/directory/deletedItems/{person}")

    def _id(self, group: str) -> str:
        return self.groups.get(group, group)

    # --- the stand-in's own doors ---

    def own(self, method: str, path: str, body: object = None) -> Any:
        reply = self.hand.request(method, f"{BASE}{path}", json=body)
        assert reply.is_success, reply.text
        return reply.json() if reply.content else None

    def switch(self, **switches: object) -> None:
        self.own("PUT", "/_switches", switches)

    def calls(self) -> list[dict[str, Any]]:
        """The calls that the stand-in received since the last time."""
        seen: list[dict[str, Any]] = self.own("GET", "/_calls")
        self.own("DELETE", "/_calls")
        return [call for call in seen if not call["path"].startswith("/_")]

    def notify(self, group: str, *members: dict[str, Any]) -> None:
        """Post what Graph posts about a group whose members changed, and handle it."""
        key = self._id(group)
        data = {"@odata.type": "#Microsoft.Graph.Group", "@odata.id": f"Groups/{key}", "id": key, "members@delta": list(members)}
        one = {
            "changeType": "updated",
            "clientState": "s3cret",
            "resource": f"Groups/{key}",
            "resourceData": data,
            "subscriptionId": "s",
            "subscriptionExpirationDateTime": "2026-02-01T00:00:00+00:00",
            "tenantId": "t",
        }
        assert self.app.accept(json.dumps({"value": [one]}).encode(), content_type="application/json").status == 202
        self.work()

    # --- time, and what came of it ---

    def live(self, by: timedelta | None = None, **units: float) -> None:
        """Let time pass on both clocks."""
        self.pass_time(by, **units)
        self.graph.clock.set(self.clock.now(), frozen=True)

    def sweep(self) -> None:
        self.app.sweep()
        self.work()

    def looked_at(self, since: int) -> list[str]:
        """Whom a look was sent about since a place in what was sent."""
        envelopes = [decode(message.body) for message in self.queue.sent[since:]]
        return [one.subject_id for one in envelopes if one.kind is EnvelopeKind.LOOK and not one.again]

    def mark(self) -> int:
        """This place in what was sent."""
        return len(self.queue.sent)

    def facts(self, person: str) -> list[dict[str, Any]]:
        """The facts that the audit tells of somebody."""
        return [line.record.detail["fact"] for line in self.audit(person) if line.record.action == "fact"]
