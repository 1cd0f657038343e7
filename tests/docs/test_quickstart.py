"""The first hour goes as the quickstart says."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from doc_pages import ROOT, blocks
from doc_shell import Shell

from joinery.domain.policy import Ring
from joinery.policy_file import parse_policy

QUICKSTART = ROOT / "docs" / "quickstart.md"


def _tests_in_the_example() -> dict[str, Callable[[], None]]:
    (example,) = [block for block in blocks(QUICKSTART) if block.language == "python"]
    names: dict[str, Callable[[], None]] = {}
    exec(compile(ast.parse(example.code), f"{QUICKSTART.name}:{example.line}", "exec"), names)
    return {name: test for name, test in names.items() if name.startswith("test_")}


@pytest.mark.parametrize("name", ["test_whoever_joins_finance_gets_a_reminder_once", "test_a_lost_answer_opens_no_second_ticket"])
def test_the_example_of_a_step_passes_its_own_tests(name: str) -> None:
    _tests_in_the_example()[name]()


def test_the_example_has_no_test_that_is_not_run_here() -> None:
    assert len(_tests_in_the_example()) == 2


def test_the_policy_in_the_quickstart_is_accepted_and_says_what_the_text_says() -> None:
    (block,) = [block for block in blocks(QUICKSTART) if block.language == "toml"]
    assert parse_policy(block.code, place="quickstart.md").ring_of("leaver") is Ring.SHADOW


def test_whatever_the_pages_start_empty_has_a_folder_of_its_own_and_the_next_terminal_knows_it() -> None:
    """The company of `make run` lies in the usual folder, and stays there."""
    for page in (QUICKSTART, ROOT / "README.md"):
        first, second = [block.code.splitlines() for block in blocks(page) if block.no_test and ".venv/bin/activate" in block.code]
        assert first[0] == second[0] == ". .venv/bin/activate"
        assert first[1].startswith("joinery up --empty ") and first[1].endswith(" --data .joinery/empty")
        assert second[1] == "export JOINERY_DATA=.joinery/empty"


def test_the_quickstart_has_the_test_tools_installed_before_it_needs_them() -> None:
    (lines,) = [block.code.splitlines() for block in blocks(QUICKSTART) if "-m pytest" in block.code]
    assert lines == ["make quick", ".venv/bin/python -m pytest tests/workflows/test_induction.py"]


def test_forget_removes_the_data_and_clean_the_environment_too(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for target, left in (("forget", {".venv"}), ("clean", set())):
        for folder in (".joinery/empty", ".venv"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        subprocess.run(["make", target], cwd=tmp_path, check=True, capture_output=True, timeout=30)
        assert {path.name for path in tmp_path.iterdir()} - {"Makefile"} == left


@pytest.mark.servers
@pytest.mark.skipif(shutil.which("curl") is None, reason="the quickstart's blocks need curl, which this machine has not")
def test_the_quickstarts_blocks_can_be_pasted_in_order(shell: Shell) -> None:
    shown = [block for block in blocks(QUICKSTART) if block.language == "sh" and not block.no_test]
    printed = dict(zip((block.code.splitlines()[0] for block in shown), shell.run(*(block.code for block in shown)), strict=True))

    assert printed['PERSON=$(new_person "Nadia Haddad" nadia.haddad E-9101)'] == "['Onboarding: Nadia Haddad']"
    assert next(text for first, text in printed.items() if "accountEnabled" in first) == "True []"
    audit = next(text for first, text in printed.items() if first.startswith("joinery audit show"))
    assert '"ready": true' in audit
    assert "step verified" in audit
