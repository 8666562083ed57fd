"""The platform as a process; at speed `fast`; from a seed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

import httpx
import pytest

from loadtests.emulators.platform import Platform, preset, running_platform

from .conftest import SECRET, Api, Receiver, open_api


def story(platform: Platform, fans: int) -> None:
    """`fans` fans subscribe through links of their own, tip, buy and write."""
    world = platform.world
    account = world.add_account("madison", id="acct_madison")
    for number in range(fans):
        link = world.links.create_tracking(account, f"pool-{number}", [])
        fan = world.fans.subscribe(account, world.fans.person(), link).fan
        world.money.tip(account, fan, 500 + number)
        world.money.unlock(account, fan, 1200)
        world.fans.message(account, fan, "hi")


async def test_same_seed_same_world() -> None:
    worlds = []
    for seed in (3, 3, 4):
        async with running_platform(seed=seed, speed="fast", landing_base="https://onlyfans.com") as platform:
            story(platform, 5)
            truth = platform.world.truth()
            worlds.append(
                [(f["fan_id"], f["link"], [t["id"] for t in f["transactions"]]) for f in truth["fans"]]
                + [link["url"] for link in truth["links"]]
            )
    assert worlds[0] == worlds[1]
    assert worlds[0] != worlds[2]
    assert worlds[0][-1] == "https://onlyfans.com/madison/c5"


async def test_fast_webhooks_are_late_shuffled_and_repeated_but_complete(receiver: Receiver) -> None:
    async with running_platform(seed=11, speed="fast") as platform:
        platform.webhooks.register(
            receiver.url,
            ["subscriptions.new", "transactions.new", "tips.received", "messages.ppv.unlocked", "messages.received"],
            secret=SECRET,
        )
        story(platform, 60)
        assert await platform.settled(timeout=20)
        truth = platform.world.truth()["fans"]
    wanted = {t["id"] for fan in truth for t in fan["transactions"]}
    money = [item.payload["id"] for item in receiver.of("transactions.new")]
    assert set(money) == wanted
    assert len(money) > len(wanted)
    keys = Counter(item.key for item in receiver.got)
    assert 0.03 <= sum(n - 1 for n in keys.values()) / len(keys) <= 0.15
    numbers = [item.payload["id"] for item in receiver.of("subscriptions.new")]
    assert set(numbers) == {s["notification_id"] for fan in truth for s in fan["subscriptions"]}
    assert numbers != sorted(numbers)
    first_seen = {item.event: place for place, item in reversed(list(enumerate(receiver.got)))}
    assert first_seen["messages.received"] < first_seen["subscriptions.new"]
    missing = ["user" not in item.payload for item in receiver.of("messages.ppv.unlocked")]
    assert 0 < sum(missing) < len(missing) / 2


async def test_fast_lists_are_complete_though_pages_are_short() -> None:
    async with running_platform(seed=5, speed="fast", hidden_row_rate=0.5, slow_read_rate=0.0) as platform:
        world = platform.world
        account = world.add_account("madison", id="acct_madison")
        link = world.links.create_tracking(account, "shared", [])
        fans = {world.fans.subscribe(account, world.fans.person(), link).fan.id for _ in range(25)}
        world.clock.advance(60)
        async for api in open_api(platform):
            seen: list[int] = []
            short = 0
            url = f"/api/acct_madison/tracking-links/{link.id}/subscribers?limit=10"
            while url:
                answer = await api.get(url)
                seen += [user["id"] for user in answer["data"]["list"]]
                short += len(answer["data"]["list"]) < 10 and answer["data"]["hasMore"]
                url = answer["_pagination"]["next_page"]
    assert set(seen) == fans
    assert short > 0


def test_presets_share_one_structure() -> None:
    real, fast, none = preset("real"), preset("fast"), preset("none", credits=5)
    assert real.webhook_delay.keys() == fast.webhook_delay.keys()
    assert real.webhook_delay["subscriptions"] == (30.0, 180.0)
    assert fast.duplicate_rate == real.duplicate_rate == 0.08
    assert (none.duplicate_rate, none.webhook_delay, none.credits) == (0.0, {}, 5)
    with pytest.raises(KeyError, match="no_such"):
        preset("none", no_such=1)


async def test_reset_forgets_the_world_but_never_repeats_a_key(
    platform: Platform, api: Api, receiver: Receiver
) -> None:
    platform.webhooks.register(receiver.url, ["subscriptions.new"])
    for _ in range(2):
        await api.post("/__admin/accounts", username="madison", id="acct_m", subscribe_price=0)
        await api.post("/__admin/fans/subscribe", account_id="acct_m")
        assert await platform.settled()
        assert await api.post("/__admin/reset", keep_webhooks=True) == {"seed": 7}
    assert (await api.get("/__admin/truth"))["fans"] == []
    assert receiver.got[0].payload["id"] == receiver.got[1].payload["id"]
    assert receiver.got[0].key != receiver.got[1].key


async def test_forced_notification_reaches_every_endpoint(platform: Platform, api: Api, receiver: Receiver) -> None:
    platform.webhooks.register(receiver.url, ["subscriptions.new"])
    body = {"event": "brand.new", "account_id": "acct_madison", "payload": {"x": 1}}
    await api.post("/__admin/notify", **body)
    await api.post("/__admin/notify", **body, forced=True)
    assert await platform.settled()
    assert [item.event for item in receiver.got] == ["brand.new"]


async def test_command_line_prints_its_address_and_stops_on_a_signal() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtests.emulators.platform", "--port", "0", "--seed", "2", "--speed", "fast",
        "--account", "madison", "--api-key", "one", "--api-key", "two",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))["url"]
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            for key in ("one", "two"):
                rows = (await client.get("/api/accounts", headers={"Authorization": f"Bearer {key}"})).json()
                assert [row["id"] for row in rows] == ["acct_madison"]
            made = await client.post(
                "/api/acct_madison/trial-links",
                headers={"Authorization": "Bearer one"},
                json={"duration": 7, "offerLimit": 1, "offerExpiration": 0},
            )
            assert made.json()["data"]["url"].startswith(f"{url}/onlyfans/madison/trial/")
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0


async def test_a_hanging_create_does_not_hold_up_the_end() -> None:
    loop = asyncio.get_running_loop()
    async with running_platform(seed=1, create_timeout_mode="hang", create_hang=60.0) as platform:
        platform.world.add_account("madison", id="acct_madison")
        platform.world.faults.arm("create_timeout", 1)
        async for api in open_api(platform):
            with pytest.raises(httpx.ReadTimeout):
                await api.client.post("/api/acct_madison/tracking-links", json={"name": "x"}, timeout=0.1)
        assert len(platform.world.links.of_account("acct_madison", "tracking")) == 1
        leaving = loop.time()
    assert loop.time() - leaving < 5
