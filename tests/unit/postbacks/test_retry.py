"""When a delivery is tried again (spec section 11)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbacks.retry import SCHEDULE, RetryPolicy, decide
from postbacks.verdicts import Outcome, Verdict, parse_retry_after

POLICY = RetryPolicy()
NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("step", range(len(SCHEDULE)))
def test_the_schedule_step_by_step(step: int) -> None:
    decision = decide(POLICY, Verdict("transient", "503"), charged_before=step, age=0, roll=0)
    assert (decision.state, decision.delay, decision.charged) == ("waiting", SCHEDULE[step], True)


def test_after_the_last_step_it_is_dead_and_says_why() -> None:
    decision = decide(POLICY, Verdict("transient", "503"), charged_before=len(SCHEDULE), age=0, roll=0)
    assert (decision.state, decision.words) == ("dead", "given up after 8 attempts: 503")


def test_a_refusal_for_good_is_dead_at_once() -> None:
    assert decide(POLICY, Verdict("permanent", "no"), charged_before=0, age=0, roll=0).state == "dead"


@pytest.mark.parametrize(("roll", "delay"), [(-1.0, 4.0), (1.0, 6.0)])
def test_jitter_is_a_fifth_either_way(roll: float, delay: float) -> None:
    assert decide(POLICY, Verdict("transient", ""), charged_before=0, age=0, roll=roll).delay == delay


def test_a_timeout_or_429_waits_a_minute_first() -> None:
    for verdict in (Verdict("transient", "", overloaded=True), Verdict("throttled", "")):
        assert decide(POLICY, verdict, charged_before=0, age=0, roll=0).delay == 60.0
        assert decide(POLICY, verdict, charged_before=1, age=0, roll=0).delay == 300.0


@pytest.mark.parametrize(("asked", "delay"), [(1.0, 300.0), (400.0, 400.0), (999999.0, 600.0), (None, 300.0)])
def test_retry_after_is_clamped(asked: float | None, delay: float) -> None:
    assert decide(POLICY, Verdict("transient", "", retry_after=asked), charged_before=1, age=0, roll=0).delay == delay


def test_retry_after_starts_from_the_minute_of_a_429() -> None:
    verdict = Verdict("throttled", "", retry_after=999999.0, overloaded=True)
    assert decide(POLICY, verdict, charged_before=0, age=0, roll=0).delay == 120.0


@given(
    st.sampled_from(["transient", "throttled", "auth"]),
    st.none() | st.floats(0, 1e9),
    st.booleans(),
    st.integers(0, 6),
    st.floats(-1, 1),
)
def test_delays_stay_within_their_bounds(
    outcome: Outcome, asked: float | None, overloaded: bool, step: int, roll: float
) -> None:
    verdict = Verdict(outcome, "", retry_after=asked, overloaded=overloaded)
    delay = decide(POLICY, verdict, charged_before=step, age=0, roll=roll).delay
    assert 0.8 * SCHEDULE[step] <= delay <= 2 * max(1.2 * SCHEDULE[step], 60.0)


def test_failures_of_ours_cost_no_attempt_and_slow_down_with_age() -> None:
    verdict = Verdict("ours", "dns")
    first = decide(POLICY, verdict, charged_before=7, age=0, roll=0)
    assert (first.state, first.delay, first.charged) == ("waiting", 5.0, False)
    assert decide(POLICY, verdict, charged_before=0, age=100, roll=0).delay == 50.0
    assert decide(POLICY, verdict, charged_before=0, age=86400, roll=0).delay == 600.0
    assert decide(POLICY, verdict, charged_before=0, age=6 * 86400, roll=0).state == "dead"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0),
        (" 120 ", 120.0),
        ("999999999999999999999", 999999999999.0),
        ("Sat, 31 Jan 2026 12:01:30 GMT", 90.0),
        ("Sat, 31 Jan 2026 11:00:00 GMT", None),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
        ("٣", None),
    ],
)
def test_retry_after_header(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds
