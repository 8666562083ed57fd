"""The platforms served in this loop, and a client of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest_asyncio

from loadtests.emulators.adplatforms import AdPlatforms, running_adplatforms

from .vectors import GONE, META, SNAPCHAT, TIKTOK, changed


class Sender:
    """Sends right events, stamped with the platforms' own clock."""

    def __init__(self, ads: AdPlatforms, client: httpx.AsyncClient) -> None:
        self.ads = ads
        self.client = client

    async def meta(self, *ids: str, pixel: str = "1", token: str = "test-token", **changes: Any) -> httpx.Response:
        """One Meta batch."""
        changes = {"event_time": int(self.ads.now()), "user_data__fbc": GONE, **changes}
        body = {"access_token": token, "data": [changed(META, event_id=event_id, **changes) for event_id in ids]}
        return await self.client.post(f"{self.ads.url_of('meta')}/v25.0/{pixel}/events", json=body)

    async def tiktok(self, *ids: str, pixel: str = "C4", **changes: Any) -> httpx.Response:
        """One TikTok batch."""
        changes = {"event_time": int(self.ads.now()), **changes}
        data = [changed(TIKTOK, event_id=event_id, **changes) for event_id in ids]
        body = {"event_source": "web", "event_source_id": pixel, "data": data}
        url = f"{self.ads.url_of('tiktok')}/open_api/v1.3/event/track/"
        return await self.client.post(url, json=body, headers={"Access-Token": "test-token"})

    async def snapchat(self, *ids: str, pixel: str = "px", path: str = "", **changes: Any) -> httpx.Response:
        """One Snapchat batch."""
        changes = {"event_time": int(self.ads.now()), **changes}
        data = [changed(SNAPCHAT, event_id=event_id, **changes) for event_id in ids]
        url = f"{self.ads.url_of('snapchat')}/v3/{pixel}/events{path}"
        return await self.client.post(url, json={"data": data}, params={"access_token": "test-token"})

    async def admin(self, path: str, **body: Any) -> Any:
        """A POST to the control API; raises for anything but 200."""
        answer = await self.client.post(f"{self.ads.url}/__admin/{path}", json=body)
        return answer.raise_for_status().json()

    async def show(self, path: str, **query: str) -> Any:
        """A GET of the control API."""
        answer = await self.client.get(f"{self.ads.url}/__admin/{path}", params=query)
        return answer.raise_for_status().json()


@pytest_asyncio.fixture
async def ads() -> AsyncIterator[AdPlatforms]:
    """The platforms."""
    async with running_adplatforms() as running:
        yield running


@pytest_asyncio.fixture
async def sender(ads: AdPlatforms) -> AsyncIterator[Sender]:
    """A client."""
    async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
        yield Sender(ads, client)
