"""Politeness: no more calls than a provider allows, however many jobs want one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Pace:
    """At most `burst` calls at once, then `rate` a second, first come first served.

    One per process and limit. Several worker processes share a provider's limit unknowingly: what they overdo comes back
    as 429 and makes each of them wait.
    """

    def __init__(self, rate: float, burst: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._at = clock()

    def take(self) -> float:
        """Take a turn; returns the seconds to wait before using it."""
        self._refill()
        self._tokens -= 1
        return max(0.0, -self._tokens / self._rate)

    def short_of(self, spare: int) -> float:
        """Seconds until a turn would leave `spare` more for others."""
        self._refill()
        return max(0.0, (min(spare + 1, self._burst) - self._tokens) / self._rate)

    async def turn(self, spare: int = 0) -> None:
        """Wait for a turn, and for as long as it would not leave `spare` more for others."""
        while spare and (pause := self.short_of(spare)) > 0:  # noqa: ASYNC110 (turns come with time, nobody announces them)
            await asyncio.sleep(pause)
        pause = self.take()
        if pause > 0:
            await asyncio.sleep(pause)

    def told(self, remaining: int) -> None:
        """The provider says how many calls are left right now: believe it if it is fewer."""
        self._refill()
        self._tokens = min(self._tokens, float(remaining))

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(float(self._burst), self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
