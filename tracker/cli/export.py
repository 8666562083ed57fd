"""`clickbind export`: a table as a file, written as it is read."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

from tracker.cli.team import the_team
from tracker.exports.export import instant, stream, zone
from tracker.exports.rows import Wanted, decode
from tracker.management.errors import Invalid, Refused
from tracker.settings import Settings
from tracker.stores import postgres
from tracker.stores.urls import database_url


async def run(
    settings: Settings,
    kind: str,
    file_format: str,
    target: Path | None,
    *,
    team_id: str | None,
    date_start: str | None,
    date_end: str | None,
    time_zone: str,
    after: str | None,
) -> int:
    """Write the file, or to standard output; 1 when something asked for makes no sense. Raises StoreError."""
    pool = await postgres.open_pool(database_url(settings), max_size=2)
    size = 0
    try:
        where = zone(time_zone)
        wanted = Wanted(
            kind,
            await the_team(pool, team_id),
            instant("date_start", date_start, where),
            instant("date_end", date_end, where, end=True),
            extra=kind == "clicks",
        )
        position = decode(kind, after) if after else None
        with target.open("wb") if target else nullcontext(sys.stdout.buffer) as file:
            async for piece in stream(pool, wanted, file_format, where=where, after=position):
                file.write(piece)
                size += len(piece)
    except (Invalid, Refused) as error:
        message = error.message if isinstance(error, Refused) else next(iter(error.errors.values()))[0]
        print(f"clickbind: {message}", file=sys.stderr)
        return 1
    finally:
        await pool.close()
    print(f"{size:,} bytes written", file=sys.stderr)
    return 0
