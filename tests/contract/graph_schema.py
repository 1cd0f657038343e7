"""Holds calls to Graph and Graph's replies against the published service schema: names, types, and what a ``$select`` asked for."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PLACE = Path(__file__).resolve().parents[2] / ".." / "shared" / "contracts" / "microsoft-graph.json"

#: System query options; OData has no others, and Graph gives two tokens names of their own.
OPTIONS = {"$select", "$expand", "$filter", "$top", "$orderby", "$count", "$search", "$skip", "$skiptoken", "$deltatoken"}
#: Bodies of actions, which are no types of their own ("directoryobject-getbyids", "directoryobject-checkmembergroups").
ACTIONS = {"getByIds": {"ids", "types"}, "checkMemberGroups": {"groupIds"}}
#: Around what is told: of a page, of an object, and of what was removed.
ANNOTATIONS = {
    "@odata.context",
    "@odata.type",
    "@odata.id",
    "@odata.nextLink",
    "@odata.deltaLink",
    "@odata.count",
    "@odata.etag",
    "@removed",
}
#: Path -> the type that is addressed; where none is named the reply has to say it.
TYPES = (
    (r"/(groups/[^/]+/transitiveMembers|groups/[^/]+/members)/microsoft\.graph\.user", "user"),
    (r"/users/[^/]+/(directReports|manager)", "directoryObject"),
    (r"/users/[^/]+/memberOf/microsoft\.graph\.group", "group"),
    (r"/users(/delta|/[^/]+)?", "user"),
    (r"/groups(/delta|/[^/]+)?", "group"),
    (r"/directory/deletedItems/[^/]+|/directoryObjects/getByIds", "directoryObject"),
    (r"/subscriptions(/[^/]+)?", "subscription"),
    (r"/applications\(appId='[^/']+'\)", "application"),
)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request and its reply; those inside a batch are calls of their own."""

    method: str
    #: Below ``/v1.0``, without the query.
    path: str
    query: dict[str, str]
    body: Any
    status: int
    reply: Any

    @property
    def route(self) -> str:
        """Method and path with ids left out."""
        return f"{self.method} {re.sub(r'[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}', '{id}', self.path)}"


