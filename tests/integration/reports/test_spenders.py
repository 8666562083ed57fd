"""Different fans of any range, from sums, are those of the payments themselves: over months, through several links, in every zone."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.reports import world
from tests.integration.reports.world import LINKS, ZONES, Fact, History, facts
from tracker.reports import rollups
from tracker.reports.filters import Filters
from tracker.reports.ranges import QUARTER, Step, between, days
from tracker.reports.series import series
from tracker.reports.totals import by_link, total
from tracker.stores.postgres import Pool

FIRST = datetime(2026, 1, 3, tzinfo=UTC)
LENGTH = 220  # days: several blocks of 64, and the clocks change in them
CHOSEN: tuple[tuple[Filters, Any], ...] = (
    (Filters(), lambda fact: fact["team"] == "team1"),
    (Filters(account_ids=("acc1",)), lambda fact: fact["account"] == "acc1"),
    (Filters(smart_link_ids=("LINK1", "LINK3")), lambda fact: fact["link"] in ("LINK1", "LINK3")),
    (Filters(smart_link_ids=("LINK2",)), lambda fact: fact["link"] == "LINK2"),
)


def some_moment(rng: random.Random) -> datetime:
    """Within those days, often close to a midnight."""
    day = FIRST + timedelta(days=rng.randrange(LENGTH))
    return day + rng.choice((rng.randrange(96), rng.choice((0, 1, 94, 95)))) * QUARTER


async def pay(history: History, count: int) -> None:
    """Payments of a few fans, who come back after minutes, days or months, now and then through another link."""
    rng = history.rng
    for _ in range(count):
        link = rng.choice(list(LINKS))
        fan = rng.randrange(6) if rng.random() < 0.5 else 10 + rng.randrange(5) + 10 * list(LINKS).index(link)
        at = some_moment(rng) + timedelta(seconds=rng.choice((0, 1, 899)))
        for _ in range(rng.choice((1, 1, 3))):
            await history.insert(
                LINKS[link], link, "click", f"fan{fan}", "new_transaction", at, rng.choice((0, 500, 900))
            )
            at += timedelta(minutes=rng.choice((7, 14, 60, 1425, 1440, 1441, 9000)))


async def change(pool: Pool, rng: random.Random) -> None:
    """Payments are taken back, moved and removed."""
    for row in rng.sample(await pool.fetch("SELECT * FROM conversions ORDER BY conversion_id"), 20):
        statement = rng.choice(
            (
                "UPDATE conversions SET retracted_at = now() WHERE conversion_id = $1",
                "UPDATE conversions SET smart_link_id = CASE smart_link_id WHEN 'LINK1' THEN 'LINK2' WHEN 'LINK2' THEN 'LINK1'"
                " ELSE smart_link_id END WHERE conversion_id = $1",
                "UPDATE conversions SET conversion_at = conversion_at - interval '25 hours' WHERE conversion_id = $1",
                "UPDATE conversions SET amount_gross_cents = 500 - amount_gross_cents WHERE conversion_id = $1",
                "DELETE FROM conversions WHERE conversion_id = $1",
            )
        )
        await pool.execute(statement, row["conversion_id"])


def fans_of(some: list[Fact], start: datetime, end: datetime) -> int:
    return len({fact["fan"] for fact in some if fact["fan"] and start <= fact["at"] < end})


@pytest.mark.parametrize("seed", range(3))
async def test_different_fans_of_any_range(pool: Pool, seed: int) -> None:
    await world.found(pool)
    history = History(pool, seed, FIRST)
    rng = history.rng
    for _ in range(3):
        await pay(history, 60)
        await rollups.settle_all(pool, marks=rng.choice((3, 40, 5000)))
        await change(pool, rng)
    await rollups.settle_all(pool)
    everything = await facts(pool)
    shared = await pool.fetchval("SELECT count(*) FROM report_spenders WHERE shared")
    assert 0 < shared < await pool.fetchval("SELECT count(*) FROM report_spenders")
    found = 0
    for _ in range(30):
        start, end = sorted((some_moment(rng), some_moment(rng)))
        covered = between(start, end, rng.choice(ZONES))
        for filters, wanted in CHOSEN:
            mine = [fact for fact in everything if wanted(fact)]
            told = await total(pool, "team1", covered, filters)
            assert told.spenders == fans_of(mine, start, end), (start, end, filters)
            found += told.spenders
            listed = await by_link(pool, "team1", covered, filters, sort="spenders")
            assert {row.smart_link_id: row.totals.spenders for row in listed if row.totals.spenders} == {
                link: fans
                for link in LINKS
                if (fans := fans_of([fact for fact in mine if fact["link"] == link], start, end))
            }
    assert found > 100
    for zone in rng.sample(ZONES, 4):
        steps: tuple[Step, ...] = ("day", "month")
        for step in steps:
            covered = days(FIRST.date(), (FIRST + timedelta(days=LENGTH)).date(), zone)
            for filters, wanted in CHOSEN:
                mine = [fact for fact in everything if wanted(fact)]
                points = await series(pool, "team1", covered, step, filters)
                ends = [point.start for point in points[1:]] + [covered.end]
                assert [point.totals.spenders for point in points] == [
                    fans_of(mine, point.start, end) for point, end in zip(points, ends, strict=True)
                ], (zone, step, filters)
