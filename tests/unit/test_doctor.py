"""`joinery doctor` against the stand-ins in process: each check well, and each check in trouble."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from adapters.graph.app_review import GraphAppReview
from adapters.graph.client import GraphClient
from adapters.graph.directory import GraphDirectory
from adapters.graph.token import ClientCredentials
from adapters.halo.app_review import HaloAppReview
from adapters.halo.client import HaloClient
from adapters.halo.policy_check import unknown_names
from adapters.webhooks.hearing import PlainHearing
from joinery.cli.online import unknown_to_directory
from joinery.doctor.checkup import Check, Question, State, examine, warning
from joinery.doctor.patient import Patient, Side
from joinery.doctor.questions import QUESTIONS
from joinery.domain.moments import to_text
from joinery.domain.policy import CutOffPolicy, Policy
from joinery.engine.coverage import Trouble, TroubleBook
from joinery.engine.coverage_watch import LATE
from joinery.engine.health import SUBSCRIBED
from joinery.engine.memory import FakeClock, MemoryQueue, MemoryStateStore
from joinery.engine.ports import DeadLetter, Document
from joinery.engine.sweeps import SWEPT
from joinery.errors import TryLater
from joinery.settings import Secret, Settings
from simulators.clock import write_instant
from simulators.company import prepare_desk
from simulators.driver import GraphDriver, HaloDriver
from simulators.graph import create_graph
from simulators.halo import create_halo

GRAPH, HALO, US = "http://graph.test", "http://halo.test", "https://joinery.test"
DESK_SECRET = "d" * 32
ROOT = Path(__file__).resolve().parents[2]


class Doors:
    """Our functions as somebody outside sees them, and what may be wrong there."""

    def __init__(self) -> None:
        self.ready: Document = {"ready": True, "waiting_for": []}
        self.status = 200
        self.content_type = "text/plain"
        self.echo: Callable[[str], str] = lambda token: token

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/api/health":
            start("200 OK" if self.ready.get("ready") else "503 Busy", [("Content-Type", "application/json")])
            return [json.dumps(self.ready).encode()]
        if environ["PATH_INFO"].startswith("/api/desk-events/"):
            start("401 No" if environ["PATH_INFO"].endswith(DESK_SECRET) else "404 No", [])
            return []
        start(f"{self.status} As told", [("Content-Type", self.content_type)])
        return [self.echo(parse_qs(environ["QUERY_STRING"])["validationToken"][0]).encode()]


class Company:
    """A pretend Graph, a pretend Halo and our doors, in process; whoever is examined is put together as the command does it."""

    def __init__(self) -> None:
        self.graph, self.halo, self.doors = create_graph(None, notify=False), create_halo(strict="everybody"), Doors()
        self.clock = FakeClock(self.graph.clock.now())
        #: By how much everybody else's clock is ahead of ours.
        self.ahead = timedelta(0)
        self.store, self.policy = MemoryStateStore(), Policy()
        self.wires = {
            "graph.test": httpx.WSGITransport(app=self.graph.wsgi),
            "halo.test": httpx.WSGITransport(app=self.halo.wsgi),
            "joinery.test": httpx.WSGITransport(app=self.doors),
        }
        self.transport = httpx.MockTransport(self._send)
        self.driver = GraphDriver(GRAPH, transport=self.transport)
        self.driver.make_groups(self.policy.watched_groups)
        self.desk_driver = HaloDriver(HALO, transport=self.transport)
        prepare_desk(self.desk_driver, self.policy)
        self.note(SUBSCRIBED, {"ends": {name: to_text(self.clock.now() + timedelta(days=20)) for name in ("/users", "/groups")}})
        for resource in ("users", "groups"):
            self.subscribe(resource, days=20)
        self.note(SWEPT, {"at": to_text(self.clock.now() - timedelta(minutes=2))})

    def _send(self, request: httpx.Request) -> httpx.Response:
        if request.url.host not in self.wires:
            raise httpx.ConnectError("nobody")
        answer = self.wires[request.url.host].handle_request(request)
        answer.read()
        answer.headers["date"] = format_datetime((self.clock.now() + self.ahead).replace(microsecond=0), usegmt=True)
        return answer

    def note(self, name: str, document: Document) -> None:
        self.store.replace_shared(name, document, expected=self.store.read_shared(name)[0])

    def subscribe(self, resource: str, *, days: float, url: str = f"{US}/api/notifications") -> None:
        """As if Graph had shaken hands with it."""
        state = self.graph._state
        row = {"id": f"0f0f0f0f-0000-4000-8000-{len(state.all('subscription')):012}", "resource": resource, "changeType": "updated,deleted"}
        ends = write_instant(self.graph.clock.now() + timedelta(days=days))
        with state.transaction():
            state.put("subscription", row["id"], row | {"notificationUrl": url, "expirationDateTime": ends, "clientState": None})

    def forget_subscriptions(self) -> None:
        state = self.graph._state
        with state.transaction():
            for row in state.all("subscription"):
                state.delete("subscription", row["id"])

    def may(self, *roles: str, switch: str = "app_roles") -> None:
        self.graph.switches.change({switch: list(roles)})

    def writer(self, secret: str = "local") -> GraphAppReview:
        """The application that writes, as the command puts it together: what is read of it is read as whoever reads."""
        credentials = {"client_id": "local-writer", "client_secret": secret, "scope": f"{GRAPH}/.default"}
        tokens = ClientCredentials(authority=GRAPH, tenant="local", transport=self.transport, clock=self.clock, **credentials)
        reader = self.patient().directory
        assert isinstance(reader, GraphAppReview)
        return replace(reader, tokens=tokens, client_id="local-writer")

    def switch(self, **switches: Any) -> None:
        httpx.Client(base_url=HALO, transport=self.transport).put("/_switches", json=switches).raise_for_status()

    def patient(self, *, scope: str = "read:tickets edit:tickets read:customers edit:customers", **changes: Any) -> Patient:
        credentials = {"client_id": "local", "client_secret": changes.pop("secret", "local"), "scope": f"{GRAPH}/.default"}
        tokens = ClientCredentials(authority=GRAPH, tenant="local", transport=self.transport, clock=self.clock, **credentials)
        client = GraphClient(f"{GRAPH}/v1.0", tokens, transport=self.transport, clock=self.clock, sleep=lambda seconds: None)
        halo = HaloClient(
            f"{HALO}/api",
            f"{HALO}/auth",
            "joinery",
            "local",
            scope=scope,
            transport=self.transport,
            clock=self.clock,
            sleep=lambda seconds: None,
        )
        settings = replace(Settings(), graph_url=GRAPH, halo_url=HALO, public_url=US)
        directory = GraphDirectory(client, clock=self.clock)
        made = Patient(
            settings=settings,
            policy=self.policy,
            clock=self.clock,
            hearing=PlainHearing(self.clock, transport=self.transport),
            store=self.store,
            queue=MemoryQueue(self.clock),
            directory=GraphAppReview(client=client, tokens=tokens, client_id="local"),
            desk=HaloAppReview(client=halo),
            unknown_to_directory=lambda: list(unknown_to_directory(directory, self.policy, "policy.toml")),
            unknown_to_desk=lambda: unknown_names(halo, self.policy, "policy.toml"),
            clocks={"Graph": f"{GRAPH}/v1.0/", "Halo": f"{HALO}/api/authinfo"},
            public_url=US,
        )
        return replace(made, **changes)

    def found(self, name: str, **changes: Any) -> list[tuple[State, str]]:
        """What one check finds: state and cause."""
        return [(one.state, one.cause) for one in examine(self.patient(**changes), QUESTIONS, [name])]

    def only(self, name: str, **changes: Any) -> tuple[State, str]:
        [found] = self.found(name, **changes)
        return found


@pytest.fixture
def company() -> Iterator[Company]:
    made = Company()
    yield made
    made.graph.close()
    made.halo.stop()


def test_a_deployment_in_which_all_is_well_passes_every_check(company: Company) -> None:
    company.may("User.Read.All", "Group.Read.All", "Application.Read.All")
    checks = list(examine(company.patient(), QUESTIONS))
    skipped = {one.name: one.cause for one in checks if one.state is State.SKIPPED}
    assert {one.name for one in checks} == {one.name for one in QUESTIONS}
    # The mapping of Halo's import takes an administrator to read, which our application is not.
    assert [one for one in checks if one.state not in (State.WELL, State.SKIPPED)] == []
    # Neither is a webhook of the desk set up there.
    assert skipped.keys() == {"halo-import", "desk-webhook"}


def test_every_finding_leads_to_a_heading_that_is_there(company: Company) -> None:
    text = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    headings = {line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")}
    assert {one.name for one in QUESTIONS} <= headings
    assert [one.name for one in QUESTIONS] == re.findall(r"^\| \[`([a-z-]+)`\]\(#\1\) \| \S", text, re.MULTILINE), (
        "the table has each in its order"
    )
    away = replace(company.patient(), public_url="", clocks={})
    for check in examine(away, QUESTIONS):
        assert check.state is State.WELL or check.page == f"docs/doctor.md#{check.name}"


# --- Graph ---


def test_a_permission_that_is_missing_and_one_too_many_are_both_named(company: Company) -> None:
    company.may("User.Read.All", "User.ReadWrite.All")
    [missing, excess] = company.found("graph-permissions")
    assert missing[0] is excess[0] is State.FAILED
    assert "Group.Read.All is not granted" in missing[1] and "User.ReadWrite.All is granted" in excess[1]


def test_a_permission_that_the_token_has_and_graph_does_not_honour_is_found_by_using_it(company: Company) -> None:
    body = {"error": {"code": "Authorization_RequestDenied", "message": "Insufficient privileges to complete the operation."}}
    rule = {"match": {"method": "GET", "path": "/v1.0/groups"}, "fault": "status", "status": 403, "body": body}
    httpx.Client(base_url=GRAPH, transport=company.transport).put("/_faults", json=[rule]).raise_for_status()
    checks = {one.name: one for one in examine(company.patient(), QUESTIONS, ["graph", "graph-permissions"])}
    assert checks["graph"].state is State.WELL
    assert checks["graph-permissions"].state is State.FAILED and "groups cannot be read" in checks["graph-permissions"].cause


def test_a_token_that_nobody_can_read_leaves_the_permissions_unknown(company: Company) -> None:
    class Opaque:
        def token(self) -> str:
            return "opaque"

        def refresh(self, rejected: str | None = None) -> str:
            return "opaque"

    patient = company.patient()
    assert isinstance(patient.directory, GraphAppReview)
    assert company.only("graph-permissions", directory=replace(patient.directory, tokens=Opaque()))[0] is State.SKIPPED


def test_what_nobody_was_asked_for_is_not_called_well(company: Company) -> None:
    away = Side(why="not from here", remedy="Go there.")
    asked = {"directory": away, "desk": away, "unknown_to_directory": list, "unknown_to_desk": list}
    for name in ("graph-names", "halo-names"):
        assert company.only(name, **asked) == (State.SKIPPED, "not from here")


def test_what_a_check_found_before_it_broke_off_is_told(company: Company) -> None:
    def breaks_off(patient: Patient) -> Iterator[Any]:
        yield warning("the first", "Look.")
        raise TryLater("the second does not answer")

    found = [(one.state, one.cause) for one in examine(company.patient(), [Question(name="x", ask=breaks_off)])]
    assert found == [(State.WARNING, "the first"), (State.FAILED, "the second does not answer")]


def test_a_wrong_secret_fails_once_and_what_needs_it_is_skipped(company: Company) -> None:
    checks = {one.name: one for one in examine(company.patient(secret="other"), QUESTIONS)}
    assert checks["graph"].state is State.FAILED and "7000215" in checks["graph"].cause
    assert {name for name, one in checks.items() if "needs graph" in one.cause} == {"graph-permissions", "graph-credentials", "graph-names"}
    assert checks["halo-names"].state is State.WELL


@pytest.mark.parametrize(
    ("roles", "state", "words"),
    [
        (("GroupMember.ReadWrite.All", "User.RevokeSessions.All"), State.WELL, "exactly"),
        (("GroupMember.ReadWrite.All",), State.FAILED, "User.RevokeSessions.All is not granted"),
        (("GroupMember.ReadWrite.All", "User.RevokeSessions.All", "User.Read.All"), State.FAILED, "User.Read.All is granted, and nothing"),
    ],
)
def test_the_identity_that_writes_may_do_that_and_nothing_else(company: Company, roles: tuple[str, ...], state: State, words: str) -> None:
    company.policy = replace(company.policy, cut_off=CutOffPolicy(revoke_sessions=True, remove_from_groups=True))
    company.may(*roles, switch="writer_roles")
    found = company.only("graph-writer", writer=company.writer())
    assert found[0] is state and words in found[1]
    # Whoever reads needs nothing of it then.
    assert company.only("graph-permissions", writer=company.writer())[0] is State.WELL
    assert {state for state, _ in company.found("graph-permissions")} == {State.FAILED}


def test_what_the_identity_that_writes_may_do_for_another_policy_is_a_warning(company: Company) -> None:
    company.policy = replace(company.policy, cut_off=CutOffPolicy(revoke_sessions=True))
    state, cause = company.only("graph-writer", writer=company.writer())
    assert state is State.WARNING and cause.startswith("GroupMember.ReadWrite.All is granted")
    assert company.only("graph-writer", writer=company.writer(secret="other"))[0] is State.FAILED


def test_who_writes_is_not_known_where_who_reads_is_not(company: Company) -> None:
    """As after `azd env get-values`: the identities are the deployment's own, and what signs in is not said."""
    away = Side(why="not from here", remedy="Go there.")
    company.policy = replace(company.policy, cut_off=CutOffPolicy(revoke_sessions=True))
    assert company.only("graph-writer", directory=away) == (State.SKIPPED, "not from here")
    assert company.only("graph-writer")[0] is State.WELL
    company.policy = replace(company.policy, cut_off=CutOffPolicy())
    assert company.only("graph-writer", directory=away)[0] is State.WELL, "nobody writes"


