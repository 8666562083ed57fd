"""Which smart links a list is about: those of one team that the filters choose, deleted ones too. Every list begins here."""

from __future__ import annotations

from tracker.reports.filters import SQL, Filters
from tracker.stores.postgres import Connection, Pool


async def chosen(db: Pool | Connection, team_id: str, filters: Filters) -> list[str]:
    """Ids of the chosen smart links, in order. Foreign ids choose nothing."""
    return sorted(row["smart_link_id"] for row in await db.fetch(SQL["chosen_links"], team_id, *filters.arguments()))
