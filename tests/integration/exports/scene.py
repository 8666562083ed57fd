"""A team with links, clicks, fans, sales and deliveries, and an api on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn

from tracker.access.keys import make_key
from tracker.api.app import create_app
from tracker.management.services import Services
from tracker.rotation import adopt_hash_key
from tracker.secrets import Secrets
from tracker.settings import Settings
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

KEY = "an installation key for tests, long enough"
LINK, OTHER_LINK, FOREIGN_LINK = (
    "01KAY0SMARTLINK00000000000",
    "01KAY0SMARTLINK00000000001",
    "01KAY0SMARTLINK00000000002",
)

TEAM = """
INSERT INTO teams (team_id, name) VALUES ('t1', 'One'), ('t2', 'Two');
INSERT INTO accounts (account_id, team_id, provider, provider_account_id, username, shard)
VALUES ('a1', 't1', 'onlyfansapi', 'p1', 'madison', 0), ('a2', 't2', 'onlyfansapi', 'p2', 'riley', 1);
INSERT INTO smart_links (smart_link_id, team_id, account_id, name, link_type, offer)
VALUES ('01KAY0SMARTLINK00000000000', 't1', 'a1', 'Meta / A', 'tracking_link', 'tracking'),
       ('01KAY0SMARTLINK00000000001', 't1', 'a1', '=cmd|'' /C calc''!A0', 'tracking_link', 'tracking'),
       ('01KAY0SMARTLINK00000000002', 't2', 'a2', 'Foreign', 'tracking_link', 'tracking');
"""
CLICKS = """
INSERT INTO clicks (click_id, smart_link_id, account_id, clicked_at, last_visit_at, visitor, visitor_by, lease, ip, country,
                    user_agent, browser, os, device_type, referrer, landing_url, ecid, utm_source, utm_campaign, fbclid)
SELECT lpad(to_hex(n), 26, '0'), $1, $2, timestamptz '2026-11-01 00:00Z' + n * interval '1 second',
       timestamptz '2026-11-01 00:00Z' + n * interval '1 second', 'v' || n, 'new', 'exclusive', '198.51.100.7', 'US',
       'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148',
       'Instagram', 'iOS', 'mobile', 'https://l.instagram.com/', 'https://go.example.com/go/x?ecid=' || n, 'ad-' || n, 'meta',
       'autumn', md5(n::text) || md5((n + 1)::text)
FROM generate_series($3::int, $4::int) n
"""


async def furnish(pool: Pool) -> None:
    """Two teams; no clicks yet."""
    await pool.execute(TEAM)


async def add_clicks(pool: Pool, count: int, link: str = LINK, account: str = "a1", first: int = 1) -> None:
    """Clicks with the ids of `first`, `first` + 1, …, a second apart from the 1st of November 2026 on."""
    await pool.execute(CLICKS, link, account, first, first + count - 1, timeout=300)


async def services(pool: Pool, redis: Client, settings: Settings | None = None) -> Services:
    """What an api process works with."""
    secrets = Secrets(KEY)
    await adopt_hash_key(pool, secrets)
    return Services(settings or Settings(), pool, redis, secrets)


async def api(pool: Pool, redis: Client, settings: Settings | None = None, team_id: str = "t1") -> httpx.AsyncClient:
    """A client of an api on these stores, with an owner's key of a team."""
    made = await services(pool, redis, settings)
    _, key = await make_key(pool, made.secrets.key_hash, team_id, "test")
    app: Any = create_app(made)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://api.test", headers={"Authorization": f"Bearer {key}"}
    )


@asynccontextmanager
async def served(
    pool: Pool, redis: Client, settings: Settings | None = None
) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """A real server on loopback: its address and the headers of a caller."""
    made = await services(pool, redis, settings)
    _, key = await make_key(pool, made.secrets.key_hash, "t1", "test")
    async with serving(create_app(made)) as url:
        yield url, {"Authorization": f"Bearer {key}"}


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """A real server of an application on loopback: its address."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task
