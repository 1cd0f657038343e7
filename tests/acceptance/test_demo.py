"""`joinery demo` and the played day of `joinery up`: what they print is what happened."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from product import ROOT, Process, environment, free_ports, wait_until
from world import World

pytestmark = pytest.mark.servers


def demo(**settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "joinery", "demo"],
        env=environment(**settings),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def rows(printed: str) -> dict[str, str]:
    """Person -> line of the table."""
    _, _, below = printed.partition("Person ")
    lines = below.partition("─\n")[2].partition("\n\n")[0].splitlines()
    return {re.split(r"\s{2,}", line)[0]: line for line in lines if not line.startswith(" ")}


def test_the_demo_does_everything_once_and_proves_it() -> None:
    done = demo(JOINERY_GRAPH_URL="https://graph.microsoft.com", JOINERY_SETTLE_SECONDS="9999")
    assert done.returncode == 0, done.stdout + done.stderr
    found = rows(done.stdout)
    kinds = [re.split(r"\s{2,}", line)[1] for line in found.values()]
    assert [kinds.count(kind) for kind in ("joiner", "leaver", "role_change", "nothing")] == [3, 8, 1, 1]
    held = [line for line in found.values() if "held: a person decides" in line]
    assert len(held) == 3 and all(" leaver " in line for line in held), "five may leave within an hour, and eight left"
    assert not any(" of " in line for line in held), "nothing was done about them"
    through = [line for line, kind in zip(found.values(), kinds, strict=True) if kind != "nothing" and line not in held]
    assert all(line.endswith("verified") for line in through)
    assert len({re.split(r"\s{2,}", line)[2] for line in through}) == len(through) == 9
    asked, _, answered = done.stdout.partition("the manager, signs in and approves")
    assert "is asked, and nothing is given before the answer" in asked + answered
    assert "roles on the desk before the answer: none; now: Change Manager" in answered
    for sentence in (
        "no answer, it may have happened",
        "it is there already, and is not made again",
        "left alone, protected",
        "Still due: ",
        "The breaker holds 3 changes: nothing was done about them.",
        "joinery held list",
        "joinery held release --all --reason",
    ):
        assert sentence in done.stdout
    assert "\x1b" not in done.stdout and done.stderr == ""


def test_the_demo_ends_with_1_where_an_expected_run_does_not_happen(tmp_path: Path) -> None:
    policy = (ROOT / "config" / "policy.toml").read_text(encoding="utf-8")
    changed = policy.replace('[workflows.leaver]\nring = "everyone"', '[workflows.leaver]\nring = "off"')
    assert changed != policy
    (tmp_path / "policy.toml").write_text(changed, encoding="utf-8")
    done = demo(JOINERY_POLICY=str(tmp_path / "policy.toml"))
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.count("✗ no run") == 8 and "Traceback" not in done.stderr


def test_a_played_day_against_stand_ins_in_another_process_goes_on_after_a_restart(tmp_path: Path) -> None:
    graph_port, halo_port = free_ports(2)
    urls = ("--graph-url", f"http://127.0.0.1:{graph_port}", "--halo-url", f"http://127.0.0.1:{halo_port}")
    ports = ("--graph-port", str(graph_port), "--halo-port", str(halo_port))
    data = ("--data", str(tmp_path / "data"))
    apart = Process(arguments=["-m", "joinery", "stand-ins", *ports, *data], printed=tmp_path / "stand-ins.txt")
    ours = Process(arguments=["-m", "joinery", "up", "--port", "0", *urls, *data], printed=tmp_path / "ours.txt")
    world = World(urls[1], urls[3])
    try:
        apart.start()
        wait_until("the stand-ins are ready", lambda: apart.output.endswith("ready\n"), explain=lambda: apart.output)
        ours.start()
        wait_until("somebody was onboarded", lambda: "joiner is done" in ours.output, explain=lambda: ours.output)
        assert "settle time     3 s" in ours.output and "A first day at Contoso" in ours.output
        assert "Taken in as they are: 40 people" in ours.output
        assert ours.stop() == 0, ours.output
        assert "broke off" not in ours.output and "Traceback" not in ours.output
        assert len(world.tickets()) >= 1
        ours.start()
        wait_until("the next day begins", lambda: "Day 2 at Contoso" in ours.output, explain=lambda: ours.output)
        assert ours.stop() == 0, ours.output
    finally:
        ours.kill()
        apart.kill()
        world.close()
