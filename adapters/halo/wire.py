"""How Halo's JSON is read: tolerant of its envelopes and habits, and never trusting a filter. Nothing of it leaves this folder."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from adapters.halo.client import HaloClient
from adapters.halo.deadline import Deadline
from joinery.domain.moments import in_utc
from joinery.errors import Refused, TryLater

#: One object of Halo's.
Row = dict[str, Any]

#: More pages than any list we ask for has; a list that is longer is refused instead of read in part.
PAGES_MAX = 500

#: Dates up to this year stand for none: 0001-01-01, 1899-12-30, 1900-01-01, 1901-01-01.
_UNSET_UNTIL = 1901

#: Characters of a one-line text: Halo's short text columns hold 255.
LINE_LIMIT = 255


def rows_of(body: Any, what: str) -> list[Row]:
    """The rows of a list answer: the body itself, or its first member that is a list; envelopes differ by version (reference 2.2)."""
    if isinstance(body, dict):
        lists = [value for value in body.values() if isinstance(value, list)]
        if not lists and "record_count" not in body:
            raise TryLater(f"GET {what}: the answer holds no list")
        body = next((value for value in lists if any(isinstance(item, dict) for item in value)), [])
    if not isinstance(body, list):
        raise TryLater(f"GET {what}: the answer holds no list")
    return [item for item in body if isinstance(item, dict)]


def one(client: HaloClient, path: str, query: Mapping[str, str | int] | None = None, *, deadline: Deadline | None = None) -> Row:
    """A single object. Raises NotThere (a Refused) where there is none."""
    body = client.get(path, query, deadline=deadline)
    if not isinstance(body, dict):
        raise TryLater(f"GET {path}: the answer is not an object")
    return body


def page(client: HaloClient, path: str, query: Mapping[str, str | int], *, deadline: Deadline | None = None) -> list[Row]:
    """The first page of a list."""
    return rows_of(client.get(path, page_query(client, query, 1), deadline=deadline), path)


def page_query(client: HaloClient, query: Mapping[str, str | int], number: int) -> dict[str, str | int]:
    """The same question for one page, counted from 1."""
    return {**query, "pageinate": "true", "page_size": client.profile.page_size, "page_no": number}


def every(client: HaloClient, path: str, query: Mapping[str, str | int], *, deadline: Deadline | None = None) -> list[Row]:
    """All rows of a paged list, each id once.

    ``record_count`` may be wrong and a list may answer every page with its first (reference 2.2), so neither is believed alone:
    a full page is always followed by another look, and a page that brings nothing new ends the reading.
    """
    found: dict[Any, Row] = {}
    size = client.profile.page_size
    for number_of_page in range(1, PAGES_MAX + 1):
        body = client.get(path, page_query(client, query, number_of_page), deadline=deadline)
        rows = rows_of(body, path)
        total = number(body.get("record_count")) if isinstance(body, dict) else None
        before = len(found)
        for row in rows:
            found.setdefault(row.get("id"), row)
        if len(found) == before and total is not None and total > before and number_of_page > 1 and rows:
            # The same page again, and there is more: this list knows no pages.
            for row in rows_of(client.get(path, {**query, "count": total}, deadline=deadline), path):
                found.setdefault(row.get("id"), row)
            return list(found.values())
        if len(found) == before or (len(rows) < size and (total is None or len(found) >= total)):
            return list(found.values())
    raise Refused(f"GET {path}: more than {PAGES_MAX * size} rows; this list cannot be searched on our side")


def number(value: Any) -> int | None:
    """An id or a count: 18, 18.0 and "18" are 18; anything else is None."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"-?[0-9]{1,18}(\.0+)?", value) and "." not in value else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) else None


def id_of(row: Row, what: str) -> int:
    """The row's id. Raises TryLater where it has none."""
    found = number(row.get("id"))
    if found is None:
        raise TryLater(f"{what}: a row without an id")
    return found


def object_id(text: str, what: str) -> int:
    """Our text for an id, as Halo's number. Raises Refused."""
    found = number(text)
    if found is None or found <= 0:
        raise Refused(f"{what} {text[:40]!r} is not an id of this desk")
    return found


def text(row: Row, member: str) -> str:
    """A text member, stripped; empty where it is missing or not a text."""
    value = row.get(member)
    return value.strip() if isinstance(value, str) else ""


def custom_field(row: Row, name: str) -> str:
    """The value of a custom field, by its name without case; empty where it is missing or no text."""
    shown = row.get("customfields")
    for one in shown if isinstance(shown, list) else []:
        if isinstance(one, dict) and same(text(one, "name"), name):
            return text(one, "value")
    return ""


def moment(row: Row, member: str) -> datetime | None:
    """A date as Halo writes it: UTC without a zone, up to seven digits behind the second; its sentinels for "unset" are None (reference 2.3)."""
    try:
        read = datetime.fromisoformat(text(row, member))
    except ValueError:
        return None
    return None if read.year <= _UNSET_UNTIL else in_utc(read)


def true(row: Row, member: str) -> bool:
    """A flag, which some lists write as 1 or "true"."""
    return row.get(member) in (True, 1, "true", "True", "1")


def same(left: str, right: str) -> bool:
    """Equal without case, and not empty."""
    return bool(left.strip()) and left.strip().casefold() == right.strip().casefold()


def line(words: str, limit: int = LINE_LIMIT) -> str:
    """A text for a one-line field: no line breaks, control signs, direction overrides or broken surrogates; cut to the limit."""
    clean = "".join(" " if _breaks(sign) else sign for sign in words)
    clean = re.sub(r" +", " ", clean).strip()
    return clean if len(clean) <= limit else clean[: limit - 1].rstrip() + "…"


def paragraphs(words: str) -> str:
    """Plain text as HTML that shows it literally: escaped, a paragraph for each block, a break for each line."""
    blocks = re.split(r"\n\s*\n", words.replace("\r\n", "\n").replace("\r", "\n").strip())
    shown = ("<br>".join(html.escape(line(part, 4000)) for part in block.split("\n")) for block in blocks)
    return "".join(f"<p>{block}</p>" for block in shown)


def key_token(key: str) -> str:
    """How a key stands in a text. The brackets make a longer or a cut key differ."""
    return f"[{key}]"


def _breaks(sign: str) -> bool:
    # Zero-width joiners (U+200C, U+200D) are part of spelling in Persian and in emoji, so they stay.
    return unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") or sign in _DIRECTION_SIGNS


#: Signs that turn the direction of what follows: the key at the end of a summary has to read as it is.
_DIRECTION_SIGNS = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
