"""What the pretend Halo answers when it refuses, in the body shapes that real tenants show.

* binding error: 400, an object keyed by member with a list of texts, `{"[0].outcome_id": ["…"]}`;
* business rule: 400, a serialised .NET exception whose useful text is `Message`;
* unknown id or route: 404, missing right: 403, unhandled: 500, all with an empty body.
"""

from __future__ import annotations

from typing import Any

#: The HResult that .NET gives a plain System.Exception.
_PLAIN_EXCEPTION = -2146233088


class HaloError(Exception):
    """An answer other than 2xx. `body` is a JSON value, or None for an empty body."""

    def __init__(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status}")
        self.status = status
        self.body = body
        self.headers = headers or {}


def misbound(member: str, text: str) -> HaloError:
    """400 keyed by the member (`[0].site_id`) or parameter (`id`) that has the wrong type."""
    return HaloError(400, {member: [text]})


def refused(message: str) -> HaloError:
    """400 as a serialised .NET exception: a business rule said no."""
    return HaloError(
        400,
        {
            "ClassName": "System.Exception",
            "Message": message,
            "Data": None,
            "InnerException": None,
            "HelpURL": None,
            "StackTraceString": None,
            "RemoteStackTraceString": None,
            "RemoteStackIndex": 0,
            "ExceptionMethod": None,
            "HResult": _PLAIN_EXCEPTION,
            "Source": None,
        },
    )


def not_found() -> HaloError:
    """404 with an empty body: unknown id or route."""
    return HaloError(404)


def forbidden() -> HaloError:
    """403 with an empty body: scope or role lacks access."""
    return HaloError(403)
