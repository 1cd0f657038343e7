"""A pretend Halo with the people whom a probe may touch."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
from halo_tenant import Halo, a_user

from adapters.halo.probe import ProbePlan, ProbeResult, ProbeStep, run_probe
from adapters.halo.tenant_profile import TenantProfile
from joinery.domain.policy import DeskPolicy

USER, AGENT, BOSS = "probe.user@contoso.com", "probe.agent@contoso.com", "probe.boss@contoso.com"
ROLE = "Change Manager"


class Sandbox(Halo):
    """Whom a probe may touch, and what is there before and after it."""

    def __init__(self, profile: TenantProfile | None = None, tenant: str = "", **switches: Any) -> None:
        #: What an answer to one of our reads becomes on its way: (path without /api, body) -> body.
        self.becomes: Callable[[str, Any], Any] = lambda path, body: body
        #: The steps of the latest probe, as it told them.
        self.told: list[ProbeStep] = []
        self.calls_of_probe: list[dict[str, Any]] = []
        super().__init__(profile=profile, tenant=tenant, **switches)
        roles = {role["name"]: role["id"] for role in self.get("/Roles")}
        self.user = a_user(self, name="Test User", emailaddress=USER)
        self.boss = a_user(self, name="Test Boss", emailaddress=BOSS, ischangeapprover2=True)
        self.agent = int(self.post("/Agent", name="Test Agent", email=AGENT, roles=[{"id": roles["Read Only"]}])["id"])

    def plan(self, **changes: Any) -> ProbePlan:
        """A plan that names everybody, whom the pretend Halo lets answer, and an address that nothing listens at."""
        everything: dict[str, Any] = {
            "desk": DeskPolicy(),
            "deployment": "local",
            "user": USER,
            "agent": AGENT,
            "role": ROLE,
            "approver": BOSS,
            "answer": self.answer,
            "webhook_url": "http://127.0.0.1:9/desk",
        }
        return ProbePlan(**(everything | changes))

    def probe(self, **changes: Any) -> ProbeResult:
        self.told = []
        return run_probe(self.client, self.plan(**changes), clock=self.clock, pause=self.pause, tell=self.told.append)

    def faults(self, *rules: dict[str, Any]) -> None:
        """Rules that strike for ever, unless they say how often."""
        assert self.http.put("/_faults", json=[{"times": None, **rule} for rule in rules]).is_success

    def refuses(self, *calls: str) -> None:
        """The application lacks the right to these (``POST /Users``): 403, with an empty body as Halo has it."""
        matches = [dict(zip(("method", "path"), call.replace(" ", " /api").split(), strict=True)) for call in calls]
        self.faults(*({"match": match, "fault": "status", "status": 403} for match in matches))

    def _send(self, request: httpx.Request) -> httpx.Response:
        answer = super()._send(request)
        if request.method != "GET" or not answer.is_success:
            return answer
        return httpx.Response(answer.status_code, json=self.becomes(request.url.path.removeprefix("/api"), answer.json()))

    def answer(self, ticket_id: int, approve: bool) -> None:
        """The boss answers the latest round in the portal, with the codes that this desk has."""
        switches = self.http.get("/_switches").json()
        row = self.get("/TicketApproval", ticket_id=ticket_id)[-1]
        said = {"ticket_id": ticket_id, "seq": row["seq"], "result": switches["approved_code" if approve else "rejected_code"]}
        portal = {"authorization": self.token(grant_type="password", username=BOSS, password="local")}
        assert self.http.post("/api/TicketApproval", json=[said], headers=portal).is_success

    def pause(self, seconds: float) -> None:
        """Time goes on, and the desk posts what it has to."""
        self.clock.advance(timedelta(seconds=seconds))
        self.stand_in.deliver_due()

    def world(self) -> dict[str, Any]:
        """What a probe has to leave as it was: the test user, the test agent, the webhooks, and no open ticket."""
        return {
            "user": self.get(f"/Users/{self.user}", includedetails="true"),
            "agent": self.get(f"/Agent/{self.agent}", includedetails="true"),
            "webhooks": self.get("/Webhook"),
            "notifications": self.get("/Notification"),
            "open tickets": self.get("/Tickets", open_only="true")["tickets"],
        }


def step(result: ProbeResult, number: int) -> ProbeStep:
    return result.steps[number - 1]


def not_well(result: ProbeResult) -> dict[int, str]:
    """Number -> state of every step that did not go well."""
    return {one.number: one.state for one in result.steps if one.state != "well"}
