"""Creating, listing, reading and deleting links, as upstream spec 1.3 and 1.4 describe them."""

from __future__ import annotations

from typing import Any

import pytest

from loadtests.emulators.platform import Platform

from .conftest import Api

ROOT = "/api/acct_madison"
TRIAL = {"name": "pool-1", "duration": 7, "offerLimit": 1, "offerExpiration": 1}


async def test_tracking_link_is_created_as_an_array_without_a_url(api: Api) -> None:
    answer = await api.post(f"{ROOT}/tracking-links", name="pool-000123", tags=["pool"])
    (row,) = answer["data"]
    assert set(row) == {
        "id", "campaignCode", "campaignName", "countSubscribers", "countTransitions", "createdAt", "endDate",
    }  # fmt: skip
    assert (row["campaignCode"], row["campaignName"], row["endDate"]) == (1, "pool-000123", None)
    assert row["createdAt"].endswith("+00:00")
    assert answer["_meta"]["_credits"]["used"] == 1


async def test_campaign_codes_count_per_creator_and_ids_are_global(api: Api) -> None:
    made = []
    for account in ("acct_madison", "acct_madison", "acct_freya"):
        made.append((await api.post(f"/api/{account}/tracking-links", name="x"))["data"][0])
    assert [row["campaignCode"] for row in made] == [1, 2, 1]
    assert len({row["id"] for row in made}) == 3


async def test_listed_tracking_link_names_its_url_and_counters(platform: Platform, api: Api) -> None:
    await api.post(f"{ROOT}/tracking-links", name="pool", tags=["pool"])
    (row,) = (await api.get(f"{ROOT}/tracking-links"))["data"]["list"]
    assert row["campaignUrl"] == f"{platform.url}/onlyfans/madison/c1"
    assert (row["subscribersCount"], row["clicksCount"], row["tags"]) == (0, 0, ["pool"])
    assert row["revenue"]["total"] == 0
    (await api.client.get(row["campaignUrl"])).raise_for_status()
    await api.post("/__admin/fans/subscribe", link_url=row["campaignUrl"])
    (row,) = (await api.get(f"{ROOT}/tracking-links"))["data"]["list"]
    assert (row["subscribersCount"], row["clicksCount"]) == (1, 2)
    assert row["revenue"]["total"] == 9.99
    assert row["revenue"]["spendersCount"] == 1
    single = (await api.get(f"{ROOT}/tracking-links/{row['id']}"))["data"]
    assert single["clicksCount"] is None
    assert single["subscribersCount"] is None
    assert "cost" in single


async def test_pages_name_the_next_one_as_a_full_url(platform: Platform, api: Api) -> None:
    for number in range(5):
        await api.post(f"{ROOT}/tracking-links", name=f"n{number}")
    seen: list[str] = []
    url: str | None = f"{platform.url}{ROOT}/tracking-links?limit=2"
    while url:
        answer = await api.get(url)
        seen += [row["campaignName"] for row in answer["data"]["list"]]
        url = answer["_pagination"]["next_page"]
        assert answer["data"]["hasMore"] == (url is not None)
        assert url is None or url.startswith(f"{platform.url}{ROOT}/tracking-links?limit=2&offset=")
    assert seen == ["n4", "n3", "n2", "n1", "n0"]


async def test_deleted_links_leave_short_pages_behind(api: Api) -> None:
    for number in range(4):
        await api.post(f"{ROOT}/tracking-links", name=f"n{number}")
    rows = (await api.get(f"{ROOT}/tracking-links"))["data"]["list"]
    assert (await api.call("DELETE", f"{ROOT}/tracking-links/{rows[0]['id']}"))[1]["data"] == {"success": True}
    page = (await api.get(f"{ROOT}/tracking-links", limit=2, with_deleted=0))["data"]
    assert [row["campaignName"] for row in page["list"]] == ["n2"]
    assert page["hasMore"] is True
    everything = (await api.get(f"{ROOT}/tracking-links"))["data"]["list"]
    assert everything[0]["endDate"] is not None
    stored = await api.get(f"{ROOT}/stored/tracking-links", limit=1000)
    assert len(stored["data"]["list"]) == 4
    assert stored["_meta"]["_credits"]["used"] == 0


async def test_trial_link_is_an_object_with_its_url(platform: Platform, api: Api) -> None:
    row = (await api.post(f"{ROOT}/trial-links", **TRIAL))["data"]
    code = row["url"].removeprefix(f"{platform.url}/onlyfans/madison/trial/")
    assert len(code) == 32
    assert code.isalnum()
    assert (row["subscribeCounts"], row["claimCounts"], row["isFinished"], row["subscribeDays"]) == (1, 0, False, 7)


@pytest.mark.parametrize(
    ("field", "value"),
    [("duration", 5), ("duration", "7"), ("offerLimit", 11), ("offerExpiration", 31), ("name", "n" * 65)],
)
async def test_trial_values_outside_the_vendors_sets_are_refused(api: Api, field: str, value: Any) -> None:
    status, body = await api.call("POST", f"{ROOT}/trial-links", {**TRIAL, field: value})
    assert status == 422
    assert body["error"] == "VALIDATION_ERROR"
    assert list(body["errors"]) == [field]
    assert body["_meta"]["_credits"]["used"] == 0


