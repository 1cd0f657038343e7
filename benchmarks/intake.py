"""The door: how long a post of 100 notifications takes us, and how many we take in beside a bare web app that parses and sends the same."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import azure.functions as func

import function_app
from adapters.queues.engine import QueueEngine
from adapters.queues.journal import SqliteJournal
from adapters.queues.messages import NewMessage
from adapters.system import SystemClock
from benchmarks.big_tenant import person_id
from benchmarks.engine import ForgetfulQueue
from benchmarks.figure import Figure
from benchmarks.pretend_bus import QUEUE, pretend_bus
from joinery.local import BODY_MAX, Host, HostSettings, registered
from joinery.serving import serve
from joinery.settings import Settings
from wiring import app_source, build_app

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    _Door = AbstractContextManager[str]

_ROOT = Path(__file__).resolve().parent.parent
_STATE = "c" * 64
#: Bytes of a message of a bare door: as many as an envelope has.
_BODY = b"x" * 150
_ITEMS = 100
_POSTS = 500
_ROUNDS, _SECONDS, _CLIENTS = 5, 2.0, 4
#: Milliseconds of our own time for one post.
_OWN_MAX = 20.0


def measure() -> Iterator[Figure]:
    """Our own time without a queue, then with one that is synced to disk, both through the registered function; then both doors in turn."""
    with _app(ForgetfulQueue()):
        yield from _own_time("our own time", limit=_OWN_MAX)
    with _app(None):
        yield from _own_time("with the embedded queue, which is synced to disk")
    yield _taken_in("notifications taken in, embedded queue", _bare_door, _our_door)
    with pretend_bus() as connection:
        with _app(None, connection=connection):
            yield from _own_time("with the pretend Service Bus over AMQP")
        yield _taken_in("notifications taken in, over AMQP", lambda: _bare_door(connection), lambda: _our_door(connection))


def _taken_in(name: str, bare: Callable[[], _Door], ours: Callable[[], _Door]) -> Figure:
    """Both doors in turn, so that a busy moment strikes both."""
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for seen, door in zip(rates, (ours, bare), strict=True):
            with door() as url:
                seen.append(_rate(url))
    peer = "bare WSGI, parse, one batch send"
    return Figure(name=name, value=median(rates[0]), unit="/s", peer=median(rates[1]), peer_name=peer)


@contextmanager
def _bare_door(connection: str = "") -> Iterator[str]:
    """The least that takes notifications in: parse, one message each, one batch, 202."""
    with ExitStack() as closing:
        send = _bus_batch(closing, connection) if connection else _embedded_batch(closing)

        def take(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            posted = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            send([item["resourceData"]["id"] for item in posted["value"]])
            start_response("202 Accepted", [("Content-Length", "0")])
            return [b""]

        served = serve(take, body_max=BODY_MAX)
        closing.callback(served.close)
        yield served.url


def _embedded_batch(closing: ExitStack) -> Callable[[list[str]], object]:
    folder = closing.enter_context(tempfile.TemporaryDirectory())
    queue = QueueEngine(SystemClock(), SqliteJournal(Path(folder) / "queue.db"))
    closing.callback(queue.close)
    return lambda ids: queue.send([NewMessage(body=_BODY, session_id=one, message_id=str(uuid.uuid4())) for one in ids])


def _bus_batch(closing: ExitStack, connection: str) -> Callable[[list[str]], object]:
    from azure.servicebus import ServiceBusClient, ServiceBusMessage

    client = closing.enter_context(ServiceBusClient.from_connection_string(connection))
    sender, lock = closing.enter_context(client.get_queue_sender(QUEUE)), threading.Lock()

    def send(ids: list[str]) -> None:
        with lock:
            sender.send_messages([ServiceBusMessage(_BODY, session_id=one, message_id=str(uuid.uuid4())) for one in ids])

    return send


@contextmanager
def _our_door(connection: str = "") -> Iterator[str]:
    # The routes alone: whoever handled the messages would take the processor that taking them in is measured on.
    routes = [one for one in registered(function_app.app) if one.get_trigger().type == "httpTrigger"]
    with _app(None, connection=connection):
        host = Host(routes, settings=HostSettings.read(_ROOT / "host.json"), app_settings={}, port=0)
        host.listen()
        host.start({})
        try:
            yield host.url
        finally:
            host.stop()


@contextmanager
def _app(queue: ForgetfulQueue | None, *, connection: str = "") -> Iterator[None]:
    """The functions' App over files in a folder; nobody outside is asked anything."""
    with tempfile.TemporaryDirectory() as folder:
        nobody = "http://127.0.0.1:9"
        given = {"data": folder, "graph_url": nobody, "halo_url": nobody, "public_url": "https://joinery.example", "client_state": _STATE}
        bus = {"JOINERYQUEUE": "servicebus", "ServiceBusConnection": connection} if connection else {}
        parts = build_app(Settings.from_environment(bus, **given), **({"queue": lambda inner: queue} if queue else {}))
        app_source.use(parts.app)
        try:
            yield
        finally:
            app_source.use(None)
            parts.close()


