"""Reports over HTTP: figures, comparison, pages, and mistakes answered at their parameter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.integration.reports import world
from tests.integration.reports.world import History
from tracker.access.keys import make_key
from tracker.api.app import create_app
from tracker.management.services import Services
from tracker.reports.rollups import settle_all
from tracker.secrets import Secrets
from tracker.settings import Settings
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

SECRETS = Secrets("k" * 40)
NOON = datetime(2026, 5, 5, 12, tzinfo=UTC)
DAYS = {"date_start": "2026-05-01", "date_end": "2026-05-10"}

WRONG: tuple[tuple[str, dict[str, str], str], ...] = (
    ("totals", {"date_start": "2026-02-30"}, "date_start"),
    ("totals", {"date_end": "1066-10-14"}, "date_end"),
    ("totals", {"date_start": "2026-05-11"}, "date_start"),
    ("totals", {"time_zone": "Mars/Olympus"}, "time_zone"),
    ("totals", {"time_zone": "../../etc/passwd"}, "time_zone"),
    ("totals", {"basis": "grand"}, "basis"),
    ("totals", {"smart_link_ids": ",".join(["x"] * 1001)}, "smart_link_ids"),
    ("links", {"sort": "-password"}, "sort"),
    ("links", {"limit": "1001"}, "limit"),
    ("links", {"offset": "-1"}, "offset"),
    ("series", {"step": "minute"}, "step"),
    ("series", {"step": "hour", "date_start": "2025-01-01"}, "step"),
    ("breakdown", {"dimension": "ip"}, "dimension"),
    ("breakdown", {"dimension": "ecid", "sort": "spenders"}, "sort"),
    ("breakdown", {}, "dimension"),
    ("totals", {"filter[platforms][]": "myspace"}, "filter[platforms][]"),
)


@pytest.fixture
async def api(pool: Pool, redis: Client) -> AsyncIterator[httpx.AsyncClient]:
    await world.found(pool)
    history = History(pool, 3, NOON)

    async def pause() -> None:
        await settle_all(pool)

    await history.live(15, pause)
    await settle_all(pool)
    _, key = await make_key(pool, SECRETS.key_hash, "team1", "test")
    app: Any = create_app(Services(Settings(), pool, redis, SECRETS))
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://api.test", headers=headers
    ) as client:
        yield client


async def get(api: httpx.AsyncClient, path: str, **parameters: Any) -> Any:
    answer = await api.get(f"/api/reports/{path}", params={**DAYS, **parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_totals_links_series_and_breakdown_agree(api: httpx.AsyncClient, pool: Pool) -> None:
    whole = (await get(api, "totals"))["data"]
    clicks = await pool.fetchval("SELECT count(*) FROM clicks WHERE NOT is_bot AND account_id <> 'acc3'")
    assert whole["totals"]["clicks"] == clicks > 20
    assert (whole["date_start"], whole["date_end"], whole["time_zone"]) == ("2026-05-01", "2026-05-10", "UTC")
    assert datetime.fromisoformat(whole["as_of"]).tzinfo is not None
    links = (await get(api, "links", sort="-clicks"))["data"]
    assert sum(row["clicks"] for row in links) == clicks
    assert [row["clicks"] for row in links] == sorted((row["clicks"] for row in links), reverse=True)
    points = (await get(api, "series", step="day"))["data"]["points"]
    assert len(points) == 10
    assert sum(point["clicks"] for point in points) == clicks
    values = (await get(api, "breakdown", dimension="utm_source"))["data"]
    assert sum(row["clicks"] for row in values) == clicks
    assert {row["value"] for row in values} <= {"", "ig", "IG", "a\\b,{}\t\"'"}
    cents = sum(round(float(row["revenue"]) * 100) for row in values)
    assert f"{cents / 100:.2f}" == whole["totals"]["revenue"] == whole["totals"]["revenue_gross"]
    net = (await get(api, "totals", basis="net"))["data"]["totals"]
    assert net["revenue"] == net["revenue_net"] == whole["totals"]["revenue_net"]


async def test_filters_comparison_and_pages(api: httpx.AsyncClient) -> None:
    links = {row["smart_link_id"]: row for row in (await get(api, "links"))["data"]}
    assert set(links) == {"LINK1", "LINK2", "LINK3"}
    for parameters in (
        {"smart_link_ids": "link3"},
        {"account_ids": "acc2"},
        {"filter[tags][]": "hot"},
        {"filter[platforms][]": "fansly"},
    ):
        found = (await get(api, "totals", **parameters))["data"]["totals"]
        assert found == {name: links["LINK3"][name] for name in found}, parameters
    assert (await get(api, "totals", smart_link_ids="LINK4"))["data"]["totals"]["clicks"] == 0  # another team's
    compared = (await get(api, "totals", compare="true", date_start="2026-05-06"))["data"]
    assert (compared["previous"]["date_start"], compared["previous"]["date_end"]) == ("2026-05-01", "2026-05-05")
    halves = compared["totals"]["clicks"] + compared["previous"]["totals"]["clicks"]
    assert halves == (await get(api, "totals"))["data"]["totals"]["clicks"]
    first = await get(api, "links", limit=2, sort="name")
    assert [row["smart_link_id"] for row in first["data"]] == ["LINK1", "LINK2"]
    second = (await api.get(first["_pagination"]["next_page"])).json()
    assert [row["smart_link_id"] for row in second["data"]] == ["LINK3"]
    assert second["_pagination"]["next_page"] is None


async def test_cohorts_are_told_per_day_and_in_all(api: httpx.AsyncClient, pool: Pool) -> None:
    found = (await get(api, "cohorts"))["data"]
    fans = await pool.fetchval(
        "SELECT count(*) FROM (SELECT DISTINCT smart_link_id, account_id, fan_id FROM conversions"
        " WHERE conversion_type = 'new_subscriber' AND retracted_at IS NULL AND team_id = 'team1') f"
    )
    assert found["total"]["subscribers"] == fans > 0
    assert sum(cohort["subscribers"] for cohort in found["cohorts"]) == fans
    assert [window["days"] for window in found["total"]["windows"]] == [0, 1, 3, 7, 14, 30, 60, 90, 180, 365]
    one = (await get(api, "cohorts", smart_link_ids="LINK1"))["data"]["total"]["subscribers"]
    assert 0 <= one < fans


async def test_a_wrong_parameter_is_named(api: httpx.AsyncClient) -> None:
    for path, parameters, field in WRONG:
        answer = await api.get(f"/api/reports/{path}", params={**DAYS, **parameters})
        assert answer.status_code in (400, 422), answer.text
        assert field in answer.json()["errors"], answer.text


async def test_hostile_values_are_only_values(api: httpx.AsyncClient) -> None:
    for name in ("%", "_", "\\", "'; DROP TABLE clicks; --", "a" * 5000, "\ud7ff\uffff", "%%_\\%"):
        assert (await get(api, "totals", name=name))["data"]["totals"]["clicks"] == 0, name
    answer = await api.get("/api/reports/totals", params={**DAYS, "name": "a\x00b"})
    assert answer.status_code == 400
    assert (
        await httpx.AsyncClient(transport=api._transport, base_url="http://api.test").get("/api/reports/totals")
    ).status_code == 401
