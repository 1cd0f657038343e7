"""The stand-ins served on loopback, with a world in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from joinery.domain.policy import Policy
from joinery.serving import serve
from simulators.company import prepare_desk, seed_company
from simulators.driver import GraphDriver, HaloDriver
from simulators.graph import create_graph
from simulators.halo import create_halo


@dataclass(frozen=True, kw_only=True, slots=True)
class StandIns:
    """The pretend Graph and the pretend Halo, served on loopback."""

    graph_url: str
    halo_url: str
    closers: tuple[Callable[[], None], ...]

    def close(self) -> None:
        """Stop serving; their worlds stay in the data folder."""
        for close in self.closers:
            close()


def serve_stand_ins(policy: Policy, data: Path, *, graph_url: str, halo_url: str, graph_port: int, halo_port: int, empty: bool) -> StandIns:
    """Serve the stand-ins for which no address is given, with their state in a folder.

    A new world gets the groups that policy names, and people unless ``empty`` or only one of the two is a stand-in of ours.

    Raises OSError when a port is taken.
    """
    data.mkdir(parents=True, exist_ok=True)
    pretends_graph, pretends_halo = not graph_url, not halo_url
    closers: list[Callable[[], None]] = []
    starts: list[Callable[[], None]] = []
    if pretends_graph:
        graph = create_graph(data)
        served = serve(graph.wsgi, port=graph_port)
        graph_url, closers, starts = served.url, [served.close, graph.close], [graph.start]
    if pretends_halo:
        halo = create_halo(data)
        served = serve(halo.wsgi, port=halo_port)
        halo_url, closers, starts = served.url, [*closers, served.close, halo.stop], [*starts, halo.start]
    directory, desk = GraphDriver(graph_url), HaloDriver(halo_url)
    if pretends_halo:
        prepare_desk(desk, policy)
    if pretends_graph:
        if not empty and pretends_halo and directory.group_id(policy.joiner_group) is None:
            seed_company(directory, desk, policy)
        # The groups come last: where a start was killed half-way, the next one fills in what is missing.
        directory.make_groups(policy.watched_groups)
    directory.close()
    desk.close()
    for start in starts:
        start()
    return StandIns(graph_url=graph_url, halo_url=halo_url, closers=tuple(closers))
