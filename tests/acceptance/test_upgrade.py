"""A data folder of the first schema, with work unfinished in every stage, started by this version: all of it adds up."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec
import pytest

from loadtests.demo.stage import demo_settings
from loadtests.emulators.receiver import Receiver, running_receiver
from tests.integration.edge.conftest import PHONE
from tests.unit.providers import shapes
from tracker.clicklog import KIND_BOT, KIND_CLICK, KIND_DUPLICATE, LINKS_KEY, EdgeLink, Visit, log_key, pool_key
from tracker.recorder import ulids
from tracker.secrets import Secrets
from tracker.settings import Settings
from tracker.stores import postgres, valkey
from tracker.stores.embedded import DataFolder, EmbeddedPostgres, EmbeddedValkey
from tracker.stores.errors import StoreError
from tracker.supervisor import Supervisor

KEY = "a test's secret key, thirty-two characters"
API_KEY = "cb_made-by-the-first-version"
LINK = "01K5AAAAAAAAAAAAAAAAAAAAAA"
FAN = shapes.FAN
NOW = datetime.now(UTC).replace(microsecond=0)
CLICKED = NOW - timedelta(hours=2)
STORED, LOGGED = 40, 5  # clicks recorded by the old version, and clicks it left in the log


def click_id(number: int, at: datetime) -> str:
    return ulids.prefix(round(at.timestamp() * 1000)) + f"{number:016d}"


async def rows_of_the_first_version(connection: Any, receiver: Receiver) -> None:
    """Plain SQL on purpose: today's code writes today's columns."""
    secrets = Secrets(KEY)
    await connection.execute("INSERT INTO teams (team_id, name) VALUES ('team1', 'Old team')")
    await connection.execute(
        "INSERT INTO api_keys (api_key_id, team_id, name, prefix, key_hash) VALUES ('key1', 'team1', 'first', 'cb_made-', $1)",
        secrets.key_hash(API_KEY),
    )
    await connection.execute(
        "INSERT INTO accounts (account_id, team_id, provider, provider_account_id, platform_user_id, username,"
        " subscribe_price_cents, shard, api_key_sealed, session_state)"
        " VALUES ('acct1', 'team1', 'onlyfansapi', 'acct_A1', $1, 'madison', 0, 2, $2, 'ok')",
        shapes.CREATOR, secrets.seal(b"their-key", "account:acct1:api_key"),
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO smart_links (smart_link_id, team_id, account_id, name, link_type, offer, created_at)"
        " VALUES ($1, 'team1', 'acct1', 'Old ad', 'tracking_link', 'tracking', now() - interval '2 days')",
        LINK,
    )
    await connection.execute(
        "INSERT INTO inventory_links (account_id, offer, kind, state, provider_link_id, url, role)"
        " SELECT 'acct1', 'tracking', 'tracking_link', 'ready', n::text, 'https://onlyfans.com/madison/c' || n,"
        " CASE WHEN n = 60 THEN 'reserve' ELSE 'pool' END FROM generate_series(1, 60) n"
    )
    await connection.executemany(
        "INSERT INTO clicks (click_id, smart_link_id, account_id, clicked_at, last_visit_at, visitor, visitor_by,"
        " inventory_link_id, lease, ecid, country) VALUES ($1, $2, 'acct1', $3, $3, $4, 'new', $5, 'exclusive', $6, 'US')",
        [(click_id(n, CLICKED), LINK, CLICKED, f"visitor{n}", n + 1, f"e{n}") for n in range(STORED)],
    )
    await connection.execute(
        "INSERT INTO click_hours (smart_link_id, hour, clicks, gross_clicks, bots) VALUES ($1, date_trunc('hour', $2::timestamptz), $3, $3, 0)",
        LINK, CLICKED, STORED,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO destinations (destination_id, team_id, kind, config, event_types) VALUES ($1, 'team1', 'postback', $2, $3)",
        "01K5DESTINATION00000000000",
        json.dumps(
            {"url": f"{receiver.url}/p/old?cid={{conversion_id}}&ecid={{external_click_id}}&gross={{amount_gross}}"}
        ),
        ["new_subscriber", "new_transaction"],
    )
    # Unfinished: a webhook not processed, a fan not folded, a delivery not sent, one to be tried again.
    paid = (CLICKED + timedelta(minutes=30)).strftime("%Y-%m-%d %H:%M:%S")
    body = {"event": "transactions.new", "account_id": "acct_A1", "payload": shapes.transaction(created_at=paid)}
    await connection.execute(
        "INSERT INTO webhooks (account_id, provider, dedup_key, event_type, body) VALUES ('acct1', 'onlyfansapi', 'w1', 'transactions.new', $1)",
        json.dumps(body).encode(),
    )
    await connection.execute(
        "INSERT INTO fans (account_id, fan_id, username, first_subscribed_at) VALUES ('acct1', $1, 'sam', $2)",
        FAN, CLICKED + timedelta(minutes=1),
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO platform_events (account_id, event_key, kind, fan_id, at, inventory_link_id, detail, source)"
        " VALUES ('acct1', 'link:4:' || $1, 'link_subscriber', $1, $2, 4, '{}', 'poll')",
        FAN, CLICKED + timedelta(minutes=1),
    )  # fmt: skip
    await connection.execute("INSERT INTO fan_queue (account_id, fan_id) VALUES ('acct1', $1)", FAN)
    for name, attempts in (("waiting", 0), ("retried", 2)):
        await connection.execute(
            "INSERT INTO delivery_events (event_id, day, event_type, occurred_at, facts) VALUES ($1, current_date, 'new_subscriber', now(), $2)",
            f"cnv_{name}", json.dumps({"conversion_id": f"cnv_{name}", "external_click_id": "e1"}),
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO deliveries (event_id, destination_id, day, attempts) VALUES ($1, '01K5DESTINATION00000000000', current_date, $2)",
            f"cnv_{name}", attempts,
        )  # fmt: skip


async def keys_of_the_first_version(client: Any) -> None:
    """Links, a pool, and a log that nobody has recorded."""
    record = EdgeLink(LINK, "acct1", 2, "tracking", 21_600_000, "active", "https://onlyfans.com/madison")
    await client.hset(LINKS_KEY, LINK, msgspec.msgpack.encode(record))
    await client.zadd(
        pool_key(2, "acct1", "tracking"), {f"{n}|https://onlyfans.com/madison/c{n}": 0 for n in range(50, 60)}
    )

    async def log(number: int, kind: str, of: int | None = None) -> None:
        at = NOW - timedelta(minutes=5) + timedelta(seconds=number)
        visit_id = click_id(1000 + number, at)
        owner = visit_id if of is None else click_id(1000 + of, NOW - timedelta(minutes=5) + timedelta(seconds=of))
        visit = Visit(visit_id, round(at.timestamp() * 1000), LINK, "acct1", ip="8.8.8.8", user_agent=PHONE)
        entry = {
            "r": msgspec.msgpack.encode(visit), "k": kind, "c": owner, "v": f"logged{number}", "y": "new",
            "m": f"{50 + number}|https://onlyfans.com/madison/c{50 + number}", "l": "exclusive",
        }  # fmt: skip
        await client.xadd(log_key(2), entry)

    for number in range(LOGGED):
        await log(number, KIND_CLICK)
    await log(7, KIND_DUPLICATE, of=1)
    await log(8, KIND_BOT)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path that PostgreSQL's user can reach."""
    with tempfile.TemporaryDirectory(prefix="cb-upgrade-") as name:
        Path(name).chmod(0o711)
        yield Path(name) / "data"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Where the old postback goes."""
    async with running_receiver() as running:
        yield running


async def left_by_the_first_version(folder: Path, receiver: Receiver) -> None:
    data = DataFolder(folder)
    data.hold()
    stores = (EmbeddedPostgres(data), EmbeddedValkey(data))
    for store in stores:
        store.start()
    connection = await asyncpg.connect(data.database_url)
    number, name, sql = postgres.migrations()[0]
    assert (number, name) == (1, "foundation")
    await connection.execute(sql)
    await connection.execute(
        "CREATE TABLE schema_migrations (number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());"
        "INSERT INTO schema_migrations (number, name) VALUES (1, 'foundation')"
    )
    await rows_of_the_first_version(connection, receiver)
    await connection.close()
    client = valkey.connect(data.redis_url)
    await keys_of_the_first_version(client)
    await client.aclose()
    for store in reversed(stores):
        store.stop()
    data.release()
    (folder / "secret.key").write_text(KEY + "\n")


async def until(read: Callable[[], Awaitable[Any]], wanted: Any) -> None:
    """Wait until `read` gives `wanted`."""
    found = None
    for _ in range(300):
        found = await read()
        if found == wanted:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{found} instead of {wanted}")


async def test_the_first_schema_is_brought_up_to_date_with_all_its_work(folder: Path, receiver: Receiver) -> None:
    await left_by_the_first_version(folder, receiver)
    settings = msgspec.structs.replace(
        demo_settings(Settings(log_level="error"), folder, "http://127.0.0.1:9", 5), price_wait=0.5
    )
    supervisor = Supervisor(settings)
    await supervisor.start()
    connection = await asyncpg.connect(DataFolder(folder).database_url)
    try:
        numbers = [
            row["number"] for row in await connection.fetch("SELECT number FROM schema_migrations ORDER BY number")
        ]
        assert numbers == [number for number, _, _ in postgres.migrations()]

        async def one(query: str) -> tuple[Any, ...]:
            row = await connection.fetchrow(query)
            assert row is not None
            return tuple(row)

        clicks = STORED + LOGGED
        await until(
            lambda: one(
                "SELECT count(*) FILTER (WHERE NOT is_bot), count(*) FILTER (WHERE is_bot), sum(gross_clicks)::int FROM clicks"
            ),
            (clicks, 1, clicks + 2),
        )
        assert await one("SELECT sum(clicks)::int, sum(gross_clicks)::int, sum(bots)::int FROM click_hours") == (
            clicks,
            clicks + 1,
            1,
        )
        await until(lambda: one("SELECT outcome FROM webhooks"), ("used",))
        await until(
            lambda: one("SELECT count(*), min(click_id) FROM bindings WHERE retracted_at IS NULL"),
            (1, click_id(3, CLICKED)),
        )
        await until(
            lambda: one(
                "SELECT count(*) FILTER (WHERE conversion_type = 'new_subscriber'),"
                " count(*) FILTER (WHERE conversion_type = 'new_transaction') FROM conversions WHERE retracted_at IS NULL"
            ),
            (1, 1),
        )
        await until(
            lambda: one("SELECT count(*), min(state), max(state) FROM deliveries"), (4, "delivered", "delivered")
        )
        told = {row["event_id"] for row in await connection.fetch("SELECT event_id FROM deliveries")}
        received = [request.query for request in receiver.requests if request.answered == "ok"]
        assert len(received) == 4
        assert {query.partition("cid=")[2].partition("&")[0] for query in received} == told
        async with aiohttp.ClientSession() as session:
            base = f"http://127.0.0.1:{settings.api_port}"

            async def stats() -> Any:
                headers = {"Authorization": f"Bearer {API_KEY}"}
                try:
                    async with session.get(f"{base}/api/smart-links/{LINK}/stats", headers=headers) as answer:
                        assert answer.status == 200, await answer.text()
                        summary = (await answer.json())["data"]["summary"]
                        return summary["clicks_total"], summary["subs_total"]
                except aiohttp.ClientConnectionError:
                    return None

            await until(stats, (clicks, 1))
            url = f"{settings.base_url}/go/{LINK}?ecid=new"
            async with session.get(url, headers={"User-Agent": PHONE}, allow_redirects=False) as answer:
                assert answer.status == 302
                assert answer.headers["Location"].startswith("https://onlyfans.com/madison/c")
        await until(lambda: one("SELECT count(*) FROM clicks WHERE NOT is_bot"), (clicks + 1,))
    finally:
        await connection.close()
        await supervisor.stop()


async def test_a_newer_schema_is_refused_in_words(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    before = await connection.fetchval("SELECT count(*) FROM schema_migrations")
    await connection.execute("INSERT INTO schema_migrations (number, name) VALUES (9999, 'from the future')")
    with pytest.raises(StoreError, match=r"migration 9999, which this version does not know. Run the newer Clickbind"):
        await postgres.migrate(connection)
    assert await connection.fetchval("SELECT count(*) FROM schema_migrations") == before + 1
    await connection.close()


async def test_two_roles_that_start_at_once_migrate_once(store_folder: DataFolder, database_url: str) -> None:
    admin = await asyncpg.connect(database_url)
    await admin.execute("CREATE DATABASE migrating")
    url = store_folder.database_url.replace("/clickbind?", "/migrating?")
    connections = [await asyncpg.connect(url) for _ in range(3)]
    applied = await asyncio.gather(*(postgres.migrate(connection) for connection in connections))
    assert sorted(map(len, applied)) == [0, 0, len(postgres.migrations())]
    for connection in connections:
        await connection.close()
    await admin.execute("DROP DATABASE migrating")
    await admin.close()