class Recorder:
    """A WSGI app that lets everything through and remembers it."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._seen: list[Call] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        sent = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        statuses: list[str] = []

        def started(status: str, headers: Any, exc_info: Any = None) -> Any:
            statuses.append(status)
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        answered = b"".join(self._app({**environ, "wsgi.input": io.BytesIO(sent)}, started))
        if environ["PATH_INFO"].startswith("/v1.0/"):
            query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
            path = environ["PATH_INFO"].removeprefix("/v1.0")
            self._seen.append(
                Call(
                    method=environ["REQUEST_METHOD"],
                    path=path,
                    query=query,
                    body=_json(sent),
                    status=int(statuses[0][:3]),
                    reply=_json(answered),
                )
            )
        return [answered]

    @property
    def calls(self) -> list[Call]:
        """Every call, with the items of each batch in its place."""
        return [one for call in self._seen for one in _unpacked(call)]


def _unpacked(call: Call) -> Iterator[Call]:
    if call.path != "/$batch":
        yield call
        return
    answers = {answer["id"]: answer for answer in call.reply["responses"]}
    for item in call.body["requests"]:
        url = urlsplit(item["url"])
        answer = answers[item["id"]]
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        body, reply = item.get("body"), answer.get("body")
        yield Call(method=item["method"], path=url.path, query=query, body=body, status=answer["status"], reply=reply)


class Schema:
    """The published types."""

    def __init__(self) -> None:
        self.types: dict[str, Any] = json.loads(PLACE.read_text())["types"]

    def properties(self, kind: str) -> dict[str, str]:
        """Name -> type of everything that an object of this type may have, relations too."""
        found = self.types[kind]
        inherited = self.properties(found["base"]) if found["base"] else {}
        return inherited | found["properties"] | found["navigation"]

    def wrong(self, call: Call) -> Iterator[str]:
        """What is not as published about one call."""
        kind = next((kind for pattern, kind in TYPES if re.fullmatch(pattern, call.path)), "")
        yield from (f"{call.route}: {what}" for what in (*self._wrong_query(kind, call.query), *self._wrong_body(kind, call)))
        if call.status < 300:
            yield from (f"{call.route}: reply: {what}" for what in self._wrong_reply(kind, call))

    def wrong_object(self, kind: str, value: dict[str, Any], asked: frozenset[str] | None = None) -> Iterator[str]:
        """What does not belong to an object of this type, or of the one that it says it is of."""
        named = str(value.get("@odata.type") or "").rpartition(".")[2]
        kind = next((known for known in self.types if known.lower() == named.lower()), kind)
        known = self.properties(kind)
        for name, inner in value.items():
            base, _, annotation = name.partition("@")
            if name in ANNOTATIONS or (annotation and base in known):
                continue
            if name not in known:
                yield f"{kind} has no {name}"
            elif asked is not None and name not in asked | {"id"}:
                yield f"{kind}.{name} was not asked for"
            elif inner is not None:
                yield from self._wrong_value(f"{kind}.{name}", known[name], inner)

    def _wrong_value(self, place: str, kind: str, value: Any) -> Iterator[str]:
        if kind.startswith("Collection("):
            if not isinstance(value, list):
                yield f"{place} is no list"
                return
            for item in value:
                yield from self._wrong_value(place, kind[11:-1], item)
        elif kind.startswith("graph."):
            inner = kind.removeprefix("graph.")
            if isinstance(value, dict) and inner in self.types and self.types[inner]["properties"]:
                yield from self.wrong_object(inner, value)
        elif not _fits(kind, value):
            yield f"{place} is {value!r}, not {kind}"

    def _wrong_query(self, kind: str, query: dict[str, str]) -> Iterator[str]:
        yield from (f"no such option: {name}" for name in query.keys() - OPTIONS)
        if not kind:
            return
        known = self.properties(kind) | (self.properties("user") | self.properties("group") if kind == "directoryObject" else {})
        yield from (f"$select names {name}" for name in _names(query.get("$select", "")) if name not in known)
        for name, inner in re.findall(r"(\w+)(?:\(\$select=([^)]*)\))?", query.get("$expand", "")):
            if name not in self.types[kind]["navigation"]:
                yield f"$expand names {name}"
            # A manager is a directoryObject; what is asked of it belongs to users.
            yield from (f"$expand={name} asks for {one}" for one in _names(inner) if one not in self.properties("user"))
        for name in re.findall(r"(\w+) (?:eq|ne|ge|le|gt|lt) ", re.sub(r"'[^']*'", "''", query.get("$filter", ""))):
            if name not in known:
                yield f"$filter names {name}"

    def _wrong_body(self, kind: str, call: Call) -> Iterator[str]:
        if not isinstance(call.body, dict):
            return
        action = ACTIONS.get(call.path.rpartition("/")[2])
        if action is not None:
            yield from (f"the action takes no {name}" for name in call.body.keys() - action)
        elif kind:
            yield from self.wrong_object(kind, call.body)

    def _wrong_reply(self, kind: str, call: Call) -> Iterator[str]:
        if not isinstance(call.reply, dict) or not kind:
            return
        asked = _names(call.query.get("$select", ""))
        asked |= frozenset(re.findall(r"(\w+)(?:\(|,|$)", re.sub(r"\([^)]*\)", "", call.query.get("$expand", ""))))
        objects = call.reply["value"] if isinstance(call.reply.get("value"), list) else [call.reply]
        if "value" in call.reply:
            yield from (f"a page has no {name}" for name in call.reply.keys() - ANNOTATIONS - {"value"})
        for one in objects:
            yield from self.wrong_object(kind, one, asked or None)


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def _fits(kind: str, value: Any) -> bool:
    if kind == "Edm.Boolean":
        return isinstance(value, bool)
    if kind.startswith(("Edm.Int", "Edm.Double")):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if not isinstance(value, str):
        return False
    if kind == "Edm.Guid":
        return re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value) is not None
    if kind == "Edm.DateTimeOffset":
        return datetime.fromisoformat(value).tzinfo is not None
    return True


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None
