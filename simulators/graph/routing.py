"""From a path below /v1.0 to its handler, in all the spellings that Graph and its SDKs use."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from simulators.graph.errors import GraphError, bad_request
from simulators.graph.wire import Reply, Request

Handler = Callable[[Request], Reply]

_CAST = re.compile(r"(?:microsoft\.)?graph\.([A-Za-z]+)", re.IGNORECASE)
_KEYED = re.compile(r"([A-Za-z]+)\('?([^')]+)'?\)")
#: An alternate key, such as applications(appId='…').
_ALTERNATE = re.compile(r"([A-Za-z]+)\(([A-Za-z]+='[^']*')\)")

#: Actions and functions that may be written with the namespace in front, as a cast is.
_FUNCTIONS = frozenset(
    {
        "delta",
        "restore",
        "checkmembergroups",
        "checkmemberobjects",
        "getmembergroups",
        "getmemberobjects",
        "getbyids",
        "revokesigninsessions",
        "reauthorize",
    }
)
_OPTIONS = frozenset({"select", "filter", "expand", "top", "count", "orderby", "search", "skip", "skiptoken", "deltatoken", "format"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One pattern, such as users/{key}/manager, and who answers it."""

    method: str
    pattern: tuple[str, ...]
    handler: Handler
    #: Answers from the past under the fault stale_read.
    reads: bool
    #: Runs in one transaction with its notifications; a handler that calls out over HTTP opens its own.
    whole: bool = True


def route(method: str, pattern: str, handler: Handler, *, reads: bool | None = None, whole: bool = True) -> Route:
    """One route; a GET reads, anything else does not unless said."""
    return Route(
        method=method, pattern=tuple(pattern.split("/")), handler=handler, reads=method == "GET" if reads is None else reads, whole=whole
    )


def split_path(path: str) -> tuple[tuple[str, ...], str | None]:
    """The decoded segments of a path, and the type that it casts to: /users('1')//memberOf/graph.group -> (users, 1, memberOf), "group"."""
    segments: list[str] = []
    cast: str | None = None
    for part in path.split("/"):
        if not part:
            continue
        plain = part.removesuffix("()")
        named = _CAST.fullmatch(plain)
        keyed = _KEYED.fullmatch(plain)
        alternate = _ALTERNATE.fullmatch(plain)
        if named is not None and named.group(1).lower() in _FUNCTIONS:
            segments.append(named.group(1))
        elif named is not None:
            cast = named.group(1).lower()
        elif keyed is not None:
            segments += [keyed.group(1), keyed.group(2)]
        elif alternate is not None:
            segments += [alternate.group(1), alternate.group(2).replace("'", "")]
        else:
            segments.append(plain)
    return tuple(segments), cast


def split_query(text: str) -> dict[str, str]:
    """Query options by name in lower case; a system option may come with or without its $."""
    options: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        lower = name.lower()
        options[f"${lower}" if lower in _OPTIONS else lower] = value
    return options


def find_route(routes: Sequence[Route], method: str, segments: Sequence[str]) -> Route:
    """The route of a call; 400 for a path that nothing serves, 405 for a method that its path does not take."""
    found = [each for each in routes if _matches(each.pattern, segments)]
    literal = max((sum(not part.startswith("{") for part in each.pattern) for each in found), default=0)
    best = [each for each in found if sum(not part.startswith("{") for part in each.pattern) == literal]
    for each in best:
        if each.method == method:
            return each
    if found:
        raise GraphError(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")
    segment = segments[-1] if segments else ""
    raise bad_request(f"Resource not found for the segment '{segment[:100]}'.", "BadRequest")


def lower_names(headers: Mapping[str, str]) -> dict[str, str]:
    """Header names in lower case."""
    return {name.lower(): value for name, value in headers.items()}


def _matches(pattern: Sequence[str], segments: Sequence[str]) -> bool:
    if len(pattern) != len(segments):
        return False
    return all(part.startswith("{") or part.lower() == given.lower() for part, given in zip(pattern, segments, strict=True))
