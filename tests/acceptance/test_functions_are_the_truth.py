"""What `function_app.py` registers is what `joinery up` serves: take a function away, and it is gone."""

from __future__ import annotations

import ast
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from product import ROOT, Product
from tales import joined, made

pytestmark = pytest.mark.servers

_FUNCTIONS = ("notifications", "lifecycle", "person_messages", "tick", "sweep", "renew_subscriptions", "health", "desk_webhook")


@contextmanager
def _without(name: str, folder: Path) -> Iterator[Product]:
    """A product from a copy of the tree in which one function is missing. Started, not waited for."""
    tree = folder / "tree"
    tree.mkdir()
    for part in ("joinery", "adapters", "simulators", "workflows", "config"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("wiring.py", "host.json"):
        shutil.copy(ROOT / file, tree / file)
    source = (ROOT / "function_app.py").read_text()
    gone = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == name)
    lines = source.splitlines()
    del lines[gone.decorator_list[0].lineno - 1 : gone.end_lineno]
    (tree / "function_app.py").write_text("\n".join(lines) + "\n")
    it = Product.lay_out(folder, settings={"PYTHONPATH": str(tree)}, cwd=tree)
    try:
        it.ours.start()
        yield it
    finally:
        it.end()


def _status(it: Product, method: str, path: str) -> int:
    return httpx.request(
        method, f"{it.url}/api/{path}", trust_env=False, params={"validationToken": "x"} if method == "POST" else None
    ).status_code


def _serves(it: Product) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert it.ours.code is None, it.ours.output
        if "ready" in it.ours.output.splitlines():
            return
        time.sleep(0.05)
    raise AssertionError(it.ours.output)


def test_there_are_eight_functions() -> None:
    tree = ast.parse((ROOT / "function_app.py").read_text())
    assert {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list} == set(_FUNCTIONS)


def test_without_the_health_function_there_is_no_health(tmp_path: Path) -> None:
    with _without("health", tmp_path) as it:
        _serves(it)
        assert _status(it, "GET", "health") == 404
        assert _status(it, "POST", "notifications") == 200


def test_without_the_lifecycle_function_there_is_no_such_route(tmp_path: Path) -> None:
    with _without("lifecycle", tmp_path) as it:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                if _status(it, "POST", "lifecycle") != 503:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        assert _status(it, "POST", "lifecycle") == 404


def test_without_the_queue_function_messages_wait_and_with_it_again_they_are_handled(tmp_path: Path) -> None:
    with _without("person_messages", tmp_path) as it:
        it.wait_ready()
        one = made(it, "Wanda Waiting")
        it.world.add(one)
        until = time.monotonic() + 60
        while time.monotonic() < until and not it.health()[1]["queued"]:
            time.sleep(0.05)
        assert it.health()[1]["queued"] >= 1
        time.sleep(1)
        assert it.world.tickets_of(one) == []
        assert it.ours.stop() == 0
        whole = Product.lay_out(tmp_path)
        try:
            whole.start()
            joined(whole, one)
        finally:
            whole.end()
