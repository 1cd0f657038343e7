"""Every answer of Graph that we know, and the error it becomes.

One table for all callers: single requests, items of a batch, the SDK's errors. The codes come from "Microsoft Graph error responses
and resource types", the delta ones from "delta-query-overview", the write refusals from what others met (listed in our tests).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum

import msgspec

from joinery.domain.moments import in_utc
from joinery.engine.ports import LinkExpired
from joinery.errors import OutcomeUnknown, Refused, TryLater

#: A pause longer than this is a mistake or an attack: an hour later we may as well ask.
RETRY_AFTER_MAX = timedelta(hours=1)

#: Seconds before the second try where the answer names no pause, doubled each time: after trouble on the way, and after a 429.
PAUSE_INITIAL, PAUSE_THROTTLED = 0.2, 1.0
#: How much of Graph's own sentence goes into ours, in characters.
MESSAGE_MAX = 200


class Asking(Enum):
    """What a request was, because the same answer means different things to different requests."""

    READ = "read"
    #: A delta link that was stored earlier.
    LINK = "link"
    WRITE = "write"


class Meaning(Enum):
    """What an answer says, before it is known what was asked."""

    #: Certainly not done; ask later.
    NOT_NOW = "not now"
    #: As NOT_NOW, and it often passes within seconds.
    BUSY = "busy"
    #: Something between us broke; a write may have happened.
    BROKEN = "broken"
    #: As BROKEN, and it often passes within seconds.
    HICCUP = "hiccup"
    #: The directory itself says that there is no such object.
    ABSENT = "absent"
    #: A delta or paging token is too old or unknown.
    LINK_EXPIRED = "link expired"
    #: There is one already.
    CONFLICT = "conflict"
    #: No, and asking again does not help.
    REFUSED = "refused"


class Passing(TryLater):
    """Trouble that often passes within seconds: reads are repeated inside their own deadline."""


class Throttled(Passing):
    """We ask too much. Whatever is refused counts as asked ("throttling"), so the pauses are longer than after a hiccup."""


class NotThere(Refused):
    """The directory itself, not something on the way, says that there is no such object."""


class AlreadyThere(Refused):
    """The directory has one already."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One row: a status, an OData error code (empty: any other code, or none), what it means and what a person should know."""

    status: int
    code: str = ""
    meaning: Meaning
    why: str


