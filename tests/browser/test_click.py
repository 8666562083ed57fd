"""A real Chromium: a person clicks an ad's link on a page, lands on the creator's page, and subscribes there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from aiohttp import web
from playwright.async_api import Browser

from loadtests.demo.stage import Stage
from tracker.stores.urls import database_url

PERSON = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"


@pytest.fixture
async def ad_page(stage: Stage) -> AsyncIterator[str]:
    """A publisher's page with the ad's link on it."""
    link = f"{stage.link_url('native')}?ecid=browser-1&fbclid=IwARbrowser&utm_source=page"

    async def page(_: web.Request) -> web.Response:
        return web.Response(
            text=f'<!doctype html><title>A page</title><a id="ad" href="{link}">See more</a>', content_type="text/html"
        )

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def test_a_person_clicks_lands_and_subscribes(stage: Stage, browser: Browser, ad_page: str) -> None:
    # Headless Chromium says so in its user agent, and is a bot to us; a person's does not.
    context = await browser.new_context(user_agent=PERSON)
    page = await context.new_page()
    await page.goto(ad_page)
    await page.click("#ad")
    await page.wait_for_url(f"{stage.platform_url}/onlyfans/ava/c*")
    first_url = page.url
    assert "Ava" in await page.content()
    cookies = {cookie["name"]: cookie for cookie in await context.cookies(stage.settings.base_url)}
    visitor = cookies[stage.settings.visitor_cookie]
    assert visitor["httpOnly"] is True
    assert visitor["sameSite"] == "Lax"

    await page.goto(ad_page)  # back, and the same ad again: the same click, the same link
    await page.click("#ad")
    await page.wait_for_url(f"{stage.platform_url}/onlyfans/ava/c*")
    assert page.url == first_url

    await page.click("button")
    await page.wait_for_load_state()
    connection = await asyncpg.connect(database_url(stage.settings))
    try:
        for _ in range(150):
            row = await connection.fetchrow(
                "SELECT c.gross_clicks, c.is_bot, c.lease, c.referrer, v.conversion_type FROM clicks c"
                " JOIN conversions v USING (click_id) WHERE c.ecid = 'browser-1'"
            )
            if row is not None:
                break
            await asyncio.sleep(0.2)
    finally:
        await connection.close()
    assert row is not None, "the subscription was not credited to the click"
    assert (row["gross_clicks"], row["is_bot"], row["lease"], row["conversion_type"]) == (
        2,
        False,
        "exclusive",
        "new_subscriber",
    )
    assert row["referrer"] == ad_page
    await context.close()
