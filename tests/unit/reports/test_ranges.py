"""Ranges of local days, their steps and their parts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.management.errors import Invalid
from tracker.reports.ranges import between, days, previous, steps
from tracker.reports.spans import by_hours, by_quarters

ZONES = (
    "UTC",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Africa/Cairo",
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_days_of_a_zone_begin_at_its_midnight() -> None:
    covered = days(date(2026, 3, 8), date(2026, 3, 8), "America/New_York")
    assert (covered.start, covered.end) == (at("2026-03-08T05:00"), at("2026-03-09T04:00"))
    assert (covered.first_day, covered.last_day) == (date(2026, 3, 8), date(2026, 3, 8))
    assert len(steps(covered, "hour")) == 23
    assert len(steps(days(date(2026, 11, 1), date(2026, 11, 1), "America/New_York"), "hour")) == 25


def test_a_midnight_that_is_skipped_is_the_first_instant_of_its_day() -> None:
    covered = days(date(2026, 9, 6), date(2026, 9, 6), "America/Santiago")
    assert covered.start == at("2026-09-06T04:00")
    assert covered.first_day == date(2026, 9, 6)


def test_without_dates_it_is_the_last_thirty_days_of_that_zone() -> None:
    covered = days(None, None, "Asia/Kolkata", today=date(2026, 11, 22))
    assert (covered.first_day, covered.last_day) == (date(2026, 10, 24), date(2026, 11, 22))
    assert len(steps(covered, "day")) == 30


def test_the_period_before_has_as_many_days() -> None:
    covered = days(date(2026, 3, 5), date(2026, 3, 11), "America/New_York")
    before = previous(covered)
    assert (before.first_day, before.last_day, before.end) == (date(2026, 2, 26), date(2026, 3, 4), covered.start)
    hours = between(at("2026-03-05T06:00"), at("2026-03-05T09:00"))
    assert previous(hours).start == at("2026-03-05T03:00")


@pytest.mark.parametrize(
    ("first", "last", "zone", "field"),
    [
        (date(2026, 1, 2), date(2026, 1, 1), "UTC", "date_start"),
        (date(1999, 1, 1), None, "UTC", "date_start"),
        (None, date(2200, 1, 1), "UTC", "date_end"),
        (None, None, "Mars/Olympus", "time_zone"),
    ],
)
def test_what_is_wrong_is_named(first: date | None, last: date | None, zone: str, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        days(first, last, zone)
    assert list(refused.value.errors) == [field]


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(0, 400), st.sampled_from(ZONES))
def test_the_parts_of_a_range_are_the_range(first: date, count: int, zone: str) -> None:
    covered = days(first, first + timedelta(days=count), zone)
    assert len(steps(covered, "day")) == count + 1
    start, first_day, end_day, end, rest = by_quarters(covered.start, covered.end)
    assert (start, end, rest) == (covered.start, covered.end, ())
    assert start <= first_day <= end_day <= end
    assert end_day - first_day >= timedelta(days=count - 1)
    hourly = by_hours(covered)
    told = hourly.end - hourly.start + sum((until - since for since, until in hourly.rest), timedelta())
    assert told == covered.end - covered.start
    assert hourly.start.minute == hourly.end.minute == 0
