"""A shard's click log in Valkey: read what follows a position, trim what is committed.

Every answer carries the server's replication id. After a failover the new primary may give out ids below those already
read, so a position only means something together with the replication id it was read under.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from tracker.clicklog import log_key
from tracker.stores.valkey import Client, RedisError, doubt, server_of

BEGINNING = "0-0"

# XTRIM takes ids, and ids of another primary may cover entries nobody has read: test and trim in one step.
_TRIM = """
if string.find(redis.call('INFO', 'replication'), 'master_replid:' .. ARGV[1], 1, true) then
  return redis.call('XTRIM', KEYS[1], 'MINID', '=', ARGV[2])
end
return -1
"""


class Chunk(NamedTuple):
    """Some entries of a log in order, as they came, with the state of the log they came from."""

    replication_id: str
    length: int  # entries in the log, these included
    entries: list[tuple[bytes, Mapping[bytes, bytes]]]


class ClickLog:
    """The stream of one shard, on the server that has it."""

    def __init__(self, client: Client, shard: int) -> None:
        self._cluster = client
        self._key = log_key(shard)

    async def read(self, after: str, count: int, block_ms: int | None) -> Chunk:
        """Up to `count` entries after the id `after`. With `block_ms` waits so long for the first; None: does not wait.

        Raises RedisError or OSError when the server is away.
        """
        async with self._server() as server:
            pipeline = server.pipeline(transaction=False)
            pipeline.info("replication")
            pipeline.xlen(self._key)
            pipeline.xread({self._key: after}, count=count, block=block_ms)
            info, length, streams = await pipeline.execute()
        return Chunk(str(info.get("master_replid", "")), length, _entries(streams))

    async def replication_id(self) -> str:
        """The replication id of the server that answers now ('' where the server does not tell)."""
        async with self._server() as server:
            info: dict[str, Any] = await server.info("replication")
        return str(info.get("master_replid", ""))

    async def trim(self, replication_id: str, through: str) -> bool:
        """Drop the entries up to and with `through`; False (and nothing dropped) when the server is another by now."""
        async with self._server() as server:
            dropped = await server.eval(_TRIM, 1, self._key, replication_id, successor(through))  # type: ignore[misc,unused-ignore]
        return int(dropped) >= 0

    @asynccontextmanager
    async def _server(self) -> AsyncIterator[Client]:
        server = await server_of(self._cluster, self._key)
        try:
            yield server
        except (RedisError, OSError):
            doubt(self._cluster)  # gone, or not the one any more: the next call looks who is
            raise


def successor(entry_id: str) -> str:
    """The least stream id above `entry_id`."""
    milliseconds, _, sequence = entry_id.partition("-")
    return f"{milliseconds}-{int(sequence) + 1}"


def later(one: str, other: str) -> str:
    """The greater of two stream ids."""
    return max(one, other, key=lambda entry_id: [int(part) for part in entry_id.split("-")])


def _entries(streams: Any) -> list[tuple[bytes, Mapping[bytes, bytes]]]:
    # RESP2 answers a list of [key, entries], RESP3 a mapping; nothing new is empty in both.
    if isinstance(streams, dict):
        values = list(streams.values())
        if not values:
            return []
        entries = values[0]
        return entries[0] if entries and isinstance(entries[0], list) else entries
    for stream in streams or ():
        if stream:
            return stream[1]  # type: ignore[no-any-return]
    return []
