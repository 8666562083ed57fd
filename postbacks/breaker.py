"""One destination's breaker: how many requests it gets at a time, when it gets none, and when it is switched off.

Pure: every function takes the state and a clock reading and returns the next state. Two memories of different length:
the short one (failures in a row) parks a dead receiver and lets single probes through; the long one (`failing_since`,
kept in the database and shared by dispatchers) disables a destination that did nothing but fail for days.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from postbacks.verdicts import Outcome


class BreakerPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """threshold: failures in a row that open it. cooldown..longest_cooldown: seconds closed to all but a probe, doubling.

    disable_after: seconds of nothing but failures until the destination is disabled; a memory of twice that is stale.
    """

    threshold: int = 8
    cooldown: float = 5.0
    longest_cooldown: float = 300.0
    disable_after: float = 5 * 86400.0


class Breaker(msgspec.Struct, frozen=True):
    """`share`: part of the destination's concurrency it gets now, in (0, 1]; `open_until`: monotonic seconds."""

    failures: int = 0
    cooldown: float = 0.0
    open_until: float = 0.0
    share: float = 1.0

    def is_open(self, now: float) -> bool:
        """No request may leave."""
        return now < self.open_until

    def allowance(self, now: float, concurrency: int) -> int:
        """How many requests may be under way: none while open, one while probing, else its share of `concurrency`."""
        if now < self.open_until:
            return 0
        return 1 if self.cooldown else max(1, int(concurrency * self.share))


def after(policy: BreakerPolicy, breaker: Breaker, outcome: Outcome, now: float, *, begun: float) -> Breaker:
    """The breaker after an attempt that began at `begun` and ended at `now` (monotonic seconds).

    `permanent` says something about the event, nothing about the receiver, and changes nothing. A 429 halves the share;
    answers win it back. Failures that began before the last opening tell nothing new and do not lengthen it. Failures
    of ours open it as well (asking a dead resolver harder helps nobody), but never reach `failing_since`.
    """
    if outcome == "delivered":
        if breaker.cooldown or breaker.failures or breaker.share < 1.0:
            return Breaker(share=min(1.0, breaker.share + 0.05))
        return breaker
    if outcome == "permanent":
        return breaker
    share = max(breaker.share / 2, 0.01) if outcome == "throttled" else breaker.share
    opened_at = breaker.open_until - breaker.cooldown
    if breaker.cooldown and begun < opened_at:
        return msgspec.structs.replace(breaker, share=share)
    failures = breaker.failures + 1
    if failures < policy.threshold:
        return msgspec.structs.replace(breaker, failures=failures, share=share)
    cooldown = min(max(policy.cooldown, breaker.cooldown * 2), policy.longest_cooldown)
    return Breaker(failures, cooldown, now + cooldown, share)


def long_memory(
    policy: BreakerPolicy, failing_since: datetime | None, outcome: Outcome, now: datetime
) -> tuple[datetime | None, Literal["keep", "clear", "start", "disable"]]:
    """What to do with `failing_since` after an attempt: its new value and the change to write.

    Any success clears it. A memory older than twice `disable_after` belongs to another time (little traffic, no failure
    in between that we saw) and starts again rather than disabling on one new failure.
    """
    if outcome == "delivered":
        return None, "clear" if failing_since else "keep"
    if outcome in ("permanent", "ours"):
        return failing_since, "keep"
    limit = timedelta(seconds=policy.disable_after)
    if failing_since is None or now - failing_since > 2 * limit:
        return now, "start"
    return failing_since, "disable" if now - failing_since > limit else "keep"
