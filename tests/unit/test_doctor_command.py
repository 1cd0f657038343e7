"""`joinery doctor` as a person and a script meet it: lines, JSON, exit codes, and who cannot be asked from here."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from adapters.graph.app_review import GraphAppReview
from adapters.webhooks.hearing import PlainHearing
from joinery.cli.commands import app
from joinery.cli.doctor import hushed
from joinery.cli.patient import patient_of
from joinery.doctor.patient import Patient, Side
from joinery.doctor.questions import QUESTIONS
from joinery.domain.moments import to_text
from joinery.domain.policy import Policy
from joinery.engine.health import SUBSCRIBED
from joinery.engine.memory import FakeClock, MemoryStateStore
from joinery.errors import Finding
from joinery.settings import Secret, Settings

Run = Callable[..., Result]


def lonely(*, days: float = 20) -> Patient:
    """A deployment of which only the state can be asked; its subscriptions end in so many days."""
    clock, store, away = FakeClock(), MemoryStateStore(), Side(why="not from here", remedy="Go there.")
    end = to_text(clock.now() + timedelta(days=days))
    store.replace_shared(SUBSCRIBED, {"ends": {"/users": end, "/groups": end}}, expected=None)
    return Patient(
        settings=Settings(),
        policy=Policy(),
        clock=clock,
        hearing=PlainHearing(clock, transport=httpx.MockTransport(lambda request: httpx.Response(404))),
        store=store,
        queue=away,
        directory=away,
        desk=away,
        unknown_to_directory=list,
        unknown_to_desk=list,
    )


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command, about somebody who is given."""

    def run(who: Patient, *arguments: str) -> Result:
        monkeypatch.setattr("joinery.cli.patient.patient_of", lambda settings, stack: who)
        return CliRunner().invoke(app, ["doctor", *arguments])

    return run


@pytest.mark.parametrize(
    ("days", "strict", "code"), [(20, False, 0), (20, True, 0), (10, False, 0), (10, True, 1), (1, False, 1), (1, True, 1)]
)
def test_a_failure_is_exit_code_one_and_a_warning_only_if_it_is_wanted_so(run: Run, days: float, strict: bool, code: int) -> None:
    done = run(lonely(days=days), "--only", "subscriptions", *(["--strict"] if strict else []))
    assert done.exit_code == code, done.output


def test_each_check_is_a_line_and_a_finding_says_what_to_do_and_where_to_read_on(run: Run) -> None:
    done = run(lonely(days=1), "--only", "store", "--only", "queue", "--only", "subscriptions")
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert lines[0] == "✓ store              sqlite: answers"
    assert lines[1] == "– queue              skipped: not from here"
    assert lines[2].strip() == "→ Go there."
    assert lines[3].startswith("✗ subscriptions      failed: notifications of /users are ordered until ")
    assert sum("→ Start the timer renew_subscriptions" in line for line in lines) == 1, "what both findings ask for is said once"
    assert lines[-3].strip() == "docs/doctor.md#subscriptions"
    assert lines[-1] == "3 checks: 1 well, 1 failed, 1 skipped."
    assert max(map(len, lines)) <= 120


def test_a_script_gets_every_check_with_state_cause_remedy_and_page(run: Run) -> None:
    done = run(lonely(days=10), "--json")
    document = json.loads(done.stdout)
    # No sweep has ended there.
    assert (done.exit_code, document["state"]) == (1, "failed")
    assert [one.name for one in QUESTIONS] == list(dict.fromkeys(one["name"] for one in document["checks"]))
    assert {frozenset(one) for one in document["checks"]} == {frozenset({"name", "state", "cause", "remedy", "page"})}
    [first, _] = [one for one in document["checks"] if one["name"] == "subscriptions"]
    assert (first["state"], first["page"]) == ("warning", "docs/doctor.md#subscriptions")
    assert all(one["remedy"] for one in document["checks"] if one["state"] in ("warning", "failed"))


def test_a_check_that_does_not_exist_is_refused_with_those_that_do(run: Run) -> None:
    done = run(lonely(), "--only", "weather")
    assert done.exit_code == 2
    assert "is 'weather'" in done.stderr and "graph-permissions" in done.stderr


def test_what_is_not_set_here_is_a_warning_and_its_side_is_not_asked(run: Run) -> None:
    missing = Finding(place="JOINERY_HALO_CLIENT_ID", problem="is not set, and a Halo needs it", remedy="Use the client id.")
    done = run(replace(lonely(), missing=(missing,)), "--only", "settings", "--only", "halo", "--only", "halo-names")
    assert done.exit_code == 0
    assert "! settings           warning: JOINERY_HALO_CLIENT_ID is not set" in done.output
    assert "– halo-names         skipped: needs halo, which did not pass" in done.output


