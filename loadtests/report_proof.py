"""That the rollups `loadtests.reports generate` writes are those the rollup job makes: thrown away, counted anew, compared."""

from __future__ import annotations

import asyncpg

from tracker.reports.rollups import settle_all
from tracker.stores import postgres

TABLES = (
    "report_quarters", "report_days", "report_values", "report_listed", "breakdown_hours", "breakdown_days", "breakdown_blocks",
    "report_spenders", "cohort_fans", "cohort_quarters", "cohort_days", "report_notes", "report_marks", "report_fan_marks",
    "report_courses", "spender_days", "spender_courses", "link_fans", "link_fan_days",
)  # fmt: skip
# Of the ecids that are different in every click, job and generator list different ones: of these the sums must agree.
CELLS = """SELECT b.scope_id, {when}, k.dimension, CASE WHEN k.dimension <> 16 OR k.value LIKE '12020%' THEN k.value END AS value,
                  u.key & 7 AS counter, sum(u.amount)::bigint AS amount
           FROM {table} b CROSS JOIN LATERAL unnest(b.keys, b.amounts) u (key, amount) JOIN report_values k ON k.value_id = u.key >> 3
           GROUP BY 1, 2, 3, 4, 5"""
COMPARED = {
    "quarters": "SELECT * FROM report_quarters",
    "days": "SELECT * FROM report_days",
    "spenders": "SELECT * FROM report_spenders",
    "cohorts": "SELECT * FROM cohort_quarters",
    "courses": "SELECT * FROM report_courses",
    "spenders by block": "SELECT * FROM spender_days WHERE fans <> '{}'",
    "spenders by quarter": "SELECT * FROM spender_courses WHERE 0 < ANY(fans)",
    "fans": "SELECT * FROM link_fans",
    "fans by day": "SELECT * FROM link_fan_days",
    "breakdowns by hour": CELLS.format(table="breakdown_hours", when="b.hour"),
    "breakdowns by day": CELLS.format(table="breakdown_days", when="b.day"),
    "breakdowns by block": CELLS.format(table="breakdown_blocks", when="b.days || ' ' || b.start"),
}


async def prove(url: str) -> None:
    """Compare; for small databases, the job counts some thousand clicks a second. Raises AssertionError naming what differs."""
    connection = await asyncpg.connect(url)
    written = await _digests(connection)
    await connection.execute(f"TRUNCATE {', '.join(TABLES)}; UPDATE report_closed SET until = NULL")
    migration = next(sql for number, _, sql in postgres.migrations() if number == 2)
    unlisted = migration[migration.index("INSERT INTO report_values (value_id") :]
    await connection.execute(unlisted[: unlisted.index(";")])
    await connection.execute(migration[migration.index("-- What there was before:") :])
    await connection.execute(  # made-up clicks come without click_hours, which the migration goes by
        "INSERT INTO report_marks (kind, smart_link_id, hour)"
        " SELECT DISTINCT 'clicks', smart_link_id, date_trunc('hour', clicked_at, 'UTC') FROM clicks"
    )
    pool = await postgres.open_pool(url, max_size=2, command_timeout=3600)
    await settle_all(pool)
    await pool.close()
    counted = await _digests(connection)
    await connection.close()
    assert written == counted, [name for name in COMPARED if written[name] != counted[name]]
    assert all(rows for rows, _ in counted.values()), counted


async def _digests(connection: asyncpg.Connection[asyncpg.Record]) -> dict[str, tuple[int, str]]:
    found = {}
    for name, query in COMPARED.items():
        row = await connection.fetchrow(
            f"SELECT count(*), sum(hashtextextended(t::text, 0)::numeric)::text FROM ({query}) t", timeout=3600
        )
        assert row is not None
        found[name] = (row[0], row[1])
    return found
