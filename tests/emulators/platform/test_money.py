"""The transaction feed, chargebacks and the ground truth (upstream spec 1.5, 6.3 rows 8, 15, 19)."""

from __future__ import annotations

from loadtests.emulators.platform import Platform

from .conftest import Api

ROOT = "/api/acct_madison"


async def spend(api: Api, *times: str) -> int:
    """One fan tips a dollar more at each time; the fan's id."""
    fan = (await api.post("/__admin/fans/subscribe", account_id="acct_freya"))["fan_id"]
    for number, at in enumerate(times, start=1):
        await api.post("/__admin/fans/tip", account_id="acct_madison", fan_id=fan, amount=number, at=at)
    return int(fan)


async def test_transaction_row_is_camel_case_and_settles(api: Api) -> None:
    act = await api.post("/__admin/fans/subscribe", account_id="acct_madison")
    (row,) = (await api.get(f"{ROOT}/transactions"))["data"]["list"]
    assert row["id"] == act["transaction_id"]
    assert len(row["id"]) == 32
    assert (row["amount"], row["net"], row["fee"]) == (9.99, 7.99, 2)
    assert (row["type"], row["status"], row["user"]["id"]) == ("new_subscription", "loading", act["fan_id"])
    assert row["createdAt"] == act["subscribed_at"][:19] + "+00:00"
    await api.post("/__admin/clock/advance", seconds=7 * 86_400)
    assert (await api.get(f"{ROOT}/transactions"))["data"]["list"][0]["status"] == "done"
    await api.post("/__admin/settings", rest_type_names="source")
    assert (await api.get(f"{ROOT}/transactions"))["data"]["list"][0]["type"] == "subs"


async def test_marker_is_the_second_of_the_last_row_and_loses_ties(platform: Platform, api: Api) -> None:
    now = platform.world.clock.now().replace(microsecond=0)
    tie, older = now.timestamp() - 100, now.timestamp() - 200
    fan = (await api.post("/__admin/fans/subscribe", account_id="acct_freya"))["fan_id"]
    for at in (tie, tie + 0.5, tie + 0.9, older):
        await api.post("/__admin/fans/tip", account_id="acct_madison", fan_id=fan, amount=5, at=at)
    first = await api.get(f"{ROOT}/transactions", limit=2)
    assert (first["data"]["marker"], first["data"]["nextMarker"], first["data"]["hasMore"]) == (tie, tie, True)
    second = await api.get(first["_pagination"]["next_page"])
    assert len(second["data"]["list"]) == 1
    assert second["data"]["hasMore"] is False
    assert second["data"]["nextMarker"] is None
    assert second["_pagination"]["next_page"] is None
    overlapping = await api.get(f"{ROOT}/transactions", limit=4, marker=int(tie) + 1)
    ids = {row["id"] for row in first["data"]["list"] + overlapping["data"]["list"]}
    assert len(ids) == 4


async def test_type_filter_and_default_window(platform: Platform, api: Api) -> None:
    now = platform.world.clock.now().timestamp()
    fan = await spend(api)
    for at in (now - 60, now - 31 * 86_400):
        await api.post("/__admin/fans/tip", account_id="acct_madison", fan_id=fan, amount=1, at=at)
    await api.post("/__admin/fans/ppv", account_id="acct_madison", fan_id=fan, amount=15, at=now - 30)
    assert [r["type"] for r in (await api.get(f"{ROOT}/transactions"))["data"]["list"]] == ["message", "tip"]
    assert len((await api.get(f"{ROOT}/transactions", startDate="-60days"))["data"]["list"]) == 3
    assert [r["type"] for r in (await api.get(f"{ROOT}/transactions", type="tips"))["data"]["list"]] == ["tip"]
    assert (await api.get(f"{ROOT}/transactions", type="tips", tipsSource="chat"))["data"]["list"] == []


async def test_money_shows_after_its_delay(platform: Platform, api: Api) -> None:
    platform.world.settings.update(
        {"transaction_delay": (20, 20), "counter_delay": (50, 50), "listing_delay": (30, 30)}
    )
    link = (await api.post(f"{ROOT}/tracking-links", name="x"))["data"][0]
    await api.post("/__admin/fans/subscribe", link_id=link["id"])
    seen = []
    for _ in range(4):
        transactions = (await api.get(f"{ROOT}/transactions"))["data"]["list"]
        listed = (await api.get(f"{ROOT}/tracking-links/{link['id']}/subscribers"))["data"]["list"]
        counter = (await api.get(f"{ROOT}/tracking-links"))["data"]["list"][0]["subscribersCount"]
        seen.append((len(transactions), len(listed), counter))
        await api.post("/__admin/clock/advance", seconds=18)
    assert seen == [(0, 0, 0), (0, 0, 0), (1, 1, 0), (1, 1, 1)]
    platform.world.settings.stored_age = 300
    assert (await api.get(f"{ROOT}/stored/tracking-links"))["data"]["list"] == []


async def test_chargeback_is_a_row_and_a_status_but_no_event(api: Api) -> None:
    act = await api.post("/__admin/fans/subscribe", account_id="acct_madison")
    taken = await api.post("/__admin/fans/chargeback", transaction_id=act["transaction_id"], pending_seconds=3600)
    assert taken["status"] == "pending_return"
    await api.post("/__admin/clock/advance", seconds=3600)
    (row,) = (await api.get(f"{ROOT}/chargebacks"))["data"]["list"]
    assert row["payment"]["id"] == act["transaction_id"]
    assert row["payment"]["status"] == "undo"
    assert (await api.get("/__admin/credits"))["webhook_events"] == 0


async def test_truth_names_the_link_the_money_and_the_status(api: Api) -> None:
    link = (await api.post(f"{ROOT}/tracking-links", name="x"))["data"][0]
    act = await api.post("/__admin/fans/subscribe", link_id=link["id"], kind="tracking")
    tip = await api.post("/__admin/fans/tip", account_id="acct_madison", fan_id=act["fan_id"], amount=5)
    organic = await api.post("/__admin/fans/subscribe", account_id="acct_madison")
    await api.post("/__admin/fans/message", account_id="acct_madison", fan_id=organic["fan_id"], text="hi")
    truth = await api.get("/__admin/truth")
    fans = {row["fan_id"]: row for row in truth["fans"]}
    assert fans[act["fan_id"]]["link"] == {"kind": "tracking", "id": link["id"]}
    assert fans[act["fan_id"]]["subscriptions"][0]["at"] == act["subscribed_at"]
    assert [(t["id"], t["amount"], t["status"]) for t in fans[act["fan_id"]]["transactions"]] == [
        (act["transaction_id"], 9.99, "loading"), (tip["transaction_id"], 5.0, "loading"),
    ]  # fmt: skip
    assert fans[organic["fan_id"]]["link"] is None
    assert len(fans[organic["fan_id"]]["messages"]) == 1
    assert truth["links"][0]["subscriptions"] == 1
