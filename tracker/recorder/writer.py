"""One batch of a shard's log into PostgreSQL: rows, counters and the position of the log in one transaction.

The position is moved first and only from where we left it, which locks it: of two recorders that both believe a shard to be
theirs, one waits and then finds the batch is not its own. Under that lock what is stored already can be looked up, so new
rows are copied straight into their tables, which costs half of an `INSERT … ON CONFLICT`. As nearly every click is new,
clicks are looked up only when one was not (their primary key says so), or when a rule needs to know.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import asyncpg

from tracker.clicklog import KIND_CLICK, KIND_DUPLICATE, KIND_PREFETCH
from tracker.recorder import rows, ulids
from tracker.recorder.announce import Announcer
from tracker.recorder.entry import Entry, Reject
from tracker.recorder.plan import HOUR_MS, Known, KnownClick, KnownVisit, Writes, decide
from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries

QUERIES = load_queries("tracker.recorder", "recorder.sql")
REJECTS_KEPT = 10_000
LONGEST_REJECT = 65_536
CLOCKS_APART_MS = 86_400_000


class Position(NamedTuple):
    """How far a shard's log is recorded: a stream id, and the primary whose id it is."""

    replication_id: str
    entry_id: str


class PositionMovedError(Exception):
    """Another recorder has recorded this shard since."""


class Batch(NamedTuple):
    """Decoded entries of a log up to and with `through`. `tails`: entry id -> `rows.click_tail`, of clicks and bots."""

    through: Position
    entries: list[Entry]
    tails: dict[str, str]
    rejects: list[Reject]


class Written(NamedTuple):
    """What a batch really added to the tables."""

    clicks: int
    visits: int
    prefetches: int
    rejects: int


async def load_position(connection: Connection | Pool, shard: int) -> Position:
    """The shard's stored position; ('', '0-0') when it is new."""
    await connection.execute(QUERIES["begin_shard"], shard)
    row = await connection.fetchrow(QUERIES["position"], shard)
    assert row is not None
    return Position(row["replication_id"], row["entry_id"])


async def write(
    pool: Pool, shard: int, before: Position, batch: Batch, announcer: Announcer | None = None
) -> tuple[Written, Writes]:
    """Store a batch and move the position from `before` to `batch.through`. All or nothing.

    `announcer`: writes the deliveries of new clicks, in the same transaction.

    Raises PositionMovedError when the position is not at `before`, asyncpg errors and OSError when it could not be stored.
    """
    async with pool.acquire() as connection:
        try:
            return await _write(connection, shard, before, batch, announcer, look_up_clicks=False)
        except asyncpg.UniqueViolationError:  # read before: after a crash, a failover, or by another recorder
            return await _write(connection, shard, before, batch, announcer, look_up_clicks=True)


async def wake_fans(pool: Pool, writes: Writes) -> int:
    """Queue the folds of the fans these committed writes may concern. Returns how many."""
    if not (writes.woken_visitors or writes.woken_links or writes.woken_clicks):
        return 0
    visitors = sorted(writes.woken_visitors)
    links = sorted(writes.woken_links.items())
    async with pool.acquire() as connection, connection.transaction():
        await connection.fetchrow(QUERIES["go_by_index"])
        status = await connection.execute(
            QUERIES["wake_fans"],
            [account_id for account_id, _ in visitors],
            [visitor for _, visitor in visitors],
            ",".join([str(link) for link, _ in links]),
            ",".join([str(since) for _, since in links]),
            sorted(writes.woken_clicks),
        )
    return int(status.rpartition(" ")[2])


async def _write(
    connection: Connection,
    shard: int,
    before: Position,
    batch: Batch,
    announcer: Announcer | None,
    *,
    look_up_clicks: bool,
) -> tuple[Written, Writes]:
    async with connection.transaction():
        if not await connection.fetchrow(QUERIES["advance"], shard, *before, *batch.through):
            raise PositionMovedError(f"shard {shard} is no longer at {before.entry_id}")
        known = await _known(connection, batch.entries, look_up_clicks)
        writes = decide(batch.entries, known)
        await _store(connection, writes, batch.tails)
        await _change(connection, writes, known)
        prefetches = await _store_prefetches(connection, writes)
        await _count_hours(connection, writes)
        await _note(connection, writes, prefetches)
        if batch.rejects:
            await _store_rejects(connection, shard, batch.rejects)
        if announcer is not None and writes.clicks:
            await announcer.announce(connection, writes.clicks)
    return Written(len(writes.clicks), len(writes.visits), len(prefetches), len(batch.rejects)), writes


async def _known(connection: Connection, entries: list[Entry], look_up_clicks: bool) -> Known:
    click_ids, visit_ids, owner_ids, named = [], [], [], set()
    for entry in entries:
        if entry.kind == KIND_PREFETCH:
            continue
        visit_ids.append(entry.visit_id)
        if entry.kind == KIND_DUPLICATE:
            named.add(entry.click_id)
        elif entry.kind == KIND_CLICK:
            owner_ids.append(entry.visit_id)
        if look_up_clicks or entry.spilled or entry.kind == KIND_DUPLICATE:
            click_ids.append(entry.visit_id)
    clicks, visits, early = {}, {}, {}
    if click_ids:
        for row in await connection.fetch(QUERIES["known_clicks"], ",".join(click_ids), min(click_ids)):
            clicks[row["click_id"]] = _known_click(row)
    if visit_ids:
        named.update(visit_ids)
        for row in await connection.fetch(QUERIES["known_visits"], ",".join(named), min(named)):
            visits[row["visit_id"]] = KnownVisit(row["click_id"], row["inventory_link_id"])
    for entry in entries:
        named_visit = visits.get(entry.click_id)
        if named_visit is not None and named_visit.click_id == entry.visit_id:
            owner_ids.append(entry.visit_id)  # each names the other: it may turn out to be the click
    if owner_ids:
        # A visit is later than its click, give or take two edges' clocks.
        since = ulids.prefix(max(0, ulids.milliseconds(min(owner_ids)) - CLOCKS_APART_MS))
        for row in await connection.fetch(QUERIES["early_visits"], ",".join(owner_ids), since):
            early[row["click_id"]] = (row["visits"], _ms(row["last_visit_at"]))
    return Known(clicks, visits, early)


