"""The one file that knows everyone: it builds the App from settings. Importing it opens nothing and is light.

``app_source`` is how the functions get hold of the App: built from the environment on first use, replaceable by a local
host or a test. ``build_local`` adds the stand-ins; it imports them inside the function, because the deployed copy has none.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joinery.app_source import AppSource

if TYPE_CHECKING:
    from adapters.graph.client import GraphClient
    from adapters.graph.token import CachedTokens
    from adapters.halo.client import HaloClient
    from adapters.halo.tenant_profile import TenantProfile
    from adapters.queues.opening import OpenedQueue
    from adapters.stores.sqlite import SqliteStateStore
    from adapters.stores.tables import TableStateStore
    from joinery.app import App
    from joinery.domain.policy import Policy
    from joinery.engine.ports import CallBudget, Clock, SessionQueue
    from joinery.local import Host
    from joinery.settings import Settings
    from simulators.service_bus.server import ServiceBus
    from simulators.standing import StandIns


def _from_environment() -> App:
    from joinery.log_lines import log_through_the_worker
    from joinery.settings import Settings

    log_through_the_worker()
    return build_app(Settings.from_environment(os.environ)).app


#: What every function asks for its App.
app_source = AppSource(_from_environment)


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """An App with what its owner has to close, and the queue as whoever handles its messages sees it."""

    app: App
    settings: Settings
    policy: Policy
    sessions: SessionQueue
    closers: tuple[Callable[[], None], ...] = field(default=())

    def close(self) -> None:
        """Close clients and files, the last opened first."""
        for close in reversed(self.closers):
            close()


def build_app(settings: Settings, **replacements: Any) -> Parts:
    """Create every client and put the App together.

    ``replacements`` (``clock``, ``randomness``, ``store``, ``queue``, ``directory``, ``desk``, ``subscriptions``) stand in for
    what would be built here; tests use them to wrap a port.

    Raises:
        ConfigurationError: the policy is wrong, a file is foreign, or an address is missing.
    """
    from adapters.graph.directory import GraphDirectory
    from adapters.graph.intake import GraphIntake
    from adapters.graph.subscriptions import GraphSubscriptions
    from adapters.halo.desk import HaloServiceDesk
    from adapters.stores.seals import open_seals
    from adapters.system import SystemClock, SystemRandomness
    from adapters.webhooks.alerts import AlertWebhook
    from joinery.assembly import Ports, assemble
    from joinery.engine.alerts import LogOnly
    from joinery.engine.budget import SLACK, LeasedCallBudget
    from joinery.engine.desk_door import DeskDoor
    from joinery.engine.retry import EngineTiming
    from workflows import CATALOGUE

    _hush_libraries()
    settings.check_complete()
    policy = policy_of(settings)
    settings.check_complete(writes=policy.cut_off.writes)
    clock = replacements.get("clock") or SystemClock()
    randomness = replacements.get("randomness") or SystemRandomness()
    profile = profile_of(settings)
    timing = EngineTiming(
        call_deadline=settings.call_deadline,
        twin_check_after=timedelta(seconds=settings.twin_check_seconds),
        approvals_polled_every=timedelta(minutes=profile.poll_minutes),
    )

    settings.data.mkdir(parents=True, exist_ok=True)
    kept = open_store(settings)
    store = replacements.get("store", lambda inner: inner)(kept)
    opened = open_queue(settings, clock)
    queue = replacements.get("queue", lambda inner: inner)(opened.queue)

    graph_root, tokens, graph = graph_of(settings, clock)
    writing = writer_of(settings, clock)
    directory = replacements.get("directory", lambda inner: inner)(
        GraphDirectory(graph, writer=writing[1] if writing else None, clock=clock)
    )
    subscriptions = replacements.get("subscriptions", lambda inner: inner)(GraphSubscriptions(graph_root, tokens, clock=clock))
    budget = None
    if settings.call_budget is not None:
        slack = max(SLACK, settings.call_deadline)
        window = timedelta(seconds=profile.window_seconds)
        budget = LeasedCallBudget(store, clock=clock, randomness=randomness, calls=settings.call_budget, window=window, slack=slack)
    halo = halo_of(settings, clock, budget)
    desk = replacements.get("desk", lambda inner: inner)(
        HaloServiceDesk(
            halo, policy.desk, deployment=settings.deployment, search_lag=settings.search_lag, key_field=settings.halo_key_field
        )
    )

    hook = AlertWebhook(settings.alert_url.reveal()) if settings.alert_url else None
    seals = open_seals(settings.seals, url=settings.seals_url, connection=settings.seals_connection.reveal())
    ports = Ports(
        clock=clock,
        randomness=randomness,
        store=store,
        queue=queue,
        directory=directory,
        desk=desk,
        subscriptions=subscriptions,
        intake=GraphIntake((settings.client_state.reveal(), settings.client_state_previous.reveal())),
        alerts=hook or LogOnly(),
        desk_door=DeskDoor(
            secret=settings.desk_webhook_secret.reveal(),
            user=settings.desk_webhook_user,
            password=settings.desk_webhook_password.reveal(),
            members=settings.desk_webhook_paths,
            # The client `local` is everybody's who drives the stand-ins, so it names nobody.
            ourselves=frozenset({profile.application, settings.halo_client_id} - {"", "local"}),
            actors=profile.actors,
        ),
        seals=seals,
        shred=kept.shred,
    )
    app = assemble(
        ports,
        policy=policy,
        catalogue=CATALOGUE,
        urls=_urls(settings),
        tenant=settings.graph_tenant,
        deployment=settings.deployment,
        timing=timing,
        seal_every=timedelta(minutes=settings.seal_minutes),
    )
    closers: tuple[Callable[[], None], ...] = (
        *((hook.close,) if hook else ()),
        seals.close,
        kept.close,
        opened.close,
        graph.close,
        tokens.close,
        *((writing[1].close, writing[0].close) if writing else ()),
        *((budget.close,) if budget else ()),
        halo.close,
    )
    return Parts(app=app, settings=settings, policy=policy, sessions=opened.sessions, closers=closers)


def _hush_libraries() -> None:
    """At INFO they tell addresses: httpx those with mail and delta tokens, the SDKs those of rows and blobs, and what goes over a link.

    ``azure`` as a whole stays as it is: the platform's own lines come under ``azure.functions``.
    """
    for name in ("httpx", "azure.core", "azure.identity", "azure.servicebus"):
        logging.getLogger(name).setLevel(logging.WARNING)


def profile_of(settings: Settings) -> TenantProfile:
    """The habits of the desk that settings name a file for, else the defaults. Raises ConfigurationError with every finding."""
    from adapters.halo.tenant_profile import TenantProfile, read_profile

    return read_profile(_beside_us(Path(settings.halo_profile))) if settings.halo_profile else TenantProfile()


def halo_of(settings: Settings, clock: Clock, budget: CallBudget | None) -> HaloClient:
    """A client of the desk; whoever asked closes it."""
    from adapters.halo.client import HaloClient

    root, profile = settings.halo_url.rstrip("/"), profile_of(settings)
    auth, client_id, secret = settings.halo_auth_url or f"{root}/auth", settings.halo_client_id, settings.halo_client_secret.reveal()
    tenant, scope = settings.halo_tenant, settings.halo_scope
    return HaloClient(f"{root}/api", auth, client_id, secret, tenant, scope, clock=clock, budget=budget, profile=profile)


def graph_of(settings: Settings, clock: Clock) -> tuple[str, CachedTokens, GraphClient]:
    """The root of the directory's API, its tokens, and a client; whoever asked closes the last two, the client first."""
    from adapters.graph.client import GraphClient
    from adapters.graph.credentials import SignIn, tokens_of

    sign_in = SignIn(
        credential=settings.graph_credential,
        authority=settings.graph_authority or settings.graph_url,
        tenant=settings.graph_tenant,
        client_id=settings.graph_client_id,
        client_secret=settings.graph_client_secret.reveal(),
        certificate=settings.graph_certificate,
        certificate_password=settings.graph_certificate_password.reveal(),
        identity=settings.identity_client_id,
        scope=f"{settings.graph_url}/.default",
    )
    tokens = tokens_of(sign_in, clock)
    root = f"{settings.graph_url.rstrip('/')}/v1.0"
    return root, tokens, GraphClient(root, tokens, clock=clock)


