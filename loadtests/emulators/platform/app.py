"""The emulator as one aiohttp application, and as a running server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from .admin import Admin
from .landing import Landing
from .onlyfansapi import accounts, chats, fans, links, lists, money
from .onlyfansapi import webhooks as webhook_endpoints
from .onlyfansapi.gateway import Gateway
from .settings import Speed, preset
from .webhooks import Webhooks
from .world import World

_ENDPOINTS = [
    *accounts.ENDPOINTS,
    *links.ENDPOINTS,
    *money.ENDPOINTS,
    *fans.ENDPOINTS,
    *chats.ENDPOINTS,
    *lists.ENDPOINTS,
    *webhook_endpoints.ENDPOINTS,
]


class Platform:
    """A running fake platform. `url` is its origin, `world` the state behind it, `webhooks` the delivery engine."""

    def __init__(self, url: str, world: World, webhooks: Webhooks) -> None:
        self.url = url
        self.world = world
        self.webhooks = webhooks

    async def settled(self, timeout: float = 10.0, within: float | None = None) -> bool:
        """Wait until every webhook due (within `within` virtual seconds) is delivered; False on timeout."""
        return await self.world.scheduler.settled(timeout, within)


def build(world: World, webhooks: Webhooks) -> web.Application:
    """The application: `/api`, `/onlyfans`, `/__admin`."""
    app = web.Application(client_max_size=4 * 1024 * 1024)
    Admin(world, webhooks).add(app)
    Landing(world).add(app)
    Gateway(world, webhooks).add(app, _ENDPOINTS)
    return app


@asynccontextmanager
async def running_platform(
    *,
    seed: int = 1,
    speed: Speed = "none",
    host: str = "127.0.0.1",
    port: int = 0,
    landing_base: str | None = None,
    accounts: Sequence[str] = (),
    **changes: Any,
) -> AsyncIterator[Platform]:
    """Serve the platform while the block runs.

    `landing_base` defaults to the server's own `/onlyfans`; `accounts` are usernames to connect at once;
    `changes` override fields of the speed's settings.
    """
    world = World(preset(speed, **changes), seed)
    webhooks = Webhooks(world)
    # A create left hanging on purpose must not hold up the end of a test.
    runner = web.AppRunner(build(world, webhooks), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    loop = asyncio.create_task(world.scheduler.run())
    try:
        await site.start()
        url = f"http://{host}:{runner.addresses[0][1]}"
        world.settings.landing_base = (landing_base or f"{url}/onlyfans").rstrip("/")
        for username in accounts:
            world.add_account(username, id=f"acct_{username}")
        yield Platform(url, world, webhooks)
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        await world.scheduler.close()
        await webhooks.close()
        await runner.cleanup()