async def test_a_free_page_has_no_trials(api: Api) -> None:
    status, body = await api.call("POST", "/api/acct_freya/trial-links", TRIAL)
    assert (status, body["error"]) == (400, "ONLYFANS_COM_ERROR")
    assert body["_meta"]["_credits"]["used"] == 1


async def test_claimed_trial_is_finished_and_lists_its_fan_with_the_time(platform: Platform, api: Api) -> None:
    link = (await api.post(f"{ROOT}/trial-links", **TRIAL))["data"]
    act = await api.post("/__admin/fans/subscribe", link_url=link["url"])
    assert (act["price"], act["type"], act["transaction_id"]) == (0, "trial", None)
    (row,) = (await api.get(f"{ROOT}/trial-links"))["data"]["list"]
    assert (row["claimCounts"], row["isFinished"]) == (1, True)
    (fan,) = (await api.get(f"{ROOT}/trial-links/{link['id']}/subscribers", limit=10, offset=0))["data"]["list"]
    assert fan["id"] == act["fan_id"]
    assert fan["subscribedOnData"]["subscribeAt"] == act["subscribed_at"][:19] + "+00:00"
    assert fan["subscribedOnData"]["subscribes"][0]["type"] == "trial"
    late = await api.post("/__admin/fans/subscribe", link_url=link["url"])
    assert (late["link"], late["link_fate"], late["price"]) == (None, "exhausted", 9.99)


async def test_trial_expires_on_the_virtual_clock(api: Api) -> None:
    link = (await api.post(f"{ROOT}/trial-links", **{**TRIAL, "offerLimit": 10}))["data"]
    await api.post("/__admin/clock/advance", seconds=86_401)
    assert (await api.post("/__admin/fans/subscribe", link_url=link["url"]))["link_fate"] == "expired"
    assert (await api.get(f"{ROOT}/trial-links/{link['id']}"))["data"]["isFinished"] is True


async def test_tracking_subscribers_carry_no_time_and_come_newest_first(api: Api) -> None:
    link = (await api.post(f"{ROOT}/tracking-links", name="x"))["data"][0]
    fans = [
        (await api.post("/__admin/fans/subscribe", link_id=link["id"], kind="tracking"))["fan_id"] for _ in range(3)
    ]
    data = (await api.get(f"{ROOT}/tracking-links/{link['id']}/subscribers", limit=2, offset=0))["data"]
    assert [row["id"] for row in data["list"]] == fans[:0:-1]
    assert data["hasMore"] is True
    assert "subscribedOnData" not in data["list"][0]
    assert data["list"][0]["subscribedOn"] is True


async def test_tags_spenders_and_stats(api: Api) -> None:
    link = (await api.post(f"{ROOT}/tracking-links", name="x", tags=["a"]))["data"][0]
    one = f"{ROOT}/tracking-links/{link['id']}"
    await api.post(f"{one}/tags", tags=["b", "a"])
    status, body = await api.call("DELETE", f"{one}/tags", {"tags": ["a"]})
    assert (status, body["data"]) == (200, {"tags": ["b"]})
    assert (await api.get("/api/link-tags", type="tracking_links"))["data"] == {"tags": ["b"]}
    act = await api.post("/__admin/fans/subscribe", link_id=link["id"])
    tip = await api.post("/__admin/fans/tip", account_id="acct_madison", fan_id=act["fan_id"], amount=20)
    await api.post("/__admin/fans/chargeback", transaction_id=tip["transaction_id"])
    (spender,) = (await api.get(f"{one}/spenders"))["data"]
    assert spender["onlyfans_id"] == str(act["fan_id"])
    assert (spender["revenue"]["total"], spender["revenue"]["chargebacks"]) == (9.99, 20)
    stats = (await api.get(f"{one}/stats"))["data"]
    assert stats["summary"]["subs_total"] == 1
    assert stats["summary"]["revenue_total"] == 9.99
    assert stats["daily_metrics"][0]["clicks"] == 1


async def test_stored_filters_by_tag_and_search_and_takes_a_thousand(api: Api) -> None:
    await api.post(f"{ROOT}/tracking-links", name="alpha", tags=["x"])
    await api.post(f"{ROOT}/tracking-links", name="beta", tags=["y"])
    by_tag = await api.get(f"{ROOT}/stored/tracking-links", **{"limit": 1000, "filter[tags][]": "y"})
    assert [row["campaignName"] for row in by_tag["data"]["list"]] == ["beta"]
    by_name = await api.get(f"{ROOT}/stored/tracking-links", **{"filter[search]": "ALP"})
    assert [row["campaignName"] for row in by_name["data"]["list"]] == ["alpha"]


async def test_link_of_another_account_is_not_found_and_charged(api: Api) -> None:
    link = (await api.post(f"{ROOT}/tracking-links", name="x"))["data"][0]
    status, body = await api.call("GET", f"/api/acct_freya/tracking-links/{link['id']}")
    assert (status, body["error"]) == (404, "ONLYFANS_COM_ERROR")
    assert body["onlyfans_response"]["status"] == 404
    assert body["_meta"]["_credits"]["used"] == 1
