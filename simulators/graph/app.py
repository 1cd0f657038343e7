"""The pretend Graph as a WSGI app: sign-in, /v1.0, and the switches of its own."""

import dataclasses
import json
import logging
import re
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from werkzeug.wrappers import Request as HttpRequest

from simulators.answers import Answer, answer
from simulators.clock import SimClock, write_instant
from simulators.faults import FaultBook
from simulators.graph.batch import run_batch
from simulators.graph.delta import Delta
from simulators.graph.errors import GraphError, bad_request
from simulators.graph.identities import Certificates, discovery, machine_token
from simulators.graph.routing import Route, find_route, lower_names, route, split_path, split_query
from simulators.graph.subscriptions import Subscriptions, lifecycle_event
from simulators.graph.tokens import WRITER_ID, Tokens
from simulators.graph.wire import Reply, Request
from simulators.state import StateFile

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

_TOKEN_PATH = re.compile(r"/([^/]+)/oauth2/v2\.0/token", re.IGNORECASE)
_DISCOVERY_PATH = re.compile(r"/([^/]+)/v2\.0/\.well-known/openid-configuration", re.IGNORECASE)
#: Seconds between two looks for what has expired; moving the clock brings one at once.
_TIDY_EVERY = 30.0


@dataclass(kw_only=True, slots=True)
class Switches:
    """Habits that can be changed while it runs: PUT /_switches with some of these."""

    #: Whether changes notify at all.
    notify: bool = True
    #: How many `updated` one creation sends (Graph reference 1.4: several).
    create_burst: int = 1
    #: Rows of a page without $top, and of a delta page.
    page_size: int = 100
    #: Members in one row of a group in delta; more give the group several rows.
    members_per_row: int = 1000
    #: Empty pages with a nextLink before the first page of a delta round that has rows.
    delta_empty_pages: int = 0
    #: Whether the last row of a delta page comes again on the next one, and what the round before told once more ("delta-query-overview").
    delta_repeats: bool = False
    #: Subscriptions per application and tenant.
    subscription_quota: int = 100
    #: Application permissions that the next tokens carry. Only reading the application itself is refused without one.
    app_roles: tuple[str, ...] = ("User.Read.All", "Group.Read.All")
    #: Those of the application that writes.
    writer_roles: tuple[str, ...] = ("GroupMember.ReadWrite.All", "User.RevokeSessions.All")

    def roles_of(self, client: str) -> tuple[str, ...]:
        """Application permissions of a client id."""
        return self.writer_roles if client == WRITER_ID else self.app_roles

    def change(self, raw: object) -> None:
        """Set some of them. Raises ValueError with a sentence and changes none if one is not understood."""
        known = {field.name: type(getattr(self, field.name)) for field in dataclasses.fields(self)}
        if not isinstance(raw, dict):
            raise ValueError(f"the body is an object with some of {', '.join(known)}")
        for name, value in raw.items():
            if name not in known:
                raise ValueError(f"there is no switch {name!r}; there are {', '.join(known)}")
            if known[name] is tuple:
                if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                    raise ValueError(f"{name} = {value!r}: a list of texts")
                continue
            least = 1 if name in ("page_size", "members_per_row") else 0
            if type(value) is not known[name] or (known[name] is int and value < least):
                raise ValueError(f"{name} = {value!r}: " + ("true or false" if known[name] is bool else f"a whole number from {least}"))
        for name, value in raw.items():
            setattr(self, name, tuple(value) if known[name] is tuple else value)


