"""When to look for a link, what a list proves, and how long a failure waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.accounts.backoff import STEPS, backoff
from tracker.accounts.looks import Edge, looking_seconds, new_edges, next_look
from tracker.providers.base import LinkSubscriber

NOW = datetime(2026, 11, 22, 12, 0, 30, tzinfo=UTC)
RETRY = (15.0, 30.0, 60.0)


def heard(*ages: float) -> list[datetime]:
    """Fans heard of that many seconds ago."""
    return [NOW - timedelta(seconds=age) for age in ages]


@pytest.mark.parametrize(
    ("ages", "seconds"),
    [
        ((), None),
        ((0.0,), 3.0),
        ((3.0,), 15.0),
        ((14.0,), 34.0),  # its turn at 18 s is 4 s away, less than half a step: this look was it
        ((18.0,), 30.0),
        ((48.0,), 60.0),
        ((108.0,), None),
        ((500.0,), None),
        ((18.0, 500.0, 3.0), 15.0),
    ],
)
def test_looks_come_in_growing_steps_and_end(ages: tuple[float, ...], seconds: float | None) -> None:
    assert next_look(heard(*ages), NOW, 3.0, RETRY) == seconds


@given(ages=st.lists(st.floats(0, 1000), max_size=30))
def test_a_crowd_costs_no_more_looks_than_its_most_eager_fan(ages: list[float]) -> None:
    look = next_look(heard(*ages), NOW, 3.0, RETRY)
    assert look is None or 1.5 <= look <= 90.0, "at most the longest step and the half that was skipped"
    assert looking_seconds(3.0, RETRY) == 108.0
    if all(age > 108.0 for age in ages):
        assert look is None


def subscriber(fan: int, at: datetime | None = None) -> LinkSubscriber:
    """A row."""
    return LinkSubscriber(str(fan), f"u{fan}", "Sam", at)


def keys(events: list[object]) -> list[str]:
    """Their keys."""
    return [event.event_key for event in events]  # type: ignore[attr-defined]


def test_unknown_fans_are_new_however_many_the_counter_counts() -> None:
    rows = [subscriber(3), subscriber(2), subscriber(1)]
    known = {"1": Edge(1, NOW - timedelta(days=1), NOW)}
    events = new_edges(7, rows, known, {}, 1, NOW)
    assert sorted(keys(events)) == ["link:7:2:1", "link:7:3:1"]  # type: ignore[arg-type]
    assert {(event.at, event.precision_seconds) for event in events} == {(NOW, -1)}


def test_the_best_time_wins() -> None:
    at, told = NOW - timedelta(minutes=3), NOW - timedelta(minutes=4)
    (exact,) = new_edges(7, [subscriber(1, at)], {}, {"1": told}, 1, NOW)
    assert (exact.at, exact.precision_seconds) == (at, 0)
    (minute,) = new_edges(7, [subscriber(1)], {}, {"1": told}, 1, NOW)
    assert (minute.at, minute.precision_seconds) == (told, 60)


def test_a_fan_comes_back_when_told_or_when_the_list_shows_a_later_time() -> None:
    before = NOW - timedelta(days=3)
    known = {"1": Edge(1, before, before), "2": Edge(2, before, before)}
    rows = [subscriber(1), subscriber(2)]
    assert new_edges(7, rows, known, {}, 1, NOW) == []
    assert keys(new_edges(7, rows, known, {"2": NOW}, 1, NOW)) == ["link:7:2:3"]  # type: ignore[arg-type]
    later = [subscriber(1, NOW), subscriber(2, before)]
    assert keys(new_edges(7, later, known, {}, 1, NOW)) == ["link:7:1:2"]  # type: ignore[arg-type]
    assert new_edges(7, later, known, {}, 0, NOW) == [], "the counter counts nobody more"


def test_of_a_link_with_a_past_only_those_looked_for_are_taken() -> None:
    rows = [subscriber(1), subscriber(2)]
    events = new_edges(7, rows, {}, {"2": NOW}, 50, NOW, only_waiting=True)
    assert keys(events) == ["link:7:2:1"]  # type: ignore[arg-type]


def test_failures_wait_longer_and_believe_the_provider() -> None:
    for kind, steps in STEPS.items():
        waits = [backoff(kind, failures, jitter=0.0) for failures in range(12)]
        assert waits == sorted(waits)
        assert waits[-1] == steps[-1]
        assert waits[0] >= 5, "never a hot loop"
    assert backoff("throttled", 0, 45.0, jitter=0.0) == 45.0
    assert backoff("throttled", 0, 1e6, jitter=0.0) == 600.0
    assert backoff("throttled", 0, 0.001, jitter=0.0) == 1.0
    assert backoff("permanent", 0, 1.0, jitter=0.0) == STEPS["permanent"][0]
    assert backoff("transient", 0, jitter=0.999) < 5 * 1.2
