"""A store on the Table service, with a wire that counts, breaks off and loses answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from azure.core.exceptions import ServiceRequestError, ServiceResponseError
from azure.core.pipeline.transport import HttpTransport

from adapters.stores.table_calls import TableCalls, table_client
from adapters.stores.tables import TableStateStore


class Crash(BaseException):
    """The process ends here."""


@dataclass(kw_only=True)
class Wire:
    """Counts requests, and does to the n-th from now on what a test asks for."""

    #: Method and path of every request that was sent.
    sent: list[str] = field(default_factory=list)
    #: Number of the request, counted from 1 since ``plan`` -> what happens.
    _plan: dict[int, str] = field(default_factory=dict)
    _number: int = 0

    def plan(self, **faults: str) -> None:
        """``plan(_2="lost response")``: what happens to which of the next requests."""
        self._plan, self._number = {int(key[1:]): fault for key, fault in faults.items()}, 0
        self.sent.clear()

    def send(self, inner: Callable[..., Any], request: Any, **options: Any) -> Any:
        """One request."""
        self._number += 1
        fault = self._plan.get(self._number, "")
        if fault == "crash before":
            raise Crash
        if fault == "lost request":
            raise ServiceRequestError("not sent")
        self.sent.append(f"{request.method} {request.url.partition('?')[0].rpartition('/')[2].partition('(')[0]}")
        response = inner(request, **options)
        if fault == "crash after":
            raise Crash
        if fault == "lost response":
            raise ServiceResponseError("no answer")
        return response


class _Wired(HttpTransport[Any, Any]):
    def __init__(self, inner: HttpTransport[Any, Any], wire: Wire) -> None:
        self._inner, self._wire = inner, wire

    def send(self, request: Any, **options: Any) -> Any:
        return self._wire.send(self._inner.send, request, **options)

    def open(self) -> None:
        self._inner.open()

    def close(self) -> None:
        self._inner.close()

    def __enter__(self) -> _Wired:
        self._inner.__enter__()
        return self

    def __exit__(self, *ended: Any) -> None:
        self._inner.__exit__(*ended)

    def sleep(self, duration: float) -> None:
        raise AssertionError(f"the SDK waits by itself, {duration} s")


def tables_in(
    connection: str, table: str, *, wire: Wire | None = None, create: bool = True, deadline: timedelta = timedelta(seconds=5)
) -> TableStateStore:
    """A store in this table."""
    wrap = (lambda inner: _Wired(inner, wire)) if wire is not None else (lambda inner: inner)
    return TableStateStore(TableCalls(table_client(table, connection=connection, transport=wrap), deadline=deadline), create=create)
