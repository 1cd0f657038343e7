"""Delta query for users and groups (pages "delta-query-overview", "delta-query-groups", "user-delta")."""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from simulators.clock import SimClock, parse_instant, write_instant
from simulators.graph.directory import KINDS, Directory
from simulators.graph.errors import GraphError, bad_request
from simulators.graph.render import selected
from simulators.graph.schema import DEFAULTS, TYPES, shown
from simulators.graph.wire import Reply, Request, Seal
from simulators.state import Document, StateFile

#: How long a token of directory objects lives.
TOKEN_LIFE = timedelta(days=7)
#: Ids that a $filter may name.
MOST_IDS = 50

_LINKS = {"user": "manager", "group": "members"}
_ID_FILTER = re.compile(r"\s*id\s+eq\s+'([^']{1,64})'\s*", re.IGNORECASE)


class Delta:
    """GET /users/delta and /groups/delta. `members_per_row` splits a big group over several rows, and so over pages."""

    def __init__(
        self,
        state: StateFile,
        directory: Directory,
        seal: Seal,
        clock: SimClock,
        *,
        page_size: Callable[[], int],
        members_per_row: Callable[[], int],
        empty_pages: Callable[[], int],
        repeats: Callable[[], bool],
    ) -> None:
        self._state = state
        self._directory = directory
        self._seal = seal
        self._clock = clock
        self._page_size = page_size
        self._members_per_row = members_per_row
        self._empty_pages = empty_pages
        self._repeats = repeats

    def expire(self, kind: str | None) -> None:
        """Make every token of users, of groups, or of both answer 410 with a Location; in a transaction."""
        for each in ("user", "group") if kind is None else (kind,):
            self._state.next(f"delta generation {each}")

    def read(self, request: Request) -> Reply:
        """One page. 400 for a token that is no token or older than seven days, 410 with Location where the service wants a full resync."""
        kind = request.segments[0].lower()[:-1]
        token = request.query.get("$skiptoken") or request.query.get("$deltatoken")
        if token == "latest":
            return self._last_page(request, kind, self._first_round(request, kind), [])
        round_ = self._next_round(request, kind, token) if token else self._first_round(request, kind)
        return self._page(request, kind, round_)

    def _first_round(self, request: Request, kind: str) -> dict[str, Any]:
        select = request.query.get("$select")
        if select:
            selected(kind, select)
        ids = _filtered_ids(request.query.get("$filter"))
        now = write_instant(self._clock.now())
        return {"kind": kind, "select": select, "ids": ids, "from": 0, "upto": self._directory.last_change(), "minted": now} | {
            "after": [0, 0],
            "blank": self._empty_pages(),
            "generation": self._state.last(f"delta generation {kind}"),
        }

    def _next_round(self, request: Request, kind: str, token: str) -> dict[str, Any]:
        sealed = self._seal.read("delta", token)
        if sealed is None or sealed["kind"] != kind:
            raise bad_request("Badly formed token.")
        if sealed["generation"] != self._state.last(f"delta generation {kind}"):
            start = f"{request.base}/{kind}s/delta?$deltatoken=" + (
                f"&$select={quote(sealed['select'], safe=',')}" if sealed["select"] else ""
            )
            raise GraphError(
                410, "resyncRequired", "Resync required. Replace any local items with the server's version.", {"Location": start}
            )
        if parse_instant(sealed["minted"]) + TOKEN_LIFE < self._clock.now():
            raise bad_request("The sync state generation is not found; continue with a full synchronization.", "syncStateNotFound")
        if "upto" not in sealed:
            sealed |= {"upto": self._directory.last_change(), "after": [0, 0], "blank": self._empty_pages()}
            if self._repeats():
                # A replay: what the round before told comes once more. The first round's listing is not repeated.
                sealed["from"] = sealed.get("before") or sealed["from"]
        return sealed

    def _page(self, request: Request, kind: str, round_: Mapping[str, Any]) -> Reply:
        if round_["blank"] > 0:
            return self._more(request, kind, {**round_, "blank": round_["blank"] - 1}, [])
        minimal = round_["from"] > 0 and "return=minimal" in request.headers.get("prefer", "").replace(" ", "").lower()
        size, last = self._page_size(), list(round_["after"])
        before = last
        rows: list[dict[str, Any]] = []
        for place, row in self._rows(kind, round_, minimal):
            if len(rows) == size:
                # One row of progress at least, or the round would never end.
                return self._more(request, kind, {**round_, "after": before if self._repeats() and size > 1 else last}, rows)
            rows.append(row)
            before, last = last, place
        return self._last_page(request, kind, round_, rows)

    def _rows(self, kind: str, round_: Mapping[str, Any], minimal: bool) -> Any:
        """Places and rows after the last place given. What changes while a round is being paged has a later number, so the next round has it."""
        wanted = None if round_["ids"] is None else set(round_["ids"])
        after, since = round_["after"], round_["from"]
        for found in self._directory.every(kind):
            if [found["n"], 1 << 30] <= after or (wanted is not None and found["id"] not in wanted):
                continue
            if since == 0 and (found["gone"] or found["deleted"] is not None):
                continue
            for part, row in enumerate(self._object_rows(kind, found, round_, minimal), start=1):
                if [found["n"], part] > after:
                    yield [found["n"], part], row

    def _object_rows(self, kind: str, found: Document, round_: Mapping[str, Any], minimal: bool) -> list[dict[str, Any]]:
        since, select = round_["from"], round_["select"]
        names = selected(kind, select) if select else list(DEFAULTS[kind])
        # Without $select every property is tracked; of the links, a group's members are.
        tracked = names if select else list(found["changed"])
        linked = _LINKS[kind].lower() in {name.strip().lower() for name in (select or "members").split(",")}
        changed = [name for name in tracked if found["changed"].get(name, 0) > since]
        links = self._links(kind, found, since) if linked else []
        fresh = found["life"] > since
        if not (fresh or changed or links):
            return []
        if found["gone"] or found["deleted"] is not None:
            return [{"id": found["id"], "@removed": {"reason": "deleted" if found["gone"] else "changed"}}] if fresh else []
        if minimal and not fresh:
            names = [name for name in names if name in changed]
        row = shown(kind, {**found["props"], "deletedDateTime": None}, names) | {"id": found["id"]}
        if not minimal or fresh:
            # What was never set is left out: delta has no nulls except for what became null.
            row = {name: value for name, value in row.items() if value is not None or name in found["changed"]}
        if not links:
            return [row]
        size = self._members_per_row()
        chunks = [links[at : at + size] for at in range(0, len(links), size)]
        return [{**row, f"{_LINKS[kind]}@delta": chunk} for chunk in chunks]

    def _links(self, kind: str, found: Document, since: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        back = since > 0 and found["life"] > since
        for key, (number, linked) in found["log"].items():
            other = self._directory.find(key)
            if linked and other is None and kind == "user":
                continue  # a deleted manager is no manager, and says so by being deleted
            if (since == 0 or back) and linked and other is not None:
                rows.append({"@odata.type": TYPES[other["kind"]], "id": key})
            elif since > 0 and number > since:
                row: dict[str, Any] = {"@odata.type": self._type_of(key), "id": key}
                rows.append(row if linked and other is not None else {**row, "@removed": {"reason": "deleted"}})
        return rows

    def _type_of(self, key: str) -> str:
        return TYPES[next((kind for kind in KINDS if self._state.get(kind, key) is not None), "user")]

    def _more(self, request: Request, kind: str, round_: Mapping[str, Any], rows: list[dict[str, Any]]) -> Reply:
        link = request.link(f"{kind}s/delta", skiptoken=self._seal.write("delta", round_))
        return self._reply(request, kind, rows, "@odata.nextLink", link)

    def _last_page(self, request: Request, kind: str, round_: Mapping[str, Any], rows: list[dict[str, Any]]) -> Reply:
        done = {"kind": kind, "select": round_["select"], "ids": round_["ids"], "from": round_["upto"], "before": round_["from"]}
        done |= {"generation": round_["generation"]}
        sealed = self._seal.write("delta", done | {"minted": write_instant(self._clock.now())})
        return self._reply(request, kind, rows, "@odata.deltaLink", request.link(f"{kind}s/delta", deltatoken=sealed))

    @staticmethod
    def _reply(request: Request, kind: str, rows: list[dict[str, Any]], name: str, link: str) -> Reply:
        return Reply(body={"@odata.context": f"{request.base}/$metadata#{kind}s", name: link, "value": rows})


def _filtered_ids(text: str | None) -> list[str] | None:
    """id eq '…' or id eq '…', at most 50: anything else is a 400."""
    if not text:
        return None
    found = [_ID_FILTER.fullmatch(part) for part in re.split(r"\bor\b", text, flags=re.IGNORECASE)]
    ids = [match.group(1).lower() for match in found if match is not None]
    if len(ids) != len(found):
        raise bad_request("Only filtering by id is supported in a delta query.", "Request_UnsupportedQuery")
    if len(ids) > MOST_IDS:
        raise bad_request(f"A delta query can be filtered by {MOST_IDS} ids at most.")
    return ids
