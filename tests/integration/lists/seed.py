"""A small team with clicks, repeated visits, conversions and refunds, written straight into the tables, and what it must list."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tracker.inventory.publish import first_ulid
from tracker.stores.postgres import Pool

START = datetime(2026, 3, 1, tzinfo=UTC)
LINKS = ("01KLINK00000000000000000A1", "01KLINK00000000000000000B2")
FOREIGN = "01KLINK00000000000000000X9"


@dataclass
class Seeded:
    """Rows as they were written, oldest first."""

    clicks: list[dict[str, Any]] = field(default_factory=list)
    visits: list[dict[str, Any]] = field(default_factory=list)
    conversions: list[dict[str, Any]] = field(default_factory=list)


def ulid_at(at: datetime, number: int) -> str:
    """A lower-case ULID of that time."""
    return first_ulid(at)[:10] + f"{number:016d}"


async def seed(pool: Pool, clicks: int = 60, seed: int = 5) -> Seeded:
    """Team t1 with two smart links of one account, team t2 with one; t1's rows are returned."""
    rng = random.Random(seed)
    await pool.execute("INSERT INTO teams (team_id, name) VALUES ('t1', 'One'), ('t2', 'Two') ON CONFLICT DO NOTHING")
    await pool.execute(
        "INSERT INTO accounts (account_id, team_id, provider, provider_account_id, username, shard, subscribe_price_cents) VALUES"
        " ('acct_1', 't1', 'onlyfansapi', 'p1', 'ava', 0, 1000), ('acct_2', 't2', 'onlyfansapi', 'p2', 'eve', 0, 0)"
    )
    links = [(LINKS[0], "t1", "acct_1"), (LINKS[1], "t1", "acct_1"), (FOREIGN, "t2", "acct_2")]
    await pool.executemany(
        "INSERT INTO smart_links (smart_link_id, team_id, account_id, name, link_type, offer, created_at)"
        " VALUES ($1, $2, $3, 'L', 'tracking_link', 'tracking', $4)",
        [(*link, START) for link in links],
    )
    found = Seeded()
    number = 0
    for index in range(clicks):
        link, team, account = rng.choice(links)
        at = START + timedelta(minutes=rng.randrange(0, 40_000))
        number += 1
        click = {
            "click_id": ulid_at(at, number), "smart_link_id": link, "account_id": account, "clicked_at": at,
            "is_bot": rng.random() < 0.2, "ecid": f"e{index % 7}", "country": rng.choice(("DE", "US")),
        }  # fmt: skip
        await pool.execute(
            "INSERT INTO clicks (click_id, smart_link_id, account_id, clicked_at, last_visit_at, visitor, visitor_by, lease, is_bot,"
            " ecid, country, ip) VALUES ($1, $2, $3, $4, $4, 'v', 'new', 'exclusive', $5, $6, $7, '203.0.113.9')",
            *click.values(),
        )
        if team == "t1":
            found.clicks.append(click)
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            number += 1
            later = at + timedelta(minutes=rng.randrange(1, 3000))
            visit = {
                "visit_id": ulid_at(later, number),
                "click_id": click["click_id"],
                "account_id": account,
                "visited_at": later,
            }
            await pool.execute(
                "INSERT INTO visits (visit_id, click_id, account_id, visited_at, visitor_by) VALUES ($1, $2, $3, $4, 'cookie')",
                *visit.values(),
            )
            await pool.execute(
                "UPDATE clicks SET gross_clicks = gross_clicks + 1, last_visit_at = greatest(last_visit_at, $2) WHERE click_id = $1",
                visit["click_id"],
                later,
            )
            if team == "t1":
                found.visits.append(visit | {"click": click})
        if not click["is_bot"] and rng.random() < 0.6:
            await _convert(pool, rng, found if team == "t1" else Seeded(), team, click, index)
    return found


async def _convert(pool: Pool, rng: random.Random, found: Seeded, team: str, click: dict[str, Any], index: int) -> None:
    fan = str(1000 + index % 9)
    await pool.execute(
        "INSERT INTO fans (account_id, fan_id, username, name) VALUES ($1, $2, $3, 'Fan') ON CONFLICT DO NOTHING",
        click["account_id"], fan, f"u{fan}",
    )  # fmt: skip
    at = click["clicked_at"] + timedelta(minutes=5)
    rows: list[dict[str, Any]] = [{"type": "new_subscriber", "at": at, "gross": rng.choice((None, 500, 1000))}]
    for step in range(rng.randrange(0, 4)):
        when = at + timedelta(hours=step + 1)
        kind = rng.choice(("tip", "message"))
        gross = rng.randrange(100, 5000)
        rows.append({"type": "new_transaction", "at": when, "gross": gross, "kind": kind, "tx": f"tx{index}-{step}"})
        if rng.random() < 0.3:
            status = rng.choice(("pending_return", "undo", "done"))
            rows.append({"type": "transaction_status", "at": when + timedelta(days=1), "gross": gross, "kind": kind,
                         "tx": f"tx{index}-{step}", "status": status})  # fmt: skip
    rows += [{"type": "message_received", "at": at + timedelta(minutes=each)} for each in range(rng.randrange(0, 5))]
    for part, row in enumerate(rows):
        cents: Any = row.get("gross")
        retracted = rng.random() < 0.1 and row["type"] == "message_received"
        full = row | {
            "conversion_id": f"cnv-{index:03d}-{part:02d}", "smart_link_id": click["smart_link_id"], "fan_id": fan,
            "click_id": click["click_id"], "net": None if cents is None else cents * 8 // 10, "retracted": retracted,
        }  # fmt: skip
        await pool.execute(
            "INSERT INTO conversions (conversion_id, team_id, account_id, smart_link_id, click_id, fan_id, conversion_type, conversion_at,"
            " amount_gross_cents, amount_net_cents, transaction_id, transaction_type, transaction_status, event_keys, retracted_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, '{}', CASE WHEN $14 THEN now() END)",
            full["conversion_id"], team, click["account_id"], click["smart_link_id"], click["click_id"], fan, row["type"],
            row["at"], cents, full["net"], row.get("tx"), row.get("kind"), row.get("status"), retracted,
        )  # fmt: skip
        if not retracted:
            found.conversions.append(full)
