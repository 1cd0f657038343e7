"""The pretend Service Bus on a socket: one thread, loopback only, plain TCP as the vendor's emulator speaks it."""

from __future__ import annotations

import contextlib
import queue
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapters.queues.ledger import PERSON_MESSAGES
from adapters.system import SystemClock
from joinery.errors import QueueUnavailable
from simulators.service_bus.connection import Connection, Faults
from simulators.service_bus.entities import Namespace

_READ_BYTES = 256 * 1024
#: The longest nap: a wall clock that was set must not go unnoticed.
_NAP_MAX = 1.0
#: After so many seconds without use the service ends a link.
IDLE_SECONDS = 600.0


class ServiceBus:
    """Serves a namespace from ``start`` until ``close``.

    Every engine of the namespace is used by the one thread; ``ask`` lets others do something there.
    """

    def __init__(self, namespace: Namespace, *, port: int = 0, idle_seconds: float = IDLE_SECONDS) -> None:
        self.namespace = namespace
        self.faults = Faults()
        self._idle_seconds = idle_seconds
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._listener: socket.socket | None = None
        self._wakes, self._waker = socket.socketpair()
        self._connections: dict[socket.socket, Connection] = {}
        self._asked: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stopping = False

    @classmethod
    def with_queue(cls, name: str, folder: Path, *, port: int) -> ServiceBus:
        """One with the product's queue and nothing else, its journal in a folder."""
        return cls(Namespace({"queues": {name: PERSON_MESSAGES}}, SystemClock(), folder=folder), port=port)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def connection_string(self) -> str:
        """For the vendor's libraries; the flag lets them speak plain TCP to this very port."""
        key = "SharedAccessKeyName=local;SharedAccessKey=local"
        return f"Endpoint=sb://127.0.0.1:{self.port};{key};UseDevelopmentEmulator=true;"

    def start(self) -> ServiceBus:
        """Listen, and serve in a thread. Raises OSError when the port is taken."""
        self._listen()
        self._selector.register(self._wakes, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="service-bus", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Drop every connection, stop, and close the journals."""
        if self._thread is not None:
            self.ask(self._stop)
            self._thread.join(timeout=10)
        self.namespace.close()

    def ask(self, act: Callable[[], Any]) -> Any:
        """Do something on the serving thread, and return what it returned."""
        done: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

        def run() -> None:
            try:
                done.put((act(), None))
            except BaseException as error:
                done.put((None, error))

        self._asked.put(run)
        self._waker.send(b"!")
        result, error = done.get(timeout=30)
        if error is not None:
            raise error
        return result

    # --- what can go wrong ---

    def reset(self) -> None:
        """Every connection drops, without a word."""
        self._with_each(Connection.abort)

    def force_close(self) -> None:
        """Every connection is closed for maintenance."""
        self._with_each(lambda connection: connection.drop("amqp:connection:forced", "The connection is closed for maintenance."))

    def detach_links(self) -> None:
        """Every link of an entity is detached, as after ten minutes without use."""
        self._with_each(lambda connection: connection.detach_idle(0))

    def end_locks(self) -> None:
        """Every lock ends now."""

        def end() -> None:
            for engine in self.namespace.engines:
                engine.end_locks()

        self.ask(end)

    def go_away(self) -> None:
        """Nobody listens any more, and every connection drops; the queues stay."""
        self.ask(self._unlisten)

    def come_back(self) -> None:
        """Listen again, on the same port."""
        self.ask(self._listen)

    def _with_each(self, act: Callable[[Connection], None]) -> None:
        def run() -> None:
            for connection in self._connections.values():
                act(connection)

        self.ask(run)

    # --- the thread ---

    def _run(self) -> None:
        while not self._stopping:
            for key, events in self._selector.select(self._nap()):
                self._serve(key.fileobj, events)
            while not self._asked.empty():
                self._asked.get()()
            for connection in self._connections.values():
                if not self.faults.silent:
                    connection.detach_idle(self._idle_seconds)
                    connection.pump()
            for peer in list(self._connections):
                self._send(peer)

    def _nap(self) -> float:
        waits = [one.waits_until for one in self._connections.values() if one.waits_until is not None]
        until = [moment - time.monotonic() for moment in waits]
        # A journal that cannot write now is asked again after the nap.
        with contextlib.suppress(QueueUnavailable):
            until.append(self.namespace.next_change())
        return max(0.0, min([_NAP_MAX, *until]))

    def _serve(self, source: Any, events: int) -> None:
        if self._listener is not None and source is self._listener:
            with contextlib.suppress(OSError):
                peer, _ = self._listener.accept()
                peer.setblocking(False)
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connections[peer] = Connection(self.namespace, self.faults)
                self._selector.register(peer, selectors.EVENT_READ)
        elif source is self._wakes:
            source.recv(4096)
        elif events & selectors.EVENT_READ and source in self._connections:
            self._read(source)

    def _read(self, peer: socket.socket) -> None:
        try:
            data = peer.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._forget(peer)
        elif not self.faults.silent:
            self._connections[peer].receive(data)

    def _send(self, peer: socket.socket) -> None:
        connection = self._connections[peer]
        if connection.aborted:
            # Closed with nothing lingering, the socket answers with a reset.
            with contextlib.suppress(OSError):
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._forget(peer)
            return
        if self.faults.silent:
            return
        try:
            while connection.pending:
                del connection.pending[: peer.send(connection.pending)]
        except BlockingIOError:
            pass
        except OSError:
            self._forget(peer)
            return
        if connection.finished and not connection.pending:
            self._forget(peer)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.pending else 0)
        if self._selector.get_key(peer).events != wanted:
            self._selector.modify(peer, wanted)

    def _forget(self, peer: socket.socket) -> None:
        self._selector.unregister(peer)
        self._connections.pop(peer).lost()
        peer.close()

    def _listen(self) -> None:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self._port))
            listener.listen(128)
        except OSError:
            listener.close()
            raise
        listener.setblocking(False)
        self._listener, self._port = listener, listener.getsockname()[1]
        self._selector.register(listener, selectors.EVENT_READ)

    def _unlisten(self) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
        for connection in self._connections.values():
            connection.abort()

    def _stop(self) -> None:
        self._unlisten()
        for peer in list(self._connections):
            self._forget(peer)
        self._stopping = True
