"""The whole product on this machine: start, a change to a verified ticket, idle memory."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import httpx

from benchmarks.figure import Figure
from simulators.driver import GraphDriver, HaloDriver

_ROOT = Path(__file__).resolve().parent.parent
_CHANGES = 10


def measure() -> Iterator[Figure]:
    """Starts `joinery up --empty --no-play --settle-seconds 0` as a user would."""
    with tempfile.TemporaryDirectory() as folder:
        port, graph_port, halo_port = free_ports(3)
        command = [sys.executable, "-m", "joinery", "up", "--empty", "--no-play", "--settle-seconds", "0", "--data", folder]
        command += ["--port", str(port), "--graph-port", str(graph_port), "--halo-port", str(halo_port)]
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.DEVNULL)
        try:
            wait_ready(port, process)
            yield Figure(name="ready after start", value=time.perf_counter() - began, unit="s", peer=3, peer_name="to reach")
            time.sleep(3)
            yield Figure(name="idle memory", value=resident(process.pid), unit="MB", peer=150, peer_name="to stay under")
            yield from _changes(graph_port, halo_port)
            yield Figure(name="memory after the changes", value=resident(process.pid), unit="MB", peer=150, peer_name="to stay under")
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)


def _changes(graph_port: int, halo_port: int) -> Iterator[Figure]:
    graph, halo = GraphDriver(f"http://127.0.0.1:{graph_port}"), HaloDriver(f"http://127.0.0.1:{halo_port}")
    joiners = joiner_group(graph)
    seconds, people = [], []
    for number in range(_CHANGES):
        people.append(make_person(graph, number))
        time.sleep(0.3)
        httpx.delete(f"http://127.0.0.1:{halo_port}/_calls")
        began = time.perf_counter()
        graph.add_member(joiners, people[-1])
        while not _notes(halo, number + 1):
            time.sleep(0.02)
        seconds.append(time.perf_counter() - began)
    yield Figure(name="change to verified ticket, median", value=median(seconds), unit="s", peer=2, peer_name="to reach")
    yield Figure(name="change to verified ticket, worst", value=max(seconds), unit="s", peer=2, peer_name="to reach")
    graph.close()
    halo.close()


def joiner_group(graph: GraphDriver) -> str:
    """Id of the group that makes a joiner."""
    found = graph.group_id("ITSM-NewJoiner")
    if found is None:
        raise RuntimeError("the stand-in has no joiner group")
    return found


def make_person(graph: GraphDriver, number: int) -> str:
    """Id of a new account."""
    mail = f"person.{number}@contoso.example"
    body = {"accountEnabled": True, "displayName": f"Person {number}", "userPrincipalName": mail, "mail": mail, "employeeId": f"E{number}"}
    return str(graph.call("POST", "/users", body)["id"])


def _notes(halo: HaloDriver, tickets: int) -> bool:
    """The last step of a joiner is the note on its ticket."""
    found = halo.call("GET", "/Tickets?count=100")["tickets"]
    return len(found) == tickets and bool(halo.call("GET", f"/Actions?ticket_id={found[0]['id']}")["actions"])


def wait_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until health is 200. Raises RuntimeError where the process ended before."""
    while process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/api/health").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise RuntimeError(f"joinery ended with {process.returncode}")


def resident(pid: int | str) -> float:
    """Megabytes of a process that are in memory; ``self`` is this one."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the system does not say how much memory a process has")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
