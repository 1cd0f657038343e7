"""Points in time: always aware, always UTC, one text form."""

from __future__ import annotations

from datetime import UTC, datetime


def aware(moment: datetime) -> datetime:
    """Return ``moment`` in UTC.

    Raises:
        ValueError: it has no zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; give an aware datetime")
    return moment.astimezone(UTC)


def in_utc(moment: datetime) -> datetime:
    """The same in UTC; one without a zone, as others write them, counts as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def to_text(moment: datetime) -> str:
    """``2026-11-23T09:00:00.000000Z``: fixed width, so that texts sort as moments do."""
    return aware(moment).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def from_text(text: str) -> datetime:
    """Read ISO 8601 with a zone (``Z`` or an offset).

    Raises:
        ValueError: not a date, or without a zone.
    """
    return aware(datetime.fromisoformat(text))