def test_the_secret_of_the_identity_that_writes_ends_too(company: Company) -> None:
    company.may("User.Read.All", "Group.Read.All", "Application.Read.All")
    company.clock.set(company.clock.now() + timedelta(days=725))
    secret = Secret("local")
    settings = replace(Settings(), graph_write_credential="secret", graph_write_client_secret=secret)
    found = company.found("graph-credentials", writer=company.writer(), settings=settings)
    assert [state for state, _ in found] == [State.FAILED, State.FAILED] and "as whoever writes" in found[1][1]


@pytest.mark.parametrize(
    ("days", "state"), [(61, State.WELL), (59, State.WARNING), (29, State.WARNING), (6, State.FAILED), (-1, State.FAILED)]
)
def test_a_client_secret_that_ends_is_found_in_the_application(company: Company, days: int, state: State) -> None:
    company.may("User.Read.All", "Group.Read.All", "Application.Read.All")
    company.clock.set(company.clock.now() + timedelta(days=730 - days))
    assert company.only("graph-credentials")[0] is state


def test_the_end_of_the_secret_is_skipped_where_it_may_not_be_read(company: Company) -> None:
    state, cause = company.only("graph-credentials")
    assert state is State.SKIPPED and "does not let us read" in cause


def test_the_end_of_a_certificate_stands_in_its_file(company: Company, tmp_path: Path) -> None:
    review = company.patient().directory
    assert isinstance(review, GraphAppReview)
    path = tmp_path / "sign-in.pem"
    path.write_bytes(certificate(company.clock.now() + timedelta(days=20)))
    settings = replace(Settings(), graph_credential="certificate")
    state, cause = company.only("graph-credentials", directory=replace(review, certificate=str(path)), settings=settings)
    assert state is State.WARNING and "in 19 days" in cause
    path.write_text("no certificate")
    assert company.only("graph-credentials", directory=replace(review, certificate=str(path)), settings=settings)[0] is State.FAILED


