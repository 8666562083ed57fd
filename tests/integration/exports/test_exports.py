"""Exports over HTTP: what is in them, what is refused, going on where one stopped."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from typing import Any

import arro3.io
import httpx
import openpyxl
import pytest

from tests.integration.exports.scene import FOREIGN_LINK, LINK, OTHER_LINK, add_clicks, api, furnish
from tracker.exports.columns import COLUMNS
from tracker.exports.formats import FORMATS
from tracker.lists import cursors
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

EARLIEST = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))  # before the year 1 in UTC
SALES = """
INSERT INTO fans (account_id, fan_id, username, name, first_subscribed_at)
SELECT 'a1', 'f' || n, 'fan' || n, CASE n WHEN 1 THEN '=HYPERLINK("http://evil","x")' ELSE 'Fan ' || n END,
       timestamptz '2026-11-02 00:00Z' + n * interval '1 hour' FROM generate_series(1, 30) n;
INSERT INTO fans (account_id, fan_id) VALUES ('a2', 'foreign');
INSERT INTO bindings (account_id, fan_id, valid_from, click_id, smart_link_id, rule, lease, confidence, competing_clicks, event_keys)
SELECT 'a1', 'f' || n, timestamptz '2026-11-02 00:00Z', lpad(to_hex(n), 26, '0'), '01KAY0SMARTLINK00000000000', 'subscribed',
       'exclusive', 0.875, 0, '{}' FROM generate_series(1, 20) n;
INSERT INTO conversions (conversion_id, team_id, account_id, smart_link_id, click_id, fan_id, conversion_type, conversion_at,
    amount_gross_cents, amount_net_cents, transaction_id, transaction_type, transaction_status, event_keys, retracted_at)
SELECT 'c' || n, 't1', 'a1', '01KAY0SMARTLINK00000000000', lpad(to_hex(n), 26, '0'), 'f' || n, 'new_transaction',
       timestamptz '2026-11-03 00:00Z' + n * interval '1 hour', 1000 + n, 800 + n, 'tx' || n, 'tip', 'done', '{}',
       CASE n WHEN 20 THEN now() END FROM generate_series(1, 20) n;
INSERT INTO conversions (conversion_id, team_id, account_id, smart_link_id, click_id, fan_id, conversion_type, conversion_at, event_keys)
VALUES ('theirs', 't2', 'a2', '01KAY0SMARTLINK00000000002', 'x', 'foreign', 'new_subscriber', '2026-11-03', '{}');
INSERT INTO destinations (destination_id, team_id, kind, name, config, event_types)
VALUES ('01KAYDEST', 't1', 'postback', 'Voluum', '{}', '{new_transaction}'), ('01KAYDEST2', 't2', 'postback', 'Theirs', '{}', '{}');
INSERT INTO delivery_events (event_id, day, event_type, occurred_at, facts)
SELECT 'c' || n, '2026-11-04', 'new_transaction', timestamptz '2026-11-03 00:00Z', '{"smart_link_id": "01KAY0SMARTLINK00000000000"}'
FROM generate_series(1, 20) n;
INSERT INTO deliveries (event_id, destination_id, day, state, verdict, created_at)
SELECT 'c' || n, d, '2026-11-04', CASE WHEN n % 2 = 0 THEN 'delivered' ELSE 'dead' END, 'http://x: -refused', timestamptz '2026-11-04 01:00Z'
FROM generate_series(1, 20) n, unnest(ARRAY['01KAYDEST', '01KAYDEST2']) d;
"""


@pytest.fixture
async def client(pool: Pool, redis: Client) -> AsyncIterator[httpx.AsyncClient]:
    """A team's client; 5,000 clicks on one link and 10 on another, 30 fans, 20 sales, 20 deliveries."""
    await furnish(pool)
    await add_clicks(pool, 5000)
    await add_clicks(pool, 10, OTHER_LINK, first=6001)
    await add_clicks(pool, 7, FOREIGN_LINK, "a2", first=7001)
    await pool.execute(SALES)
    async with await api(pool, redis) as opened:
        yield opened


async def table(client: httpx.AsyncClient, kind: str, **parameters: Any) -> list[dict[str, str]]:
    """A CSV export's rows."""
    answer = await client.get(f"/api/exports/{kind}.csv", params=parameters)
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))


