"""Weeks of plausible traffic before today, so that screenshots show what a buyer sees after some time.

Clicks are written as the recorder stores them; what fans did is told as a provider tells it, and the running worker credits, counts
and delivers it. The same seed gives the same weeks.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import ulid

from loadtests.demo.cast import PHONES
from tracker.accounts.facts import Fact, record
from tracker.providers.events import PlatformEvent
from tracker.recorder.device import device
from tracker.stores.postgres import Pool, open_pool

COUNTRIES = (
    ("US",) * 46
    + ("GB",) * 14
    + ("CA",) * 11
    + ("AU",) * 9
    + ("DE",) * 8
    + ("FR",) * 4
    + ("NL",) * 3
    + ("SE", "IE", "NZ", "BR", "MX")
)
NAMES = (
    "Alex", "Ben", "Chris", "Dan", "Eli", "Finn", "George", "Harry", "Ian", "Jack", "Kyle", "Liam", "Max", "Noah", "Oscar", "Paul",
    "Quinn", "Ryan", "Sam", "Tom", "Umar", "Victor", "Will", "Xavier", "Yann", "Zack",
)  # fmt: skip
NETWORKS = {
    "meta": ("meta", "https://l.facebook.com/l.php?u=", ("1202118", "1202131", "1202147", "1202166")),
    "tiktok": ("tiktok", "https://www.tiktok.com/", ("1790451", "1790468")),
    "snap": ("snapchat", "", ("c81f0a", "c81f2d", "c81f77")),
    "native": ("exoclick", "https://www.example-magazine.com/story", ("74410", "74418")),
}
PULL = {"meta": (3.2, 0.062), "tiktok": (4.6, 0.031), "snap": (2.0, 0.044), "native": (1.6, 0.05)}  # clicks an hour, CR
WINDOW = timedelta(hours=6)
COLUMNS = (
    "click_id", "smart_link_id", "account_id", "clicked_at", "last_visit_at", "gross_clicks", "visitor", "visitor_by",
    "inventory_link_id", "lease", "is_bot", "bot_reason", "ip", "country", "user_agent", "browser", "os", "device_type",
    "referrer", "ecid", "utm_source", "utm_campaign", "landing_url",
)  # fmt: skip


@dataclass(frozen=True)
class Ad:
    """A smart link with the pooled links its clicks may lease; `key` says what traffic it gets."""

    key: str
    smart_link_id: str
    account_id: str
    pool: list[int]


@dataclass
class History:
    """What was made up: rows of clicks, and what became known of fans."""

    clicks: list[tuple[Any, ...]] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)


async def write(database_url: str, links: dict[str, str], days: int = 45, seed: int = 11) -> None:
    """Write the weeks. `links`: the demo's link keys → smart link ids, whose pools are filled."""
    pool_of_connections = await open_pool(database_url, max_size=1)
    try:
        await _write(pool_of_connections, links, days, seed)
    finally:
        await pool_of_connections.close()


async def _write(store: Pool, links: dict[str, str], days: int, seed: int) -> None:
    async with store.acquire() as connection:
        made = History()
        chance = random.Random(seed)
        free: dict[int, datetime] = {}
        ads = []
        for key, link_id in links.items():
            row = await connection.fetchrow(
                "SELECT account_id, offer FROM smart_links WHERE smart_link_id = $1", link_id
            )
            assert row is not None
            pool = await connection.fetch(
                "SELECT inventory_link_id FROM inventory_links WHERE account_id = $1 AND offer = $2 AND state = 'ready' AND role = 'pool'",
                row["account_id"], row["offer"],
            )  # fmt: skip
            ads.append(Ad(key, link_id, row["account_id"], [one["inventory_link_id"] for one in pool]))
        for at, ad in visits(chance, ads, days):
            _click(made, chance, ad, free, at)
        async with connection.transaction():
            await connection.copy_records_to_table("clicks", records=made.clicks, columns=COLUMNS)
            await connection.execute(
                "INSERT INTO click_hours (smart_link_id, hour, clicks, gross_clicks, bots)"
                " SELECT smart_link_id, date_trunc('hour', clicked_at), count(*) FILTER (WHERE NOT is_bot),"
                " coalesce(sum(gross_clicks) FILTER (WHERE NOT is_bot), 0), count(*) FILTER (WHERE is_bot)"
                " FROM clicks WHERE clicked_at < now() - interval '7 hours' GROUP BY 1, 2 ON CONFLICT DO NOTHING"
            )
            await connection.execute(
                "INSERT INTO report_marks (kind, smart_link_id, hour)"
                " SELECT DISTINCT 'clicks', smart_link_id, date_trunc('hour', clicked_at) FROM clicks"
            )
            for start in range(0, len(made.facts), 500):
                await record(connection, made.facts[start : start + 500])


