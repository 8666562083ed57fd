"""How far the click log is recorded. A sale that follows a click by a second must not be told with the click before it, so a
fan is folded only once every click up to the fan's newest event is in PostgreSQL, however far behind the recorder is."""

from __future__ import annotations

import time
from collections.abc import Iterable

from tracker.attribution.evidence import SQL
from tracker.clicklog import log_key
from tracker.stores.postgres import Connection
from tracker.stores.valkey import Client, RedisError

IN_FLIGHT = 120  # ms: a click is dated when it arrives and logged within its claim's budget of 100
BLIND = 3_000  # ms after Valkey was away in which edges still replay the clicks they kept


class RecordedClicks:
    """Compares the recorder's position with the log. All times are Unix milliseconds."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis
        self._blind_until = 0

    def lost(self) -> None:
        """Valkey was seen to be away: clicks may wait in spills."""
        self._blind_until = _now() + BLIND

    async def until(self, connection: Connection, shards: Iterable[int]) -> dict[int, int]:
        """Per shard the time up to which all clicks are recorded; a shard that cannot be told is left out."""
        found: dict[int, int] = {}
        wanted = sorted(set(shards))
        positions = {row["shard"]: row["entry_id"] for row in await connection.fetch(SQL["positions"], wanted)}
        for shard in wanted:
            now = _now()
            try:
                waiting = await self._redis.xrange(log_key(shard), f"({positions.get(shard, '0-0')}", "+", count=1)
            except (RedisError, OSError):
                self.lost()
                continue
            if now < self._blind_until:
                continue
            entry_ms = int(bytes(waiting[0][0]).partition(b"-")[0]) if waiting else now  # type: ignore[arg-type]
            found[shard] = min(entry_ms, now) - IN_FLIGHT
        return found


def _now() -> int:
    return round(time.time() * 1000)
