"""A leaver is cut off at the pretend Graph, over HTTP in this process: by the identity that writes, through its troubles, and nobody is deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from graph_company import BASE, Company

from adapters.graph.client import GraphClient
from adapters.graph.directory import GraphDirectory
from adapters.graph.token import ClientCredentials
from joinery.domain.policy import CutOffPolicy
from joinery.testing import everyone

POLICY = replace(everyone(), cut_off=CutOffPolicy(revoke_sessions=True, remove_from_groups=True, keep_groups=("Alumni",)))
LICENCE = {"skuId": "00000000-0000-4000-8000-00000000e5e5", "disabledPlans": []}
SHUT = {
    "By rule": {"groupTypes": ["DynamicMembership"], "membershipRule": 'user.department -eq "Finance"'},
    "On premises": {"onPremisesSyncEnabled": True},
    "Licences": {"assignedLicenses": [LICENCE]},
}


class CuttingCompany(Company):
    """Whoever writes signs in as another application; who made which call is written down."""

    def __init__(self) -> None:
        super().__init__(POLICY)
        #: (who, method and path) of every call of ours.
        self.made: list[tuple[str, str]] = []
        self.writer = ClientCredentials(
            authority=BASE,
            tenant="local",
            client_id="local-writer",
            client_secret="local",
            scope=f"{BASE}/.default",
            transport=httpx.WSGITransport(app=self.graph.wsgi),
            clock=self.clock,
        )
        reading, writing = (self._client(who, tokens) for who, tokens in (("reader", self.tokens), ("writer", self.writer)))
        self.directory = GraphDirectory(reading, writer=writing, clock=self.clock)  # type: ignore[assignment]  # the real one in place of the double
        self.restart()

    def _client(self, who: str, tokens: ClientCredentials) -> GraphClient:
        def noted(environ: dict[str, Any], start: Any) -> Any:
            self.made.append((who, f"{environ['REQUEST_METHOD']} {environ['PATH_INFO'].removeprefix('/v1.0')}"))
            return self.graph.wsgi(environ, start)

        def pause(seconds: float) -> None:
            self.clock.advance(seconds=seconds)

        return GraphClient(f"{BASE}/v1.0", tokens, transport=httpx.WSGITransport(app=noted), clock=self.clock, sleep=pause)

    def ann(self) -> str:
        """Works here, in groups of every kind."""
        ann = self.hire("Ann")
        for name in ("Everybody", "Project", "Alumni"):
            self.group(name, ann)
        for name, traits in SHUT.items():
            self.do("PATCH", f"/groups/{self.group(name, ann)}", traits)
        self.group("Outer", self.group("Inner", ann))
        self.look(ann)
        self.live(minutes=2)
        self.made.clear()
        return ann

    def leaves(self, ann: str, **faults: Any) -> None:
        self.do("PATCH", f"/users/{ann}", {"accountEnabled": False})
        if faults:
            self.own("PUT", "/_faults", [{"match": {}, **faults}])
        self.look(ann)
        for _ in range(60):
            self.live(minutes=1)

    def groups_of(self, person: str) -> set[str]:
        """Directly."""
        return {one["displayName"] for one in self.do("GET", f"/users/{person}/memberOf/microsoft.graph.group?$top=99")["value"]}

    def valid_from(self, person: str) -> Any:
        return self.do("GET", f"/users/{person}?$select=signInSessionsValidFromDateTime")["signInSessionsValidFromDateTime"]

    @property
    def told(self) -> str:
        return "\n".join(note.text for note in self.desk.notes)


@pytest.fixture
def company() -> Iterator[CuttingCompany]:
    made = CuttingCompany()
    yield made
    made.graph.close()


def test_a_leaver_is_cut_off_by_whoever_writes_and_by_nobody_else(company: CuttingCompany) -> None:
    ann = company.ann()
    company.leaves(ann)
    assert str(company.runs()[-1].run.status) == "verified"
    assert company.groups_of(ann) == {"Alumni", *SHUT}
    assert company.valid_from(ann) is not None
    assert company.do("GET", f"/users/{ann}?$select=accountEnabled")["accountEnabled"] is False
    assert "left: Everybody, Inner, Project" in company.told and "still in: Licences (licences hang on it" in company.told
    written = [call for who, call in company.made if who == "writer"]
    assert sorted(call.split()[0] for call in written) == ["DELETE", "DELETE", "DELETE", "POST"]
    assert all(call.endswith("/$ref") for call in written if call.startswith("DELETE"))
    assert not any(call.startswith("DELETE") or "revoke" in call for who, call in company.made if who == "reader")


@pytest.mark.parametrize(
    "trouble",
    [
        {"fault": "done_status", "status": 504, "match": {"method": "DELETE"}},
        {"fault": "status", "status": 404, "match": {"method": "DELETE"}},
        {"fault": "throttle", "retry_after": 30, "match": {"method": "DELETE"}},
        {"fault": "status", "status": 403, "match": {"method": "DELETE"}, "times": 3},
        {"fault": "done_status", "status": 503, "match": {"method": "POST", "path": "/v1.0/users/ANN/revokeSignInSessions"}},
        {"fault": "stale_read", "delay": 60, "times": 3},
    ],
    ids=lambda trouble: f"{trouble['fault']}-{trouble.get('status', '')}-{trouble.get('match', {}).get('method', '')}",
)
def test_trouble_on_the_way_changes_nothing_about_the_end(company: CuttingCompany, trouble: dict[str, Any]) -> None:
    ann = company.ann()
    company.leaves(ann, **json.loads(json.dumps(trouble).replace("ANN", ann)))
    assert str(company.runs()[-1].run.status) == "verified"
    assert company.groups_of(ann) == {"Alumni", *SHUT} and company.valid_from(ann) is not None
    assert "left: Everybody, Inner, Project" in company.told


def test_somebody_whom_graph_shows_enabled_again_is_not_touched(company: CuttingCompany) -> None:
    bob = company.hire("Bob", company.group("Staff"))
    company.look(bob)
    company.live(minutes=2)
    company.made.clear()
    company.do("PATCH", f"/users/{bob}", {"accountEnabled": False})
    company.app.pauses.pause("leaver", "a drill")
    company.look(bob)
    company.do("PATCH", f"/users/{bob}", {"accountEnabled": True})
    company.app.pauses.resume("leaver")
    company.live(minutes=1)
    assert not any(bob in call for who, call in company.made if who == "writer")
