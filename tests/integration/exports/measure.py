"""A process of its own that exports deliveries to nowhere and prints what it grew by: `measure.py URL FORMAT FEW MANY`."""

from __future__ import annotations

import asyncio
import json
import resource
import sys

from tracker.exports.export import stream
from tracker.exports.rows import Wanted
from tracker.stores import postgres


async def main(url: str, file_format: str, few: int, many: int) -> None:
    """Export a few rows, then many."""
    pool = await postgres.open_pool(url, max_size=2)
    sizes, peaks = [], []
    for count in (few, many):
        size = 0
        async for piece in stream(pool, Wanted("deliveries", "t1"), file_format, limit=count):
            size += len(piece)
        sizes.append(size)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    sys.stdout.write(json.dumps({"bytes": sizes, "peak_kb": peaks[0], "grown_kb": peaks[1] - peaks[0]}))
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
