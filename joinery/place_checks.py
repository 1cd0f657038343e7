"""What may be wrong with the settings that name where things are kept: tables, seals, and the bus."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from joinery.setting_checks import bad_bus_connection, bad_connection, bad_url

if TYPE_CHECKING:
    from joinery.settings import Settings


def wrong_about_places(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """(field, problem, remedy) of each thing that does not fit."""
    yield from _wrong_about_tables(settings)
    yield from _wrong_about_the_bus(settings)
    yield from _wrong_about_seals(settings)


def _wrong_about_tables(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """(field, problem, remedy) of each thing that does not fit. No text of a connection string is repeated: it holds a key."""
    given = [name for name in ("tables_url", "tables_connection") if getattr(settings, name)]
    if settings.store == "tables" and not given:
        remedy = "Use https://ACCOUNT.table.core.windows.net, or put a connection string into JOINERY_TABLES_CONNECTION."
        yield "tables_url", "is not set, and JOINERY_STORE=tables needs it", remedy
    if settings.store != "tables":
        for name in given:
            yield name, f"is set, but JOINERY_STORE is {settings.store!r}", "Set JOINERY_STORE=tables, or remove this one."
    if len(given) == 2:
        yield "tables_connection", "is set beside JOINERY_TABLES_URL", "Keep one of the two: they may name different accounts."
    if problem := bad_url(settings.tables_url) or (
        "" if not settings.tables_url or settings.tables_url.startswith("https:") else "is not https"
    ):
        yield "tables_url", problem, "Use https://ACCOUNT.table.core.windows.net; for the emulator, a connection string."
    if problem := bad_connection(settings.tables_connection.reveal()):
        yield "tables_connection", problem, "Copy the connection string that the portal shows beside the account's keys."
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]{2,62}", settings.tables_name):
        yield "tables_name", f"is {settings.tables_name!r}", "Use 3 to 63 letters and digits, a letter first."


def _wrong_about_the_bus(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """(field, problem, remedy) of each thing that does not fit. No text of a connection string is repeated: it holds a key."""
    given = [name for name in ("bus_connection", "bus_namespace") if getattr(settings, name)]
    if settings.queue == "servicebus" and not given:
        remedy = "Use NAME.servicebus.windows.net, or put a connection string into ServiceBusConnection."
        yield "bus_namespace", "is not set, and JOINERY_QUEUE=servicebus needs it", remedy
    if len(given) == 2:
        yield (
            "bus_connection",
            "is set beside ServiceBusConnection__fullyQualifiedNamespace",
            "Keep one: they may name different buses.",
        )
    if problem := bad_bus_connection(settings.bus_connection.reveal()):
        yield (
            "bus_connection",
            problem,
            "Copy the primary connection string that the portal shows beside the namespace's access policy.",
        )
    if settings.bus_namespace and not re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", settings.bus_namespace):
        yield "bus_namespace", f"is {settings.bus_namespace!r}", "Use the host name alone: NAME.servicebus.windows.net."


def _wrong_about_seals(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """(field, problem, remedy) of each thing that does not fit."""
    places = [name for name in ("seals_url", "seals_connection", "seal_file") if getattr(settings, name)]
    if len(places) > 1:
        yield places[0], "is not the only place for the seals", "Keep one of JOINERY_SEALS_URL, _CONNECTION and JOINERY_SEAL_FILE."
    if settings.seals_url and (
        bad_url(settings.seals_url) or not re.fullmatch(r"https://[^/]+/[a-z0-9]+(-[a-z0-9]+)*/?", settings.seals_url)
    ):
        remedy = "Use https://ACCOUNT.blob.core.windows.net/CONTAINER; for the emulator, a connection string."
        yield "seals_url", bad_url(settings.seals_url) or f"is {settings.seals_url!r}", remedy
    if problem := bad_connection(settings.seals_connection.reveal(), service="Blob"):
        yield "seals_connection", problem, "Copy the connection string that the portal shows beside the account's keys."
