"""One call of the Table service: within one total deadline, repeated while trouble may pass, every answer translated."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import tenacity
from azure.core import MatchConditions
from azure.core.pipeline.transport import HttpTransport, RequestsTransport
from azure.data.tables import TableClient, TableEntity, UpdateMode
from requests.adapters import HTTPAdapter

from adapters.stores.table_answers import RAISED, Passing, error_for
from adapters.system import SystemClock
from joinery.engine.ports import Clock
from joinery.errors import ConfigurationError, Finding, StoreUnavailable

T = TypeVar("T")

#: Connections that are kept: the functions host has 16 threads, see ``docs/functions.md``.
CONNECTIONS_MAX = 32
#: Seconds to wait for a connection.
CONNECT_MAX = 2.0
#: Seconds before the second try; doubled each time.
PAUSE_INITIAL = 0.1
#: What one call may take in all, its repeats included.
DEADLINE = timedelta(seconds=5)

#: The SDK's own retries (10, up to 120 s apart) would outlive any deadline of ours, so ours are the only ones. Redirects are off.
_OPTIONS: dict[str, Any] = {"retry_total": 0, "permit_redirects": False}


def table_client(
    name: str,
    *,
    url: str = "",
    connection: str = "",
    transport: Callable[[HttpTransport[Any, Any]], HttpTransport[Any, Any]] = lambda inner: inner,
) -> TableClient:
    """A client for one table, which is not asked yet. ``connection`` is a connection string; with ``url`` it is this machine's identity.

    ``transport`` may wrap what carries the requests, for tests.

    Raises:
        ConfigurationError: the connection string is none.
    """
    carrier = transport(_carrier())
    if not connection:
        # A second of import time, for those who need it.
        from azure.identity import DefaultAzureCredential

        return TableClient(url, name, credential=DefaultAzureCredential(), transport=carrier, **_OPTIONS)
    try:
        return TableClient.from_connection_string(connection, name, transport=carrier, **_OPTIONS)
    except ValueError:
        # Not the SDK's words: they may repeat the key.
        remedy = "Copy the connection string that the portal shows beside the account's keys, or use JOINERY_TABLES_URL."
        raise ConfigurationError([Finding(place="JOINERY_TABLES_CONNECTION", problem="is no connection string", remedy=remedy)]) from None


def _carrier() -> RequestsTransport:
    """The SDK's own transport, with a connection for each thread: it keeps ten, and every further one would be made anew for each call."""
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", HTTPAdapter(pool_maxsize=CONNECTIONS_MAX))
    session.mount("http://", HTTPAdapter(pool_maxsize=CONNECTIONS_MAX))
    return RequestsTransport(session=session)


class TableCalls:
    """The few calls that a store needs. Every one may be repeated: reads, and writes that say the same twice or carry a condition.

    Raises:
        Conflict, NotThere, NoTable, Denied: as ``table_answers`` says; nothing was written.
        ValueError: the service will never take it.
        StoreUnavailable: no answer within the deadline; what was asked for may have been done.
    """

    def __init__(
        self, table: TableClient, *, deadline: timedelta = DEADLINE, clock: Clock | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._table = table
        self._deadline = deadline
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._closed = False

    @property
    def place(self) -> str:
        """Account and table, for messages."""
        return f"{urlsplit(self._table.url).netloc} {self._table.table_name}"

    def create_table(self) -> None:
        """Make the table. Raises Conflict where it is there."""
        self._call(self._table.create_table)

    def get(self, partition: str, row: str, *, select: list[str] | None = None) -> TableEntity:
        """One row. Raises NotThere."""
        return self._call(lambda **limits: self._table.get_entity(partition, row, select=select, **limits))

    def page(self, query: str, *, size: int, select: list[str] | None = None, after: Any = None) -> tuple[list[TableEntity], Any]:
        """One page of rows in the order of their keys, at most ``size`` (1 to 1000), and where the next one starts: None at the end.

        The service may end a page early, even an empty one: after 5 s, at 4 MiB, or where a partition moves.
        """

        def once(**limits: Any) -> tuple[list[TableEntity], Any]:
            pages: Any = self._table.query_entities(query, results_per_page=size, select=select, **limits).by_page(after)
            found = list(next(pages, ()))
            return found, pages.continuation_token

        return self._call(once)

    def create(self, entity: dict[str, Any]) -> str:
        """Insert a row and return its etag. Raises Conflict where it is there."""
        return str(self._call(lambda **limits: self._table.create_entity(entity, **limits))["etag"])

    def replace(self, entity: dict[str, Any], etag: str) -> str:
        """Replace a row that has this etag, and return its new one. Raises Conflict or NotThere."""
        condition = MatchConditions.IfNotModified
        done = self._call(
            lambda **limits: self._table.update_entity(entity, UpdateMode.REPLACE, etag=etag, match_condition=condition, **limits)
        )
        return str(done["etag"])

    def put(self, entity: dict[str, Any]) -> None:
        """Insert or replace a row."""
        self._call(lambda **limits: self._table.upsert_entity(entity, UpdateMode.REPLACE, **limits))

    def transact(self, operations: Sequence[Any]) -> str:
        """One entity-group transaction; the etag that its first operation gave. Raises Conflict or NotThere."""
        return str(self._call(lambda **limits: self._table.submit_transaction(operations, **limits))[0]["etag"])

    def delete(self, partition: str, row: str) -> None:
        """Delete a row; a missing one is fine."""
        self._call(lambda **limits: self._table.delete_entity(partition, row, **limits))

    def close(self) -> None:
        """Close the connections; nothing answers afterwards."""
        self._closed = True
        self._table.close()

    def _call(self, act: Callable[..., T]) -> T:
        ends_at = self._clock.monotonic() + self._deadline.total_seconds()

        def once() -> T:
            left = ends_at - self._clock.monotonic()
            if self._closed or left <= 0:
                raise StoreUnavailable("the state store is closed" if self._closed else "the table service: no time is left")
            try:
                # The second one bounds each wait for bytes; an answer that trickles may take longer, and is met by the session's lock.
                return act(connection_timeout=min(CONNECT_MAX, left), read_timeout=left)
            except RAISED as error:
                raise error_for(error) from None

        def no_time_left(state: tenacity.RetryCallState) -> bool:
            return self._clock.monotonic() + state.upcoming_sleep >= ends_at

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Passing), wait=_pause, stop=no_time_left, sleep=self._sleep, reraise=True
        )
        return retrying(once)


def _pause(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    doubled = PAUSE_INITIAL * 2.0 ** (state.attempt_number - 1)
    return max(doubled, error.after.total_seconds()) if isinstance(error, Passing) and error.after else doubled
