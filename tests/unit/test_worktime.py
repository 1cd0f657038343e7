"""Working time over week-ends, holidays, daylight saving and the date line."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, reset_tzpath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joinery.domain.policy import WorkingTime
from joinery.domain.worktime import add_working_time, working_time_between

BERLIN = WorkingTime(zone="Europe/Berlin")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Kiritimati", "America/Sao_Paulo", "Pacific/Apia")


def local(text: str, zone: str = "Europe/Berlin") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


@pytest.mark.parametrize(
    ("start", "amount", "end"),
    [
        ("2026-11-23 10:00", 3, "2026-11-23 13:00"),
        # Until the end of a day is that day, not the next.
        ("2026-11-23 10:00", 7, "2026-11-23 17:00"),
        ("2026-11-23 10:00", 8, "2026-11-24 10:00"),
        # Nobody works at the week-end, before nine or after five.
        ("2026-11-27 16:00", 2, "2026-11-30 10:00"),
        ("2026-11-28 12:00", 1, "2026-11-30 10:00"),
        ("2026-11-23 03:00", 1, "2026-11-23 10:00"),
        ("2026-11-23 22:00", 0, "2026-11-24 09:00"),
    ],
)
def test_working_time_passes_while_people_are_at_work(start: str, amount: float, end: str) -> None:
    assert add_working_time(local(start), hours(amount), BERLIN) == local(end)


def test_nobody_works_on_a_holiday() -> None:
    closed = WorkingTime(zone="Europe/Berlin", holidays=("2026-12-25", "2026-12-28"))
    assert add_working_time(local("2026-12-24 16:00"), hours(2), closed) == local("2026-12-29 10:00")


def test_the_hours_are_those_of_the_zone_on_both_sides_of_daylight_saving() -> None:
    """Berlin leaves summer time on 2026-10-25: nine o'clock is 07:00 UTC before and 08:00 UTC after."""
    friday, monday = local("2026-10-23 09:00"), local("2026-10-26 09:00")
    assert monday.astimezone(UTC) - friday.astimezone(UTC) == timedelta(days=3, hours=1)
    assert add_working_time(friday, hours(9), BERLIN) == local("2026-10-26 10:00")


def test_a_night_shift_on_the_day_the_clocks_change_has_the_hours_that_it_really_has() -> None:
    nights = WorkingTime(zone="Europe/Berlin", days=(6,), begins=0, ends=6)
    spring, autumn = local("2026-03-29 00:00"), local("2026-10-25 00:00")
    assert working_time_between(spring, spring + timedelta(days=1), nights) == hours(5)
    assert working_time_between(autumn, autumn + timedelta(days=1), nights) == hours(7)


def test_the_first_to_wake_are_on_kiribati() -> None:
    line = WorkingTime(zone="Pacific/Kiritimati")
    start = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)
    assert add_working_time(start, hours(1), line) == datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


def test_a_day_that_a_country_skipped_is_no_working_day() -> None:
    """Samoa had no 2011-12-30, a Friday."""
    samoa = WorkingTime(zone="Pacific/Apia")
    thursday = datetime(2011, 12, 29, 17, 0, tzinfo=ZoneInfo("Pacific/Apia"))
    assert add_working_time(thursday, hours(1), samoa) == datetime(2012, 1, 2, 10, 0, tzinfo=ZoneInfo("Pacific/Apia"))


@pytest.mark.parametrize(
    "working",
    [
        WorkingTime(days=()),
        WorkingTime(begins=9, ends=9),
        WorkingTime(zone="Europe/Nowhere"),
        WorkingTime(zone="Europe"),
        WorkingTime(zone=""),
    ],
)
def test_where_nobody_ever_works_it_says_so_and_ends(working: WorkingTime) -> None:
    with pytest.raises(ValueError, match=r"working time|time zone"):
        add_working_time(datetime(2026, 1, 1, tzinfo=UTC), hours(1), working)


def test_negative_amounts_and_moments_without_a_zone_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        add_working_time(datetime(2026, 1, 1, tzinfo=UTC), -hours(1), BERLIN)
    with pytest.raises(ValueError, match="no time zone"):
        add_working_time(datetime(2026, 1, 1), hours(1), BERLIN)  # noqa: DTZ001  # that is the point


moments = st.datetimes(min_value=datetime(2011, 1, 1), max_value=datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis wants them without
amounts = st.timedeltas(min_value=timedelta(0), max_value=timedelta(hours=200))


@st.composite
def weeks(draw: st.DrawFn) -> WorkingTime:
    begins = draw(st.integers(0, 23))
    return WorkingTime(
        zone=draw(st.sampled_from(ZONES)),
        days=tuple(sorted(draw(st.sets(st.integers(0, 6), min_size=1)))),
        begins=begins,
        ends=draw(st.integers(begins + 1, 24)),
        holidays=tuple(day.isoformat() for day in draw(st.lists(st.dates(date(2011, 1, 1), date(2030, 1, 1)), max_size=3))),
    )


@settings(max_examples=200, deadline=None)
@given(moments, amounts, weeks())
def test_what_was_added_lies_between(moment: datetime, amount: timedelta, working: WorkingTime) -> None:
    end = add_working_time(moment, amount, working)
    assert end >= moment
    assert working_time_between(moment, end, working) == amount


@settings(max_examples=200, deadline=None)
@given(moments, amounts, amounts, weeks())
def test_more_working_time_never_ends_earlier(moment: datetime, less: timedelta, more: timedelta, working: WorkingTime) -> None:
    less, more = sorted((less, more))
    assert add_working_time(moment, less, working) <= add_working_time(moment, more, working)


@settings(max_examples=200, deadline=None)
@given(moments, st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=10)), amounts, weeks())
def test_whoever_starts_later_ends_no_earlier(moment: datetime, later: timedelta, amount: timedelta, working: WorkingTime) -> None:
    assert add_working_time(moment, amount, working) <= add_working_time(moment + later, amount, working)


def test_zones_are_known_where_the_machine_has_no_data_about_them() -> None:
    """Slim images and Windows have none; the package among our dependencies is asked then."""
    try:
        reset_tzpath(to=())
        assert ZoneInfo.no_cache("Europe/Berlin").key == "Europe/Berlin"
        assert ZoneInfo.no_cache("UTC").key == "UTC"
    finally:
        reset_tzpath()
