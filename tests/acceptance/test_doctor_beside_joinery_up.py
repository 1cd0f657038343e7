"""`joinery doctor` beside a `joinery up` of the default kind, and after its end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from product import Process, wait_until
from typer.testing import CliRunner

from joinery.cli.commands import app

pytestmark = pytest.mark.servers


def doctor(data: Path, *only: str) -> tuple[int, dict[str, set[str]]]:
    """Exit code, and state -> names of the checks with a finding of that state."""
    done = CliRunner().invoke(app, ["doctor", "--json", "--data", str(data), *(word for name in only for word in ("--only", name))])
    states: dict[str, set[str]] = {}
    for check in json.loads(done.stdout)["checks"]:
        states.setdefault(check["state"], set()).add(check["name"])
    return done.exit_code, states


def test_all_is_well_beside_a_joinery_up_and_its_absence_is_told(tmp_path: Path) -> None:
    data = tmp_path / "data"
    ports = ("--port", "0", "--graph-port", "0", "--halo-port", "0")
    up = Process(arguments=("-m", "joinery", "up", "--no-play", *ports, "--data", str(data)), printed=tmp_path / "up.txt")
    up.start()
    try:
        wait_until("ready", lambda: "\nready" in up.output, explain=lambda: up.output)
        code, states = doctor(data)
    finally:
        up.stop()
    assert (code, states.keys()) == (0, {"well", "skipped"})
    # The queue and the webhook's secret belong to the other process, the application may not read itself, and the pretend Halo lets it do
    # everything.
    assert states["skipped"] == {"queue", "desk-webhook", "graph-credentials", "halo-permissions"}
    code, states = doctor(data, "functions", "store", "coverage")
    assert (code, states) == (1, {"failed": {"functions"}, "well": {"store", "coverage"}})
