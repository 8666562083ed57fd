"""Accounts, health and the live view in a real Chromium: every form, on a phone, in the dark, by keyboard, and with hostile values."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from playwright.async_api import Browser, Page, Request, expect

from loadtests.demo.stage import Stage
from tests.browser.buyer import Buyer, buyer
from tracker.stores.urls import database_url

PERSON = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}"
PLACES = ("/accounts", "/accounts/new", "/accounts/new/onlymonster", "/health", "/live")


@pytest.fixture
async def truth(stage: Stage) -> AsyncIterator[Any]:
    """A connection to the database."""
    connection = await asyncpg.connect(database_url(stage.settings))
    yield connection
    await connection.close()


async def visit(stage: Stage, ecid: str, again: int = 0) -> str:
    """A visitor clicks the ad; where they were sent."""
    headers = {"User-Agent": f"{PERSON} {ecid}", "Referer": "javascript:alert(4)//" + ecid}
    target = ""
    for _ in range(again + 1):
        async with stage.session.get(
            stage.link_url("meta"), params={"ecid": ecid, "utm_source": HOSTILE}, headers=headers, allow_redirects=False
        ) as answer:
            assert answer.status == 302
            target = answer.headers["Location"]
    return target


async def subscribe(stage: Stage, target: str) -> str:
    """The visitor subscribes there; the fan's number."""
    body: dict[str, Any] = {
        "account_id": stage.platform_accounts["madison"], "name": HOSTILE, "link_url": target, "click": False,
    }  # fmt: skip
    return str((await stage.admin("fans/subscribe", body))["fan_id"])


async def hurry(page: Page) -> None:
    """The page's next look comes now: its clock jumps past the pause."""
    await page.clock.fast_forward(31_000)


def row(page: Page, text: str) -> Any:
    """A row of the live table."""
    return page.locator("#live tbody tr").filter(has_text=text)


async def test_an_account_is_connected_changed_and_disconnected(robin: Buyer, stage: Stage, truth: Any) -> None:
    page = robin.page
    theirs = await stage.admin("accounts", {"username": "zoe", "name": HOSTILE, "subscribe_price": 9.99})
    await robin.go("/accounts")
    assert "Ava" in await robin.text()
    await page.keyboard.press("n")
    await expect(page.locator("h1")).to_have_text("How is the creator's account reached?")
    await page.get_by_role("link", name="OnlyFansAPI OnlyFans").click()
    await page.get_by_role("button", name="Connect").click()
    await expect(page.locator("#provider_account_id-wrong")).to_have_text("Account id is needed.")
    await expect(page.locator("#api_key-wrong")).to_have_text("API key is needed.")
    await page.fill("#provider_account_id", theirs["id"])
    await page.fill("#api_key", "test-key")
    await page.get_by_role("button", name="Connect").click()

    await expect(page.locator("h2", has_text="Enter this at OnlyFansAPI")).to_be_visible()
    account_id = await truth.fetchval("SELECT account_id FROM accounts WHERE provider_account_id = $1", theirs["id"])
    url, secret = await page.inner_text("#webhook-url"), await page.inner_text("#webhook-secret")
    assert url == f"{robin.base}/webhooks/onlyfansapi/{account_id}"
    assert len(secret) > 30
    await page.locator("button[data-copy=webhook-secret]").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    # What was shown is what the provider must sign with.
    hook = {
        "endpoint_url": url, "signing_secret": secret, "events": ["subscriptions.new"], "account_scope": "inclusive",
        "account_ids": [theirs["id"]],
    }  # fmt: skip
    async with stage.session.post(
        f"{stage.platform_url}/api/webhooks", json=hook, headers={"Authorization": "Bearer test-key"}
    ) as answer:
        assert answer.status < 300
    await stage.admin("fans/subscribe", {"account_id": theirs["id"], "name": HOSTILE})
    await page.get_by_role("link", name="Done").click()
    await expect(page.locator("#webhook-secret")).to_have_count(0)
    assert secret not in await page.content()
    for _ in range(100):
        await page.reload()
        if (
            await page.locator("h1 .badge", has_text="well").count()
            and await page.get_by_text("None has come").count() == 0
        ):
            break
        await asyncio.sleep(0.2)
    await expect(page.locator("h1 .badge")).to_have_text("well")
    await expect(page.get_by_text("None has come")).to_have_count(0)
    await expect(page.locator("h1")).to_contain_text(HOSTILE[:20])

    await page.get_by_role("link", name="Edit").click()
    await page.fill("#profile_url", "javascript:alert(1)")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#profile_url-wrong")).to_contain_text("https://")
    await page.fill("#profile_url", "https://onlyfans.com/zoe")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("[role=status].note")).to_contain_text("Saved")
    await page.get_by_role("button", name="Look again now").click()
    await expect(page.locator("[role=status].note")).to_contain_text("being looked at")
    await page.locator("summary", has_text="Lost the secret?").click()
    await page.get_by_role("button", name="Make a new secret").click()
    assert await page.inner_text("#webhook-secret") != secret
    await page.goto(f"{robin.base}/links/new")
    await expect(page.locator("#account_id option", has_text="zoe")).to_have_count(1)
    await page.goto(f"{robin.base}/accounts/{account_id}")
    await page.locator("summary", has_text="Disconnect").click()
    await page.get_by_role("button", name="Disconnect it").click()
    await expect(page).to_have_url(f"{robin.base}/accounts")
    assert theirs["id"] not in await robin.text()
    assert await robin.go(f"/accounts/{account_id}") == 404


