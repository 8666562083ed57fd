"""A buyer at the dashboard: a browser context that notices everything a page must not do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, Response, ViewportSize

EMAIL, PASSWORD = "robin@example.com", "correct horse battery"
DESKTOP, PHONE = ViewportSize(width=1280, height=860), ViewportSize(width=390, height=844)


@dataclass
class Buyer:
    """A page of the dashboard and what went wrong on it. Paths are relative to `base`."""

    base: str
    context: BrowserContext
    page: Page
    trouble: list[str] = field(default_factory=list)

    async def go(self, path: str) -> int:
        """Open a page; its status."""
        answer = await self.page.goto(self.base + path)
        assert answer is not None
        return answer.status

    async def text(self, selector: str = "main") -> str:
        """What a person reads there."""
        return await self.page.inner_text(selector)

    async def overflow(self) -> int:
        """By how many pixels the page is wider than the screen."""
        wider: int = await self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return wider

    def watch(self) -> None:
        """Note console errors, exceptions, dialogs, failures and requests to other hosts."""
        own = urlsplit(self.base).netloc

        def console(message: ConsoleMessage) -> None:
            # Chromium writes every 4xx of a page to the console; those are asserted by their status.
            if message.type in ("error", "warning") and "the server responded with a status of 4" not in message.text:
                self.trouble.append(f"console: {message.text}")

        def request(sent: Request) -> None:
            if urlsplit(sent.url).netloc not in (own, ""):
                self.trouble.append(f"request to another host: {sent.url}")

        def response(answer: Response) -> None:
            if answer.status >= 500:
                self.trouble.append(f"{answer.status} {answer.url}")
            if answer.headers.get("content-type", "").startswith("text/html"):
                policy = answer.headers.get("content-security-policy", "")
                if "default-src 'none'" not in policy or "unsafe" in policy:
                    self.trouble.append(f"no strict policy: {answer.url}")

        async def dialog(opened: Dialog) -> None:
            self.trouble.append(f"dialog: {opened.message}")
            await opened.dismiss()

        self.page.on("console", console)
        self.page.on("request", request)
        self.page.on("response", response)
        self.page.on("dialog", dialog)
        self.page.on("pageerror", lambda error: self.trouble.append(f"exception: {error}"))


@asynccontextmanager
async def buyer(
    browser: Browser, base: str, *, phone: bool = False, dark: bool = False, scripts: bool = True, log_in: bool = True
) -> AsyncIterator[Buyer]:
    """A buyer in a fresh context, logged in; afterwards nothing may have gone wrong."""
    context = await browser.new_context(
        viewport=PHONE if phone else DESKTOP,
        color_scheme="dark" if dark else "light",
        java_script_enabled=scripts,
        locale="en-GB",
    )
    try:
        person = Buyer(base, context, await context.new_page())
        person.watch()
        if log_in:
            await person.go("/login")
            await person.page.fill("#email", EMAIL)
            await person.page.fill("#password", PASSWORD)
            await person.page.click("button.main")
            await person.page.wait_for_url("**/overview")
        yield person
        assert person.trouble == []
    finally:
        await context.close()
