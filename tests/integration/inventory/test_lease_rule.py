"""The accuracy study's pool is the real one: the same visits get the same links and leases from claim.lua in Valkey."""

from __future__ import annotations

import random
from importlib.resources import files
from typing import Any

import pytest

from loadtests.fans import START, WINDOW, LeasePool
from tracker.clicklog import EdgeLink, split_member
from tracker.edge.claim import Library, LinkKeys, claim_arguments, claim_keys, parse_claim, record_keys
from tracker.stores.valkey import Client

LIBRARY = Library()
KEYS = LinkKeys(EdgeLink("L1", "acct", 1, "tracking", WINDOW, "active", "https://example.com/creator"))


async def claim(redis: Client, visitor: int, now: int, *, again: bool) -> tuple[str, int]:
    """The lease's letter and the link of one visit."""
    visit_id = f"{random.Random(now).getrandbits(80):026d}"
    records = record_keys(KEYS, "L1", ("", "", "", "", ""), f"{visitor:026d}", str(visitor), "")
    arguments = claim_arguments(KEYS, records.click_ids, now, visit_id, b"request", f"{visitor:026d}", again)
    names = (KEYS.log, *claim_keys(KEYS, records))
    replies: Any = await redis.execute_command("FCALL", LIBRARY.function, len(names), *names, *arguments)  # type: ignore[no-untyped-call]
    found = parse_claim(replies[0])
    link, _ = split_member(found.member)
    assert link is not None
    assert found.duplicate == again
    return found.lease[0], link


@pytest.mark.parametrize("links", [5, 40, 90])
async def test_model_and_script_agree(redis: Client, links: int) -> None:
    text = files("tracker.edge").joinpath("claim.lua").read_text()
    await redis.function_load("#!lua name=leases\n" + text.replace("__FUNCTION__", LIBRARY.function))
    await redis.zadd(KEYS.pool, {f"{link:03d}|https://example.com/{link}": 0 for link in range(links)})
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
