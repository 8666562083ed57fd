"""Token buckets in Valkey: how often a key, a person or an address may do a thing, whichever process is asked.

Valkey away or slow never fails a request: `take` then answers from a bucket of this process, which is kept for what must be throttled
even then (logins), or not at all (`None`).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from tracker.management.errors import Refused
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


class TooOften(Refused):
    """429: try again after `wait_seconds`. The words are the vendor's (upstream 1.1)."""

    def __init__(self, wait_seconds: float) -> None:
        super().__init__(429, "TOO_MANY_REQUESTS", "Too Many Attempts.")
        self.wait_seconds = max(1, math.ceil(wait_seconds))


class Limiter:
    """Buckets by name. One per process."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis
        self._take = redis.register_script(SCRIPT)
        self._asleep_until = 0.0
        self._local: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._held: OrderedDict[str, tuple[int, int]] = (
            OrderedDict()
        )  # tokens fetched and not yet handed out, left in the bucket

    async def take(self, name: str, rate: Rate, cost: float = 1.0, *, always: bool = False) -> Taken | None:
        """Take `cost` tokens; a negative cost gives back. Without Valkey: None, or with `always` the answer of this process's own bucket."""
        answer = await self._ask(self._take([f"limit:{name}"], [rate.capacity, rate.per_second, cost]))
        if answer is not None:
            taken, left, wait = answer
            return Taken(bool(taken), int(left), int(wait) / 1000)
        return self._take_here(name, rate, cost) if always else None

    async def take_one(self, name: str, rate: Rate) -> Taken | None:
        """Take a token of a busy bucket: this process fetches a hundredth of the bucket at once and hands it out, so that few requests
        wait for Valkey (and for its fsync). Several processes may so exceed a limit by a hundredth each. Without Valkey: None.
        """
        held, left = self._held.pop(name, (0, 0))
        if not held:
            share = max(1, int(rate.capacity // 100))
            taken = await self.take(name, rate, share)
            if taken is not None and not taken.ok and share > 1:
                share, taken = 1, await self.take(name, rate)
            if taken is None or not taken.ok:
                return taken
            more, _ = self._held.pop(name, (0, 0))  # another request may have fetched meanwhile
            held, left = share + more, taken.left
        self._held[name] = (held - 1, left)
        while len(self._held) > LOCAL_BUCKETS:
            self._held.popitem(last=False)
        return Taken(True, left + held - 1, 0.0)

    async def remember(self, name: str, seconds: int) -> None:
        """Remember a name for a while."""
        await self._ask(self._redis.set(f"known:{name}", b"1", ex=seconds))

    async def remembers(self, name: str) -> bool:
        """Whether a name is remembered; no without Valkey."""
        return bool(await self._ask(self._redis.exists(f"known:{name}")))

    async def _ask(self, command: Awaitable[Any]) -> Any:
        if time.monotonic() >= self._asleep_until:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await command
            except (RedisError, OSError, TimeoutError):
                self._asleep_until = time.monotonic() + PAUSE_SECONDS
        elif isinstance(command, Coroutine):
            command.close()
        return None

    def _take_here(self, name: str, rate: Rate, cost: float) -> Taken:
        now = time.monotonic()
        left, at = self._local.pop(name, (rate.capacity, now))
        left = min(rate.capacity, left + (now - at) * rate.per_second)
        ok = left >= cost
        left = min(rate.capacity, left - cost) if ok else left
        self._local[name] = (left, now)
        while len(self._local) > LOCAL_BUCKETS:
            self._local.popitem(last=False)
        return Taken(ok, int(left), 0.0 if ok else (cost - left) / rate.per_second)
