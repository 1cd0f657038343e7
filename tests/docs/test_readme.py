"""The README's blocks do what the README says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from doc_pages import ROOT, blocks
from doc_shell import Shell

README = ROOT / "README.md"


@pytest.mark.servers
@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's blocks need curl, which this machine has not")
def test_the_readmes_blocks_open_one_onboarding_and_one_offboarding_ticket(shell: Shell) -> None:
    """Every block that is not marked no-test, pasted in order into one shell beside an empty world."""
    shown = [block for block in blocks(README) if block.language == "sh" and not block.no_test]
    printed = dict(zip((block.code.splitlines()[0] for block in shown), shell.run(*(block.code for block in shown)), strict=True))

    after_joining = next(text for first, text in printed.items() if first.startswith('until halo "/Tickets'))
    assert re.fullmatch(r"\d+  Onboarding: Ada Nilsson \[local-[A-Z2-7]{16}\]", after_joining)
    after_leaving = next(text for first, text in printed.items() if "accountEnabled" in first)
    summaries = [line.split("  ")[1].split(" [")[0] for line in after_leaving.splitlines()]
    assert summaries == ["Offboarding: Ada Nilsson", "Onboarding: Ada Nilsson"]
    audit = next(text for first, text in printed.items() if first.startswith("joinery audit show"))
    assert "run started" in audit
    assert "step verified" in audit

    with urllib.request.urlopen(shell.environment["HALO"] + "/_faults", timeout=10) as answer:
        (rule,) = json.load(answer)
    assert rule["fault"] == "lost_response"
    assert rule["match"] == {"method": "POST", "path": "/api/Tickets"}


@pytest.mark.servers
def test_the_demo_prints_what_the_first_screen_shows(tmp_path: Path) -> None:
    """Times and numbers aside, every line of the README's first output is in a real one."""
    shown = next(block.code for block in blocks(README) if block.language == "text")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("JOINERY_")}
    command = [sys.executable, "-m", "joinery", "demo"]
    done = subprocess.run(command, cwd=ROOT, env={**plain, "TMPDIR": str(tmp_path)}, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    printed = _plain(done.stdout)
    assert [line for line in shown.splitlines() if _plain(line) not in printed] == []


def _plain(text: str) -> str:
    """One space between words, and # for every number."""
    return re.sub(r"\d+", "#", " ".join(text.split()))


def test_what_is_not_run_here_are_only_the_commands_that_never_end_or_set_up() -> None:
    """`make demo`, `make run` and `joinery up` have tests of their own, which choose path and folder; nothing else may hide behind no-test."""
    left_out = [line.split("#")[0].split() for block in blocks(README) if block.no_test for line in block.code.splitlines()]
    assert {tuple(words[:2]) for words in left_out} == {
        ("make", "demo"),
        ("make", "run"),
        (".", ".venv/bin/activate"),
        ("joinery", "up"),
        ("export", "JOINERY_DATA=.joinery/empty"),
    }


def test_every_make_target_that_the_readme_names_exists() -> None:
    targets = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30).stdout
    for wanted in set(re.findall(r"^make (\w+)", README.read_text(encoding="utf-8"), re.MULTILINE)):
        assert f"make {wanted}" in targets
