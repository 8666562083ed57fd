"""A short storm: the whole one is `python -m loadtests.storm`."""

from __future__ import annotations

from loadtests.storm import run_storm
from loadtests.storm_books import Shape

SHAPE = Shape(
    conversions=1000,
    destinations=10,
    flaky=3,
    hanging=1,
    seconds=4.0,
    every=2.0,
    drain=40.0,
    timeout=2.0,  # a starved receiver that answers later would be a repeat without a kill
    give_up=2.0,
)


async def test_every_conversion_is_delivered_or_dead_and_none_twice(database_url: str) -> None:
    report = await run_storm(database_url, SHAPE)
    for books in (report.calm, report.storm):
        assert books.balanced, books
        assert books.kills >= 2
    assert report.calm.delivered == SHAPE.conversions
    assert report.storm.dead >= 90, "what the hanging receiver never took is visible"
    assert set(report.storm.disabled) == {"d03"}
