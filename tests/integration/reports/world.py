"""A small random business: what the recorder and attribution write in it, in an order of accidents, and its accounts by hand.

`History` writes through the recorder's own writer (clicks, duplicates before and after their clicks, bots, prefetches, replays that
change what a click was) and as attribution does (conversions inserted, corrected, moved, retracted, taken back).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.integration.recorder.support import fields
from tracker.clicklog import KIND_BOT, KIND_DUPLICATE, KIND_PREFETCH
from tracker.recorder import rows, ulids, writer
from tracker.recorder.entry import Entry, decode
from tracker.recorder.geo import Geo
from tracker.recorder.writer import Batch, Position
from tracker.stores.postgres import Pool

LINKS = {"LINK1": "acc1", "LINK2": "acc1", "LINK3": "acc2", "LINK4": "acc3"}
TEAMS = {"acc1": "team1", "acc2": "team1", "acc3": "team2"}
ZONES = (
    "UTC", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Chatham",
)  # fmt: skip
# Where clocks change: New York, Lord Howe (by half an hour), Chatham.
ANCHORS = tuple(
    datetime.fromisoformat(text).replace(tzinfo=UTC)
    for text in ("2026-03-08T07:00", "2026-11-01T06:00", "2026-04-04T15:00", "2026-10-03T15:30", "2026-09-26T14:00")
)
AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "",
)
REFERRERS = (
    "",
    "https://L.facebook.com/l.php?u=x",
    "http://user@t.co:80/a",
    "android-app://com.instagram.android/",
    "nonsense",
)


async def found(pool: Pool) -> None:
    """Two teams, three accounts, four smart links, a tag."""
    for team in ("team1", "team2"):
        await pool.execute("INSERT INTO teams (team_id, name) VALUES ($1, $1)", team)
    for account, team in TEAMS.items():
        await pool.execute(
            "INSERT INTO accounts (account_id, team_id, provider, provider_account_id, shard) VALUES ($1, $2, $3, $1, 0)",
            account, team, "fansly" if account == "acc2" else "onlyfansapi",
        )  # fmt: skip
    for link, account in LINKS.items():
        await pool.execute(
            "INSERT INTO smart_links (smart_link_id, team_id, account_id, name, link_type, offer)"
            " VALUES ($1, $2, $3, $4, 'tracking_link', 'tracking')",
            link, TEAMS[account], account, f"Ad {link}",
        )  # fmt: skip
    await pool.execute(
        "INSERT INTO link_tags (team_id, kind, target_id, tag) VALUES ('team1', 'smart_links', 'LINK3', 'hot')"
    )


class History:
    """Writes things that happen around a moment."""

    def __init__(self, pool: Pool, seed: int, anchor: datetime) -> None:
        self.pool = pool
        self.rng = random.Random(seed)
        self.anchor = anchor
        self.entries: list[Entry] = []
        self.clicks: list[tuple[int, int, dict[str, Any]]] = []  # number, ms, what it said
        self.batches = 0
        self.numbers = 0
        self.entry_ids = itertools.count(1)

    def moment(self) -> int:
        """Unix ms within two days of the anchor; often right at a quarter of an hour."""
        at = self.anchor + timedelta(minutes=15 * self.rng.randrange(-200, 200))
        at += timedelta(milliseconds=self.rng.choice((0, -1, 1, self.rng.randrange(900_000))))
        return round(at.timestamp() * 1000)

    def visit(self) -> dict[str, Any]:
        """What a request says."""
        link = self.rng.choice(list(LINKS))
        return {
            "smart_link_id": link,
            "account_id": LINKS[link],
            "ip": self.rng.choice(("8.8.8.8", "")),
            "cdn_country": self.rng.choice(("US", "DE", "")),
            "user_agent": self.rng.choice(AGENTS),
            "referrer": self.rng.choice(REFERRERS),
            "ecid": self.rng.choice(("", "ad1", "ad2", "ad" + "x" * 250)),
            "utm_source": self.rng.choice(("", "ig", "IG", "a\\b,{}\t\"'")),
            "aff_s3": self.rng.choice(("", "s3")),
        }

    def happen(self) -> None:
        """One more log entry, of any kind."""
        rng = self.rng
        roll = rng.random()
        self.numbers += 1
        number, ms, said = self.numbers, self.moment(), self.visit()
        options: dict[str, Any] = {"at_ms": ms, "visitor": f"v{number}", "lease": rng.choice(("exclusive", "shared"))}
        kind = "click"
        if roll < 0.5 or not self.clicks:
            self.clicks.append((number, ms, said))
            if rng.random() < 0.1:  # the click itself comes later, or never
                return
        elif roll < 0.75:
            of, of_ms, said = rng.choice(self.clicks)
            kind = KIND_DUPLICATE
            options |= {
                "of": of,
                "of_ms": of_ms,
                "at_ms": of_ms + rng.choice((0, 60_000, 900_000, rng.randrange(10**8))),
            }
        elif roll < 0.82:
            kind, options["lease"] = KIND_BOT, "none"
        elif roll < 0.88:
            kind = KIND_PREFETCH
        else:  # said again: by a replay, as a late click, or as the duplicate it turns out to be
            number, ms, said = rng.choice(self.clicks)
            options |= {"at_ms": ms, "visitor": f"v{number}", "spilled": rng.random() < 0.5, "lease": "reserve"}
            if rng.random() < 0.3:
                of, of_ms, _ = rng.choice(self.clicks)
                if of != number:
                    kind = KIND_DUPLICATE
                    options |= {"of": of, "of_ms": of_ms}
        raw = fields(number, kind, **options, **said)
        entry = decode(
            f"{next(self.entry_ids)}-0".encode(),
            {name.encode(): value if isinstance(value, bytes) else value.encode() for name, value in raw.items()},
        )
        assert isinstance(entry, Entry), entry
        self.entries.append(entry)

    async def record(self) -> None:
        """The recorder writes what is in the log; sometimes it has read a part before."""
        entries, self.entries = self.entries, []
        if self.rng.random() < 0.3:
            self.entries = entries[-2:]
        geo = Geo()
        tails = {entry.entry_id: rows.click_tail(entry, geo) for entry in entries}
        before = await writer.load_position(self.pool, 0)
        self.batches += 1
        await writer.write(self.pool, 0, before, Batch(Position("primary", f"{self.batches}-0"), entries, tails, []))

    async def convert(self) -> None:
        """Attribution writes or changes a conversion."""
        rng = self.rng
        clicks = await self.pool.fetch(
            "SELECT click_id, smart_link_id, account_id FROM clicks WHERE NOT is_bot ORDER BY click_id"
        )
        if not clicks:
            return
        click = rng.choice(clicks)
        at = datetime.fromtimestamp(self.moment() / 1000, UTC)
        stored = await self.pool.fetch("SELECT * FROM conversions ORDER BY conversion_id")
        roll = rng.random()
        payments = [row for row in stored if row["conversion_type"] == "new_transaction"]
        if roll < 0.6 or not stored:
            kind = rng.choice(("new_subscriber", "new_transaction", "new_transaction", "message_received"))
            cents = rng.randrange(0, 5000) if kind == "new_transaction" else None
            await self.insert(
                click["account_id"],
                click["smart_link_id"],
                click["click_id"],
                f"fan{rng.randrange(5)}",
                kind,
                at,
                cents,
            )
        elif roll < 0.75 and payments:
            paid = rng.choice(payments)
            status = rng.choice(("pending_return", "undo", "done"))
            cents = paid["amount_gross_cents"] - rng.choice((0, 0, 100))
            await self.insert(
                paid["account_id"], paid["smart_link_id"], paid["click_id"], paid["fan_id"], "transaction_status", at, cents,
                paid["transaction_id"], status,
            )  # fmt: skip
        elif roll < 0.85:
            await self.pool.execute(
                "UPDATE conversions SET retracted_at = now() WHERE conversion_id = $1",
                rng.choice(stored)["conversion_id"],
            )
        elif roll < 0.9:
            await self.pool.execute(
                "DELETE FROM conversions WHERE conversion_id = $1", rng.choice(stored)["conversion_id"]
            )
        else:
            row = rng.choice([row for row in stored if row["account_id"] == click["account_id"]] or stored)
            if row["account_id"] == click["account_id"]:
                await self.pool.execute(
                    "UPDATE conversions SET smart_link_id = $2, click_id = $3, conversion_at = $4, retracted_at = NULL,"
                    " amount_gross_cents = amount_gross_cents + 7 WHERE conversion_id = $1",
                    row["conversion_id"], click["smart_link_id"], click["click_id"], at,
                )  # fmt: skip

    async def insert(
        self, account: str, link: str, click: str, fan: str, kind: str, at: datetime, cents: int | None,
        transaction: str | None = None, status: str | None = None,
    ) -> None:  # fmt: skip
        """A conversion; `cents` gross, a fifth of it the platform's."""
        self.numbers += 1
        await self.pool.execute(
            "INSERT INTO fans (account_id, fan_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", account, fan
        )
        await self.pool.execute(
            "INSERT INTO conversions (conversion_id, team_id, account_id, smart_link_id, click_id, fan_id, conversion_type, conversion_at,"
            " amount_gross_cents, amount_net_cents, transaction_id, transaction_status, event_keys)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, '{}')",
            f"c{self.numbers}", TEAMS[account], account, link, click, fan, kind, at, cents,
            None if cents is None else cents * 4 // 5,
            transaction or (f"t{self.numbers}" if kind == "new_transaction" else None), status,
        )  # fmt: skip

    async def live(self, steps: int, pause: Callable[[], Awaitable[Any]]) -> None:
        """Let things happen; `pause` runs now and then in between."""
        for _ in range(steps):
            for _ in range(self.rng.randrange(1, 12)):
                self.happen()
            await self.record()
            for _ in range(self.rng.randrange(4)):
                await self.convert()
            if self.rng.random() < 0.4:
                await pause()


