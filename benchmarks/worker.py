"""One `joinery worker` on a pretend Service Bus: how soon a wave of joiners is through, and how soon the worker stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.journey import free_ports, joiner_group, make_person, wait_ready
from benchmarks.pretend_bus import pretend_bus
from simulators.driver import GraphDriver, HaloDriver

_ROOT = Path(__file__).resolve().parent.parent
_PEOPLE = 40


def measure() -> Iterator[Figure]:
    """Starts `joinery stand-ins` and `joinery worker` as a user would."""
    with tempfile.TemporaryDirectory() as folder, pretend_bus() as bus:
        port, graph_port, halo_port = free_ports(3)
        where = ["--graph-port", str(graph_port), "--halo-port", str(halo_port), "--data", f"{folder}/stand-ins"]
        stand_ins = _start("stand-ins", "--empty", *where)
        worker = None
        try:
            graph, halo = _drivers(graph_port, halo_port)
            settings = {
                "JOINERY_GRAPH_URL": f"http://127.0.0.1:{graph_port}",
                "JOINERY_HALO_URL": f"http://127.0.0.1:{halo_port}",
                "JOINERY_HALO_CALLS": "0",
                "JOINERY_QUEUE": "servicebus",
                "ServiceBusConnection": bus,
                "JOINERY_PUBLIC_URL": f"http://127.0.0.1:{port}",
                "JOINERY_CLIENT_STATE": "0123456789abcdef0123456789abcdef",
                "JOINERY_SETTLE_SECONDS": "0",
            }
            worker = _start("worker", "--port", str(port), "--data", f"{folder}/worker", **settings)
            wait_ready(port, worker)
            yield from _wave(graph, halo)
            began = time.perf_counter()
            worker.send_signal(signal.SIGTERM)
            worker.wait(timeout=60)
            yield Figure(name="worker gone after SIGTERM", value=time.perf_counter() - began, unit="s", peer=10, peer_name="to stay under")
        finally:
            for process in (worker, stand_ins):
                if process is not None:
                    process.kill()
                    process.wait()


def _wave(graph: GraphDriver, halo: HaloDriver) -> Iterator[Figure]:
    joiners = joiner_group(graph)
    people = [make_person(graph, number) for number in range(_PEOPLE)]
    time.sleep(3)
    began = time.perf_counter()
    for person in people:
        graph.add_member(joiners, person)
    tickets: list[int] = []
    while len(tickets) < _PEOPLE:
        tickets = [row["id"] for row in halo.call("GET", "/Tickets?count=100")["tickets"]]
        time.sleep(0.1)
    for ticket in tickets:
        # The last step of a joiner is the note on its ticket.
        while not halo.call("GET", f"/Actions?ticket_id={ticket}")["actions"]:
            time.sleep(0.05)
    yield Figure(name="joiners a minute, one worker over AMQP", value=60 * _PEOPLE / (time.perf_counter() - began), unit="people")


def _start(*arguments: str, **settings: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "joinery", *arguments]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=_ROOT, env={**os.environ, **settings}, stdout=quiet, stderr=quiet)


def _drivers(graph_port: int, halo_port: int) -> tuple[GraphDriver, HaloDriver]:
    until = time.monotonic() + 30
    while True:
        try:
            graph, halo = GraphDriver(f"http://127.0.0.1:{graph_port}"), HaloDriver(f"http://127.0.0.1:{halo_port}")
            graph.call("GET", "/users?$top=1")
            halo.call("GET", "/Tickets?count=1")
        except Exception:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return graph, halo
