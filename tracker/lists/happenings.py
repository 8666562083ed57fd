"""What happens in a team now: clicks, conversions and attempts to deliver, for a viewer who asks again every few seconds.

A viewer's position says up to when each shard's click log was recorded and what time it was when it last asked. The next answer begins
somewhat before, so that rows which were being written then are not missed; the viewer drops those it has by their key. So an answer
repeats rows but leaves none out, whichever process gives it, however late the recorder is, and after any pause: a viewer keeps the
newest `MOST` rows, and an answer holds as many of each kind. Only what a spill replays later than that is left to the lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from tracker.inventory.publish import first_ulid
from tracker.lists import cursors
from tracker.management.errors import Invalid
from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.lists", "happenings.sql")
MOST = 200  # rows of a kind in one answer, and rows a viewer keeps
FIRST = 60  # rows of a kind in a first answer
FIRST_SPAN = timedelta(hours=1)
LONGEST_LAG = timedelta(days=1)  # a recorder further behind than this is no matter of a live view
CLICK_OVERLAP = timedelta(seconds=10)  # an edge's clock and a claim's time against the log's
WRITE_OVERLAP = timedelta(seconds=30)  # longest a transaction that credits takes to become visible
MANY_LINKS = 500  # more are not asked one by one

KINDS = ("click", "conversion", "delivery")


@dataclass(frozen=True)
class Position:
    """Where a viewer is. `recorded`: the shards' logs, Unix ms."""

    at: datetime
    recorded: dict[int, int]

    @property
    def cursor(self) -> str:
        """As one opaque word."""
        return cursors.encode(self.at, ",".join(f"{shard}:{ms}" for shard, ms in sorted(self.recorded.items())))


@dataclass(frozen=True)
class Wanted:
    """What a viewer wants to see: kinds of KINDS, one smart link or all, bots and repeated visits or only new visitors."""

    kinds: Sequence[str] = KINDS
    smart_link_id: str | None = None
    people_only: bool = False


@dataclass(frozen=True)
class Happenings:
    """Rows by kind, newest first, and where to go on. Each row's `id` is unique within its kind."""

    clicks: list[asyncpg.Record]
    conversions: list[asyncpg.Record]
    attempts: list[asyncpg.Record]
    position: Position


def position_of(cursor: str) -> Position | None:
    """The position of a cursor; None of ''. Raises Invalid naming `after`."""
    parts = cursors.decode(cursor, datetime, str)
    if parts is None:
        return None
    recorded = {}
    try:
        for pair in parts[1].split(",") if parts[1] else ():
            shard, _, ms = pair.partition(":")
            recorded[int(shard[:5])] = min(max(int(ms[:15]), 0), 2**47)
    except ValueError as error:
        raise Invalid({"after": ["The after must be a cursor as this page gave it."]}) from error
    return Position(parts[0], recorded)


async def happenings(
    db: Pool | Connection, team_id: str, wanted: Wanted, since: Position | None, delivery_seconds: float
) -> Happenings:
    """What happened since a position, or in the last hour. `delivery_seconds`: the longest an attempt takes."""
    row = await db.fetchrow(SQL["moment"])
    assert row is not None
    now = Position(row["at"], {int(shard): ms for shard, ms in row["recorded"].items()})
    most = FIRST if since is None else MOST
    begin = now.at - FIRST_SPAN if since is None else min(since.at, now.at)
    link = wanted.smart_link_id
    clicks = await _clicks(db, team_id, wanted, _bounds(since, now), most) if "click" in wanted.kinds else []
    conversions = []
    if "conversion" in wanted.kinds:
        conversions = await db.fetch(SQL["conversions"], team_id, link, begin - WRITE_OVERLAP, most)
    attempts = []
    if "delivery" in wanted.kinds:
        overlap = WRITE_OVERLAP + timedelta(seconds=delivery_seconds)
        attempts = await db.fetch(SQL["attempts"], team_id, link, begin - overlap, most)
    return Happenings(clicks, conversions, attempts, now)


def _bounds(since: Position | None, now: Position) -> dict[int | None, str]:
    """Per shard the id from which its clicks may be new; None: of a shard that was not known then."""
    oldest = now.at - (FIRST_SPAN if since is None else LONGEST_LAG)
    bounds: dict[int | None, str] = {None: first_ulid(oldest)}
    if since is not None:
        for shard, ms in since.recorded.items():
            at = datetime.fromtimestamp(ms / 1000, UTC) - CLICK_OVERLAP if ms > CLICK_OVERLAP.seconds * 1000 else oldest
            bounds[shard] = first_ulid(min(max(at, oldest), now.at))
    return bounds


async def _clicks(
    db: Pool | Connection, team_id: str, wanted: Wanted, bounds: dict[int | None, str], most: int
) -> list[asyncpg.Record]:
    rest = bounds[None]
    shards = [shard for shard in bounds if shard is not None and shard < 2**15]
    texts = [bounds[shard] for shard in shards]
    link, bots = wanted.smart_link_id, not wanted.people_only
    if link is None and await db.fetchval(SQL["links"], team_id, MANY_LINKS) > MANY_LINKS:
        rows = await db.fetch(SQL["clicks_of_many"], team_id, min(texts, default=rest), bots, most)
    else:
        rows = await db.fetch(SQL["clicks"], team_id, link, shards, texts, rest, bots, most)
    if wanted.people_only:
        return rows
    visits = await db.fetch(SQL["visits"], team_id, link, shards, texts, rest, most)
    return sorted([*rows, *visits], key=lambda row: row["id"], reverse=True)[:most]
