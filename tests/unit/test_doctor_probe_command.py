"""`joinery doctor --probe-halo`: it asks before it writes, says what each step saw, and leaves a profile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from halo_sandbox import AGENT, BOSS, ROLE, USER, Sandbox
from typer.testing import CliRunner, Result

from adapters.halo.tenant_profile import read_profile
from joinery.cli import asking, halo_probe
from joinery.cli.commands import app

Run = Callable[..., Result]
#: Names everybody whom the sandbox has.
PEOPLE = ("--probe-user", USER, "--probe-agent", AGENT, "--probe-role", ROLE, "--probe-approver", BOSS)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox()
    yield made
    made.stand_in.stop()


@pytest.fixture
def run(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The command before the sandbox, at a terminal unless said otherwise; the boss answers whatever is asked for."""
    monkeypatch.setattr("wiring.halo_of", lambda settings, clock, budget: sandbox.client)
    monkeypatch.setattr(halo_probe.time, "sleep", sandbox.pause)
    monkeypatch.setattr(halo_probe, "_by_hand", lambda approver: sandbox.answer)
    monkeypatch.setenv("JOINERY_HALO_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("JOINERY_DATA", str(tmp_path))

    def run(*arguments: str, types: str = "", terminal: bool = True) -> Result:
        monkeypatch.setattr(asking, "can_ask", lambda: terminal)
        monkeypatch.setattr(halo_probe, "can_ask", lambda: terminal)
        return CliRunner().invoke(app, ["doctor", "--probe-halo", *arguments], input=types)

    return run


def calls(sandbox: Sandbox) -> int:
    return len(sandbox.http.get("/_calls").json())


def test_a_probe_that_is_agreed_to_takes_all_steps_puts_everything_back_and_leaves_a_profile(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    before, profile = sandbox.world(), tmp_path / "halo.toml"
    done = run(*PEOPLE, "--probe-webhook", "http://127.0.0.1:9/desk", "--profile", str(profile), types="y\n")
    assert done.exit_code == 0, done.output
    asked, _, told = done.output.partition("Probe this Halo now? [y/N]")
    assert all(name in asked for name in (USER, AGENT, ROLE, BOSS, "a webhook is registered"))
    assert "15 of 15 steps well" in told and f"The profile is in {profile}" in told
    assert max(map(len, told.splitlines())) <= 120 + len(str(tmp_path))
    assert sandbox.world() == before
    assert read_profile(profile).approved == (1,)


@pytest.mark.parametrize(("types", "terminal", "code"), [("n\n", True, 0), ("\n", True, 0), ("", False, 2)])
def test_nothing_is_touched_before_somebody_agrees(run: Run, sandbox: Sandbox, types: str, terminal: bool, code: int) -> None:
    before = calls(sandbox)
    done = run(*PEOPLE, types=types, terminal=terminal)
    assert (done.exit_code, calls(sandbox)) == (code, before), done.output


def test_a_step_that_fails_says_what_to_do_and_the_exit_code_is_one(run: Run, sandbox: Sandbox) -> None:
    sandbox.refuses("POST /Tickets")
    done = run("--yes", terminal=False)
    assert done.exit_code == 1
    assert "✗  5 open a ticket                failed: " in done.output and "→ Give the API application the permission" in done.output


def test_where_nothing_was_measured_no_profile_stands_in_the_way_of_the_next_probe(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.faults({"match": {"method": "POST", "path": "/auth/token"}, "fault": "status", "status": 400})
    done = run("--yes", "--profile", str(tmp_path / "halo.toml"), terminal=False)
    assert done.exit_code == 1 and "no profile is written" in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_script_gets_steps_and_what_was_measured(run: Run) -> None:
    done = run("--yes", "--json", terminal=False)
    document = json.loads(done.stdout)
    assert done.exit_code == 0 and [one["number"] for one in document["steps"]] == list(range(1, 16))
    # Nobody is there to answer an approval, and the plan names no people.
    assert {one["number"] for one in document["steps"] if one["state"] == "skipped"} == {8, 9, 10, 11, 12}
    assert document["not_put_back"] == [] and "strategies" in document["measured"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--json",), "leaves no room for a question"),
        (("--probe-agent", AGENT), "belong together"),
        (("--profile", "README.md"), "is there already"),
        (("--profile", "no/such/folder/halo.toml"), "is in no folder that exists"),
        (("--strict",), "beside --only or --strict"),
    ],
)
def test_what_would_be_found_out_too_late_is_refused_before_anything_is_asked(
    run: Run, sandbox: Sandbox, arguments: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    before = calls(sandbox)
    done = run(*arguments)
    assert (done.exit_code, calls(sandbox)) == (2, before)
    assert words in done.stderr


def test_options_of_a_probe_do_not_make_one() -> None:
    done = CliRunner().invoke(app, ["doctor", "--probe-user", USER])
    assert done.exit_code == 2 and "without --probe-halo" in done.stderr


def test_a_probe_that_is_broken_off_says_so(run: Run, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sandbox.world()

    def leaves(ticket_id: int, approve: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(halo_probe, "_by_hand", lambda approver: leaves)
    done = run("--yes", *PEOPLE)
    assert done.exit_code == 1 and "what was made was put back" in done.stderr
    assert sandbox.world() == before
