"""`python -m loadtests.screenshots`: the dashboard's pages as pictures, on a stage that has been played.

Starts everything as the demo does, adds weeks of traffic, sets Clickbind up in a real Chromium as its first user would, and writes
one PNG per page into docs/screenshots.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from pathlib import Path

import asyncpg
from playwright.async_api import Browser, BrowserContext, async_playwright

from loadtests import history
from loadtests.demo.cast import LINKS, plan
from loadtests.demo.stage import Stage
from loadtests.demo.visitors import Played, Visitors
from tracker.access import first_run
from tracker.secrets import installation_secrets
from tracker.settings import Settings
from tracker.stores.urls import database_url

FOLDER = Path(__file__).parent.parent / "docs" / "screenshots"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
]
DESKTOP, PHONE = (1360, 1040), (390, 1100)
SETTLE_SECONDS = 120
WITHOUT_REST = {
    "live": "#live tbody tr",
    "health": "#health[data-seconds='5']",
}  # pages that go on asking, and what to wait for


async def play(stage: Stage, people: int = 10, days: int = 45) -> None:
    """Visitors of today, and the weeks before; returns when all of it is credited and counted."""
    played = Played()
    visitors = Visitors(
        stage.session,
        stage.platform_url,
        {key: stage.link_url(key) for key in LINKS},
        {key: stage.platform_accounts[username] for key, (username, _, _) in LINKS.items()},
        played,
    )
    cast = plan(people, 3)
    opened = time.monotonic()
    await asyncio.gather(*(visitors.play(person, opened, lambda: None) for person in cast))
    await history.write(database_url(stage.settings), stage.smart_links, days)
    await settled(stage)


async def settled(stage: Stage) -> None:
    """Wait until no fan waits for a fold and no hour for being counted."""
    connection = await asyncpg.connect(database_url(stage.settings))
    try:
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            if not await connection.fetchval(
                "SELECT EXISTS (SELECT FROM fan_queue WHERE due_at < now() + interval '1 minute') OR EXISTS (SELECT FROM report_marks)"
                " OR EXISTS (SELECT FROM report_notes)"
            ):
                return
            await asyncio.sleep(0.5)
        raise RuntimeError(f"the stage was not settled within {SETTLE_SECONDS} s")
    finally:
        await connection.close()


async def busy_fan(stage: Stage) -> str:
    """A fan with several payments, for the explanation."""
    connection = await asyncpg.connect(database_url(stage.settings))
    try:
        fan: str = await connection.fetchval(
            "SELECT fan_id FROM conversions WHERE conversion_type = 'new_transaction' GROUP BY fan_id"
            " ORDER BY abs(count(*) - 5), fan_id LIMIT 1"
        )
        return fan
    finally:
        await connection.close()


async def set_up(stage: Stage, browser: Browser, folder: Path) -> BrowserContext:
    """The first run in the browser; returns the context that is logged in."""
    context = await browser.new_context(viewport={"width": DESKTOP[0], "height": DESKTOP[1]}, locale="en-GB")
    page = await context.new_page()
    await page.goto(first_run.url(stage.settings, installation_secrets(stage.settings)))
    await page.fill("#team", "Select Agency")
    await page.fill("#name", "Robin")
    await page.fill("#email", "robin@example.com")
    await page.fill("#password", "correct horse battery")
    await page.fill("#again", "correct horse battery")
    await page.screenshot(path=folder / "setup.png")
    await page.click("button.main")
    await page.wait_for_url("**/overview*")
    await page.close()
    return context


def pages(stage: Stage, fan: str) -> dict[str, str]:
    """Name of the picture → path of the page."""
    meta = stage.smart_links["meta"]
    return {
        "overview": "/overview?range=30d",
        "links": "/links",
        "link": f"/links/{meta}?range=30d&network=meta&by=country",
        "clicks": f"/links/{meta}/clicks?range=30d&bots=show&duplicates=show",
        "conversions": f"/links/{meta}/conversions?range=30d",
        "fans": f"/links/{meta}/fans?range=30d",
        "cohorts": f"/links/{meta}/cohorts?range=30d",
        "pool": f"/links/{meta}/pool",
        "history": f"/links/{meta}/history",
        "edit": f"/links/{meta}/edit",
        "explain": f"/explain/fan/{fan}",
        "postbacks": "/postbacks",
        "postback": f"/postbacks/{stage.postback_id}",
        "postback-new": "/postbacks/new?preset=exoclick",
        "platform-new": "/platforms/new/meta",
        "deliveries": "/deliveries",
        "team": "/team",
        "keys": "/keys",
        "audit-log": "/audit-log",
        "accounts": "/accounts",
        "account": f"/accounts/{stage.account_ids['madison']}",
        "account-new": "/accounts/new/onlymonster",
        "health": "/health",
        "live": "/live",
    }


async def shoot(stage: Stage, context: BrowserContext, wanted: dict[str, str], folder: Path) -> None:
    """Every page by day, the overview by night and on a phone."""
    base = f"http://127.0.0.1:{stage.settings.api_port}"
    page = await context.new_page()
    for name, path in wanted.items():
        await page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
        await page.emulate_media(color_scheme="light")
        await page.goto(base + path, wait_until="load" if name in WITHOUT_REST else "networkidle")
        if name in WITHOUT_REST:
            await page.wait_for_selector(WITHOUT_REST[name])
        await page.screenshot(path=folder / f"{name}.png")
        if name in ("overview", "link", "explain", "health", "live", "account"):
            await page.emulate_media(color_scheme="dark")
            await page.screenshot(path=folder / f"{name}-dark.png")
            await page.emulate_media(color_scheme="light")
            await page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
            await page.reload(wait_until="load" if name in WITHOUT_REST else "networkidle")
            if name in WITHOUT_REST:
                await page.wait_for_selector(WITHOUT_REST[name])
            await page.screenshot(path=folder / f"{name}-phone.png")
    await page.close()


async def run(folder: Path) -> None:
    """Everything from an empty folder to the pictures."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("no Chromium found: install the package chromium")
    with tempfile.TemporaryDirectory(prefix="clickbind-shots-") as data:
        os.chmod(data, 0o711)  # noqa: PTH101 - PostgreSQL's user looks through it
        stage = Stage(Settings(log_level="error"), Path(data) / "data", people=60, seed=7)
        try:
            await stage.start(lambda text: None)
            await play(stage)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
                context = await set_up(stage, browser, folder)
                await shoot(stage, context, pages(stage, await busy_fan(stage)), folder)
                await browser.close()
        finally:
            await stage.stop()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.screenshots", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pictures go")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(run(folder))


if __name__ == "__main__":
    main()
