"""How long every report takes on a database, and what PostgreSQL does for it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from loadtests.report_endpoints import Cpu, endpoints, spread
from tracker.reports.breakdowns import breakdown
from tracker.reports.cohorts import cohort_arps
from tracker.reports.filters import Filters
from tracker.reports.ranges import Range, days, previous
from tracker.reports.series import series
from tracker.reports.totals import by_link, total
from tracker.stores import postgres

TEAM = "01KAY0TEAM0000000000000000"
Report = Callable[[Any], Awaitable[Any]]


class Watched:
    """A pool that keeps the queries made through it."""

    def __init__(self, pool: postgres.Pool) -> None:
        self.pool = pool
        self.queries: list[tuple[str, tuple[Any, ...]]] = []

    async def fetch(self, query: str, *arguments: Any) -> Any:
        """As the pool's."""
        self.queries.append((query, arguments))
        return await self.pool.fetch(query, *arguments)

    async def fetchrow(self, query: str, *arguments: Any) -> Any:
        """As the pool's."""
        self.queries.append((query, arguments))
        return await self.pool.fetchrow(query, *arguments)

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        """As the pool's."""
        self.queries.append((query, arguments))
        return await self.pool.fetchval(query, *arguments)


def reports(month: Range, year: Range, link: str, account: str) -> dict[str, Report]:
    """Every report as pages ask for it: of the whole team, one account, a tag's links, one busy link."""
    one, tagged, owned = Filters(smart_link_ids=(link,)), Filters(tags=("scaling",)), Filters(account_ids=(account,))
    made: dict[str, Report] = {}
    for name, covered in (("30 days", month), ("a year", year)):
        for of, filters in (("team", Filters()), ("account", owned), ("a tag's links", tagged), ("link", one)):
            made[f"totals, {of}, {name}"] = lambda s, c=covered, f=filters: total(s, TEAM, c, f)  # type: ignore[misc]
            made[f"series by day, {of}, {name}"] = lambda s, c=covered, f=filters: series(s, TEAM, c, "day", f)  # type: ignore[misc]
            for dimension in ("country", "utm_campaign", "ecid"):
                made[f"breakdown by {dimension}, {of}, {name}"] = (
                    lambda s, c=covered, f=filters, d=dimension: breakdown(s, TEAM, c, d, f)  # type: ignore[misc]
                )
        made[f"links, {name}"] = lambda s, c=covered: by_link(s, TEAM, c)  # type: ignore[misc]
        made[f"links by spenders, {name}"] = lambda s, c=covered: by_link(s, TEAM, c, sort="spenders")  # type: ignore[misc]
        made[f"cohorts, link, {name}"] = lambda s, c=covered: cohort_arps(s, TEAM, (link,), c)  # type: ignore[misc]
        made[f"cohorts, team, {name}"] = lambda s, c=covered: cohort_arps(s, TEAM, None, c)  # type: ignore[misc]
    made["totals before, team, 30 days"] = lambda s: total(s, TEAM, previous(month))
    return made


async def measure(url: str, repeats: int, *, plans: bool) -> tuple[dict[str, dict[str, float]], str]:
    """p50 and p95 in milliseconds of every report and endpoint; and, if wanted, a Markdown page of query plans."""
    pool = await postgres.open_pool(url, max_size=5, command_timeout=600, plan_anew=True)
    busiest = await pool.fetchrow(
        "SELECT s.smart_link_id, s.account_id FROM smart_links s JOIN report_days d ON d.scope_id = s.smart_link_id"
        " WHERE s.team_id = $1 GROUP BY 1, 2 ORDER BY sum(d.clicks) DESC LIMIT 1",
        TEAM,
    )
    assert busiest is not None, "generate first"
    quiet = await pool.fetchval(
        "SELECT s.smart_link_id FROM smart_links s JOIN report_days d ON d.scope_id = s.smart_link_id"
        " WHERE s.team_id = $1 GROUP BY 1 ORDER BY max(d.start), sum(d.clicks) LIMIT 1",
        TEAM,
    )
    samples = {
        "smart_link_id": busiest["smart_link_id"],
        "account_id": busiest["account_id"],
        "account": busiest["account_id"],
        "quiet_link_id": quiet,
    }
    last = await pool.fetchval("SELECT last - (365 - days) FROM generated")  # as far as it has got
    month = days(last - timedelta(days=29), last, "America/New_York")
    year = days(last - timedelta(days=364), last, "Asia/Kolkata")
    cpu = Cpu(await pool.fetchval("SELECT pg_backend_pid()"))
    found: dict[str, dict[str, float]] = {}
    text = [
        f"# Query plans of the reports\n\nMade by `python -m loadtests.reports run --plans`, {datetime.now(UTC):%Y-%m-%d}.\n"
    ]
    for name, report in reports(month, year, *busiest).items():
        watched = Watched(pool)
        times, before = [], cpu()
        for _ in range(repeats):
            started = time.perf_counter()
            await report(watched)
            times.append((time.perf_counter() - started) * 1000)
            if times[-1] > 1000 and len(times) > 2:
                break
        found[name] = spread(times, cpu() - before)
        if plans and "30 days" not in name:  # the same queries, over less
            text.append(f"\n## {name}\n")
            for query, arguments in watched.queries[: len(watched.queries) // len(times)]:
                lines = await pool.fetch(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, SUMMARY) {query}", *arguments)
                text.append("```\n" + "\n".join(line[0][:160] for line in lines if _told(line[0])) + "\n```\n")
    found |= await endpoints(pool, TEAM, month, samples, cpu, repeats)
    await pool.close()
    return found, "".join(text)


def _told(line: str) -> bool:
    # What was done and how long it took; what found nothing tells nothing, and what hands on tells nothing new.
    handed = any(
        step in line for step in ("rows=0.00", "Subquery Scan", "CTE Scan", "Materialize", "Values Scan", "Result")
    )
    return ("actual time=" in line and not handed) or " Time: " in line
