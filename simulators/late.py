"""Requests that land late: the connection is gone, the write still happens."""

import base64
import io
import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simulators.answers import run
from simulators.state import Document, StateFile

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

KIND = "_late_request"

#: What a request needs to be run again in another process; headers (HTTP_…) are kept as well.
_KEPT = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL")


class LateRequests:
    """Requests on their way, kept in the state with the wall-clock second they are due, so that a restart still lands them."""

    def __init__(self, wsgi: "WSGIApplication", state: StateFile, wall: Callable[[], float] = time.time) -> None:
        self._wsgi = wsgi
        self._state = state
        self._wall = wall
        self._news = threading.Condition()
        self._running = False
        self._thread: threading.Thread | None = None

    def keep(self, environ: "WSGIEnvironment", delay: float) -> None:
        """Store a request that will run `delay` seconds from now; its body is read here."""
        text = {key: str(value) for key, value in environ.items() if key in _KEPT or key.startswith("HTTP_")}
        body = base64.b64encode(environ["wsgi.input"].read()).decode()
        with self._state.transaction():
            number = self._state.next(KIND)
            row = {
                "id": str(number),
                "due": self._wall() + delay,
                "environ": text,
                "scheme": environ.get("wsgi.url_scheme", "http"),
                "body": body,
            }
            self._state.put(KIND, str(number), row)
        with self._news:
            self._news.notify_all()

    def land_due(self) -> int:
        """Run every request that is due, oldest due first; answers how many. The request's mark goes in the same commit as its effect."""
        now = self._wall()
        due = sorted((row for row in self._state.all(KIND) if row["due"] <= now), key=lambda row: float(row["due"]))
        for row in due:
            try:
                with self._state.transaction():
                    self._state.delete(KIND, row["id"])
                    self._run(row)
            except Exception:
                log.exception("a late request failed", extra={"action": "late_request_failed", "late_request": row["id"]})
                with self._state.transaction():
                    self._state.delete(KIND, row["id"])
        return len(due)

    def start(self) -> None:
        """Land them on a thread of their own from now on."""
        if self._thread is not None:
            return
        self._running = True
        self._thread = threading.Thread(target=self._loop, name="late-requests", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop landing; what is not due yet stays in the state."""
        with self._news:
            self._running = False
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _loop(self) -> None:
        while self._running:
            self.land_due()
            with self._news:
                dues = [float(row["due"]) for row in self._state.all(KIND)]
                if self._running:
                    self._news.wait(max(0.0, min(dues) - self._wall()) if dues else None)

    def _run(self, row: Document) -> None:
        body = base64.b64decode(row["body"])
        environ: dict[str, Any] = {
            **row["environ"],
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": row["scheme"],
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        run(self._wsgi, environ)
