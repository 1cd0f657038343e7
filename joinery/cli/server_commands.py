"""The commands that serve until they are stopped, beside ``joinery up``: ``joinery stand-ins`` and ``joinery worker``."""

from __future__ import annotations

from joinery.cli.exits import end
from joinery.cli.options import BusPort, Data, Empty, GraphPort, HaloPort, Listen, PolicyFile, Port


def stand_ins(
    empty: Empty = None,
    graph_port: GraphPort = None,
    halo_port: HaloPort = None,
    bus_port: BusPort = None,
    data: Data = None,
    policy: PolicyFile = None,
) -> None:
    """Run the pretend Graph and the pretend Halo alone, and a pretend Service Bus if asked for.

    For a `joinery up` or some `joinery worker` in other processes.
    """
    from joinery.cli.options import flags, settings_from
    from joinery.cli.up import run_stand_ins

    def run() -> int:
        switches, findings = flags(empty=empty)
        settings = settings_from(findings, graph_port=graph_port, halo_port=halo_port, data=data, policy=policy)
        return run_stand_ins(settings, empty=switches["empty"], bus_port=bus_port)

    end(run)


def worker(
    listen: Listen = "127.0.0.1",
    port: Port = None,
    data: Data = None,
    policy: PolicyFile = None,
) -> None:
    """Do what the functions do, without Azure Functions.

    In a container or on a server: the webhooks, the messages of the queue, the timers. With JOINERY_QUEUE=servicebus and JOINERY_STORE=tables
    any number of them work side by side. What is in hand at a stop is finished, or goes on elsewhere.
    """
    from joinery.cli.options import settings_from
    from joinery.cli.worker import run_worker

    end(lambda: run_worker(settings_from(port=port, data=data, policy=policy), listen=listen))