def test_a_group_of_the_policy_that_is_not_there_is_named(company: Company) -> None:
    company.policy = replace(company.policy, joiner_group="Nowhere")
    state, cause = company.only("graph-names")
    assert state is State.FAILED and "'Nowhere' is not in the directory" in cause


def test_a_subscription_that_died_in_silence_is_found_by_listing(company: Company) -> None:
    company.forget_subscriptions()
    company.subscribe("users", days=2)
    company.subscribe("groups", days=20, url="https://elsewhere.test/api/notifications")
    [users, groups] = company.found("subscriptions")
    assert users[0] is groups[0] is State.FAILED
    assert "nobody renews them" in users[1] and "gone at Graph" in groups[1]


def test_without_graph_the_subscriptions_are_judged_as_they_were_noted(company: Company) -> None:
    company.note(SUBSCRIBED, {"ends": {"/users": to_text(company.clock.now() + timedelta(days=12))}})
    found = company.found("subscriptions", directory=Side(why="not from here", remedy=""))
    assert [state for state, _ in found] == [State.WARNING, State.FAILED]
    assert all("could not be asked" in cause for _, cause in found)


# --- Halo ---


def test_an_application_that_may_administer_the_desk_is_found_out_though_its_token_says_all(company: Company) -> None:
    state, cause = company.only("halo-permissions", scope="all")
    assert state is State.FAILED and "webhooks" in cause


