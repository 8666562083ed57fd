"""The emulator of all vendors as one aiohttp application, and as a running server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from .admin import Admin
from .fansly.endpoints import ENDPOINTS as FANSLY_ENDPOINTS
from .landing import Landing
from .ofauth import account as ofauth_account
from .ofauth import earnings, people, promotions
from .ofauth.gateway import Gateway as OFAuthGateway
from .ofauth.wire import OFAuthWire
from .onlyfansapi import accounts, chats, fans, links, lists, money
from .onlyfansapi import webhooks as webhook_endpoints
from .onlyfansapi.gateway import Gateway as OnlyFansApiGateway
from .onlyfansapi.wire import OnlyFansApiWire
from .onlymonster.endpoints import ENDPOINTS as ONLYMONSTER_ENDPOINTS
from .onlymonster.gateway import Gateway as OnlymonsterGateway
from .onlymonster.wire import OnlymonsterWire
from .settings import Speed, preset
from .webhooks import Webhooks
from .world import World

_ONLYFANSAPI_ENDPOINTS = [
    *accounts.ENDPOINTS,
    *links.ENDPOINTS,
    *money.ENDPOINTS,
    *fans.ENDPOINTS,
    *chats.ENDPOINTS,
    *lists.ENDPOINTS,
    *webhook_endpoints.ENDPOINTS,
    *FANSLY_ENDPOINTS,
]
_OFAUTH_ENDPOINTS = [
    *ofauth_account.ENDPOINTS,
    *promotions.ENDPOINTS,
    *people.ENDPOINTS,
    *earnings.ENDPOINTS,
]


class Platform:
    """A running fake platform. `url` is its origin, `world` the state behind it, `engines` the vendors' webhook
    deliveries by vendor, `webhooks` that of OnlyFansAPI."""

    def __init__(self, url: str, world: World, engines: Mapping[str, Webhooks]) -> None:
        self.url = url
        self.world = world
        self.engines = engines
        self.webhooks = engines["onlyfansapi"]

    async def settled(self, timeout: float = 10.0, within: float | None = None) -> bool:
        """Wait until every webhook due (within `within` virtual seconds) is delivered; False on timeout."""
        return await self.world.scheduler.settled(timeout, within)


def engines_of(world: World) -> dict[str, Webhooks]:
    """A webhook engine for every vendor."""
    wires = (OnlyFansApiWire(world), OnlymonsterWire(world), OFAuthWire(world))
    return {wire.name: Webhooks(world, wire) for wire in wires}


def build(world: World, engines: Mapping[str, Webhooks]) -> web.Application:
    """The application: `/api`, `/onlymonster`, `/ofauth`, `/onlyfans`, `/fansly`, `/__admin`."""
    app = web.Application(client_max_size=4 * 1024 * 1024)
    Admin(world, engines).add(app)
    Landing(world).add(app)
    OnlyFansApiGateway(world, engines["onlyfansapi"]).add(app, _ONLYFANSAPI_ENDPOINTS)
    OnlymonsterGateway(world, engines["onlymonster"]).add(app, ONLYMONSTER_ENDPOINTS)
    OFAuthGateway(world, engines["ofauth"]).add(app, _OFAUTH_ENDPOINTS)
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
    engines = engines_of(world)
    # A create left hanging on purpose must not hold up the end of a test.
    runner = web.AppRunner(build(world, engines), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    loop = asyncio.create_task(world.scheduler.run())
    try:
        await site.start()
        url = f"http://{host}:{runner.addresses[0][1]}"
        world.settings.landing_base = (landing_base or f"{url}/onlyfans").rstrip("/")
        world.settings.fansly_landing_base = f"{url}/fansly"
        for username in accounts:
            world.add_account(username, id=f"acct_{username}")
        yield Platform(url, world, engines)
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        await world.scheduler.close()
        for engine in engines.values():
            await engine.close()
        await runner.cleanup()