def _known_click(row: asyncpg.Record) -> KnownClick:
    return KnownClick(
        account_id=row["account_id"],
        smart_link_id=row["smart_link_id"],
        clicked_ms=_ms(row["clicked_at"]),
        last_visit_ms=_ms(row["last_visit_at"]),
        gross_clicks=row["gross_clicks"],
        visitor=row["visitor"],
        visitor_by=row["visitor_by"],
        inventory_link_id=row["inventory_link_id"],
        lease=row["lease"],
        spilled=row["spilled"],
        is_bot=row["is_bot"],
    )


async def _store(connection: Connection, writes: Writes, tails: dict[str, str]) -> None:
    if writes.clicks:
        await _copy(
            connection,
            "clicks",
            rows.CLICK_COLUMNS,
            (
                rows.click_line(tails[new.entry.entry_id], new.gross_clicks, new.last_visit_ms, new.spilled)
                for new in writes.clicks
            ),
        )
    if writes.visits:
        await _copy(
            connection,
            "visits",
            rows.VISIT_COLUMNS,
            (rows.visit_line(new.entry, new.click_id, new.inventory_link_id) for new in writes.visits),
        )


async def _copy(connection: Connection, table: str, columns: tuple[str, ...], lines: Iterable[str]) -> None:
    source = io.BytesIO("".join(lines).encode())
    await connection.copy_to_table(table, source=source, columns=columns, format="text", null="")


async def _change(connection: Connection, writes: Writes, known: Known) -> None:
    # Reports count the hours of these clicks anew: a difference could not be told from what is noted of their rows elsewhere.
    changed = {*writes.demoted, *writes.demoted.values(), *(entry.visit_id for entry in writes.regiven)}
    if known.early:
        changed.update(new.entry.visit_id for new in writes.clicks if new.entry.visit_id in known.early)
    if changed:
        await connection.execute(QUERIES["mark_changed"], sorted(changed))
    if writes.demoted:
        await connection.execute(QUERIES["remove_demoted"], sorted(writes.demoted))
        await connection.execute(QUERIES["repoint_visits"], list(writes.demoted), list(writes.demoted.values()))
    if writes.regiven:
        given = sorted(writes.regiven, key=lambda entry: entry.visit_id)
        await connection.execute(
            QUERIES["regive_clicks"],
            [entry.visit_id for entry in given],
            [entry.inventory_link_id for entry in given],
            [entry.lease for entry in given],
            [entry.visitor for entry in given],
            [entry.visitor_by for entry in given],
        )
    if writes.relinked:
        await connection.execute(QUERIES["relink_visits"], list(writes.relinked), list(writes.relinked.values()))
    if writes.visited:
        visited = sorted(writes.visited.items())
        await connection.execute(
            QUERIES["count_visits"],
            [click_id for click_id, _ in visited],
            [count for _, (count, _) in visited],
            [rows.moment(last_ms) for _, (_, last_ms) in visited],
        )
    if writes.demoted:
        await connection.execute(QUERIES["mark_changed"], sorted(changed))


async def _store_prefetches(connection: Connection, writes: Writes) -> list[Entry]:
    if not writes.prefetches:
        return []
    loads = sorted(writes.prefetches.items())
    stored = await connection.fetch(
        QUERIES["store_prefetches"],
        [visit_id for visit_id, _ in loads],
        [entry.visit.smart_link_id for _, entry in loads],
    )
    added = [writes.prefetches[visit_id] for (visit_id,) in stored]
    for entry in added:
        writes.hour(entry.visit.smart_link_id, entry.at_ms).prefetches += 1
    return added


async def _note(connection: Connection, writes: Writes, prefetches: list[Entry]) -> None:
    """Tell the rollup job which rows are new."""
    if writes.clicks or writes.visits or prefetches:
        await connection.execute(
            QUERIES["note_rows"],
            ",".join([new.entry.visit_id for new in writes.clicks]),
            ",".join([new.entry.visit_id for new in writes.visits]),
            [entry.visit.smart_link_id for entry in prefetches],
            [rows.moment(entry.at_ms) for entry in prefetches],
        )


async def _count_hours(connection: Connection, writes: Writes) -> None:
    if not writes.hours:
        return
    keys = sorted(writes.hours)
    counts = [writes.hours[key] for key in keys]
    await connection.execute(
        QUERIES["count_hours"],
        [smart_link_id for smart_link_id, _ in keys],
        [rows.moment(hour * HOUR_MS) for _, hour in keys],
        [count.clicks for count in counts],
        [count.gross_clicks for count in counts],
        [count.bots for count in counts],
        [count.prefetches for count in counts],
    )


async def _store_rejects(connection: Connection, shard: int, rejects: list[Reject]) -> None:
    await connection.execute(
        QUERIES["store_rejects"],
        shard,
        [reject.entry_id for reject in rejects],
        [reject.reason.replace("\x00", "") for reject in rejects],
        [reject.body[:LONGEST_REJECT] for reject in rejects],
    )
    await connection.execute(QUERIES["prune_rejects"], REJECTS_KEPT)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
