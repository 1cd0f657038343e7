"""host.json, the settings around it, the code that relies on them, and the page that explains them say the same."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from worker_client import ROOT

import function_app
from adapters.graph.directory import SWEEP_DEADLINE
from adapters.graph.subscriptions import DEADLINE
from joinery.engine.retry import EngineTiming
from joinery.local import HostSettings, registered
from joinery.settings import Settings
from wiring import build_app

HOST = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
BUS = HOST["extensions"]["serviceBus"]
SAMPLE = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
PAGE = (ROOT / "docs" / "functions.md").read_text(encoding="utf-8")
#: HTTP calls that one instance is expected to answer at once, beside its sessions.
HTTP_AT_ONCE = 8


def time_of(text: str) -> timedelta:
    hours, minutes, seconds = text.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds))


def leaves(document: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of everything that is set; what the extension calls its retry options is one value."""
    for key, value in document.items():
        at = f"{path}.{key}" if path else key
        if isinstance(value, dict) and key != "clientRetryOptions":
            yield from leaves(value, at)
        else:
            yield at, value


def test_nothing_in_host_json_repeats_a_function() -> None:
    """`clientRetryOptions` repeats the extension's own calls; a policy called `retry` would repeat functions, and the queue's ignores it."""
    assert not [path for path, _ in leaves(HOST) if "retry" in path.lower().split(".")]


def test_every_value_of_host_json_stands_in_the_page_and_no_other() -> None:
    rows = dict(
        re.findall(r"^\| `([\w.…]+)` \| (.+?) \|", PAGE.partition("## host.json, value by value")[2].partition("\n## ")[0], re.MULTILINE)
    )
    told = {path.removeprefix("…"): value.strip("`") for path, value in rows.items()}
    unexplained = {"version", "extensionBundle.id", "logging.applicationInsights.samplingSettings.isEnabled"}
    for path, value in leaves(HOST):
        if path in unexplained or path.endswith("clientRetryOptions"):
            continue
        says = next((said for name, said in told.items() if path.endswith(name)), "nothing")
        assert says == (str(value).lower() if isinstance(value, bool) else str(value)), path
    for name in told:
        assert any(path.endswith(name) for path, _ in leaves(HOST)), f"the page explains {name}, which host.json does not set"


def test_the_page_names_the_retry_options_of_the_extension() -> None:
    options = BUS["clientRetryOptions"]
    pauses = [int(time_of(options[name]).total_seconds()) for name in ("tryTimeout", "delay", "maxDelay")]
    said = f"{options['mode']}, {options['maxRetries']} tries, {pauses[0]} s each, pauses of {pauses[1]} to {pauses[2]} s"
    assert said in PAGE


def test_there_is_a_thread_for_every_session_and_for_the_http_calls_beside_them() -> None:
    assert int(SAMPLE["PYTHON_THREADPOOL_THREAD_COUNT"]) >= BUS["maxConcurrentSessions"] + HTTP_AT_ONCE
    assert f"`PYTHON_THREADPOOL_THREAD_COUNT` is therefore {SAMPLE['PYTHON_THREADPOOL_THREAD_COUNT']}" in PAGE


def test_order_within_a_person_and_the_fixed_number_of_sessions_are_kept() -> None:
    assert (BUS["maxConcurrentCallsPerSession"], BUS["prefetchCount"], BUS["autoCompleteMessages"]) == (1, 0, True)
    assert HOST["concurrency"] == {"dynamicConcurrencyEnabled": False}


def test_a_session_that_is_quiet_gives_its_slot_away_after_two_seconds() -> None:
    """Unset it would be a minute."""
    assert time_of(BUS["sessionIdleTimeout"]) == timedelta(seconds=2)


def test_no_function_is_cut_off_while_it_does_what_it_may() -> None:
    """The work of a message ends after its budget, and then may still wait for one call, and settle it; a sweep's page has a deadline too."""
    timing = EngineTiming()
    longest = timing.work_budget + timing.recipe_limit + timing.call_deadline + sum(timing.verify_pauses, timedelta())
    assert max(longest, DEADLINE, SWEEP_DEADLINE) * 2 < time_of(HOST["functionTimeout"])


