"""What a report is about: which of a team's smart links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries

Store = Connection | Pool
SQL = load_queries("tracker.reports", "reports.sql")


@dataclass(frozen=True)
class Filters:
    """Conditions a smart link must meet, all of them; None: any. Nothing matches an empty tuple.

    `platforms`: where the creator's page is, 'onlyfans' or 'fansly'. `states`: 'active', 'paused', 'deleted'. `name`: a part
    of the link's name, in any case. `tags`: at least one of them. Foreign and unknown ids match nothing.
    """

    smart_link_ids: tuple[str, ...] | None = None
    account_ids: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    platforms: tuple[str, ...] | None = None
    name: str | None = None
    states: tuple[str, ...] | None = None

    @property
    def empty(self) -> bool:
        """No condition: the whole team, links deleted since included."""
        return self == Filters()

    def arguments(self) -> tuple[Any, ...]:
        """For the `$2` to `$7` of the queries that choose links."""
        name = None
        if self.name:
            name = "%" + self.name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        lists = (self.smart_link_ids, self.account_ids, self.tags, self.platforms)
        return (
            *(None if part is None else list(part) for part in lists),
            name,
            None if self.states is None else list(self.states),
        )


ALL = Filters()


async def scopes(store: Store, team_id: str, filters: Filters) -> list[str]:
    """The fewest things whose counters add up to what the filters choose: the team itself, its accounts or single links."""
    if filters.empty:
        return [team_id]
    if filters == Filters(account_ids=filters.account_ids):
        return [row[0] for row in await store.fetch(SQL["chosen_accounts"], team_id, list(filters.account_ids or ()))]
    return [row[0] for row in await store.fetch(SQL["chosen_links"], team_id, *filters.arguments())]
