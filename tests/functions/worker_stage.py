"""A process with Microsoft's engine of the worker in it, around the real App: it takes one order per line of JSON and answers with one.

Started by ``worker_client``. The App is built by ``wiring``, over the stand-ins and over files in a folder. Ports can be told to fail.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".venv" / "functions"))

from worker_engine import WorkerEngine  # noqa: E402 - its package lies in a folder of its own

from joinery.errors import QueueUnavailable, StoreUnavailable  # noqa: E402

#: Port -> what it raises while it is in trouble.
TROUBLES = {"queue": QueueUnavailable("the bus does not answer"), "store": StoreUnavailable("the store does not answer")}


class Troubled:
    """A port that answers, until it is told not to."""

    def __init__(self, inner: Any, port: str, troubled: set[str]) -> None:
        self._inner, self._port, self._troubled = inner, port, troubled

    def __getattr__(self, name: str) -> Any:
        if self._port in self._troubled:
            raise TROUBLES[self._port]
        return getattr(self._inner, name)


class Stage:
    """The engine, and around it what the platform has around it: a door for HTTP and a queue that delivers."""

    def __init__(self) -> None:
        self.worker = WorkerEngine()
        self._routes: dict[tuple[str, str], str] = {}
        self._troubled: set[str] = set()
        #: The queue of the App that was built here.
        self._queue: Any = None

    def index(self, folder: str, script: str = "function_app.py") -> dict[str, Any]:
        """Index an app."""
        problem, functions = self.worker.index(folder, script)
        for name, function in functions.items():
            trigger = function["bindings"][0]
            for method in trigger.get("methods", ()):
                self._routes[method, f"/api/{trigger['route']}"] = name
        return {"problem": problem, "functions": functions}

    def open(self, folder: str) -> dict[str, str]:
        """The stand-ins, and an App that ``wiring`` builds from the environment when it is first asked for."""
        from joinery.serving import serve
        from joinery.settings import Settings
        from simulators.driver import GraphDriver
        from wiring import build_stand_ins

        door = serve(self)
        settings = Settings(data=Path(folder), graph_port=0, halo_port=0)
        outside = build_stand_ins(settings, empty=True)
        os.environ |= {
            "JOINERY_DATA": folder,
            "JOINERY_GRAPH_URL": outside.graph_url,
            "JOINERY_HALO_URL": outside.halo_url,
            "JOINERY_PUBLIC_URL": door.url,
            "JOINERY_CLIENT_STATE": "c" * 64,
            "JOINERY_SETTLE_SECONDS": "0",
            "JOINERY_DESK_WEBHOOK_SECRET": "d" * 64,
            "JOINERY_DESK_WEBHOOK_USER": "halo",
            "JOINERY_DESK_WEBHOOK_PASSWORD": "password of the webhook",
        }
        group = GraphDriver(outside.graph_url).group_id("ITSM-NewJoiner") or ""
        return {"graph": outside.graph_url, "halo": outside.halo_url, "joiners": group}

    def build(self, folder: str) -> None:
        """Another App, whose store and queue may get into trouble, and whose queue is delivered here as the extension does it."""
        from adapters.queues.embedded import EmbeddedQueue
        from adapters.queues.engine import QueueEngine
        from adapters.queues.journal import SqliteJournal
        from adapters.queues.ledger import PERSON_MESSAGES
        from adapters.system import SystemClock
        from joinery.settings import Settings
        from wiring import app_source, build_app

        settings = replace(Settings.from_environment(os.environ), data=Path(folder))
        self._queue = QueueEngine(SystemClock(), SqliteJournal(Path(folder) / "delivered-here.db"), PERSON_MESSAGES)
        queue = Troubled(EmbeddedQueue(self._queue), "queue", self._troubled)
        parts = build_app(settings, queue=lambda inner: queue, store=lambda inner: Troubled(inner, "store", self._troubled))
        app_source.use(parts.app)

    def from_environment(self, pause: float = 0) -> None:
        """Forget the App: the next function that needs one builds it from the environment, and holds a message that fails so many seconds."""
        from wiring import app_source

        self._queue = None
        app_source.pause = timedelta(seconds=pause)
        app_source.use(None)

    def at_once(self, function: str, count: int) -> list[dict[str, Any]]:
        """So many invocations of a timer, none of which ends before all have begun."""
        from wiring import app_source

        together = threading.Barrier(count)
        waits: Any = SimpleNamespace(tick=lambda: together.wait(timeout=10))
        app_source.use(waits)
        with ThreadPoolExecutor(count) as callers:
            return list(callers.map(self.timer, [function] * count))

    def trouble(self, *ports: str) -> None:
        """From now on these ports fail, and no others."""
        self._troubled.clear()
        self._troubled.update(ports)

    def http(self, function: str, method: str, url: str, headers: dict[str, str], params: dict[str, str], body: str) -> dict[str, Any]:
        """One request to one function."""
        return asdict(self.worker.http(function, method, f"http://localhost{url}", headers=headers, params=params, body=body.encode()))

    def timer(self, function: str) -> dict[str, Any]:
        """One timer that is due."""
        return asdict(self.worker.timer(function))

    def message(self, function: str, body: str) -> dict[str, Any]:
        """A message that no queue of ours holds."""
        told = self.worker.message(
            function, body, session="s", message_id="m", deliveries=1, number=1, enqueued="2026-01-02T03:04:05.6789012Z"
        )
        return asdict(told)

    def deliver(self, function: str) -> list[dict[str, Any]]:
        """All that waits in the queue, as the extension does it: a session's lock, one message at a time, complete or abandon."""
        if self._queue is None:
            raise RuntimeError("build an App first: the queue of this one is not ours")
        told: list[dict[str, Any]] = []
        while (lock := self._queue.accept_session(wait=0)) is not None:
            while messages := self._queue.receive(lock, wait=0):
                for message in messages:
                    outcome = self.worker.message(
                        function,
                        message.body.decode(),
                        session=message.session_id,
                        message_id=message.message_id,
                        deliveries=message.delivery_count + 1,
                        number=message.sequence_number,
                        enqueued=message.enqueued_at.isoformat(),
                    )
                    (self._queue.complete if outcome.ok else self._queue.abandon)(message.lock_token)
                    told.append({"ok": outcome.ok, "error": outcome.error, "deliveries": message.delivery_count + 1})
                    if not outcome.ok:
                        self._queue.release_session(lock)
                        return told
            self._queue.release_session(lock)
        return told

    def queue(self) -> dict[str, int]:
        """How many messages are to be handled now, and how many later."""
        counts = self._queue.counts()
        return {"now": counts.active, "later": counts.scheduled}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The door: a request to the function whose route it is, and the platform's answer for what the engine says of it."""
        path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
        told = self.worker.http(
            self._routes[environ["REQUEST_METHOD"], path],
            environ["REQUEST_METHOD"],
            f"http://{environ['HTTP_HOST']}{path}?{query}",
            headers={"content-type": environ.get("CONTENT_TYPE", "")},
            body=environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)),
        )
        status, headers, body = (told.status or 200, told.headers, told.body) if told.ok else (500, {}, "")
        start_response(f"{status} -", [(key, value) for key, value in headers.items()])
        return [body.encode()]


def main(orders: Iterable[str], answer: Callable[[str], object]) -> None:
    """Carry out orders, ``[name, {argument: value}]`` each, until there are no more."""
    # What the worker hands to the host: everything from INFO on.
    logging.basicConfig(level=logging.INFO)
    stage = Stage()
    for line in orders:
        name, arguments = json.loads(line)
        result = getattr(stage, name)(*arguments.pop("args", ()), **arguments)
        answer(json.dumps(result) + "\n")


if __name__ == "__main__":
    # Answers have a way of their own: whatever prints goes where errors go.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    main(sys.stdin, answers.write)
    # The engine's loop, the door and the stand-ins are threads that nobody waits for.
    os._exit(0)
