"""Halo's way of writing dates, notes and flags."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime

#: An unset date. Halo also shows 1900-01-01, 1901-01-01 and 0001-01-01; new rows show this one.
UNSET_DATE = "1899-12-30T00:00:00"

_BREAKS = re.compile(r"<\s*(?:br\s*/?|/\s*(?:p|div|li|tr|h[1-6]))\s*>", re.IGNORECASE)
_TAGS = re.compile(r"<[^>]*>")
_FRACTION = re.compile(r"(\.\d{6})\d+")


def halo_date(moment: datetime) -> str:
    """UTC without a zone, seven fractional digits: `2026-11-23T09:12:44.1170000`."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "0"


def read_date(text: str) -> datetime:
    """A date as clients send it, with or without zone (then UTC) and with up to seven digits; ValueError otherwise."""
    moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text.strip()))
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as overflow:
        raise ValueError(f"{text!r} lies outside the calendar") from overflow


def is_unset(text: str | None) -> bool:
    """True for null and for the sentinel dates that mean "none"."""
    return not text or text[:10] in {"1899-12-30", "1900-01-01", "1901-01-01", "0001-01-01"}


def text_of(markup: str) -> str:
    """The plain text of a piece of HTML; closing paragraphs and breaks become line ends."""
    return html.unescape(_TAGS.sub("", _BREAKS.sub("\n", markup))).strip()


def markup_of(text: str) -> str:
    """The HTML that Halo makes of plain text."""
    return "<p>" + html.escape(text, quote=False).replace("\r\n", "\n").replace("\n", "<br>") + "</p>" if text else ""


def both(row: dict[str, object], plain: str, rich: str) -> dict[str, str]:
    """The pair (`details`, `details_html`): what was sent, and the missing half derived from the other. Empty when neither was sent."""
    text, markup = row.get(plain), row.get(rich)
    if text is None and markup is None:
        return {}
    if text is None:
        return {plain: text_of(str(markup)), rich: str(markup)}
    return {plain: str(text), rich: markup_of(str(text)) if markup is None else str(markup)}
