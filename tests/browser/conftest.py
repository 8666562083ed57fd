"""A real Chromium against the whole product."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright, expect

from loadtests.demo.stage import Stage
from tests.acceptance.conftest import stage
from tests.browser.buyer import EMAIL, PASSWORD, Buyer, buyer
from tracker.access import first_run
from tracker.secrets import installation_secrets

__all__ = ["browser", "stage"]

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium, headless."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert path, "no Chromium: `make test` installs it"
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        await started.close()


@pytest.fixture(scope="session")
def base(stage: Stage) -> str:
    """The dashboard's address."""
    return f"http://127.0.0.1:{stage.settings.api_port}"


@pytest.fixture(scope="session")
async def owner(stage: Stage, browser: Browser, base: str) -> str:
    """The first run, done in the browser: no default password, mistakes at their field; returns the owner's address."""
    async with buyer(browser, base, log_in=False) as person:
        await person.go("/overview")
        await expect(person.page).to_have_url(f"{base}/login")
        assert "There is no default password" in await person.text()
        assert await person.go("/setup?token=" + "0" * 40) == 403
        set_up = first_run.url(stage.settings, installation_secrets(stage.settings))
        await person.page.goto(set_up)
        await person.page.fill("#team", "Select Agency")
        await person.page.fill("#email", EMAIL)
        await person.page.fill("#password", "short")
        await person.page.fill("#again", "short")
        await person.page.click("button.main")
        await expect(person.page.locator("#password-wrong")).to_contain_text("at least")
        await expect(person.page.locator("#email")).to_have_value(EMAIL)
        await expect(person.page.locator("#team")).to_have_value("Select Agency")
        await person.page.fill("#password", PASSWORD)
        await person.page.fill("#again", PASSWORD)
        await person.page.click("button.main")
        await expect(person.page).to_have_url(f"{base}/overview")
        await person.page.goto(set_up)  # worth nothing any more
        await expect(person.page).to_have_url(f"{base}/overview")
    return EMAIL


@pytest.fixture
async def robin(browser: Browser, base: str, owner: str) -> AsyncIterator[Buyer]:
    """The owner, logged in at a desk."""
    async with buyer(browser, base) as person:
        yield person
