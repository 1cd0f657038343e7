"""A probe of a Halo that refuses, misses or breaks off: what it says, what it still does, and that it puts back what it made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from halo_sandbox import ROLE, Sandbox, not_well, step

from adapters.halo.client import HaloClient
from adapters.halo.probe import run_probe
from adapters.halo.tenant_profile import TenantProfile
from joinery.domain.policy import DeskPolicy

AFTER_THE_TICKET = dict.fromkeys((6, 7, 8, 9, 10, 14), "skipped")
NAMED_OTHERWISE = DeskPolicy()


class Killed(BaseException):
    """Somebody pressed Ctrl-C."""


# --- what fails, and what is skipped because of it ---


@pytest.mark.parametrize(
    ("refused", "states"),
    [
        (
            ("GET /InstanceInfo", "GET /Agent/me", "POST /Webhook", "POST /Agent", "POST /Users", "GET /Audit"),
            dict.fromkeys((1, 3, 10, 11, 12, 13), "failed"),
        ),
        (("GET /TicketType",), {4: "failed", 5: "skipped", **AFTER_THE_TICKET}),
        (("POST /Tickets",), {5: "failed", **AFTER_THE_TICKET}),
        (
            ("GET /Tickets", "GET /TicketApproval", "POST /Notification", "GET /Agent"),
            dict.fromkeys((6, 8, 10, 11), "failed") | {9: "skipped"},
        ),
        (("GET /Users", "GET /WebhookEvent"), {8: "failed", 9: "skipped", 10: "failed", 12: "failed"}),
        (("POST /Actions",), {7: "failed", 8: "failed", 9: "skipped", 14: "failed"}),
    ],
)
def test_a_right_that_is_missing_fails_its_step_and_skips_only_what_needs_it(
    made: Callable[..., Sandbox], refused: tuple[str, ...], states: dict[int, str]
) -> None:
    halo = made()
    before = halo.world()
    halo.refuses(*refused)
    result = halo.probe()
    assert not_well(result) == states
    assert result.left == ()
    assert all(one.remedy for one in result.steps if one.state == "failed")
    halo.http.delete("/_faults")
    assert halo.world() == before


def test_without_a_token_nothing_is_tried(made: Callable[..., Sandbox]) -> None:
    halo = made()
    client = HaloClient(
        "http://halo.test/api", "http://halo.test/auth", "joinery", "wrong", transport=httpx.MockTransport(halo._send), clock=halo.clock
    )
    result = run_probe(client, halo.plan(), clock=halo.clock, pause=halo.pause)
    assert not_well(result) == {2: "failed"} | dict.fromkeys(range(3, 16), "skipped")
    assert step(result, 2).saw == "POST /token: 401"
    assert (result.profile, result.measured) == (client.profile, frozenset())


@pytest.mark.parametrize("tenant", ["", "elsewhere"])
def test_a_tenant_that_is_not_named_or_not_known_is_told_from_a_desk_that_is_down(made: Callable[..., Sandbox], tenant: str) -> None:
    halo = made(tenant=tenant, tenant_in="query")
    result = halo.probe()
    assert not_well(result) == {2: "failed"} | dict.fromkeys(range(3, 16), "skipped")
    assert (step(result, 2).saw, "JOINERY_HALO_TENANT" in step(result, 2).remedy) == ("POST /token: 500", True)


def test_an_application_with_the_least_permissions_is_told_what_it_lacks(made: Callable[..., Sandbox]) -> None:
    halo = made()
    before = halo.world()
    client = HaloClient(
        "http://halo.test/api",
        "http://halo.test/auth",
        "joinery",
        "local",
        scope="edit:tickets edit:customers",
        transport=httpx.MockTransport(halo._send),
        clock=halo.clock,
    )
    result = run_probe(client, halo.plan(), clock=halo.clock, pause=halo.pause)
    assert not_well(result) == {10: "failed", 11: "failed"}
    assert (step(result, 10).saw, step(result, 11).saw) == ("POST /Webhook: 403", "POST /Agent: 403")
    assert (halo.world(), result.left) == (before, ())


def test_rounds_that_are_counted_in_another_way_are_noticed(made: Callable[..., Sandbox]) -> None:
    halo = made()
    halo.becomes = lambda path, body: [row | {"actionnumber": 100} for row in body] if path == "/TicketApproval" else body
    result = halo.probe()
    assert not_well(result) == {8: "failed", 9: "skipped"}
    assert step(result, 8).saw == "the round that action 2 started counts as 100"


@pytest.mark.parametrize(
    ("change", "states"),
    [
        (
            {"role": "Archmage", "desk": replace(NAMED_OTHERWISE, approval_process="Conclave"), "user": "nobody@contoso.com"},
            {4: "failed", 8: "skipped", 9: "skipped", 11: "skipped", 12: "failed"},
        ),
        ({"desk": replace(NAMED_OTHERWISE, default_client="Acme")}, {4: "failed", 5: "skipped", **AFTER_THE_TICKET}),
        ({"desk": replace(NAMED_OTHERWISE, closed_status="Shut")}, {4: "failed", 5: "skipped", **AFTER_THE_TICKET}),
        ({"kind": "wedding"}, {4: "failed", 5: "skipped", **AFTER_THE_TICKET}),
        ({"approver": "nobody@contoso.com", "agent": "nobody@contoso.com"}, {8: "failed", 9: "skipped", 11: "failed"}),
        ({"role": "Read Only"}, {11: "failed"}),
    ],
)
def test_what_the_desk_does_not_have_is_named_and_the_rest_is_tried(
    made: Callable[..., Sandbox], change: dict[str, Any], states: dict[int, str]
) -> None:
    halo = made()
    before = halo.world()
    result = halo.probe(**change)
    assert not_well(result) == states
    assert (halo.world(), result.left) == (before, ())
    assert "@" not in " ".join(f"{one.saw} {one.remedy}" for one in result.steps)


def test_a_tenant_without_any_outcome_of_a_note_is_told_which_it_has(made: Callable[..., Sandbox]) -> None:
    halo = made()
    halo.http.delete("/api/Outcome/7")
    result = halo.probe()
    assert not_well(result) == {4: "failed", 7: "skipped", 8: "skipped", 9: "skipped"}
    assert "no outcome leaves a note" in step(result, 4).saw and "Close Request" in step(result, 4).saw
    assert result.profile.close_by == "status", "no action can be left, so none closes"


def test_what_a_profile_cannot_hold_is_not_put_into_one(made: Callable[..., Sandbox]) -> None:
    halo = made()
    halo.post("/Outcome", id=7, outcome="R" * 101, buttonname="")
    result = halo.probe()
    assert not_well(result) == {4: "failed"}
    assert step(result, 4).saw == "what the desk has for notes.outcomes is not a list of names"
    assert result.profile.note_outcomes == ("Private Note", "Internal Note")


def test_success_that_changed_nothing_is_seen(made: Callable[..., Sandbox]) -> None:
    halo = made()
    before = halo.world()
    ignored = {"approval_ignored": "/Actions", "role_change_ignored": "/Agent", "write_ignored": "/Users"}
    posts = [{"fault": fault, "match": {"method": "POST", "path": f"/api{path}"}} for fault, path in ignored.items()]
    halo.faults(*posts, {"fault": "drop_webhook"})
    result = halo.probe()
    assert not_well(result) == {8: "failed", 9: "skipped", 10: "failed", 11: "failed", 12: "failed"}
    assert "started no round" in step(result, 8).saw
    assert step(result, 10).saw == "no delivery about ticket 1 within 60 s"
    assert f"does not have the role {ROLE}" in step(result, 11).saw
    assert "still active" in step(result, 12).saw
    assert (halo.world(), result.left) == (before, ())


@pytest.mark.parametrize(
    ("answers", "saw"), [((None, None), "round 2 on ticket 1 still waits"), ((True, True), "says 1 whether it was approved or rejected")]
)
def test_an_approver_who_does_not_answer_as_asked_is_noticed(
    made: Callable[..., Sandbox], answers: tuple[bool | None, ...], saw: str
) -> None:
    halo, given = made(), iter(answers)

    def answer(ticket_id: int, approve: bool) -> None:
        if (said := next(given)) is not None:
            halo.answer(ticket_id, said)

    result = halo.probe(answer=answer)
    assert not_well(result) == {9: "failed"}
    assert saw in step(result, 9).saw
    assert result.measured.isdisjoint({"approved", "rejected"})


def test_answers_the_other_way_round_make_no_profile_in_which_no_means_yes(made: Callable[..., Sandbox]) -> None:
    halo = made()
    result = halo.probe(answer=lambda ticket_id, approve: halo.answer(ticket_id, not approve))
    assert not_well(result) == {9: "failed"}
    assert "the other way round" in step(result, 9).saw
    assert (result.profile.approved, result.profile.rejected) == ((1,), (2,))
    assert result.measured.isdisjoint({"approved", "rejected"})


def test_a_role_that_the_agent_has_is_known_by_its_id_where_no_name_is_listed(made: Callable[..., Sandbox]) -> None:
    halo = made()

    def becomes(path: str, body: Any) -> Any:
        if path.startswith("/Agent") and path != "/Agent/me":
            for agent in body if isinstance(body, list) else body.get("results", [body]):
                agent["roles"] = [{"id": role["id"]} for role in agent.get("roles", [])]
        return body

    halo.becomes = becomes
    result = halo.probe(role="Read Only")
    assert not_well(result) == {11: "failed"}
    assert "has the role already" in step(result, 11).saw
    assert "role_mode" not in result.measured


def test_a_field_that_the_profile_names_is_not_given_up_because_fields_may_not_be_listed(made: Callable[..., Sandbox]) -> None:
    halo = made(profile=TenantProfile(directory_field="CFentraId"))
    halo.post("/FieldInfo", name="CFentraId", label="Entra id")
    halo.refuses("GET /FieldInfo")
    assert halo.probe().profile.directory_field == "CFentraId"


def test_a_user_that_keeps_a_directory_id_nowhere_needs_a_field_of_its_own(made: Callable[..., Sandbox]) -> None:
    halo = made(unkept_user_members=["azureoid", "third_party_guid"])
    result = halo.probe()
    assert not_well(result) == {12: "failed"}
    assert "custom field of users" in step(result, 12).remedy
    assert "directory_field" not in result.measured


def test_a_busy_desk_fails_a_step_and_says_to_come_again(made: Callable[..., Sandbox]) -> None:
    halo = made()
    halo.faults({"match": {"method": "POST", "path": "/api/Users"}, "fault": "throttle", "retry_after": 5})
    result = halo.probe()
    assert (not_well(result), step(result, 12).remedy) == ({12: "failed"}, "Run the probe again when the desk answers.")


# --- what was made is put back, whatever happens ---


@pytest.mark.parametrize(
    ("method", "path", "nth"),
    [
        ("GET", "/Tickets/1", 1),
        ("POST", "/Actions", 2),
        ("POST", "/Notification", 1),
        ("GET", "/WebhookEvent", 1),
        ("POST", "/Agent", 2),
        ("POST", "/Users", 2),
        ("POST", "/Users", 4),
    ],
)
def test_a_probe_that_is_killed_puts_back_what_it_made(made: Callable[..., Sandbox], method: str, path: str, nth: int) -> None:
    halo = made()
    before = halo.world()
    calls: list[str] = []

    def kill(request: httpx.Request) -> None:
        if (request.method, request.url.path) == (method, f"/api{path}"):
            calls.append(path)
            if len(calls) == nth:
                raise Killed

    halo.before = kill
    with pytest.raises(Killed) as killed:
        halo.probe()
    halo.before = lambda request: None
    assert halo.world() == before
    assert not getattr(killed.value, "__notes__", [])
    assert len(halo.get("/Tickets")["tickets"]) == 1


def test_what_a_killed_probe_could_not_put_back_is_said_with_it(made: Callable[..., Sandbox]) -> None:
    halo = made()

    def kill(ticket_id: int, approve: bool) -> None:
        halo.refuses("POST /Tickets")
        raise Killed

    with pytest.raises(Killed) as killed:
        halo.probe(answer=kill)
    assert killed.value.__notes__ == ["Not put back: the ticket: POST /Tickets: 403"]


def test_what_was_being_put_back_when_it_was_stopped_again_is_said(made: Callable[..., Sandbox]) -> None:
    """A second Ctrl-C: the agent has the role still, and nobody may believe otherwise."""
    halo, calls = made(), list[str]()

    def kill(request: httpx.Request) -> None:
        if (request.method, request.url.path) == ("POST", "/api/Agent"):
            calls.append("POST")
            if len(calls) > 1:
                raise Killed

    halo.before = kill
    with pytest.raises(Killed) as killed:
        halo.probe()
    [note] = killed.value.__notes__
    assert note.startswith(f"Not put back: agent {halo.agent}: broken off while it was put back")
    assert halo.get("/Tickets", open_only="true")["tickets"] == [], "the ticket is closed all the same"


def test_the_subscription_of_a_webhook_is_removed_by_itself(made: Callable[..., Sandbox]) -> None:
    halo = made()
    halo.probe()
    removed = [call["path"] for call in halo.http.get("/_calls").json() if call["method"] == "DELETE"]
    assert [path for path in removed if path.startswith("/api/Notification/")], "nobody says that it goes with its webhook"


def test_a_role_that_the_desk_does_not_take_away_is_left_and_said(made: Callable[..., Sandbox]) -> None:
    halo = made(roles_mode="add")
    result = halo.probe()
    assert not_well(result) == {11: "failed"}
    assert f"still has the role {ROLE}" in step(result, 11).saw
    [left] = result.left
    assert (left, left in step(result, 11).saw) == ("agent 4: its roles are not as they were: put them right by hand", True)


def test_a_ticket_that_nothing_closes_is_left_and_said(made: Callable[..., Sandbox]) -> None:
    halo = made(closes_by="outcome")
    halo.http.delete("/api/Outcome/3")
    result = halo.probe()
    assert not_well(result) == {14: "failed"}
    assert len(result.left) == 1 and result.left[0].startswith("the ticket: ")


def test_a_ticket_whose_answer_was_lost_is_found_and_closed(made: Callable[..., Sandbox]) -> None:
    halo = made()
    before = halo.world()
    halo.faults({"match": {"method": "POST", "path": "/api/Tickets"}, "fault": "lost_response", "times": 1})
    result = halo.probe()
    assert not_well(result) == {}
    assert "found after its answer was lost" in step(result, 5).saw
    assert (halo.world(), len(halo.get("/Tickets")["tickets"])) == (before, 1)


def test_a_webhook_whose_making_brought_no_answer_is_removed(made: Callable[..., Sandbox]) -> None:
    halo = made()
    before = halo.world()
    halo.faults({"match": {"method": "POST", "path": "/api/Webhook"}, "fault": "lost_response", "times": 1})
    result = halo.probe()
    assert not_well(result) == {10: "failed"}
    assert (halo.world(), result.left) == (before, ())


def test_a_ticket_that_nobody_saw_is_named_by_its_key(made: Callable[..., Sandbox]) -> None:
    halo = made()
    halo.faults({"match": {"method": "POST", "path": "/api/Tickets"}, "fault": "lost_request", "times": 1})
    result = halo.probe()
    assert not_well(result) == {5: "failed", **AFTER_THE_TICKET}
    [left] = result.left
    assert left.startswith("the ticket: one whose summary ends with [local-")


def test_a_desk_that_is_busy_while_things_are_put_back_is_waited_for(made: Callable[..., Sandbox]) -> None:
    halo = made()
    before = halo.world()
    halo.faults({"match": {"method": "POST", "path": "/api/Users"}, "fault": "throttle", "times": 2, "after": 1, "retry_after": 5})
    begun = halo.clock.now()
    result = halo.probe()
    assert not_well(result) == {12: "failed"}
    assert (halo.world(), result.left) == (before, ())
    assert (halo.clock.now() - begun).total_seconds() >= 5
