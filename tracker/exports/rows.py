"""The rows of an export, page by page: keyset paging inside one group after another, no transaction held between pages.

A page is read in its own short query, so an export that takes an hour keeps no snapshot open and
costs PostgreSQL nothing while its reader is slow. Rows that arrive meanwhile may be in it or not; no row is in it twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import asyncpg

from tracker.exports.columns import COLUMNS
from tracker.exports.formats import Row
from tracker.lists import cursors
from tracker.lists.links import chosen
from tracker.recorder import ulids
from tracker.reports.filters import Filters
from tracker.stores.postgres import Pool
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.exports", "exports.sql")
PAGE = 2000
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime(9999, 1, 1, tzinfo=UTC)


class Wanted(NamedTuple):
    """Which rows of a team: of a kind of `COLUMNS`, in [start, end), and of these links, accounts, states only (None: of all).

    `extra` adds what is left out otherwise: nothing for fans and deliveries, retracted ones for conversions, bots for clicks.
    """

    kind: str
    team_id: str
    start: datetime | None = None
    end: datetime | None = None
    smart_link_ids: Sequence[str] | None = None
    account_ids: Sequence[str] | None = None
    states: Sequence[str] | None = None
    extra: bool = False


class Position(NamedTuple):
    """Behind a row: its group, and the values its group is sorted by."""

    group: str
    keys: tuple[Any, ...] = ()


class _Walk(NamedTuple):
    """How a kind is read: its groups, the row's values that make its position, where that begins, and the page query's parameters."""

    groups: Callable[[Pool, Wanted], Awaitable[list[str]]]
    keys: Callable[[asyncpg.Record], tuple[Any, ...]]
    start: tuple[Any, ...]
    parameters: Callable[[Wanted, tuple[Any, ...]], list[Any]]


def encode(position: Position) -> str:
    """A position as the opaque text of the `cursor` column."""
    return cursors.encode(position.group, *position.keys)


def decode(kind: str, cursor: str) -> Position | None:
    """The position of a cursor of that kind of export; None without one. Raises Invalid naming `after`."""
    found = cursors.decode(cursor, str, *map(type, _WALKS[kind].start))
    return None if found is None else Position(found[0], tuple(found[1:]))


async def pages(pool: Pool, wanted: Wanted, after: Position | None, limit: int | None) -> AsyncIterator[list[Row]]:
    """Pages of rows with their cursor as the last value, in the order of `COLUMNS`; at most `limit` rows in all.

    Raises asyncpg errors and OSError when PostgreSQL goes away.
    """
    walk, left = _WALKS[wanted.kind], limit
    names = [column.name for column in COLUMNS[wanted.kind][:-1]]
    for group in await walk.groups(pool, wanted):
        if after is not None and group < after.group:
            continue
        keys = after.keys if after is not None and group == after.group else walk.start
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            found = await pool.fetch(SQL[wanted.kind], group, *walk.parameters(wanted, keys), size)
            if not found:
                break
            if left is not None:
                left -= len(found)
            yield [(*(one[name] for name in names), encode(Position(group, walk.keys(one)))) for one in found]
            if len(found) < size:
                break
            keys = walk.keys(found[-1])


async def _links(pool: Pool, wanted: Wanted) -> list[str]:
    """The team's smart links, deleted ones included: their clicks and sales are still the team's."""
    accounts, links = (None if part is None else tuple(part) for part in (wanted.account_ids, wanted.smart_link_ids))
    return await chosen(pool, wanted.team_id, Filters(smart_link_ids=links, account_ids=accounts))


async def _accounts(pool: Pool, wanted: Wanted) -> list[str]:
    rows = await pool.fetch(SQL["accounts"], wanted.team_id, _list(wanted.smart_link_ids), _list(wanted.account_ids))
    return [row[0] for row in rows]


async def _destinations(pool: Pool, wanted: Wanted) -> list[str]:
    """Deliveries are of no one link or account: chosen by those, there are none."""
    if wanted.smart_link_ids is not None or wanted.account_ids is not None:
        return []
    return [row[0] for row in await pool.fetch(SQL["destinations"], wanted.team_id)]


def _list(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)


def _range(wanted: Wanted) -> tuple[datetime, datetime]:
    return wanted.start or _BEGINNING, wanted.end or _END


def _first_id(at: datetime) -> str:
    return ulids.prefix(max(0, int(at.timestamp() * 1000)))


def _click_parameters(wanted: Wanted, keys: tuple[Any, ...]) -> list[Any]:
    start, end = _range(wanted)
    # The ids choose the partitions; clicked_at, which an id's millisecond rounds, decides.
    return [keys[0], _first_id(start), _first_id(end) + "z", start, end, wanted.extra]


_WALKS = {
    "clicks": _Walk(_links, lambda row: (row["click_id"],), ("",), _click_parameters),
    "conversions": _Walk(
        _links,
        lambda row: (row["conversion_at"], row["conversion_id"]),
        (_BEGINNING, ""),
        lambda wanted, keys: [*keys, *_range(wanted), wanted.extra],
    ),
    "fans": _Walk(
        _accounts,
        lambda row: (row["fan_id"],),
        ("",),
        lambda wanted, keys: [keys[0], *_range(wanted), _list(wanted.smart_link_ids)],
    ),
    "deliveries": _Walk(
        _destinations,
        lambda row: (row["created_at"], row["event_id"]),
        (_BEGINNING, ""),
        lambda wanted, keys: [*keys, *_range(wanted), _list(wanted.states)],
    ),
}
