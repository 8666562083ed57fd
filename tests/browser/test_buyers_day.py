"""A buyer's day in a real Chromium: set up, a smart link, a postback that is refused, a visitor who subscribes, the repair, the replay.

The first run is the fixture `owner`, the creators' accounts are connected by the stage; the rest of the day is below, by keyboard
where it is typed, on a phone where it is looked up, in the dark where it is waited for.
"""

from __future__ import annotations

import re

from playwright.async_api import Browser, Page, expect

from loadtests.demo.stage import Stage
from tests.browser.buyer import Buyer, buyer
from tests.browser.receiving import PERSON, answers, until

NAME = "Spring / TikTok"
ALL_OF_THEM = re.compile(r"(\d+) of \1 tried again")  # the subscription, and the payment that came with it


async def tab_to(page: Page, selector: str, most: int = 90) -> None:
    """Press Tab until the focus is there."""
    for _ in range(most):
        if await page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"{selector} is not reached by Tab")


async def make_link_by_keyboard(page: Page) -> str:
    """g l, n, fill, Enter: the link's address for the ad."""
    await page.keyboard.press("g")
    await page.keyboard.press("l")
    await page.wait_for_url("**/links")
    await page.keyboard.press("n")
    await page.wait_for_url("**/links/new")
    await tab_to(page, "#account_id")
    await page.keyboard.type("Madison")
    await tab_to(page, "#name")
    await page.keyboard.type(NAME)
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text(NAME)
    return (await page.inner_text("#ad-url")).partition("?")[0]


async def make_postback_by_keyboard(page: Page, address: str) -> str:
    """g p, n, write the template with the palette, Enter: the postback's path."""
    await page.keyboard.press("g")
    await page.keyboard.press("p")
    await page.wait_for_url("**/postbacks")
    await page.keyboard.press("n")
    await page.wait_for_url("**/postbacks/new")
    await tab_to(page, "#name")
    await page.keyboard.type("My network")
    await tab_to(page, "#url")
    await page.keyboard.type(f"{address}?cid={{conversion_idd}}")
    await expect(page.locator("#preview")).to_contain_text("conversion_idd")  # the mistake is shown while it is written
    for _ in range(len("{conversion_idd}")):
        await page.keyboard.press("Backspace")
    await tab_to(page, '[data-variable="conversion_id"]')
    await page.keyboard.press("Enter")
    await expect(page.locator("#url")).to_have_value(f"{address}?cid={{conversion_id}}")
    await expect(page.locator("#url")).to_be_focused()
    await expect(page.locator("#preview")).to_contain_text(f"GET {address}?cid=")
    await tab_to(page, "#postback button.main")
    await page.keyboard.press("Enter")
    await expect(page.locator("[role=status].note")).to_contain_text("Saved")
    return "/postbacks/" + page.url.rpartition("/")[2].partition("?")[0]


async def subscribe_as_a_visitor(browser: Browser, link: str) -> str:
    """Somebody elsewhere clicks the ad and subscribes on the creator's page: their number."""
    context = await browser.new_context(user_agent=PERSON, locale="en-US")
    try:
        page = await context.new_page()
        await page.goto(f"{link}?ecid=day-1&utm_source=tiktok")
        await page.get_by_role("button", name="Subscribe").click()
        found = re.search(r"Your fan id is (\d+)", await page.inner_text("body"))
        assert found is not None
        return found[1]
    finally:
        await context.close()


async def test_a_buyers_day(browser: Browser, base: str, robin: Buyer, stage: Stage) -> None:
    page = robin.page
    link = await make_link_by_keyboard(page)
    address = await answers(stage, "day", "status", status=410, body="unknown campaign")
    postback = await make_postback_by_keyboard(page, address)
    await tab_to(page, "section[aria-labelledby=test] button.main")
    await page.keyboard.press("Enter")
    await expect(page.locator("#tried")).to_contain_text("Not taken")
    await expect(page.locator("#tried")).to_contain_text("unknown campaign")

    fan = await subscribe_as_a_visitor(browser, link)
    home = "/links/" + link.rpartition("/")[2]
    conversions = await until(robin, home + "/conversions", "day-1")
    assert "New subscriber" in conversions
    await page.locator("tbody a[href^='/explain/']").first.click()
    assert "credited" in await robin.text()
    await robin.go(f"/explain/fan/{fan}")
    await expect(page.locator("svg.picture .dot.subscribed")).to_have_count(1)
    overview = await until(robin, "/overview?range=today&search=Spring", NAME)
    assert "Subscribers" in overview

    # The receiver wants no more of them: given up, switched off, and said so.
    said = await until(robin, postback, "Disabled")
    assert "410" in said
    async with buyer(browser, base, phone=True) as pocket:  # looked up on the way home
        await pocket.go("/deliveries?state=dead&destination=" + postback.rpartition("/")[2])
        assert await pocket.overflow() <= 0
        await pocket.page.locator("tbody tr a").first.click()
        assert "Attempt 1" in await pocket.text()
        assert "unknown campaign" in await pocket.text()
        assert await pocket.overflow() <= 0

    await answers(stage, "day")  # the network knows the campaign now
    await page.get_by_role("link", name="Edit").click()
    await page.locator("#url").fill(f"{address}?cid={{conversion_id}}&campaign=7")
    await page.get_by_role("button", name="Save").click()
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator("h1 .badge")).to_have_count(0)
    await page.get_by_role("link", name="All deliveries").click()
    await page.get_by_role("button", name="Send all of them again").click()
    await expect(page.locator("#progress")).to_contain_text("tried again")
    async with buyer(browser, base, dark=True) as night:  # followed in the dark
        await night.page.goto(page.url)
        await expect(night.page.locator("#progress")).to_contain_text(ALL_OF_THEM, timeout=30_000)
        assert await night.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 19, 26)"
    await expect(page.locator("#progress")).to_contain_text(ALL_OF_THEM, timeout=30_000)  # by itself
    await page.get_by_role("link", name="To the deliveries").click()
    await until(robin, page.url.removeprefix(base), "delivered")
    assert await page.locator("tbody .badge.bad").count() == 0
    log = await until(robin, "/audit-log", "Deliveries sent again")
    for words in ("Smart link made", "Postback made", "Postback changed"):
        assert words in log
    await robin.go(postback)
    await page.locator("summary", has_text="Delete").click()
    await page.get_by_role("button", name="Delete for good").click()
    await expect(page.locator("[role=status].note")).to_contain_text("It is deleted")
