"""The pretend Microsoft Graph: one Entra tenant behind the public v1.0 API, with change notifications and delta."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simulators.clock import SimClock
from simulators.door import Door
from simulators.faults import FaultBook
from simulators.graph.app import GraphApp, Switches
from simulators.graph.applications import Applications
from simulators.graph.delta import Delta
from simulators.graph.directory import Directory
from simulators.graph.identities import Certificates
from simulators.graph.objects import Objects
from simulators.graph.outbox import Outbox
from simulators.graph.people import People
from simulators.graph.render import Renderer
from simulators.graph.routing import Route, route
from simulators.graph.subscriptions import Subscriptions
from simulators.graph.teams import Teams
from simulators.graph.things import Things
from simulators.graph.tokens import Tokens
from simulators.graph.wire import Seal
from simulators.state import StateFile

__all__ = ["TENANT_ID", "PretendGraph", "create_graph"]

#: The id of the tenant `local`.
TENANT_ID = "7d96c3f4-2b1e-4a52-9c0d-10ca110ca100"

#: Faults beyond those of every stand-in.
GRAPH_FAULTS = frozenset({"stale_read", "item_status", "duplicate", "drop", "reorder", "delay", "storm"})

#: Replaced documents that stale reads can go back to.
VERSIONS_KEPT = 5_000

_THROTTLED = {"error": {"code": "TooManyRequests", "message": "Too Many Requests", "innerError": {}}}


class PretendGraph:
    """One pretend tenant; `wsgi` is its door. Nothing runs in the background before `start`."""

    def __init__(self, state: StateFile, clock: SimClock, *, tenant: str, tenant_id: str, switches: Switches) -> None:
        self.clock = clock
        self.tenant_id = tenant_id
        self.switches = switches
        self.faults = FaultBook(GRAPH_FAULTS)
        self._state = state
        seal = Seal(state)
        self.outbox = Outbox(state, clock, self.faults)
        self._subscriptions = Subscriptions(
            state,
            clock,
            self.outbox,
            tenant_id=tenant_id,
            quota=lambda: switches.subscription_quota,
            burst=lambda: switches.create_burst,
        )
        directory = Directory(state, clock, self._announce)
        renderer = Renderer(directory, seal, lambda: switches.page_size)
        delta = Delta(
            state,
            directory,
            seal,
            clock,
            page_size=lambda: switches.page_size,
            members_per_row=lambda: switches.members_per_row,
            empty_pages=lambda: switches.delta_empty_pages,
            repeats=lambda: switches.delta_repeats,
        )

        def tidy() -> None:
            self._subscriptions.drop_expired()
            directory.purge_expired()

        certificates = Certificates(state)
        tokens = Tokens(seal, frozenset({tenant.lower(), tenant_id}), certificates, roles=switches.roles_of)
        objects = Objects(directory, renderer, tenant_id=tenant_id, tenant=tenant)
        app = GraphApp(
            state,
            clock,
            self.faults,
            tokens=tokens,
            certificates=certificates,
            routes=[
                *_routes(
                    People(directory, renderer),
                    Teams(directory, renderer),
                    Things(directory, renderer),
                    objects,
                    self._subscriptions,
                    delta,
                ),
                route("GET", "applications/{key}", Applications(state, clock, tokens.roles_of).read),
            ],
            subscriptions=self._subscriptions,
            delta=delta,
            switches=switches,
            tidy=tidy,
        )
        self.wsgi = Door(app, state, clock, self.faults, throttled=_THROTTLED)

    def start(self) -> None:
        """Begin to deliver notifications and to land late requests, those of an earlier process too."""
        self.wsgi.start()
        self.outbox.start()

    def stop(self) -> None:
        """Stop both; what is undelivered stays in the data folder."""
        self.wsgi.stop()
        self.outbox.stop()

    def close(self) -> None:
        """Stop, and close the data file."""
        self.stop()
        self._state.close()

    def _announce(self, kind: str, key: str, change_type: str, *, created: bool = False, members: Sequence[Mapping[str, Any]] = ()) -> None:
        if self.switches.notify:
            self._subscriptions.announce(kind, key, change_type, created=created, members=members)


def create_graph(
    data: Path | None,
    clock: SimClock | None = None,
    *,
    tenant: str = "local",
    tenant_id: str = TENANT_ID,
    notify: bool = True,
    create_burst: int = 1,
    page_size: int = 100,
) -> PretendGraph:
    """A pretend Graph whose world lives in `data`/graph.db, or in memory when `data` is None.

    `notify` False keeps it silent; `create_burst` is how many `updated` one creation sends; `page_size` the rows of a page without $top.
    """
    state = StateFile(None if data is None else data / "graph.db", versions_kept=VERSIONS_KEPT)
    switches = Switches(notify=notify, create_burst=create_burst, page_size=page_size)
    return PretendGraph(state, clock or SimClock(), tenant=tenant, tenant_id=tenant_id, switches=switches)


def _routes(people: People, teams: Teams, things: Things, objects: Objects, subscriptions: Subscriptions, delta: Delta) -> list[Route]:
    routes = [
        route("GET", "users", people.browse),
        route("POST", "users", people.create),
        route("GET", "users/$count", people.count),
        route("GET", "users/delta", delta.read),
        route("GET", "users/{key}", people.read),
        route("PATCH", "users/{key}", people.update),
        route("DELETE", "users/{key}", people.delete),
        route("GET", "users/{key}/manager", people.manager),
        route("PUT", "users/{key}/manager/$ref", people.set_manager),
        route("DELETE", "users/{key}/manager/$ref", people.remove_manager),
        route("GET", "users/{key}/directReports", people.reports),
        route("POST", "users/{key}/revokeSignInSessions", people.revoke),
        route("GET", "groups", teams.browse),
        route("POST", "groups", teams.create),
        route("GET", "groups/$count", teams.count),
        route("GET", "groups/delta", delta.read),
        route("GET", "groups/{key}", teams.read),
        route("PATCH", "groups/{key}", teams.update),
        route("DELETE", "groups/{key}", teams.delete),
        route("GET", "groups/{key}/members", teams.members),
        route("GET", "groups/{key}/members/$count", teams.count_members),
        route("GET", "groups/{key}/members/$ref", teams.member_links),
        route("POST", "groups/{key}/members/$ref", teams.add_member),
        route("DELETE", "groups/{key}/members/{member}/$ref", teams.remove_member),
        route("DELETE", "groups/{key}/members/{member}", teams.delete_the_member_itself),
        route("GET", "groups/{key}/transitiveMembers", teams.all_members),
        *(route("POST", collection, things.create) for collection in ("devices", "servicePrincipals")),
        *(route("GET", f"{collection}/{{key}}", things.read) for collection in ("devices", "servicePrincipals")),
        *(route("DELETE", f"{collection}/{{key}}", things.delete) for collection in ("devices", "servicePrincipals")),
        route("GET", "directoryObjects/{key}", objects.read),
        route("DELETE", "directoryObjects/{key}", objects.delete),
        route("POST", "directoryObjects/getByIds", objects.by_ids, reads=True),
        route("GET", "directory/deletedItems", objects.deleted),
        route("GET", "directory/deletedItems/{key}", objects.read_deleted),
        route("DELETE", "directory/deletedItems/{key}", objects.purge),
        route("POST", "directory/deletedItems/{key}/restore", objects.restore),
        route("GET", "organization", objects.organization),
        route("GET", "subscriptions", subscriptions.browse),
        route("POST", "subscriptions", subscriptions.create, whole=False),
        route("GET", "subscriptions/{key}", subscriptions.read),
        route("PATCH", "subscriptions/{key}", subscriptions.renew),
        route("DELETE", "subscriptions/{key}", subscriptions.delete),
        route("POST", "subscriptions/{key}/reauthorize", subscriptions.reauthorize),
    ]
    for kind in ("users", "groups", "directoryObjects"):
        routes += [
            route("GET", f"{kind}/{{key}}/memberOf", people.groups_of),
            route("GET", f"{kind}/{{key}}/transitiveMemberOf", people.all_groups_of),
            route("POST", f"{kind}/{{key}}/checkMemberGroups", people.check_groups, reads=True),
            route("POST", f"{kind}/{{key}}/checkMemberObjects", people.check_groups, reads=True),
            route("POST", f"{kind}/{{key}}/getMemberGroups", people.group_ids, reads=True),
            route("POST", f"{kind}/{{key}}/getMemberObjects", people.group_ids, reads=True),
        ]
    return routes
