"""Exports of any length: constant memory, a reader who leaves, a store that goes away, too many at once."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import aiohttp
import pytest

from tests.integration.exports.scene import add_clicks, api, furnish, served
from tracker.exports import rows
from tracker.exports.export import AT_ONCE, stream
from tracker.exports.formats import FORMATS
from tracker.exports.rows import Wanted
from tracker.management.errors import Refused
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

CLICKS = Wanted("clicks", "t1", extra=True)
DELIVERIES = """
INSERT INTO destinations (destination_id, team_id, kind, name, config, event_types)
VALUES ('01KAYDEST', 't1', 'postback', 'Voluum', '{}', '{new_transaction}');
ALTER TABLE deliveries_rest SET UNLOGGED;
INSERT INTO deliveries (event_id, destination_id, day, state, attempts, verdict, created_at)
SELECT md5(n::text), '01KAYDEST', '2026-11-04', 'delivered', 1, 'the receiver answered 200: ' || md5((n + 1)::text),
       timestamptz '2026-11-04' + n * interval '1 ms' FROM generate_series(1, 150000) n;
ANALYZE deliveries;
"""


class Queries(dict[str, str]):
    """The named queries, counting the pages of clicks asked for; the one of number `fails_at` is a connection's end."""

    def __init__(self, queries: dict[str, str], fails_at: int = 0) -> None:
        super().__init__(queries)
        self.pages, self._fails_at = 0, fails_at

    def __getitem__(self, name: str) -> str:
        if name == "clicks":
            self.pages += 1
            if self.pages == self._fails_at:
                raise ConnectionResetError("gone")
        return super().__getitem__(name)


async def test_memory_does_not_grow_with_the_rows(pool: Pool, database_url: str) -> None:
    await furnish(pool)
    await pool.execute(DELIVERIES, timeout=120)

    async def grown(file_format: str) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.integration.exports.measure", database_url, file_format, "15000", "150000",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, _ = await process.communicate()
        assert process.returncode == 0
        measured = json.loads(output)
        assert measured["bytes"][1] > 8 * measured["bytes"][0], "ten times the rows are ten times the file"
        assert measured["grown_kb"] < 16_000, (file_format, measured)

    await asyncio.gather(*(grown(file_format) for file_format in ("csv", "xlsx", "parquet")))


async def test_a_reader_who_leaves_stops_the_export(pool: Pool, redis: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    await furnish(pool)
    await add_clicks(pool, 20_000)
    monkeypatch.setattr(rows, "PAGE", 50)
    stopped = asyncio.Event()
    queries = Queries(rows.SQL)
    monkeypatch.setattr(rows, "SQL", queries)
    abandoned = FORMATS["csv"].encoder

    def encoder(self: Any, *arguments: Any) -> Any:
        made = abandoned(*arguments)
        monkeypatch.setattr(made, "abandon", stopped.set)
        return made

    monkeypatch.setattr(type(FORMATS["csv"]), "encoder", encoder)
    async with served(pool, redis) as (url, headers), aiohttp.ClientSession() as session:
        answer = await session.get(f"{url}/api/exports/clicks.csv", headers=headers)
        await answer.content.readexactly(1000)
        answer.close()
        async with asyncio.timeout(20):
            await stopped.wait()
    assert 0 < queries.pages < 400, "the 400 pages there are were not all read"


async def test_a_store_that_goes_away_breaks_the_file_off(
    pool: Pool, redis: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await furnish(pool)
    await add_clicks(pool, 5000)
    monkeypatch.setattr(rows, "PAGE", 500)
    queries = Queries(rows.SQL, fails_at=4)
    monkeypatch.setattr(rows, "SQL", queries)
    async with served(pool, redis) as (url, headers), aiohttp.ClientSession() as session:
        async with session.get(f"{url}/api/exports/clicks.csv", headers=headers) as answer:
            assert answer.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()
        queries.pages = 3
        async with session.get(f"{url}/api/exports/clicks.csv", headers=headers) as answer:
            assert answer.status == 503, "before the first byte it can still be told"


async def test_only_so_many_at_once(pool: Pool, redis: Client) -> None:
    await furnish(pool)
    await add_clicks(pool, 10)
    running = [stream(pool, CLICKS, "csv") for _ in range(AT_ONCE)]
    for one in running:
        await anext(one)
    with pytest.raises(Refused, match="already"):
        await anext(stream(pool, CLICKS, "csv"))
    async with await api(pool, redis) as client:
        refused = await client.get("/api/exports/clicks.csv")
        assert refused.status_code == 429
        for one in running:
            await one.aclose()  # type: ignore[attr-defined]
        assert (await client.get("/api/exports/clicks.csv")).status_code == 200
