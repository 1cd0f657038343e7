"""Working time: when people can be expected to answer, counted in their own zone and returned in UTC."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from joinery.domain.moments import aware
from joinery.domain.policy import WorkingTime

#: How far ahead working time is looked for: nobody waits longer for an answer.
DAYS_MAX = 2000


def add_working_time(moment: datetime, amount: timedelta, working: WorkingTime) -> datetime:
    """When ``amount`` of working time has passed since ``moment``; the end of a working day, not the start of the next.

    With no amount it is the first working moment, ``moment`` itself where people are at work then.

    Raises:
        ValueError: the moment has no zone, the amount is negative, the zone is unknown, or nobody works within ``DAYS_MAX`` days.
    """
    if amount < timedelta(0):
        raise ValueError(f"{amount} is negative; working time is added, never taken away")
    left = amount
    for begins, ends in _spans(aware(moment), working):
        if left <= ends - begins:
            return begins + left
        left -= ends - begins
    raise ValueError(f"there is not {amount} of working time within {DAYS_MAX} days; look at the days, hours and holidays")


def working_time_between(start: datetime, end: datetime, working: WorkingTime) -> timedelta:
    """How much working time lies between two moments; none where ``end`` is not later. Raises ValueError as ``add_working_time``."""
    start, end = aware(start), aware(end)
    total = timedelta(0)
    if end <= start:
        return total
    for begins, ends in _spans(start, working):
        if begins >= end:
            break
        total += min(ends, end) - begins
    return total


def _spans(start: datetime, working: WorkingTime) -> Iterator[tuple[datetime, datetime]]:
    """What is left of each working day from ``start`` on, in UTC, in order and without overlap."""
    zone = _zone(working.zone)
    day = start.astimezone(zone).date() - timedelta(days=1)
    reached = start
    for _ in range(DAYS_MAX):
        if day.weekday() in working.days and day.isoformat() not in working.holidays and _exists(day, zone):
            begins, ends = _at(day, working.begins, zone), _at(day, working.ends, zone)
            # Where clocks are set back or forward at midnight, two days may share an hour: it counts once.
            begins = max(begins, reached)
            if begins < ends:
                reached = ends
                yield begins, ends
        day += timedelta(days=1)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # OSError: a name of a folder, such as "Europe".
        raise ValueError(f"{name!r} is no time zone; use an IANA name such as Europe/Berlin") from None


def _exists(day: date, zone: ZoneInfo) -> bool:
    """Whether the zone had this day: whoever moves across the date line skips one (Samoa 2011, Kiribati 1994 and 1995)."""
    return _at(day, 12, zone).astimezone(zone).date() == day


def _at(day: date, hour: int, zone: ZoneInfo) -> datetime:
    """A full hour of a day, 24 being the midnight that ends it; an hour that the clocks skip is the moment of the skip's end."""
    local = datetime.combine(day, time(0), tzinfo=None) + timedelta(hours=hour)
    return local.replace(tzinfo=zone).astimezone(UTC)
