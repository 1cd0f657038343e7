"""Every answer of Halo that we know, and the error it becomes: one table.

===================================  ============  ================
what came back                       after a read  after a write
===================================  ============  ================
2xx with JSON                        –             –
2xx, but empty, cut, HTML            TryLater      OutcomeUnknown
3xx                                  Refused       Refused
400, 401, 403, 404, 415, other 4xx   Refused       Refused
408                                  TryLater      OutcomeUnknown
429                                  TryLater      TryLater
5xx                                  TryLater      OutcomeUnknown
could not connect                    TryLater      TryLater
connection lost, late, broken        TryLater      OutcomeUnknown
===================================  ============  ================

Sources: the vendor's API as observed by halocli, HaloAPI (PowerShell) and CIPP (Halo reference 2.4, 2.5, 11.8). 401, 403, 404,
415 and 429 mean that nothing was written; a 400 very probably so. The text of a message is never branched on.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from joinery.domain.moments import in_utc
from joinery.errors import JoineryError, OutcomeUnknown, Refused, TryLater

#: How much of the desk's own words an error carries, in characters.
TEXT_LIMIT = 300

#: The longest pause we let the desk ask for.
RETRY_AFTER_MAX = timedelta(minutes=10)


class NotThere(Refused):
    """404: no object with this id (or not for us)."""


class BadRequest(Refused):
    """400: a value or a filter that this desk does not take."""


class Unauthorised(Refused):
    """401: the token is not (any longer) accepted; once per call it is worth a fresh one."""


class ShortTrouble(TryLater):
    """A read that failed in a way that is often over in a second: worth a short repeat."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What one kind of answer becomes."""

    read: type[JoineryError]
    write: type[JoineryError]


_REFUSED = Verdict(read=Refused, write=Refused)
_NOTHING_SENT = Verdict(read=ShortTrouble, write=TryLater)
_MAY_HAVE_HAPPENED = Verdict(read=ShortTrouble, write=OutcomeUnknown)
_UNCLEAR = Verdict(read=TryLater, write=OutcomeUnknown)

#: 2xx whose body is not what was asked for.
UNREADABLE = _UNCLEAR

#: Status -> verdict; the hundreds (3, 4, 5) stand for what is not named.
BY_STATUS: dict[int, Verdict] = {
    3: _REFUSED,  # routes meant for browsers answer 302
    4: _REFUSED,
    400: Verdict(read=BadRequest, write=BadRequest),
    401: Verdict(read=Unauthorised, write=Unauthorised),
    403: _REFUSED,
    404: Verdict(read=NotThere, write=NotThere),
    408: _UNCLEAR,  # a gateway gave up waiting
    415: _REFUSED,
    429: Verdict(read=TryLater, write=TryLater),
    5: _UNCLEAR,
    500: _UNCLEAR,
    502: _MAY_HAVE_HAPPENED,
    503: _MAY_HAVE_HAPPENED,
    504: _MAY_HAVE_HAPPENED,
}

#: Exception of httpx -> verdict. A subclass that is not named takes the verdict of its nearest parent.
BY_EXCEPTION: dict[type[Exception], Verdict] = {
    httpx.ConnectError: _NOTHING_SENT,
    httpx.ConnectTimeout: _NOTHING_SENT,
    httpx.PoolTimeout: _NOTHING_SENT,
    httpx.ProxyError: _NOTHING_SENT,
    httpx.UnsupportedProtocol: _REFUSED,
    httpx.InvalidURL: _REFUSED,
    httpx.CookieConflict: _REFUSED,
    httpx.TooManyRedirects: _REFUSED,
    httpx.ReadTimeout: _MAY_HAVE_HAPPENED,
    httpx.WriteTimeout: _MAY_HAVE_HAPPENED,
    httpx.ReadError: _MAY_HAVE_HAPPENED,
    httpx.WriteError: _MAY_HAVE_HAPPENED,
    httpx.CloseError: _MAY_HAVE_HAPPENED,
    httpx.RemoteProtocolError: _MAY_HAVE_HAPPENED,
    httpx.LocalProtocolError: _UNCLEAR,
    httpx.DecodingError: _UNCLEAR,
    httpx.HTTPStatusError: _UNCLEAR,
    httpx.StreamConsumed: _UNCLEAR,
    httpx.StreamClosed: _UNCLEAR,
    httpx.ResponseNotRead: _UNCLEAR,
    httpx.RequestNotRead: _UNCLEAR,
    # The families, for members that a later httpx may add.
    httpx.HTTPError: _UNCLEAR,
    httpx.StreamError: _UNCLEAR,
}


