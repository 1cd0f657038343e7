"""The script on the audit page, exactly as it stands there, tells a sound export from every other."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from doc_pages import ROOT, blocks

from joinery.engine.export import AuditExporter
from joinery.engine.operations import OperatorLog
from joinery.engine.verification import AuditVerifier
from joinery.testing import TENANT, World, person

(SCRIPT,) = [block.code for block in blocks(ROOT / "docs" / "audit.md") if block.language == "python"]
ADA, BOB, OPERATOR = f"{TENANT}|person:ada", f"{TENANT}|person:bob", f"{TENANT}|operator"

pytestmark = pytest.mark.servers

Lines = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """An export and the seals, as lines."""

    lines: list[str]
    seals: list[str]
    one_person: list[str]


@pytest.fixture(scope="module")
def export() -> Export:
    """Two people who joined, one of whom was erased, and an operator; sealed twice."""
    world = World()
    log = OperatorLog(TENANT, store=world.store, clock=world.clock, randomness=world.app.randomness)
    log.record("paused", "the year's “end”", by="Kim Ünïcode", workflow="*")
    for one in ("ada", "bob"):
        world.put(person(one, groups=("ITSM-NewJoiner",), display_name=f'{one} "Ünïcode" \\ \u2028 \U0001f600 \x7f'))
        world.look(one)
    world.app.upkeep.sealer.seal()
    world.pass_time(minutes=40)
    assert not world.app.upkeep.eraser.erase(BOB, reason="request 14", by="kim").blocked_by
    world.app.upkeep.sealer.seal()
    verifier = AuditVerifier(world.store, world.seals, tenant=TENANT)
    assert verifier.verify().sound
    exporter = AuditExporter(world.store, verifier, clock=world.clock)
    return Export(
        lines=[json.dumps(line) for line in exporter.everything()],
        seals=world.seals.data.decode().splitlines(),
        one_person=[json.dumps(line) for line in exporter.of([ADA])],
    )


def check(folder: Path, lines: list[str], seals: list[str] | None = None) -> tuple[int, str]:
    """Run the script of the page; its exit code and what it says."""
    (folder / "check.py").write_text(SCRIPT, encoding="utf-8")
    (folder / "audit.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    given = ["audit.jsonl"]
    if seals is not None:
        (folder / "seals.jsonl").write_text("\n".join(seals) + "\n", encoding="utf-8")
        given.append("seals.jsonl")
    # Isolated: not even by accident does it see a module of ours.
    done = subprocess.run([sys.executable, "-I", "check.py", *given], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, (done.stdout + done.stderr).strip()


def place_of(export: Export, partition: str, seq: int) -> int:
    """The line that holds this entry."""
    parsed = [json.loads(line) for line in export.lines]
    return next(number for number, line in enumerate(parsed) if (line.get("partition"), line.get("seq")) == (partition, seq))


def test_the_script_has_at_most_thirty_lines_and_needs_the_standard_library_alone() -> None:
    assert len(SCRIPT.strip().splitlines()) <= 30
    imported = {alias.name for node in ast.walk(ast.parse(SCRIPT)) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= sys.stdlib_module_names and "ImportFrom" not in ast.dump(ast.parse(SCRIPT))


def test_a_sound_export_is_sound_with_and_without_the_seals(export: Export, tmp_path: Path) -> None:
    code, said = check(tmp_path, export.lines, export.seals)
    assert (code, said.partition(";")[0]) == (0, f"sound: {len(export.lines) - 1} entries, 4 chains")
    assert said.endswith(json.loads(export.seals[-1])["root"])
    assert check(tmp_path, export.lines)[0] == 0
    assert check(tmp_path, export.one_person, export.seals)[0] == 0


@pytest.mark.parametrize("field", ["seq", "at", "action", "why", "run", "step", "detail", "digest", "prev", "hash"])
def test_a_change_in_any_field_is_named(export: Export, tmp_path: Path, field: str) -> None:
    place = place_of(export, ADA, 4)
    entry = json.loads(export.lines[place])
    entry[field] = 400 if field == "seq" else {"other": 1} if field == "detail" else f"{entry[field]}0"
    code, said = check(tmp_path, [*export.lines[:place], json.dumps(entry), *export.lines[place + 1 :]])
    assert code == 1 and said.startswith(f"{ADA}: entry 4 is {'missing' if field == 'seq' else 'changed'}"), said


def test_a_change_in_the_personal_data_is_named_and_their_erasure_is_none(export: Export, tmp_path: Path) -> None:
    parsed = [json.loads(line) for line in export.lines]
    place = next(number for number, line in enumerate(parsed) if line.get("partition") == ADA and "personal" in line)
    parsed[place]["personal"]["data"]["name"] = "Eve"
    assert check(tmp_path, [json.dumps(line) for line in parsed]) == (1, f"{ADA}: entry {parsed[place]['seq']} is changed: personal data")
    assert not [line for line in parsed if line.get("partition") == BOB and "personal" in line]


def test_a_missing_entry_is_named(export: Export, tmp_path: Path) -> None:
    place = place_of(export, BOB, 3)
    assert check(tmp_path, export.lines[:place] + export.lines[place + 1 :]) == (1, f"{BOB}: entry 3 is missing")


def test_reordered_entries_are_named_at_the_first(export: Export, tmp_path: Path) -> None:
    first, second = place_of(export, ADA, 2), place_of(export, ADA, 5)
    lines = [*export.lines]
    lines[first], lines[second] = lines[second], lines[first]
    assert check(tmp_path, lines) == (1, f"{ADA}: entry 2 is reordered")


@pytest.mark.parametrize("cut", [1, 2, 30])
def test_a_truncated_export_is_named_at_the_first_entry_that_is_gone(export: Export, tmp_path: Path, cut: int) -> None:
    gone = json.loads(export.lines[-cut])
    code, said = check(tmp_path, export.lines[:-cut])
    # Chains are checked in the order of their names; the first that is short is named.
    assert code == 1 and said.endswith("is truncated, with all that follow")
    if cut < 3:
        assert said.startswith(f"{gone['partition']}: entry {gone['seq']} ")


def test_a_line_that_was_cut_in_the_middle_counts_as_gone(export: Export, tmp_path: Path) -> None:
    last = json.loads(export.lines[-1])
    code, said = check(tmp_path, [*export.lines[:-1], export.lines[-1][:40]])
    assert code == 1 and f"{last['partition']}: entry {last['seq']} is truncated" in said


def without_its_tail(export: Export, partition: str) -> list[str]:
    """The export of somebody who cut a chain and set its head back: sound in itself."""
    first, *entries = [json.loads(line) for line in export.lines]
    chain = [entry for entry in entries if entry["partition"] == partition]
    first["heads"][partition] = {"seq": chain[-2]["seq"], "hash": chain[-2]["hash"]}
    return [json.dumps(line) for line in (first, *(entry for entry in entries if entry is not chain[-1]))]


def test_what_is_sound_in_itself_is_not_sound_before_its_seal(export: Export, tmp_path: Path) -> None:
    lines = without_its_tail(export, ADA)
    assert check(tmp_path, lines)[0] == 0
    code, said = check(tmp_path, lines, export.seals)
    assert code == 1 and said.startswith(f"{ADA}: entry ") and "truncated" in said


def test_a_person_who_is_sealed_and_not_in_an_export_of_everything_is_named(export: Export, tmp_path: Path) -> None:
    first, *entries = [json.loads(line) for line in export.lines]
    del first["heads"][BOB]
    lines = [json.dumps(line) for line in (first, *(entry for entry in entries if entry["partition"] != BOB))]
    assert check(tmp_path, lines, export.seals) == (1, f"{BOB}: entry 1 is truncated, with all that follow")


@pytest.mark.parametrize(
    ("what", "number"),
    [
        (lambda seals: [seals[0].replace('"seq":1', '"seq":2'), seals[1]], 1),
        (lambda seals: seals[1:], 2),
        (lambda seals: [seals[1], seals[0]], 2),
        (lambda seals: [seals[0][:50], seals[1]], 2),
    ],
    ids=["changed", "missing", "reordered", "cut short"],
)
def test_seals_that_do_not_hold_are_named(export: Export, tmp_path: Path, what: Callable[[list[str]], list[str]], number: int) -> None:
    code, said = check(tmp_path, export.lines, what(export.seals))
    assert code == 1 and f"seal {number} is changed, or does not follow the one before" in said


def test_a_seal_that_a_crash_cut_short_and_that_was_written_again_is_no_fault(export: Export, tmp_path: Path) -> None:
    code, said = check(tmp_path, export.lines, [export.seals[0], export.seals[1][:50], export.seals[1]])
    assert code == 0 and "cut short" in said
