"""Who `joinery doctor` examines: every side that settings name, opened, and for the others why they cannot be asked."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from joinery.doctor.patient import Patient, Side
from joinery.errors import ConfigurationError, Finding, StoreUnavailable
from joinery.setting_checks import on_loopback

if TYPE_CHECKING:
    from adapters.graph.app_review import GraphAppReview
    from adapters.halo.app_review import HaloAppReview
    from joinery.domain.policy import Policy
    from joinery.engine.ports import Clock, MessageQueue, StateStore
    from joinery.settings import Settings

#: Where a deployment keeps what is missing here.
_AS_DEPLOYED = "Set it here as the deployment has it (infra/README.md, step 6), or run this where the deployment runs."


def patient_of(settings: Settings, stack: ExitStack) -> Patient:
    """Open what these settings name; the stack closes it. Raises ConfigurationError where policy or profile cannot be read."""
    from adapters.system import SystemClock
    from adapters.webhooks.hearing import PlainHearing
    from joinery.addresses import with_addresses
    from wiring import policy_of

    settings, clock = with_addresses(settings), SystemClock()
    policy, hearing = policy_of(settings), PlainHearing(clock)
    stack.callback(hearing.close)
    directory, writer, unknown_to_directory = _directory(settings, policy, clock, stack)
    desk, unknown_to_desk = _desk(settings, policy, clock, stack)
    return Patient(
        settings=settings,
        policy=policy,
        clock=clock,
        hearing=hearing,
        missing=_missing(settings, policy),
        store=_store(settings, stack),
        queue=_queue(settings, clock, stack),
        directory=directory,
        writer=writer,
        desk=desk,
        unknown_to_directory=unknown_to_directory,
        unknown_to_desk=unknown_to_desk,
        clocks=_clocks(settings),
        public_url=settings.public_url.rstrip("/"),
    )


def _missing(settings: Settings, policy: Policy) -> tuple[Finding, ...]:
    """What a deployment has to name and nobody has, each once; but for the clientState, which only the functions need."""
    found = settings.missing(writes=policy.cut_off.writes)
    if not (on_loopback(settings.graph_url) and on_loopback(settings.halo_url)):
        try:
            settings.check_complete()
        except ConfigurationError as error:
            known = {"JOINERY_CLIENT_STATE", *(one.place for one in found)}
            found += [one for one in error.findings if one.place not in known]
    return tuple(found)


def _directory(
    settings: Settings, policy: Policy, clock: Clock, stack: ExitStack
) -> tuple[GraphAppReview | Side, GraphAppReview | Side | None, Callable[[], list[Finding]]]:
    """Our application that reads, the one that writes if that is another, and what asks for the names."""
    from adapters.graph.app_review import GraphAppReview
    from adapters.graph.directory import GraphDirectory
    from joinery.cli.online import unknown_to_directory
    from wiring import graph_of, writer_of

    if side := _closed(settings, settings.graph_url, "GRAPH", "Use https://graph.microsoft.com, or --data of a `joinery up` that runs."):
        return side, side if settings.graph_write_credential else None, list
    _, tokens, client = graph_of(settings, clock)
    stack.callback(tokens.close)
    stack.callback(client.close)
    reader = GraphAppReview(
        client=client,
        tokens=tokens,
        client_id=settings.graph_client_id,
        certificate=settings.graph_certificate,
        certificate_password=settings.graph_certificate_password.reveal(),
    )
    writer: GraphAppReview | Side | None = None
    if writing := writer_of(settings, clock):
        write_tokens, write_client = writing
        stack.callback(write_tokens.close)
        stack.callback(write_client.close)
        # What is to be read of it is read as whoever reads.
        writer = GraphAppReview(
            client=client,
            tokens=write_tokens,
            client_id=settings.graph_write_client_id,
            certificate=settings.graph_write_certificate,
            certificate_password=settings.graph_write_certificate_password.reveal(),
        )
    elif policy.cut_off.writes and not on_loopback(settings.graph_url):
        # Whoever reads is not to have these permissions, so nobody is told to grant them.
        writer = Side(why="JOINERY_GRAPH_WRITE_CREDENTIAL is not set here, so whoever writes cannot be asked", remedy=_AS_DEPLOYED)
    directory, place = GraphDirectory(client, clock=clock), str(settings.policy)
    return reader, writer, lambda: list(unknown_to_directory(directory, policy, place))


def _desk(settings: Settings, policy: Policy, clock: Clock, stack: ExitStack) -> tuple[HaloAppReview | Side, Callable[[], list[Finding]]]:
    from adapters.halo.app_review import HaloAppReview
    from adapters.halo.policy_check import unknown_names
    from wiring import halo_of

    if side := _closed(settings, settings.halo_url, "HALO", "Use https://YOURS.haloitsm.com, or --data of a `joinery up` that runs."):
        return side, list
    client = halo_of(settings, clock, None)
    stack.callback(client.close)
    return HaloAppReview(client=client), lambda: unknown_names(client, policy, str(settings.policy))


def _closed(settings: Settings, url: str, side: str, remedy: str) -> Side | None:
    """Why a side cannot be asked from here; None where it can."""
    if not url:
        return Side(why=f"JOINERY_{side}_URL is not set, so there is nobody to ask", remedy=remedy)
    unset = [one.place for one in settings.missing() if one.place.startswith(f"JOINERY_{side}_")]
    return Side(why=f"{', '.join(unset)} {'is' if len(unset) == 1 else 'are'} not set here", remedy=_AS_DEPLOYED) if unset else None


def _store(settings: Settings, stack: ExitStack) -> StateStore | Side:
    from wiring import open_store

    try:
        store = open_store(settings, existing=True)
    except ConfigurationError as error:
        found = error.findings[0]
        return Side(why=f"{found.place} {found.problem}", remedy=found.remedy)
    except StoreUnavailable as error:
        return Side(why=f"the state does not answer ({error})", remedy="Try again; if it stays, look at the store.")
    stack.callback(store.close)
    return store


def _queue(settings: Settings, clock: Clock, stack: ExitStack) -> MessageQueue | Side:
    from wiring import open_queue

    if settings.queue == "embedded":
        # Its file belongs to the process that serves; health counts what waits in it.
        return Side(why="no Service Bus is named here, and the embedded queue belongs to the process that runs it", remedy="")
    opened = open_queue(settings, clock)
    stack.callback(opened.close)
    return opened.queue


def _clocks(settings: Settings) -> dict[str, str]:
    """Whose clock -> an address that answers with a date, let in or not."""
    asked = {
        "Microsoft Graph": f"{settings.graph_url.rstrip('/')}/v1.0/" if settings.graph_url else "",
        "HaloITSM": f"{settings.halo_url.rstrip('/')}/api/authinfo" if settings.halo_url else "",
        "Azure Table Storage": settings.tables_url,
        "Azure Service Bus": f"https://{settings.bus_namespace}/" if settings.bus_namespace else "",
    }
    return {whose: url for whose, url in asked.items() if url}
