"""Team, keys, profile and audit log in a real Chromium: links and keys shown once, the grid of permissions, a phone, the dark."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.browser.buyer import PASSWORD, Buyer, buyer

PAGES = ("/team", "/keys", "/profile", "/audit-log")


async def test_a_colleague_is_invited_joins_and_is_given_less(browser: Browser, base: str, robin: Buyer) -> None:
    page = robin.page
    await page.keyboard.press("g")
    await page.keyboard.press("m")
    await expect(page.locator("h1")).to_have_text("Select Agency")
    await page.get_by_role("button", name="Make invitation").click()
    await expect(page.locator("#email-wrong")).to_contain_text("e-mail address")
    await page.fill("#email", "kim@example.com")
    await page.locator("input[name=role][value=custom]").check()
    await page.get_by_text("Permissions beyond the role").click()
    await page.get_by_label("Change: Postbacks").check()
    await page.locator("input[name=role][value=viewer]").check()
    await expect(page.get_by_label("See: Postbacks")).to_be_hidden()  # by role
    await expect(page.get_by_label("Change: Postbacks")).to_be_checked()
    await page.get_by_role("button", name="Make invitation").click()
    await page.locator(".secret").get_by_role("button").click()
    await expect(page.locator(".secret button")).to_have_text("Copied")
    link = await page.inner_text("#invitation-link")
    async with buyer(browser, base, log_in=False) as kim:
        await kim.page.goto(link)
        await kim.page.fill("#password", PASSWORD)
        await kim.page.fill("#again", PASSWORD)
        await kim.page.click("button.main")
        await expect(kim.page).to_have_url(f"{base}/overview")
        assert await kim.go("/postbacks/new") == 200
        assert await kim.go("/links/new") == 403
        await robin.go("/team")
        await page.get_by_role("link", name="kim@example.com").click()
        await page.locator("input[name=role][value=custom]").check()
        await page.get_by_label("Change: Postbacks").uncheck()
        await page.get_by_label("See: Reports, clicks, conversions, fans").check()
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator("[role=status].note")).to_contain_text("Saved")
        assert await kim.go("/overview") == 200
        assert await kim.go("/postbacks") == 403
        await page.locator("summary", has_text="Remove").click()
        await page.get_by_role("button", name="Remove from the team").click()
        await expect(page.locator("[role=status].note")).to_contain_text("no longer in the team")
        await kim.go("/overview")
        await expect(kim.page).to_have_url(f"{base}/login")


async def test_a_key_is_shown_once_and_revoked(robin: Buyer) -> None:
    page = robin.page
    await page.keyboard.press("g")
    await page.keyboard.press("k")
    await expect(page.locator("h1")).to_have_text("API keys")
    await expect(page.get_by_label("See: Postbacks")).to_be_hidden()  # all that I may
    await page.fill("#name", "Script")
    await page.get_by_label("Only what is ticked").check()
    await page.get_by_role("button", name="Make key").click()
    await expect(page.locator("#permissions-wrong")).to_contain_text("Tick at least one")
    await page.get_by_label("See: Reports, clicks, conversions, fans").check()
    await page.get_by_role("button", name="Make key").click()
    key = await page.inner_text("#made-key")
    bare = {"Authorization": f"Bearer {key}", "Cookie": ""}
    assert (await robin.context.request.get(f"{robin.base}/api/postbacks", headers=bare)).status in (403, 404)
    await robin.go("/keys")
    assert key not in await page.content()
    row = page.locator("tr").filter(has=page.get_by_label("Revoke Script", exact=True))
    await row.locator("summary").click()
    await row.get_by_role("button", name="Revoke key").click()
    await expect(page.locator("[role=status].note")).to_contain_text("worth nothing")
    assert (await robin.context.request.get(f"{robin.base}/api/whoami", headers=bare)).status == 401


async def test_ones_own_page_and_the_log_of_it(browser: Browser, robin: Buyer) -> None:
    page = robin.page
    await page.get_by_role("link", name="Your profile").click()
    await page.fill("#name", "Robin R.")
    await page.get_by_role("button", name="Save name").click()
    await expect(page.locator("[role=status].note")).to_contain_text("Your name is saved")
    await page.fill("#current", "not it at all")
    await page.fill("#password", "another long one")
    await page.fill("#again", "another long one")
    await page.get_by_role("button", name="Change password").click()
    await expect(page.locator("#current-wrong")).to_contain_text("not the password")
    await expect(page.locator("#password")).to_have_value("")
    await page.select_option("#zone", "Asia/Tokyo")
    await page.get_by_role("button", name="Save time zone").click()
    await expect(page.locator("[role=status].note")).to_contain_text("time zone")
    await page.keyboard.press("g")
    await page.keyboard.press("u")
    await expect(page).to_have_url(f"{robin.base}/audit-log")
    await page.select_option("select[name=action]", "person.renamed")
    await expect(page.locator(".story li")).to_have_count(1)
    assert "Robin R." in await robin.text()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_every_page_fits_a_phone(browser: Browser, base: str, owner: str, dark: bool) -> None:
    async with buyer(browser, base, phone=True, dark=dark) as person:
        for path in PAGES:
            assert await person.go(path) == 200
            assert await person.overflow() <= 0, path
        await person.go("/team")
        await person.page.locator("tbody a").first.click()
        assert "never without one" in await person.text()
        assert await person.overflow() <= 0