def test_scopes_of_the_desk_too_few_and_too_many_are_named(company: Company) -> None:
    [missing, excess] = company.found("halo-permissions", scope="read:tickets edit:tickets read:customers edit:assets")
    assert "edit:customers is not granted" in missing[1] and "edit:assets is granted" in excess[1]


def test_a_role_that_the_desk_does_not_have_is_named(company: Company) -> None:
    group, rule = next(iter(company.policy.roles.items()))
    company.policy = replace(company.policy, roles={**company.policy.roles, group: replace(rule, role="Wizard")})
    state, cause = company.only("halo-names")
    assert state is State.FAILED and "'Wizard'" in cause


def test_a_watched_group_that_halos_import_maps_too_fails_for_a_role_and_warns_for_joiners(company: Company) -> None:
    company.switch(import_maps=[next(iter(company.policy.roles)).upper(), company.policy.joiner_group, "All staff"])
    assert sorted(state for state, _ in company.found("halo-import", scope="all")) == [State.FAILED, State.WARNING]
    company.switch(import_maps=["All staff"])
    assert company.only("halo-import", scope="all")[0] is State.WELL


def test_a_mapping_whose_rows_name_no_group_is_not_called_empty(company: Company) -> None:
    company.switch(import_maps=["All staff"])
    desk, group = company.wires["halo.test"], b'"group_name"'

    class OtherNames(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            answer = desk.handle_request(request)
            return httpx.Response(answer.status_code, content=answer.read().replace(group, b'"azure_group"'))

    company.wires["halo.test"] = OtherNames()
    state, cause = company.only("halo-import", scope="all")
    assert state is State.SKIPPED and "none of its 1 rows names a group" in cause


# --- ours ---


def test_an_address_on_this_machine_is_none_that_the_real_graph_reaches(company: Company) -> None:
    company.wires["localhost"] = company.wires["joinery.test"]
    settings = replace(Settings(), graph_url="https://graph.microsoft.com", public_url="https://localhost")
    state, cause = company.only("webhook", settings=settings, public_url="https://localhost")
    assert state is State.FAILED and "reaches nobody" in cause
    assert (
        company.only("webhook", public_url="https://localhost", settings=replace(settings, graph_url="http://127.0.0.1:7081"))[0]
        is State.WELL
    )


def test_a_sweep_that_has_ended_again_is_not_called_late_before_the_tick_says_so(company: Company) -> None:
    book, since = TroubleBook(store=company.store, clock=company.clock), company.clock.now() - timedelta(hours=2)
    book.write([Trouble(what=LATE, since=since, at=since)], book.read()[0])
    assert company.only("coverage")[0] is State.WELL
    company.note(SWEPT, {"at": to_text(company.clock.now() - timedelta(minutes=40))})
    state, cause = company.only("coverage")
    assert state is State.FAILED and cause.startswith("no sweep has ended since ")


@pytest.mark.parametrize(("seconds", "state"), [(3, State.WELL), (20, State.WARNING), (-20, State.WARNING), (90, State.FAILED)])
def test_a_clock_that_is_off_is_told_for_each_of_the_others(company: Company, seconds: int, state: State) -> None:
    company.ahead = timedelta(seconds=seconds)
    assert [found for found, _ in company.found("clock")] == [state, state]


def test_a_clock_that_nobody_tells_is_skipped_and_the_others_are_judged(company: Company) -> None:
    found = company.found("clock", clocks={"Bus": "https://bus.test/", "Halo": f"{HALO}/api/authinfo"})
    assert [state for state, _ in found] == [State.SKIPPED, State.WELL]


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ({"status": 404}, "answered 404"),
        ({"echo": lambda token: token.replace(" ", "+")}, "other than the validation token"),
        ({"echo": lambda token: "<html>Sign in</html>"}, "other than the validation token"),
        ({"content_type": "text/html; charset=utf-8"}, "as text/html"),
    ],
)
def test_a_door_that_does_not_return_the_token_as_graph_wants_it_fails_twice(company: Company, trouble: dict[str, Any], words: str) -> None:
    for name, value in trouble.items():
        setattr(company.doors, name, value)
    found = company.found("webhook")
    assert [state for state, _ in found] == [State.FAILED, State.FAILED]
    assert all(words in cause for _, cause in found)


