"""The door of a stand-in: faults, call log and clock around a WSGI app."""

import io
import json
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from waitress.channel import ClientDisconnected

from simulators.answers import Answer, answer, run
from simulators.calls import CallLog
from simulators.clock import SimClock, parse_instant, write_instant
from simulators.faults import BadRule, FaultBook
from simulators.late import LateRequests
from simulators.state import StateFile

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_CLOCK = "_clock"


class ConnectionDropped(ClientDisconnected):
    """The connection ends here without a byte of an answer.

    waitress takes its base class as "the client has gone" and closes the socket without writing; in process (httpx's WSGITransport) the caller
    sees this exception.
    """


class Door:
    """A WSGI app around another: serves /_faults, /_calls and /_clock, logs calls, and makes the faults that all stand-ins share.

    Paths that begin with /_ are neither logged nor struck by faults. `throttled` is the JSON body of a 429.
    """

    def __init__(self, wsgi: "WSGIApplication", state: StateFile, clock: SimClock, faults: FaultBook, *, throttled: object = None) -> None:
        self.calls = CallLog()
        self.faults = faults
        self.clock = clock
        self._wsgi = wsgi
        self._state = state
        self._throttled = throttled
        self._stopping = threading.Event()
        self.late = LateRequests(wsgi, state)
        kept = state.get(_CLOCK, _CLOCK)
        if kept is not None:
            clock.restore(kept)

    def start(self) -> None:
        """Begin to land late requests, also those that an earlier process left behind."""
        self._stopping.clear()
        self.late.start()

    def stop(self) -> None:
        """Let slow answers go and stop landing late requests; what has not landed stays for the next start."""
        self._stopping.set()
        self.late.stop()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = _decoded(environ.get("PATH_INFO", ""))
        if path.startswith("/_"):
            return self._own(path, environ, start_response)
        begun = time.perf_counter()
        status: int | None = None
        try:
            given = self._answer(path, environ)
            status = given.status
        finally:
            ms = (time.perf_counter() - begun) * 1000
            self.calls.add(environ["REQUEST_METHOD"], path, status, ms, environ.get("QUERY_STRING", ""))
        return given.send(start_response)

    def _answer(self, path: str, environ: "WSGIEnvironment") -> Answer:
        rule = self.faults.take(environ["REQUEST_METHOD"], _one_slash(path))
        if rule is None:
            return run(self._wsgi, environ)
        if rule.fault == "lost_request":
            raise ConnectionDropped
        if rule.fault == "lands_late":
            self.late.keep(environ, rule.delay)
            raise ConnectionDropped
        if rule.fault == "throttle":
            after = [] if rule.retry_after is None else [("Retry-After", rule.retry_after)]
            return answer(429, self._throttled, after)
        if rule.fault == "status":
            return answer(rule.status, rule.body, rule.headers.items())
        if rule.fault == "slow":
            self._stopping.wait(rule.delay)
        given = run(self._wsgi, environ)
        if rule.fault == "lost_response":
            raise ConnectionDropped
        if rule.fault == "done_status":
            return answer(rule.status, rule.body, rule.headers.items())
        return given

    def _own(self, path: str, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        handler = {"/_faults": self._own_faults, "/_calls": self._own_calls, "/_clock": self._own_clock}.get(path.rstrip("/"))
        if handler is None:
            return self._wsgi(environ, start_response)
        method = environ["REQUEST_METHOD"]
        try:
            given = handler(method, _json_body(environ) if method == "PUT" else None)
        except ValueError as bad:  # BadRule is one
            given = answer(400, {"error": str(bad)})
        return given.send(start_response)

    def _own_faults(self, method: str, body: object) -> Answer:
        if method == "PUT":
            self.faults.replace(body)
        elif method == "DELETE":
            self.faults.clear()
            return answer(204)
        elif method != "GET":
            return answer(405, {"error": "/_faults knows GET, PUT and DELETE"})
        return answer(200, self.faults.rules())

    def _own_calls(self, method: str, body: object) -> Answer:
        if method == "DELETE":
            self.calls.clear()
            return answer(204)
        return answer(200, self.calls.list()) if method == "GET" else answer(405, {"error": "/_calls knows GET and DELETE"})

    def _own_clock(self, method: str, body: object) -> Answer:
        if method == "PUT":
            self._set_clock(body)
        elif method != "GET":
            return answer(405, {"error": "/_clock knows GET and PUT"})
        return answer(200, {"now": write_instant(self.clock.now()), "frozen": self.clock.setting()["pinned"] is not None})

    def _set_clock(self, body: object) -> None:
        if not isinstance(body, dict) or "now" not in body or set(body) - {"now", "frozen"}:
            raise BadRule('the body is {"now": "2026-11-23T09:00:00Z"}, with "frozen": true to pin it, or {"now": null} for the wall clock')
        now, frozen = body["now"], body.get("frozen", False)
        if not isinstance(frozen, bool):
            raise BadRule(f"frozen = {frozen!r}: true or false")
        if now is not None and not isinstance(now, str):
            raise BadRule(f"now = {now!r}: an ISO 8601 instant or null")
        moment = None if now is None else parse_instant(now)
        if moment is not None and not 1990 <= moment.year <= 2200:
            raise BadRule(f"now = {now!r}: an instant between 1990 and 2200")
        self.clock.set(moment, frozen=frozen)
        with self._state.transaction():
            self._state.put(_CLOCK, _CLOCK, self.clock.setting())


def _json_body(environ: "WSGIEnvironment") -> object:
    stream: io.BytesIO = environ["wsgi.input"]
    try:
        return json.loads(stream.read())
    except (ValueError, RecursionError):
        raise BadRule("the body is not JSON") from None


def _decoded(path: str) -> str:
    """PATH_INFO carries the bytes of the path as latin-1 (PEP 3333)."""
    return path.encode("latin-1", "replace").decode("utf-8", "replace")


def _one_slash(path: str) -> str:
    while "//" in path:
        path = path.replace("//", "/")
    return path
