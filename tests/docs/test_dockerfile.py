"""The container of the worker gets everything that it needs, and no stand-in."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from doc_pages import ROOT

from joinery.cli.commands import app

LINES = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()


def copied() -> set[str]:
    """What is copied from the repository."""
    return {name for line in LINES if line.startswith("COPY ") for name in shlex.split(line)[1:-1]}


def test_all_that_is_copied_is_there_and_the_command_exists_with_its_options() -> None:
    assert [name for name in copied() if not (ROOT / name).exists()] == []
    [command] = [line for line in LINES if line.startswith("CMD ")]
    program, worker, *options = re.findall(r'"([^"]+)"', command)
    assert program == "joinery"
    known = {option for parameter in typer.main.get_command(app).commands[worker].params for option in parameter.opts}  # type: ignore[attr-defined]
    assert {option for option in options if option.startswith("--")} <= known


@pytest.mark.servers
def test_the_worker_imports_nothing_that_is_not_copied(tmp_path: Path) -> None:
    """It gets as far as the settings that are missing."""
    for name in copied():
        (tmp_path / name).symlink_to(ROOT / name)
    code = "import sys; sys.path.insert(0, '.'); sys.modules['simulators'] = None; import wiring, function_app, joinery.cli.worker"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
