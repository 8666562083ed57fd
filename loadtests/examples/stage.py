"""The demo's stage with ad platforms, for connections to tell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from loadtests.demo.stage import Stage
from tracker.settings import Settings

PATIENCE = 60.0  # seconds
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148"


class ExampleStage(Stage):
    """A stage on which every call of the API finds something to tell."""

    ads_url = ""

    async def start(self, progress: Callable[[str], None]) -> None:
        """Everything up."""
        self.ads_url = await self._emulator("loadtests.emulators.adplatforms")
        await super().start(progress)

    def configure(self) -> Settings:
        """With Meta where the emulator is."""
        return msgspec.structs.replace(super().configure(), meta_url=f"{self.ads_url}/meta", rate_limit_minute=0)

    async def subscribe(self, key: str) -> None:
        """Somebody clicks a link and subscribes."""
        headers = {"User-Agent": PHONE, "X-Forwarded-For": "198.51.100.77"}
        async with self.session.get(self.link_url(key), allow_redirects=False, headers=headers) as answer:
            answer.raise_for_status()
            await self.admin("fans/subscribe", {"link_url": answer.headers["Location"]})

    async def until(self, look: Callable[[], Awaitable[Any]]) -> None:
        """Wait until there is something to see. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            found = await look()
            while not found:
                await asyncio.sleep(0.2)
                found = await look()