ANSWERS: tuple[Answer, ...] = (
    Answer(status=400, meaning=Meaning.REFUSED, why="the request is not acceptable"),
    Answer(
        status=400,
        code="Request_BadRequest",
        meaning=Meaning.REFUSED,
        why="the request is not acceptable, or the object is mastered elsewhere",
    ),
    Answer(status=400, code="Request_UnsupportedQuery", meaning=Meaning.REFUSED, why="the query is not supported"),
    Answer(status=400, code="Directory_QuotaExceeded", meaning=Meaning.REFUSED, why="the tenant's object quota is used up"),
    Answer(
        status=400, code="DirectoryResultSizeLimitExceeded", meaning=Meaning.REFUSED, why="more group memberships than one answer may hold"
    ),
    Answer(status=400, code="syncStateNotFound", meaning=Meaning.LINK_EXPIRED, why="the delta token is older than seven days"),
    Answer(status=400, code="syncStateInvalid", meaning=Meaning.LINK_EXPIRED, why="the delta token is unknown"),
    Answer(status=400, code="resyncRequired", meaning=Meaning.LINK_EXPIRED, why="the directory asks for a full resync"),
    Answer(status=400, code="Directory_ExpiredPageToken", meaning=Meaning.LINK_EXPIRED, why="the page token is too old"),
    Answer(status=400, code="ValidationError", meaning=Meaning.NOT_NOW, why="our webhook did not answer the validation request in time"),
    Answer(
        status=401, meaning=Meaning.REFUSED, why="a fresh token was not accepted; check the app registration, its consent and the cloud"
    ),
    Answer(
        status=401,
        code="InvalidAuthenticationToken",
        meaning=Meaning.REFUSED,
        why="a fresh token was not accepted; check the app registration, its consent and the cloud",
    ),
    Answer(status=403, meaning=Meaning.REFUSED, why="access is denied; check the app's permissions and the admin consent"),
    Answer(
        status=403,
        code="Authorization_RequestDenied",
        meaning=Meaning.REFUSED,
        why="the app lacks a permission or role for this; grant it and consent",
    ),
    Answer(
        status=403,
        code="SubscriptionLimit",
        meaning=Meaning.REFUSED,
        why="an app may hold 100 subscriptions in a tenant, and a tenant 1,000 in all; delete those that nobody uses",
    ),
    Answer(status=404, meaning=Meaning.BROKEN, why="nothing answers at this address; check the base address and any proxy"),
    Answer(status=404, code="Request_ResourceNotFound", meaning=Meaning.ABSENT, why="there is no such object"),
    Answer(status=404, code="ResourceNotFound", meaning=Meaning.ABSENT, why="there is no such object"),
    Answer(status=404, code="ErrorItemNotFound", meaning=Meaning.ABSENT, why="there is no such object"),
    Answer(status=404, code="itemNotFound", meaning=Meaning.ABSENT, why="there is no such object"),
    Answer(status=404, code="syncStateNotFound", meaning=Meaning.LINK_EXPIRED, why="the delta token is older than seven days"),
    Answer(status=405, meaning=Meaning.REFUSED, why="the method is not allowed here"),
    Answer(status=406, meaning=Meaning.REFUSED, why="the format asked for does not exist"),
    Answer(status=408, meaning=Meaning.HICCUP, why="the request took too long to arrive"),
    Answer(status=409, meaning=Meaning.CONFLICT, why="there is one already, or it is being changed"),
    Answer(status=410, meaning=Meaning.LINK_EXPIRED, why="the directory asks for a full resync"),
    Answer(status=411, meaning=Meaning.REFUSED, why="the request has no length"),
    Answer(status=412, meaning=Meaning.NOT_NOW, why="it was changed meanwhile"),
    Answer(status=413, meaning=Meaning.REFUSED, why="the request is too large"),
    Answer(status=415, meaning=Meaning.REFUSED, why="the content type is not accepted"),
    Answer(status=416, meaning=Meaning.REFUSED, why="the range does not exist"),
    Answer(status=422, meaning=Meaning.REFUSED, why="the request cannot be processed"),
    Answer(status=423, meaning=Meaning.NOT_NOW, why="it is locked"),
    Answer(status=424, meaning=Meaning.NOT_NOW, why="an earlier item of the batch failed"),
    Answer(status=429, meaning=Meaning.BUSY, why="too many requests"),
    Answer(status=500, meaning=Meaning.BROKEN, why="an internal error over there"),
    Answer(status=501, meaning=Meaning.REFUSED, why="not implemented; a selected property is kept outside the directory"),
    Answer(status=502, meaning=Meaning.HICCUP, why="a gateway got no good answer"),
    Answer(status=503, meaning=Meaning.HICCUP, why="the service is busy or being maintained"),
    Answer(status=504, meaning=Meaning.HICCUP, why="a gateway got no answer in time"),
    Answer(status=507, meaning=Meaning.REFUSED, why="the storage quota is used up"),
    Answer(status=509, meaning=Meaning.NOT_NOW, why="the bandwidth limit is exceeded"),
)

_BY_STATUS_AND_CODE = {(row.status, row.code.lower()): row for row in ANSWERS}


