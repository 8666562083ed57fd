"""Which team a command is about."""

from __future__ import annotations

from tracker.management.errors import Invalid
from tracker.stores.postgres import Pool


async def the_team(pool: Pool, team_id: str | None) -> str:
    """The team named, or the only one there is. Raises Invalid in words."""
    teams = [
        row["team_id"] for row in await pool.fetch("SELECT team_id FROM teams ORDER BY created_at, team_id LIMIT 1000")
    ]
    if team_id is None and len(teams) == 1:
        return str(teams[0])
    if team_id is None or team_id not in teams:
        known = ", ".join(teams[:10]) or "none; `clickbind bootstrap` makes one"
        raise Invalid({"team": [f"Name the team with --team. There are: {known}."]})
    return team_id
