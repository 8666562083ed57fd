"""Fansly through OnlyFansAPI: counters, mills, snowflakes, epochs, webhooks (upstream spec 5, 6.3 row 21)."""

from __future__ import annotations

from typing import Any

import pytest

from loadtests.emulators.platform import Platform

from .conftest import SECRET, Api, Receiver

ACCOUNT = "fansly_acct_mia"
ROOT = f"/api/fansly/{ACCOUNT}"
LINKS = f"{ROOT}/tracking-links"


@pytest.fixture(autouse=True)
def mia(platform: Platform) -> None:
    """A Fansly creator, $9.99."""
    platform.world.add_account("mia", "Mia", id=ACCOUNT, platform="fansly")


async def own_rows(api: Api) -> list[dict[str, Any]]:
    """The creator's own links."""
    return [row for row in (await api.get(LINKS))["data"] if row["type"] == 1000]


async def test_links_only_count(api: Api) -> None:
    made = (await api.post(LINKS, label="Reddit", description="v1"))["data"]
    assert made["id"].isdigit()
    assert len(made["id"]) == 18
    assert isinstance(made["createdAt"], int)
    assert made["createdAt"] > 10**12
    act = await api.post("/__admin/fans/subscribe", link_id=int(made["id"]))
    followed = await api.post("/__admin/fans/follow", link_id=int(made["id"]))
    assert followed["counted"] is True
    assert act["link_fate"] == "open"
    (row,) = await own_rows(api)
    assert (row["clicks"], row["claims"], row["follows"], row["subscriptions"]) == (2, 2, 2, 1)
    assert (row["totalGross"], row["totalNet"]) == (9_990, 0)
    assert len((await api.get(LINKS))["data"]) == 4
    (day,) = (await api.get(f"{LINKS}/{made['id']}/stats"))["data"]
    assert day["trackingLinkId"] == made["id"]
    assert (day["clicks"], day["claims"], day["follows"], day["subscriptions"]) == (2, 2, 2, 1)
    assert day["timestamp"] % 86_400_000 == 0
    (money,) = (await api.get(f"{LINKS}/{made['id']}/revenue-stats"))["data"]
    assert (money["gross"], money["net"]) == (9_990, 7_990)
    assert (await api.call("GET", f"{LINKS}/{made['id']}/subscribers"))[0] == 404


async def test_links_change_and_go(api: Api) -> None:
    made = (await api.post(LINKS, label="Reddit"))["data"]
    status, body = await api.call("PUT", f"{LINKS}/{made['id']}", {"label": "X", "description": "d"})
    assert (status, body["data"]["label"], body["data"]["description"]) == (200, "X", "d")
    assert (await api.call("DELETE", f"{LINKS}/{made['id']}"))[0] == 200
    assert (await api.call("DELETE", f"{LINKS}/{made['id']}"))[0] == 404
    assert await own_rows(api) == []
    assert (await api.call("POST", LINKS, {"description": "no label"}))[0] == 422


async def test_money_and_subscribers_name_no_link(platform: Platform, api: Api) -> None:
    link = await api.post("/__admin/links", account_id=ACCOUNT, name="bio")
    act = await api.post("/__admin/fans/subscribe", link_url=link["url"])
    await api.post("/__admin/fans/tip", account_id=ACCOUNT, fan_id=act["fan_id"], amount=5)
    feed = (await api.get(f"{ROOT}/earnings/transactions", limit=1))["data"]
    assert (feed["total"], len(feed["data"])) == (2, 1)
    (tip,) = feed["data"]
    assert (tip["amount"], tip["destinationTax"], tip["newBalance"]) == (5_000, 1_000, 11_990)
    assert tip["transactionId"].isdigit()
    assert tip["createdAt"] > 10**12
    assert "senderId" not in tip
    older = (await api.get(f"{ROOT}/earnings/transactions", limit=1, offset=1))["data"]["data"]
    assert [row["transactionId"] for row in older] == [act["transaction_id"]]
    (row,) = (await api.get(f"{ROOT}/subscribers"))["data"]["data"]
    assert (row["subscriberId"], row["price"]) == (act["fansly_fan_id"], 9_990)
    assert row["createdAt"] > 10**12 > row["renewDate"]
    assert str(link["id"]) not in str(row)
    await api.post("/__admin/fans/expire", account_id=ACCOUNT, fan_id=act["fan_id"])
    assert (await api.get(f"{ROOT}/subscribers"))["data"] == {"total": 0, "data": []}
    assert (await api.get("/__admin/credits"))["used"] == 4