def test_the_door_for_the_desk_is_asked_without_credentials_and_its_secret_is_not_told(company: Company) -> None:
    for secret, state in (("", State.SKIPPED), (DESK_SECRET, State.WELL), ("e" * 32, State.FAILED)):
        found = company.only("desk-webhook", settings=replace(Settings(), desk_webhook_secret=Secret(secret)))
        assert found[0] is state and (not secret or secret not in found[1])


def test_a_gateway_that_asks_everybody_for_a_sign_in_is_not_taken_for_the_door_for_the_desk(company: Company) -> None:
    settings = replace(Settings(), desk_webhook_secret=Secret(DESK_SECRET))
    gateway = PlainHearing(company.clock, transport=httpx.MockTransport(lambda request: httpx.Response(401)))
    state, cause = company.only("desk-webhook", settings=settings, hearing=gateway)
    assert state is State.FAILED and "something in front of the functions" in cause and DESK_SECRET not in cause


def test_a_key_field_that_the_desk_does_not_have_is_a_warning(company: Company) -> None:
    settings = replace(Settings(), halo_key_field="CFother")
    assert company.only("halo-names", settings=settings)[0] is State.WARNING


def test_a_handshake_that_takes_longer_than_graph_waits_fails(company: Company) -> None:
    def slow(token: str) -> str:
        company.clock.advance(seconds=11)
        return token

    company.doors.echo = slow
    assert all(state is State.FAILED and "took 11 s" in cause for state, cause in company.found("webhook"))


