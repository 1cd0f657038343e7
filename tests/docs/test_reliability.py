"""The page about faults names tests that exist, leaves no fault out and says of each how it ends."""

from __future__ import annotations

import re

import pytest
from doc_pages import ROOT, prose

PAGE = ROOT / "docs" / "reliability.md"
#: How many faults there are.
FAULTS = 52

_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_ROW = re.compile(r"^\| (\d+) \|(.*)\|$", re.MULTILINE)


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.split("|")]


def test_every_test_that_the_page_names_is_in_the_tree() -> None:
    named = _NAMED.findall(prose(PAGE))
    assert len(named) > FAULTS
    missing = [f"{file}::{test}" for file, test in named if not _defines(file, test)]
    assert missing == []


def test_every_fault_has_one_row_with_a_promise_a_test_and_a_result() -> None:
    rows = _ROW.findall(prose(PAGE))
    assert sorted(int(number) for number, _ in rows) == list(range(1, FAULTS + 1))
    for number, row in rows:
        fault, promise, shown, result = cells(row)
        assert fault and promise, number
        if result.startswith("comes with "):
            assert shown == "none yet", number
        else:
            assert _NAMED.search(shown), number
            assert result == "holds" or result.startswith("holds, with this limit: "), number


@pytest.mark.parametrize(
    "guard",
    [
        "the fence",
        "look before repeat",
        "`not_after`",
        "the twin check",
        "index first",
        "`synchronous=FULL`",
        "in constant time",
        "the settle window",
        "the flap window",
        "the breaker's slot",
        "the lease of the call budget",
        "the run's id",
        "`commit_id`",
        "the lock of a session",
    ],
)
def test_every_guard_has_a_test_that_goes_red_without_it(guard: str) -> None:
    _, _, guards = prose(PAGE).partition("## Guards")
    rows = [row for row in guards.partition("\n## ")[0].splitlines() if row.startswith("|") and guard in cells(row)[1]]
    assert rows
    assert all(_NAMED.search(cells(row)[2]) for row in rows)


def _defines(file: str, test: str) -> bool:
    path = ROOT / file
    return path.is_file() and f"def {test}(" in path.read_text(encoding="utf-8")
