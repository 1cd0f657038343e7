"""A client of Azure Service Bus, and what its errors mean to us. The SDK is imported when the queue is built, or when the first one is made."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from joinery.errors import LockLost, QueueUnavailable

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusClient


@dataclass(frozen=True, kw_only=True, slots=True)
class BusAddress:
    """Where the queue is: a connection string, or a namespace that is entered as the managed identity of this machine."""

    queue: str
    #: It holds a key.
    connection: str = ""
    #: ``NAME.servicebus.windows.net``.
    namespace: str = ""
    #: Of a user-assigned identity; empty: the one of the system.
    client_id: str = ""

    def __repr__(self) -> str:
        return f"BusAddress(queue={self.queue!r}, namespace={self.namespace!r})"

    def load(self) -> None:
        """Load what a client needs: half a second of a cold process, which a first send, with two seconds for everything, should not pay."""
        importlib.import_module("azure.servicebus")
        if not self.connection:
            importlib.import_module("azure.identity")

    def client(self, *, try_timeout: float) -> ServiceBusClient:
        """A client that tries once: whoever calls knows whether a second try is worth it, and how much time is left for one.

        ``try_timeout`` in seconds: without it, what waits for a silent peer has no bound ("azure-servicebus" 7.15).
        """
        from azure.servicebus import ServiceBusClient

        options: dict[str, Any] = {"retry_total": 0, "try_timeout": try_timeout}
        if self.connection:
            return ServiceBusClient.from_connection_string(self.connection, **options)
        from azure.identity import DefaultAzureCredential

        credential = DefaultAzureCredential(managed_identity_client_id=self.client_id or None)
        return ServiceBusClient(self.namespace, credential, **options)


@contextmanager
def errors_as_ours(what: str) -> Iterator[None]:
    """Raises LockLost where somebody else may have the message by now, and QueueUnavailable for every other trouble of the bus."""
    from azure.core.exceptions import AzureError
    from azure.servicebus.exceptions import MessageLockLostError, ServiceBusError, SessionCannotBeLockedError, SessionLockLostError

    try:
        yield
    except (MessageLockLostError, SessionLockLostError, SessionCannotBeLockedError) as error:
        raise LockLost(f"{what}: {type(error).__name__}") from error
    except (ServiceBusError, AzureError, OSError) as error:
        # The texts hold addresses of links, and sometimes of the namespace: the class says enough.
        raise QueueUnavailable(f"{what}: {type(error).__name__}") from error
