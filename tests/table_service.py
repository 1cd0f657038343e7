"""The Table and the Blob service, each in a process of its own, and a store whose wire counts, breaks off and loses answers."""

from __future__ import annotations

import base64
import os
import secrets
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from azure.core.exceptions import ServiceRequestError, ServiceResponseError
from azure.core.pipeline.transport import HttpTransport, RequestsTransport
from azure.storage.blob import ContainerClient

from adapters.stores.seal_blob import seal_container
from adapters.stores.table_calls import TableCalls, table_client
from adapters.stores.tables import TableStateStore

ROOT = Path(__file__).resolve().parents[1]
#: Where `make test` installs it, with the versions of tests/azurite/package-lock.json.
AZURITE = ROOT / ".venv" / "azurite" / "node_modules" / "azurite" / "dist" / "src"


@dataclass(kw_only=True, slots=True)
class Azurite:
    """One service in a process of its own, in memory, on loopback, with an account and a key made for it."""

    folder: Path
    #: ``table`` or ``blob``.
    service: str = "table"
    #: A script that changes a limit of the emulator before it starts.
    first: Path | None = None
    port: int = 0
    key: str = field(default_factory=lambda: base64.b64encode(secrets.token_bytes(32)).decode())
    _process: subprocess.Popen[bytes] | None = None

    @property
    def connection(self) -> str:
        """Its connection string."""
        endpoint = f"{self.service.title()}Endpoint=http://127.0.0.1:{self.port}/joinery"
        return f"DefaultEndpointsProtocol=http;AccountName=joinery;AccountKey={self.key};{endpoint}"

    def start(self) -> None:
        """Start it on a free port (it takes no port 0 that it would tell), and wait until it answers."""
        for _ in range(5):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            options = ["--inMemoryPersistence", "--disableTelemetry", "--silent", "--skipApiVersionCheck"]
            options += [f"--{self.service}Host", "127.0.0.1", f"--{self.service}Port", str(self.port)]
            first = ["--require", str(self.first)] if self.first else []
            self._process = subprocess.Popen(
                ["node", *first, str(AZURITE / self.service / "main.js"), *options],
                cwd=self.folder,
                env={**os.environ, "AZURITE_ACCOUNTS": f"joinery:{self.key}"},
                stdout=(self.folder / "azurite.txt").open("ab"),
                stderr=subprocess.STDOUT,
            )
            if self._answers():
                return
            self.stop()
        raise AssertionError(f"Azurite does not start:\n{(self.folder / 'azurite.txt').read_text()[-2000:]}")

    def _answers(self) -> bool:
        until = time.monotonic() + 60
        while time.monotonic() < until and self._process is not None and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return self._process.poll() is None
        return False

    def stop(self) -> None:
        """End it; what it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @staticmethod
    def new_table() -> str:
        """A name that nobody uses."""
        return f"t{uuid.uuid4().hex}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What happens to one request: an exception in its place, something done before it, or an exception in place of its answer."""

    instead: BaseException | None = None
    first: Callable[[], object] | None = None
    then: BaseException | None = None


#: What azure-core makes of a connection that is refused, and of one that ends before the answer.
LOST_REQUEST = Fault(instead=ServiceRequestError("not sent"))
LOST_RESPONSE = Fault(then=ServiceResponseError("no answer"))


@dataclass(kw_only=True)
class Wire:
    """Notes every request that was sent, and does to the n-th from now what a test asks for."""

    sent: list[str] = field(default_factory=list)
    #: Something to do to every request that no plan names.
    always: Fault = field(default_factory=Fault)
    _plan: Mapping[int, Fault] = field(default_factory=dict)
    _number: int = 0

    def plan(self, faults: Mapping[int, Fault] | None = None) -> None:
        """Which of the next requests, counted from 1, meet what; forgets what was sent so far."""
        self._plan, self._number = faults or {}, 0
        self.sent.clear()

    @property
    def met(self) -> bool:
        """Whether all that was planned happened."""
        return all(number <= self._number for number in self._plan)

    def send(self, inner: Callable[..., Any], request: Any, **options: Any) -> Any:
        """One request."""
        self._number += 1
        fault = self._plan.get(self._number, self.always)
        if fault.instead is not None:
            raise fault.instead
        if fault.first is not None:
            fault.first()
        self.sent.append(f"{request.method} {request.url.partition('?')[0].rpartition('/')[2].partition('(')[0]}")
        response = inner(request, **options)
        if fault.then is not None:
            raise fault.then
        return response


class Wired(HttpTransport[Any, Any]):
    """A transport with a wire between."""

    def __init__(self, inner: HttpTransport[Any, Any], wire: Wire) -> None:
        self._inner, self._wire = inner, wire

    def send(self, request: Any, **options: Any) -> Any:
        return self._wire.send(self._inner.send, request, **options)

    def open(self) -> None:
        self._inner.open()

    def close(self) -> None:
        self._inner.close()

    def __enter__(self) -> Wired:
        self._inner.__enter__()
        return self

    def __exit__(self, *ended: Any) -> None:
        self._inner.__exit__(*ended)

    def sleep(self, duration: float) -> None:
        raise AssertionError(f"the SDK waits by itself, {duration} s")


def new_container(connection: str, *, wire: Wire | None = None) -> ContainerClient:
    """A container for the seals that nobody uses, as infrastructure makes it: the log itself never does."""
    transport = Wired(RequestsTransport(use_env_settings=False), wire) if wire is not None else None
    container = seal_container(connection=connection, name=f"seals-{uuid.uuid4().hex}", transport=transport)
    container.create_container()
    if wire is not None:
        wire.plan()
    return container


def tables_in(
    connection: str, table: str, *, wire: Wire | None = None, create: bool = True, deadline: timedelta = timedelta(seconds=5), **timing: Any
) -> TableStateStore:
    """A store in this table; ``timing`` may hold a clock and a sleep."""
    client = table_client(table, connection=connection, transport=(lambda inner: Wired(inner, wire)) if wire is not None else _as_it_is)
    return TableStateStore(TableCalls(client, deadline=deadline, **timing), create=create)


def _as_it_is(inner: HttpTransport[Any, Any]) -> HttpTransport[Any, Any]:
    return inner
