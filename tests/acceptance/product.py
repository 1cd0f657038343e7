"""The product as a customer has it: processes to start, stop and kill, and the addresses they listen on."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
from world import Someone, World

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
#: Seconds until something has to have happened on the slowest machine that we have met.
PATIENCE = 60.0


def wait_until(what: str, look: Callable[[], T], *, within: float = PATIENCE, explain: Callable[[], str] | None = None) -> T:
    """The first truthy thing that ``look`` returns; AssertionError with the last look and the explanation where it never comes."""
    until, seen = time.monotonic() + within, None
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            seen = look()
        except httpx.TransportError as error:
            seen = None
            last: object = error
        else:
            if seen:
                return seen
            last = seen
        # A look that is a command of its own takes a core while it lasts; what it waits for wants that core, too.
        time.sleep(max(0.05, 2 * (time.monotonic() - began)))
    raise AssertionError(f"not within {within:g} s: {what}\nlast look: {last!r}\n{explain() if explain else ''}")


def free_ports(count: int) -> tuple[int, ...]:
    """Ports that the system has free; all are held until all are known, so that they differ."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return tuple(one.getsockname()[1] for one in sockets)


def all_may_leave(folder: Path) -> dict[str, str]:
    """The setting for a policy whose breaker holds nobody, for stories in which more leave than a company loses in a day."""
    folder.mkdir(parents=True, exist_ok=True)
    policy = folder / "all-may-leave.toml"
    text = re.sub(r"(?ms)^\[breaker[^\]]*\].*?(?=^\[|\Z)", "", (ROOT / "config" / "policy.toml").read_text())
    policy.write_text(text + "\n[breaker]\nhourly_min = 100000\ndaily_min = 100000\nwave_min = 100000\n")
    return {"JOINERY_POLICY": str(policy)}


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without a setting of ours but these."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("JOINERY_")}
    plain |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", "COLUMNS": "200"}
    return plain | settings


