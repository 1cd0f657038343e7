"""Objects as reads show them: $select, $expand, casts and pages."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from simulators.graph.directory import Directory
from simulators.graph.errors import bad_request
from simulators.graph.filters import parse_filter
from simulators.graph.schema import DEFAULTS, PROPERTIES, RELATIONS, SECRET, TYPES, known_name, shown
from simulators.graph.wire import Reply, Request, Seal
from simulators.state import Document

#: The most rows a page may be asked for (page "paging").
MOST_ROWS = 999

#: Rows with their place in the list; a page goes on after the last place it gave.
Places = Iterable[tuple[int, Document]]


class Renderer:
    """Turns documents into JSON for one stand-in; `page_size` rows where the caller names no $top."""

    def __init__(self, directory: Directory, seal: Seal, page_size: Callable[[], int]) -> None:
        self._directory = directory
        self._seal = seal
        self._page_size = page_size

    def one(self, request: Request, found: Document, *, context: str = "", typed: bool = False) -> Reply:
        """200 with one object."""
        row: dict[str, Any] = {"@odata.context": f"{request.base}/$metadata#{context or found['kind'] + 's'}/$entity"}
        return Reply(body=row | self.row(request, found, typed=typed))

    def row(self, request: Request, found: Document, *, typed: bool) -> dict[str, Any]:
        """One object with what the request selected and expanded."""
        row: dict[str, Any] = {"@odata.type": TYPES[found["kind"]]} if typed else {}
        row |= self.properties(found, request.query.get("$select"))
        for relation, options in _expansions(request.query.get("$expand", ""), found["kind"]):
            related = self._related(found, relation)
            if relation == "manager":
                if related:
                    row["manager"] = self._typed(related[0], options)
            else:
                row[relation] = [self._typed(each, options) for each in related[:20]]
        return row

    def properties(self, found: Document, select: str | None) -> dict[str, Any]:
        """The selected properties; the id comes always, as the real one's replies have it."""
        kind = found["kind"]
        props = {**found["props"], "deletedDateTime": found["deleted"]}
        if not select:
            # Among the deleted items the day of deletion is told without being asked for.
            return shown(kind, props, DEFAULTS[kind]) | ({"deletedDateTime": found["deleted"]} if found["deleted"] else {})
        return {"id": found["id"]} | shown(kind, props, selected(kind, select))

    def page(self, request: Request, places: Places, *, context: str, typed: bool = False) -> Reply:
        """200 with one page of a list: $filter, $orderby, $count, $top and the place where the last page ended."""
        rows = [(place, found) for place, found in places if request.cast is None or found["kind"] == request.cast]
        rows = self._ordered(request, self._filtered(request, rows))
        size = self._size(request)
        after = self._after(request)
        rest = [(place, found) for place, found in rows if place > after]
        body: dict[str, Any] = {"@odata.context": f"{request.base}/$metadata#{context}"}
        if request.query.get("$count", "").lower() == "true":
            body["@odata.count"] = len(rows)
        if len(rest) > size:
            token = self._seal.write("page", {"after": rest[size - 1][0]})
            options = {name[1:]: value for name, value in request.query.items() if name.startswith("$") and name != "$skiptoken"}
            path = "/".join(request.segments) + (f"/microsoft.graph.{request.cast}" if request.cast else "")
            body["@odata.nextLink"] = request.link(path, **options, skiptoken=token)
        return Reply(body=body | {"value": [self.row(request, found, typed=typed) for _, found in rest[:size]]})

    def count(self, request: Request, places: Places) -> Reply:
        """The number alone, as text: …/$count."""
        rows = [(place, found) for place, found in places if request.cast is None or found["kind"] == request.cast]
        return Reply(body=str(len(self._filtered(request, rows))))

    def _filtered(self, request: Request, rows: list[tuple[int, Document]]) -> list[tuple[int, Document]]:
        text = request.query.get("$filter")
        if not text:
            return rows
        advanced = request.headers.get("consistencylevel", "").lower() == "eventual" and request.query.get("$count", "").lower() == "true"
        kinds = {found["kind"] for _, found in rows} or {request.cast or "user"}
        if len(kinds) == 1 or request.segments[0] in ("users", "groups"):
            kind = request.segments[0][:-1] if len(request.segments) == 1 else next(iter(kinds))
            passes = parse_filter(text, kind if kind in PROPERTIES else "user", advanced=advanced)
            return [(place, found) for place, found in rows if passes({**found["props"], "deletedDateTime": found["deleted"]})]
        raise bad_request("A mixed list can be filtered only with a cast.", "Request_UnsupportedQuery")

    def _ordered(self, request: Request, rows: list[tuple[int, Document]]) -> list[tuple[int, Document]]:
        order = request.query.get("$orderby")
        if not order or not rows:
            return rows
        name, _, way = order.strip().partition(" ")
        name = known_name(rows[0][1]["kind"], name)
        if way.strip().lower() not in ("", "asc", "desc"):
            raise bad_request(f"Invalid $orderby: {order[:100]}")
        in_order = sorted((found for _, found in rows), key=lambda found: str(found["props"].get(name) or "").lower())
        if way.strip().lower() == "desc":
            in_order.reverse()
        return list(enumerate(in_order, start=1))

    def _size(self, request: Request) -> int:
        top = request.query.get("$top")
        if top is None:
            return self._page_size()
        if not re.fullmatch(r"\d{1,6}", top) or not 1 <= int(top) <= MOST_ROWS:
            raise bad_request(
                f"Invalid page size specified: '{top[:20]}'. Must be between 1 and {MOST_ROWS} inclusive.", "Request_UnsupportedQuery"
            )
        return int(top)

    def _after(self, request: Request) -> int:
        token = request.query.get("$skiptoken")
        if token is None:
            return 0
        sealed = self._seal.read("page", token)
        if sealed is None:
            raise bad_request("The skip token is not valid.", "Directory_ExpiredPageToken")
        return int(sealed["after"])

    def _related(self, found: Document, relation: str) -> list[Document]:
        directory = self._directory
        if relation == "manager":
            boss = None if found["manager"] is None else directory.find(found["manager"], ("user",))
            return [] if boss is None else [boss]
        reads: dict[str, Callable[[], list[Document]]] = {
            "directReports": lambda: directory.reports(found["id"]),
            "memberOf": lambda: directory.groups_of(found["id"]),
            "transitiveMemberOf": lambda: directory.all_groups_of(found["id"]),
            "members": lambda: [member for _, member in directory.members(found)],
            "transitiveMembers": lambda: directory.all_members(found),
            "owners": list,
        }
        return reads[relation]()

    def _typed(self, found: Document, select: str | None) -> dict[str, Any]:
        return {"@odata.type": TYPES[found["kind"]]} | self.properties(found, select)