async def test_a_provider_with_a_secret_of_its_own(robin: Buyer, truth: Any) -> None:
    page = robin.page
    await robin.go("/accounts/new/onlymonster")
    await page.fill("#provider_account_id", "4711")
    await page.fill("#api_key", "token")
    await page.fill("#import_prefix", "clickbind")
    await page.get_by_role("button", name="Connect").click()
    await expect(page.locator("#webhook-secret")).to_have_count(0)
    before = await truth.fetchval("SELECT webhook_secret_sealed FROM accounts WHERE provider_account_id = '4711'")
    await page.fill("#webhook_secret", "what Onlymonster showed")
    await page.get_by_role("button", name="Save the secret").click()
    await expect(page.locator("[role=status].note")).to_contain_text("Saved")
    after = await truth.fetchrow("SELECT * FROM accounts WHERE provider_account_id = '4711'")
    assert after["webhook_secret_sealed"] != before
    assert after["import_prefix"] == "clickbind"
    await page.locator("summary", has_text="Disconnect").click()
    await page.get_by_role("button", name="Disconnect it").click()
    await expect(page).to_have_url(f"{robin.base}/accounts")


async def test_what_happens_appears_by_itself_and_once(robin: Buyer, stage: Stage) -> None:
    page = robin.page
    await visit(stage, "before")
    await robin.go("/live")
    await expect(row(page, "ecid before")).to_have_count(1)
    own = "live" + HOSTILE  # others may have left theirs
    target = await visit(stage, own, again=1)
    await expect(row(page, "ecid " + own[:30])).to_have_count(2)  # the click, and again
    await expect(row(page, "ecid " + own[:30]).locator(".badge", has_text="Again")).to_have_count(1)
    fan = await subscribe(stage, target)
    credit = page.locator('#live tr[data-key^="n:"]')
    mine = credit.filter(has_text="Subscriber").filter(has_text=HOSTILE)
    await expect(mine.first).to_be_visible(timeout=20_000)
    await expect(row(page, "Delivered").filter(has_text="new subscriber").first).to_be_visible(timeout=20_000)

    await page.get_by_role("button", name="Pause").click()
    await stage.admin(
        "fans/tip", {"account_id": stage.platform_accounts["madison"], "fan_id": int(fan), "amount": 25.0}
    )
    await visit(stage, "meanwhile")
    await expect(page.locator("#live-state")).to_contain_text("Paused")
    async with page.expect_response("**/live/feed*"):
        await page.get_by_role("button", name="Resume").click()
    await expect(row(page, "ecid meanwhile")).to_have_count(1, timeout=10_000)
    await expect(credit.filter(has_text="$25.00")).to_have_count(1, timeout=30_000)
    keys = await page.locator("#live tbody tr").evaluate_all("rows => rows.map(row => row.dataset.key)")
    assert len(keys) == len(set(keys))
    await credit.filter(has_text="$25.00").locator("a").click()
    await expect(page).to_have_url(re.compile("/explain/conversion/"))


