"""The rows of an export, page by page: keyset paging inside one group after another, no transaction held between pages.

A page is read in its own short query, so an export that takes an hour keeps no snapshot open and
costs PostgreSQL nothing while its reader is slow. Rows that arrive meanwhile may be in it or not; no row is in it twice.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import asyncpg

from tracker.exports.columns import COLUMNS
from tracker.exports.formats import Row
from tracker.management.errors import Invalid
from tracker.recorder import ulids
from tracker.stores.postgres import Pool
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.exports", "exports.sql")
PAGE = 2000
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime(9999, 1, 1, tzinfo=UTC)
_SEPARATOR = "\x1f"


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
    keys: tuple[str, ...] = ()


class _Walk(NamedTuple):
    """How a kind is read: its groups, the row's values that make its position, and the page query's parameters."""

    groups: str
    keys: Callable[[asyncpg.Record], tuple[str, ...]]
    start: tuple[str, ...]
    parameters: Callable[[Wanted, tuple[str, ...]], list[Any]]


def encode(position: Position) -> str:
    """A position as the opaque text of the `cursor` column."""
    return base64.urlsafe_b64encode(_SEPARATOR.join((position.group, *position.keys)).encode()).decode().rstrip("=")


def decode(kind: str, cursor: str) -> Position:
    """The position of a cursor of that kind of export. Raises Invalid naming `after`."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        group, *keys = base64.b64decode(padded, altchars=b"-_", validate=True).decode().split(_SEPARATOR)
        walk = _WALKS[kind]
        if len(keys) != len(walk.start) or "\0" in group or any("\0" in key for key in keys):
            raise ValueError(cursor)
        if len(keys) == 2:
            _time(keys[0])
    except (binascii.Error, ValueError, OverflowError) as error:
        raise Invalid(
            {"after": [f"This is no cursor of an export of {kind}; take one from its last column."]}
        ) from error
    return Position(group, tuple(keys))


async def pages(pool: Pool, wanted: Wanted, after: Position | None, limit: int | None) -> AsyncIterator[list[Row]]:
    """Pages of rows with their cursor as the last value, in the order of `COLUMNS`; at most `limit` rows in all.

    Raises asyncpg errors and OSError when PostgreSQL goes away.
    """
    walk, left = _WALKS[wanted.kind], limit
    names = [column.name for column in COLUMNS[wanted.kind][:-1]]
    parameters = wanted.team_id, _list(wanted.smart_link_ids), _list(wanted.account_ids)
    for row in await pool.fetch(SQL[walk.groups], *parameters):
        group = str(row[0])
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


def _list(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)


def _range(wanted: Wanted) -> tuple[datetime, datetime]:
    return wanted.start or _BEGINNING, wanted.end or _END


def _first_id(at: datetime) -> str:
    return ulids.prefix(max(0, int(at.timestamp() * 1000)))


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(text)
    return at


def _click_parameters(wanted: Wanted, keys: tuple[str, ...]) -> list[Any]:
    start, end = _range(wanted)
    # The ids choose the partitions; clicked_at, which an id's millisecond rounds, decides.
    return [keys[0], _first_id(start), _first_id(end) + "z", start, end, wanted.extra]


_WALKS = {
    "clicks": _Walk("links", lambda row: (row["click_id"],), ("",), _click_parameters),
    "conversions": _Walk(
        "links",
        lambda row: (row["conversion_at"].isoformat(), row["conversion_id"]),
        (_BEGINNING.isoformat(), ""),
        lambda wanted, keys: [_time(keys[0]), keys[1], *_range(wanted), wanted.extra],
    ),
    "fans": _Walk(
        "accounts",
        lambda row: (row["fan_id"],),
        ("",),
        lambda wanted, keys: [keys[0], *_range(wanted), _list(wanted.smart_link_ids)],
    ),
    "deliveries": _Walk(
        "destinations",
        lambda row: (row["created_at"].isoformat(), row["event_id"]),
        (_BEGINNING.isoformat(), ""),
        lambda wanted, keys: [_time(keys[0]), keys[1], *_range(wanted), _list(wanted.states)],
    ),
}
