"""An export as a stream of bytes with constant memory: a page is read, encoded and sent before the next is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from tracker.exports.columns import COLUMNS
from tracker.exports.formats import FORMATS
from tracker.exports.rows import Position, Wanted, pages
from tracker.management.errors import Invalid, Refused
from tracker.reports.ranges import EARLIEST, LATEST, zone_of
from tracker.stores.postgres import Pool

AT_ONCE = 4
"""Exports one process makes at a time: each keeps a core busy while its reader is quick."""

_running = 0


class Zone(NamedTuple):
    """A time zone and what it is called."""

    tz: tzinfo
    name: str


UTC_ZONE = Zone(UTC, "UTC")


def zone(name: str) -> Zone:
    """A zone by its IANA name. Raises Invalid naming `time_zone`."""
    return UTC_ZONE if name == "UTC" else Zone(zone_of(name), name)


def instant(field: str, text: str | None, where: Zone, *, end: bool = False) -> datetime | None:
    """`2026-11-22` (midnight there; of the day after, as an end: the day is included) or an ISO moment, in UTC.

    A moment without an offset is one of the zone. Raises Invalid naming `field`.
    """
    if text is None or not text.strip():
        return None
    text = text.strip()
    try:
        if len(text) <= 10:
            day = date.fromisoformat(text) + timedelta(days=int(end))
            at = datetime.combine(day, time(), where.tz)
        else:
            at = datetime.fromisoformat(text)
            at = at if at.tzinfo else at.replace(tzinfo=where.tz)
        at = at.astimezone(UTC)
        if not EARLIEST <= at.date() < LATEST:
            raise ValueError(text)
        return at
    except (ValueError, OverflowError) as error:
        raise Invalid(
            {
                field: [
                    f"Write a day like 2026-11-22 or a moment like 2026-11-22T13:00:00Z, from {EARLIEST} to {LATEST}."
                ]
            }
        ) from error


async def stream(
    pool: Pool,
    wanted: Wanted,
    file_format: str,
    *,
    where: Zone = UTC_ZONE,
    after: Position | None = None,
    limit: int | None = None,
    bom: bool = False,
) -> AsyncIterator[bytes]:
    """The file, in pieces. Closing the iterator, or cancelling who reads it, stops it: no further page is read.

    The first piece comes only when the first page was read, so that a store that is away can still be told by the status.
    Raises Refused (429) when `AT_ONCE` exports run here already.
    """
    global _running
    if _running >= AT_ONCE:
        raise Refused(
            429, "TOO_MANY_REQUESTS", f"{AT_ONCE} exports are being made already; try again when one is done."
        )
    _running += 1
    encoder = None
    try:
        found = pages(pool, wanted, after, limit)
        page = await anext(found, None)
        encoder = await asyncio.to_thread(
            FORMATS[file_format].encoder, wanted.kind.title(), COLUMNS[wanted.kind], where.tz, where.name, bom
        )
        while page is not None:
            piece = await asyncio.to_thread(encoder.add, page)
            if piece:
                yield piece
            page = await anext(found, None)
        yield await asyncio.to_thread(encoder.end)
    finally:
        _running -= 1
        if encoder is not None:
            encoder.abandon()


def file_name(wanted: Wanted, file_format: str, now: datetime) -> str:
    """What the download is called: `clicks-2026-11-22.csv`."""
    return f"{wanted.kind}-{now:%Y-%m-%d}.{file_format}"


def listed(
    field: str, text: str | None, allowed: Mapping[str, object] | Sequence[str] | None = None
) -> list[str] | None:
    """A filter's values, separated by commas; None when it is not set. Raises Invalid naming `field`."""
    values = [part.strip() for part in (text or "").split(",") if part.strip()]
    for value in values if allowed is not None else ():
        if value not in (allowed or ()):
            raise Invalid({field: [f"{value[:50]!r} is none of: {', '.join(allowed or ())}."]})
    return values or None
