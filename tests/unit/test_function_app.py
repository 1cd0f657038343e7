"""Azure's door: the registered functions, their bindings, and the rules that the worker has for signatures."""

from __future__ import annotations

import typing
from pathlib import Path

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
