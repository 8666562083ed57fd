"""Ranges in parts: what blocks of days and midnights nearby stand for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tracker.reports.spans import DAY, EPOCH, around, in_blocks, layers, quarters_between

YEAR = datetime(2026, 1, 1, tzinfo=UTC)
days = st.integers(0, 700).map(lambda number: YEAR + number * DAY)


@given(days, days, st.none() | days, st.none() | days)
def test_blocks_are_whole_closed_and_without_gaps(
    first: datetime, last: datetime, small: datetime | None, large: datetime | None
) -> None:
    first, last = min(first, last), max(first, last)
    closed = {8: small, 64: large}
    found = in_blocks(first, last, closed)
    at = found.since
    for size, start in zip(found.days, found.starts, strict=True):
        assert start == at
        assert (start - EPOCH).days % size == 0
        at += timedelta(days=size)
        until = closed[size]
        assert until is not None
        assert at <= until
    assert at == found.until
    if found.starts:
        assert first <= found.since <= found.until <= last
    else:
        assert found.since == found.until == last


def test_a_year_that_is_closed_reads_few_blocks() -> None:
    since, until = EPOCH + timedelta(days=64 * 300 + 5), EPOCH + timedelta(days=64 * 300 + 370)
    found = in_blocks(since, until, {8: until, 64: until})
    assert len(found.starts) <= 5 + 14
    assert found.since - since < timedelta(days=8)
    assert until - found.until < timedelta(days=8)


@given(st.lists(st.integers(0, 96 * 40).map(lambda number: YEAR + number * timedelta(minutes=15)), min_size=1))
def test_midnights_nearby(moments: list[datetime]) -> None:
    nearest, since, until, signs = around(moments)
    for midnight, first, last, sign, moment in zip(nearest, since, until, signs, moments, strict=True):
        assert (midnight - EPOCH) % DAY == timedelta()
        assert last - first <= DAY / 2
        assert (first, last) == ((midnight, moment) if sign == 1 else (moment, midnight))
    days_of, quarters, ends = quarters_between(since, until)
    for day, quarter, end, first, last in zip(days_of, quarters, ends, since, until, strict=True):
        assert (day - EPOCH) % DAY == timedelta()
        assert (day + quarter * timedelta(minutes=15), day + end * timedelta(minutes=15)) == (first, last)
        assert 0 <= quarter <= end <= 96


@given(days, days)
def test_layers_are_the_days_once_and_few(first: datetime, last: datetime) -> None:
    first, last = min(first, last), max(first, last)
    found = sorted(layers(first, last), key=lambda layer: layer.since)
    assert all(
        (layer.since - EPOCH).days % layer.days == 0 == (layer.until - EPOCH).days % layer.days for layer in found
    )
    ends = [layer.until for layer in found]
    assert [layer.since for layer in found] == [first, *ends][: len(found)]
    assert ends[-1:] == ([last] if first < last else [])
    assert (
        sum((layer.until - layer.since).days // layer.days for layer in found)
        <= (last - first).days // 64 + 2 * 7 + 2 * 7
    )