def test_a_lock_is_renewed_for_as_long_as_a_function_may_run() -> None:
    assert time_of(BUS["maxAutoLockRenewalDuration"]) >= time_of(HOST["functionTimeout"])


def test_the_local_host_reads_the_same_numbers() -> None:
    read = HostSettings.read(ROOT / "host.json")
    assert (read.max_concurrent_sessions, read.session_idle_timeout) == (BUS["maxConcurrentSessions"], 2.0)
    assert read.max_lock_renewal == time_of(BUS["maxAutoLockRenewalDuration"]).total_seconds()
    assert read.route_prefix == HOST["extensions"]["http"]["routePrefix"]


def settings_in(folder: Path, root: str = "https://joinery.azurewebsites.net") -> Settings:
    return Settings.from_environment(
        {
            "JOINERY_DATA": str(folder),
            "JOINERY_GRAPH_URL": "http://127.0.0.1:1",
            "JOINERY_HALO_URL": "http://127.0.0.1:1",
            "JOINERY_PUBLIC_URL": root,
            "JOINERY_CLIENT_STATE": "c" * 64,
        }
    )


def test_libraries_that_tell_addresses_are_hushed_and_the_platforms_lines_stay(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = ("azure.core.pipeline.policies.http_logging_policy", "azure.identity._internal.decorators", "azure.servicebus._pyamqp", "httpx")
    for name in ("azure", "azure.functions", "azure.core", "azure.identity", "azure.servicebus", "httpx"):
        # As a new process has them, whatever ran in this one before.
        logging.getLogger(name).setLevel(logging.NOTSET)
    caplog.set_level(logging.INFO)
    build_app(settings_in(tmp_path)).close()
    for name in (*names, "azure.functions"):
        logging.getLogger(name).info("a line of %s", name)
    assert [one.name for one in caplog.records if one.msg == "a line of %s"] == ["azure.functions"]


def test_subscriptions_carry_the_addresses_that_the_host_serves(tmp_path: Path) -> None:
    """The prefix is host.json's, the rest the routes that the functions register."""
    root = "https://joinery.azurewebsites.net"
    parts = build_app(settings_in(tmp_path, root))
    try:
        urls = {parts.app.orders.urls.notification_url, parts.app.orders.urls.lifecycle_url}
    finally:
        parts.close()
    prefix = HOST["extensions"]["http"]["routePrefix"]
    routes = {one.get_function_name(): one.get_trigger().get_dict_repr().get("route") for one in registered(function_app.app)}
    assert urls == {f"{root}/{prefix}/{routes[name]}" for name in ("notifications", "lifecycle")}


@pytest.mark.parametrize("function", registered(function_app.app), ids=lambda one: one.get_function_name())
def test_every_setting_that_a_binding_names_is_in_the_sample(function: Any) -> None:
    """A connection is a prefix: the setting of that name, or those that begin with it and two underscores."""
    for key, value in function.get_trigger().get_dict_repr().items():
        for name in re.findall(r"%(\w+)%", str(value)):
            assert name in SAMPLE, name
        if key == "connection":
            assert any(name == value or name.startswith(f"{value}__") for name in SAMPLE), value


def test_the_sample_is_a_deployment_once_its_secrets_are_filled_in() -> None:
    """Nothing is misspelt, nothing contradicts anything, and nothing that Azure needs is missing."""
    filled = {name: value or "s" * 64 for name, value in SAMPLE.items()}
    settings = Settings.from_environment(filled)
    assert settings.missing() == []
    assert (settings.store, settings.queue) == ("tables", "servicebus")


def test_the_linter_leaves_the_signatures_alone() -> None:
    """Its fix would write `list[…]` and `X | None`, which the worker refuses."""
    ignored = re.search(r'^"function_app.py" = \[(.*?)\]', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert ignored is not None
    assert {"UP006", "UP007", "UP045"} <= set(re.findall(r"\w+", ignored[1]))
