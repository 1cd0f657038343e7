"""What a probe is not sure of it does not write: a profile holds a habit for good, and Joinery goes by it with every ticket."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
from halo_sandbox import ROLE, Sandbox, not_well, step
from test_halo_probe import differs

from adapters.halo.tenant_profile import TenantProfile


def test_an_address_that_somebody_noted_in_a_free_member_makes_no_place_for_managers_of_it(made: Callable[..., Sandbox]) -> None:
    halo = made()
    halo.post("/Users", id=halo.user, other3="deputy@contoso.com")
    result = halo.probe()
    assert differs(result.profile) == {}, "with it, every user's note would be overwritten with their manager"
    assert "other3 holds an address" in step(result, 12).saw and "deputy" not in step(result, 12).saw
    halo = made(profile=TenantProfile(manager_field="other3"))
    halo.post("/Users", id=halo.user, other3="boss@contoso.com", manager_email="boss@contoso.com")
    assert differs(halo.probe().profile) == {"manager_field": "other3"}, "what a person chose stays"


def test_numbers_of_answers_that_the_profile_knows_besides_stay(made: Callable[..., Sandbox]) -> None:
    result = made(profile=TenantProfile(approved=(1, 11), rejected=(2, 12))).probe()
    assert (result.profile.approved, result.profile.rejected) == ((1, 11), (2, 12))


def test_a_count_of_more_rows_than_can_be_seen_says_nothing_about_pages(made: Callable[..., Sandbox]) -> None:
    halo = made()
    halo.becomes = lambda path, body: {"record_count": 400, "tickets": body["tickets"]} if path == "/Tickets" else body
    result = halo.probe()
    assert "page_size" not in result.measured and "not known" in step(result, 6).saw
    halo.becomes = lambda path, body: {"page_size": 1, "tickets": body["tickets"] * 2} if path == "/Tickets" else body
    assert "page_size" not in halo.probe().measured, "it says one row and sends two"


def test_a_desk_whose_searches_found_nothing_in_time_keeps_its_ways_of_searching(made: Callable[..., Sandbox]) -> None:
    halo, asked = made(), list[httpx.Request]()
    halo.before = asked.append

    def searches_nothing(path: str, body: Any) -> Any:
        searched = {"advanced_search", "search_summary"} & asked[-1].url.params.keys()
        return {"record_count": 0, "tickets": []} if path == "/Tickets" and searched else body

    halo.becomes = searches_nothing
    result = halo.probe()
    assert "found not by field, not by summary, by recent" in step(result, 6).saw
    assert "strategies" not in result.measured and result.profile.strategies == ("field", "summary", "recent")


def test_an_effect_that_shows_late_is_not_taken_for_the_next_ways(made: Callable[..., Sandbox]) -> None:
    """The first read after a write shows what was there before: of the agent with the role, of the user, of the closed ticket."""
    halo = made()
    before: dict[str, Any] = {}
    shown: set[str] = set()

    def late(path: str, body: Any) -> Any:
        if path == f"/Agent/{halo.agent}":
            old = before.setdefault(path, body)
            if ROLE in [role["name"] for role in body["roles"]] and path not in shown:
                shown.add(path)
                return old
        if path == f"/Users/{halo.user}" and body.get("azureoid") and "azureoid" not in shown:
            shown.add("azureoid")
            return body | {"azureoid": ""}
        if path == f"/Users/{halo.user}" and body.get("manager_email") and "manager" not in shown:
            shown.add("manager")
            return body | {"manager_email": ""}
        return body

    halo.becomes = late
    result = halo.probe()
    assert (not_well(result), differs(result.profile)) == ({}, {})
    assert shown == {f"/Agent/{halo.agent}", "azureoid", "manager"}


def test_whoever_made_the_ticket_is_not_taken_for_whoever_did_this(made: Callable[..., Sandbox]) -> None:
    """Joinery makes the tickets that it waits for: every answer on one would count as our own doing."""
    halo = made()

    def becomes(path: str, body: Any) -> Any:
        if path != "/WebhookEvent":
            return body
        number = halo.get("/Tickets")["tickets"][0]["id"]
        posted = {"object_id": number, "ticket": {"created_by_application": "Joinery", "who": "Test Boss"}}
        return {"events": [{"entity_id": number, "requestbody": json.dumps(posted)}]}

    halo.becomes = becomes
    result = halo.probe()
    assert (not_well(result), differs(result.profile), "actors" in result.measured) == ({}, {}, False)


def test_a_way_to_close_that_a_person_chose_stays_where_any_other_does_too(made: Callable[..., Sandbox]) -> None:
    halo = made(profile=TenantProfile(close_by="action", close_outcome="Close Request"))
    result = halo.probe()
    assert (not_well(result), result.measured & {"close_by", "close_outcome"}) == ({}, set())
    assert (result.profile.close_by, result.profile.close_outcome) == ("action", "Close Request")


def test_a_token_endpoint_that_stumbles_once_does_not_move_the_tenant(made: Callable[..., Sandbox]) -> None:
    halo = made(tenant="local")
    halo.faults({"match": {"method": "POST", "path": "/auth/token"}, "fault": "status", "status": 500, "times": 1})
    result = halo.probe()
    assert (not_well(result), result.profile.tenant_in) == ({}, "query")
