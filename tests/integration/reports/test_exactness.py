"""Every report equals what one gets by going through the rows by hand, whatever happened in whatever order, in every zone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.reports import world
from tests.integration.reports.world import ANCHORS, ZONES, Fact, History, facts, local, summed
from tracker.reports import rollups
from tracker.reports.breakdowns import breakdown
from tracker.reports.filters import Filters
from tracker.reports.ranges import Range, all_time, days
from tracker.reports.series import series
from tracker.reports.totals import Totals, by_link, total
from tracker.stores.postgres import Pool

DIMENSIONS = ("country", "device", "browser", "os", "referrer", "utm_source", "utm_medium", "aff_s3", "ecid", "lease")
FILTERS = (
    (Filters(), lambda fact: True),
    (Filters(account_ids=("acc1", "acc3")), lambda fact: fact["account"] == "acc1"),
    (Filters(smart_link_ids=("LINK2", "LINK4")), lambda fact: fact["link"] == "LINK2"),
    (Filters(tags=("hot", "cold")), lambda fact: fact["link"] == "LINK3"),
    (Filters(platforms=("fansly",)), lambda fact: fact["account"] == "acc2"),
    (Filters(name="d link1"), lambda fact: fact["link"] == "LINK1"),
    (Filters(states=("paused",)), lambda fact: False),
)  # fmt: skip


def told(totals: Totals) -> dict[str, int]:
    return {name: amount for name, amount in asdict(totals).items() if amount}


async def compare(pool: Pool, covered: Range, zone: str, everything: list[Fact]) -> None:
    """Compare all reports of team1 over a range with the facts."""
    mine = [fact for fact in everything if fact["team"] == "team1" and covered.start <= fact["at"] < covered.end]
    for filters, wanted in FILTERS:
        expected = [fact for fact in mine if wanted(fact)]
        assert told(await total(pool, "team1", covered, filters)) == summed(expected), (zone, filters)
    chosen = [fact for fact in mine if fact["account"] == "acc1"]
    for filters, some in ((Filters(), mine), (Filters(account_ids=("acc1",)), chosen)):
        for step, pattern in (("day", "%Y-%m-%d"), ("month", "%Y-%m"), ("hour", "%Y-%m-%d %H %z")):
            points = await series(pool, "team1", covered, step, filters)  # type: ignore[arg-type]
            by_name: dict[str, list[Fact]] = defaultdict(list)
            for fact in some:
                by_name[local(fact, zone).strftime(pattern)].append(fact)
            found = {point.start.strftime(pattern): told(point.totals) for point in points if told(point.totals)}
            assert found == {name: summed(part) for name, part in by_name.items() if summed(part)}, (zone, step)
        for dimension in DIMENSIONS:
            by_value: dict[str, list[Fact]] = defaultdict(list)
            for fact in some:
                if fact["what"] != "prefetches":
                    by_value[fact["values"].get(dimension, "")].append(fact)
            rows = await breakdown(pool, "team1", covered, dimension, filters, limit=1000)
            expected_rows = {value: summed(part, spenders=False) for value, part in by_value.items()}
            assert {row.value: told(row.totals) for row in rows} == {v: e for v, e in expected_rows.items() if e}, (
                zone,
                dimension,
            )
    links: dict[str, list[Fact]] = {
        link: [fact for fact in mine if fact["link"] == link] for link in ("LINK1", "LINK2", "LINK3")
    }
    for sort in ("gross_cents", "spenders", "name"):
        listed = await by_link(pool, "team1", covered, sort=sort)
        assert {row.smart_link_id: told(row.totals) for row in listed} == {
            link: summed(part) for link, part in links.items()
        }


def ranges_of(zone: str, anchor: Any) -> list[Range]:
    day = anchor.date()
    return [
        days(day - timedelta(days=1), day + timedelta(days=1), zone),
        days(day, day, zone),
        days(day - timedelta(days=40), day + timedelta(days=40), zone),
    ]


@pytest.mark.parametrize("seed", range(5))
async def test_every_report_is_what_the_rows_say(pool: Pool, seed: int) -> None:
    await world.found(pool)
    history = History(pool, seed, ANCHORS[seed])

    async def pause() -> None:
        await rollups.settle(pool, notes=history.rng.choice((1, 2, 100)), marks=history.rng.choice((1, 5, 1000)))

    await history.live(30, pause)
    await rollups.settle_all(pool, notes=3, marks=7)
    everything = await facts(pool)
    assert len(everything) > 150
    if seed % 2:  # as on the day itself: what came after this midnight is not told as whole days yet
        midnight = history.anchor.replace(hour=0, minute=0)
        await pool.execute("UPDATE report_closed SET until = $1 WHERE days = 1 AND until > $1", midnight)
    for zone in history.rng.sample(ZONES, 4):
        for covered in ranges_of(zone, history.anchor):
            await compare(pool, covered, zone, everything)
    mine = [fact for fact in everything if fact["team"] == "team1"]
    assert told(await total(pool, "team1", all_time())) == summed(mine)
