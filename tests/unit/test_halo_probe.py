"""A probe finds out what one Halo does differently, says so in a profile, and leaves nothing behind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from halo_sandbox import AGENT, BOSS, ROLE, USER, Sandbox, not_well, step
from halo_tenant import ALEX, KEY, WITHIN

from adapters.halo.tenant_profile import TenantProfile
from joinery.domain.person import Manager
from joinery.domain.tickets import (
    AddNote,
    AskApproval,
    CloseTicket,
    EndTicket,
    EnsureAgent,
    EnsureApprover,
    EnsureUser,
    OpenTicket,
    SetRoles,
    UpdateUser,
    Verdict,
)

CONTRACT = Path(__file__).resolve().parents[2] / ".." / "shared" / "contracts" / "haloitsm.json"
A_GUID = "00000000-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def probed() -> Iterator[tuple[Sandbox, dict[str, Any], Any]]:
    """One probe of a Halo with usual habits, for the tests that only look: the desk, what was there before, what came of it."""
    halo = Sandbox()
    before = halo.world()
    halo.http.delete("/_calls")
    result = halo.probe()
    halo.calls_of_probe = halo.http.get("/_calls").json()
    yield halo, before, result
    halo.stand_in.stop()


def differs(profile: TenantProfile) -> dict[str, Any]:
    """The habits that are not the usual ones."""
    usual = TenantProfile()
    return {one.name: getattr(profile, one.name) for one in fields(profile) if getattr(profile, one.name) != getattr(usual, one.name)}


# --- a Halo with usual habits ---


def test_in_a_halo_with_usual_habits_all_fifteen_steps_go_well_and_the_profile_is_the_default(probed: Any) -> None:
    halo, _, result = probed
    assert not_well(result) == {}
    assert tuple(halo.told) == result.steps
    assert [one.number for one in result.steps] == list(range(1, 16))
    assert (result.profile, result.version) == (TenantProfile(), "2.250.1")
    assert result.suggested_lag.total_seconds() == 60, "that one was found at once is no reason to wait less than usual"


def test_whatever_a_probe_touched_is_as_it_was(probed: Any) -> None:
    halo, before, result = probed
    assert result.left == ()
    assert halo.world() == before
    [ticket] = halo.get("/Tickets")["tickets"]
    assert ticket["hasbeenclosed"]


def test_every_call_of_a_probe_is_in_the_published_schema(probed: Any) -> None:
    """Names of parameters and members too: the pretend Halo of these tests refuses any that is not."""
    if not CONTRACT.exists():
        pytest.skip("the vendor's published schema is not beside this checkout")
    halo, _, _ = probed
    paths = json.loads(CONTRACT.read_text(encoding="utf-8"))["paths"]
    patterns = [(re.compile(re.sub(r"{\w+}", "[^/&]+", path), re.IGNORECASE), operations) for path, operations in paths.items()]
    calls = {(call["method"], call["path"]) for call in halo.calls_of_probe if call["path"].startswith("/api/")}
    unknown = {
        (method, path) for method, path in calls if not any(method in known and pattern.fullmatch(path) for pattern, known in patterns)
    }
    assert unknown == {("GET", "/api/InstanceInfo"), ("GET", "/api/authinfo")}, "what needs no token is not in the schema"


def test_a_probe_costs_about_eighty_calls(probed: Any) -> None:
    halo, _, _ = probed
    assert 60 <= len(halo.calls_of_probe) <= 90
    assert {call["status"] for call in halo.calls_of_probe} <= {200, 201}


def test_what_no_probe_can_measure_is_not_called_measured(probed: Any) -> None:
    _, _, result = probed
    names = {one.name for one in fields(TenantProfile)}
    # A tenant that is not named, an agent without any id, and what only a tenant's history or a human knows.
    assert names - result.measured == {"tenant_in", "window_seconds", "poll_minutes", "match_fields", "write_flags"}


def test_a_probe_says_ids_and_neither_names_nor_addresses_nor_secrets(probed: Any, caplog: pytest.LogCaptureFixture) -> None:
    _, _, result = probed
    said = json.dumps([(one.saw, one.remedy) for one in result.steps]) + caplog.text
    for private in ("@", "Test User", "Test Boss", "Test Agent", "127.0.0.1", "halo.test"):
        assert private not in said


def test_nobody_is_touched_whom_the_plan_does_not_name(made: Callable[..., Sandbox]) -> None:
    halo = made()
    result = halo.probe(user="", agent="", approver="", webhook_url="")
    assert not_well(result) == dict.fromkeys((8, 9, 10, 11, 12), "skipped")
    assert all(step(result, number).remedy for number in (8, 10, 11, 12))
    written = {call["path"] for call in halo.http.get("/_calls").json() if call["method"] != "GET" and call["path"].startswith("/api/")}
    assert written >= {"/api/Tickets", "/api/Actions"}
    assert halo.get("/UserChange", count=50)["changes"] == halo.get("/UserChange", count=2)["changes"], "only what made the two users"


def test_an_approval_that_nobody_is_there_to_answer_is_started_and_taken_back(made: Callable[..., Sandbox]) -> None:
    halo = made()
    result = halo.probe(answer=None)
    assert not_well(result) == {9: "skipped"}
    assert "a person has to answer" in step(result, 9).saw
    assert result.measured.isdisjoint({"approved", "rejected"})
    assert halo.get("/TicketApproval") == [], "nobody is asked any more"


# --- other habits ---


@pytest.mark.parametrize(
    ("switches", "learned"),
    [
        ({"page_cap": 5, "application_named": True}, {"page_size": 5, "application": "Joinery for Halo"}),
        ({"closes_by": "status"}, {"close_by": "status"}),
        ({"closes_by": "action"}, {"close_by": "action"}),
        ({"closes_by": "outcome"}, {"close_by": "action", "close_outcome": "Close Request"}),
        ({"approved_code": 10, "rejected_code": 20}, {"approved": (10,), "rejected": (20,)}),
        ({"roles_mode": "take"}, {"role_mode": "add_roles"}),
        ({"unkept_user_members": ["azureoid", "manager_email"]}, {"directory_field": "third_party_guid", "manager_field": "none"}),
        # What the adapter copes with by itself is no habit that a profile has to name.
        ({"pending_is_null": True, "rewrites_html": True, "agent_envelope": "bare", "utc_offset": 330, "user_rows": "published"}, {}),
    ],
)
def test_the_profile_that_comes_out_is_the_habit_that_was_switched_on(
    made: Callable[..., Sandbox], switches: dict[str, Any], learned: dict[str, Any]
) -> None:
    halo = made(**switches)
    before = halo.world()
    result = halo.probe()
    assert not_well(result) == {}
    assert differs(result.profile) == learned
    assert learned.keys() <= result.measured
    assert (halo.world(), result.left) == (before, ())


@pytest.mark.parametrize("place", ["query", "form"])
def test_the_tenant_is_named_where_the_desk_wants_it(made: Callable[..., Sandbox], place: str) -> None:
    other = {"query": "form", "form": "query"}[place]
    result = made(tenant="local", tenant_in=place, profile=TenantProfile(tenant_in=other, poll_minutes=9)).probe()
    assert not_well(result) == {}
    assert result.profile == TenantProfile(tenant_in=place, poll_minutes=9), "what is not measured stays as it was"
    assert "tenant_in" in result.measured


@pytest.mark.parametrize("change", ["not searchable", "gone"])
def test_a_way_that_does_not_find_a_ticket_is_no_way(made: Callable[..., Sandbox], change: str) -> None:
    halo = made()
    if change == "gone":
        halo.http.delete("/api/FieldInfo/210")
    else:
        halo.post("/FieldInfo", id=210, searchable=False)
    result = halo.probe()
    assert not_well(result) == {}
    assert differs(result.profile) == {"strategies": ("summary", "recent")}
    assert "not by field" in step(result, 6).saw


def test_a_search_that_lags_is_measured_and_a_longer_lag_suggested(made: Callable[..., Sandbox]) -> None:
    halo = made()
    halo.faults({"match": {"method": "POST", "path": "/api/Tickets"}, "fault": "index_lag", "delay": 25, "times": 1})
    result = halo.probe()
    assert not_well(result) == {}
    assert result.search_lag is not None and result.suggested_lag is not None
    assert 25 <= result.search_lag.total_seconds() <= 31
    assert result.suggested_lag == 3 * result.search_lag


def test_a_version_in_another_member_and_another_authorisation_server_are_seen(made: Callable[..., Sandbox]) -> None:
    halo = made()
    pages = {"/InstanceInfo": {"VersionNumber": 2.236}, "/authinfo": {"auth_url": "https://elsewhere.example/auth"}}
    halo.becomes = lambda path, body: pages.get(path, body)
    result = halo.probe()
    assert (not_well(result), result.version) == ({}, "2.236")
    assert step(result, 1).saw == "version 2.236; tokens come from another one than JOINERY_HALO_AUTH_URL"


def test_an_outcome_that_was_renamed_is_known_by_its_new_name(made: Callable[..., Sandbox]) -> None:
    halo = made()
    halo.post("/Outcome", id=7, outcome="Remark", buttonname="Remark")
    assert differs(halo.probe().profile) == {"note_outcomes": ("Remark",)}


@pytest.mark.parametrize(
    ("held", "learned"),
    [(A_GUID, {}), ("crm-42", {"match_fields": ("email",)})],
)
def test_what_an_agent_holds_where_a_directory_id_might_stand_says_whose_it_is(
    made: Callable[..., Sandbox], held: str, learned: dict[str, Any]
) -> None:
    halo = made()
    halo.post("/Agent", id=halo.agent, third_party_guid=held)
    result = halo.probe()
    assert (differs(result.profile), "match_fields" in result.measured) == (learned, True)


def test_the_member_that_an_import_has_filled_is_the_one_that_holds_a_manager(made: Callable[..., Sandbox]) -> None:
    halo = made()
    halo.post("/Users", id=halo.user, admanager="boss@contoso.com")
    assert differs(halo.probe().profile) == {"manager_field": "admanager"}


def test_of_several_outcomes_that_close_the_one_that_the_profile_names_is_tried_first(made: Callable[..., Sandbox]) -> None:
    halo = made(closes_by="outcome", profile=TenantProfile(close_outcome="Finis"))
    halo.post("/Outcome", outcome="Finis", newstatus=9)
    assert differs(halo.probe().profile) == {"close_by": "action", "close_outcome": "Finis"}


def test_a_custom_field_that_the_profile_names_is_tried_before_halos_own_members(made: Callable[..., Sandbox]) -> None:
    halo = made(profile=TenantProfile(directory_field="CFentraId"))
    halo.post("/FieldInfo", name="CFentraId", label="Entra id")
    before = halo.world()["user"]
    result = halo.probe()
    assert (not_well(result), differs(result.profile)) == ({}, {"directory_field": "CFentraId"})
    kept = {one["name"]: one["value"] for one in halo.world()["user"]["customfields"]}
    assert (kept, halo.world()["user"] | {"customfields": []}) == ({"CFentraId": ""}, before)


def test_a_webhook_that_does_not_say_who_did_it_leaves_the_actors_as_they_were(made: Callable[..., Sandbox]) -> None:
    result = made(webhook_payload="keys").probe()
    assert (not_well(result), differs(result.profile), "actors" in result.measured) == ({}, {}, False)
    assert "who did it is not said" in step(result, 10).saw


def test_what_is_posted_about_another_ticket_meanwhile_is_left_alone(made: Callable[..., Sandbox]) -> None:
    halo = made()
    another = {"entity_id": 999, "requestbody": '{"number": 1, "who": "joinery"}'}
    halo.becomes = lambda path, body: {"events": [another, *body["events"]]} if path == "/WebhookEvent" else body
    result = halo.probe()
    assert (not_well(result), differs(result.profile)) == ({}, {})


def test_other_names_in_what_a_webhook_posts_are_found(made: Callable[..., Sandbox]) -> None:
    halo = made()

    def becomes(path: str, body: Any) -> Any:
        if path != "/WebhookEvent":
            return body
        number = halo.get("/Tickets")["tickets"][0]["id"]
        posted = [{"ref": {"ticketNumber": number}, "doneBy": {"app": "Joinery"}}]
        return {"events": [{"entity_id": number, "requestbody": json.dumps(posted)}]}

    halo.becomes = becomes
    result = halo.probe()
    assert not_well(result) == {10: "failed"}
    assert step(result, 10).remedy == "Set JOINERY_DESK_WEBHOOK_MEMBERS to ref.ticketNumber."
    result = halo.probe(webhook_members=("ref.ticketNumber",))
    assert (not_well(result), differs(result.profile)) == ({}, {"actors": ("doneBy.app",)})


# --- the adapter with what was found ---


def test_with_the_profile_that_a_probe_found_the_desk_does_what_joinery_asks(made: Callable[..., Sandbox]) -> None:
    halo = made(
        tenant="local",
        tenant_in="form",
        page_cap=5,
        closes_by="outcome",
        approved_code=10,
        rejected_code=20,
        roles_mode="take",
        unkept_user_members=["azureoid", "manager_email"],
        application_named=True,
    )
    halo.post("/Outcome", id=7, outcome="Remark", buttonname="Remark")
    person = ALEX.evolve(manager=Manager(id=A_GUID, mail="boss@contoso.com"))
    result = halo.probe()
    assert not_well(result) == {}
    halo.profile = result.profile
    desk = halo.new_desk()

    def done(order: Any) -> Any:
        made = desk.perform(order, KEY, within=WITHIN)
        seen = desk.read_back(order, KEY, made)
        assert seen.ok, seen.detail
        return made

    user = done(EnsureUser(person=person))
    done(UpdateUser(person=person, user_id=user.id))
    boss = done(EnsureApprover(person=ALEX.evolve(id=A_GUID, mail=BOSS, user_principal_name=BOSS)))
    ticket = done(OpenTicket(kind="role", person=person, user_id=user.id, summary="A role", details=""))
    assert [found.id for found in desk.find(OpenTicket(kind="role", person=person, user_id=None, summary="", details=""), KEY)] == [
        ticket.id
    ]
    done(AddNote(ticket_id=ticket.id, text="x"))
    done(AskApproval(ticket_id=ticket.id, user_ids=(boss.id,)))
    halo.answer(int(ticket.id), True)
    assert [answer.verdict for answer in desk.ticket_state(ticket.id).answers] == [Verdict.APPROVED]
    agent = done(EnsureAgent(person=person))
    done(SetRoles(person=person, agent_id=agent.id, roles=(ROLE,), ours=(ROLE, "Service Desk")))
    done(SetRoles(person=person, agent_id=agent.id, roles=(ROLE, "Service Desk"), ours=(ROLE, "Service Desk")))
    done(SetRoles(person=person, agent_id=agent.id, roles=("Service Desk",), ours=(ROLE, "Service Desk")))
    done(EndTicket(ticket_id=ticket.id, text="Granted."))
    second = desk.perform(
        OpenTicket(kind="move", person=person, user_id=user.id, summary="A move", details=""), f"{KEY[:-1]}A", within=WITHIN
    )
    done(CloseTicket(ticket_id=second.id))
    assert {USER, AGENT}.isdisjoint({person.mail})
