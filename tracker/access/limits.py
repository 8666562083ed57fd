"""Token buckets in Valkey: how often a key, a person or an address may do a thing, whichever process is asked.

Valkey away or slow never fails a request: `take` then answers from a bucket of this process, which is kept for what must be throttled
even then (logins), or not at all (`None`).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from importlib.resources import files

from tracker.stores.valkey import Client, RedisError

SCRIPT = files("tracker.access").joinpath("bucket.lua").read_text()
ANSWER_SECONDS = 0.25  # longest a request waits for its bucket
PAUSE_SECONDS = 1.0  # how long nobody asks again after an answer did not come
LOCAL_BUCKETS = 10_000


@dataclass(frozen=True)
class Rate:
    """A bucket of `capacity` tokens that refills `per_second`."""

    capacity: float
    per_second: float


@dataclass(frozen=True)
class Taken:
    """Whether a token was there, how many are left, and the seconds until one is."""

    ok: bool
    left: int
    wait_seconds: float


class Limiter:
    """Buckets by name. One per process."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis
        self._take = redis.register_script(SCRIPT)
        self._asleep_until = 0.0
        self._local: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def take(self, name: str, rate: Rate, cost: float = 1.0, *, always: bool = False) -> Taken | None:
        """Take `cost` tokens. Without Valkey: None, or with `always` the answer of this process's own bucket."""
        if time.monotonic() >= self._asleep_until:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    taken, left, wait = await self._take([f"limit:{name}"], [rate.capacity, rate.per_second, cost])
                return Taken(bool(taken), int(left), int(wait) / 1000)
            except (RedisError, OSError, TimeoutError):
                self._asleep_until = time.monotonic() + PAUSE_SECONDS
        return self._take_here(name, rate, cost) if always else None

    async def refill(self, name: str) -> None:
        """Make a bucket full again."""
        self._local.pop(name, None)
        if time.monotonic() < self._asleep_until:
            return
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._redis.delete(f"limit:{name}")
        except (RedisError, OSError, TimeoutError):
            self._asleep_until = time.monotonic() + PAUSE_SECONDS

    def _take_here(self, name: str, rate: Rate, cost: float) -> Taken:
        now = time.monotonic()
        left, at = self._local.pop(name, (rate.capacity, now))
        left = min(rate.capacity, left + (now - at) * rate.per_second)
        ok = left >= cost
        left -= cost if ok else 0.0
        self._local[name] = (left, now)
        while len(self._local) > LOCAL_BUCKETS:
            self._local.popitem(last=False)
        return Taken(ok, int(left), 0.0 if ok else (cost - left) / rate.per_second)
