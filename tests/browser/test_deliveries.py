"""Postbacks, ad platforms and deliveries in a real Chromium: forms, preview, palette, tests, replay, a phone, the dark, no scripts."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, expect

from loadtests.demo.stage import Stage
from tests.browser.buyer import Buyer, buyer
from tests.browser.receiving import answers, convert, until

PAGES = (
    "/postbacks",
    "/postbacks/new",
    "/platforms",
    "/platforms/new",
    "/platforms/new/meta",
    "/deliveries",
    "/deliveries?state=dead",
)


async def test_the_editor_shows_what_it_will_send(robin: Buyer, stage: Stage) -> None:
    page = robin.page
    await robin.go("/postbacks/new?preset=exoclick")
    await page.get_by_role("button", name="Make postback").click()
    await expect(page.locator("#url-wrong")).to_contain_text("in place of <")
    await expect(page.locator("#url")).to_have_attribute("aria-invalid", "true")
    await page.locator("#url").fill("https://h.example/?id=")
    await page.locator('[data-variable="click_id"]').click()
    await expect(page.locator("#url")).to_have_value("https://h.example/?id={click_id}")
    await expect(page.locator("#preview")).to_contain_text("GET https://h.example/?id=01jd8z6h3n5p7r9t1v2x4y6z8b")
    await page.select_option("#http_method", "POST")
    await page.locator("#body").fill('{"net": {amount_nett}}')
    await expect(page.locator("#preview mark")).to_have_text("{")
    await page.get_by_role("button", name="Make postback").click()
    await expect(page.locator("#body-wrong")).to_contain_text("position")
    await expect(page.locator("#body")).to_have_value('{"net": {amount_nett}}')


async def test_refused_deliveries_are_looked_at_chosen_and_sent_again(robin: Buyer, stage: Stage) -> None:
    page = robin.page
    address = await answers(stage, "picky", "status", status=410, body="<b>not</b> today")
    made = await stage.api(
        "POST", "smart-link-postbacks",
        {"url": address + "?c={conversion_id}", "name": "Picky", "smart_link_scope": "global", "conversion_types": ["new_subscriber"]},
    )  # fmt: skip
    home = f"/postbacks/{made['destination_id']}"
    await convert(stage, stage.link_url("meta"), ecid="picky-1")
    assert "410" in await until(robin, home, "Disabled")
    await robin.go("/postbacks")
    await expect(page.locator("tr", has_text="Picky")).to_contain_text("disabled")
    await answers(stage, "picky")
    await page.get_by_role("link", name="Picky").click()
    await page.get_by_role("button", name="Resume").click()
    await robin.go("/deliveries")
    await page.select_option("select[name=destination]", label="Picky")
    await expect(page).to_have_url(re.compile("destination="))
    await page.select_option("select[name=state]", "dead")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.locator("tbody input[type=checkbox]").check()
    await page.get_by_role("button", name="Send the chosen again").click()
    await expect(page.locator("#progress")).to_contain_text("1 of 1 tried again", timeout=30_000)
    await expect(page.locator("#progress")).to_contain_text("1 attempt was taken", timeout=30_000)
    await page.get_by_role("link", name="To the deliveries").click()
    await page.locator("tbody tr a").first.click()
    await expect(page.locator("#attempt-2")).to_be_visible()
    assert "<b>not</b> today" in await robin.text()
    await stage.api("DELETE", f"smart-link-postbacks/{made['destination_id']}")


async def test_a_platform_is_connected_step_by_step(robin: Buyer) -> None:
    page = robin.page
    await robin.go("/platforms")
    await page.keyboard.press("n")
    await page.get_by_role("link", name="Meta").first.click()
    await expect(page.locator("#step-1")).to_be_visible()
    await page.get_by_role("button", name="Connect").click()
    await expect(page.locator("[id='config.pixel_id-wrong']")).to_contain_text("is needed")
    await expect(page.locator("[id='config.pixel_id']")).to_have_attribute(
        "aria-describedby", "config.pixel_id-wrong config.pixel_id-hint"
    )
    await page.locator("[id='config.pixel_id']").fill("123456789012345")
    await page.locator("#token").fill("test-token")
    await page.get_by_role("button", name="Connect").click()
    await expect(page.locator("[role=status].note")).to_contain_text("Saved")
    await page.get_by_role("button", name="Send test").click()
    await expect(page.locator("#tried [role=alert]")).to_contain_text("Copy the code")
    await page.get_by_role("link", name="Edit").click()
    await expect(page.locator("#token")).to_have_value("")
    await page.get_by_label("New subscriber").first.select_option("off")
    await page.get_by_role("button", name="Save").click()
    await page.locator("summary", has_text="Delete").click()
    await page.get_by_role("button", name="Delete for good").click()
    await expect(page).to_have_url(re.compile(r"/platforms\?gone="))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_every_page_fits_a_phone(browser: Browser, base: str, owner: str, stage: Stage, dark: bool) -> None:
    async with buyer(browser, base, phone=True, dark=dark) as person:
        await person.go("/postbacks")
        one = await person.page.locator("tbody a").first.get_attribute("href")
        for path in (*PAGES, one or "", f"{one}/edit"):
            assert await person.go(path) == 200, path
            assert await person.overflow() <= 0, path


async def test_without_scripts_a_test_is_sent_and_shown(browser: Browser, base: str, owner: str, stage: Stage) -> None:
    address = await answers(stage, "plain")
    body = {"url": address, "name": "Plain", "smart_link_scope": "global", "conversion_types": ["transaction_status"]}
    made = await stage.api("POST", "smart-link-postbacks", body)
    async with buyer(browser, base, scripts=False) as person:
        await person.go(f"/postbacks/{made['destination_id']}")
        await person.page.get_by_role("button", name="Send test").click()
        assert "Taken: 200" in await person.text()
        await person.page.get_by_role("link", name="Back", exact=True).click()
        await expect(person.page.locator("h1")).to_have_text("Plain")
    await stage.api("DELETE", f"smart-link-postbacks/{made['destination_id']}")
