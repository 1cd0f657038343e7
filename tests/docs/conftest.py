"""An empty world behind ``joinery up``, and a shell that is aimed at it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from doc_pages import ROOT
from doc_shell import Shell

#: Seconds until `joinery up` has to be ready on the slowest machine that we have met.
_READY_MAX = 60


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell beside a running `joinery up --empty --no-play --settle-seconds 0` on free ports and in a folder of its own."""
    folder = tmp_path_factory.mktemp("up")
    functions, graph, halo = _free_ports(3)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("JOINERY_")}
    scripts = Path(sys.executable).parent
    environment = {
        **plain,
        "PATH": f"{scripts}{os.pathsep}{plain.get('PATH', '')}",
        "JOINERY_DATA": str(folder / "data"),
        "JOINERY_POLICY": str(ROOT / "config" / "policy.toml"),
        "FUNCTIONS": f"http://127.0.0.1:{functions}",
        "GRAPH": f"http://127.0.0.1:{graph}",
        "HALO": f"http://127.0.0.1:{halo}",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    command = [sys.executable, "-m", "joinery", "up", "--empty", "--no-play", "--settle-seconds", "0"]
    command += ["--port", str(functions), "--graph-port", str(graph), "--halo-port", str(halo)]
    with (folder / "printed").open("w") as printed:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=printed, stderr=subprocess.STDOUT)
        try:
            _wait_until_ready(f"http://127.0.0.1:{functions}/api/health", process, folder / "printed")
            yield Shell(environment=environment)
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_ports(count: int) -> tuple[int, ...]:
    """Ports that the system has free; all are held until all are known, so that they differ."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return tuple(one.getsockname()[1] for one in sockets)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], printed: Path) -> None:
    until = time.monotonic() + _READY_MAX
    while time.monotonic() < until:
        assert process.poll() is None, f"joinery up ended with {process.returncode}:\n{printed.read_text()}"
        with suppress(OSError, urllib.error.URLError), closing(urllib.request.urlopen(url, timeout=5)) as answer:
            if answer.status == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"not ready after {_READY_MAX} s:\n{printed.read_text()}")
