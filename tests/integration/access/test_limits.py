"""Token buckets in Valkey, shared by processes, and without Valkey."""

from __future__ import annotations

import asyncio

from tracker.access.limits import Limiter, Rate
from tracker.stores import valkey
from tracker.stores.valkey import Client

SLOW = Rate(capacity=10, per_second=0.001)


async def test_a_bucket_is_shared_and_exact(redis: Client) -> None:
    one, two = Limiter(redis), Limiter(redis)
    taken = await asyncio.gather(*(limiter.take("x", SLOW) for limiter in (one, two) for _ in range(8)))
    assert [each.ok for each in taken if each].count(True) == 10
    refused = await one.take("x", SLOW)
    assert refused is not None
    assert not refused.ok
    assert 0 < refused.wait_seconds <= 1000
    other = await one.take("y", SLOW)
    assert other is not None
    assert other.ok


async def test_a_bucket_refills_and_what_is_given_back_returns(redis: Client) -> None:
    limiter = Limiter(redis)
    quick = Rate(capacity=2, per_second=200)
    emptied = await limiter.take("x", quick, 2.0)
    assert emptied is not None
    assert emptied.ok
    await _until_taken(limiter, quick)
    for _ in range(10):
        assert await limiter.take("z", SLOW)
    await limiter.take("z", SLOW, -1)
    again = await limiter.take("z", SLOW)
    assert again is not None
    assert again.ok
    await limiter.take("full", SLOW, -5)
    full = await limiter.take("full", SLOW)
    assert full is not None
    assert full.left == 9, "never fuller than full"


async def _until_taken(limiter: Limiter, rate: Rate) -> None:
    async with asyncio.timeout(10):
        while True:
            taken = await limiter.take("x", rate, 2.0)
            if taken is not None and taken.ok:
                return


async def test_a_busy_caller_asks_valkey_rarely_and_stays_within_its_limit(redis: Client) -> None:
    rate = Rate(capacity=1000, per_second=0.001)
    limiters = [Limiter(redis) for _ in range(3)]
    before = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] if await limiters[0].take("w", rate) else 0
    taken = [await limiters[n % 3].take_one("x", rate) for n in range(1100)]
    assert [each.ok for each in taken if each].count(True) == 1000
    lefts = [each.left for each in taken[::3] if each and each.ok]
    assert lefts == sorted(lefts, reverse=True)
    asked = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] - before
    assert asked <= 100 + 200, "a hundred shares, and the refusals"


async def test_without_valkey_nothing_is_limited_but_what_must_be() -> None:
    limiter = Limiter(valkey.connect("redis://127.0.0.1:1/0"))
    assert await limiter.take_one("x", SLOW) is None
    assert await limiter.take("x", SLOW) is None
    taken = [await limiter.take("x", SLOW, always=True) for _ in range(12)]
    assert [each.ok for each in taken if each] == [True] * 10 + [False] * 2
    await limiter.take("x", SLOW, -1, always=True)
    last = await limiter.take("x", SLOW, always=True)
    assert last is not None
    assert last.ok
    assert not await limiter.remembers("somebody")
