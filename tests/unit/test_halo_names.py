"""Names in the policy, ids on the desk; how many calls an order costs, and what happens when time runs out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from halo_tenant import ALEX, ENSURE, KEY, TICKET, WITHIN, Halo, a_user

from adapters.halo.client import HaloClient
from adapters.halo.desk import HaloServiceDesk
from adapters.halo.names import OUTCOME, ROLE, STATUS, TEAM, TICKET_TYPE, Names
from adapters.halo.policy_check import unknown_names
from adapters.system import SystemClock
from joinery.domain.policy import DeskPolicy, Policy, RolePolicy, SiteRule, TicketPolicy
from joinery.domain.tickets import DeactivateUser, OpenTicket, RetireAgent
from joinery.errors import OutcomeUnknown, Refused, TryLater
from joinery.serving import serve


@pytest.fixture
def halo() -> Iterator[Halo]:
    made = Halo()
    yield made
    made.stand_in.stop()


# --- names ---


def test_names_are_found_without_case_and_asked_for_once_an_hour(halo: Halo) -> None:
    names = Names(halo.client)

    def ask() -> None:
        assert names.resolve(TEAM, "service desk", policy_key="team").name == "Service Desk"
        assert names.resolve(TICKET_TYPE, "Onboarding", policy_key="type").id == 31
        assert names.resolve(STATUS, "Closed", policy_key="status").id == 9
        assert isinstance(names.resolve(ROLE, "Change Manager", policy_key="role").id, str)
        assert names.find(OUTCOME, "Private Note", "Internal Note") is not None

    assert len(halo.calls(ask)) == 5
    assert halo.calls(ask) == []
    halo.clock.advance(timedelta(minutes=61))
    assert len(halo.calls(ask)) == 5


def test_a_name_that_came_later_is_found_by_asking_again_once(halo: Halo) -> None:
    names = Names(halo.client)
    names.resolve(TEAM, "Service Desk", policy_key="team")
    halo.post("/Team", name="Night Shift")
    assert names.resolve(TEAM, "Night Shift", policy_key="team").name == "Night Shift"
    with pytest.raises(Refused):
        assert len(halo.calls(lambda: names.resolve(TEAM, "Nobody", policy_key="team"))) == 1


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (
            DeskPolicy(tickets={"onboarding": TicketPolicy(ticket_type="Laptp", team="Service Desk")}),
            r"\[desk.tickets.onboarding\] ticket_type = 'Laptp'.*Onboarding",
        ),
        (
            DeskPolicy(tickets={"onboarding": TicketPolicy(ticket_type="Onboarding", team="Nobody")}),
            r"\[desk.tickets.onboarding\] team = 'Nobody'.*Service Desk",
        ),
        (DeskPolicy(default_client="Fabrikam"), r"\[desk\] default_client = 'Fabrikam'.*Contoso"),
        (DeskPolicy(default_site="Mars"), r"\[desk\] default_site = 'Mars'.*Head Office"),
        (
            DeskPolicy(site_rules=(SiteRule(attribute="department", value="finance", client="Contoso", site="Mars"),)),
            r"site_rules\]\] number 1, site = 'Mars'",
        ),
        (DeskPolicy(site_rules=(SiteRule(attribute="shoeSize", value="9", client="Contoso", site="North"),)), r"attribute = 'shoeSize'"),
    ],
)
def test_a_name_that_the_desk_does_not_have_refuses_and_says_what_there_is(policy: DeskPolicy, said: str) -> None:
    halo = Halo(policy)
    with pytest.raises(Refused, match=said):
        halo.desk.perform(TICKET, KEY, within=WITHIN)
    assert halo.get("/Tickets")["tickets"] == []


def test_a_name_that_does_not_resolve_stops_only_what_needs_it() -> None:
    halo = Halo(DeskPolicy(default_site="Mars"))
    user_id = a_user(halo)
    assert halo.desk.read_back(
        DeactivateUser(user_id=str(user_id)), KEY, halo.desk.perform(DeactivateUser(user_id=str(user_id)), KEY, within=WITHIN)
    ).ok


def test_two_things_of_one_name_are_refused(halo: Halo) -> None:
    halo.post("/Team", name="Twins")
    halo.post("/Team", name="Twins")
    with pytest.raises(Refused, match="2 of the desk's teams"):
        Names(halo.client).resolve(TEAM, "Twins", policy_key="team")


# --- time and cost ---


@pytest.mark.parametrize("within", [timedelta(0), timedelta(seconds=10)])
def test_a_write_whose_preparation_took_too_long_is_not_sent(halo: Halo, within: timedelta) -> None:
    halo.before = lambda request: halo.clock.advance(timedelta(seconds=4))
    with pytest.raises(TryLater):
        halo.desk.perform(TICKET, KEY, within=within)
    assert halo.get("/Tickets")["tickets"] == []


def test_an_id_that_is_refused_is_asked_for_again_at_the_next_try(halo: Halo) -> None:
    halo.desk.perform(TICKET, KEY, within=WITHIN)
    rule = {"match": {"method": "POST", "path": "/api/Tickets"}, "fault": "status", "status": 400, "body": {"Message": "no such type"}}
    halo.http.put("/_faults", json=[rule])
    with pytest.raises(Refused, match="POST /Tickets: 400") as caught:
        halo.desk.perform(TICKET, KEY, within=WITHIN)
    assert "no such type" not in str(caught.value), "the desk's words may name people"
    assert caught.value.said == "no such type"
    assert "GET /api/TicketType" in halo.calls(lambda: halo.desk.perform(TICKET, KEY, within=WITHIN))


@pytest.mark.servers
def test_a_lost_answer_on_a_real_socket_is_unknown_and_the_ticket_is_found(halo: Halo) -> None:
    server = serve(halo.stand_in.wsgi)
    try:
        client = HaloClient(f"{server.url}/api", f"{server.url}/auth", "joinery", "local", clock=SystemClock())
        desk = HaloServiceDesk(client, DeskPolicy(), deployment="local", search_lag=timedelta(0))
        halo.http.put("/_faults", json=[{"match": {"method": "POST", "path": "/api/Tickets"}, "fault": "lost_response"}])
        with pytest.raises(OutcomeUnknown):
            desk.perform(TICKET, KEY, within=WITHIN)
        (found,) = desk.find(TICKET, KEY)
        assert desk.read_back(TICKET, KEY, found).ok
        client.close()
    finally:
        server.close()


def test_what_an_order_costs(halo: Halo) -> None:
    desk = halo.desk
    user = desk.perform(ENSURE, KEY, within=WITHIN)
    order = OpenTicket(kind="onboarding", person=ALEX, user_id=user.id, summary="x", details="")
    first = desk.perform(order, KEY, within=WITHIN)
    desk.find(order, KEY)

    assert halo.calls(lambda: desk.find(order, "local-AAAAAAAAAAAAAAAA")) == ["GET /api/Tickets"] * 4, "field, summary, newest, deleted"
    assert halo.calls(lambda: desk.find(order, KEY)) == ["GET /api/Tickets"] * 3 + [f"GET /api/Tickets/{first.id}"]
    assert halo.calls(lambda: desk.find(order, KEY, quick=True)) == ["GET /api/Tickets", f"GET /api/Tickets/{first.id}"]
    assert halo.calls(lambda: desk.find(order, "local-AAAAAAAAAAAAAAAA", quick=True)) == ["GET /api/Tickets"]
    fresh = desk.perform(order, "local-BBBBBBBBBBBBBBBB", within=WITHIN)
    assert halo.calls(lambda: desk.perform(order, "local-CCCCCCCCCCCCCCCC", within=WITHIN)) == ["POST /api/Tickets"], (
        "the user was just read"
    )
    assert fresh.id != first.id
    assert halo.calls(lambda: desk.read_back(order, KEY, first)) == [f"GET /api/Tickets/{first.id}"]
    assert halo.calls(lambda: desk.perform(DeactivateUser(user_id=user.id), KEY, within=WITHIN)) == ["POST /api/Users"]
    halo.post("/Agent", name="Alex", email=ALEX.mail)
    assert halo.calls(lambda: desk.perform(RetireAgent(person=ALEX), KEY, within=WITHIN)) == [
        "GET /api/Agent",
        "GET /api/Users",
        "POST /api/Agent",
    ], "who is it, is it nobody else's, and the write"


def test_every_name_in_the_policy_that_the_desk_does_not_have_is_found_at_once(halo: Halo) -> None:
    desk = DeskPolicy(
        default_client="Contoso",
        default_site="Moon",
        site_rules=(SiteRule(attribute="department", value="x", client="Nobody", site="Head Office"),),
        tickets={"onboarding": TicketPolicy(ticket_type="Onbording", team="Service Desk")},
        approval_process="None such",
    )
    roles = {"G": RolePolicy(role="Change Manager", team="No team", approval=("manager",)), "H": RolePolicy(role="King")}
    found = unknown_names(halo.client, replace(Policy(), desk=desk, roles=roles), "policy.toml")
    assert [one.place.removeprefix("policy.toml: ") for one in found] == [
        "[desk.tickets.onboarding] ticket_type",
        '[roles."G"] team',
        '[roles."H"] role',
        "[desk] approval_process",
        "[desk] default_site",
        "[[desk.site_rules]] number 1: client",
    ]
    assert "the desk has no such role" in found[2].problem and "Change Manager" in found[2].remedy
