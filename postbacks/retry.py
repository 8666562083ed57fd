"""When a delivery is tried again (spec section 11): the schedule's step with jitter, floors and Retry-After; then dead."""

from __future__ import annotations

from typing import Literal

import msgspec

from postbacks.verdicts import Verdict

# Svix's schedule: 27.6 hours in all, which ends before the ad platforms' 48-hour dedup window does.
SCHEDULE = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 36000.0)


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How patient we are. All durations are seconds.

    schedule: before each retry; its length is the number of retries. jitter: share of a step, either way.
    overload_floor: shortest wait after a 429 or a timeout. ours_first and ours_longest bound the wait after a failure of
    ours, which takes half the delivery's age in between; after ours_gives_up the delivery is dead.
    """

    schedule: tuple[float, ...] = SCHEDULE
    jitter: float = 0.2
    overload_floor: float = 60.0
    ours_first: float = 5.0
    ours_longest: float = 600.0
    ours_gives_up: float = 5 * 86400.0


class RetryDecision(msgspec.Struct, frozen=True):
    """What becomes of a delivery: its state, the seconds until it is due, whether the attempt counts, and why."""

    state: Literal["waiting", "delivered", "skipped", "dead"]
    delay: float
    charged: bool
    words: str


def decide(policy: RetryPolicy, verdict: Verdict, *, charged_before: int, age: float, roll: float) -> RetryDecision:
    """Decide after an attempt.

    `charged_before`: attempts that counted before this one. `age`: seconds since the delivery was written. `roll`: a
    random number in [-1, 1], the jitter. The delay is the step with jitter, at least `overload_floor` when overloaded,
    then Retry-After clamped to [delay, 2 x delay], so that no receiver can park a delivery or make us hammer it.
    """
    match verdict.outcome:
        case "delivered":
            return RetryDecision("delivered", 0.0, True, verdict.words)
        case "skipped":
            return RetryDecision("skipped", 0.0, False, verdict.words)
        case "permanent":
            return RetryDecision("dead", 0.0, True, f"refused: {verdict.words}")
        case "ours":
            if age > policy.ours_gives_up:
                return RetryDecision("dead", 0.0, False, f"given up after {_span(age)}: {verdict.words}")
            delay = min(max(policy.ours_first, age / 2), policy.ours_longest) * (1 + policy.jitter * roll)
            return RetryDecision("waiting", delay, False, verdict.words)
    if verdict.halts == "paused":
        # Whoever mends the connection finds its events waiting, with all their retries left.
        return RetryDecision("waiting", policy.ours_first, False, verdict.words)
    if charged_before >= len(policy.schedule):
        return RetryDecision("dead", 0.0, True, f"given up after {charged_before + 1} attempts: {verdict.words}")
    delay = policy.schedule[charged_before] * (1 + policy.jitter * roll)
    if verdict.overloaded or verdict.outcome == "throttled":
        delay = max(delay, policy.overload_floor)
    if verdict.retry_after is not None:
        delay = min(max(verdict.retry_after, delay), 2 * delay)
    return RetryDecision("waiting", delay, True, verdict.words)


def _span(seconds: float) -> str:
    return f"{seconds / 86400:.1f} days" if seconds >= 86400 else f"{seconds:.0f} s"