@dataclass(kw_only=True, slots=True)
class Process:
    """One process of ours; what it prints goes into a file."""

    arguments: Sequence[str]
    printed: Path
    settings: dict[str, str] = field(default_factory=dict)
    cwd: Path = ROOT
    _popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns at once."""
        assert self._popen is None or self._popen.poll() is not None, "it still runs"
        with self.printed.open("ab") as printed:
            self._popen = subprocess.Popen(
                [sys.executable, *self.arguments], env=environment(**self.settings), cwd=self.cwd, stdout=printed, stderr=subprocess.STDOUT
            )

    @property
    def popen(self) -> subprocess.Popen[bytes]:
        """The running, or the last, process."""
        assert self._popen is not None, "never started"
        return self._popen

    @property
    def code(self) -> int | None:
        """Exit code; None while it runs."""
        return self.popen.poll()

    def kill(self) -> None:
        """SIGKILL: no last words."""
        if self.code is None:
            self.popen.send_signal(signal.SIGKILL)
        self.popen.wait(timeout=20)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.code is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            return self.popen.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"SIGTERM did not end it within 20 s:\n{self.output}") from None

    @property
    def output(self) -> str:
        """All that it ever printed."""
        return self.printed.read_text(errors="replace") if self.printed.exists() else ""


@dataclass(kw_only=True, slots=True)
class Product:
    """`joinery up --empty --no-play --settle-seconds 0`: one process, or ours apart from the stand-ins."""

    folder: Path
    port: int
    graph_port: int
    halo_port: int
    ours: Process
    stand_ins: Process | None
    world: World

    @classmethod
    def lay_out(
        cls,
        folder: Path,
        *,
        apart: bool = False,
        settings: dict[str, str] | None = None,
        launcher: Sequence[str] = ("-m", "joinery", "up"),
        more: Sequence[str] = (),
        cwd: Path = ROOT,
        settle: str = "0",
    ) -> Product:
        """Choose ports and folders; starts nothing. The breaker lets everybody go, unless ``settings`` name another policy."""
        folder.mkdir(parents=True, exist_ok=True)
        port, graph_port, halo_port = free_ports(3)
        stand_in_ports = ["--graph-port", str(graph_port), "--halo-port", str(halo_port)]
        graph, halo = f"http://127.0.0.1:{graph_port}", f"http://127.0.0.1:{halo_port}"
        where = ["--graph-url", graph, "--halo-url", halo] if apart else stand_in_ports
        ours = [
            *launcher,
            "--empty",
            "--no-play",
            "--settle-seconds",
            settle,
            "--port",
            str(port),
            "--data",
            str(folder / "data"),
            *where,
            *more,
        ]
        apart_process = None
        if apart:
            arguments = ["-m", "joinery", "stand-ins", "--empty", *stand_in_ports, "--data", str(folder / "stand-ins")]
            apart_process = Process(arguments=arguments, printed=folder / "stand-ins.txt")
        return cls(
            folder=folder,
            port=port,
            graph_port=graph_port,
            halo_port=halo_port,
            ours=Process(arguments=ours, printed=folder / "ours.txt", settings=all_may_leave(folder) | (settings or {}), cwd=cwd),
            stand_ins=apart_process,
            world=World(graph, halo),
        )

    @property
    def url(self) -> str:
        """Root of the functions."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        """The data folder of our own process."""
        return self.folder / "data"

    def start(self) -> None:
        """Start what does not run, and wait until health is 200."""
        if self.stand_ins is not None:
            self.start_stand_ins()
        self.ours.start()
        self.wait_ready()

    def start_stand_ins(self) -> None:
        """Start the stand-ins, if they are apart and do not run, and wait until both answer."""
        assert self.stand_ins is not None
        if self.stand_ins._popen is None or self.stand_ins.code is not None:
            self.stand_ins.start()
        wait_until("the stand-ins answer", self.world.answers, explain=lambda: self.stand_ins.output if self.stand_ins else "")

    def wait_ready(self) -> None:
        """Until health is 200."""

        def ready() -> bool:
            assert self.ours.code is None, f"it ended with {self.ours.code}:\n{self.ours.output}"
            return self.health()[0] == 200

        wait_until("health is 200", ready, explain=lambda: f"{self.ours.output}\n{self.log()[-4000:]}")

    def health(self) -> tuple[int, dict[str, Any]]:
        """Status and document of /api/health."""
        answer = httpx.get(f"{self.url}/api/health", trust_env=False, timeout=10)
        is_document = answer.headers["content-type"].startswith("application/json")
        return answer.status_code, answer.json() if is_document else {}

    def wait_quiet(self, *, within: float = PATIENCE) -> None:
        """Until no run is open. Messages may still wait: a twin check is due long after its ticket."""
        wait_until("no run is open", lambda: self.health()[1]["open_runs"] == 0, within=within, explain=self.story)

    def restart(self) -> None:
        """SIGTERM and start again with the same data."""
        assert self.ours.stop() == 0, self.ours.output
        self.ours.start()
        self.wait_ready()

    def command(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Another `joinery` command beside the running one, with its data and its settings."""
        return subprocess.run(
            [sys.executable, "-m", "joinery", *arguments],
            env=environment(**({"JOINERY_DATA": str(self.data)} | self.ours.settings | settings)),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def tale(self, one: Someone) -> str:
        """What `joinery audit show --person` prints about somebody; empty where it knows nothing."""
        done = self.command("audit", "show", "--person", one.id)
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout

    def log(self) -> str:
        """The log of our own process."""
        path = self.data / "joinery.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def story(self) -> str:
        """What a person needs who has to find out why a test failed."""
        try:
            tickets = "\n".join(str({k: one.get(k) for k in ("id", "summary", "user_id", "parent_id")}) for one in self.world.tickets())
            health: object = self.health()
        except httpx.HTTPError as error:
            tickets, health = f"no answer: {error}", ""
        lines = [f"health: {health}", f"tickets:\n{tickets}", f"printed:\n{self.ours.output[-1500:]}", f"log:\n{self.log()[-5000:]}"]
        return "\n".join(lines)

    def end(self) -> None:
        """Kill whatever runs."""
        for one in (self.ours, self.stand_ins):
            if one is not None and one._popen is not None:
                one.kill()
        self.world.close()


@contextmanager
def product(folder: Path, **kinds: Any) -> Iterator[Product]:
    """A product that is up, and dead at the end."""
    it = Product.lay_out(folder, **kinds)
    try:
        it.start()
        yield it
    finally:
        it.end()