class Fact(dict[str, Any]):
    """One thing that counts: link, account, team, at, what, amount, fan, and the values of its click."""


async def facts(pool: Pool) -> list[Fact]:
    """Everything the reports must count, from the rows, the slow way."""
    clicks = {row["click_id"]: row for row in await pool.fetch("SELECT * FROM clicks")}
    made: list[Fact] = []

    def add(
        link: str, at: datetime, what: str, amount: int = 1, click_id: str | None = None, fan: str | None = None
    ) -> None:
        click = clicks.get(click_id or "")
        values = {
            "country": "country", "device": "device_type", "browser": "browser", "os": "os", "utm_source": "utm_source",
            "aff_s3": "aff_s3", "ecid": "ecid", "lease": "lease", "utm_medium": "utm_medium",
        }  # fmt: skip
        told = {name: ((click[column] if click else None) or "")[:200] for name, column in values.items()}
        told["referrer"] = host(click["referrer"] if click else None)
        made.append(
            Fact(
                link=link,
                account=LINKS[link],
                team=TEAMS[LINKS[link]],
                at=at,
                what=what,
                amount=amount,
                fan=fan,
                values=told,
            )
        )

    for row in clicks.values():
        add(row["smart_link_id"], row["clicked_at"], "bots" if row["is_bot"] else "clicks", 1, row["click_id"])
    for row in await pool.fetch("SELECT * FROM visits"):
        if row["click_id"] in clicks:
            add(clicks[row["click_id"]]["smart_link_id"], row["visited_at"], "duplicates", 1, row["click_id"])
    for row in await pool.fetch("SELECT * FROM prefetches"):
        at = datetime.fromtimestamp(ulids.milliseconds(row["visit_id"]) / 1000, UTC)
        add(row["smart_link_id"], at, "prefetches")
    told = await pool.fetch("SELECT * FROM conversions WHERE retracted_at IS NULL")
    for row in told:
        if row["conversion_type"] == "transaction_status":
            continue
        link, at, click_id = row["smart_link_id"], row["conversion_at"], row["click_id"]
        add(link, at, "conversions", 1, click_id)
        if row["conversion_type"] == "new_subscriber":
            add(link, at, "subscribers", 1, click_id)
        if row["conversion_type"] == "new_transaction":
            taken = {
                other["transaction_status"]: other for other in told
                if other["conversion_type"] == "transaction_status" and other["account_id"] == row["account_id"]
                and other["fan_id"] == row["fan_id"] and other["transaction_id"] == row["transaction_id"]
                and other["transaction_status"] in ("pending_return", "undo")
            }  # fmt: skip
            back = taken.get("undo") or taken.get("pending_return")
            gross = row["amount_gross_cents"] - (back["amount_gross_cents"] if back else 0)
            net = row["amount_net_cents"] - (back["amount_net_cents"] if back else 0)
            fan = f"{row['account_id']} {row['fan_id']}" if gross > 0 else None
            add(link, at, "gross_cents", gross, click_id, fan)
            add(link, at, "net_cents", net, click_id)
    return made


def host(referrer: str | None) -> str:
    """The host of a referrer, the long way round."""
    scheme, separator, rest = (referrer or "").partition("://")
    if not separator or not scheme[:1].isalpha():
        return ""
    for end in "/?#":
        rest = rest.split(end, 1)[0]
    return rest.rpartition("@")[2].partition(":")[0].lower()


def summed(some: list[Fact], *, spenders: bool = True) -> dict[str, int]:
    """The counters of these facts, without those that are 0."""
    totals: dict[str, int] = {}
    for fact in some:
        totals[fact["what"]] = totals.get(fact["what"], 0) + fact["amount"]
    gross = totals.get("clicks", 0) + totals.get("duplicates", 0)
    fans = {fact["fan"] for fact in some if fact["fan"]}
    totals |= {"gross_clicks": gross} | ({"spenders": len(fans)} if spenders else {})
    return {name: amount for name, amount in totals.items() if amount}


def local(fact: Fact, zone: str) -> datetime:
    """When it was, on the clocks of a zone."""
    at: datetime = fact["at"]
    return at.astimezone(ZoneInfo(zone))