def test_a_side_whose_credentials_are_not_here_is_not_tried_with_those_of_the_stand_ins(tmp_path: Path) -> None:
    settings = replace(Settings(), data=tmp_path, graph_url="https://graph.test", halo_url="https://halo.test", halo_client_id="x")
    with ExitStack() as stack:
        found = patient_of(settings, stack)
    assert isinstance(found.directory, Side) and "JOINERY_GRAPH_CLIENT_ID" in found.directory.why
    assert isinstance(found.desk, Side) and found.desk.why == "JOINERY_HALO_CLIENT_SECRET is not set here"
    assert isinstance(found.store, Side) and "holds no state.db" in found.store.why
    assert list(found.clocks) == ["Microsoft Graph", "HaloITSM"]


def test_a_side_whose_credentials_are_here_is_asked_with_them(tmp_path: Path) -> None:
    settings = replace(
        Settings(), data=tmp_path, halo_url="https://halo.test", halo_client_id="x", halo_client_secret=Secret("y"), queue="embedded"
    )
    with ExitStack() as stack:
        found = patient_of(settings, stack)
    assert not isinstance(found.desk, Side)
    assert isinstance(found.directory, Side) and "nobody to ask" in found.directory.why


def test_whoever_writes_to_the_directory_is_asked_where_that_is_somebody_else(tmp_path: Path) -> None:
    writes = {"graph_write_credential": "secret", "graph_write_client_id": "writer", "graph_write_client_secret": Secret("y")}
    pretended = replace(Settings(), data=tmp_path, graph_url="http://127.0.0.1:9", **writes)
    real = replace(Settings(), data=tmp_path, graph_url="https://graph.test", **writes)
    with ExitStack() as stack:
        found, closed, alone = (patient_of(one, stack) for one in (pretended, real, replace(Settings(), data=tmp_path)))
    assert isinstance(found.writer, GraphAppReview) and found.writer.client_id == "writer"
    assert isinstance(closed.writer, Side)
    assert alone.writer is None


def test_the_clients_are_quiet_while_they_are_asked_and_no_longer(caplog: pytest.LogCaptureFixture) -> None:
    with hushed():
        logging.getLogger("adapters.graph.client").warning("Graph answered")
        logging.getLogger("azure.identity._credentials.chained").warning("no token")
    logging.getLogger("adapters.graph.client").warning("afterwards")
    assert [one.getMessage() for one in caplog.records] == ["afterwards"]


def test_what_a_deployment_has_to_name_is_missed_though_no_address_calls_for_it(tmp_path: Path) -> None:
    secret = {
        "graph_authority": "https://login.test",
        "graph_tenant": "t.example",
        "graph_client_id": "x",
        "graph_client_secret": Secret("y"),
    }
    real = replace(Settings(), data=tmp_path, graph_url="https://graph.test", **secret)
    with ExitStack() as stack:
        found, pretended = patient_of(real, stack), patient_of(replace(Settings(), data=tmp_path), stack)
    assert [one.place for one in found.missing] == ["JOINERY_PUBLIC_URL", "JOINERY_HALO_URL"]
    assert pretended.missing == ()


def test_nobody_is_told_to_let_whoever_reads_write_because_the_writer_is_not_set_here(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("[leaver.directory]\nrevoke_sessions = true\n", encoding="utf-8")
    secret = {
        "graph_authority": "https://login.test",
        "graph_tenant": "t.example",
        "graph_client_id": "x",
        "graph_client_secret": Secret("y"),
    }
    places = {"data": tmp_path, "policy": policy, "public_url": "https://us.test"}
    with ExitStack() as stack:
        real = patient_of(replace(Settings(), graph_url="https://graph.test", **places, **secret), stack)
        pretended = patient_of(replace(Settings(), graph_url="http://127.0.0.1:9", **places), stack)
    assert isinstance(real.writer, Side) and real.writer.why.startswith("JOINERY_GRAPH_WRITE_CREDENTIAL is not set here")
    assert pretended.writer is None, "there the identity that reads writes, too"


@pytest.mark.parametrize("text", ["[]", '{"graph_url": "ftp://graph.test", "halo_url": 3}', '{"public_url": "https://u:p@us.test"}'])
def test_a_file_of_addresses_that_is_not_ours_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "stand-ins.json").write_text(text, encoding="utf-8")
    with ExitStack() as stack:
        found = patient_of(replace(Settings(), data=tmp_path), stack)
    assert isinstance(found.directory, Side) and (found.clocks, found.public_url) == ({}, "")
