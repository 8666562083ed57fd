"""Shows the edge what it needs in Valkey: pools (sorted sets) and smart links (`cb:links`).

Everything here can be done again at any time: members that stand keep their score (their lease), missing ones are added with the lease
their recorded clicks give them, others are taken out. So publishing is also the rebuild after Valkey lost its data.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import structlog

from tracker.clicklog import LINKS_CHANNEL, LINKS_KEY, EdgeLink, pool_key, pool_member, split_member
from tracker.settings import Settings
from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries
from tracker.stores.valkey import Client

SQL = load_queries("tracker.inventory", "publish.sql")
MARK_KEY = "cb:published"
"""Present while Valkey holds what was published; gone with the rest when Valkey lost its data."""

LONGEST_WINDOW = timedelta(days=30)
_ULID_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_CHUNK = 1000

log = structlog.get_logger()


async def publish_account(
    pool: Pool, redis: Client, account_id: str, platform_url: str = "https://onlyfans.com"
) -> list[str]:
    """Bring Valkey in line with PostgreSQL for one account; returns the smart links whose entry changed.

    Each of them is announced on `cb:links:changed` (message: the smart link's id).
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(SQL["lock"], account_id)
        account = await connection.fetchrow(SQL["account"], account_id)
        if account is None:
            return []
        ready = await connection.fetch(SQL["ready"], account_id)
        for row in await connection.fetch(SQL["offers"], account_id):
            members = [_member(link) for link in ready if link["role"] == "pool" and link["offer"] == row["offer"]]
            await _publish_pool(connection, redis, pool_key(account["shard"], account_id, row["offer"]), members)
        smart_links = await connection.fetch(SQL["smart_links"], account_id)
        links = _edge_links(account_id, account, smart_links, ready, platform_url)
        return await _publish_links(redis, links)


async def publish_all(pool: Pool, redis: Client, settings: Settings) -> int:
    """Publish every account; returns how many there were. The mark is set last: a rebuild cut short is done again."""
    accounts = await pool.fetch(SQL["accounts"])
    for row in accounts:
        await publish_account(pool, redis, row["account_id"], settings.platform_url)
    await redis.set(MARK_KEY, b"1")
    return len(accounts)


async def publish_if_lost(pool: Pool, redis: Client, settings: Settings) -> bool:
    """Rebuild everything when Valkey does not hold what was published. True when it did."""
    if await redis.exists(MARK_KEY):
        return False
    count = await publish_all(pool, redis, settings)
    log.info("pools and links published anew", accounts=count)
    return True


def first_ulid(at: datetime) -> str:
    """The least lower-case ULID of a moment: ids from then on sort after it."""
    milliseconds = max(0, int(at.timestamp() * 1000))
    digits = [_ULID_DIGITS[milliseconds >> shift & 31] for shift in range(45, -1, -5)]
    return "".join(digits) + "0" * 16


def _member(row: asyncpg.Record) -> bytes:
    return pool_member(row["inventory_link_id"], row["url"]).encode()


async def _publish_pool(connection: Connection, redis: Client, key: str, members: list[bytes]) -> None:
    held: Any = await redis.zrange(key, 0, -1)
    standing: set[bytes] = set(held)
    gone = sorted(standing - set(members))
    missing = [member for member in members if member not in standing]
    for start in range(0, len(gone), _CHUNK):
        await redis.zrem(key, *gone[start : start + _CHUNK])
    for start in range(0, len(missing), _CHUNK):
        chunk = missing[start : start + _CHUNK]
        ids = {split_member(member.decode())[0]: member for member in chunk}
        since = first_ulid(datetime.now(UTC) - LONGEST_WINDOW)
        leases = await connection.fetch(SQL["lease_ends"], list(ids), since)
        scores: dict[bytes, float] = dict.fromkeys(chunk, 0.0)
        scores |= {ids[row["inventory_link_id"]]: round(row["until"].timestamp() * 1000) for row in leases}
        await redis.zadd(key, scores, nx=True)  # type: ignore[arg-type, unused-ignore]


def _edge_links(
    account_id: str,
    account: asyncpg.Record,
    smart_links: list[asyncpg.Record],
    ready: list[asyncpg.Record],
    platform_url: str,
) -> dict[str, bytes]:
    reserves: dict[str, str] = defaultdict(str)
    for row in ready:  # by id: the newest reserve is the one in use
        if row["role"] == "reserve":
            reserves[row["offer"]] = _member(row).decode()
    profile = account["profile_url"]
    if not profile and account["username"]:
        profile = f"{platform_url.rstrip('/')}/{account['username']}"
    return {
        row["smart_link_id"]: msgspec.msgpack.encode(
            EdgeLink(
                smart_link_id=row["smart_link_id"],
                account_id=account_id,
                shard=account["shard"],
                offer=row["offer"],
                window_ms=row["window_seconds"] * 1000,
                state=row["state"],
                profile_url=profile,
                reserve=reserves[row["offer"]],
                fallback_url=row["fallback_url"],
            )
        )
        for row in smart_links
    }


async def _publish_links(redis: Client, links: dict[str, bytes]) -> list[str]:
    changed: list[str] = []
    ids = sorted(links)
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        standing: list[Any] = await redis.hmget(LINKS_KEY, chunk)  # type: ignore[misc, arg-type, unused-ignore]
        new = {link: links[link] for link, old in zip(chunk, standing, strict=True) if old != links[link]}
        if not new:
            continue
        await redis.hset(LINKS_KEY, mapping=new)  # type: ignore[misc, arg-type, unused-ignore]
        for link in new:
            await redis.publish(LINKS_CHANNEL, link.encode())
        changed += new
    return changed