def writer_of(settings: Settings, clock: Clock) -> tuple[CachedTokens, GraphClient] | None:
    """Tokens and client of whoever writes to the directory, where that is somebody else than whoever reads; whoever asked closes both."""
    if not settings.graph_write_credential:
        return None
    _, tokens, client = graph_of(
        replace(
            settings,
            graph_credential=settings.graph_write_credential,
            graph_client_id=settings.graph_write_client_id,
            graph_client_secret=settings.graph_write_client_secret,
            graph_certificate=settings.graph_write_certificate,
            graph_certificate_password=settings.graph_write_certificate_password,
            identity_client_id=settings.graph_write_identity,
        ),
        clock,
    )
    return tokens, client


def open_queue(settings: Settings, clock: Clock) -> OpenedQueue:
    """The queue that settings choose. Raises ConfigurationError where the file of the embedded one is foreign or damaged."""
    from adapters.queues.opening import embedded, service_bus
    from adapters.queues.servicebus_client import BusAddress

    name = settings.queue_name
    if settings.queue == "embedded":
        return embedded(clock, settings.data, name)
    connection, namespace = settings.bus_connection.reveal(), settings.bus_namespace
    return service_bus(BusAddress(queue=name, connection=connection, namespace=namespace, client_id=settings.bus_client_id))


