"""The dashboard in a real Chromium: a buyer's first day, by mouse, by keyboard, on a phone, and with hostile visitors."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import asyncpg
import pytest
from playwright.async_api import Browser, expect

from loadtests.demo.stage import Stage
from tests.browser.buyer import EMAIL, PASSWORD, Buyer, buyer
from tracker.stores.urls import database_url

PERSON = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}"
TABS = ("", "/clicks?bots=show&duplicates=show", "/conversions", "/fans", "/cohorts", "/pool", "/history", "/edit")


@pytest.fixture(scope="session")
async def hostile_fan(stage: Stage, owner: str) -> str:
    """A visitor who sends markup in everything a visitor chooses, and subscribes and pays under a name of that kind."""
    parameters = {
        "ecid": HOSTILE[:200],
        "utm_source": HOSTILE,
        "utm_campaign": "javascript:alert(3)",
        "aff_s1": HOSTILE,
    }
    headers = {"User-Agent": f"{PERSON} {HOSTILE}", "Referer": "javascript:alert(4)//https://x.example/" + HOSTILE}
    async with stage.session.get(
        stage.link_url("meta"), params=parameters, headers=headers, allow_redirects=False
    ) as answer:
        assert answer.status == 302
        target = answer.headers["Location"]
    account = stage.platform_accounts["madison"]
    body: dict[str, Any] = {"account_id": account, "name": HOSTILE, "link_url": target, "click": False}
    fan = str((await stage.admin("fans/subscribe", body))["fan_id"])
    await stage.admin("fans/tip", {"account_id": account, "fan_id": int(fan), "amount": 25.0})
    connection = await asyncpg.connect(database_url(stage.settings))
    try:
        for _ in range(300):
            sold = await connection.fetchval(
                "SELECT count(*) FROM conversions WHERE fan_id = $1 AND conversion_type = 'new_transaction'", fan
            )
            waiting = await connection.fetchval(
                "SELECT EXISTS (SELECT FROM report_marks) OR EXISTS (SELECT FROM report_notes)"
            )
            if sold and not waiting:
                break
            await asyncio.sleep(0.1)
        else:
            pytest.fail("the tip was not credited and counted")
        await connection.execute("UPDATE fans SET name = $2, username = $2 WHERE fan_id = $1", fan, HOSTILE)
    finally:
        await connection.close()
    return fan


async def test_logging_in_and_out(browser: Browser, base: str, owner: str) -> None:
    async with buyer(browser, base, log_in=False) as person:
        await person.go("/links?search=meta")
        await expect(person.page).to_have_url(f"{base}/login?next=%2Flinks%3Fsearch%3Dmeta")
        await person.page.fill("#email", EMAIL)
        await person.page.fill("#password", "not the password")
        await person.page.click("button.main")
        await expect(person.page.locator("[role=alert]")).to_contain_text("is wrong")
        await expect(person.page.locator("#email")).to_have_value(EMAIL)
        await expect(person.page.locator("#password")).to_have_value("")
        await person.page.fill("#password", PASSWORD)
        await person.page.click("button.main")
        await expect(person.page).to_have_url(f"{base}/links?search=meta")
        await person.page.get_by_role("button", name="Log out").click()
        await expect(person.page).to_have_url(f"{base}/login")
        await person.go("/overview")
        await expect(person.page).to_have_url(f"{base}/login")
        for elsewhere in ("//evil.example/", "https://evil.example/", "/\\evil.example"):
            await person.page.goto(f"{base}/login")
            await person.page.evaluate("where => { document.querySelector('[name=next]').value = where }", elsewhere)
            await person.page.fill("#email", EMAIL)
            await person.page.fill("#password", PASSWORD)
            await person.page.click("button.main")
            await expect(person.page).to_have_url(f"{base}/overview")
            await person.page.get_by_role("button", name="Log out").click()
            await expect(person.page).to_have_url(f"{base}/login")


async def test_a_smart_link_is_made_changed_paused_and_deleted(robin: Buyer, stage: Stage) -> None:
    page = robin.page
    await robin.go("/links/new")
    await page.get_by_label("Free trial").check()
    await page.fill("#window", "many")
    await page.fill("#fallback_url", "javascript:alert(1)")
    await page.get_by_role("button", name="Make smart link").click()
    for field, words in (
        ("account_id", "Choose the account"),
        ("name", "Give the link a name"),
        ("free_trial_days", "Choose how many days"),
        ("window_seconds", "at most 30 days"),
    ):
        await expect(page.locator(f"#{field}-wrong")).to_contain_text(words)
    await expect(page.locator("#window")).to_have_value("many")
    await expect(page.get_by_label("Free trial")).to_be_checked()
    await page.select_option("#account_id", label="Ava")
    await page.fill("#name", HOSTILE)
    await page.get_by_label("Tracking link").check()
    await page.fill("#window", "2.5")
    await page.fill("#tags", "spring, us")
    await page.fill("#list_id", "no/../list")
    await page.get_by_role("button", name="Make smart link").click()
    await expect(page.locator("#list_id-wrong")).to_be_visible()
    await page.fill("#list_id", "1193405")
    await page.get_by_role("button", name="Make smart link").click()
    await expect(page.locator("#fallback_url-wrong")).to_contain_text("https://")
    await page.fill("#fallback_url", "https://fallback.example/")
    await page.get_by_role("button", name="Make smart link").click()

    await expect(page.locator("[role=status].note")).to_contain_text("redirects from now on")
    assert await page.inner_text("h1") == HOSTILE
    assert "window 2 h 30 min" in (await robin.text()).replace("\u202f", " ")
    link_id = page.url.rpartition("/")[2].split("?")[0]
    await page.select_option("#network", "tiktok")
    await expect(page.locator("#ad-url")).to_contain_text("ttclid=__CLICKID__")
    assert (await page.inner_text("#ad-url")).startswith(f"{stage.settings.base_url}/go/{link_id}?")
    await page.get_by_role("button", name="Copy").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    async with stage.session.get(f"{stage.settings.base_url}/go/{link_id}", allow_redirects=False) as answer:
        assert answer.status == 302

    await page.get_by_role("link", name="Edit").click()
    await expect(page.locator("#window")).to_have_value("150")
    await expect(page.get_by_label("List 1193405")).to_be_checked()
    await page.fill("#name", "Ava / spring")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("h1")).to_have_text("Ava / spring")
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator("h1 .badge")).to_have_text("paused")
    await page.get_by_role("link", name="History").click()
    history = await robin.text()
    assert EMAIL in history
    assert "Smart link changed" in history
    assert HOSTILE in history
    await page.locator("summary", has_text="Delete").click()
    await page.get_by_role("button", name="Delete for good").click()
    await expect(page).to_have_url(f"{robin.base}/links")
    assert "Ava / spring" not in await robin.text()
    assert await robin.go(f"/links/{link_id}") == 404


async def test_the_overview_counts_filters_sorts_and_compares(robin: Buyer, stage: Stage, hostile_fan: str) -> None:
    page = robin.page
    await robin.go("/overview?range=7d")
    tiles = {
        await one.locator("dt").inner_text(): await one.locator(".value").inner_text()
        for one in await page.locator(".tile").all()
    }
    assert float(tiles["Revenue"].removeprefix("$").replace(",", "")) >= 25
    await expect(page.locator("#course canvas")).to_be_visible()
    gross = tiles["Revenue"]
    await page.get_by_role("link", name="Net", exact=True).click()
    await expect(page.locator(".tile dt", has_text="Net revenue")).to_be_visible()
    assert await page.locator(".tile", has_text="Net revenue").locator(".value").inner_text() != gross
    assert "basis=net" in page.url
    await page.get_by_role("link", name="Gross", exact=True).click()
    await expect(page.locator(".tile dt", has_text="Net revenue")).to_have_count(0)

    await page.get_by_role("link", name="Smart link", exact=True).click()
    await expect(page.locator("th[aria-sort=ascending]")).to_have_text("Smart link")
    names = await page.locator(".scroll tbody th a").all_inner_texts()
    assert names == sorted(names, key=str.lower)
    await page.get_by_role("link", name="Clicks", exact=True).click()
    await expect(page.locator("th[aria-sort]")).to_have_text("Clicks")
    clicks = [
        int(text.replace(",", "")) for text in await page.locator(".scroll tbody td:nth-child(3)").all_inner_texts()
    ]
    assert clicks == sorted(clicks, reverse=True)

    await page.fill("#search", "snap")
    await expect(page.locator(".scroll tbody tr")).to_have_count(1)
    assert "search=snap" in page.url
    await page.select_option("select[name=account]", label="Ava")
    await expect(page.locator(".empty")).to_contain_text("No smart link fits")
    await robin.go("/overview?range=30d&zone=Asia/Kathmandu")
    assert "Asia/Kathmandu" in await robin.text(".head")
    await robin.go("/overview")  # remembered
    assert "Asia/Kathmandu" in await robin.text(".head")
    await robin.go("/overview?from=2026-12-31&to=2020-01-01&zone=UTC&page=-4&sort=secret&order=%00")
    await expect(page.locator("[role=alert]")).to_contain_text("These dates cannot be")


async def test_hostile_values_are_inert_on_every_page(robin: Buyer, stage: Stage, hostile_fan: str) -> None:
    page = robin.page
    home = f"/links/{stage.smart_links['meta']}"
    dimensions = ("ecid", "utm_source", "utm_campaign", "aff_s1", "referrer", "browser")
    paths = ["/overview", "/links", f"/explain/fan/{hostile_fan}", *(home + tab for tab in TABS)]
    paths += [f"{home}?by={name}" for name in dimensions] + [
        f"{home}/clicks?search={'%22%3E%3Cimg%20src=x%20onerror=alert(5)%3E'}"
    ]
    seen = ""
    for path in paths:
        assert await robin.go(path) == 200, path
        seen += await robin.text()
        planted = await page.evaluate(
            '() => document.querySelectorAll(\'img, iframe, main script, [onerror], a[href^="javascript:" i], a[href*="evil"]\').length'
        )
        assert planted == 0, path
    assert "onerror=alert(1)" in seen  # it was there to be read
    assert "javascript:alert(3)" in seen
    assert "49" not in await page.inner_text(".crumbs")


async def test_from_a_fan_to_the_reason(robin: Buyer, stage: Stage, hostile_fan: str) -> None:
    page = robin.page
    await robin.go(f"/links/{stage.smart_links['meta']}/fans")
    await page.locator(f"a[href*='/explain/fan/{hostile_fan}']").click()
    assert "is credited" in await robin.text()
    picture = page.locator("svg.picture")
    await expect(picture).to_be_visible()
    assert await picture.locator(".dot.subscribed").count() == 1
    assert await picture.locator(".dot.money").count() >= 1
    assert await picture.locator(".credit").count() == 1
    await page.get_by_role("link", name="why this conversion").first.click()
    await expect(page).to_have_url(f"{robin.base}/explain/conversion/" + page.url.rpartition("/")[2])
    await robin.go("/explain")
    await page.fill("#id", hostile_fan)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{robin.base}/explain/fan/{hostile_fan}")
    assert await robin.go("/explain?id=nobody-at-all") == 404
    await expect(page.locator("#id-wrong")).to_be_visible()


async def test_by_keyboard_alone(robin: Buyer) -> None:
    page = robin.page
    await robin.go("/overview")
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()
    await page.keyboard.press("?")
    await expect(page.locator("#help")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("#help")).to_be_hidden()
    await page.keyboard.press("/")
    await expect(page.locator("#search")).to_be_focused()
    await page.keyboard.type("gl")  # letters in a field are letters
    await expect(page).to_have_url(re.compile("search=gl"))
    await expect(page.locator("#search")).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Escape")
    await page.locator("#main").focus()
    await page.keyboard.press("t")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.keyboard.press("g")
    await page.keyboard.press("l")
    await expect(page).to_have_url(f"{robin.base}/links")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.keyboard.press("n")
    await expect(page).to_have_url(f"{robin.base}/links/new")
    await page.locator("#account_id").focus()
    await page.keyboard.type("Ava")
    await page.keyboard.press("Tab")
    await page.keyboard.type("By keyboard")
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("By keyboard")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_every_page_fits_a_phone(browser: Browser, base: str, stage: Stage, hostile_fan: str, dark: bool) -> None:
    async with buyer(browser, base, phone=True, dark=dark) as person:
        home = f"/links/{stage.smart_links['meta']}"
        for path in (
            "/overview",
            "/links",
            "/links/new",
            "/explain",
            f"/explain/fan/{hostile_fan}",
            *(home + tab for tab in TABS),
        ):
            assert await person.go(path) == 200
            assert await person.overflow() <= 0, path
            jumps = await person.page.evaluate(
                "() => new Promise(done => { const seen = new PerformanceObserver(() => {}); seen.observe({type: 'layout-shift', buffered: true});"
                " requestAnimationFrame(() => requestAnimationFrame(() => done(seen.takeRecords().reduce((sum, one) => sum + one.value, 0)))) })"
            )
            assert jumps < 0.02, path
        ground = await person.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(14, 19, 26)") is dark


async def test_it_works_without_scripts(browser: Browser, base: str, stage: Stage, hostile_fan: str) -> None:
    async with buyer(browser, base, scripts=False) as person:
        page = person.page
        await page.get_by_role("link", name="7 days").click()
        await expect(page).to_have_url(f"{base}/overview?range=7d")
        await page.fill("#search", "meta")
        await page.locator(".filters button", has_text="Show").click()
        await expect(page.locator(".scroll tbody tr")).to_have_count(1)
        await page.locator(".scroll tbody th a").click()
        await expect(page.locator("#ad-url")).to_contain_text(stage.smart_links["meta"])


async def test_a_form_of_another_site_changes_nothing(robin: Buyer, stage: Stage) -> None:
    link = f"{robin.base}/links/{stage.smart_links['snap']}/state"
    forged: tuple[dict[str, str | float | bool], ...] = ({"state": "paused"}, {"state": "paused", "csrf": "0" * 64})
    for fields in forged:
        answer = await robin.context.request.post(link, form=fields, max_redirects=0)
        assert answer.status == 403
        assert "out of date" in await answer.text()
    await robin.go(f"/links/{stage.smart_links['snap']}")
    assert await robin.page.locator("h1 .badge").count() == 0