def visits(chance: random.Random, ads: Sequence[Ad], days: int) -> list[tuple[datetime, Ad]]:
    """Who clicks when, in order: more in the evening, at the week's end, and as the weeks go by."""
    end = datetime.now(UTC) - timedelta(hours=8)
    hour = (end - timedelta(days=days)).replace(minute=0, second=0, microsecond=0)
    found = []
    while hour < end:
        daily = 0.55 + 0.45 * math.sin((hour.hour - 15) / 24 * 2 * math.pi)
        weekly = 1.25 if hour.weekday() >= 4 else 0.95
        grown = 0.6 + 0.7 * (1 - (end - hour) / timedelta(days=days))
        for ad in ads:
            for _ in range(_poisson(chance, PULL[ad.key][0] * daily * weekly * grown)):
                found.append((hour + timedelta(seconds=chance.uniform(0, 3599)), ad))
        hour += timedelta(hours=1)
    return sorted(found, key=lambda visit: visit[0])


def _click(made: History, chance: random.Random, ad: Ad, free: dict[int, datetime], at: datetime) -> None:
    source, referrer, campaigns = NETWORKS[ad.key]
    agent, campaign = chance.choice(PHONES), chance.choice(campaigns)
    bot = chance.random() < 0.07
    found = device(agent)
    open_links = [one for one in ad.pool if free.get(one, datetime.min.replace(tzinfo=UTC)) < at] if not bot else []
    lease = chance.choice(open_links) if open_links else None
    if lease is not None:
        free[lease] = at + WINDOW + timedelta(minutes=2)
    click_id = ulid.from_timestamp(at.timestamp()).str.lower()
    made.clicks.append(
        (
            click_id, ad.smart_link_id, ad.account_id, at, at, 1 + (chance.random() < 0.09), f"v{chance.getrandbits(60):x}", "new", lease,
            "exclusive" if lease is not None else "none", bot, "known crawler" if bot else None,
            f"203.0.113.{chance.randrange(1, 255)}", chance.choice(COUNTRIES), agent, found.browser, found.os,
            "bot" if bot else found.device_type, referrer or None, f"{source[:2]}-{campaign}-{chance.randrange(4)}",
            source, campaign, f"https://go.example.com/go/{ad.smart_link_id}",
        )
    )  # fmt: skip
    if lease is not None and chance.random() < PULL[ad.key][1]:
        _fan(made, chance, ad.account_id, lease, at)


def _fan(made: History, chance: random.Random, account_id: str, lease: int, clicked_at: datetime) -> None:
    fan_id = str(chance.randrange(10**8, 10**9))
    name = chance.choice(NAMES)
    at = clicked_at + timedelta(seconds=chance.expovariate(1 / 300) + 20)
    if at > clicked_at + timedelta(hours=5):
        return

    def told(key: str, kind: Any, when: datetime, detail: dict[str, Any], link: int | None = None) -> None:
        event = PlatformEvent(
            event_key=key, kind=kind, fan_id=fan_id, at=when, precision_seconds=0, detail=detail,
            username=f"{name.lower()}{fan_id[-4:]}", name=name, inventory_link_id=link,
        )  # fmt: skip
        made.facts.append(Fact(account_id, event, "webhook" if link is None else "poll"))

    told(f"sub:{fan_id}", "subscribed", at, {"price_cents": 999, "sub_type": "new_subscriber"})
    told(f"link:{lease}:{fan_id}:1", "link_subscriber", at, {"inferred": False}, lease)
    when = at + timedelta(seconds=5)
    kinds = ["new_subscription"] if chance.random() < 0.6 else []
    kinds += [
        chance.choice(("tip", "message", "tip", "message", "recurring_subscription"))
        for _ in range(_poisson(chance, 1.5))
    ]
    for number, kind in enumerate(kinds):
        cents = 999 if "subscription" in kind else round(min(chance.lognormvariate(3.1, 0.8), 400)) * 100
        if when > datetime.now(UTC):
            break
        told(
            f"tx:{fan_id}-{number}", "transaction", when,
            {"transaction_id": f"{fan_id}-{number}", "type": kind, "status": "done", "gross_cents": cents,
             "net_cents": round(cents * 0.8), "description": ""},
        )  # fmt: skip
        when += timedelta(hours=chance.expovariate(1 / 60))


def _poisson(chance: random.Random, mean: float) -> int:
    limit, product, count = math.exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        count += 1
    return count
