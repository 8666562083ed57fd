"""Measures pools: what they hold, how their leases turn out, what their clicks need. The decisions are in planning.py."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import asyncpg
import msgspec

from tracker.clicklog import pool_key
from tracker.inventory.planning import AFTER_WINDOW, Demand, Forecast, forecast
from tracker.inventory.publish import first_ulid
from tracker.settings import Settings
from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries
from tracker.stores.valkey import Client, RedisError

SQL = load_queries("tracker.inventory", "planning.sql")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
KINDS = ("exclusive", "shared", "reserve")

PoolName = tuple[str, str]  # account_id, offer


class Leases(msgspec.Struct, frozen=True):
    """New leases of a stretch of time, by kind. A last day begins with the full hour 24 hours ago."""

    exclusive: int = 0
    shared: int = 0
    reserve: int = 0


class LinkLeases(msgspec.Struct, frozen=True, kw_only=True):
    """One smart link's leases."""

    smart_link_id: str
    name: str
    last_hour: Leases
    last_day: Leases


class PoolReport(msgspec.Struct, frozen=True, kw_only=True):
    """A pool as a person sees it (spec 3). `sentence` says it in words.

    `leased` counts links on loan to an edge too, and is None while Valkey is away.
    """

    account_id: str
    username: str
    offer: str
    size: int
    leased: int | None
    last_hour: Leases
    last_day: Leases
    needed_for_999: int
    target: int
    expected_shared_share: float
    short: bool
    sentence: str
    smart_links: list[LinkLeases]


async def demands(
    store: Pool | Connection, pools: Sequence[asyncpg.Record], leases: Sequence[asyncpg.Record], now: datetime
) -> dict[PoolName, Demand]:
    """What each pool's clicks ask of it; `pools` and `leases` are rows of the queries of these names."""
    names = [(row["account_id"], row["offer"]) for row in pools]
    windows = {(row["account_id"], row["offer"]): timedelta(seconds=row["window_seconds"]) for row in pools}
    accounts = sorted({account_id for account_id, _ in names})
    since = now - DAY - max(windows.values(), default=timedelta())
    hours: dict[PoolName, dict[datetime, int]] = defaultdict(dict)
    for row in await store.fetch(SQL["hours"], accounts, since):
        hours[row["account_id"], row["offer"]][row["hour"]] = row["clicks"]
    stays: dict[PoolName, float] = {}
    for name in names:
        end = now - windows[name] - AFTER_WINDOW
        stays[name] = await store.fetchval(SQL["stay"], *name, first_ulid(end - HOUR), first_ulid(end)) or 0.0
    recent: dict[PoolName, int] = defaultdict(int)
    for row in leases:
        recent[row["account_id"], row["offer"]] += sum(row[f"hour_{kind}"] for kind in KINDS)
    return {
        name: Demand(
            hours=_series(hours[name], now - DAY - windows[name], now),
            last_hour=recent[name],
            window=windows[name],
            stay=stays[name],
        )
        for name in names
    }


def _series(counts: Mapping[datetime, int], since: datetime, now: datetime) -> list[int]:
    hour = _full_hour(since)
    series = []
    while hour <= now:
        series.append(counts.get(hour, 0))
        hour += HOUR
    return series


def _full_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


async def account_demands(store: Pool | Connection, account_id: str, now: datetime) -> dict[str, tuple[Demand, Leases]]:
    """Per offer of one account: what its clicks ask, and the last hour's leases. Reads rollups and one hour of clicks."""
    pools = await store.fetch(SQL["pools"], None, account_id)
    since = first_ulid(now - HOUR)
    leases = await store.fetch(SQL["leases"], [account_id], since, since, now - 2 * HOUR)
    asked = await demands(store, pools, leases, now)
    return {offer: (demand, _total(_of(leases, (account_id, offer)), "hour")) for (_, offer), demand in asked.items()}


async def report(
    store: Pool | Connection, redis: Client, settings: Settings, team_id: str, now: datetime
) -> list[PoolReport]:
    """Every pool of a team."""
    pools = await store.fetch(SQL["pools"], team_id, None)
    if not pools:
        return []
    accounts = sorted({row["account_id"] for row in pools})
    day = _full_hour(now - DAY)
    leases = await store.fetch(SQL["leases"], accounts, first_ulid(now - HOUR), first_ulid(day), day)
    asked = await demands(store, pools, leases, now)
    held = await _leased(redis, pools, now)
    return [
        _report(row, leases, asked[row["account_id"], row["offer"]], held[index], settings)
        for index, row in enumerate(pools)
    ]


async def _leased(redis: Client, pools: Sequence[asyncpg.Record], now: datetime) -> list[int | None]:
    """How many links of each pool are held now: Valkey keeps the leases."""
    since = f"({int(now.timestamp() * 1000)}"
    try:
        async with redis.pipeline(transaction=False) as pipe:
            for row in pools:
                pipe.zcount(pool_key(row["shard"], row["account_id"], row["offer"]), since, "+inf")
            return list(await pipe.execute())
    except (RedisError, OSError, TimeoutError):
        return [None] * len(pools)


def _of(leases: Sequence[asyncpg.Record], name: PoolName) -> list[asyncpg.Record]:
    return [row for row in leases if (row["account_id"], row["offer"]) == name]


def _total(rows: Sequence[asyncpg.Record], span: str) -> Leases:
    return Leases(*(sum(row[f"{span}_{kind}"] for row in rows) for kind in KINDS))


def _report(
    row: asyncpg.Record, leases: Sequence[asyncpg.Record], demand: Demand, leased: int | None, settings: Settings
) -> PoolReport:
    mine = _of(leases, (row["account_id"], row["offer"]))
    last_hour = _total(mine, "hour")
    expected = forecast(demand, row["size"], at_least=settings.pool_target, at_most=settings.pool_max)
    return PoolReport(
        account_id=row["account_id"],
        username=row["username"],
        offer=row["offer"],
        size=row["size"],
        leased=leased,
        last_hour=last_hour,
        last_day=_total(mine, "day"),
        needed_for_999=expected.needed,
        target=expected.target,
        expected_shared_share=round(expected.shared_share, 6),
        short=expected.short,
        sentence=sentence(row["size"], leased, expected, settings.pool_max, active=row["active"]),
        smart_links=[
            LinkLeases(
                smart_link_id=link["smart_link_id"],
                name=link["name"],
                last_hour=_total([link], "hour"),
                last_day=_total([link], "day"),
            )
            for link in mine
        ],
    )


def sentence(size: int, leased: int | None, expected: Forecast, pool_max: int, *, active: bool) -> str:
    """A pool's state in words."""
    held = "" if leased is None else f", {leased} of them leased now"
    words = [f"The pool holds {size} links{held}." if size else "The pool is empty; clicks go to its reserve link."]
    if expected.needed:
        words.append(f"At the present click rate {expected.needed} links keep 99.9 % of leases exclusive.")
    else:
        words.append("No clicks came lately.")
    if not expected.short:
        if expected.needed:
            words.append("That is enough.")
        return " ".join(words)
    words.append(f"With {size}, about {expected.shared_share:.1%} of new leases must share a link.")
    if not active:
        words.append("None of its smart links is active, so no more are made.")
    elif size < expected.target:
        words.append(f"More are being made, up to {expected.target}.")
    if expected.target < expected.needed:
        limit = f"CLICKBIND_POOL_MAX is {pool_max:,}"
        words.append(f"It does not grow beyond that by itself: {limit}; raise it to let the pool grow further.")
    return " ".join(words)
