"""A WSGI app on a loopback port: waitress on a background thread, which really lets go of the port when it is closed."""

import logging
import threading
from typing import TYPE_CHECKING

from waitress import wasyncore
from waitress.server import create_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

#: Seconds that requests still running get to end when the server closes.
CLOSE_WAIT = 2.0


class Served:
    """A WSGI app that is being served; made by `serve`."""

    def __init__(self, wsgi: "WSGIApplication", host: str, port: int, threads: int, body_max: int) -> None:
        # A full thread pool is a habit of the tests that make a server slow, not news.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self._sockets: dict[int, object] = {}
        self._server = create_server(  # type: ignore[no-untyped-call]  # waitress has no types
            wsgi,
            map=self._sockets,
            host=host,
            port=port,
            threads=threads,
            connection_limit=1000,
            asyncore_use_poll=True,
            max_request_body_size=body_max,
        )
        self._closing = threading.Event()
        self.host = host
        self.port = int(self._server.effective_port)
        self._thread = threading.Thread(target=self._loop, name=f"serving-{self.port}", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://{self.host}:{self.port}"

    def close(self) -> None:
        """Stop serving, close every connection, free the port. May be called twice."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._server.pull_trigger()
        self._thread.join()
        wasyncore.close_all(self._sockets, ignore_all=True)  # type: ignore[no-untyped-call]
        self._server.task_dispatcher.shutdown(timeout=CLOSE_WAIT)

    def _loop(self) -> None:
        # waitress's own run() ends only when the last client has gone; ours ends when it is told to.
        while not self._closing.is_set():
            wasyncore.loop(timeout=30.0, use_poll=True, map=self._sockets, count=1)  # type: ignore[no-untyped-call]


def serve(wsgi: "WSGIApplication", host: str = "127.0.0.1", port: int = 0, threads: int = 8, body_max: int = 64 * 1024 * 1024) -> Served:
    """Serve a WSGI app; port 0 takes one that the system has free. A body over ``body_max`` bytes gets 413 unread.

    Raises OSError when the port is taken.
    """
    return Served(wsgi, host, port, threads, body_max)
