"""The local host: serves the functions that ``function_app.py`` registers, as ``host.json`` says.

It reads routes, queues and schedules from the registered functions, as the real host does; it knows none of them by
name. A function that is removed there is gone here.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import azure.functions as func
from azure.functions.servicebus import ServiceBusMessage
from azure.functions.timer import TimerRequest
from cronsim import CronSim, CronSimError
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from joinery.engine.ports import ReceivedMessage, SessionHold, SessionQueue
from joinery.errors import LockLost, QueueUnavailable
from joinery.serving import Served, serve

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_log = logging.getLogger(__name__)

#: Bodies over this never reach a function: 256 KB are a whole notification, and one byte more is refused by the function itself.
BODY_MAX = 256 * 1024 + 1
#: How often a worker that keeps an idle session looks whether another session waits.
_LOOK_AROUND = 0.1
#: Seconds between renewals of the locks of running functions: well under the shortest lock.
_RENEW_EVERY = 15.0
#: Pauses between tries of a timer at start-up, while the other side is not up yet.
_START_PAUSE, _START_PAUSE_MAX = 0.2, 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class HostSettings:
    """What ``host.json`` says about HTTP and Service Bus; durations in seconds."""

    route_prefix: str
    max_concurrent_sessions: int
    session_idle_timeout: float
    max_lock_renewal: float

    @classmethod
    def read(cls, path: Path) -> HostSettings:
        """From the file. A value that is missing is what the real host takes."""
        extensions = json.loads(path.read_text(encoding="utf-8")).get("extensions", {})
        bus = extensions.get("serviceBus", {})
        return cls(
            route_prefix=extensions.get("http", {}).get("routePrefix", "api"),
            max_concurrent_sessions=bus.get("maxConcurrentSessions", 8),
            session_idle_timeout=_seconds(bus.get("sessionIdleTimeout", "00:01:00")),
            max_lock_renewal=_seconds(bus.get("maxAutoLockRenewalDuration", "00:05:00")),
        )


@functools.cache
def registered(app: func.FunctionApp) -> tuple[Any, ...]:
    """The functions of an app. The app itself may be asked only once: it takes the names for doubled the second time."""
    return tuple(app.get_functions())


class Host:
    """Serves one function app. ``start`` returns at once; ``ready`` is the business of the app's health route.

    Args:
        functions: what ``registered`` returns.
        app_settings: what ``%NAME%`` in a binding stands for.
    """

    def __init__(
        self, functions: Iterable[Any], *, settings: HostSettings, app_settings: Mapping[str, str], port: int, address: str = "127.0.0.1"
    ) -> None:
        self._settings = settings
        self._app_settings = app_settings
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._rules: list[Rule] = []
        self._handlers: dict[str, tuple[str, Callable[..., Any]]] = {}
        self._listeners: list[tuple[str, str, str, Callable[..., Any]]] = []
        self._queues: list[SessionQueue] = []
        self._workers: list[_SessionWorker] = []
        self._timers: list[tuple[str, str, str, Callable[..., Any]]] = []
        self._port = port
        self._address = address
        self._served: Served | None = None
        self._started = False
        for function in functions:
            self._register(function)
        self._routes = Map(self._rules)

    def _register(self, function: Any) -> None:
        name, trigger, handler = function.get_function_name(), function.get_trigger().get_dict_repr(), function.get_user_function()
        match trigger["type"]:
            case "httpTrigger":
                path = "/".join(part for part in ("", self._settings.route_prefix, trigger.get("route") or name))
                methods = [str(getattr(method, "value", method)) for method in trigger.get("methods") or ("GET", "POST")]
                self._rules.append(Rule(re.sub(r"\{\*?(\w+)(?::\w+)?\}", r"<\1>", path), endpoint=name, methods=methods))
                self._handlers[name] = (trigger["name"], handler)
            case "serviceBusTrigger":
                if not trigger.get("isSessionsEnabled"):
                    raise ValueError(f"function {name} listens without sessions, which the local host does not serve")
                self._listeners.append((name, self._resolve(trigger["queueName"]), trigger["name"], handler))
            case "timerTrigger":
                self._timers.append((name, self._resolve(trigger["schedule"]), trigger["name"], handler))
            case kind:
                raise ValueError(f"function {name} has a {kind}, which the local host does not serve")

    def _resolve(self, text: str) -> str:
        return re.sub(r"%(\w+)%", lambda match: self._app_settings.get(match[1], match[0]), text)

    @property
    def url(self) -> str:
        """Where the routes are served, once started."""
        if self._served is None:
            raise RuntimeError("the host is not started")
        return self._served.url

    @property
    def routes(self) -> tuple[str, ...]:
        """The paths that are served."""
        return tuple(rule.rule for rule in self._rules)

    def listen(self) -> None:
        """Bind the port; every request gets 503 until ``start``. Raises OSError when the port is taken."""
        self._served = serve(self, self._address, self._port, threads=8, body_max=BODY_MAX)

    def start(self, queues: Mapping[str, SessionQueue]) -> None:
        """Serve the routes, pump the queues, and run the timers: each once now, as one that is past due, then on schedule.

        Raises ValueError where a function listens to a queue that is not among ``queues``.
        """
        for name, queue, argument, handler in self._listeners:
            if queue not in queues:
                raise ValueError(f"function {name} listens to {queue!r}; there is: {', '.join(queues)}")
            self._queues.append(queues[queue])
            for number in range(self._settings.max_concurrent_sessions):
                worker = _SessionWorker(queues[queue], argument, handler, self._settings, self._stopping)
                self._workers.append(worker)
                self._spawn(f"session-{number}", worker.run)
        self._started = True
        if self._queues:
            self._spawn("lock-renewal", self._renew_locks)
        if self._timers:
            self._spawn("timers", self._run_timers)

    def stop(self) -> None:
        """Stop taking messages, let running functions end, close the port."""
        self._stopping.set()
        for queue in self._queues:
            queue.poke()
        if self._served is not None:
            self._served.close()
        for thread in self._threads:
            thread.join(timeout=15)

    def _spawn(self, name: str, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _renew_locks(self) -> None:
        while not self._stopping.wait(_RENEW_EVERY):
            for worker in self._workers:
                worker.renew()

    # --- HTTP ---

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """WSGI: one request to one function."""
        if not self._started:
            # The same shape as the health route's, so that whoever polls it meets one kind of answer.
            return Response('{"ready": false, "waiting_for": ["the host"]}', status=503, mimetype="application/json")(
                environ, start_response
            )
        try:
            name, route_params = self._routes.bind_to_environ(environ).match()
        except HTTPException as error:
            return Response(f"{error.code} {error.name}", status=error.code, mimetype="text/plain")(environ, start_response)
        request = Request(environ)
        argument, handler = self._handlers[name]
        asked = func.HttpRequest(
            method=request.method,
            url=request.url,
            headers=dict(request.headers),
            params=request.args.to_dict(),
            route_params={key: str(value) for key, value in route_params.items()},
            body=request.get_data(),
        )
        try:
            answer = handler(**{argument: asked})
        except Exception as error:
            # As the real host: 500 with an empty body; the reason is in the log, without the request's content.
            _log.error("function failed", extra={"action": "function_failed", "function": name, "error": type(error).__name__})
            return Response(status=500)(environ, start_response)
        headers = {key: value for key, value in answer.headers.items() if key.lower() != "content-type"}
        content_type = answer.headers.get("Content-Type") or f"{answer.mimetype}; charset={answer.charset}"
        response = Response(answer.get_body(), status=answer.status_code, headers=headers, content_type=content_type)
        return response(environ, start_response)

    # --- timers ---

    def _run_timers(self) -> None:
        """Each once at the start, tried again soon while it fails; from its first success on, on its schedule. None keeps another waiting."""
        upcoming = {name: datetime.now(UTC) for name, _, _, _ in self._timers}
        pauses: dict[str, float] = dict.fromkeys(upcoming, _START_PAUSE)
        while not self._stopping.is_set():
            for name, schedule, argument, handler in self._timers:
                if upcoming[name] > datetime.now(UTC) or self._stopping.is_set():
                    continue
                well = self._fire(name, argument, handler, past_due=name in pauses)
                upcoming[name] = next_firing(schedule, datetime.now(UTC))
                if well:
                    pauses.pop(name, None)
                elif name in pauses:
                    upcoming[name] = min(upcoming[name], datetime.now(UTC) + timedelta(seconds=pauses[name]))
                    pauses[name] = min(pauses[name] * 2, _START_PAUSE_MAX)
            # Short naps, so that a wall clock that was set does not keep a timer waiting.
            nap = (min(upcoming.values()) - datetime.now(UTC)).total_seconds()
            self._stopping.wait(max(0.01, min(nap, 5.0)))

    def _fire(self, name: str, argument: str, handler: Callable[..., Any], *, past_due: bool) -> bool:
        if self._stopping.is_set():
            return True
        try:
            handler(**{argument: TimerRequest(past_due=past_due)})
        except Exception as error:
            _log.warning("timer failed", extra={"action": "timer_failed", "function": name, "error": f"{type(error).__name__}: {error}"})
            return False
        return True


class _SessionWorker:
    """One of the sessions that are handled at once: locks a session, gives its messages to the function one by one."""

    def __init__(
        self, engine: SessionQueue, argument: str, handler: Callable[..., Any], settings: HostSettings, stopping: threading.Event
    ) -> None:
        self._engine = engine
        self._argument = argument
        self._handler = handler
        self._settings = settings
        self._stopping = stopping
        #: The session whose message is being handled, and until when its lock is renewed.
        self.busy: tuple[SessionHold, float] | None = None

    def renew(self) -> None:
        """Renew the lock while a function runs, as long as host.json allows."""
        busy = self.busy
        if busy is not None and time.monotonic() < busy[1]:
            # A journal that does not answer for a moment (a full disk) must not end all renewals for ever.
            with contextlib.suppress(LockLost, QueueUnavailable):
                self._engine.renew_session(busy[0])

    def run(self) -> None:
        """Until the host stops."""
        lock: SessionHold | None = None
        while not self._stopping.is_set():
            try:
                lock = lock or self._engine.accept_session(wait=1.0)
                if lock is not None:
                    lock = self._serve_session(lock)
            except LockLost:
                # Another worker has the session by now; what we settled is settled.
                lock = None
            except Exception as error:
                # The queue's journal does not answer (a full disk): nothing is lost, the message stays; try again soon.
                _log.error("queue failed", extra={"action": "queue_failed", "error": type(error).__name__})
                self._stopping.wait(1.0)
                if lock is not None:
                    # What is unsettled returns at once, without a write and without a lock to be waited for.
                    with contextlib.suppress(QueueUnavailable):
                        self._engine.release_session(lock)
                lock = None
        if lock is not None:
            self._engine.release_session(lock)

    def _serve_session(self, lock: SessionHold) -> SessionHold | None:
        """Until the session was idle long enough, or another one waits; returns the lock of that one."""
        idle_until = time.monotonic() + self._settings.session_idle_timeout
        wait = 0.0
        while not self._stopping.is_set():
            messages = self._engine.receive(lock, wait=wait)
            wait = 0.0
            for message in messages:
                self._call(lock, message)
                idle_until = time.monotonic() + self._settings.session_idle_timeout
            if not messages:
                other: SessionHold | None = self._engine.accept_session(wait=0)
                if other is not None or time.monotonic() >= idle_until:
                    self._engine.release_session(lock)
                    return other
                wait = _LOOK_AROUND
        return lock

    def _call(self, lock: SessionHold, message: ReceivedMessage) -> None:
        token = message.lock_token
        if token is None:
            raise AssertionError("a received message has a lock token")
        self.busy = (lock, time.monotonic() + self._settings.max_lock_renewal)
        try:
            self._handler(**{self._argument: _as_trigger_message(message)})
        except Exception as error:
            extra = {"action": "message_abandoned", "session": message.session_id, "error": type(error).__name__}
            _log.warning("message abandoned", extra=extra)
            self._engine.abandon(token)
        else:
            self._engine.complete(token)
        finally:
            self.busy = None


def next_firing(schedule: str, after: datetime) -> datetime:
    """When a six-field NCRONTAB schedule (seconds first, UTC) fires next. Raises ValueError for one that never does."""
    try:
        # CronSim takes five fields too, without seconds; NCRONTAB has six.
        return next(CronSim(schedule if len(schedule.split()) == 6 else "", after))
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"{schedule!r} is no NCRONTAB schedule that fires: use six fields, seconds first") from error


def _as_trigger_message(message: ReceivedMessage) -> ServiceBusMessage:
    """What the extension hands to a function; it sends no time to live, lock or schedule."""
    return ServiceBusMessage(
        body=message.body,
        message_id=message.message_id,
        session_id=message.session_id,
        delivery_count=message.delivery_count + 1,
        sequence_number=message.sequence_number,
        enqueued_time_utc=message.enqueued_at,
        lock_token=message.lock_token,
        application_properties=dict(message.properties),
        user_properties=dict(message.properties),
    )


def _seconds(text: str) -> float:
    hours, minutes, seconds = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
