"""The vendor's own client, unmodified, against the running product: only the base URL and the key are ours.

What it reads is checked against what was clicked, subscribed and spent. The client checks every answer against the vendor's types
(`strict`); only where those were generated from one sample (a fan's whole dollars, text where null stood) it is read leniently.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import asyncpg
import onlyfansapi
import pytest
from onlyfansapi import AsyncOnlyFansAPI, OnlyFansAPI

from loadtests.demo.stage import Stage
from tracker.stores.urls import database_url

PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.1 Mobile/15E148 Safari/604.1"
)
BOT = "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"
TIPS = (10.0, 30.0)  # whole dollars in all: the vendor's types have integers
SECRET = "whsec-0123456789"
Value = TypeVar("Value")


@dataclass
class Story:
    """What happened on one smart link of a free page, as the world saw it."""

    stage: Stage
    sdk: AsyncOnlyFansAPI
    lenient: AsyncOnlyFansAPI
    account_id: str
    smart_link_id: str = ""
    platform_link: str = ""
    fan_id: str = ""
    postback_id: int = 0
    webhook_id: str = ""
    clicks: list[str] = field(default_factory=list)

    async def click(self, agent: str, address: str, ecid: str, cookie: str = "") -> tuple[str, str]:
        """One visit: (where it was sent, the visitor's cookie)."""
        headers = {"User-Agent": agent, "X-Forwarded-For": address, "Accept-Language": "en-GB"} | (
            {"Cookie": cookie} if cookie else {}
        )
        base = f"http://127.0.0.1:{self.stage.settings.edge_port}/go/{self.smart_link_id}"
        query = f"?ecid={ecid}&fbclid=Fb-{ecid}&utm_source=sdk&aff_s1=one"
        async with self.stage.session.get(base + query, headers=headers, allow_redirects=False) as answer:
            assert answer.status == 302
            jar = "; ".join(f"{name}={morsel.value}" for name, morsel in answer.cookies.items())
            return answer.headers["Location"], jar


async def eventually(look: Callable[[], Awaitable[Value]], good: Callable[[Value], bool]) -> Value:
    """What is read once it is as it should be."""
    async with asyncio.timeout(60):
        while not good(found := await look()):
            await asyncio.sleep(0.2)
    return found


async def others_given(stage: Stage, platform_link: str) -> int:
    """Clicks of other tests that were given the link of the story's fan: they share this product, and its small pool comes round."""
    connection = await asyncpg.connect(database_url(stage.settings))
    try:
        found: int = await connection.fetchval(
            "SELECT count(*) FROM clicks JOIN inventory_links USING (inventory_link_id)"
            " WHERE url = $1 AND NOT is_bot AND ecid IS DISTINCT FROM 'sdk-fan'",
            platform_link,
        )
        return found
    finally:
        await connection.close()


def client(stage: Stage, *, strict: bool) -> AsyncOnlyFansAPI:
    """The vendor's client at our address."""
    base = f"http://127.0.0.1:{stage.settings.api_port}"
    return AsyncOnlyFansAPI(api_key=stage.api_key, base_url=base, max_retries=0, _strict_response_validation=strict)


@pytest.fixture(scope="module")
async def story(stage: Stage) -> Story:
    """A smart link, a postback and a webhook, all made with the client; a fan, a looker, a bot, and money."""
    found = Story(stage, client(stage, strict=True), client(stage, strict=False), stage.account_ids["ava"])
    sdk = found.sdk
    made = await sdk.smart_links.create(account_id=found.account_id, link_type="tracking_link", name="SDK / Ava / A")
    assert made.data is not None
    assert made.data.id is not None
    found.smart_link_id = made.data.id
    postback = await found.lenient.smart_link_postbacks.create(
        url=stage.receiver_url + "/p/sdk?type={conversion_type}&gross={amount_gross}&key=hush",
        smart_link_scope="campaign_specific",
        smart_link_ids=[found.smart_link_id],
        conversion_types=["new_subscriber", "new_transaction"],
        headers=[{"name": "X-Team", "value": "{smart_link_name}"}],
    )
    assert postback.data is not None
    assert postback.data.id is not None
    found.postback_id = postback.data.id
    hook = await sdk.webhooks.create(
        endpoint_url=stage.receiver_url + "/p/sdkhook",
        events=["subscriptions.new", "transactions.new"],
        account_scope="inclusive",
        account_ids=[found.account_id],
        signing_secret=SECRET,
    )
    assert hook.data is not None
    assert hook.data.id is not None
    found.webhook_id = hook.data.id
    found.platform_link, jar = await found.click(PHONE, "198.51.100.10", "sdk-fan")
    again, _ = await found.click(PHONE, "198.51.100.10", "sdk-fan", jar)
    assert again == found.platform_link, "the same visitor is sent to the same link"
    other, _ = await found.click(PHONE, "198.51.100.11", "sdk-looker")
    assert other != found.platform_link
    await found.click(BOT, "198.51.100.12", "sdk-bot")
    told = await stage.admin("fans/subscribe", {"link_url": found.platform_link, "name": "Sam"})
    found.fan_id = str(told["fan_id"])
    for dollars in TIPS:
        body = {"account_id": stage.platform_accounts["ava"], "fan_id": int(found.fan_id), "amount": dollars}
        await stage.admin("fans/tip", body)
    for number in range(3):
        body = {"account_id": stage.platform_accounts["ava"], "fan_id": int(found.fan_id), "text": f"hi {number}"}
        await stage.admin("fans/message", body)

    async def look() -> Any:
        return (await sdk.smart_links.retrieve(found.smart_link_id)).data

    await eventually(look, lambda link: (link.clicks_count, link.subscribers_count, link.revenue) == (2, 1, "40.00"))
    return found


async def test_smart_links_are_listed_as_they_are(story: Story) -> None:
    link = (await story.sdk.smart_links.retrieve(story.smart_link_id.lower())).data
    assert link is not None
    assert (link.id, link.name, link.link_type) == (story.smart_link_id, "SDK / Ava / A", "tracking_link")
    assert link.traffic_redirect_url is not None
    assert link.traffic_redirect_url.endswith(f"/go/{story.smart_link_id}")
    assert link.account is not None
    assert (link.account.id, link.account.username) == (story.account_id, "ava")
    listed = (await story.sdk.smart_links.list(name="sdk / ava", limit=10, account_ids=story.account_id)).data
    assert listed is not None
    assert [row.id for row in listed] == [story.smart_link_id]
    assert listed[0].spenders_count == 1
    for other in ({"account_ids": story.stage.account_ids["madison"]}, {"name": "no such"}, {"offset": 500}):
        rows = (await story.sdk.smart_links.list(**{"name": "SDK / Ava"} | other)).data
        assert rows == []
    by_pixel = (await story.sdk.smart_links.list(pixel_ids=str(story.postback_id))).data
    assert by_pixel is not None
    assert [row.id for row in by_pixel] == [story.smart_link_id]


async def test_stats_are_what_happened(story: Story) -> None:
    async def look() -> Any:
        return (await story.lenient.smart_links.retrieve_stats(story.smart_link_id)).data

    await eventually(look, lambda data: (data.summary.subs_total, data.summary.revenue_total) == (1, 40))
    ranges: list[dict[str, Any]] = [{}, {"date_start": "2026-01-01", "date_end": "now"}, {"date_start": "-30days"}]
    for dates in ranges:
        data = (await story.lenient.smart_links.retrieve_stats(story.smart_link_id, **dates)).data
        assert data is not None
        assert data.summary is not None
        summary = data.summary
        assert (summary.clicks_total, summary.subs_total, summary.spenders_total) == (2, 1, 1)
        assert summary.revenue_total == 40
        for metrics in (data.daily_metrics, data.monthly_metrics):
            assert metrics is not None
            assert sum(each.clicks or 0 for each in metrics) == 2
            assert sum(each.revenue or 0 for each in metrics) == 40
    past = (
        await story.sdk.smart_links.retrieve_stats(story.smart_link_id, date_end="2026-01-02", date_start="2026-01-01")
    ).data
    assert past is not None
    assert past.summary is not None
    assert past.summary.clicks_total == 0
    assert past.daily_metrics is not None
    assert len(past.daily_metrics) == 2


async def test_clicks_are_those_that_were_made(story: Story) -> None:
    async def look() -> Any:
        return (await story.sdk.smart_links.list_clicks(story.smart_link_id)).data

    data = await eventually(look, lambda data: len(data.rows) == 4 and data.summary.clicks_total == 4)
    assert [row.external_click_id for row in data.rows] == ["sdk-bot", "sdk-looker", "sdk-fan", "sdk-fan"]
    bot, looker, repeated, first = data.rows
    assert (bot.is_bot, looker.is_bot, repeated.is_duplicate, first.is_duplicate) == (True, False, True, False)
    assert (first.ip_address, first.fbclid, first.utm_source, first.aff_s1) == (
        "198.51.100.10",
        "Fb-sdk-fan",
        "sdk",
        "one",
    )
    assert (first.browser_device_type, first.browser_platform, first.gross_clicks) == ("mobile", "iOS", 2)
    assert first.id == first.id.upper()
    people = (
        await story.sdk.smart_links.list_clicks(story.smart_link_id, include_bots=False, include_duplicates=False)
    ).data
    assert people is not None
    assert people.rows is not None
    assert people.summary is not None
    assert [row.external_click_id for row in people.rows] == ["sdk-looker", "sdk-fan"]
    assert people.summary.clicks_total == 2
    paged = (await story.sdk.smart_links.list_clicks(story.smart_link_id, limit=1, offset=2)).data
    assert paged is not None
    assert paged.rows is not None
    assert [row.id for row in paged.rows] == [repeated.id]


async def test_conversions_name_the_fan_and_the_click(story: Story) -> None:
    async def look() -> Any:
        return (await story.sdk.smart_links.list_conversions(story.smart_link_id)).data

    # A subscription, two tips, three messages, and the marks of the first and the third message.
    data = await eventually(look, lambda data: len(data.rows) == 8)
    assert data.summary.conversions_total == 8
    assert data.summary.subscribers_total == 1
    assert data.summary.revenue_total == 40
    assert sum(each.conversions for each in data.chart) == 8
    assert {row.fan_onlyfans_id for row in data.rows} == {story.fan_id}
    assert {row.click.external_click_id for row in data.rows} == {"sdk-fan"}
    money = (
        await story.sdk.smart_links.list_conversions(
            story.smart_link_id, conversion_type="new_transaction", onlyfans_user_id=story.fan_id
        )
    ).data
    assert money is not None
    assert money.rows is not None
    assert sorted(row.amount_gross or 0 for row in money.rows) == list(TIPS)
    assert sorted(row.amount_net or 0 for row in money.rows) == [8.0, 24.0]
    nobody = (await story.sdk.smart_links.list_conversions(story.smart_link_id, onlyfans_user_id="1")).data
    assert nobody is not None
    assert nobody.rows == []


async def test_fans_and_spenders_have_what_they_paid(story: Story) -> None:
    async def look() -> Any:
        return (await story.lenient.smart_links.list_fans(story.smart_link_id)).data

    data = await eventually(look, lambda data: data.rows and data.rows[0].messages_sent_by_fan == 3)
    (fan,) = data.rows
    assert (fan.onlyfans_id, fan.fan_id, fan.name) == (story.fan_id, int(story.fan_id), "Sam")
    assert (fan.revenue_net, fan.tips_net, fan.external_click_id) == (32, 32, "sdk-fan")
    assert fan.subscription_insights.current_subscription_from_smart_link is True
    assert data.summary.revenue_net_total == 32
    assert data.summary.fans_with_3_plus_messages_total == 1
    wanted: list[tuple[dict[str, Any], int]] = [
        ({"min_revenue_net": 32}, 1), ({"min_revenue_net": 32.01}, 0), ({"has_messages": False}, 0),
        ({"min_messages_sent_by_fan": 4}, 0), ({"min_tips_net": 1, "sort": "converted_at"}, 1), ({"offset": 1}, 0),
    ]  # fmt: skip
    for params, count in wanted:
        rows = (await story.lenient.smart_links.list_fans(story.smart_link_id, **params)).data.rows  # type: ignore[union-attr]
        assert rows is not None
        assert len(rows) == count, params
    spenders = (await story.sdk.smart_links.list_spenders(story.smart_link_id, min_spend=40)).data
    assert spenders is not None
    assert [row.onlyfans_id for row in spenders] == [story.fan_id]
    assert spenders[0].revenue is not None
    assert spenders[0].revenue.total == 40
    assert (await story.sdk.smart_links.list_spenders(story.smart_link_id, min_spend=41)).data == []


async def test_cohort_arps_answers(story: Story) -> None:
    # The vendor's client knows no type for it and reads nothing; the answer itself is ours.
    await story.sdk.smart_links.retrieve_cohort_arps(
        story.smart_link_id, acquisition_start="2026-01-01", revenue_basis="gross"
    )
    today = datetime.now(UTC).date().isoformat()
    data = await story.stage.api("GET", f"smart-links/{story.smart_link_id}/cohort-arps?acquisition_start={today}")
    assert data["summary"]["subscribers"] == 1
    assert [window["days"] for window in data["summary"]["windows"]] == [0, 1, 3, 7, 14, 30, 60, 90, 180, 365]


async def test_a_postback_tells_its_latest_response_and_changes(story: Story) -> None:
    async def look() -> Any:
        rows = (await story.sdk.smart_link_postbacks.list()).data
        return next(row for row in rows or () if row.id == story.postback_id)

    shown = await eventually(look, lambda row: row.latest_response is not None)
    assert shown.latest_response.succeeded is True
    assert shown.latest_response.status_code == 200
    assert "hush" not in shown.latest_response.postback_url
    assert [link.link_ulid for link in shown.smart_links] == [story.smart_link_id]
    assert shown.headers[0].value == "{smart_link_name}"
    one = (await story.lenient.smart_link_postbacks.retrieve(story.postback_id)).data
    assert one is not None
    assert one.smart_link_scope == "campaign_specific"
    changed = await story.lenient.smart_link_postbacks.update(
        story.postback_id,
        url="https://example.com/?a={click_id}",
        conversion_types=["fan_sent_3_messages"],
        smart_link_scope="global",
        http_method="POST",
        body='{"ecid": "{external_click_id}"}',
        smart_link_ids=[],
    )
    assert changed.data is not None
    assert (changed.data.http_method, changed.data.conversion_types) == ("POST", ["fan_sent_3_messages"])
    with pytest.raises(onlyfansapi.UnprocessableEntityError) as refused:
        await story.sdk.smart_link_postbacks.create(
            url="https://example.com/?a={nonsense}", smart_link_scope="global", conversion_types=["new_subscriber"]
        )
    assert "url" in refused.value.body["errors"]  # type: ignore[index]
    await story.sdk.smart_link_postbacks.delete(story.postback_id)
    with pytest.raises(onlyfansapi.NotFoundError):
        await story.sdk.smart_link_postbacks.retrieve(story.postback_id)


async def test_a_webhook_is_told_signed_and_can_be_told_again(story: Story) -> None:
    async def received() -> list[dict[str, Any]]:
        url = f"{story.stage.receiver_url}/__admin/requests?name=sdkhook"
        async with story.stage.session.get(url) as answer:
            rows: list[dict[str, Any]] = await answer.json()
            return rows

    requests = await eventually(received, lambda rows: len(rows) >= 3)
    for request in requests:
        body = request["body"].encode()
        headers = {name.lower(): value for name, value in dict(request["headers"]).items()}
        assert headers["signature"] == hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    events = (await story.sdk.webhooks.list_events()).data
    assert events is not None
    assert {"subscriptions.new", "transactions.new", "messages.received"} <= {event.value for event in events}
    shown = (await story.sdk.webhooks.retrieve(story.webhook_id)).data
    assert shown is not None
    assert (shown.has_signing_secret, shown.enabled) == (True, True)
    listed = (await story.sdk.webhooks.list()).data
    assert listed is not None
    assert story.webhook_id in [row.id for row in listed]
    told = await story.stage.api(
        "GET", f"webhooks/{story.webhook_id}/deliveries?event=subscriptions.new&succeeded=true"
    )
    (row,) = [
        one for one in told if one["payload"]["payload"]["user"]["id"] == int(story.fan_id)
    ]  # others subscribe too
    assert row["payload"]["account_id"] == story.account_id
    again = await story.stage.api("POST", f"webhooks/{story.webhook_id}/deliveries/{row['id']}/redeliver", {})
    assert again["idempotency_key"] == row["idempotency_key"]
    await eventually(received, lambda rows: len(rows) > len(requests))
    changed = await story.sdk.webhooks.update(
        story.webhook_id,
        endpoint_url="https://example.com/hook",
        events=["messages.received"],
        account_scope="global",
        enabled=False,
    )
    assert changed.data is not None
    assert (changed.data.enabled, changed.data.events) == (False, ["messages.received"])
    with pytest.raises(onlyfansapi.UnprocessableEntityError) as refused:
        await story.sdk.webhooks.create(
            endpoint_url="https://a.example/", events=["users.typing"], account_scope="global"
        )
    assert "events" in refused.value.body["errors"]  # type: ignore[index]
    await story.sdk.webhooks.delete(story.webhook_id)
    with pytest.raises(onlyfansapi.NotFoundError):
        await story.sdk.webhooks.retrieve(story.webhook_id)


async def test_accounts_and_who_we_are(story: Story) -> None:
    accounts = await story.sdk.accounts.list(onlyfans_username="ava")
    assert [(row.id, row.is_authenticated) for row in accounts] == [(story.account_id, True)]
    assert accounts[0].onlyfans_id is not None
    same = await story.sdk.accounts.list(onlyfans_id=str(accounts[0].onlyfans_id))
    assert [row.id for row in same] == [story.account_id]
    me = await story.sdk.whoami.retrieve()
    assert me.team is not None
    assert me.api_key is not None
    assert (me.team.name, me.api_key.name) == ("Demo team", "bootstrap")


async def test_an_account_can_be_disconnected(story: Story) -> None:
    new = {"provider_account_id": "acct_to_leave", "api_key": "test-key"}
    made = await story.stage.api("POST", "connected-accounts", new)
    await story.sdk.accounts.disconnect(made["id"])
    assert made["id"] not in [row.id for row in await story.sdk.accounts.list()]
    with pytest.raises(onlyfansapi.NotFoundError):
        await story.sdk.accounts.disconnect(made["id"])
    again = await story.stage.api("POST", "connected-accounts", new)
    assert again["id"] == made["id"], "it comes back as who it was"
    await story.sdk.accounts.disconnect(made["id"])


async def test_tracking_links_are_the_inventory(story: Story) -> None:
    sdk, account = story.sdk.tracking_links, story.account_id
    listed = (await story.lenient.tracking_links.list(account, limit=100)).data
    assert listed is not None
    assert listed.list is not None
    link = next(row for row in listed.list if row.campaign_url == story.platform_link)
    assert link.id is not None

    async def look() -> Any:
        return (
            await story.lenient.tracking_links.list_subscribers(str(link.id), account=account, limit=10, offset=0)
        ).data

    data = await eventually(look, lambda data: len(data.list) == 1)
    assert [fan.id for fan in data.list] == [int(story.fan_id)]
    stats = (await sdk.get_stats(str(link.id), account=account)).data
    assert stats is not None
    assert stats.summary is not None
    earlier = await others_given(story.stage, story.platform_link)
    assert stats.summary.clicks_total == 1 + earlier
    assert (stats.summary.subs_total, stats.summary.revenue_total) == (1, 40)
    spenders = (await sdk.list_spenders(str(link.id), account=account, min_spend=40)).data
    assert spenders is not None
    assert [row.onlyfans_id for row in spenders] == [story.fan_id]
    await sdk.get_cohort_arps(str(link.id), account=account, revenue_basis="gross")
    one = (await sdk.retrieve(str(link.id), account=account)).data
    assert one is not None
    assert one.campaign_url == story.platform_link
    with pytest.raises(onlyfansapi.ConflictError) as refused:
        await sdk.delete(str(link.id), account=account)
    assert refused.value.body["error"] == "LINK_IS_POOLED"  # type: ignore[index]
    stored = (await story.sdk.stored.list_tracking_links(account, limit=1000)).data
    assert stored is not None
    assert stored.list is not None
    assert link.id not in [row.id for row in stored.list]
    with_pooled = await story.lenient.stored.list_tracking_links(
        account, limit=1000, filter={"include_smart_links": True, "search": one.campaign_name}
    )
    assert with_pooled.data is not None
    assert with_pooled.data.list is not None
    assert link.id in [row.id for row in with_pooled.data.list]


async def test_a_tracking_link_made_by_hand_lives_and_goes(story: Story) -> None:
    sdk, account = story.sdk.tracking_links, story.account_id
    made = (await sdk.create(account, name="Bio link", tags=["Bio"])).data
    assert made is not None
    (link,) = made
    assert link.id is not None
    assert link.campaign_name == "Bio link"
    assert (await sdk.tags.add(link.id, account=account, tags=["IG"])).data.tags == ["Bio", "IG"]  # type: ignore[union-attr]
    stored = (await story.sdk.stored.list_tracking_links(account, filter={"tags": ["IG"]})).data
    assert stored is not None
    assert stored.list is not None
    assert [row.campaign_name for row in stored.list] == ["Bio link"]
    assert (await sdk.tags.remove(link.id, account=account, tags=["Bio"])).data.tags == ["IG"]  # type: ignore[union-attr]
    assert (await sdk.tags.list(link.id, account=account)).data.tags == ["IG"]  # type: ignore[union-attr]
    assert (await sdk.delete(str(link.id), account=account)).data.success is True  # type: ignore[union-attr]
    gone = (await story.lenient.tracking_links.list(account, with_deleted=0, limit=100)).data
    assert gone is not None
    assert gone.list is not None
    assert link.id not in [row.id for row in gone.list]
    with pytest.raises(onlyfansapi.NotFoundError):
        await sdk.retrieve("999999999", account=account)
    with pytest.raises(onlyfansapi.NotFoundError):
        await sdk.list("acct_of_another_team")


async def test_trial_links_are_the_inventory_too(story: Story) -> None:
    account = story.stage.account_ids["madison"]
    sdk = story.sdk.trial_links
    made = (await sdk.create(account, duration=7, offer_limit=1, offer_expiration=30, name="By hand", tags=["X"])).data
    assert made is not None
    assert made.id is not None
    assert (made.trial_link_name, made.subscribe_days, made.subscribe_counts, made.is_finished) == (
        "By hand",
        7,
        1,
        False,
    )
    listed = (await story.lenient.trial_links.list(account, limit=100, field="create_date", sort="desc")).data
    assert listed is not None
    assert listed.list is not None
    assert made.id in [row.id for row in listed.list]
    pooled = next(row for row in listed.list if row.id != made.id)
    with pytest.raises(onlyfansapi.ConflictError):
        await sdk.delete(str(pooled.id), account=account)
    link_id = str(made.id)
    one = (await sdk.retrieve(link_id, account=account)).data
    assert one is not None
    assert one.url == made.url
    assert (await sdk.list_subscribers(link_id, account=account, limit=10, offset=0)).data.list == []  # type: ignore[union-attr]
    assert (await sdk.list_spenders(link_id, account=account)).data == []
    stats = (await sdk.retrieve_stats(link_id, account=account)).data
    assert stats is not None
    assert stats.summary is not None
    assert stats.summary.subs_total == 0
    await sdk.retrieve_cohort_arps(link_id, account=account)
    assert (await sdk.tags.add(made.id, account=account, tags=["Y"])).data.tags == ["X", "Y"]  # type: ignore[union-attr]
    assert (await sdk.tags.list(made.id, account=account)).data.tags == ["X", "Y"]  # type: ignore[union-attr]
    assert (await sdk.tags.remove(made.id, account=account, tags=["X"])).data.tags == ["Y"]  # type: ignore[union-attr]
    stored = (await story.sdk.stored.list_trial_links(account, filter={"tags": ["Y"]})).data
    assert stored is not None
    assert stored.list is not None
    assert [row.id for row in stored.list] == [made.id]
    with pytest.raises(onlyfansapi.UnprocessableEntityError) as refused:
        await sdk.create(account, duration=5, offer_limit=1, offer_expiration=30)  # type: ignore[arg-type]
    assert "duration" in refused.value.body["errors"]  # type: ignore[index]
    assert (await sdk.delete(link_id, account=account)).data.success is True  # type: ignore[union-attr]


async def test_tags_find_links(story: Story) -> None:
    path = f"smart-links/{story.smart_link_id}/tags"
    assert await story.stage.api("POST", path, {"tags": ["Summer", "DE", "DE"]}) == {"tags": ["DE", "Summer"]}
    used = (await story.sdk.link_tags.list(type="smart_links")).data
    assert used is not None
    assert used.tags is not None
    assert {"DE", "Summer"} <= set(used.tags)
    found = (await story.sdk.smart_links.list(filter={"tags": ["Summer", "nothing"]})).data
    assert found is not None
    assert [row.id for row in found] == [story.smart_link_id]
    assert (await story.sdk.smart_links.list(filter={"tags": ["summer"]})).data == []
    assert await story.stage.api("DELETE", path, {"tags": ["DE"]}) == {"tags": ["Summer"]}


async def test_mistakes_and_keys_are_the_clients_own_errors(story: Story) -> None:
    with pytest.raises(onlyfansapi.UnprocessableEntityError) as refused:
        await story.sdk.smart_links.create(
            account_id=story.account_id, link_type="free_trial", name="A", free_trial_days=5
        )
    assert refused.value.body["error"] == "VALIDATION_ERROR"  # type: ignore[index]
    assert "free_trial_days" in refused.value.body["errors"]  # type: ignore[index]
    stranger = story.sdk.with_options(api_key="cb_nobody")
    with pytest.raises(onlyfansapi.AuthenticationError):
        await stranger.smart_links.list()
    mistakes: list[dict[str, Any]] = [
        {"date_start": "yesterday-ish"},
        {"date_end": "2026-13-01"},
        {"date_start": "2026-02-01", "date_end": "2026-01-01"},
    ]
    for wrong in mistakes:
        with pytest.raises(onlyfansapi.UnprocessableEntityError) as refused:
            await story.sdk.smart_links.list_clicks(story.smart_link_id, **wrong)
        assert next(iter(wrong)) in refused.value.body["errors"]  # type: ignore[index]


def test_the_synchronous_client_works_too(story: Story) -> None:
    base = f"http://127.0.0.1:{story.stage.settings.api_port}"
    with OnlyFansAPI(api_key=story.stage.api_key, base_url=base) as sdk:
        link = sdk.smart_links.retrieve(story.smart_link_id).data
        assert link is not None
        assert link.id == story.smart_link_id


async def test_a_deleted_smart_link_is_gone(story: Story) -> None:
    made = (
        await story.sdk.smart_links.create(
            account_id=story.stage.account_ids["madison"], link_type="free_trial", name="Gone", free_trial_days=7
        )
    ).data
    assert made is not None
    assert made.id is not None
    assert made.free_trial_days == 7
    deleted = (await story.sdk.smart_links.delete(made.id)).data
    assert deleted is not None
    assert deleted.success is True
    with pytest.raises(onlyfansapi.NotFoundError):
        await story.sdk.smart_links.retrieve(made.id)
    with pytest.raises(onlyfansapi.NotFoundError):
        await story.sdk.smart_links.delete(made.id)


def test_covered(story: Story) -> None:
    """Nothing the client offers of these resources is left out above."""
    from pathlib import Path

    said = Path(__file__).read_text()
    resources = (
        "smart_links",
        "smart_link_postbacks",
        "link_tags",
        "webhooks",
        "tracking_links",
        "trial_links",
        "whoami",
    )
    for name in resources:
        resource = getattr(story.sdk, name)
        methods = [each for each in vars(type(resource)) if not each.startswith(("_", "with_")) and each != "tags"]
        assert methods
        for method in methods:
            assert f".{method}(" in said, f"{name}.{method}"
