"""Lists: order, pages, `search` and `advanced_search`, with Halo's quirks (`HaloITSM reference 2.2`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from simulators.halo.errors import refused
from simulators.halo.members import Doc
from simulators.halo.query import Query

#: A page when `pageinate=true` comes without a size.
_DEFAULT_PAGE = 50
_EQUALS, _CONTAINS = 2, 4


def page(rows: list[Doc], query: Query, *, most: int | None = None) -> tuple[list[Doc], dict[str, int]]:
    """One page and the members that go around it (`record_count`, and `page_no`, `page_size` when paginated).

    `page_size` and `page_no` count only with `pageinate=true` (sic), `count` only without; `most` cuts larger values silently.
    """
    around = {"record_count": len(rows)}
    if query.flag("pageinate"):
        number = max(query.integer("page_no") or 1, 1)
        size = max(query.integer("page_size") or _DEFAULT_PAGE, 1)
        size = min(size, most) if most else size
        return rows[(number - 1) * size : number * size], around | {"page_no": number, "page_size": size}
    count = query.integer("count")
    limit = count if count is not None and count > 0 else most
    return rows[: min(limit, most) if limit and most else limit], around


def ordered(rows: Iterable[Doc], query: Query, *, newest_first: bool = False) -> list[Doc]:
    """`order`…`order5` with `orderdesc`…`orderdesc5`; by id otherwise. Only the word `true` sorts descending."""
    result = sorted(rows, key=lambda row: _rank(row.get("id")), reverse=newest_first)
    for level in ("5", "4", "3", "2", ""):
        if field := query.text(f"order{level}").lower():
            result.sort(key=lambda row, field=field: _rank(row.get(field)), reverse=query.flag(f"orderdesc{level}"))  # type: ignore[misc]
    return result


def _rank(value: Any) -> tuple[int, float, str]:
    if isinstance(value, bool | int | float):
        return (1, float(value), "")
    return (0, 0.0, "") if value is None else (2, 0.0, str(value).casefold())


def contains(wanted: str, *columns: Any) -> bool:
    """The contains match of `search` and its kin, without regard to case."""
    wanted = wanted.casefold()
    return any(wanted in str(column).casefold() for column in columns if column is not None)


def advanced(text: str, allowed: Iterable[str]) -> list[tuple[str, int, str]]:
    """The conditions of `advanced_search`: (field, filter type, value), all of which have to hold.

    Fields outside the object's white list, and filter types other than 2 (equals) and 4 (contains), are refused with the one message text
    that clients recognise.
    """
    if not text:
        return []
    try:
        conditions = json.loads(text)
        found = [(str(c["filter_name"]), int(c["filter_type"]), str(c["filter_value"])) for c in conditions]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise refused("Invalid advanced search: a JSON array of filter_name, filter_type and filter_value is expected.") from None
    names = {name.casefold() for name in allowed}
    for field, kind, _ in found:
        if field.casefold() not in names or kind not in (_EQUALS, _CONTAINS):
            raise refused(f"Invalid advanced search parameter: {field}")
    return found


def holds(conditions: Iterable[tuple[str, int, str]], row: Mapping[str, Any]) -> bool:
    """Whether a row, given by lower-case column name, satisfies every condition."""
    for field, kind, wanted in conditions:
        value = row.get(field.casefold())
        text = "" if value is None else str(value).casefold()
        if (text != wanted.casefold()) if kind == _EQUALS else (wanted.casefold() not in text):
            return False
    return True
