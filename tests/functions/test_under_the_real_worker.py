"""The real function app under Microsoft's own engine of the worker: what it indexes, and what the platform is told by each function.

An HTTP function answers with a status, and where it raises the platform answers 500. A message is completed where its function returns, and
abandoned where it raises, which delivers it again at once. A timer that raises has failed, and runs again on its schedule.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from worker_client import ROOT, Worker

from simulators.driver import GraphDriver, HaloDriver

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("functions-worker")]

JSON = {"Content-Type": "application/json; charset=utf-8"}


def http(name: str, route: str, method: str) -> list[dict[str, Any]]:
    trigger = {
        "direction": "IN",
        "type": "httpTrigger",
        "name": "req",
        "methods": [method],
        "authLevel": "ANONYMOUS",
        "route": route,
    }
    return [trigger, {"direction": "OUT", "type": "http", "name": "$return"}]


def timer(schedule: str) -> list[dict[str, Any]]:
    return [{"direction": "IN", "type": "timerTrigger", "name": "timer", "schedule": schedule, "runOnStartup": False}]


#: Function -> its bindings, in the JSON that the host gets.
BINDINGS = {
    "notifications": http("notifications", "notifications", "POST"),
    "lifecycle": http("lifecycle", "lifecycle", "POST"),
    "desk_webhook": http("desk_webhook", "desk-events/{secret}", "POST"),
    "health": http("health", "health", "GET"),
    "person_messages": [
        {
            "direction": "IN",
            "type": "serviceBusTrigger",
            "name": "message",
            "connection": "ServiceBusConnection",
            "queueName": "%JOINERY_QUEUE_NAME%",
            "isSessionsEnabled": True,
            "cardinality": "ONE",
        }
    ],
    "tick": timer("0 * * * * *"),
    "sweep": timer("30 */5 * * * *"),
    "renew_subscriptions": timer("0 0 */6 * * *"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """A worker, and the stand-ins that its App talks to."""

    worker: Worker
    graph: GraphDriver
    halo: HaloDriver
    joiners: str

    def graph_says_no(self, path: str) -> None:
        """403 to every call of this path."""
        rule = {"match": {"path": path}, "fault": "status", "status": 403, "times": None}
        httpx.put(f"{self.graph.url}/_faults", json=[rule], trust_env=False).raise_for_status()

    def notification(self, person: str) -> str:
        """What Graph posts about a person."""
        one = {"clientState": "c" * 64, "changeType": "updated", "resource": f"Users/{person}", "resourceData": {"id": person}}
        return json.dumps({"value": [one]})


@pytest.fixture(scope="module")
def opened(worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    at = worker.order("open", str(tmp_path_factory.mktemp("outside")))
    graph, halo = GraphDriver(at["graph"]), HaloDriver(at["halo"])
    yield Setting(worker=worker, graph=graph, halo=halo, joiners=at["joiners"])
    graph.close()
    halo.close()


@pytest.fixture
def setting(opened: Setting, tmp_path: Path) -> Iterator[Setting]:
    """With a new App, and no trouble."""
    opened.worker.order("build", str(tmp_path))
    yield opened
    opened.worker.order("trouble")
    httpx.delete(f"{opened.graph.url}/_faults", trust_env=False)


SOMEBODY = "0b9c8e7d-1111-4222-8333-444455556666"
DESK = {**JSON, "Authorization": f"Basic {base64.b64encode(b'halo:password of the webhook').decode()}"}


def test_the_worker_indexes_every_function_with_these_bindings_and_no_retry_policy(engine: None, tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    try:
        indexed = worker.order("index", str(ROOT))
    finally:
        worker.close()
    assert indexed["problem"] == ""
    assert {name: one["bindings"] for name, one in indexed["functions"].items()} == BINDINGS
    assert not any(one["retry"] for one in indexed["functions"].values())


def test_without_settings_every_function_fails_and_says_which_are_missing(engine: None, tmp_path: Path) -> None:
    """To the platform: 500, a redelivery, a failed timer. Graph and the bus come again; nothing is taken that cannot be kept."""
    worker = Worker(tmp_path)
    missing = ("JOINERY_HALO_URL", "JOINERY_PUBLIC_URL", "JOINERY_CLIENT_STATE")
    try:
        assert worker.order("index", str(ROOT))["problem"] == ""
        worker.order("from_environment")
        told = [worker.http(name, "POST", f"/api/{name}", "{}", headers=JSON) for name in ("notifications", "lifecycle")]
        told.append(worker.http("desk_webhook", "POST", "/api/desk-events/x", "{}", headers=JSON, params={"secret": "x"}))
        told.append(worker.order("message", "person_messages", "{}"))
        told += [worker.order("timer", name) for name in ("tick", "sweep", "renew_subscriptions")]
        health = worker.http("health", "GET", "/api/health")
    finally:
        worker.close()
    assert len(told) + 1 == len(BINDINGS)
    for one in told:
        assert not one["ok"]
        assert one["error"].startswith("ConfigurationError: JOINERY_")
        for name in missing:
            assert f"{name}: is not set. " in one["error"]
    assert (health["status"], set(missing) <= set(json.loads(health["body"])["waiting_for"])) == (503, True)


def test_the_first_function_that_needs_the_app_builds_it_from_the_environment(opened: Setting) -> None:
    opened.worker.order("from_environment")
    answer = opened.worker.http("health", "GET", "/api/health")
    assert (answer["status"], json.loads(answer["body"])["ready"]) == (503, False)


def test_the_host_gets_the_fields_of_our_log_lines_and_the_platforms_own_lines_as_they_are(opened: Setting) -> None:
    """The worker sends on what its handler formats: without our formatter every id would be lost."""
    opened.worker.order("from_environment")
    # The first invocation of a process is told of before our code is asked for anything.
    opened.worker.http("health", "GET", "/api/health")
    forged = opened.notification(SOMEBODY).replace("c" * 64, "f" * 64)
    assert opened.worker.http("notifications", "POST", "/api/notifications", forged, headers=JSON)["status"] == 202
    lines = opened.worker.printed.splitlines()
    assert 'notifications dropped {"action": "notifications_dropped", "reasons": {"wrong clientState": 1}}' in lines
    assert "Function name: notifications, Function Type: sync" in lines


@pytest.mark.parametrize("function", ["notifications", "lifecycle"])
def test_the_handshake_is_answered_with_the_decoded_token(setting: Setting, function: str) -> None:
    answer = setting.worker.http(function, "POST", f"/api/{function}?validationToken=Validation%3A+a%2Bb%26c")
    assert (answer["status"], answer["body"]) == (200, "Validation: a+b&c")
    assert answer["headers"]["Content-Type"] == "text/plain"


def test_a_notification_gets_202_once_the_queue_has_it(setting: Setting) -> None:
    answer = setting.worker.http("notifications", "POST", "/api/notifications", setting.notification(SOMEBODY), headers=JSON)
    assert (answer["status"], setting.worker.order("queue")) == (202, {"now": 1, "later": 0})


def test_a_notification_gets_503_where_the_queue_does_not_take_it_and_202_when_graph_sends_it_again(setting: Setting) -> None:
    post = ("notifications", "POST", "/api/notifications", setting.notification(SOMEBODY))
    setting.worker.order("trouble", "queue")
    refused = setting.worker.http(*post, headers=JSON)
    setting.worker.order("trouble")
    assert (refused["ok"], refused["status"], setting.worker.order("queue")["now"]) == (True, 503, 0)
    assert setting.worker.http(*post, headers=JSON)["status"] == 202
    assert setting.worker.order("queue")["now"] == 1


def test_a_notification_does_not_need_the_store(setting: Setting) -> None:
    setting.worker.order("trouble", "store")
    assert setting.worker.http("notifications", "POST", "/api/notifications", setting.notification(SOMEBODY), headers=JSON)["status"] == 202
    assert setting.worker.order("queue")["now"] == 1


def test_a_lifecycle_event_gets_202_or_503_as_a_notification_does(setting: Setting) -> None:
    event = {"clientState": "c" * 64, "lifecycleEvent": "missed", "subscriptionId": SOMEBODY, "resource": "users"}
    post = ("lifecycle", "POST", "/api/lifecycle", json.dumps({"value": [event]}))
    setting.worker.order("trouble", "queue")
    assert setting.worker.http(*post, headers=JSON)["status"] == 503
    setting.worker.order("trouble")
    assert setting.worker.http(*post, headers=JSON)["status"] == 202
    assert setting.worker.order("queue")["now"] == 1


def test_the_desks_webhook_finds_its_secret_in_the_route_and_gets_202_or_503(setting: Setting) -> None:
    def post(secret: str) -> int:
        params = {"secret": secret}
        answer = setting.worker.http("desk_webhook", "POST", f"/api/desk-events/{secret}", '{"object_id": 7}', headers=DESK, params=params)
        return int(answer["status"])

    assert (post("d" * 64), post("e" * 64)) == (202, 404)
    setting.worker.order("trouble", "store")
    assert post("d" * 64) == 503


def test_health_is_503_until_both_timers_have_run_and_where_the_store_is_away(setting: Setting) -> None:
    def health() -> tuple[int, Any]:
        answer = setting.worker.http("health", "GET", "/api/health")
        assert answer["headers"]["content-type"] == "application/json"
        return answer["status"], json.loads(answer["body"])["waiting_for"]

    assert health() == (503, ["both subscriptions", "the start-up sweep"])
    assert setting.worker.order("timer", "renew_subscriptions")["ok"]
    assert setting.worker.order("timer", "sweep")["ok"]
    assert health() == (200, [])
    setting.worker.order("trouble", "store")
    assert health() == (503, ["StoreUnavailable"])


def test_a_tick_that_cannot_read_the_store_is_a_failed_timer(setting: Setting) -> None:
    assert setting.worker.order("timer", "tick") == {"ok": True, "error": "", "status": None, "headers": {}, "body": ""}
    setting.worker.order("trouble", "store")
    told = setting.worker.order("timer", "tick")
    assert (told["ok"], told["error"]) == (False, "StoreUnavailable: the store does not answer")


@pytest.mark.parametrize(("function", "path"), [("sweep", "/v1.0/users/delta"), ("renew_subscriptions", "/v1.0/subscriptions")])
def test_a_timer_that_the_directory_refuses_has_failed_and_alerts(setting: Setting, function: str, path: str) -> None:
    setting.graph_says_no(path)
    told = setting.worker.order("timer", function)
    assert (told["ok"], told["error"].partition(":")[0]) == (False, "Refused")
    assert setting.worker.order("queue")["now"] == 1


def test_a_message_whose_store_is_away_completes_and_comes_again_later(setting: Setting) -> None:
    setting.worker.http("notifications", "POST", "/api/notifications", setting.notification(SOMEBODY), headers=JSON)
    setting.worker.order("trouble", "store")
    assert setting.worker.order("deliver", "person_messages") == [{"ok": True, "error": "", "deliveries": 1}]
    assert setting.worker.order("queue") == {"now": 0, "later": 1}


def test_a_message_is_abandoned_only_where_the_queue_is_away_as_well_and_then_it_is_delivered_again(setting: Setting) -> None:
    setting.worker.http("notifications", "POST", "/api/notifications", setting.notification(SOMEBODY), headers=JSON)
    setting.worker.order("trouble", "store", "queue")
    again = {"ok": False, "error": "QueueUnavailable: the bus does not answer"}
    assert setting.worker.order("deliver", "person_messages") == [again | {"deliveries": 1}]
    assert setting.worker.order("deliver", "person_messages") == [again | {"deliveries": 2}]
    setting.worker.order("trouble")
    assert setting.worker.order("deliver", "person_messages") == [{"ok": True, "error": "", "deliveries": 3}]


def test_a_message_that_nobody_understands_is_parked_and_completes(setting: Setting) -> None:
    assert setting.worker.order("message", "person_messages", '{"v": 999}')["ok"]
    assert json.loads(setting.worker.http("health", "GET", "/api/health")["body"])["parked"] == 1


def test_as_many_invocations_run_at_once_as_the_settings_say(opened: Setting) -> None:
    """The thread pool is Microsoft's, and its size is the setting that the sample and the docs name."""
    sample = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    told = opened.worker.order("at_once", "tick", int(sample["PYTHON_THREADPOOL_THREAD_COUNT"]))
    assert [one["error"] for one in told] == [""] * len(told)


