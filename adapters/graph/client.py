"""One HTTP client for Graph: tokens, deadlines, short retries of reads, and a check of every address before it is called."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import httpx
import msgspec
import tenacity

from adapters.graph.answers import Asking, Passing, error_for, error_text, pause_before, retry_after
from adapters.graph.token import TokenSource
from adapters.system import SystemClock, trusted
from joinery.engine.ports import Clock
from joinery.errors import OutcomeUnknown, Refused, TryLater

logger = logging.getLogger(__name__)

Decoded = TypeVar("Decoded")

#: Seconds to wait for a connection; Graph and a stand-in answer in well under one.
CONNECT_MAX = 3.0
#: An answer longer than this is not read: a page of 999 ids has 60 kB, the largest delta pages a few MB.
BODY_BYTES_MAX = 32 * 1024 * 1024
#: How often a read is tried within its deadline.
ATTEMPTS_MAX = 4
#: What one call may take in all, its repeats included.
DEADLINE = timedelta(seconds=15)

#: Nothing was sent when one of these is raised, so even a write certainly did not happen.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)


class GraphClient:
    """Speaks HTTP with one Graph root, such as ``https://graph.microsoft.com/v1.0``, and with nobody else.

    ``transport`` and ``sleep`` are for tests. Reads are repeated on trouble that passes, writes never.
    """

    def __init__(
        self,
        base_url: str,
        token_source: TokenSource,
        *,
        transport: httpx.BaseTransport | None = None,
        deadline: timedelta = DEADLINE,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
        new_call_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._base = urlsplit(self._base_url)
        if self._base.scheme not in ("http", "https") or not self._base.hostname or self._base.query or self._base.fragment:
            raise ValueError(f"{base_url!r} is no address of Graph; it should look like https://graph.microsoft.com/v1.0")
        self._tokens = token_source
        self._deadline = deadline
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._new_call_id = new_call_id
        self._http = httpx.Client(transport=transport, verify=trusted(), trust_env=False, follow_redirects=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def read(
        self,
        method: str,
        path: str,
        decoder: msgspec.json.Decoder[Decoded],
        *,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        deadline: timedelta | None = None,
        asking: Asking = Asking.READ,
    ) -> Decoded:
        """Ask for something (POSTs that only ask are reads too) and decode the answer.

        ``path`` starts with a slash and is relative to the base address.

        Raises:
            TryLater: no usable answer within the deadline.
            NotThere: a 404 in the directory's own words.
            Refused: any other no.
            LinkExpired: only where ``asking`` is a link.
        """
        ends_at = self._clock.monotonic() + (deadline or self._deadline).total_seconds()

        def once() -> Decoded:
            return _decode(decoder, self._call(method, path, body, headers, ends_at, asking))

        def no_time_left(state: tenacity.RetryCallState) -> bool:
            return state.attempt_number >= ATTEMPTS_MAX or self._clock.monotonic() + state.upcoming_sleep >= ends_at

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Passing), wait=_pause, stop=no_time_left, sleep=self._sleep, reraise=True
        )
        return retrying(once)

    def write(self, method: str, path: str, *, body: object = None, deadline: timedelta | None = None) -> bytes:
        """Change something, once. Returns the body of the answer.

        Raises:
            TryLater: certainly not done.
            Refused: no.
            OutcomeUnknown: it may have been done.
        """
        ends_at = self._clock.monotonic() + (deadline or self._deadline).total_seconds()
        return self._call(method, path, body, None, ends_at, Asking.WRITE)

    def until(self) -> float:
        """When a call that begins now has to end, on the monotonic clock."""
        return self._clock.monotonic() + self._deadline.total_seconds()

    def left(self, ends_at: float) -> timedelta:
        """What is left until then."""
        return timedelta(seconds=ends_at - self._clock.monotonic())

    def rest(self, seconds: float, ends_at: float) -> bool:
        """Wait, unless that would take until ``ends_at``."""
        if self._clock.monotonic() + seconds >= ends_at:
            return False
        self._sleep(seconds)
        return True

    def renew_token(self) -> None:
        """Fetch a new token, because an item inside a batch said 401 while the batch itself was let in."""
        self._tokens.refresh(None)

    def relative(self, link: str) -> str:
        """A next or delta link as a path relative to our base address, so that it survives a move of that address.

        Raises:
            Refused: it points anywhere but at the scheme, host, port and version that we were configured with. It is never called.
        """
        try:
            parts = urlsplit(link)
            same_place = _origin(parts) == _origin(self._base) and parts.username is None and parts.password is None
        except ValueError:
            raise Refused("Graph sent a link that is no address; it was not followed") from None
        root = self._base.path + "/"
        if not same_place or not parts.path.startswith(root) or not link.isascii() or not link.isprintable() or ".." in parts.path:
            raise Refused(f"Graph sent a link to {parts.scheme}://{parts.hostname}, which is not {self._base_url}; it was not followed")
        return parts.path[len(self._base.path) :] + (f"?{parts.query}" if parts.query else "")

    def _call(self, method: str, path: str, body: object, headers: Mapping[str, str] | None, ends_at: float, asking: Asking) -> bytes:
        content = None if body is None else msgspec.json.encode(body)
        token = self._tokens.token()
        for last in (False, True):
            call_id = self._new_call_id()
            status, answer_headers, answer = self._exchange(method, path, content, headers, ends_at, asking, call_id, token)
            if status == 401 and not last:
                # Nothing was done, so this repeat is safe for writes too.
                token = self._tokens.refresh(token)
                continue
            if 200 <= status < 300:
                return answer
            code, message = error_text(answer)
            after = retry_after(answer_headers, self._clock.now())
            raise error_for(status, code, message, asking=asking, after=after, call_id=call_id)
        raise AssertionError("the second round returns or raises")

    def _exchange(
        self,
        method: str,
        path: str,
        content: bytes | None,
        headers: Mapping[str, str] | None,
        ends_at: float,
        asking: Asking,
        call_id: str,
        token: str,
    ) -> tuple[int, httpx.Headers, bytes]:
        left = ends_at - self._clock.monotonic()
        if left <= 0:
            raise TryLater(f"no time is left to ask Graph [client-request-id {call_id}]")
        all_headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", "client-request-id": call_id, **(headers or {})}
        if content is not None:
            all_headers["Content-Type"] = "application/json"
        started_at = self._clock.monotonic()
        timeout = httpx.Timeout(left, connect=min(CONNECT_MAX, left))
        try:
            with self._http.stream(method, self._base_url + path, content=content, headers=all_headers, timeout=timeout) as reply:
                answer = self._body(reply, ends_at)
        except NOT_SENT as error:
            raise Passing(f"Graph cannot be reached ({type(error).__name__}) [client-request-id {call_id}]") from None
        except (httpx.RequestError, _TooMuch) as error:
            said = f"the call to Graph broke off ({type(error).__name__}) [client-request-id {call_id}]"
            raise (OutcomeUnknown(said) if asking is Asking.WRITE else Passing(said)) from None
        except httpx.InvalidURL:
            raise Refused(f"an address for Graph cannot be built [client-request-id {call_id}]") from None
        self._note(method, path, reply, call_id, started_at)
        return reply.status_code, reply.headers, answer

    def _body(self, reply: httpx.Response, ends_at: float) -> bytes:
        """Read it all, within the deadline even if it comes byte by byte, which no timeout of a single read would notice."""
        body = bytearray()
        for chunk in reply.iter_bytes():
            body += chunk
            if len(body) > BODY_BYTES_MAX or self._clock.monotonic() > ends_at:
                raise _TooMuch
        return bytes(body)

    def _note(self, method: str, path: str, reply: httpx.Response, call_id: str, started_at: float) -> None:
        fields: dict[str, Any] = {
            "action": "graph_called",
            "method": method,
            # Without the query: filters hold names of groups.
            "path": path.partition("?")[0],
            "status": reply.status_code,
            "client_request_id": call_id,
            "request_id": reply.headers.get("request-id", ""),
            "ms": round((self._clock.monotonic() - started_at) * 1000, 1),
        }
        # What support asks for; a 404 is how Graph says that somebody left.
        troubled = reply.status_code >= 429 or reply.status_code in (401, 403)
        logger.log(logging.WARNING if troubled else logging.DEBUG, "Graph answered", extra=fields)


class _TooMuch(Exception):
    """An answer that never ends, or one larger than anything we asked for."""


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    return parts.scheme, (parts.hostname or ""), parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _pause(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return pause_before(state.attempt_number, error) if isinstance(error, TryLater) else 0.0


def _decode(decoder: msgspec.json.Decoder[Decoded], content: bytes) -> Decoded:
    try:
        return decoder.decode(content)
    except msgspec.ValidationError as error:
        # Its reason names places and types, never content.
        raise TryLater(f"Graph's answer is not what was asked for: {error}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise TryLater(f"Graph's answer is no JSON ({type(error).__name__})") from None
