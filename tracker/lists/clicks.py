"""Clicks, newest first, with their repeated visits as rows of their own."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec

from tracker.inventory.publish import first_ulid
from tracker.lists import cursors
from tracker.lists.links import chosen
from tracker.management.errors import Invalid
from tracker.recorder.ulids import milliseconds
from tracker.reports.filters import ALL, Filters
from tracker.reports.rollups import as_of
from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.lists", "clicks.sql")
ONE = "\n".join((SQL["named"], SQL["rows"], SQL["of_named"]))
PAGE, PAGE_OF_FEW = (
    "\n".join((SQL["own"], SQL[repeats], SQL["newest"], SQL["rows"], "ORDER BY f.id DESC"))
    for repeats in ("repeats", "repeats_of_few")
)
BATCH = 1000
FEW = 20_000  # clicks: that many are looked through faster than an account's repeated visits
MOST_SEARCHED = 200_000  # clicks a search may look through: some tenths of a second
COUNTED = timedelta(hours=1)  # days without clicks are passed over from then on, if all up to then is counted
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
FIRST, LAST = "0", "~"  # below and above every id

_ULID = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}\Z", re.IGNORECASE)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which clicks. `since` and `until`: [since, until). `search`: a click's id, ecid, fbclid or address, exactly.

    By id it always finds; by the others where the links and dates have at most MOST_SEARCHED clicks.
    """

    links: Filters = ALL
    since: datetime | None = None
    until: datetime | None = None
    include_bots: bool = True
    include_duplicates: bool = True
    search: str | None = None
    country: str | None = None
    device_type: str | None = None
    lease: str | None = None


async def page(
    db: Pool | Connection, team_id: str, wanted: Wanted, *, limit: int, offset: int = 0, after: str | None = None
) -> list[asyncpg.Record]:
    """Up to `limit` rows: `id` (of the visit), `is_duplicate`, `visited_at` and the columns of the click.

    Raises Invalid naming `after` or `search`.
    """
    return await _page(db, await chosen(db, team_id, wanted.links), wanted, limit, offset, after)


async def iterate(
    db: Pool | Connection, team_id: str, wanted: Wanted, *, after: str | None = None, batch: int = BATCH
) -> AsyncIterator[list[asyncpg.Record]]:
    """All rows, batch by batch, each read when it is asked for."""
    links = await chosen(db, team_id, wanted.links)
    while rows := await _page(db, links, wanted, batch, 0, after):
        yield rows
        after = cursor(rows[-1])


def cursor(row: asyncpg.Record) -> str:
    """Where the list goes on after this row."""
    return cursors.encode(row["id"])


async def _page(
    db: Pool | Connection, links: list[str], wanted: Wanted, limit: int, offset: int, after: str | None
) -> list[asyncpg.Record]:
    first = FIRST if wanted.since is None else first_ulid(wanted.since)
    last = LAST if wanted.until is None else first_ulid(wanted.until)
    key = cursors.decode(after, str)
    if key is not None:
        last = min(last, key[0])
    search = (wanted.search or "").strip() or None
    by_id = search is not None and bool(_ULID.match(search))
    rest = (
        wanted.include_bots, wanted.include_duplicates, search.lower() if search and by_id else search,
        wanted.country, wanted.device_type, wanted.lease, limit, offset,
    )  # fmt: skip
    if by_id:
        return await db.fetch(ONE, links, first, last, *rest)
    if search is not None:
        searched = await _traffic(db, links, wanted.since, wanted.until)
        if searched > MOST_SEARCHED:
            raise Invalid({
                "search": [
                    f"Between these dates are {searched:,} clicks; other than by a click's id, at most {MOST_SEARCHED:,} are"
                    " searched. Choose fewer days."
                ]
            })  # fmt: skip
    # Repeated visits may be of clicks of before: all of the links' clicks count here.
    if await _traffic(db, links, None, wanted.until) <= FEW:
        return await db.fetch(PAGE_OF_FEW, links, first, last, *rest)
    for since in () if search else _windows(last):
        found = await db.fetch(PAGE, links, max(first, since), last, *rest)
        if len(found) >= limit or since <= first:
            return found
        counted = datetime.now(UTC) - COUNTED
        if since < first_ulid(counted) and await as_of(db) > counted:
            newer = found if not offset else await db.fetch(PAGE, links, since, last, *rest[:-2], limit + offset, 0)
            return (newer + await _older(db, links, first, since, rest[:-2], limit + offset - len(newer)))[offset:]
    return await db.fetch(PAGE, links, first, last, *rest)


async def _older(
    db: Pool | Connection, links: list[str], first: str, last: str, rest: tuple[object, ...], wanted: int
) -> list[asyncpg.Record]:
    """The newest rows with ids in [first, last), days on which the links had none passed over: what was recorded in them meanwhile
    shows when it is counted."""
    found: list[asyncpg.Record] = []
    days = await db.fetch(SQL["days"], links, _moment(first), _moment(last))
    for since, until in _runs([row["start"] for row in days]):
        lower, upper, width = max(first, first_ulid(since)), min(last, first_ulid(until)), timedelta(days=1)
        while wanted > len(found) and lower < upper:
            at = max(lower, first_ulid(_moment(upper) - width))
            found += await db.fetch(PAGE, links, at, upper, *rest, wanted - len(found), 0)
            upper, width = at, width * 4
    return found


def _runs(days: list[datetime]) -> Iterator[tuple[datetime, datetime]]:
    """Days, latest first, as runs without a gap; an id and what it is the id of may be some seconds apart."""
    day, minute = timedelta(days=1), timedelta(minutes=1)
    while days:
        size = next((n for n in range(1, len(days)) if days[n] != days[0] - n * day), len(days))
        yield days[size - 1] - minute, days[0] + day + minute
        days = days[size:]


def _moment(click_id: str) -> datetime:
    """When an id begins, or what stands for one: FIRST, LAST."""
    if not _ULID.match(click_id[:10].ljust(26, "0")):
        return LONG_AGO if click_id == FIRST else datetime.now(UTC)
    return datetime.fromtimestamp(milliseconds(click_id[:10].lower()) / 1000, UTC)


async def _traffic(db: Pool | Connection, links: list[str], since: datetime | None, until: datetime | None) -> int:
    """About how many clicks there are; the newest minutes may be missing."""
    found: int = await db.fetchval(SQL["traffic"], links, since or LONG_AGO, until or datetime.now(UTC))
    return found


def _windows(last: str) -> Iterator[str]:
    """Ids to look back to, ever further: what is newest is found without looking at what is old."""
    until = datetime.now(UTC)
    if last != LAST and _ULID.match(last[:10].ljust(26, "0")):
        milliseconds_now = round(until.timestamp() * 1000)
        until = datetime.fromtimestamp(min(milliseconds(last[:10].lower()), milliseconds_now) / 1000, UTC)
    width = timedelta(minutes=15)
    while width < timedelta(days=400):
        yield first_ulid(until - width)
        width *= 8
