"""One total deadline for one call, whatever the other side does with its bytes.

httpx counts its timeouts per read: a server that sends one byte a second is never late. Here every read and write on the
socket gets only the time that the *call* has left, and when nothing is left the connection is closed. Only the look-up of
the host's name cannot be cut; a call that comes out of it too late sends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from datetime import timedelta
from ssl import SSLContext
from typing import Any

import httpcore
import httpx

from adapters.system import trusted
from joinery.engine.ports import Clock

#: Bytes of one answer; a page of 100 tickets is about 1 MB. More is not an answer to anything we ask.
BODY_LIMIT = 32 * 1024 * 1024

#: Key under which a request carries its deadline.
EXTENSION = "deadline"


class Deadline:
    """A moment after which a call is over, on the monotonic clock and on the wall clock, whichever comes first.

    The wall clock counts because a machine that sleeps may stop the other one: an intent that ended meanwhile must not be sent.
    """

    def __init__(self, clock: Clock, within: timedelta) -> None:
        self._clock = clock
        self._at = clock.monotonic() + within.total_seconds()
        self._not_after = clock.now() + within

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        on_the_wall = (self._not_after - self._clock.now()).total_seconds()
        return max(0.0, min(self._at - self._clock.monotonic(), on_the_wall))


class _Call:
    """The call this thread is making: its deadline, and whether a byte of it has left."""

    def __init__(self, deadline: Deadline | None) -> None:
        self.deadline = deadline
        self.sent = False


_current: ContextVar[_Call | None] = ContextVar("halo_call", default=None)


def _left(timeout: float | None, too_late: type[Exception]) -> float | None:
    call = _current.get()
    if call is None or call.deadline is None:
        return timeout
    remaining = call.deadline.remaining
    if remaining <= 0:
        raise too_late("the call's total deadline has passed")
    return remaining if timeout is None else min(timeout, remaining)


class _Stream(httpcore.NetworkStream):
    """A socket whose every operation is cut to what is left of the call."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        # Too late before the first byte is reported as "could not connect": nothing was sent, and the caller may say so.
        call = _current.get()
        _left(timeout, httpcore.WriteTimeout if call is None or call.sent else httpcore.ConnectTimeout)
        if call is not None:
            call.sent = True
        # The inner write renews its timeout for every piece that the peer takes, so the pieces are sent here.
        sock = self._inner.get_extra_info("socket")
        rest = memoryview(buffer)
        try:
            while rest:
                sock.settimeout(_left(timeout, httpcore.WriteTimeout))
                rest = rest[sock.send(rest) :]
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left(timeout, httpcore.ConnectTimeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.connect_tcp(host, port, _left(timeout, httpcore.ConnectTimeout), local_address, socket_options))


class DeadlineTransport(httpx.BaseTransport):
    """httpx's transport with a total deadline; the body is read to its end inside it."""

    def __init__(self, *, tls: bool = True, connections: int = 20) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=trusted() if tls else None,
            max_connections=connections,
            # Shorter than any gateway's idle time, so that a write seldom meets a connection that is just being closed.
            keepalive_expiry=5.0,
            network_backend=_Backend(),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it and read the whole answer. Raises httpx's own exceptions."""
        token = _current.set(_Call(request.extensions.get(EXTENSION)))
        try:
            with self._pool.stream(
                request.method,
                httpcore.URL(scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port, target=request.url.raw_path),
                headers=request.headers.raw,
                content=request.read(),
                extensions={"timeout": request.extensions.get("timeout", {})},
            ) as answer:
                body = bytearray()
                for piece in answer.iter_stream():
                    body += piece
                    if len(body) > BODY_LIMIT:
                        raise httpcore.ReadError(f"the answer is larger than {BODY_LIMIT} bytes")
                return httpx.Response(answer.status, headers=answer.headers, stream=httpx.ByteStream(bytes(body)))
        except Exception as error:
            # httpcore and httpx name their exceptions alike; what httpx does not know stays what it is.
            twin = getattr(httpx, type(error).__name__, None)
            if type(error).__module__.startswith("httpcore") and isinstance(twin, type):
                raise twin(str(error)) from error
            raise
        finally:
            _current.reset(token)

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()
