"""The course of clicks of the smart links in a table: one query for all of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time

from tracker.reports.ranges import Range, Step, steps
from tracker.stores.postgres import Pool
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.dashboard", "courses.sql")


async def click_courses(
    pool: Pool, link_ids: Sequence[str], covered: Range, step: Step, now: datetime | None = None
) -> dict[str, list[int]]:
    """Clicks per step of the range that has begun, for each of these smart links, which the caller took from a report of its team."""
    starts = steps(covered, step)
    now = now or datetime.now(UTC)
    shown = max(1, sum(start <= now for start in starts))
    courses = {link_id: [0] * shown for link_id in link_ids}
    whole_days = all(moment.astimezone(UTC).time() == time() for moment in (*starts, covered.end))
    query = SQL["by_day" if whole_days else "by_quarter"]
    for row in await pool.fetch(query, list(link_ids), covered.start, covered.end, starts):
        if 1 <= row["point"] <= shown:
            courses[row["scope_id"]][row["point"] - 1] = row["clicks"]
    return courses