def selected(kind: str, select: str) -> list[str]:
    """The properties that a $select names, without relations and without secrets; 400 for one that the type does not have."""
    names = [name.strip().split("/")[0] for name in select.split(",") if name.strip()]
    if "*" in names:
        return [name for name in PROPERTIES[kind] if name not in SECRET]
    relations = {relation.lower() for relation in RELATIONS[kind]}
    # A list of mixed types may name what only the other type has.
    others = {name.lower() for other, table in PROPERTIES.items() if other != kind for name in table}
    own = {name.lower() for name in PROPERTIES[kind]}
    wanted = [name for name in names if name.lower() not in relations and not name.startswith("@")]
    found = [known_name(kind, name) for name in wanted if name.lower() in own or name.lower() not in others]
    return [name for name in found if name not in SECRET]


def _expansions(text: str, kind: str) -> list[tuple[str, str | None]]:
    """manager($select=id,displayName) -> [("manager", "id,displayName")]; 400 for a relation that the type does not have."""
    found: list[tuple[str, str | None]] = []
    for match in re.finditer(r"([^,()]+)(?:\(([^()]*(?:\([^()]*\))?[^()]*)\))?,?", text[:2000]):
        name, options = match.group(1).strip(), match.group(2) or ""
        known = next((relation for relation in RELATIONS[kind] if relation.lower() == name.lower()), None)
        if known is None:
            raise bad_request(f"Could not find a property named '{name}' on type 'microsoft.graph.{kind}'.")
        select = next((part.split("=", 1)[1] for part in options.split(";") if part.strip().lower().startswith("$select=")), None)
        found.append((known, select))
    return found
