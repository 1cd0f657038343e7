"""What differs between one Halo and another: the file that says so, and what each habit changes."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import pytest
from halo_tenant import ALEX, ENSURE, KEY, TICKET, WITHIN, Halo, a_user

from adapters.halo.client import HaloClient
from adapters.halo.tenant_profile import TenantProfile, keys, read_profile
from adapters.system import SystemClock
from joinery.cli.reports import show_settings
from joinery.domain.moments import to_text
from joinery.domain.person import Manager
from joinery.domain.tickets import AddNote, AskApproval, CloseTicket, EndTicket, EnsureAgent, FindUser, SetRoles, UpdateUser, Verdict
from joinery.engine.memory import FakeClock
from joinery.engine.partition import APPROVALS
from joinery.errors import BudgetSpent, ConfigurationError, Refused
from joinery.settings import Settings
from wiring import build_app

EXAMPLE = Path(__file__).resolve().parents[2] / "config" / "halo.example.toml"


@pytest.fixture
def made() -> Iterator[list[Halo]]:
    """Pretend Halos that are stopped in the end."""
    halos: list[Halo] = []
    yield halos
    for halo in halos:
        halo.stand_in.stop()


def one(made: list[Halo], switches: dict[str, Any] | None = None, **habits: Any) -> Halo:
    made.append(Halo(profile=TenantProfile(**habits), **(switches or {})))
    return made[-1]


def sent(halo: Halo, order: Any) -> list[tuple[str, dict[str, Any]]]:
    """Path and row of everything that an order posts; what it made is read back and sound."""
    posted: list[tuple[str, dict[str, Any]]] = []

    def listen(request: Any) -> None:
        if request.method == "POST" and request.url.path.startswith("/api/"):
            posted.extend((request.url.path.removeprefix("/api"), row) for row in json.loads(request.content))

    halo.before = listen
    result = halo.desk.perform(order, KEY, within=WITHIN)
    halo.before = lambda request: None
    assert halo.desk.read_back(order, KEY, result).ok, halo.desk.read_back(order, KEY, result).detail
    return posted


# --- the file ---


def test_the_example_holds_every_key_in_order_with_its_default() -> None:
    assert read_profile(EXAMPLE) == TenantProfile()
    text = EXAMPLE.read_text(encoding="utf-8")
    table, there = "", []
    for line in text.splitlines():
        if line.startswith("["):
            table = line.strip("[]")
        elif line and not line.startswith("#"):
            there.append(f"{table}.{line.partition(' =')[0]}")
    assert there == [key for key, *_ in keys()]


def test_what_a_file_leaves_out_keeps_its_default(tmp_path: Path) -> None:
    path = tmp_path / "halo.toml"
    path.write_text('[close]\nby = "action"\n[approvals]\napproved = [1, 4]\n', encoding="utf-8")
    assert read_profile(path) == TenantProfile(close_by="action", approved=(1, 4))


def test_everything_wrong_is_found_at_once_with_its_place_and_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "halo.toml"
    text = """
    stray = 1
    [auth]
    tenant_in = "header"
    [paging]
    size = 500
    [correlation]
    strategies = ["field", ["recent"], "field"]
    [approvals]
    approved = [1, true]
    polminutes = 5
    [users]
    directory_field = "notes"
    """
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        read_profile(path)
    found = [(one.place.removeprefix(f"{path}: "), one.problem, one.remedy) for one in raised.value.findings]
    assert found == [
        ("stray", "is no key that a Halo profile knows", "config/halo.example.toml shows what it should look like."),
        ("[auth] tenant_in", "is 'header'", "It should be one of query, form, none."),
        ("[paging] size", "is 500", "It should be a whole number from 1 to 100."),
        (
            "[correlation] strategies",
            "is ['field', ['recent'], 'field']",
            "It should be a list of some of field, summary, recent.",
        ),
        ("[approvals] approved", "is [1, True]", "It should be a list of whole numbers."),
        ("[approvals] polminutes", "is no key that a Halo profile knows", "Did you mean [approvals] poll_minutes?"),
        (
            "[users] directory_field",
            "is 'notes'",
            "It should be one of azureoid, third_party_guid, or the name of a custom field of users (CF…).",
        ),
    ]


def test_a_result_cannot_mean_both(tmp_path: Path) -> None:
    path = tmp_path / "halo.toml"
    path.write_text("[approvals]\nrejected = [2, 1]\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="rejected: holds 1, and so does approved"):
        read_profile(path)


@pytest.mark.parametrize("content", [None, b"[close\n", b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_a_finding(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "halo.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"halo\.toml: (cannot be read|is not valid TOML)"):
        read_profile(path)


def test_every_habit_is_a_key_of_the_file() -> None:
    assert len(keys()) == len(fields(TenantProfile))


# --- what each habit changes ---


@pytest.mark.parametrize(("place", "query", "form"), [("query", "here", ""), ("form", "", "here"), ("none", "", "")])
def test_the_tenant_is_said_where_the_token_endpoint_wants_it(place: str, query: str, form: str) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"access_token": "t", "expires_in": 3600})

    transport, profile = httpx.MockTransport(answer), TenantProfile(tenant_in=place)
    client = HaloClient(
        "http://h.test/api", "http://h.test/auth", "a", "b", tenant="here", transport=transport, clock=SystemClock(), profile=profile
    )
    client.get("/Status")
    token = asked[0]
    assert (token.url.params.get("tenant", ""), dict(httpx.QueryParams(token.content.decode())).get("tenant", "")) == (query, form)


def test_pages_are_as_long_as_the_profile_says_and_no_row_is_lost(made: list[Halo]) -> None:
    halo = one(made, page_size=2)
    boss = a_user(halo, emailaddress="boss@contoso.com", ischangeapprover2=True)
    tickets = [halo.desk.perform(TICKET, f"{KEY[:-1]}{letter}", within=WITHIN).id for letter in "ABCDE"]
    for ticket in tickets:
        halo.desk.perform(AskApproval(ticket_id=ticket, user_ids=(str(boss),)), KEY, within=WITHIN)
    sizes: list[str] = []
    halo.before = lambda request: sizes.append(request.url.params.get("page_size", "")) if request.url.path == "/api/Tickets" else None
    assert halo.desk.awaiting() == frozenset(tickets)
    assert set(sizes) == {"2"} and len(sizes) == 3


@pytest.mark.parametrize(
    ("strategies", "asked"),
    [
        (("field", "summary", "recent"), ["advanced_search", "search_summary", "orderdesc"]),
        (("recent", "summary"), ["orderdesc", "search_summary"]),
        (("summary",), ["search_summary"]),
    ],
)
def test_a_ticket_is_looked_for_in_the_ways_and_the_order_of_the_profile(
    made: list[Halo], strategies: tuple[str, ...], asked: list[str]
) -> None:
    halo = one(made, strategies=strategies)
    made_id = halo.desk.perform(TICKET, KEY, within=WITHIN).id
    seen: list[str] = []

    def listen(request: Any) -> None:
        seen.extend(name for name in ("advanced_search", "search_summary", "orderdesc") if name in request.url.params)

    halo.before = listen
    assert [found.id for found in halo.desk.find(TICKET, KEY)] == [made_id]
    assert seen == asked


def test_a_tenant_without_the_custom_field_is_asked_by_the_summary_where_nothing_else_was_named(made: list[Halo]) -> None:
    halo = one(made, strategies=("field",))
    for row in halo.get("/FieldInfo"):
        halo.http.delete(f"/api/FieldInfo/{row['id']}")
    made_id = halo.desk.perform(TICKET, KEY, within=WITHIN).id
    assert [found.id for found in halo.desk.find(TICKET, KEY)] == [made_id]


def test_a_note_has_the_outcome_that_the_tenant_names(made: list[Halo]) -> None:
    halo = one(made, note_outcomes=("Side remark",))
    outcome = halo.post("/Outcome", outcome="Side remark")["id"]
    ticket = halo.desk.perform(TICKET, KEY, within=WITHIN).id
    assert [row["outcome_id"] for path, row in sent(halo, AddNote(ticket_id=ticket, text="x")) if path == "/Actions"] == [outcome]


def test_a_note_falls_back_to_the_id_of_the_profile(made: list[Halo]) -> None:
    halo = one(made, note_outcomes=("None such",), note_outcome_id=4)
    ticket = halo.desk.perform(TICKET, KEY, within=WITHIN).id
    assert [row["outcome_id"] for path, row in sent(halo, AddNote(ticket_id=ticket, text="x")) if path == "/Actions"] == [4]


@pytest.mark.parametrize(
    ("by", "closing", "ending"),
    [
        ("either", ["/Tickets"], ["/Actions"]),
        ("status", ["/Tickets"], ["/Actions", "/Tickets"]),
        ("action", ["/Actions"], ["/Actions"]),
    ],
)
def test_a_ticket_is_closed_the_way_that_the_tenant_permits(made: list[Halo], by: str, closing: list[str], ending: list[str]) -> None:
    halo = one(made, close_by=by)
    first, second = (halo.desk.perform(TICKET, f"{KEY[:-1]}{letter}", within=WITHIN).id for letter in "AB")
    assert [path for path, _ in sent(halo, CloseTicket(ticket_id=first))] == closing
    assert [path for path, _ in sent(halo, EndTicket(ticket_id=second, text="Granted."))] == ending


def test_an_action_that_closes_has_the_outcome_that_the_tenants_workflow_wants(made: list[Halo]) -> None:
    halo = one(made, close_by="action", close_outcome="Close Request")
    ticket = halo.desk.perform(TICKET, KEY, within=WITHIN).id
    assert [row["outcome_id"] for _, row in sent(halo, EndTicket(ticket_id=ticket, text="Granted."))] == [3]


def test_an_outcome_that_the_desk_does_not_have_is_refused_with_what_it_has(made: list[Halo]) -> None:
    halo = one(made, close_by="action", close_outcome="Finis")
    ticket = halo.desk.perform(TICKET, KEY, within=WITHIN).id
    with pytest.raises(Refused, match=r"\[close\] outcome = 'Finis': the desk has no such outcome. It has: .*Internal Note"):
        halo.desk.perform(CloseTicket(ticket_id=ticket), KEY, within=WITHIN)


@pytest.mark.parametrize(
    ("habits", "verdict"),
    [({}, Verdict.APPROVED), ({"approved": (7,), "rejected": (1,)}, Verdict.REJECTED), ({"approved": (7,)}, Verdict.PENDING)],
)
def test_a_result_means_what_the_profile_says(made: list[Halo], habits: dict[str, Any], verdict: Verdict) -> None:
    halo = one(made, **habits)
    boss = a_user(halo, emailaddress="boss@contoso.com", ischangeapprover2=True)
    ticket = halo.desk.perform(TICKET, KEY, within=WITHIN).id
    halo.desk.perform(AskApproval(ticket_id=ticket, user_ids=(str(boss),)), KEY, within=WITHIN)
    halo.post("/TicketApproval", ticket_id=int(ticket), seq=1, result=1)
    assert [answer.verdict for answer in halo.desk.ticket_state(ticket).answers] == [verdict]


def test_where_roles_are_added_only_what_is_new_is_sent_and_what_goes_is_sent_in_the_full_list(made: list[Halo]) -> None:
    halo = one(made, role_mode="add_roles")
    ours = ("Service Desk", "Change Manager")
    halo.desk.perform(ENSURE, KEY, within=WITHIN)
    agent = halo.desk.perform(EnsureAgent(person=ALEX), KEY, within=WITHIN).id

    def written(*roles: str) -> dict[str, list[str]]:
        [(_, row)] = sent(halo, SetRoles(person=ALEX, agent_id=agent, roles=roles, ours=ours))
        return {member: [role["name"] for role in row[member]] for member in ("roles", "add_roles") if member in row}

    assert written("Service Desk") == {"add_roles": ["Service Desk"]}
    assert written("Service Desk", "Change Manager") == {"add_roles": ["Change Manager"]}
    assert written("Change Manager") == {"roles": ["Change Manager"]}


def test_a_tenant_that_only_adds_roles_leaves_what_should_go_and_the_read_back_says_so(made: list[Halo]) -> None:
    halo = one(made, {"roles_mode": "add"}, role_mode="add_roles")
    agent = halo.desk.perform(EnsureAgent(person=ALEX), KEY, within=WITHIN).id
    sent(halo, SetRoles(person=ALEX, agent_id=agent, roles=("Service Desk",), ours=("Service Desk",)))
    order = SetRoles(person=ALEX, agent_id=agent, roles=(), ours=("Service Desk",))
    back = halo.desk.read_back(order, KEY, halo.desk.perform(order, KEY, within=WITHIN))
    assert not back.ok and "still has the role Service Desk" in back.detail


@pytest.mark.parametrize(("match", "theirs"), [(("email", "third_party_guid"), True), (("email",), False)])
def test_an_agent_that_carries_the_directory_id_is_the_persons_whoever_else_claims_its_address(
    made: list[Halo], match: tuple[str, ...], theirs: bool
) -> None:
    halo = one(made, match_fields=match)
    a_user(halo, emailaddress=ALEX.mail, azureoid="00000000-0000-4000-8000-000000000000")
    agent = halo.post("/Agent", name="Alex", email=ALEX.mail, third_party_guid=ALEX.id.upper())["id"]
    order = EnsureAgent(person=ALEX)
    if theirs:
        assert halo.desk.perform(order, KEY, within=WITHIN).id == str(agent)
    else:
        with pytest.raises(Refused, match="belongs to another directory account"):
            halo.desk.perform(order, KEY, within=WITHIN)


def test_another_id_in_the_same_member_is_no_evidence(made: list[Halo]) -> None:
    halo = one(made)
    agent = halo.post("/Agent", name="Alex", email=ALEX.mail, third_party_guid="00000000-0000-4000-8000-000000000000")["id"]
    assert halo.desk.perform(EnsureAgent(person=ALEX), KEY, within=WITHIN).id == str(agent)


@pytest.mark.parametrize("member", ["azureoid", "third_party_guid", "CFentraId"])
def test_a_user_is_linked_found_and_changed_by_the_member_that_holds_the_directory_id(made: list[Halo], member: str) -> None:
    halo = one(made, directory_field=member)
    halo.post("/FieldInfo", name="CFentraId", label="Entra id")
    user = halo.desk.perform(ENSURE, KEY, within=WITHIN)
    assert (user.how, halo.desk.read_back(ENSURE, KEY, user).ok) == ("created", True)
    row = halo.get(f"/Users/{user.id}", includedetails="true")
    shown = {field["name"]: field["value"] for field in row["customfields"]} | {
        name: row[name] for name in ("azureoid", "third_party_guid")
    }
    assert {name for name, value in shown.items() if value == ALEX.id} == {member}
    moved = ALEX.evolve(mail="alex.new@contoso.com", user_principal_name="alex.new@contoso.com")
    assert halo.desk.perform(FindUser(person=moved), KEY, within=WITHIN).id == user.id, "found by the id, whatever the address"
    order = UpdateUser(person=moved, user_id=user.id)
    assert halo.desk.read_back(order, KEY, halo.desk.perform(order, KEY, within=WITHIN)).ok
    with pytest.raises(Refused, match="belongs to another directory account"):
        halo.desk.perform(UpdateUser(person=ALEX.evolve(id="00000000-0000-4000-8000-000000000000"), user_id=user.id), KEY, within=WITHIN)


@pytest.mark.parametrize("member", ["manager_email", "admanager", "other3", "none"])
def test_the_manager_stands_where_the_tenant_has_them(made: list[Halo], member: str) -> None:
    halo = one(made, manager_field=member)
    person = ALEX.evolve(manager=Manager(id="b", mail="boss@contoso.com"))
    user = halo.desk.perform(ENSURE, KEY, within=WITHIN).id
    [(_, row)] = sent(halo, UpdateUser(person=person.evolve(job_title="Lead"), user_id=user))
    assert {name for name, value in row.items() if value == "boss@contoso.com"} == ({member} if member != "none" else set())


def test_flags_go_with_the_rows_whose_schema_has_them_and_none_by_default(made: list[Halo]) -> None:
    plain, flagged = one(made), one(made, write_flags=("dont_do_rules", "_dont_fire_automations"))
    for halo, ticket_flags, note_flags in (
        (plain, set(), set()),
        (flagged, {"dont_do_rules", "_dont_fire_automations"}, {"dont_do_rules"}),
    ):
        [(_, ticket)] = sent(halo, TICKET)
        opened = str(halo.get("/Tickets")["tickets"][0]["id"])
        [(_, note)] = sent(halo, AddNote(ticket_id=opened, text="x"))
        [(_, user)] = sent(halo, ENSURE)
        flags = ("dont_do_rules", "_dont_fire_automations", "_isimport", "dont_do_databaselookups")
        assert [{flag for flag in flags if flag in row} for row in (ticket, note, user)] == [ticket_flags, note_flags, set()]


# --- the app ---


def test_an_app_goes_by_the_profile_that_its_settings_name(tmp_path: Path) -> None:
    path = tmp_path / "halo.toml"
    path.write_text('[webhook]\napplication = "Identity Bridge"\nactors = ["who"]\n', encoding="utf-8")
    given = {**NOWHERE, "data": tmp_path}
    for profile, ourselves, actors in (
        (str(path), {"Identity Bridge", "joinery"}, ("who",)),
        ("", {"joinery"}, ("action.actionby_application_id", "actionby_application_id")),
        ("", set(), ("action.actionby_application_id", "actionby_application_id")),
    ):
        # With the client that everybody shares who drives the stand-ins, nobody can be told from us.
        client = "joinery" if ourselves else "local"
        parts = build_app(Settings.from_environment({}, **given, halo_profile=profile or None, halo_client_id=client))
        try:
            assert (parts.app.desk_door.ourselves, parts.app.desk_door.actors) == (ourselves, actors)
        finally:
            parts.close()


NOWHERE = {"graph_url": "http://127.0.0.1:9", "halo_url": "http://127.0.0.1:9", "public_url": "http://127.0.0.1:9", "client_state": "s"}


@pytest.mark.parametrize(("content", "polls"), [("", 1), ("[approvals]\npoll_minutes = 2\n", 2)])
def test_an_app_polls_as_often_as_the_profile_says(tmp_path: Path, content: str, polls: int) -> None:
    path = tmp_path / "halo.toml"
    path.write_text(content, encoding="utf-8")
    clock, asked = FakeClock(), []

    class Desk:
        def awaiting(self) -> frozenset[str]:
            asked.append(clock.now())
            return frozenset()

    settings = Settings.from_environment({}, **NOWHERE, data=tmp_path, halo_profile=str(path))
    parts = build_app(settings, clock=clock, desk=lambda inner: Desk())
    try:
        parts.app.store.put_index(APPROVALS, "7", {"partition": "local|person:a", "at": to_text(clock.now()), "asked": []})
        for _ in range(2):
            parts.app.answers.poll_if_due()
            clock.advance(minutes=3)
    finally:
        parts.close()
    assert len(asked) == polls


@pytest.mark.parametrize(("content", "window"), [("", 300), ("[rate]\nwindow_seconds = 60\n", 60)])
def test_calls_count_for_as_long_as_the_profile_says(tmp_path: Path, content: str, window: int) -> None:
    path = tmp_path / "halo.toml"
    path.write_text(content, encoding="utf-8")
    desks: list[Any] = []
    settings = Settings.from_environment({}, **NOWHERE, data=tmp_path, halo_profile=str(path), halo_calls=25)
    parts = build_app(settings, clock=FakeClock(), desk=lambda inner: desks.append(inner) or inner)
    try:
        with pytest.raises(BudgetSpent) as raised:
            for _ in range(26):
                desks[0]._client._budget.spend()
    finally:
        parts.close()
    assert raised.value.after is not None
    assert window <= raised.value.after.total_seconds() < window + 90, "the window, what may be under way, and the life of a lease"


def test_what_is_wrong_in_a_profile_is_told_by_the_settings_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "halo.toml"
    path.write_text('[close]\nby = "magic"\n', encoding="utf-8")
    monkeypatch.setenv("JOINERY_HALO_PROFILE", str(path))
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        assert show_settings(policy=None, data=str(tmp_path)) == 2
    assert "[close] by: is 'magic'. It should be one of either, status, action." in " ".join(said.getvalue().split())
