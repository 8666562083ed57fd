"""The accuracy study's pool is the real one: the same visits get the same links and leases from claim.lua in Valkey."""

from __future__ import annotations

import random
from importlib.resources import files
from typing import Any

import pytest

from loadtests.attribution import START, WINDOW, LeasePool
from tracker.clicklog import pool_key, split_member
from tracker.stores.valkey import Client

POOL, LOG = pool_key(1, "acct", "tracking"), "{s1}:log"


async def claim(redis: Client, visitor: int, now: int, *, again: bool) -> tuple[str, int]:
    """The lease's letter and the link of one visit."""
    keys = (LOG, POOL, f"{{s1}}:v:{visitor}", f"{{s1}}:f:{visitor}")
    name = f"{visitor:026d}"
    visit = f"{random.Random(now).getrandbits(80):026d}"
    known = "cookie" if again else "new"
    # The records of a visitor live in real time, the visits in their own: they must not expire in between.
    arguments = (now, WINDOW, visit, name, known, "-" * 32, "", b"request")
    reply: Any = await redis.execute_command("FCALL", "leases", len(keys), *keys, *arguments)  # type: ignore[no-untyped-call]
    text = reply.decode()
    link, _ = split_member(text[54:])
    assert link is not None
    assert text[0] == ("d" if again else "c")
    return text[1], link


@pytest.mark.parametrize("links", [5, 40, 90])
async def test_model_and_script_agree(redis: Client, links: int) -> None:
    text = files("tracker.edge").joinpath("claim.lua").read_text().replace("__FUNCTION__", "leases")
    await redis.function_load("#!lua name=leases\n" + text)
    await redis.zadd(POOL, {f"{link:03d}|https://example.com/{link}": 0 for link in range(links)})
    source, model, now = random.Random(links), LeasePool(links), START
    held: dict[int, int] = {}
    letters = set()
    for visitor in range(400):
        now += 1 + round(source.expovariate(1 / (WINDOW / 60)))
        link, lease = model.take(now)
        assert await claim(redis, visitor, now, again=False) == (lease[0], link)
        letters.add(lease[0])
        held[visitor] = link
        if source.random() < 0.2:
            now += 1 + round(source.random() * 60_000)
            earlier = source.randrange(max(0, visitor - 3), visitor + 1)
            model.hold(held[earlier], now)
            assert (await claim(redis, earlier, now, again=True))[1] == held[earlier]
    assert letters == {5: {"e", "s"}, 40: {"e", "s"}, 90: {"e"}}[links]
