"""Exports over HTTP: files of any size, streamed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from tracker.access.caller import Caller
from tracker.exports.columns import COLUMNS
from tracker.exports.export import file_name, instant, listed, stream, zone
from tracker.exports.formats import FORMATS
from tracker.exports.rows import Wanted, decode
from tracker.management.errors import Invalid, not_found
from tracker.management.services import Services

Rows = Annotated[int | None, QueryParameter(ge=1, description="The most rows; go on with the last row's cursor.")]
STATES = ("waiting", "delivered", "skipped", "dead")


@get("/api/exports/{file:str}", permission="exports.view")
async def export(
    file: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    date_start: FromQuery[str | None] = None,
    date_end: FromQuery[str | None] = None,
    time_zone: FromQuery[str] = "UTC",
    smart_link_ids: FromQuery[str | None] = None,
    account_ids: FromQuery[str | None] = None,
    states: FromQuery[str | None] = None,
    include_bots: FromQuery[bool] = True,
    include_retracted: FromQuery[bool] = False,
    after: FromQuery[str | None] = None,
    limit: Rows = None,
    bom: FromQuery[bool] = False,
) -> Stream:
    """A table as a file: `{clicks|conversions|fans|deliveries}.{csv|xlsx|parquet}`.

    The range is of the click, of the conversion, of the fan's first subscription, or of when the delivery was written; days are
    days of `time_zone`, in which times are written too. The last column is a cursor: an export that was interrupted goes on
    behind the last row that arrived whole with `after=<its cursor>`. Rows are grouped by smart link (fans by account, deliveries
    by destination), in order of time inside (fans of their ids). Text that a spreadsheet would run as a formula begins with an
    apostrophe in CSV and XLSX. `bom=true` helps Excel to read a CSV as UTF-8.
    """
    kind, _, file_format = file.partition(".")
    if kind not in COLUMNS or file_format not in FORMATS:
        raise not_found(f"The export {file[:80]!r} (there are {', '.join(COLUMNS)} as {', '.join(FORMATS)})")
    where = zone(time_zone)
    start, end = instant("date_start", date_start, where), instant("date_end", date_end, where, end=True)
    if start is not None and end is not None and end <= start:
        raise Invalid({"date_end": ["The end must be after the start."]})
    if bom and file_format != "csv":
        raise Invalid({"bom": ["Only CSV can have a byte order mark."]})
    wanted = Wanted(
        kind,
        caller.team_id,
        start,
        end,
        listed("smart_link_ids", smart_link_ids.upper() if smart_link_ids else None),
        listed("account_ids", account_ids),
        listed("states", states, STATES),
        include_bots if kind == "clicks" else include_retracted,
    )
    position = decode(kind, after) if after else None
    pieces = stream(services.pool, wanted, file_format, where=where, after=position, limit=limit, bom=bom)
    first = await anext(pieces)  # what goes wrong before the first byte has a status of its own
    name = file_name(wanted, file_format, datetime.now(UTC))
    return Stream(
        lambda: _rest(first, pieces),
        media_type=FORMATS[file_format].media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


async def _rest(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        yield first
        async for piece in pieces:
            yield piece
    finally:
        await pieces.aclose()  # type: ignore[attr-defined]