def open_store(settings: Settings, *, existing: bool = False) -> SqliteStateStore | TableStateStore:
    """The state store that settings choose; with ``existing``, only one that is there already.

    Raises:
        ConfigurationError: it is foreign, damaged, missing, or refuses our credentials.
        StoreUnavailable: a file is locked. A service that does not answer yet is no reason not to start: its messages wait for it.
    """
    if settings.store == "tables":
        from adapters.stores.tables import open_tables

        _hush_libraries()
        connection = settings.tables_connection.reveal()
        return open_tables(settings.tables_name, url=settings.tables_url, connection=connection, create=not existing)

    from adapters.stores.sqlite import SqliteStateStore

    path = settings.data / "state.db"
    if existing and not path.is_file():
        from joinery.errors import ConfigurationError, Finding

        # In full: a relative folder depends on where the command was given.
        remedy = "Start `joinery up` there first, or name its data folder with --data."
        raise ConfigurationError([Finding(place=str(path.parent.absolute()), problem="holds no state.db", remedy=remedy)])
    return SqliteStateStore(path)


def policy_of(settings: Settings) -> Policy:
    """The policy that settings name, with their settle time in it. Raises ConfigurationError with every finding."""
    from joinery.policy_file import read_policy

    policy = read_policy(_beside_us(settings.policy), place=str(settings.policy))
    if settings.settle_seconds is None:
        return policy
    wait = timedelta(seconds=settings.settle_seconds)
    return replace(policy, timing=replace(policy.timing, settle_time=wait, second_look=wait))


def _beside_us(path: Path) -> Path:
    """A relative path also means: beside this file, wherever the process was started."""
    return path if path.is_absolute() or path.exists() else Path(__file__).resolve().parent / path


def _urls(settings: Settings) -> Any:
    from joinery.engine.standing_orders import SubscriptionUrls

    root = settings.public_url.rstrip("/")
    secret = settings.client_state.reveal()
    fingerprint = hashlib.sha256(f"{root}\n{secret}".encode()).hexdigest()[:16]
    return SubscriptionUrls(
        notification_url=f"{root}/api/notifications",
        lifecycle_url=f"{root}/api/lifecycle",
        client_state=secret,
        fingerprint=fingerprint,
    )


def build_stand_ins(settings: Settings, *, empty: bool) -> StandIns:
    """Serve the stand-ins for which settings name no address, with their state in the data folder. Raises OSError when a port is taken."""
    from simulators.standing import serve_stand_ins

    return serve_stand_ins(
        policy_of(settings),
        settings.data,
        graph_url=settings.graph_url,
        halo_url=settings.halo_url,
        graph_port=settings.graph_port,
        halo_port=settings.halo_port,
        empty=empty,
    )


def build_bus(settings: Settings, port: int) -> ServiceBus:
    """Serve a pretend Service Bus with the queue that settings name, its journal in the data folder. Raises OSError when the port is taken."""
    from simulators.service_bus.server import ServiceBus

    return ServiceBus.with_queue(settings.queue_name, settings.data / "service-bus", port=port).start()


@dataclass(frozen=True, kw_only=True, slots=True)
class Local:
    """Everything on one machine."""

    parts: Parts
    host: Host
    stand_ins: StandIns | None

    def start(self) -> None:
        """Begin to handle messages and to run timers; health says when the start-up sweep is through."""
        self.parts.app.starting(alone=self.parts.settings.store == "sqlite")
        self.host.start({self.parts.settings.queue_name: self.parts.sessions})

    def close(self) -> None:
        """Stop the host first, so that nothing is in hand when its surroundings go."""
        self.host.stop()
        self.parts.close()
        if self.stand_ins is not None:
            self.stand_ins.close()


def build_local(settings: Settings, *, empty: bool = False, listen: str = "127.0.0.1", **replacements: Any) -> Local:
    """The registered functions on the local host, with stand-ins where settings name no real Graph and Halo.

    Raises ConfigurationError, or OSError when a port is taken.
    """
    import function_app
    from joinery.addresses import remember_addresses
    from joinery.local import Host, HostSettings, registered
    from joinery.local_secrets import with_client_state, with_desk_webhook

    # What lies in the data folder (secrets, the stand-ins' tokens, people) is for this user alone.
    os.umask(0o077)
    settings.data.mkdir(parents=True, exist_ok=True)
    stand_ins, pretend_halo = None, not settings.halo_url
    if not (settings.graph_url and settings.halo_url):
        stand_ins = build_stand_ins(settings, empty=empty)
        settings = replace(settings, graph_url=settings.graph_url or stand_ins.graph_url, halo_url=settings.halo_url or stand_ins.halo_url)
    host = Host(
        registered(function_app.app),
        settings=HostSettings.read(Path(__file__).resolve().parent / "host.json"),
        app_settings={"JOINERY_QUEUE_NAME": settings.queue_name},
        port=settings.port,
        address=listen,
    )
    host.listen()
    settings = with_client_state(settings)
    if pretend_halo:
        from simulators.webhooks import tell_of_answers

        settings = with_desk_webhook(settings)
        secret, password = settings.desk_webhook_secret.reveal(), settings.desk_webhook_password.reveal()
        tell_of_answers(settings.halo_url, f"{host.url}/api/desk-events/{secret}", user=settings.desk_webhook_user, password=password)
    if not settings.public_url:
        settings = replace(settings, public_url=host.url)
    if stand_ins is not None:
        remember_addresses(settings)
    parts = build_app(settings, **replacements)
    app_source.use(parts.app, pauses=settings.queue == "servicebus")
    return Local(parts=parts, host=host, stand_ins=stand_ins)
