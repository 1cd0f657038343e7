"""The local host: it serves whatever is registered, as host.json says, and knows no function by name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import azure.functions as func
import httpx
import pytest

from adapters.queues.engine import QueueEngine
from adapters.queues.ledger import QueueRules
from adapters.queues.messages import NewMessage
from adapters.system import SystemClock
from joinery.local import Host, HostSettings, next_firing

pytestmark = pytest.mark.servers

SETTINGS = HostSettings(route_prefix="api", max_concurrent_sessions=2, session_idle_timeout=0.2, max_lock_renewal=60)
ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def hosting(app: func.FunctionApp, *, start: bool = True) -> Iterator[tuple[Host, QueueEngine]]:
    engine = QueueEngine(SystemClock(), name="people", rules=QueueRules(max_delivery_count=3))
    host = Host(app.get_functions(), settings=SETTINGS, app_settings={"QUEUE": "people", "OFTEN": "* * * * * *"}, port=0)
    host.listen()
    if start:
        host.start({"people": engine})
    try:
        yield host, engine
    finally:
        host.stop()
        engine.close()


def eventually(holds: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(500):
        if holds():
            return
        waiting.wait(0.02)
    raise AssertionError("it did not come true within 10 s")


def app_with(handler: Callable[[func.HttpRequest], func.HttpResponse], route: str = "thing", method: str = "POST") -> func.FunctionApp:
    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

    @app.route(route=route, methods=[method])
    def thing(req: func.HttpRequest) -> func.HttpResponse:
        return handler(req)

    return app


def test_a_route_gets_the_body_headers_and_decoded_query_and_answers_as_the_function_says() -> None:
    def handler(req: func.HttpRequest) -> func.HttpResponse:
        said = f"{req.method} {req.params['q']} {req.headers['X-Test']} {req.get_body().decode()}"
        return func.HttpResponse(said, status_code=201, headers={"X-Answer": "yes", "Content-Type": "text/plain"})

    with hosting(app_with(handler)) as (host, _):
        answer = httpx.post(f"{host.url}/api/thing?q=a+b%25", content=b"body", headers={"X-Test": "t"})
    assert (answer.status_code, answer.text) == (201, "POST a b% t body")
    assert (answer.headers["X-Answer"], answer.headers["Content-Type"]) == ("yes", "text/plain")


def test_a_function_that_raises_gets_500_with_an_empty_body() -> None:
    def handler(req: func.HttpRequest) -> func.HttpResponse:
        raise RuntimeError("the secret is 42")

    with hosting(app_with(handler)) as (host, _):
        answer = httpx.post(f"{host.url}/api/thing")
    assert (answer.status_code, answer.content) == (500, b"")


def test_a_route_that_is_not_registered_is_404_and_another_method_is_405() -> None:
    with hosting(app_with(lambda req: func.HttpResponse("ok"))) as (host, _):
        assert httpx.post(f"{host.url}/api/other").status_code == 404
        assert httpx.get(f"{host.url}/api/thing").status_code == 405
        assert httpx.post(f"{host.url}/thing").status_code == 404


def test_a_route_may_have_parameters() -> None:
    with hosting(app_with(lambda req: func.HttpResponse(req.route_params["id"]), route="people/{id:guid}")) as (host, _):
        assert httpx.post(f"{host.url}/api/people/7").text == "7"


def test_a_body_over_the_limit_never_reaches_the_function() -> None:
    reached = []

    def handler(req: func.HttpRequest) -> func.HttpResponse:
        reached.append(len(req.get_body()))
        return func.HttpResponse("ok")

    with hosting(app_with(handler)) as (host, _):
        assert httpx.post(f"{host.url}/api/thing", content=b"x" * 300_000).status_code == 413
        assert httpx.post(f"{host.url}/api/thing", content=b"x" * 262_144).status_code == 200
    assert reached == [262_144]


def test_before_start_every_request_gets_503() -> None:
    with hosting(app_with(lambda req: func.HttpResponse("ok")), start=False) as (host, _):
        assert httpx.post(f"{host.url}/api/thing").status_code == 503


def queue_app(handler: Callable[[func.ServiceBusMessage], None], **binding: object) -> func.FunctionApp:
    app = func.FunctionApp()
    chosen = {"queue_name": "%QUEUE%", "connection": "Bus", "is_sessions_enabled": True, **binding}

    @app.service_bus_queue_trigger(arg_name="message", **chosen)
    def pump(message: func.ServiceBusMessage) -> None:
        handler(message)

    return app


def test_messages_of_one_session_are_handled_in_order_and_completed() -> None:
    handled: list[tuple[str | None, bytes]] = []
    with hosting(queue_app(lambda message: handled.append((message.session_id, message.get_body())))) as (_, engine):
        engine.send(NewMessage(body=str(n).encode(), session_id=f"s{n % 3}", message_id=str(n)) for n in range(30))
        eventually(lambda: len(handled) == 30)
        eventually(lambda: engine.counts().active == 0)
    for session in ("s0", "s1", "s2"):
        numbers = [int(body) for name, body in handled if name == session]
        assert numbers == sorted(numbers)


def test_a_message_whose_function_raises_comes_again_and_is_dead_after_its_last_delivery() -> None:
    counts: list[int | None] = []

    def handler(message: func.ServiceBusMessage) -> None:
        counts.append(message.delivery_count)
        raise RuntimeError

    with hosting(queue_app(handler)) as (_, engine):
        engine.send([NewMessage(body=b"poison", session_id="s", message_id="1")])
        eventually(lambda: engine.counts().dead == 1)
    assert counts == [1, 2, 3]


def test_more_sessions_than_workers_are_all_served_although_each_is_kept_for_a_while() -> None:
    handled = []
    with hosting(queue_app(lambda message: handled.append(message.session_id))) as (_, engine):
        engine.send(NewMessage(body=b"", session_id=f"s{n}", message_id=str(n)) for n in range(40))
        eventually(lambda: len(handled) == 40)
    assert len(set(handled)) == 40


def test_a_queue_that_does_not_exist_stops_the_start_with_its_name() -> None:
    app = queue_app(lambda message: None, queue_name="elsewhere")
    host = Host(app.get_functions(), settings=SETTINGS, app_settings={}, port=0)
    with pytest.raises(ValueError, match=r"function pump listens to 'elsewhere'; there is: people"):
        host.start({"people": QueueEngine(SystemClock(), name="people")})


def test_a_trigger_that_is_not_known_here_is_refused() -> None:
    app = func.FunctionApp()

    @app.queue_trigger(arg_name="m", queue_name="q", connection="c")
    def other(m: func.QueueMessage) -> None: ...

    with pytest.raises(ValueError, match="function other has a queueTrigger"):
        Host(app.get_functions(), settings=SETTINGS, app_settings={}, port=0)


def test_a_timer_fires_once_at_the_start_as_past_due_and_then_on_its_schedule() -> None:
    app, fired = func.FunctionApp(), []

    @app.timer_trigger(schedule="%OFTEN%", arg_name="timer")
    def often(timer: func.TimerRequest) -> None:
        fired.append(timer.past_due)

    @app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="timer")
    def rarely(timer: func.TimerRequest) -> None:
        fired.append("rarely")

    with hosting(app):
        eventually(lambda: len(fired) >= 4)
    assert fired[:2] == [True, "rarely"]
    assert set(fired[2:]) == {False}


def test_a_timer_that_fails_at_the_start_is_tried_again_until_it_succeeds() -> None:
    app, tries = func.FunctionApp(), []

    @app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="timer")
    def stubborn(timer: func.TimerRequest) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError

    with hosting(app):
        eventually(lambda: len(tries) == 3)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("0 * * * * *", datetime(2026, 11, 23, 9, 8, tzinfo=UTC)),
        ("30 */5 * * * *", datetime(2026, 11, 23, 9, 10, 30, tzinfo=UTC)),
        ("0 0 */6 * * *", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ("0 30 9 * * Mon-Fri", datetime(2026, 11, 23, 9, 30, tzinfo=UTC)),
    ],
)
def test_ncrontab_has_six_fields_with_seconds_first(schedule: str, expected: datetime) -> None:
    assert next_firing(schedule, datetime(2026, 11, 23, 9, 7, 12, tzinfo=UTC)) == expected


@pytest.mark.parametrize("schedule", ["", "every minute", "* * * * *", "0 0 0 31 2 *", "61 * * * * *"])
def test_a_schedule_that_never_fires_is_refused(schedule: str) -> None:
    with pytest.raises(ValueError, match="six fields, seconds first"):
        next_firing(schedule, datetime(2026, 11, 23, tzinfo=UTC))


def test_host_json_is_read_with_its_durations_in_seconds() -> None:
    settings = HostSettings.read(ROOT / "host.json")
    assert (settings.route_prefix, settings.max_concurrent_sessions) == ("api", 8)
    assert (settings.session_idle_timeout, settings.max_lock_renewal) == (2.0, 600.0)
