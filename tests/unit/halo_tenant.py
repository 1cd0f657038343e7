"""A pretend Halo in process with a desk on it, for the tests of the adapter."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from adapters.halo.client import HaloClient
from adapters.halo.desk import HaloServiceDesk
from adapters.halo.tenant_profile import TenantProfile
from joinery.domain.person import Person
from joinery.domain.policy import DeskPolicy
from joinery.domain.tickets import EnsureUser, OpenTicket
from simulators.clock import SimClock
from simulators.door import ConnectionDropped
from simulators.halo import create_halo

KEY = "local-K5WXGZLTMVRXE4TF"
WITHIN = timedelta(seconds=10)

ALEX = Person(
    id="6b1f0a2e-5a3c-4f5d-9a65-7f3f1f0c9d10",
    user_principal_name="alex.example@contoso.com",
    mail="alex.example@contoso.com",
    display_name="Alex Example",
    given_name="Alex",
    surname="Example",
    job_title="Analyst",
    department="Finance",
    office_location="Harbour",
)
ENSURE = EnsureUser(person=ALEX)
TICKET = OpenTicket(kind="onboarding", person=ALEX, user_id=None, summary="New starter: Alex Example", details="Start: soon")


class TickingClock(SimClock):
    def monotonic(self) -> float:
        return self.now().timestamp()


class Halo:
    """A pretend Halo in process with a desk on it; ``deaf_to`` names query parameters that it ignores, ``hides`` members of single agents."""

    def __init__(self, policy: DeskPolicy | None = None, profile: TenantProfile | None = None, tenant: str = "", **switches: Any) -> None:
        self.clock = TickingClock(datetime(2026, 11, 23, 9, 0, tzinfo=UTC), frozen=True)
        self.stand_in = create_halo(None, self.clock, **({"strict": "everybody"} | switches))
        self.deaf_to: set[str] = set()
        self.hides: Callable[[dict[str, Any]], dict[str, Any]] | None = None
        self.before: Callable[[httpx.Request], None] = lambda request: None
        self._wire: httpx.BaseTransport = httpx.WSGITransport(app=self.stand_in.wsgi)
        self.http = httpx.Client(transport=self._wire, base_url="http://halo.test", trust_env=False)
        self.http.headers["authorization"] = self.token(grant_type="client_credentials")
        self.profile = profile
        self.tenant = tenant
        self.desk = self.new_desk(policy)

    def new_desk(self, policy: DeskPolicy | None = None, **options: Any) -> HaloServiceDesk:
        self.client = HaloClient(
            "http://halo.test/api",
            "http://halo.test/auth",
            "joinery",
            "local",
            tenant=self.tenant,
            transport=httpx.MockTransport(self._send),
            clock=self.clock,
            profile=self.profile,
            sleep=lambda seconds: self.clock.advance(timedelta(seconds=seconds)),
        )
        return HaloServiceDesk(self.client, policy or DeskPolicy(), deployment="local", search_lag=timedelta(seconds=2), **options)

    def token(self, **form: str) -> str:
        """A header that signs in, whichever way this Halo wants its tenant named."""
        said = {"client_id": "local", "client_secret": "local", "scope": "all", "tenant": "local"}
        answer = self.http.post("/auth/token", params={"tenant": "local"}, data=said | form)
        return f"Bearer {answer.json()['access_token']}"

    def _send(self, request: httpx.Request) -> httpx.Response:
        self.before(request)
        if self.deaf_to and request.method == "GET":
            kept = [(name, value) for name, value in request.url.params.multi_items() if name not in self.deaf_to]
            request = httpx.Request("GET", request.url.copy_with(params=kept), headers=request.headers)
        try:
            answer = self._wire.handle_request(request)
        except ConnectionDropped as dropped:
            raise httpx.RemoteProtocolError("dropped") from dropped
        answer.read()
        if self.hides is not None and request.method == "GET" and request.url.path.startswith("/api/Agent/"):
            return httpx.Response(answer.status_code, json=self.hides(answer.json()))
        return answer

    def post(self, path: str, **row: Any) -> dict[str, Any]:
        answer = self.http.post(f"/api{path}", json=[row])
        assert answer.is_success, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def get(self, path: str, **query: Any) -> Any:
        return self.http.get(f"/api{path}", params=query).json()

    def calls(self, action: Callable[[], object]) -> list[str]:
        """The calls that an action costs, without the token."""
        self.http.delete("/_calls")
        action()
        return [f"{call['method']} {call['path']}" for call in self.http.get("/_calls").json() if call["path"] != "/auth/token"]


def a_user(halo: Halo, **fields: Any) -> int:
    row = {"name": "Somebody Else", "emailaddress": "somebody@contoso.com", "site_id": 18, **fields}
    return int(halo.post("/Users", **row)["id"])
