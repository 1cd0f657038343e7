"""What an address answers to anybody: status, text and date, without credentials."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from adapters.system import trusted
from joinery.domain.moments import in_utc
from joinery.engine.ports import Clock
from joinery.errors import TryLater

#: Graph waits ten seconds for an answer; a little more shows that one came too late.
_WITHIN = httpx.Timeout(15, connect=5)
#: Nothing that is asked for is longer, in bytes.
_BODY_MAX = 256 * 1024
#: httpx counts its timeouts per read: whoever sends a byte now and then would never be late.
_WHOLE_MAX = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """One answer, and between which moments of ours it came."""

    status: int
    content_type: str
    body: str
    #: The ``Date`` header, aware; None without one that can be read.
    date: datetime | None
    sent_at: datetime
    took: timedelta


class PlainHearing:
    """GET and POST to any address; redirects are not followed. Raises TryLater, whose text names no address."""

    def __init__(self, clock: Clock, *, transport: httpx.BaseTransport | None = None) -> None:
        self._clock = clock
        self._http = httpx.Client(transport=transport, verify=trusted(), timeout=_WITHIN, trust_env=False, follow_redirects=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, url: str) -> Answered:
        """GET."""
        return self._ask("GET", url)

    def post(self, url: str) -> Answered:
        """POST without a body."""
        return self._ask("POST", url)

    def _ask(self, method: str, url: str) -> Answered:
        sent_at, started = self._clock.now(), self._clock.monotonic()
        try:
            with self._http.stream(method, url) as reply:
                # The date is written when the answer begins.
                took = timedelta(seconds=self._clock.monotonic() - started)
                body = bytearray()
                for chunk in reply.iter_bytes():
                    body += chunk
                    if len(body) > _BODY_MAX:
                        raise TryLater("the answer is longer than anything that was asked for")
                    if self._clock.monotonic() - started > _WHOLE_MAX:
                        raise TryLater(f"the answer began, and did not end within {_WHOLE_MAX:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise TryLater(f"nobody answers there ({type(error).__name__})") from None
        return Answered(
            status=reply.status_code,
            content_type=reply.headers.get("content-type", ""),
            body=body.decode("utf-8", "replace"),
            date=_date(reply.headers.get("date")),
            sent_at=sent_at,
            took=took,
        )


def _date(header: str | None) -> datetime | None:
    """RFC 9110 section 5.6.7, as moment in UTC."""
    if not header:
        return None
    try:
        return in_utc(parsedate_to_datetime(header))
    except (ValueError, TypeError, OverflowError):
        return None
