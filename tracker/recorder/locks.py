"""Which recorder records which shard: session-level advisory locks on a connection of its own.

A lock ends with its session, so a recorder that dies gives its shards up at once; the server's keep-alives and idle limit
see to one that hangs or whose machine is gone. What protects the rows from a recorder that has not noticed yet is the
position it moves (`writer.py`).
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from tracker.stores.postgres import AWAY

SHARD_CLASS = 0x436C6273  # "Clbs": key two is the shard
PRESENCE_CLASS = 0x436C6272  # "Clbr": key two is the backend's pid; who holds one is a living recorder
SESSION = {
    "application_name": "clickbind recorder locks",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "idle_session_timeout": "15s",
}


class ShardLocks:
    """The locks of one recorder. After `lost` is set every shard must be given up and a new one opened."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection
        self.lost = asyncio.Event()
        connection.add_termination_listener(self._terminated)

    @classmethod
    async def open(cls, url: str) -> ShardLocks:
        """Connect and announce ourselves. Raises OSError or asyncpg errors when PostgreSQL is away."""
        connection = await asyncpg.connect(url, timeout=10, command_timeout=5, server_settings=SESSION)
        locks = cls(connection)
        await connection.execute(f"SELECT pg_advisory_lock({PRESENCE_CLASS}, pg_backend_pid())")
        return locks

    async def take(self, shard: int) -> bool:
        """Take a shard if nobody has it."""
        return bool(await self._connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", SHARD_CLASS, shard))

    async def give(self, shard: int) -> None:
        """Give a shard up."""
        await self._connection.execute("SELECT pg_advisory_unlock($1, $2)", SHARD_CLASS, shard)

    async def recorders(self) -> int:
        """How many recorders live on this database, we included. Also proves that our session does."""
        count = await self._connection.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid::bigint = $1 AND objsubid = 2"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            PRESENCE_CLASS,
        )
        return int(count)

    async def close(self) -> None:
        """End the session, and with it every lock."""
        try:
            await self._connection.close(timeout=2)
        except AWAY:
            self._connection.terminate()

    def _terminated(self, connection: Any) -> None:
        self.lost.set()
