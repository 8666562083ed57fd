"""One world, several views: the same acts on one account per vendor give the same people and the same money."""

from __future__ import annotations

from typing import Any

import pytest

from loadtests.emulators.platform import Platform, preset, running_platform

from .conftest import Api, Receiver, open_api

TRIO = {"onlyfansapi": "acct_one", "ofauth": "acct_two", "onlymonster": "acct_three"}
RANGE = {"start": "2020-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z"}
OM = {"x-om-auth-token": "om-token"}


async def trio(api: Api) -> list[dict[str, Any]]:
    """An account per vendor with a tracking link each; the links as targets of acts."""
    targets = []
    for vendor, account_id in TRIO.items():
        await api.post("/__admin/accounts", username=vendor, id=account_id, vendors=[vendor])
        link = await api.post("/__admin/links", account_id=account_id, name="pool-1")
        targets.append({"link_url": link["url"]})
    return targets


async def seen(api: Api, platform: Platform) -> dict[str, tuple[set[int], list[tuple[int, float]]]]:
    """(fans of the link, (fan, gross) of every payment) as each vendor tells them."""
    ours, theirs, third = (platform.world.account(account_id) for account_id in TRIO.values())
    link = platform.world.links.of_account(ours.id, "tracking")[0]
    users = (await api.get(f"/api/{ours.id}/tracking-links/{link.id}/subscribers", limit=100))["data"]["list"]
    money = (await api.get(f"/api/{ours.id}/transactions", limit=100))["data"]["list"]
    told = {
        "onlyfansapi": ({user["id"] for user in users}, sorted((row["user"]["id"], row["amount"]) for row in money))
    }
    keys = {"apiKey": "ofauth-key", "x-connection-id": theirs.connection_id}
    access = "/ofauth/v2/access"
    link = platform.world.links.of_account(theirs.id, "tracking")[0]
    answer = await api.client.get(f"{access}/promotions/tracking-links/{link.id}/claimers", headers=keys)
    users = answer.json()["list"]
    money = (await api.client.get(f"{access}/earnings/transactions", headers=keys)).json()["list"]
    told["ofauth"] = (
        {user["id"] for user in users},
        sorted((row["user"]["id"], row["amounts"]["gross"]) for row in money),
    )
    root = f"/onlymonster/api/v0/platforms/onlyfans/accounts/{third.onlyfans_id}"
    users = (await api.client.get(f"{root}/tracking-link-users", headers=OM)).json()["items"]
    money = (await api.client.get(f"{root}/transactions", params=RANGE, headers=OM)).json()["items"]
    told["onlymonster"] = (
        {int(user["fan"]["id"]) for user in users},
        sorted((int(row["fan"]["id"]), row["amount"]) for row in money),
    )
    return told


async def test_the_same_acts_look_the_same_through_every_vendor(platform: Platform, api: Api) -> None:
    links = await trio(api)
    accounts = [{"account_id": account_id} for account_id in TRIO.values()]
    subscribed = await api.post("/__admin/everywhere", act="subscribe", targets=links)
    fan = subscribed[0]["fan_id"]
    assert {act["fan_id"] for act in subscribed} == {fan}
    assert len({act["subscribed_at"] for act in subscribed}) == 1
    await api.post("/__admin/everywhere", act="tip", targets=accounts, fan_id=fan, amount=5)
    await api.post("/__admin/everywhere", act="ppv", targets=accounts, fan_id=fan, amount=12.5)
    await api.post("/__admin/everywhere", act="renew", targets=accounts, fan_id=fan)
    told = await seen(api, platform)
    assert told["onlyfansapi"] == ({fan}, sorted([(fan, 9.99), (fan, 5), (fan, 12.5), (fan, 9.99)]))
    assert told["ofauth"] == told["onlyfansapi"]
    assert told["onlymonster"] == told["onlyfansapi"]


async def test_a_vendor_sees_only_what_it_is_connected_to(platform: Platform, api: Api, receiver: Receiver) -> None:
    links = await trio(api)
    for vendor in ("onlyfansapi", "onlymonster"):
        await api.post("/__admin/webhooks", vendor=vendor, url=receiver.url)
    await api.post("/__admin/everywhere", act="subscribe", targets=links)
    assert await platform.settled()
    names = sorted(item.body.get("event") or item.body["type"] for item in receiver.got)
    assert names == ["fans.subscription.new_subscriber", "subscriptions.new", "transactions.new"]
    assert (await api.call("GET", "/api/acct_two/tracking-links"))[0] == 404
    ids = {row["id"] for row in await api.get("/api/accounts")}
    assert "acct_one" in ids
    assert not {"acct_two", "acct_three"} & ids


async def test_only_onlyfansapi_costs_credits(platform: Platform, api: Api) -> None:
    await trio(api)
    await seen(api, platform)
    credits_ = await api.get("/__admin/credits")
    assert credits_["used"] == 2
    free = [route for route, totals in credits_["by_route"].items() if not totals["credits"]]
    assert sorted(route.split("/")[1] for route in free) == ["ofauth", "ofauth", "onlymonster", "onlymonster"]
    assert await api.get("/__admin/violations") == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"act": "no_such_act", "targets": []}, 422),
        ({"act": "tip", "targets": [{"account_id": "acct_x", "fan_id": 1}]}, 404),
        ({"act": "tip"}, 422),
    ],
)
async def test_admin_says_what_is_wrong(api: Api, body: dict[str, Any], status: int) -> None:
    assert (await api.call("POST", "/__admin/everywhere", body))[0] == status


async def test_accounts_answer_to_every_vendors_id(api: Api) -> None:
    rows = {row["id"]: row for row in await api.get("/__admin/accounts")}
    row = rows["acct_madison"]
    for reference in (row["id"], row["connection_id"], row["onlymonster_id"], row["onlyfans_id"]):
        act = await api.post("/__admin/fans/subscribe", account_id=reference)
        assert act["account_id"] == "acct_madison"
    assert (await api.call("POST", "/__admin/accounts", {"username": "x", "vendors": ["nobody"]}))[0] == 422
    assert (await api.call("POST", "/__admin/webhooks", {"vendor": "nobody", "url": "http://127.0.0.1/"}))[0] == 422


async def test_fast_vendors_agree_in_the_end() -> None:
    async with running_platform(seed=9, speed="fast", create_timeout_rate=0.0, slow_read_rate=0.0) as platform:
        async for api in open_api(platform):
            links = await trio(api)
            for _ in range(4):
                await api.post("/__admin/everywhere", act="subscribe", targets=links)
            platform.world.clock.advance(60)
            told = await seen(api, platform)
            assert len(told["onlymonster"][0]) == 4
            assert told["ofauth"][1] == told["onlyfansapi"][1] == told["onlymonster"][1]
            assert told["ofauth"][0] == told["onlyfansapi"][0] == told["onlymonster"][0]


def test_presets_slow_onlymonster_down() -> None:
    assert preset("real").onlymonster_collect_delay == (60.0, 900.0)
    assert preset("none").onlymonster_collect_delay == (0.0, 0.0)
    assert preset("fast").onlymonster_token_rate == 25
    assert preset("real").ofauth_errors == "mixed"
