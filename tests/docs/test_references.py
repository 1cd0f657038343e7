"""The reference pages say what the code says: settings, policy, words, actions, host.json, faults."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from doc_pages import ROOT, blocks, prose
from doc_shell import Shell
from pydantic import BaseModel

from joinery import policy_tables
from joinery.domain import events
from joinery.domain.changes import Stage
from joinery.domain.identity import Kind
from joinery.domain.policy import Policy, Ring
from joinery.engine.envelope import EnvelopeKind
from joinery.engine.journal import RunStatus
from joinery.engine.overlap import COLUMNS, FACT_MEETS_RUN
from joinery.policy_file import parse_policy
from simulators.faults import COMMON_FAULTS, MATCH_KEYS, RULE_KEYS
from simulators.graph import GRAPH_FAULTS
from simulators.halo import FAULTS as HALO_FAULTS

DOCS = ROOT / "docs"
EXAMPLE = ROOT / "config" / "policy.example.toml"

#: Every word that the design coins and the code uses.
WORDS = """
    break, chain, erased, mark, root, salt, seal, abandoned, absence, adapter, adoption, alert, audit, baseline, catalogue, cause, clientState, commit, create, dead-lettered, delta link, deployment,
    desired roles, desk, directory, doctor, door, double, doubt, effect, envelope, episode, fact, given up, grant, guard, handshake, head, hint, holder, identity kind, index row, intent,
    joiner, joiner group, journal, key, known, leaver, lifecycle notification, look, matter, notification, open range, order, overtaken, parked, partition, pause,
    person, personal row, planned, policy, port, profile, protected, read-back, reading, recipe, ring, run, search lag, second look, seen, session, setting, settle,
    shadow, shared row, sighting, stand-in, step, subscription, superseded, sweep, tick, twin, twin check, unverified, verified, watched group, workflow, world
