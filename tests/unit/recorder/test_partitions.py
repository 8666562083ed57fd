"""Which partitions there should be."""

from __future__ import annotations

from datetime import UTC, date, datetime

from tracker.recorder import ulids
from tracker.recorder.partitions import wanted


def milliseconds(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc, arg-type]


def test_the_time_of_a_ulid() -> None:
    # The ULID specification's example: 01ARZ3NDEK is 2016-07-30T23:54:10.259Z.
    at_ms = milliseconds(2016, 7, 30, 23, 54, 10) + 259
    assert ulids.prefix(at_ms) == "01arz3ndek"
    assert ulids.milliseconds("01arz3ndektsv4rrffq69g5fav") == at_ms
    assert ulids.prefix(0) == "0000000000"
    assert ulids.milliseconds(ulids.prefix(2**48 - 1)) == 2**48 - 1


def test_months_meet_without_gap_over_the_turn_of_the_year() -> None:
    months = [p for p in wanted(date(2026, 11, 30)) if p.table == "clicks"]
    assert [p.name for p in months] == ["clicks_2026_11", "clicks_2026_12", "clicks_2027_01"]
    assert [p.upper for p in months[:-1]] == [p.lower for p in months[1:]]
    assert all(p.lower < p.upper and p.key == "click_id" for p in months)
    assert months[-1].upper == ulids.prefix(milliseconds(2027, 2, 1))


def test_days_run_into_the_next_month() -> None:
    days = [p for p in wanted(date(2027, 2, 27)) if p.table == "attempts"]
    assert [(p.lower, p.upper) for p in days] == [
        ("2027-02-27", "2027-02-28"),
        ("2027-02-28", "2027-03-01"),
        ("2027-03-01", "2027-03-02"),
        ("2027-03-02", "2027-03-03"),
    ]
    assert days[0].name == "attempts_2027_02_27"
