"""The real function app breaks no rule of the worker; and every rule is one: a tiny app that breaks it is found, and the worker agrees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from signature_rules import GOOD, RULES, Read, Verdict, read
from worker_client import ROOT, Worker

import function_app
from joinery.local import registered

Check = Callable[[Read], Iterator[str]]


def named(check: Check) -> str:
    return check.__name__


@pytest.fixture(scope="module")
def ours() -> Read:
    return read((ROOT / "function_app.py").read_text(encoding="utf-8"))


@pytest.mark.parametrize("check", RULES, ids=named)
def test_the_function_app_keeps_the_rule(ours: Read, check: Check) -> None:
    assert list(check(ours)) == []


@pytest.mark.parametrize("check", RULES, ids=named)
def test_an_app_that_breaks_the_rule_is_found(check: Check) -> None:
    for source, _ in RULES[check]:
        assert list(check(read(source))) != [], source


@pytest.mark.parametrize("check", RULES, ids=named)
def test_an_app_that_keeps_every_rule_is_not(check: Check) -> None:
    assert list(check(read(GOOD))) == []


def test_what_was_read_from_the_source_is_what_is_registered(ours: Read) -> None:
    """The checks read the file anew; this is the app that every other test knows."""
    assert [one.get_function_name() for one in ours.functions] == [one.get_function_name() for one in registered(function_app.app)]


@pytest.mark.servers
@pytest.mark.xdist_group("functions-worker")
def test_microsofts_engine_says_of_every_bad_app_what_we_say_it_does(engine: None, tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    wrong = []
    try:
        bad = [(source, verdict, named(check)) for check, broken in RULES.items() for source, verdict in broken]
        for number, (source, verdict, rule) in enumerate([*bad, (GOOD, Verdict.ACCEPTED, "")]):
            (tmp_path / f"bad_{number}.py").write_text(source, encoding="utf-8")
            indexed = worker.order("index", str(tmp_path), f"bad_{number}.py")
            seen = Verdict.REFUSED if indexed["problem"] else Verdict.ACCEPTED
            if verdict is Verdict.FAILS:
                told = [_call(worker, name, function["bindings"]) for name, function in indexed["functions"].items()]
                seen = seen if any(one["ok"] for one in told) else Verdict.FAILS
            if seen is not verdict:
                wrong.append((rule, source, seen, indexed["problem"]))
    finally:
        worker.close()
    assert wrong == []


def _call(worker: Worker, name: str, bindings: list[dict[str, Any]]) -> Any:
    match next(one["type"] for one in bindings if one["type"].endswith("Trigger")):
        case "httpTrigger":
            return worker.http(name, "POST", "/api/x")
        case "serviceBusTrigger":
            return worker.order("message", name, "{}")
        case _:
            return worker.order("timer", name)