def noted_tickets(setting: Setting, name: str) -> list[Any]:
    """Tickets about somebody that have their note, which is a joiner's last step."""
    found = [one for one in setting.halo.call("GET", "/Tickets?count=100")["tickets"] if name in one["summary"]]
    return [one for one in found if setting.halo.call("GET", f"/Actions?ticket_id={one['id']}")["actions"]]


def test_a_joiner_goes_through_the_worker_from_graphs_post_to_the_verified_ticket(setting: Setting) -> None:
    """Graph's handshake and its notification come through the door, the message through the queue; nothing else calls us."""
    assert setting.worker.order("timer", "renew_subscriptions")["ok"]
    assert setting.worker.order("timer", "sweep")["ok"]
    mail = "wanda.worker@contoso.example"
    body = {"accountEnabled": True, "displayName": "Wanda Worker", "userPrincipalName": mail, "mail": mail, "employeeId": "E1"}
    person = setting.graph.call("POST", "/users", body)["id"]
    setting.graph.add_member(setting.joiners, person)
    until = time.monotonic() + 60
    while not (tickets := noted_tickets(setting, "Wanda Worker")) and time.monotonic() < until:
        for told in setting.worker.order("deliver", "person_messages"):
            assert told["ok"], told["error"]
        # Graph posts from a thread of its own.
        time.sleep(0.01)
    assert len(tickets) == 1
    for private in ("c" * 64, "d" * 64, mail, "Wanda"):
        assert private not in setting.worker.printed, private