async def test_platforms_do_not_mix(api: Api) -> None:
    assert [row["id"] for row in await api.get("/api/accounts")] == ["acct_madison", "acct_freya"]
    assert [row["id"] for row in await api.get("/api/fansly/accounts")] == [ACCOUNT]
    assert (await api.call("GET", "/api/fansly/acct_madison/tracking-links"))[0] == 404
    assert (await api.call("GET", f"/api/{ACCOUNT}/tracking-links"))[0] == 404
    body = {"endpoint_url": "http://127.0.0.1:1/", "events": ["tips.received", "fansly.tips.received"]}
    assert (await api.call("POST", "/api/webhooks", {**body, "account_scope": "global"}))[0] == 422
    kinds = [item["kind"] for item in await api.get("/__admin/violations")]
    assert kinds == ["bad_account_prefix", "bad_account_prefix", "mixed_platforms"]


async def test_webhooks_in_mills_and_mixed_epochs(platform: Platform, api: Api, receiver: Receiver) -> None:
    names = ["subscriptions.new", "transactions.new", "tips.received", "followers.new", "accounts.disconnected"]
    events = [f"fansly.{name}" for name in names]
    platform.webhooks.register(receiver.url, events, secret=SECRET)
    act = await api.post("/__admin/fans/subscribe", account_id=ACCOUNT)
    await api.post("/__admin/fans/tip", account_id=ACCOUNT, fan_id=act["fan_id"], amount=15)
    await api.post("/__admin/fans/follow", account_id=ACCOUNT)
    await api.post("/__admin/session", account_id=ACCOUNT, state="expired")
    await api.post("/__admin/fans/subscribe", account_id="acct_madison")
    assert await platform.settled()
    assert {item.event for item in receiver.got} == set(events)
    assert {item.body["account_id"] for item in receiver.got} == {ACCOUNT}
    assert all("Signature" in item.headers and item.key for item in receiver.got)
    (new,) = receiver.of("fansly.subscriptions.new")
    assert (new.payload["subscriberId"], new.payload["price"]) == (act["fansly_fan_id"], 9_990)
    assert new.payload["createdAt"] > 10**12
    (tip,) = receiver.of("fansly.tips.received")
    assert (tip.payload["amount"], tip.payload["senderId"]) == (15_000, act["fansly_fan_id"])
    assert tip.payload["createdAt"] < 10**12
    money = {item.payload["transactionId"]: item.payload for item in receiver.of("fansly.transactions.new")}
    assert money[act["transaction_id"]]["senderId"] == act["fansly_fan_id"]
    assert {payload["amount"] for payload in money.values()} == {9_990, 15_000}


async def test_payment_webhook_may_leave_the_fan_out(platform: Platform, api: Api, receiver: Receiver) -> None:
    platform.world.settings.fansly_payment_names_fan = False
    platform.webhooks.register(receiver.url, ["fansly.transactions.new"])
    await api.post("/__admin/fans/subscribe", account_id=ACCOUNT)
    assert await platform.settled()
    assert "senderId" not in receiver.got[0].payload


async def test_landing_page_subscribes(api: Api) -> None:
    link = await api.post("/__admin/links", account_id=ACCOUNT, name="bio")
    assert "/fansly/mia/t/1001" in link["url"]
    page = await api.client.get(link["url"])
    assert (page.status_code, "Mia" in page.text) == (200, True)
    done = await api.client.post(link["url"], headers={"Accept": "application/json"})
    assert (done.json()["subscribed"], done.json()["link_used"]) == (True, True)
    (row,) = await own_rows(api)
    assert (row["clicks"], row["subscriptions"]) == (1, 1)
