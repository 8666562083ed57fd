"""Markup, script addresses and formulas in everything a stranger, a provider or a receiver chooses: text on every page and in exports."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator

import aiohttp
import asyncpg
import pytest

from loadtests.demo.stage import Stage
from tests.browser.buyer import Buyer
from tests.browser.receiving import PERSON, answers, until
from tracker.stores.urls import database_url

MARKUP = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}"
FORMULA = '=HYPERLINK("https://evil.example/","x")'
TABS = ("", "/clicks?bots=show&duplicates=show", "/conversions", "/fans", "/cohorts", "/pool", "/history", "/edit")
PLANTED = '() => document.querySelectorAll(\'img, iframe, main script, main style, [onerror], [onload], a[href^="javascript:" i], a[href*="evil"]\').length'


@pytest.fixture
async def world(robin: Buyer, stage: Stage) -> AsyncIterator[dict[str, str]]:
    """Names of everything, made of markup; what they were is put back."""
    address = await answers(stage, "hostile", "status", status=410, body=MARKUP)
    body = {
        "url": f"{address}?ecid={{external_click_id}}",
        "name": MARKUP,
        "smart_link_scope": "global",
        "conversion_types": ["new_subscriber"],
    }
    postback = await stage.api("POST", "smart-link-postbacks", body)
    link = await stage.api(
        "POST", "smart-links",
        {"account_id": stage.account_ids["madison"], "name": MARKUP, "link_type": "tracking_link", "tags": ["<b>tag</b>"]},
    )  # fmt: skip
    key = await stage.api("POST", "api-keys", {"name": MARKUP[:90]})
    parameters = {
        "ecid": FORMULA,
        "utm_source": MARKUP,
        "utm_campaign": "javascript:alert(3)",
        "utm_term": FORMULA,
        "aff_s1": MARKUP,
    }
    headers = {"User-Agent": f"{PERSON} {MARKUP}", "Referer": "javascript:alert(4)//" + MARKUP}
    url = f"{stage.settings.base_url}/go/{link['id']}"
    async with stage.session.get(url, params=parameters, headers=headers, allow_redirects=False) as answer:
        target = answer.headers["Location"]
    subscribe = {"account_id": stage.platform_accounts["madison"], "name": MARKUP, "link_url": target, "click": False}
    fan = str((await stage.admin("fans/subscribe", subscribe))["fan_id"])
    await until(robin, f"/postbacks/{postback['destination_id']}", "Disabled")
    connection = await asyncpg.connect(database_url(stage.settings))
    account = stage.account_ids["madison"]
    was = await connection.fetchrow("SELECT username, display_name FROM accounts WHERE account_id = $1", account)
    assert was is not None
    try:
        await connection.execute(
            "UPDATE accounts SET username = $2, display_name = $2 WHERE account_id = $1", account, MARKUP
        )
        await connection.execute("UPDATE fans SET name = $2, username = $3 WHERE fan_id = $1", fan, MARKUP, FORMULA)
        yield {
            "link": link["id"], "postback": postback["destination_id"], "fan": fan, "key": key["api_key"],
            "event": await connection.fetchval("SELECT event_id FROM deliveries WHERE destination_id = $1", postback["destination_id"]),
        }  # fmt: skip
    finally:
        await connection.execute(
            "UPDATE accounts SET username = $2, display_name = $3 WHERE account_id = $1", account, *was
        )
        await connection.close()
        await stage.api("DELETE", f"smart-link-postbacks/{postback['destination_id']}")


async def test_it_is_text_on_every_page_and_in_exports(robin: Buyer, stage: Stage, world: dict[str, str]) -> None:
    page = robin.page
    home, postback = f"/links/{world['link']}", f"/postbacks/{world['postback']}"
    paths = ["/overview", "/links", "/links/new", "/accounts", f"/accounts/{stage.account_ids['madison']}", "/health", "/live", "/postbacks", postback,
             postback + "/edit", "/postbacks/new", "/platforms/new/meta", "/deliveries", f"/deliveries/{world['postback']}/{world['event']}", "/keys",
             "/team", "/profile", "/audit-log", f"/explain/fan/{world['fan']}", *(home + tab for tab in TABS)]  # fmt: skip
    paths += [
        f"{home}?by={name}"
        for name in ("ecid", "utm_source", "utm_campaign", "utm_term", "aff_s1", "referrer", "browser")
    ]
    paths += [
        "/deliveries?event=" + "%22%3E%3Cimg%20src=x%20onerror=alert(5)%3E",
        "/audit-log?thing=%3Cscript%3Ealert(6)%3C/script%3E",
    ]
    seen = ""
    for path in paths:
        assert await robin.go(path) == 200, path
        seen += await robin.text()
        assert await page.evaluate(PLANTED) == 0, path
    assert MARKUP in seen  # it was there to be read
    assert FORMULA in seen
    assert "javascript:alert(3)" in seen
    await robin.go(postback)
    await page.get_by_role("button", name="Send test").click()
    await page.locator("#tried .note").wait_for()
    assert "onerror=alert(1)" in await page.inner_text("#tried")
    assert await page.evaluate(PLANTED) == 0

    headers = {"Authorization": f"Bearer {world['key']}"}
    for what in ("clicks", "conversions", "fans", "deliveries"):
        cells = await export(stage, f"{robin.base}/api/exports/{what}.csv", headers)
        assert any(FORMULA in cell or MARKUP in cell for cell in cells), what
        assert not [cell for cell in cells if cell[:1] in "=+@\t\r" and cell], what


async def export(stage: Stage, url: str, headers: dict[str, str]) -> list[str]:
    """All cells of an exported table."""
    async with stage.session.get(url, headers=headers, timeout=aiohttp.ClientTimeout(total=60)) as answer:
        assert answer.status == 200
        assert "attachment" in answer.headers["Content-Disposition"]
        text = await answer.text()
    return [cell for line in csv.reader(io.StringIO(text)) for cell in line]
