"""An office for stories at a pretend Halo: directory, store and queue in memory, and the desk over its wire, where calls are counted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx

from adapters.halo.client import HaloClient
from adapters.halo.desk import HaloServiceDesk
from joinery.domain.person import Manager
from joinery.engine.memory import FakeClock
from joinery.serving import serve
from joinery.testing import World, everyone, person
from simulators.clock import SimClock
from simulators.halo import create_halo, sign_in

#: Lists of names.
NAMES = ("/TicketType", "/Team", "/FieldInfo", "/Client", "/Site", "/Outcome", "/ApprovalProcess", "/Status", "/Roles")

CHANGES = "ITSM-ChangeManagers"
BOB = person("bob")
ADA = person("ada", manager=Manager(id="bob", mail=BOB.mail))


class SameClock(SimClock):
    """The stand-in lives in the moment of the test."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now()


class Office:
    """Directory, store and queue in memory, and a Halo over its wire. Ada works for Bob, whom nobody has made a user."""

    def __init__(self, *, served: bool = False) -> None:
        """``served``: over sockets, for whoever is to visit the same Halo."""
        self.world = World(everyone())
        self.halo = create_halo(None, SameClock(self.world.clock))
        self.http = sign_in(self.halo)
        self.server = serve(self.halo.wsgi) if served else None
        url = self.server.url if self.server else "http://halo.test"
        transport = None if self.server else httpx.WSGITransport(app=self.halo.wsgi)
        self.client = HaloClient(f"{url}/api", f"{url}/auth", "joinery", "local", transport=transport, clock=self.world.clock)
        desk: Any = HaloServiceDesk(self.client, self.world.policy.desk, deployment="test", search_lag=timedelta(seconds=2))
        self.world.desk = desk
        self.world.restart()
        for someone in (BOB, ADA):
            self.world.put(someone)
            self.world.look(someone.id)
        self.world.pass_time(minutes=15)

    def get(self, path: str, **query: Any) -> Any:
        return self.http.get(f"/api{path}", params=query).raise_for_status().json()

    def gains(self, group: str = CHANGES, *, minutes: int = 30) -> None:
        self.world.directory.add_member(f"g-{group}".lower(), "ada")
        self.world.look("ada")
        self.world.pass_time(minutes=minutes)

    def loses(self, group: str = CHANGES, *, minutes: int = 30) -> None:
        self.world.directory.end_membership(f"g-{group}".lower(), "ada")
        self.world.look("ada")
        self.world.pass_time(minutes=minutes)

    def answers(self, result: int, *, minutes: int = 30, note: str = "") -> None:
        """Bob answers in the portal, and the poll hears of it."""
        self.says(self.ticket()["id"], result, note=note)
        self.http.delete("/_calls")
        self.hears(minutes=minutes)

    def says(self, ticket_id: int, result: int, *, note: str = "") -> None:
        """Bob answers on one ticket."""
        [row] = self.get(f"/Tickets/{ticket_id}", includedetails="true")["approvers"]
        answer = [{"ticket_id": ticket_id, "seq": row["seq"], "result": result, "note": note}]
        sign_in(self.halo, username=BOB.mail).post("/api/TicketApproval", json=answer).raise_for_status()

    def hears(self, *, minutes: int) -> None:
        """The poll finds what was answered."""
        self.world.app.poll_approvals()
        self.world.pass_time(minutes=minutes)

    def ticket(self) -> dict[str, Any]:
        [row] = self.get("/Tickets")["tickets"]
        found: dict[str, Any] = self.get(f"/Tickets/{row['id']}", includedetails="true")
        return found

    def agents(self) -> list[tuple[str, list[str], bool]]:
        rows = self.get("/Agent", includedisabled="true", includeroles="true")["results"]
        return [(row["email"], [role["name"] for role in row["roles"]], not row["isdisabled"]) for row in rows]

    def statuses(self) -> list[str]:
        return [str(view.run.status) for view in self.world.runs()]

    def calls(self) -> list[str]:
        """What was called since this was asked last, but for tokens and lists of names."""
        seen = [f"{call['method']} {call['path'].removeprefix('/api')}" for call in self.http.get("/_calls").json()]
        self.http.delete("/_calls")
        return [call for call in seen if not call.endswith((*NAMES, "/token"))]