def from_exception(error: Exception, what: str, *, write: bool) -> JoineryError:
    """The error for a call that brought no answer. ``what`` names the call without its query: ``POST /Tickets``."""
    verdict = next((BY_EXCEPTION[kind] for kind in type(error).__mro__ if kind in BY_EXCEPTION), _UNCLEAR)
    return (verdict.write if write else verdict.read)(f"{what}: no answer ({type(error).__name__})")


def from_status(response: httpx.Response, what: str, *, write: bool, now: datetime) -> JoineryError:
    """The error for an answer that is not 2xx."""
    verdict = BY_STATUS.get(response.status_code) or BY_STATUS.get(response.status_code // 100, _UNCLEAR)
    kind = verdict.write if write else verdict.read
    message = f"{what}: {response.status_code}"
    if issubclass(kind, TryLater):
        error: JoineryError = kind(message, after=retry_after(response.headers.get("retry-after"), now))
    else:
        error = kind(message)
    error.said = useful_text(response)
    return error


def unreadable(what: str, why: str, *, write: bool) -> JoineryError:
    """The error for a 2xx whose body does not say what happened."""
    return (UNREADABLE.write if write else UNREADABLE.read)(f"{what}: {why}")


def retry_after(header: str | None, now: datetime) -> timedelta | None:
    """``Retry-After`` as seconds (``2`` or ``2.128``) or as an HTTP date, capped; None where it says nothing usable."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            moment = parsedate_to_datetime(header)
            seconds = (in_utc(moment) - now).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    if not math.isfinite(seconds):
        return None
    return timedelta(seconds=min(max(seconds, 0.0), RETRY_AFTER_MAX.total_seconds()))


def useful_text(response: httpx.Response) -> str:
    """What the desk says about the error, whichever of its body shapes it used, on one line and cut to ``TEXT_LIMIT``."""
    try:
        raw = response.text
    except (httpx.HTTPError, httpx.StreamError, LookupError, ValueError):
        return ""
    try:
        said = "; ".join(_texts(json.loads(raw)))
    except (ValueError, RecursionError):
        said = "an HTML page" if raw.lstrip()[:1] == "<" else raw[: 4 * TEXT_LIMIT]
    shown = "".join(" " if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp") else sign for sign in said[: 4 * TEXT_LIMIT])
    shown = re.sub(r" +", " ", shown).strip()
    return shown if len(shown) <= TEXT_LIMIT else shown[: TEXT_LIMIT - 1] + "…"


def _texts(body: Any) -> Iterator[str]:
    """The sentences in an error body: serialised exception, ``errorMessage``, ``error``, members with lists of texts, bare text."""
    if isinstance(body, str):
        yield body
    elif isinstance(body, list):
        for item in body[:5]:
            yield from _texts(item)
    elif isinstance(body, dict):
        named = [
            body[key] for key in ("Message", "message", "errorMessage", "error_description", "title") if isinstance(body.get(key), str)
        ]
        if isinstance(body.get("error"), str | dict):
            named.insert(0, body["error"])
        if named:
            for item in named[:2]:
                yield from _texts(item)
        members = body["errors"] if isinstance(body.get("errors"), dict) else body
        for key, value in list(members.items())[:5]:
            if isinstance(value, list) and value and all(isinstance(text, str) for text in value):
                yield f"{key}: {' '.join(value[:3])}"