def _own_time(name: str, *, limit: float | None = None) -> Iterator[Figure]:
    take = next(one.get_user_function() for one in registered(function_app.app) if one.get_function_name() == "notifications")
    milliseconds = []
    for number in range(_POSTS):
        body = _post(number)
        began = time.perf_counter()
        answer = take(func.HttpRequest(method="POST", url="/", headers={"Content-Type": "application/json"}, body=body))
        milliseconds.append(1_000 * (time.perf_counter() - began))
        if answer.status_code != 202:
            raise RuntimeError(f"{answer.status_code}: {answer.get_body()!r}")
    centiles = quantiles(milliseconds, n=100)
    yield Figure(name=f"post of {_ITEMS} notifications, {name}, p50", value=centiles[49], unit="ms")
    p99 = f"post of {_ITEMS} notifications, {name}, p99"
    yield Figure(name=p99, value=centiles[98], unit="ms", peer=limit, peer_name="to stay under" if limit else "")


def _post(number: int) -> bytes:
    """What Graph posts: as many people, each once, and different ones in the next post."""
    one = {"subscriptionId": person_id(0), "changeType": "updated", "tenantId": person_id(0), "clientState": _STATE}
    one |= {"subscriptionExpirationDateTime": "2026-12-01T00:00:00Z"}
    people = [person_id(number * _ITEMS + item) for item in range(_ITEMS)]
    data = [{"@odata.type": "#Microsoft.Graph.User", "@odata.id": f"Users/{person}", "id": person} for person in people]
    return json.dumps({"value": [{**one, "resource": f"Users/{row['id']}", "resourceData": row} for row in data]}).encode()


def _rate(url: str) -> float:
    """Notifications a second that this address takes; whoever posts them is a process of its own."""
    ran = subprocess.run([sys.executable, "-m", "benchmarks.intake", url], capture_output=True, text=True, cwd=_ROOT)
    if ran.returncode:
        raise RuntimeError(ran.stderr)
    return float(ran.stdout)


def main(url: str) -> None:
    """Post from several threads for some seconds; print the rate."""
    at = urlsplit(url)
    taken: list[int] = []
    began = time.perf_counter()

    def posting(client: int) -> None:
        connection, number = http.client.HTTPConnection(at.hostname or "", at.port), 0
        while time.perf_counter() - began < _SECONDS:
            headers: dict[str, Any] = {"Content-Type": "application/json"}
            connection.request("POST", "/api/notifications", body=_post(client * 10_000 + number), headers=headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != http.client.ACCEPTED:
                raise RuntimeError(f"{answer.status}")
            number += 1
        taken.append(number * _ITEMS)

    clients = [threading.Thread(target=posting, args=(client,)) for client in range(_CLIENTS)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    if len(taken) < _CLIENTS:
        raise SystemExit("a client stopped early")
    print(sum(taken) / (time.perf_counter() - began))


if __name__ == "__main__":
    main(*sys.argv[1:])