class _ErrorText(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class _ErrorBody(msgspec.Struct):
    error: _ErrorText


_ERROR = msgspec.json.Decoder(_ErrorBody)


def error_text(body: bytes) -> tuple[str, str]:
    """Code and message of an OData error body; both empty if it is none, such as a proxy's page."""
    try:
        error = _ERROR.decode(body).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "", ""
    return error.code or "", error.message or ""


def answer_for(status: int, code: str) -> Answer:
    """The row for an answer; statuses we never met go by their class (RFC 9110, section 15)."""
    row = _BY_STATUS_AND_CODE.get((status, code.lower())) or _BY_STATUS_AND_CODE.get((status, ""))
    if row is not None:
        return row
    if status >= 500:
        return Answer(status=status, meaning=Meaning.BROKEN, why="an error over there")
    if status >= 400:
        return Answer(status=status, meaning=Meaning.REFUSED, why="the request is refused")
    if status >= 300:
        return Answer(
            status=status, meaning=Meaning.REFUSED, why="a redirect, which is never followed; check the base address and any proxy"
        )
    return Answer(status=status, meaning=Meaning.BROKEN, why="an answer without the content asked for")


def error_for(
    status: int,
    code: str,
    message: str,
    *,
    asking: Asking,
    after: timedelta | None = None,
    call_id: str = "",
    hide: Iterable[str] = (),
) -> Exception:
    """The error an answer becomes: TryLater, Refused, OutcomeUnknown or LinkExpired. ``hide`` lists texts that must not be in it."""
    row = answer_for(status, code)
    text = f"Graph answered {status}{' ' + _plain(code, hide) if code else ''}: {row.why}"
    # Graph's own sentence helps whoever has to grant or repair something; elsewhere it is noise that may name people.
    if row.meaning is Meaning.REFUSED and message:
        text += f' ("{_plain(message, hide)}")'
    if call_id:
        text += f" [client-request-id {call_id}]"
    return _error(row, text, asking, after)


def _error(row: Answer, text: str, asking: Asking, after: timedelta | None) -> Exception:
    meaning = row.meaning
    if asking is Asking.LINK and (meaning in (Meaning.LINK_EXPIRED, Meaning.ABSENT) or row.status == 400):
        # "Then a 4xx such as syncStateNotFound" (delta-query-overview): any plain no to a stored link means start again.
        return LinkExpired(text)
    if asking is Asking.WRITE and meaning in (Meaning.BROKEN, Meaning.HICCUP):
        return OutcomeUnknown(text)
    if meaning is Meaning.BUSY:
        return Throttled(text, after=after)
    if meaning is Meaning.HICCUP:
        return Passing(text, after=after)
    if meaning in (Meaning.NOT_NOW, Meaning.BROKEN):
        return TryLater(text, after=after)
    if meaning is Meaning.LINK_EXPIRED:
        return Refused(text) if asking is Asking.WRITE else TryLater(text, after=after)
    if meaning is Meaning.ABSENT:
        return NotThere(text)
    if meaning is Meaning.CONFLICT:
        return AlreadyThere(text)
    return Refused(text)


def pause_before(attempt: int, error: TryLater) -> float:
    """Seconds to wait before the try after ``attempt`` (from 1): what the answer asks for, or growing pauses of our own."""
    first = PAUSE_THROTTLED if isinstance(error, Throttled) else PAUSE_INITIAL
    if error.after is not None:
        return max(error.after.total_seconds(), PAUSE_INITIAL)
    return float(first * 2 ** (attempt - 1))


def retry_after(headers: Mapping[str, object], now: datetime) -> timedelta | None:
    """The pause that ``Retry-After`` asks for (seconds or an HTTP date, RFC 9110 section 10.2.3), never over an hour; None without one."""
    value = next((str(value).strip() for name, value in headers.items() if name.lower() == "retry-after"), "")
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return min(timedelta(seconds=int(value)), RETRY_AFTER_MAX) if len(value) < 7 else RETRY_AFTER_MAX
    try:
        moment = in_utc(parsedate_to_datetime(value))
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(moment - now, timedelta(0)), RETRY_AFTER_MAX)


def _plain(text: str, hide: Iterable[str]) -> str:
    for secret in hide:
        if secret:
            text = text.replace(secret, "***")
    return "".join(sign if sign.isprintable() else " " for sign in text[:MESSAGE_MAX])