async def test_clicks(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/exports/clicks.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith('attachment; filename="clicks-20')
    rows = await table(client, "clicks")
    assert [int(row["click_id"], 16) for row in rows] == [*range(1, 5001), *range(6001, 6011)]
    assert rows[0]["clicked_at"] == "2026-11-01T00:00:01.000Z"
    assert (rows[0]["ip"], rows[0]["ecid"], rows[0]["is_bot"]) == ("198.51.100.7", "ad-1", "false")
    assert rows[-1]["smart_link_name"] == "'=cmd|' /C calc'!A0"


async def test_the_filters(client: httpx.AsyncClient, pool: Pool) -> None:
    assert len(await table(client, "clicks", smart_link_ids=OTHER_LINK.lower())) == 10
    assert await table(client, "clicks", smart_link_ids=FOREIGN_LINK) == []
    assert len(await table(client, "clicks", account_ids="a1,a2")) == 5010, "another team's account gives nothing"
    await pool.execute("UPDATE clicks SET is_bot = true WHERE ecid IN ('ad-5', 'ad-6')")
    assert len(await table(client, "clicks", include_bots=False)) == 5008
    assert len(await table(client, "conversions")) == 19
    assert len(await table(client, "conversions", include_retracted=True)) == 20
    assert (
        len(await table(client, "conversions", date_start="2026-11-03T05:00:00Z", date_end="2026-11-03T07:00:00Z")) == 2
    )
    assert len(await table(client, "deliveries", states="dead")) == 10
    assert len(await table(client, "fans", smart_link_ids=LINK)) == 20


async def test_days_are_days_of_the_zone(client: httpx.AsyncClient) -> None:
    utc = await table(client, "conversions", date_start="2026-11-03", date_end="2026-11-03")
    assert [row["conversion_id"] for row in utc] == [f"c{n}" for n in range(1, 20)]
    there = await table(
        client, "conversions", date_start="2026-11-02", date_end="2026-11-02", time_zone="America/Los_Angeles"
    )
    assert [row["conversion_id"] for row in there] == [f"c{n}" for n in range(1, 8)]
    assert there[0]["conversion_at"] == "2026-11-02T17:00:00.000-08:00"


async def test_conversions_fans_and_deliveries(client: httpx.AsyncClient) -> None:
    sale = (await table(client, "conversions"))[0]
    assert (sale["amount_gross"], sale["amount_net"], sale["fan_name"]) == (
        "10.01",
        "8.01",
        '\'=HYPERLINK("http://evil","x")',
    )
    assert (sale["ecid"], sale["country"]) == ("ad-1", "US")
    fans = await table(client, "fans")
    assert len(fans) == 30
    first = next(fan for fan in fans if fan["fan_id"] == "f1")
    assert (first["revenue_gross"], first["payments"], first["confidence"]) == ("10.01", "1", "0.875")
    assert next(fan for fan in fans if fan["fan_id"] == "f30")["click_id"] == ""
    delivery = (await table(client, "deliveries"))[0]
    assert (delivery["destination_name"], delivery["smart_link_id"], delivery["state"]) == ("Voluum", LINK, "dead")


@pytest.mark.parametrize("kind", COLUMNS)
async def test_all_formats_hold_the_same_rows(client: httpx.AsyncClient, kind: str) -> None:
    parameters = {"limit": 30}
    cursors = [row["cursor"] for row in await table(client, kind, **parameters)]
    assert cursors
    book = await client.get(f"/api/exports/{kind}.xlsx", params=parameters)
    sheet = openpyxl.load_workbook(io.BytesIO(book.content))[kind.title()]
    assert [row[-1] for row in sheet.iter_rows(values_only=True, min_row=2)] == cursors
    parquet = await client.get(f"/api/exports/{kind}.parquet", params=parameters)
    read = arro3.io.read_parquet(io.BytesIO(parquet.content)).read_all()
    assert read["cursor"].to_pylist() == cursors


@pytest.mark.parametrize("kind", COLUMNS)
async def test_an_export_goes_on_behind_any_row(client: httpx.AsyncClient, kind: str) -> None:
    whole = await table(client, kind)
    together: list[dict[str, str]] = []
    step = max(1, len(whole) // 3)
    while rows := await table(client, kind, limit=step, **({"after": together[-1]["cursor"]} if together else {})):
        together += rows
    assert together == whole
    broken_off = whole[len(whole) // 2]
    assert await table(client, kind, after=broken_off["cursor"]) == whole[len(whole) // 2 + 1 :]


REFUSED: list[tuple[str, dict[str, Any], str | None]] = [
    ("clicks.csv", {"after": "nonsense!"}, "after"),
    ("clicks.csv", {"after": "AAAA"}, "after"),
    ("clicks.csv", {"after": "%00"}, "after"),
    ("conversions.csv", {"after": "QR9i"}, "after"),
    ("conversions.csv", {"after": "YR9uZXZlch9j"}, "after"),
    ("conversions.csv", {"after": cursors.encode(LINK, EARLIEST, "c")}, None),
    ("clicks.csv", {"date_start": "yesterday"}, "date_start"),
    ("clicks.csv", {"date_end": "2026-13-01"}, "date_end"),
    ("clicks.csv", {"date_start": "2026-11-02", "date_end": "2026-11-01"}, "date_end"),
    ("clicks.csv", {"date_start": "9999-12-31"}, "date_start"),
    ("clicks.csv", {"date_start": "0001-01-01", "time_zone": "Asia/Tokyo"}, "date_start"),
    ("clicks.csv", {"time_zone": "Mars/Base"}, "time_zone"),
    ("clicks.csv", {"time_zone": "../../etc/passwd"}, "time_zone"),
    ("clicks.csv", {"limit": 0}, "limit"),
    ("clicks.csv", {"limit": "many"}, "limit"),
    ("clicks.xlsx", {"bom": True}, "bom"),
    ("deliveries.csv", {"states": "lost"}, "states"),
    ("clicks.csv", {"smart_link_ids": "a\0b"}, None),
]


async def test_what_makes_no_sense_is_refused_naming_it(client: httpx.AsyncClient) -> None:
    for file, parameters, field in REFUSED:
        answer = await client.get(f"/api/exports/{file}", params=parameters)
        assert answer.status_code in (400, 422), (parameters, answer.text)
        if field is not None:
            assert field in answer.json()["errors"], (parameters, json.dumps(answer.json()))


async def test_what_there_is_not_is_not_found(client: httpx.AsyncClient) -> None:
    for file in ("clicks", "clicks.exe", "teams.csv", ".csv", "clicks.csv.csv", "%00.csv"):
        assert (await client.get(f"/api/exports/{file}")).status_code in (400, 404), file


async def test_a_file_for_excel_begins_with_a_mark(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/exports/fans.csv", params={"bom": True})
    assert answer.content.startswith(b"\xef\xbb\xbffan_id")


async def test_nobody_exports_without_a_key(client: httpx.AsyncClient) -> None:
    for file in (f"{kind}.{name}" for kind in COLUMNS for name in FORMATS):
        assert (await client.get(f"/api/exports/{file}", headers={"Authorization": "Bearer no"})).status_code == 401
