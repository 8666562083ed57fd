"""Destinations that want clicks are told of new ones that are no bots, once, in the transaction that stores them."""

from __future__ import annotations

from typing import Any

from tests.integration.recorder.support import ACCOUNT, SMART_LINK, click_id, fields, record
from tracker.clicklog import KIND_BOT, KIND_DUPLICATE
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client


async def a_world(pool: Pool, event_types: list[str], *, scope: str = "global", link: str = "") -> None:
    await pool.execute("INSERT INTO teams (team_id, name) VALUES ('t1', 'one')")
    await pool.execute(
        "INSERT INTO accounts (account_id, team_id, provider, provider_account_id, username, shard)"
        " VALUES ($1, 't1', 'onlyfansapi', 'acct_p', 'creator', 0)",
        ACCOUNT,
    )
    await pool.execute(
        "INSERT INTO smart_links (smart_link_id, team_id, account_id, name, link_type, offer)"
        " VALUES ($1, 't1', $2, 'ad', 'tracking_link', 'tracking')",
        SMART_LINK,
        ACCOUNT,
    )
    await pool.execute(
        "INSERT INTO destinations (destination_id, team_id, kind, config, scope, event_types)"
        " VALUES ('D1', 't1', 'meta', '{}', $1, $2)",
        scope,
        event_types,
    )
    if link:
        await pool.execute("INSERT INTO destination_links VALUES ('D1', $1)", link)


async def told(pool: Pool) -> list[Any]:
    return await pool.fetch("SELECT event_id, destination_id FROM deliveries ORDER BY event_id")


async def test_new_clicks_are_told_and_bots_and_duplicates_are_not(pool: Pool, redis: Client) -> None:
    await a_world(pool, ["click"])
    first = fields(1, ip="203.0.113.9", fbclid="IwAR1", landing_url="https://go.example/go/x?fbclid=IwAR1")
    bot, duplicate = fields(2, KIND_BOT, bot_reason="crawler"), fields(3, KIND_DUPLICATE, of=1)
    await record(pool, redis, first, bot, duplicate, fields(4))
    await record(pool, redis, first)  # the log read again
    rows = await told(pool)
    assert [tuple(row) for row in rows] == [(click_id(1), "D1"), (click_id(4), "D1")]
    event = await pool.fetchrow("SELECT * FROM delivery_events WHERE event_id = $1", click_id(1))
    assert event is not None
    facts = event["facts"]
    assert (event["event_type"], facts["conversion_type"], facts["_ip"]) == ("click", "click", "203.0.113.9")
    assert (facts["fbclid"], facts["_provider_account_id"], facts["smart_link_name"]) == ("IwAR1", "acct_p", "ad")
    assert facts["_landing_url"] == "https://go.example/go/x?fbclid=IwAR1"
    clicked = await pool.fetchval("SELECT clicked_at FROM clicks WHERE click_id = $1", click_id(1))
    assert event["occurred_at"] == clicked


async def test_a_destination_of_another_link_hears_nothing(pool: Pool, redis: Client) -> None:
    await a_world(pool, ["click"], scope="campaign_specific", link="01KAY0ANOTHERLINK000000000")
    await record(pool, redis, fields(1))
    assert await told(pool) == []


async def test_nothing_is_written_where_nobody_wants_clicks(pool: Pool, redis: Client) -> None:
    await a_world(pool, ["new_subscriber"])
    await record(pool, redis, fields(1))
    assert await told(pool) == []
    assert await pool.fetchval("SELECT count(*) FROM delivery_events") == 0
