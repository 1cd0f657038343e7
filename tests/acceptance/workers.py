"""Two `joinery worker` side by side: messages over AMQP with the vendor's own library, state in the Table service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from product import Process, Product, all_may_leave, free_ports, wait_until
from world import World

from adapters.system import SystemClock
from simulators.service_bus.entities import Namespace
from simulators.service_bus.server import ServiceBus
from simulators.webhooks import tell_of_answers

if TYPE_CHECKING:
    from table_service import Azurite

QUEUE = "person-messages"
RULES = {"requires_session": True, "lock_duration": 20, "max_delivery_count": 100, "duplicate_window": 600, "max_message_bytes": 262_144}
STATE = "0123456789abcdef0123456789abcdef"
HOOK = {"secret": "hook-hook-hook-hook-hook-hook-hook-1234", "user": "halo", "password": "password-of-the-hook"}


@dataclass(kw_only=True, slots=True)
class TwoWorkers(Product):
    """The first one (``ours``) hears of Graph and Halo; the second one has only the bus."""

    bus: ServiceBus
    second: Process
    second_port: int

    def start(self) -> None:
        """Start what does not run, and wait until both are ready."""
        self.start_stand_ins()
        tell_of_answers(self.world.halo_url, f"{self.url}/api/desk-events/{HOOK['secret']}", user=HOOK["user"], password=HOOK["password"])
        self.ours.start()
        self.second.start()
        self.wait_ready()
        self.wait_for_the_second()

    def wait_for_the_second(self) -> None:
        """Until it says that it is ready."""
        health = f"http://127.0.0.1:{self.second_port}/api/health"
        wait_until("the second is ready", lambda: httpx.get(health, trust_env=False).status_code == 200, explain=self.log)

    def kill_the_second(self) -> None:
        """SIGKILL, and another one in its place."""
        self.second.kill()
        self.second.start()

    def restart(self) -> None:
        """SIGTERM to both at once, and both again."""
        for worker in (self.ours, self.second):
            worker.popen.terminate()
        assert [worker.stop() for worker in (self.ours, self.second)] == [0, 0], self.log()
        self.ours.start()
        self.second.start()
        self.wait_ready()

    def log(self) -> str:
        """What both printed."""
        return f"{self.ours.output}\n{self.second.output}"

    def end(self) -> None:
        """Kill whatever runs."""
        if self.second._popen is not None:
            self.second.kill()
        Product.end(self)
        self.bus.close()


@contextmanager
def two_workers(folder: Path, azurite: Azurite) -> Iterator[TwoWorkers]:
    """Both are up, and dead at the end."""
    port, second_port, graph, halo = free_ports(4)
    world = World(f"http://127.0.0.1:{graph}", f"http://127.0.0.1:{halo}")
    bus = ServiceBus(Namespace({"queues": {QUEUE: RULES}}, SystemClock(), folder=folder / "bus")).start()
    where = ["--graph-port", str(graph), "--halo-port", str(halo), "--data", str(folder / "stand-ins")]
    settings = all_may_leave(folder) | {
        "JOINERY_GRAPH_URL": world.graph_url,
        "JOINERY_HALO_URL": world.halo_url,
        "JOINERY_HALO_CLIENT_ID": "local",
        "JOINERY_HALO_CALLS": "0",
        "JOINERY_QUEUE": "servicebus",
        "ServiceBusConnection": bus.connection_string,
        "JOINERY_STORE": "tables",
        "JOINERY_TABLES_CONNECTION": azurite.connection,
        "JOINERY_TABLES_NAME": azurite.new_table(),
        "JOINERY_CLIENT_STATE": STATE,
        **{f"JOINERY_DESK_WEBHOOK_{key.upper()}": value for key, value in HOOK.items()},
        "JOINERY_SETTLE_SECONDS": "0",
        "JOINERY_CALL_DEADLINE_SECONDS": "2",
        "JOINERY_SEARCH_LAG_SECONDS": "0.3",
        "JOINERY_TWIN_CHECK_SECONDS": "6",
        "JOINERY_PUBLIC_URL": f"http://127.0.0.1:{port}",
    }
    first = Process(
        arguments=["-m", "joinery", "worker", "--port", str(port), "--data", str(folder / "data")],
        printed=folder / "ours.txt",
        settings=settings,
    )
    other = ["-m", "joinery", "worker", "--port", str(second_port), "--data", str(folder / "second")]
    it = TwoWorkers(
        folder=folder,
        port=port,
        graph_port=graph,
        halo_port=halo,
        ours=first,
        stand_ins=Process(arguments=["-m", "joinery", "stand-ins", "--empty", *where], printed=folder / "stand-ins.txt"),
        world=world,
        bus=bus,
        second=replace(first, arguments=other, printed=folder / "second.txt"),
        second_port=second_port,
    )
    try:
        it.start()
        yield it
    finally:
        it.end()
