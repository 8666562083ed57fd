"""When a partition is past its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tracker.protection.retention import Partition, end_of, expired
from tracker.settings import ConfigurationError, load

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("clicks_2026_11", datetime(2026, 12, 1, tzinfo=UTC)),
        ("visits_2026_12", datetime(2027, 1, 1, tzinfo=UTC)),
        ("clicks_2024_02", datetime(2024, 3, 1, tzinfo=UTC)),
        ("delivery_events_2026_02_28", datetime(2026, 3, 1, tzinfo=UTC)),
        ("attempts_2026_12_31", datetime(2027, 1, 1, tzinfo=UTC)),
        ("clicks_rest", None),
    ],
)
def test_a_partition_ends_by_its_name(name: str, end: datetime | None) -> None:
    assert end_of(name) == end


def test_only_what_is_wholly_past_its_time_goes() -> None:
    ends = [NOW - timedelta(days=days) for days in (31, 30, 29, 0, -30)]
    some = [Partition(f"p{number}", "", end, False) for number, end in enumerate(ends)]
    assert [one.name for one in expired(some, NOW, 30)] == ["p0", "p1"]
    assert expired(some, NOW, 0) == [], "0 is for ever"


@pytest.mark.parametrize("name", ["CLICKBIND_RETENTION_CLICKS_DAYS", "CLICKBIND_RETENTION_EVENTS_DAYS"])
def test_what_credits_are_made_of_is_kept_for_two_months_at_least(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        load({name: "59"})
    for days in ("0", "60"):
        load({name: days})


@pytest.mark.parametrize("value", ["-1", "soon", "1e9"])
def test_a_retention_is_a_number_of_days(value: str) -> None:
    with pytest.raises(ConfigurationError, match="CLICKBIND_RETENTION_ATTEMPTS_DAYS"):
        load({"CLICKBIND_RETENTION_ATTEMPTS_DAYS": value})