class GraphApp:
    """Answers HTTP; the handlers behind the routes do the work."""

    def __init__(
        self,
        state: StateFile,
        clock: SimClock,
        faults: FaultBook,
        *,
        tokens: Tokens,
        certificates: Certificates,
        routes: Iterable[Route],
        subscriptions: Subscriptions,
        delta: Delta,
        switches: Switches,
        tidy: Any,
    ) -> None:
        self._state = state
        self._clock = clock
        self._faults = faults
        self._tokens = tokens
        self._certificates = certificates
        self._routes = [*routes, route("POST", "$batch", self._batch, reads=False, whole=False)]
        self._subscriptions = subscriptions
        self._delta = delta
        self._switches = switches
        self._tidy = tidy
        self._tidied: float | None = None
        self._tidying = threading.Lock()
        clock.watch(self._clock_moved)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        return self._answer(HttpRequest(environ)).send(start_response)

    def _answer(self, http: HttpRequest) -> Answer:
        ids = {"request-id": str(uuid.uuid4())}
        if "client-request-id" in http.headers:
            ids["client-request-id"] = http.headers["client-request-id"]
        if http.path.startswith("/_"):
            return self._own(http)
        reply, body = self._guarded(lambda: self._route(http), ids)
        return answer(reply.status, body, [*reply.headers.items(), *ids.items(), *_content_type(body)])

    def _route(self, http: HttpRequest) -> Reply:
        token = _TOKEN_PATH.fullmatch(http.path)
        if token is not None and http.method == "POST":
            return self._tokens.grant(token.group(1), http.form.to_dict(), http.headers.get("Authorization", ""))
        known = _DISCOVERY_PATH.fullmatch(http.path)
        if known is not None:
            return Reply(body=discovery(f"{http.scheme}://{http.host}", known.group(1)))
        if http.path == "/msi/token" and http.method == "GET":
            header = http.headers.get("X-IDENTITY-HEADER", "")
            status, body = machine_token(http.args.to_dict(), header, lambda: self._tokens.issue("identity"))
            return Reply(status=status, body=body)
        if not re.match(r"/+v1\.0(/|$)", http.path):
            raise (
                bad_request("Invalid version.", "BadRequest")
                if http.path.count("/") > 1
                else bad_request("Resource not found.", "BadRequest")
            )
        self._tokens.check(http.headers.get("Authorization", ""))
        self._tidy_up()
        path = http.path.lstrip("/")[len("v1.0") :]
        return self._call(
            http.method,
            path,
            http.query_string.decode("latin-1"),
            headers=lower_names(dict(http.headers)),
            body=_json_of(http.get_data()),
            base=f"{http.scheme}://{http.host}/v1.0",
        )

    def _call(self, method: str, path: str, query: str, *, headers: Mapping[str, str], body: Any, base: str) -> Reply:
        """One call below /v1.0, also one out of a batch."""
        segments, cast = split_path(path)
        found = find_route(self._routes, method, segments)
        # From here on the fixed words of a path are written as its pattern writes them.
        written = tuple(given if part.startswith("{") else part for part, given in zip(found.pattern, segments, strict=True))
        request = Request(method=method, segments=written, cast=cast, query=split_query(query), headers=headers, body=body, base=base)
        if not found.whole:
            return found.handler(request)
        stale = self._faults.take_kind("stale_read", method, "/v1.0/" + "/".join(segments), "/v1.0" + path) if found.reads else None
        with ExitStack() as stack:
            if stale is not None:
                stack.enter_context(self._state.reading_the_past(stale.delay))
            else:
                stack.enter_context(self._state.transaction())
            return found.handler(request)

    def _batch(self, request: Request) -> Reply:
        stale = self._faults.take_kind("stale_read", "POST", "/v1.0/$batch")

        def run(method: str, url: str, headers: Mapping[str, str], body: Any, outer: Request) -> tuple[Reply, Any]:
            path, _, query = url.partition("?")
            ids = {"request-id": str(uuid.uuid4())}
            struck = self._faults.take_kind("item_status", method, "/v1.0" + unquote(path))
            if struck is not None:
                return Reply(status=struck.status, headers=struck.headers), struck.body
            call_headers = {"consistencylevel": outer.headers.get("consistencylevel", ""), **headers}

            def call() -> Reply:
                return self._call(method, "/" + unquote(path), query, headers=call_headers, body=body, base=outer.base)

            if stale is None or method != "GET":
                return self._guarded(call, ids)
            with self._state.reading_the_past(stale.delay):
                return self._guarded(call, ids)

        return run_batch(request, run)

    def _guarded(self, call: Any, ids: Mapping[str, str]) -> tuple[Reply, Any]:
        """Run a call; what it raises becomes an error answer in Graph's shape."""
        try:
            reply: Reply = call()
        except GraphError as refused:
            inner = {"date": self._clock.now().strftime("%Y-%m-%dT%H:%M:%S"), **ids}
            return Reply(status=refused.status, headers=refused.headers), refused.body(inner)
        except Exception:
            log.exception("a call failed", extra={"action": "graph_call_failed"})
            failed = GraphError(500, "InternalServerError", "An unexpected error occurred.")
            return Reply(status=500), failed.body({"date": write_instant(self._clock.now()), **ids})
        return reply, reply.body

    def _own(self, http: HttpRequest) -> Answer:
        try:
            if http.path == "/_switches" and http.method in ("GET", "PUT"):
                if http.method == "PUT":
                    self._switches.change(_json_of(http.get_data()))
                return answer(200, dataclasses.asdict(self._switches))
            if http.path == "/_certificates" and http.method == "PUT":
                with self._state.transaction():
                    self._certificates.replace(_json_of(http.get_data()))
                return answer(204)
            if http.path == "/_lifecycle" and http.method == "POST":
                event, subscription = lifecycle_event(http.get_data())
                with self._state.transaction():
                    return answer(200, {"sent": self._subscriptions.lifecycle(event, subscription)})
            if http.path == "/_delta/expire" and http.method == "POST":
                body = _json_of(http.get_data()) or {}
                kind = {"users": "user", "groups": "group"}.get(body.get("resource", "")) if isinstance(body, dict) else None
                with self._state.transaction():
                    self._delta.expire(kind)
                return answer(204)
        except (ValueError, RecursionError) as bad:
            return answer(400, {"error": str(bad)})
        except GraphError as bad:
            return answer(400, {"error": bad.message})
        return answer(
            404, {"error": "there are /_faults, /_calls, /_clock, /_switches, PUT /_certificates, POST /_lifecycle, POST /_delta/expire"}
        )

    def _clock_moved(self) -> None:
        self._tidied = None

    def _tidy_up(self) -> None:
        """Let go of what has expired: subscriptions, deleted objects after 30 days."""
        now = time.monotonic()
        with self._tidying:
            if self._tidied is not None and now - self._tidied < _TIDY_EVERY:
                return
            self._tidied = now
        with self._state.transaction():
            self._tidy()


def _json_of(payload: bytes) -> Any:
    if not payload.strip():
        return None
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        raise bad_request(
            "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.",
            "BadRequest",
        ) from None


def _content_type(body: Any) -> list[tuple[str, str]]:
    if body is None:
        return []
    if isinstance(body, str):
        return [("Content-Type", "text/plain")]
    return [("Content-Type", "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8")]
