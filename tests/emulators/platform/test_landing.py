"""The fan-facing pages (upstream spec 6.2)."""

from __future__ import annotations

import httpx

from loadtests.emulators.platform import Platform

from .conftest import Api

ROOT = "/api/acct_madison"
JSON = {"Accept": "application/json"}


def browser(platform: Platform) -> httpx.AsyncClient:
    """A fan's browser: keeps cookies."""
    return httpx.AsyncClient(base_url=platform.url, trust_env=False)


async def test_profile_page_subscribes_organically(platform: Platform, api: Api) -> None:
    async with browser(platform) as fan:
        page = await fan.get("/onlyfans/MADISON")
        assert page.status_code == 200
        assert "Madison" in page.text
        assert "$9.99" in page.text
        assert '<form method="post">' in page.text
        done = await fan.post("/onlyfans/madison")
        assert "You are subscribed for $9.99" in done.text
        assert "already" in (await fan.post("/onlyfans/madison")).text
        assert (await fan.get("/onlyfans/nobody")).status_code == 404
    (row,) = (await api.get("/__admin/truth"))["fans"]
    assert row["link"] is None
    assert len(row["subscriptions"]) == 1


async def test_tracking_page_counts_clicks_and_remembers_the_fan(platform: Platform, api: Api) -> None:
    link = (await api.post(f"{ROOT}/tracking-links", name="x"))["data"][0]
    async with browser(platform) as fan:
        path = f"/onlyfans/madison/c{link['campaignCode']}"
        await fan.head(path)
        await fan.get(path)
        first = (await fan.post(path, headers=JSON)).json()
        assert (first["subscribed"], first["link_used"], first["price"]) == (True, True, 9.99)
        await api.post("/__admin/fans/expire", account_id="acct_madison", fan_id=first["fan_id"])
        second = (await fan.post(path, headers=JSON)).json()
        assert second["fan_id"] == first["fan_id"]
        chosen = (await fan.post(path, headers=JSON, data={"fan_id": "310000999"})).json()
        assert chosen["fan_id"] == 310000999
    (row,) = (await api.get(f"{ROOT}/tracking-links"))["data"]["list"]
    assert (row["clicksCount"], row["subscribersCount"]) == (1, 3)
    listed = (await api.get(f"{ROOT}/tracking-links/{link['id']}/subscribers"))["data"]["list"]
    assert {user["id"] for user in listed} == {first["fan_id"], 310000999}


async def test_deleted_tracking_link_is_the_profile(platform: Platform, api: Api) -> None:
    link = (await api.post(f"{ROOT}/tracking-links", name="x"))["data"][0]
    await api.call("DELETE", f"{ROOT}/tracking-links/{link['id']}")
    async with browser(platform) as fan:
        page = await fan.get("/onlyfans/madison/c1")
        assert page.status_code == 200
        assert (await fan.post("/onlyfans/madison/c1", headers=JSON)).json()["link_used"] is False
        assert (await fan.post("/onlyfans/madison/c77", headers=JSON)).json()["link_used"] is False


async def test_used_up_trial_is_the_paid_page(platform: Platform, api: Api) -> None:
    body = {"name": "t", "duration": 7, "offerLimit": 1, "offerExpiration": 1}
    url = (await api.post(f"{ROOT}/trial-links", **body))["data"]["url"]
    async with browser(platform) as lucky, browser(platform) as late:
        assert "Free trial for 7 days" in (await lucky.get(url)).text
        assert (await lucky.post(url, headers=JSON)).json()["price"] == 0
        assert "Subscribe for $9.99" in (await late.get(url)).text
        answer = (await late.post(url, headers=JSON)).json()
        assert (answer["price"], answer["link_used"]) == (9.99, False)


async def test_action_form_of_a_trial_url(platform: Platform, api: Api) -> None:
    body = {"name": "t", "duration": 7, "offerLimit": 0, "offerExpiration": 0}
    code = (await api.post(f"{ROOT}/trial-links", **body))["data"]["url"].rsplit("/", 1)[1]
    async with browser(platform) as fan:
        assert "Free trial" in (await fan.get(f"/onlyfans/action/trial/{code}")).text
    act = await api.post("/__admin/fans/subscribe", link_url=f"https://onlyfans.com/action/trial/{code}?x=1")
    assert act["link"]["kind"] == "trial"
