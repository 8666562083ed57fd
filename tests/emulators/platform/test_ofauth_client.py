"""OFAuth's own Python client and webhook verifier read our answers."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from loadtests.emulators.platform import Platform

from .conftest import Api, Receiver

# Untyped and not among our dependencies, so mypy must not look for it.
SDK: Any = importlib.import_module("onlyfans_sdk")
WEBHOOKS: Any = importlib.import_module("onlyfans_sdk.webhooks")


async def test_the_vendors_own_client_understands_us(platform: Platform, api: Api) -> None:
    # The client is synchronous, so it runs in a thread of its own.
    def work() -> list[Any]:
        with SDK.OFAuthClient("ofauth-key", platform.url + "/ofauth", "conn_madison") as client:
            made = SDK.promotions.create_tracking_links(client, {"name": "pool-1"})
            trial = SDK.promotions.create_trial_links(client, {"trialLinkName": "pool-2", "subscribeDays": 7})
            world = platform.world
            link = world.links.get("tracking", made[0]["id"])
            fan = world.fans.subscribe(world.account("acct_madison"), world.fans.person(), link).fan
            claimed = SDK.promotions.list_tracking_links_claimers(client, str(made[0]["id"]))
            money = list(SDK.earnings.iter_transactions(client, max_items=5))
            people = list(SDK.subscribers.iter_subscribers(client))
            return [fan.id, trial["url"], claimed["list"], money, people]

    fan_id, url, claimed, money, people = await asyncio.to_thread(work)
    assert "/madison/trial/" in url
    assert [row["id"] for row in claimed] == [fan_id]
    assert [row["user"]["id"] for row in money] == [fan_id]
    assert [row["id"] for row in people] == [fan_id]


async def test_the_vendors_own_verifier_accepts_our_signature(platform: Platform, api: Api, receiver: Receiver) -> None:
    hook = await api.post("/__admin/webhooks", vendor="ofauth", url=receiver.url, scheme="svix")
    await api.post("/__admin/session", account_id="acct_madison", state="expired")
    assert await platform.settled()
    (item,) = receiver.got
    told = WEBHOOKS.verify_webhook_payload(item.raw, item.headers, hook["secret"])
    assert told["data"]["connection"]["id"] == "conn_madison"
