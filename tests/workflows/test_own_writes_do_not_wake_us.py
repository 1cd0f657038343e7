"""What we do on the desk comes back as webhooks and in the poll: told apart from what others do, it costs no call."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from offices import Office

from joinery.engine.desk_door import DeskDoor
from joinery.serving import Served, serve

pytestmark = pytest.mark.servers

SECRET = "0123456789abcdef0123456789abcdef"


class ToldOffice(Office):
    """An office whose Halo posts every event it has to our door; ``ourselves`` is what the door knows of us."""

    def __init__(self, *ourselves: str, **switches: Any) -> None:
        super().__init__()
        door = DeskDoor(secret=SECRET, user="halo", password="halo", ourselves=frozenset(ourselves))
        self.world.app = replace(self.world.app, desk_door=door)
        self.http.put("/_switches", json=switches).raise_for_status()
        self.heard: list[int] = []
        self.served: Served = serve(self._take)
        row = {"name": "all", "url": self.served.url, "authentication_type": 1, "basic_username": "halo", "basic_password": "halo"}
        hook = self.http.post("/api/Webhook", json=[row | {"active": True}]).json()["id"]
        for event in self.get("/Lookup", lookupid=64):
            told = {"webhook_id": hook, "type": -2, "delivery_method": 6, "eventno": event["value2"]}
            self.http.post("/api/Notification", json=[told]).raise_for_status()

    def _take(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        known = base64.b64encode(b"halo:halo").decode()
        reply = self.world.app.desk_event(body, secret=SECRET, authorization=f"Basic {known}")
        self.heard.append(reply.status)
        start_response(f"{reply.status} X", [("Content-Length", "0")])
        return [b""]

    def cost_of_the_news(self) -> list[str]:
        """The calls that everything costs which the webhooks have to tell by now."""
        self.calls()
        self.heard.clear()
        self.halo.deliver_due()
        self.world.pass_time(minutes=2)
        assert set(self.heard) <= {202}
        return self.calls()

    def close(self) -> None:
        self.served.close()
        self.halo.stop()


@pytest.fixture
def offices() -> Iterator[list[ToldOffice]]:
    made: list[ToldOffice] = []
    yield made
    for office in made:
        office.close()


def an_office(offices: list[ToldOffice], *ourselves: str, **switches: Any) -> ToldOffice:
    offices.append(ToldOffice(*ourselves, **switches))
    return offices[-1]


def test_events_that_we_caused_ourselves_cost_no_call(offices: list[ToldOffice]) -> None:
    office = an_office(offices, "joinery")
    office.gains()
    assert (office.cost_of_the_news(), len(office.heard) > 2) == ([], True), "opened, put into another status, approval requested"
    assert office.statuses() == ["open"]


@pytest.mark.parametrize(("ourselves", "switches"), [((), {}), (("joinery",), {"webhook_payload": "keys"})])
def test_events_of_which_it_is_not_said_who_caused_them_cost_one_look(
    offices: list[ToldOffice], ourselves: tuple[str, ...], switches: dict[str, Any]
) -> None:
    office = an_office(offices, *ourselves, **switches)
    office.gains()
    [ticket] = office.get("/Tickets")["tickets"]
    assert set(office.cost_of_the_news()) == {f"GET /Tickets/{ticket['id']}"}
    assert office.statuses() == ["open"]


def test_an_answer_of_somebody_else_wakes_the_run_at_once_and_what_that_writes_wakes_nobody(offices: list[ToldOffice]) -> None:
    office = an_office(offices, "joinery")
    office.gains()
    office.cost_of_the_news()
    office.says(office.ticket()["id"], 1)
    assert f"GET /Tickets/{office.ticket()['id']}" in office.cost_of_the_news()
    office.world.pass_time(minutes=30)
    assert (office.statuses(), [roles for _, roles, _ in office.agents()]) == (["verified"], [["Change Manager"]])
    assert office.cost_of_the_news() == [], "the role was given and the ticket closed by us"


def test_the_poll_costs_its_one_list_after_our_own_writes_and_nothing_when_we_have_closed(offices: list[ToldOffice]) -> None:
    office = an_office(offices, "joinery")
    office.gains()
    office.calls()
    office.hears(minutes=2)
    assert office.calls() == ["GET /Tickets"], "the round that we began is listed as waiting: no look"
    office.says(office.ticket()["id"], 1)
    office.hears(minutes=30)
    assert office.statuses() == ["verified"]
    office.calls()
    office.hears(minutes=2)
    assert office.calls() == []
