"""The breaker: parks a dead receiver, probes one at a time, forgives, and disables after days of only failures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbacks.breaker import Breaker, BreakerPolicy, after, long_memory
from postbacks.verdicts import Outcome

POLICY = BreakerPolicy(threshold=3, cooldown=5.0, longest_cooldown=40.0)
NOW = datetime(2026, 1, 31, tzinfo=UTC)
OUTCOMES: list[Outcome] = ["delivered", "permanent", "transient", "throttled", "auth", "ours"]


def failed(times: int, at: float = 100.0) -> Breaker:
    breaker = Breaker()
    for _ in range(times):
        breaker = after(POLICY, breaker, "transient", at, begun=at)
    return breaker


def test_opens_at_the_threshold_then_lets_one_probe_through() -> None:
    assert failed(2).allowance(100.0, 8) == 8
    opened = failed(3)
    assert opened.allowance(100.0, 8) == 0
    assert opened.is_open(104.9)
    assert opened.allowance(105.0, 8) == 1


def test_a_failed_probe_doubles_the_wait_up_to_the_longest() -> None:
    breaker, now, waits = failed(3), 100.0, []
    for _ in range(5):
        waits.append(breaker.open_until - now)
        now = breaker.open_until
        breaker = after(POLICY, breaker, "transient", now, begun=now)
    assert waits == [5.0, 10.0, 20.0, 40.0, 40.0]


def test_failures_from_before_the_opening_tell_nothing_new() -> None:
    opened = failed(3)
    assert after(POLICY, opened, "transient", 103.0, begun=99.0) == opened


def test_one_success_closes_it() -> None:
    closed = after(POLICY, failed(3), "delivered", 105.0, begun=105.0)
    assert closed.allowance(105.0, 8) == 8


def test_a_refused_event_says_nothing_about_the_receiver() -> None:
    assert after(POLICY, failed(2), "permanent", 100.0, begun=100.0) == failed(2)


def test_429_halves_the_share_and_answers_win_it_back() -> None:
    throttled = after(POLICY, Breaker(), "throttled", 1.0, begun=1.0)
    assert throttled.allowance(1.0, 8) == 4
    breaker = throttled
    for _ in range(10):
        breaker = after(POLICY, breaker, "delivered", 2.0, begun=2.0)
    assert breaker.allowance(2.0, 8) == 8


@given(st.lists(st.tuples(st.sampled_from(OUTCOMES), st.floats(0, 100))))
def test_it_never_locks_up(history: list[tuple[Outcome, float]]) -> None:
    breaker, now = Breaker(), 0.0
    for outcome, seconds in history:
        now += seconds
        breaker = after(POLICY, breaker, outcome, now, begun=now)
        assert breaker.open_until <= now + POLICY.longest_cooldown
        assert 1 <= breaker.allowance(now + POLICY.longest_cooldown, 8) <= 8


@pytest.mark.parametrize(
    ("days", "outcome", "change"),
    [
        (None, "transient", "start"),
        (1.0, "transient", "keep"),
        (5.1, "transient", "disable"),
        (5.1, "throttled", "disable"),
        (5.1, "ours", "keep"),
        (5.1, "permanent", "keep"),
        (5.1, "delivered", "clear"),
        (None, "delivered", "keep"),
        (11.0, "transient", "start"),
    ],
)
def test_long_memory(days: float | None, outcome: Outcome, change: str) -> None:
    since = None if days is None else NOW - timedelta(days=days)
    assert long_memory(BreakerPolicy(), since, outcome, NOW)[1] == change
