"""Two workers side by side: messages over AMQP with the vendor's own library, state in the Table service, and one of them killed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest
from product import Process, all_may_leave, free_ports, wait_until
from world import World

from adapters.system import SystemClock
from simulators.service_bus.entities import Namespace
from simulators.service_bus.server import ServiceBus
from simulators.webhooks import tell_of_answers

if TYPE_CHECKING:
    from table_service import Azurite

pytestmark = pytest.mark.servers

QUEUE = "person-messages"
RULES = {"requires_session": True, "lock_duration": 20, "max_delivery_count": 100, "duplicate_window": 600, "max_message_bytes": 262_144}
STATE = "0123456789abcdef0123456789abcdef"
HOOK = {"secret": "hook-hook-hook-hook-hook-hook-hook-1234", "user": "halo", "password": "password-of-the-hook"}


@dataclass(kw_only=True, slots=True)
class Site:
    """The stand-ins, the bus, and two workers."""

    world: World
    bus: ServiceBus
    workers: list[Process]
    urls: list[str]

    def healthy(self, number: int) -> bool:
        """Whether this worker says that it is ready."""
        return httpx.get(f"{self.urls[number]}/api/health", trust_env=False).status_code == 200

    def said(self) -> str:
        """What the workers printed, for whoever looks for the reason."""
        return "\n".join(worker.output[-4000:] for worker in self.workers)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, azurite: Azurite) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    graph, halo, *ports = free_ports(4)
    world = World(f"http://127.0.0.1:{graph}", f"http://127.0.0.1:{halo}")
    where = ["--graph-port", str(graph), "--halo-port", str(halo), "--data", str(folder / "stand-ins")]
    stand_ins = Process(arguments=["-m", "joinery", "stand-ins", "--empty", *where], printed=folder / "stand-ins.txt")
    stand_ins.start()
    bus = ServiceBus(Namespace({"queues": {QUEUE: RULES}}, SystemClock(), folder=folder / "bus")).start()
    settings = all_may_leave(folder) | {
        "JOINERY_GRAPH_URL": world.graph_url,
        "JOINERY_HALO_URL": world.halo_url,
        "JOINERY_HALO_CLIENT_ID": "local",
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
        "JOINERY_PUBLIC_URL": f"http://127.0.0.1:{ports[0]}",
    }
    workers = [
        Process(
            arguments=["-m", "joinery", "worker", "--port", str(port), "--data", str(folder / f"worker-{port}")],
            printed=folder / f"worker-{port}.txt",
            settings=settings,
        )
        for port in ports
    ]
    it = Site(world=world, bus=bus, workers=workers, urls=[f"http://127.0.0.1:{port}" for port in ports])
    try:
        wait_until("the stand-ins answer", world.answers)
        tell_of_answers(
            world.halo_url, f"http://127.0.0.1:{ports[0]}/api/desk-events/{HOOK['secret']}", user=HOOK["user"], password=HOOK["password"]
        )
        for worker in workers:
            worker.start()
        for number in (0, 1):
            wait_until("a worker is ready", lambda number=number: it.healthy(number), explain=it.said)  # type: ignore[misc]
        yield it
    finally:
        for process in (*workers, stand_ins):
            if process._popen is not None:
                process.kill()
        bus.close()
        world.close()


def test_a_role_is_asked_for_and_granted_while_one_of_two_workers_is_killed_and_nobody_gets_two_tickets(site: Site) -> None:
    world = site.world
    manager = world.person("Mona Chef")
    asks = world.person("Rolf Antrag", manager=manager)
    people = [world.person(f"Wanda Werk{letter}", manager=manager) for letter in "abcdef"]
    world.add(asks, "ITSM-ChangeManagers")
    for one in people[:3]:
        world.add(one)
    # Graph tells the first worker; the second one has only the bus.
    wait_until("the first tickets", lambda: sum(len(world.tickets_of(one)) for one in people[:3]) >= 1, explain=site.said)
    for one in people[3:]:
        world.add(one)
    site.workers[1].kill()
    wait_until("everybody has a ticket", lambda: all(world.tickets_of(one) for one in people), explain=site.said)
    [request] = wait_until("the request", lambda: world.tickets_of(asks, "Role"), explain=site.said)
    wait_until("the manager is asked", lambda: world.approvals(request["id"]), explain=site.said)
    assert world.roles_of(asks) == []
    world.answer(manager, request["id"], approved=True)
    site.workers[1].start()
    wait_until("the other worker is back", lambda: site.healthy(1), explain=site.said)
    httpx.post(f"{site.urls[0]}/api/notifications?validationToken=still-here", trust_env=False).raise_for_status()
    world.disable(people[0])
    wait_until("the leaver's ticket", lambda: world.tickets_of(people[0], "Offboarding"), explain=site.said)
    wait_until("the leaver is inactive", lambda: all(user["inactive"] for user in world.users_of(people[0])), explain=site.said)
    wait_until("the role is there", lambda: world.roles_of(asks) == ["Change Manager"], explain=site.said)
    assert [len(world.tickets_of(one, "Onboarding")) for one in people] == [1] * 6
    assert [len(world.users_of(one)) for one in people] == [1] * 6
    assert len(world.tickets_of(asks)) == 1


def test_a_worker_stops_when_it_is_told_to_and_its_log_holds_no_name_and_no_secret(site: Site) -> None:
    for worker in site.workers:
        worker.popen.terminate()
    assert [worker.popen.wait(timeout=60) for worker in site.workers] == [0, 0]
    said = site.said()
    assert "stopped" in said
    assert not [
        word for word in ("Wanda", "Rolf", "contoso.example", STATE, HOOK["secret"], HOOK["password"], "SharedAccessKey=") if word in said
    ]