def test_functions_that_are_not_there_or_not_ready_fail(company: Company) -> None:
    assert "nobody answers" in company.only("functions", public_url="https://nowhere.test")[1]
    stopped = next(examine(company.patient(public_url="http://127.0.0.1:7071"), QUESTIONS, ["functions"]))
    assert stopped.state is State.FAILED and stopped.remedy.startswith("Start `joinery up` again")
    company.doors.ready = {"ready": False, "waiting_for": ["both subscriptions"]}
    state, cause = company.only("functions")
    assert state is State.FAILED and "waits for both subscriptions" in cause


def test_a_sweep_that_is_late_and_a_hole_fail(company: Company) -> None:
    company.note(SWEPT, {"at": to_text(company.clock.now() - timedelta(minutes=40))})
    assert company.only("coverage") == (State.FAILED, "the last sweep ended 40 minutes ago; they come every five")
    book = TroubleBook(store=company.store, clock=company.clock)
    company.note(SWEPT, {"at": to_text(company.clock.now())})
    book.write([Trouble(what="people", since=datetime.fromisoformat("2026-11-20T08:00:00+00:00"), at=company.clock.now())], book.read()[0])
    state, cause = company.only("coverage")
    assert state is State.FAILED and "since 2026-11-20 08:00 UTC" in cause
    assert company.only("coverage", store=MemoryStateStore())[1] == "no sweep of the directory has ended yet"


def test_what_the_queue_gave_up_on_is_a_warning(company: Company) -> None:
    class Tired(MemoryQueue):
        def dead_letters(self) -> tuple[DeadLetter, ...]:
            return (DeadLetter(id="1", body=b"", reason="tried 100 times"),)

    assert company.only("queue", queue=Tired(company.clock))[0] is State.WARNING


def test_a_check_that_stumbles_is_a_finding_and_does_not_keep_the_others_from_being_made(company: Company) -> None:
    def stumbles(patient: Patient) -> Iterator[Any]:
        raise KeyError("a secret")

    checks = list(examine(company.patient(), (Question(name="first", ask=stumbles), *QUESTIONS)))
    assert checks[0].state is State.FAILED and "KeyError" in checks[0].cause and "a secret" not in checks[0].cause
    assert {one.name for one in QUESTIONS} <= {one.name for one in checks}


def certificate(until: datetime) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    signed = made.not_valid_before(until - timedelta(days=90)).not_valid_after(until).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


def test_no_check_says_a_secret(company: Company) -> None:
    company.doors.status = 500
    secret = "whatever-is-secret"
    settings = replace(Settings(), graph_url=GRAPH, halo_url=HALO, public_url=US, desk_webhook_secret=Secret(secret))
    checks: list[Check] = list(examine(company.patient(settings=settings, secret=secret), QUESTIONS))
    assert secret not in json.dumps([(one.cause, one.remedy) for one in checks])