"""


def _words_explained() -> list[str]:
    return re.findall(r"^\* \*\*(.+?)\*\*: \S", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)


# --- glossary ---


@pytest.mark.parametrize("word", [word.strip() for word in WORDS.replace("\n", " ").split(",")])
def test_the_glossary_explains_every_word_that_we_coin(word: str) -> None:
    assert word in _words_explained()


def test_the_glossary_explains_each_word_once() -> None:
    words = _words_explained()
    assert len(words) == len(set(words))


def test_the_glossary_names_every_fact_ring_and_kind_of_identity() -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    facts = [one.__name__ for one in events.Fact.__args__]
    assert [fact for fact in facts if f"`{fact}`" not in text] == []
    assert [ring for ring in Ring if f"`{ring}`" not in text] == []
    assert [kind for kind in Kind if kind not in text] == []


def test_how_it_works_names_every_stage_of_an_episode() -> None:
    text = (DOCS / "how-it-works.md").read_text(encoding="utf-8")
    assert [stage for stage in Stage if f"`{stage}`" not in text] == []


# --- settings ---


def test_the_settings_page_is_fresh() -> None:
    """`python scripts/settings_reference.py` writes it."""
    script = ROOT / "scripts" / "settings_reference.py"
    spec = importlib.util.spec_from_file_location("settings_reference", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == module.page()


# --- policy ---


def _keys(table: Any, prefix: str = "") -> Iterator[str]:
    """``desk.tickets.onboarding.team`` for every key of a TOML document; rows of an array share their keys."""
    for key, value in table.items():
        rows = value if isinstance(value, list) and value and isinstance(value[0], dict) else [value]
        for row in rows:
            if isinstance(row, dict):
                yield from _keys(row, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}"


def _models() -> dict[str, type[BaseModel]]:
    """Table -> the model that reads it, for every table of a policy."""
    kinds = {f"identity.{kind}": policy_tables.KindTable for kind in policy_tables.IdentityTable.model_fields}
    return {
        "joiner": policy_tables.JoinerTable,
        **{f"workflows.{workflow}": policy_tables.WorkflowTable for workflow in policy_tables.WORKFLOWS},
        **kinds,
        **{f"roles.{group}": policy_tables.RoleTable for group in ("ITSM-ChangeManagers", "ITSM-Admins")},
        "agents": policy_tables.AgentsTable,
        "approvals": policy_tables.ApprovalsTable,
        "mover": policy_tables.MoverTable,
        "leaver.directory": policy_tables.LeaverDirectoryTable,
        "timing": policy_tables.TimingTable,
        "breaker": policy_tables.BreakerTable,
        "desk": policy_tables.DeskTable,
        "desk.site_rules": policy_tables.SiteRuleTable,
        **{f"desk.tickets.{kind}": policy_tables.TicketTable for kind in ("onboarding", "offboarding", "move", "role")},
    }


def test_the_example_policy_is_accepted_and_holds_the_defaults() -> None:
    policy = parse_policy(EXAMPLE.read_text(encoding="utf-8"), place=EXAMPLE.name)
    defaults = Policy()
    assert policy.joiner_group == defaults.joiner_group
    assert policy.roles == defaults.roles and policy.roles_alone == defaults.roles_alone
    # The one thing without a default: it is for the organisation to name.
    assert replace(policy.approvals, fallback="") == defaults.approvals
    assert policy.mover == defaults.mover
    assert policy.identity == defaults.identity
    assert policy.timing == defaults.timing
    assert policy.breaker == defaults.breaker
    assert {kind: ticket for kind, ticket in policy.desk.tickets.items() if kind != "alert"} == defaults.desk.tickets
    assert {policy.ring_of(workflow) for workflow in policy_tables.WORKFLOWS} == {Ring.EVERYONE}


def test_the_example_policy_has_every_key_that_the_models_know() -> None:
    there = set(_keys(tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))))
    tables = _models()
    known = {
        f"{table}.{key}"
        for table, model in tables.items()
        for key in model.model_fields
        if f"{table}.{key}" not in ("desk.site_rules", "desk.tickets")
    }
    # Left out, a role lasts as long as the membership; the key stands there in a comment.
    known -= {f"roles.{group}.max_days" for group in ("ITSM-ChangeManagers", "ITSM-Admins")}
    # An alert's ticket has nobody's ticket to adopt.
    known |= {"desk.tickets.alert.ticket_type", "desk.tickets.alert.team"}
    # The short form of a role.
    known |= {"roles.ITSM-ServiceDesk"}
    assert there == known and "# max_days =" in EXAMPLE.read_text(encoding="utf-8")
    assert set(policy_tables.PolicyTable.model_fields) == {table.partition(".")[0] for table in tables}


def test_every_key_of_the_example_policy_is_explained_or_stands_in_an_explained_table() -> None:
    """A comment stands above the key, above one before it in the same run of keys, or above the table."""
    text = EXAMPLE.read_text(encoding="utf-8")
    for paragraph in re.split(r"\n\n(?=\[|#)", text)[1:]:
        assert "#" in paragraph or re.match(r"\[+(workflows|identity|roles|desk\.site_rules|desk\.tickets)", paragraph), paragraph


def test_the_policy_page_names_every_table() -> None:
    text = prose(DOCS / "policy.md")
    missing = [table for table in (*_models(), "roles") if f"[{table}]" not in text]
    assert missing == []


# --- functions and host.json ---


def _host_values(document: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in document.items():
        if isinstance(value, dict) and key != "clientRetryOptions":
            yield from _host_values(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_the_functions_page_gives_a_reason_for_every_value_of_host_json() -> None:
    text = prose(DOCS / "functions.md")
    document = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
    obvious = {"version", "extensionBundle.id", "logging.applicationInsights.samplingSettings.isEnabled"}
    missing = [
        path for path in _host_values(document) if path not in obvious and not re.search(rf"\| `[\w.…]*{path.split('.')[-1]}`", text)
    ]
    missing = [path for path in missing if not re.search(rf"\| `[\w.…]*{'.'.join(path.split('.')[-2:])}`", text)]
    assert missing == []


def _functions() -> list[Any]:
    """The registered functions of a FunctionApp of our own: one of them can be asked only once in a process."""
    spec = importlib.util.spec_from_file_location("function_app_of_the_docs", ROOT / "function_app.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.app.get_functions())


def test_the_functions_page_names_every_function_and_schedule() -> None:
    text = prose(DOCS / "functions.md")
    for function in _functions():
        registered = function.get_trigger()
        assert registered is not None
        trigger = registered.get_dict_repr()
        assert f"| `{function.get_function_name()}` |" in text
        if "schedule" in trigger:
            assert f"`{trigger['schedule']}`" in text
        if "route" in trigger:
            assert f"/api/{trigger['route']}`" in text


def test_the_functions_page_quotes_host_json_as_it_is() -> None:
    text = prose(DOCS / "functions.md")
    bus = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))["extensions"]["serviceBus"]
    for key, value in bus.items():
        if not isinstance(value, dict):
            shown = value if isinstance(value, str) else json.dumps(value)
            assert f"| `serviceBus.{key}` | `{shown}` |" in text


# --- operations ---


def _actions_in_the_code() -> set[str]:
    """First arguments of every ``audit(…)`` in the engine; ``run {status}`` stands for the statuses a run can end with."""
    found: set[str] = set()
    for file in (ROOT / "joinery" / "engine").glob("*.py"):
        found |= set(re.findall(r"\.audit\(\s*\"([^\"]+)\"", file.read_text(encoding="utf-8")))
    ended = {RunStatus.VERIFIED, RunStatus.UNVERIFIED, RunStatus.PLANNED}
    return found | {f"run {status}" for status in ended} | {"nothing", "waiting", "left alone"}


def test_the_operations_page_explains_every_action_of_the_audit() -> None:
    explained = set(
        re.findall(
            r"`([^`]+)`", "".join(line.split("|")[1] for line in prose(DOCS / "operations.md").splitlines() if line.startswith("| `"))
        )
    )
    assert _actions_in_the_code() - explained == set()


def test_the_glossary_names_the_kinds_of_envelope_that_a_reader_meets() -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    assert all(f"`{kind}`" in text for kind in (EnvelopeKind.LOOK, EnvelopeKind.LOOK_GROUP, EnvelopeKind.WAKE))


# --- stand-ins ---


def test_the_stand_ins_page_names_every_fault_and_every_key_of_a_rule() -> None:
    text = prose(DOCS / "stand-ins.md")
    missing = [
        word
        for word in (*COMMON_FAULTS, *GRAPH_FAULTS, *HALO_FAULTS, *RULE_KEYS, *MATCH_KEYS)
        if f"`{word}`" not in text and f'"{word}"' not in text
    ]
    assert missing == []


@pytest.mark.servers
@pytest.mark.parametrize("page", ["stand-ins.md", "operations.md", "audit.md"])
def test_the_blocks_of_a_reference_page_can_be_pasted(page: str, shell: Shell) -> None:
    shown = [block.code for block in blocks(DOCS / page) if block.language == "sh" and not block.no_test]
    assert shown
    shell.run(*shown)


def test_the_example_in_the_testing_page_passes() -> None:
    (example,) = [block for block in blocks(DOCS / "testing.md") if block.language == "python"]
    names: dict[str, Any] = {}
    exec(compile(example.code, "testing.md", "exec"), names)
    (test,) = [value for name, value in names.items() if name.startswith("test_")]
    test()


def test_the_table_of_facts_and_open_runs_is_the_one_in_force() -> None:
    section = (DOCS / "how-it-works.md").read_text(encoding="utf-8").partition("## When a fact meets an open run")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")]
    header, _, *facts = rows
    assert tuple(header[1:]) == COLUMNS
    assert {row[0]: tuple(row[1:]) for row in facts} == {fact.kind: tuple(map(str, cells)) for fact, cells in FACT_MEETS_RUN.items()}
