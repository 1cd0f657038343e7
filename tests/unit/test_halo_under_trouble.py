"""One story at a pretend Halo with every habit and fault it has: what stands on the desk in the end is the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from halo_tenant import ALEX, ENSURE, KEY, WITHIN, Halo, a_user

from joinery.domain.tickets import (
    AddNote,
    AskApproval,
    DeactivateUser,
    EndTicket,
    EnsureAgent,
    FindUser,
    OpenTicket,
    Order,
    RetireAgent,
    SetRoles,
    ToDo,
)
from joinery.errors import OutcomeUnknown, TryLater

T = TypeVar("T")
OURS = ("Service Desk", "Change Manager")
READS = {"match": {"method": "GET"}, "times": None}
#: What a Halo may be like (switches) and do (fault rules); every rule goes on for ever.
TROUBLES: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "filters are ignored": ({}, [{"fault": "filter_ignored", **READS}]),
    "every page is the first": ({}, [{"fault": "page_repeated", **READS}]),
    "counts are 0": ({}, [{"fault": "wrong_count", **READS}]),
    "counts are far too high": ({}, [{"fault": "wrong_count", "body": 9999, **READS}]),
    "all lists lie": ({}, [{"fault": fault, **READS} for fault in ("filter_ignored", "page_repeated", "wrong_count")]),
    "tokens are revoked": ({}, [{"fault": "token_revoked", "after": at} for at in range(3, 90, 6)]),
    "tokens live for a moment": ({"token_lifetime": 1}, []),
    "gateways fail": (
        {},
        [{"fault": "status", "status": status, "probability": 0.15, "seed": status, **READS} for status in (502, 503, 504)],
    ),
    "it is busy": ({}, [{"fault": "throttle", "times": None, "probability": 0.2, "seed": 2, "retry_after": 1}]),
    "answers are lost": ({}, [{"fault": "lost_response", "times": None, "probability": 0.2, "seed": 3}]),
    "requests are lost": ({}, [{"fault": "lost_request", "times": None, "probability": 0.2, "seed": 4}]),
    "the index lags": ({}, [{"fault": "index_lag", "times": None, "delay": 30, "match": {"method": "POST"}}]),
    "dates are local": ({"utc_offset": -480}, []),
    "notes are rewritten": ({"rewrites_html": True}, []),
    "pages are cut": ({"page_cap": 2}, []),
    "what waits is null": ({"pending_is_null": True}, []),
    "agents come bare": ({"agent_envelope": "bare"}, []),
    "the directory id is no filter": ({"azureoid_searchable": False}, []),
    "lists of users are short": ({"user_rows": "published"}, []),
    "unknown ids make new things": ({"unknown_id": "creates"}, []),
    "unknown ids are refused": ({"unknown_id": "refused"}, []),
}


class Story:
    """A joiner, a role with approval, and the leaver, each order done once: looked for before it is repeated."""

    def __init__(self, switches: dict[str, Any], faults: list[dict[str, Any]]) -> None:
        self.halo = Halo(**switches)
        self.boss = str(a_user(self.halo, name="Boss", emailaddress="boss@contoso.com", ischangeapprover2=True))
        for number in range(5):
            self.halo.post("/Tickets", summary=f"printer {number}")
            self.halo.post("/Agent", name=f"Agent {number}", email=f"agent{number}@contoso.com")
        self.halo.http.put("/_faults", json=faults).raise_for_status()

    def persist(self, act: Callable[[], T]) -> T:
        """Until the desk is willing."""
        for _ in range(60):
            try:
                return act()
            except TryLater:
                self.halo.clock.advance(timedelta(seconds=5))
        raise AssertionError("never")

    def do(self, order: Order, key: str = KEY) -> Any:
        """What the engine does: perform, and where no answer came, look before the repeat."""
        desk = self.halo.desk
        for _ in range(30):
            try:
                result = self.persist(lambda: desk.perform(order, key, within=WITHIN))
                break
            except OutcomeUnknown:
                self.halo.clock.advance(timedelta(seconds=90))
                if found := self.persist(lambda: desk.find(order, key)):
                    result = found[0]
                    break
        back = self.persist(lambda: desk.read_back(order, key, result))
        assert back.ok, f"{type(order).__name__}: {back.detail}"
        return result

    def tell(self) -> dict[str, Any]:
        """Go through it, and say what stands on the desk in the end."""
        user = self.do(ENSURE).id
        tasks = (ToDo(text="Laptop", owner="Procurement", when="soon"),)
        joiner = self.do(
            OpenTicket(kind="onboarding", person=ALEX, user_id=user, summary="New", details="d", to_do=tasks), "local-AAAAAAAAAAAAAAAA"
        ).id
        self.do(AddNote(ticket_id=joiner, text="Made by hand."), "local-BBBBBBBBBBBBBBBB")
        role = self.do(OpenTicket(kind="role", person=ALEX, user_id=user, summary="Role", details="d"), "local-CCCCCCCCCCCCCCCC").id
        self.do(AskApproval(ticket_id=role, user_ids=(self.boss,)), "local-DDDDDDDDDDDDDDDD")
        self.halo.clock.advance(timedelta(seconds=60))
        waiting = self.persist(self.halo.desk.awaiting)
        self.approve(role)
        answers = self.persist(lambda: self.halo.desk.ticket_state(role)).answers
        agent = self.do(EnsureAgent(person=ALEX)).id
        self.do(SetRoles(person=ALEX, agent_id=agent, roles=OURS, ours=OURS))
        self.do(EndTicket(ticket_id=role, text="Granted."), "local-EEEEEEEEEEEEEEEE")
        found = self.do(FindUser(person=ALEX)).id
        retired = self.do(RetireAgent(person=ALEX, user_id=user)).ids
        self.do(DeactivateUser(user_id=user))
        self.halo.http.delete("/_faults")
        return {
            "waiting": waiting == {role},
            "answered": [(answer.asked == self.boss, str(answer.verdict), answer.by == self.boss, answer.how) for answer in answers],
            "found": (found == user, retired == (agent,)),
            **self.standing(),
        }

    def approve(self, ticket: str) -> None:
        """The boss answers in the portal, on a network where nothing goes wrong."""
        rules = self.halo.http.get("/_faults").json()
        self.halo.http.delete("/_faults")
        self.halo.clock.advance(timedelta(seconds=120))
        form = {"grant_type": "password", "client_id": "local", "client_secret": "local", "scope": "all", "password": "local"}
        token = self.halo.http.post("/auth/token", data=form | {"username": "boss@contoso.com"}).json()["access_token"]
        rows = self.halo.get(f"/Tickets/{ticket}", includedetails="true")["approvers"]
        said = [{"ticket_id": int(ticket), "seq": row["seq"], "result": 1} for row in rows if row["result"] in (0, None)]
        self.halo.http.post("/api/TicketApproval", json=said, headers={"authorization": f"Bearer {token}"}).raise_for_status()
        self.halo.http.put("/_faults", json=rules).raise_for_status()

    def standing(self) -> dict[str, Any]:
        """Tickets, notes, users and agents, without what a repeat may number anew."""
        form = {"grant_type": "client_credentials", "client_id": "local", "client_secret": "local", "scope": "all"}
        self.halo.http.headers["authorization"] = f"Bearer {self.halo.http.post('/auth/token', data=form).json()['access_token']}"
        self.halo.http.put("/_switches", json={"page_cap": 100, "user_rows": "full"}).raise_for_status()
        self.halo.clock.advance(timedelta(seconds=60))
        tickets = self.halo.get("/Tickets", order="id")["tickets"]
        agents = self.halo.get("/Agent", includedisabled="true", includeroles="true")
        return {
            "tickets": [(row["summary"], row["status_id"], row["hasbeenclosed"]) for row in tickets],
            "notes": [
                row["note"] for ticket in tickets for row in self.halo.get("/Actions", ticket_id=ticket["id"], excludesys="true")["actions"]
            ],
            "users": [
                (row["name"], row["emailaddress"], row["azureoid"], row["inactive"])
                for row in self.halo.get("/Users", includeinactive="true", exclude_generaluser="true")["users"]
            ],
            "agents": sorted(
                (row["email"], row["isdisabled"], len(row["roles"])) for row in (agents if isinstance(agents, list) else agents["results"])
            ),
        }


@pytest.fixture(scope="module")
def untroubled() -> dict[str, Any]:
    story = Story({}, [])
    told = story.tell()
    story.halo.stand_in.stop()
    assert (told["waiting"], told["found"], len(told["tickets"])) == (True, (True, True), 7)
    assert told["answered"] == [(True, "approved", True, "portal")]
    return told


@pytest.mark.parametrize("trouble", TROUBLES)
def test_in_the_end_the_same_stands_on_the_desk_whatever_its_habits_and_troubles(trouble: str, untroubled: dict[str, Any]) -> None:
    story = Story(*TROUBLES[trouble])
    assert story.tell() == untroubled
    story.halo.stand_in.stop()
