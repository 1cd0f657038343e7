"""Azure's door: the registered functions, their bindings, and the rules that the worker has for signatures."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import typing
from pathlib import Path

import azure.functions as func

import function_app
from joinery.local import registered

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = {function.get_function_name(): function for function in registered(function_app.app)}


def trigger(name: str) -> dict[str, typing.Any]:
    return {key: getattr(value, "value", value) for key, value in FUNCTIONS[name].get_trigger().get_dict_repr().items()}


def test_the_eight_functions_are_registered() -> None:
    web, queue, timers = (
        {"notifications", "lifecycle", "desk_webhook", "health"},
        {"person_messages"},
        {"tick", "sweep", "renew_subscriptions"},
    )
    assert set(FUNCTIONS) == web | queue | timers


def test_the_routes_are_anonymous_and_say_their_method() -> None:
    routes = {name: trigger(name) for name in ("notifications", "lifecycle", "health")}
    assert {name: one["route"] for name, one in routes.items()} == {name: name for name in routes}
    assert all(one["authLevel"] == "anonymous" for one in routes.values())
    assert [[method.value for method in routes[name]["methods"]] for name in routes] == [["POST"], ["POST"], ["GET"]]


def test_the_desks_webhook_has_its_secret_in_its_path() -> None:
    webhook = trigger("desk_webhook")
    assert (webhook["route"], webhook["authLevel"]) == ("desk-events/{secret}", "anonymous")
    assert [method.value for method in webhook["methods"]] == ["POST"]


def test_the_queue_is_read_by_sessions_one_message_at_a_time() -> None:
    queue = trigger("person_messages")
    assert (queue["isSessionsEnabled"], queue["cardinality"], queue["queueName"]) == (True, "one", "%JOINERY_QUEUE_NAME%")


def test_timers_never_run_because_an_instance_started() -> None:
    timers = {name: trigger(name) for name in ("tick", "sweep", "renew_subscriptions")}
    assert {name: (one["schedule"], one["runOnStartup"]) for name, one in timers.items()} == {
        "tick": ("0 * * * * *", False),
        "sweep": ("30 */5 * * * *", False),
        "renew_subscriptions": ("0 0 */6 * * *", False),
    }


def test_every_handler_is_a_plain_function_whose_only_parameter_is_its_trigger() -> None:
    """The worker refuses further parameters, and a coroutine around blocking clients stalls the whole process."""
    for name, function in FUNCTIONS.items():
        handler = function.get_user_function()
        assert inspect.isfunction(handler), name
        assert not inspect.iscoroutinefunction(handler), name
        assert list(inspect.signature(handler).parameters) == [trigger(name)["name"]], name


def test_annotations_are_the_workers_own_types_and_queue_and_timer_functions_return_nothing() -> None:
    allowed = {func.HttpRequest, func.ServiceBusMessage, func.TimerRequest}
    for name, function in FUNCTIONS.items():
        hints = typing.get_type_hints(function.get_user_function())
        returned = hints.pop("return")
        assert set(hints.values()) <= allowed, name
        assert returned is (func.HttpResponse if trigger(name)["type"] == "httpTrigger" else type(None)), name


def test_no_function_has_a_retry_policy_of_the_host() -> None:
    """For Service Bus the decorator is accepted and does nothing."""
    assert all(function.get_setting("retry_policy") is None for function in FUNCTIONS.values())


def test_host_json_chooses_every_service_bus_value() -> None:
    bus = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))["extensions"]["serviceBus"]
    assert set(bus) == {
        "prefetchCount",
        "autoCompleteMessages",
        "maxConcurrentSessions",
        "maxConcurrentCallsPerSession",
        "sessionIdleTimeout",
        "maxAutoLockRenewalDuration",
        "transportType",
        "clientRetryOptions",
    }
    assert (bus["maxConcurrentCallsPerSession"], bus["prefetchCount"], bus["autoCompleteMessages"]) == (1, 0, True)


def test_the_thread_pool_is_larger_than_the_number_of_sessions() -> None:
    sample = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    bus = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))["extensions"]["serviceBus"]
    assert int(sample["PYTHON_THREADPOOL_THREAD_COUNT"]) > bus["maxConcurrentSessions"]


def test_importing_it_opens_nothing_and_needs_no_setting() -> None:
    code = "import sys, function_app; print(sorted({m.split('.')[0] for m in sys.modules} & {'msgraph', 'httpx', 'flask', 'pydantic', 'rich', 'sqlite3'}))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