async def test_the_live_view_filters_survives_trouble_and_stops(robin: Buyer, stage: Stage) -> None:
    page = robin.page
    await page.clock.install()
    await visit(stage, "filtered")
    await robin.go("/live")
    await expect(row(page, "ecid filtered")).to_have_count(1)
    await page.get_by_label("Clicks").uncheck()
    await page.wait_for_url("**/live?conversion=yes*")
    async with page.expect_response("**/live/feed*"):
        pass
    await expect(row(page, "ecid filtered")).to_have_count(0)
    await page.goto(f"{robin.base}/live")
    await page.select_option("select[name=link]", stage.smart_links["native"])
    await page.wait_for_url("**link=*")
    await expect(row(page, "ecid filtered")).to_have_count(0)

    await page.goto(f"{robin.base}/live")
    await expect(row(page, "ecid filtered")).to_have_count(1)
    await page.route("**/live/feed*", lambda route: route.fulfill(status=429, body="", headers={"Retry-After": "0"}))
    await hurry(page)
    await expect(page.locator("#live-state")).to_contain_text("trying again", timeout=10_000)
    await visit(stage, "during trouble")
    await page.unroute("**/live/feed*")
    await hurry(page)
    await expect(row(page, "ecid during trouble")).to_have_count(1, timeout=20_000)
    await expect(row(page, "ecid filtered")).to_have_count(1)

    asked: list[str] = []

    def note(request: Request) -> None:
        if "/live/feed" in request.url:
            asked.append(request.url)

    page.on("request", note)
    await page.goto(f"{robin.base}/health")
    asked.clear()
    async with page.expect_response("**/health"):
        await hurry(page)
    assert asked == []  # the live page was left: it asks no more


async def test_health_says_it_in_words_and_follows(robin: Buyer, stage: Stage, truth: Any) -> None:
    page = robin.page
    await page.clock.install()
    await robin.go("/health")
    main = page.locator("#health")
    await expect(main.locator(".badge", has_text="works")).to_have_count(4, timeout=15_000)
    madison = stage.account_ids["madison"]
    before = await truth.fetchrow("SELECT session_state, session_message FROM accounts WHERE account_id = $1", madison)
    try:
        await truth.execute(
            "UPDATE accounts SET session_state = 'dead', session_message = $2 WHERE account_id = $1", madison, HOSTILE
        )
        told = main.locator(".note.bad", has_text="needs a new log-in")
        await expect(told).to_contain_text(HOSTILE[:20], timeout=20_000)  # without a reload
        await told.locator("a").focus()
        async with page.expect_response("**/health"):
            await hurry(page)
        await expect(told.locator("a")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page).to_have_url(f"{robin.base}/accounts/{madison}")
        await expect(page.locator("h1 .badge")).to_have_text("needs a log-in")
    finally:
        await truth.execute(
            "UPDATE accounts SET session_state = $2, session_message = $3 WHERE account_id = $1", madison, *before
        )
    await page.keyboard.press("g")
    await page.keyboard.press("h")
    await expect(page).to_have_url(f"{robin.base}/health")
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator("#health-said")).to_contain_text("Paused")
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator("#health-said")).to_have_text("As of")
    await page.route("**/health", lambda route: route.fulfill(status=429, body=""))
    await hurry(page)
    await expect(page.locator("#health-said")).to_contain_text("does not answer", timeout=15_000)
    await page.unroute("**/health")
    await hurry(page)
    await expect(page.locator("#health-said")).to_have_text("As of", timeout=15_000)


@pytest.mark.parametrize("dark", [False, True])
async def test_on_a_phone_nothing_is_cut_off(browser: Browser, base: str, owner: str, stage: Stage, dark: bool) -> None:
    await visit(stage, "phone" + HOSTILE)
    async with buyer(browser, base, phone=True, dark=dark) as person:
        for path in (*PLACES, f"/accounts/{stage.account_ids['madison']}"):
            assert await person.go(path) == 200
            if path == "/live":
                await expect(row(person.page, "ecid phone").first).to_be_visible()
            assert await person.overflow() <= 0, path
            ground = await person.page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (ground == "rgb(14, 19, 26)") is dark, path


async def test_without_scripts_the_pages_still_say_what_they_can(browser: Browser, base: str, owner: str) -> None:
    async with buyer(browser, base, scripts=False) as person:
        await person.go("/live")
        assert "needs JavaScript" in await person.text()
        await person.go("/health")
        assert "The servers" in await person.text()
        await person.go("/accounts/new/ofauth")
        await person.page.click("button.main")
        await expect(person.page.locator("#api_key-wrong")).to_be_visible()
