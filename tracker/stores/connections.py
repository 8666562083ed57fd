"""Connections to Valkey that fail as redis-py says they do, whichever event loop they live in.

A connection that is reset just before it is written to is, for uvloop, a RuntimeError ("… closed=True …"); redis-py takes
only OSError for a lost connection, and so does everybody who waits for Valkey to come back.
"""

from __future__ import annotations

from typing import Any

from redis.exceptions import ConnectionError as LostError

_made: dict[Any, Any] = {}


def plain_failures(kind: Any) -> Any:
    """`kind`, a connection class of redis-py, with its RuntimeErrors told as redis' ConnectionError."""
    if kind in _made:
        return _made[kind]

    class Connection(kind):  # type: ignore[misc]
        async def send_packed_command(self, *args: Any, **options: Any) -> None:
            try:
                await super().send_packed_command(*args, **options)
            except RuntimeError as error:
                raise LostError(f"the connection was lost: {error}") from error

        async def read_response(self, *args: Any, **options: Any) -> Any:
            try:
                return await super().read_response(*args, **options)
            except RuntimeError as error:
                raise LostError(f"the connection was lost: {error}") from error

    Connection.__name__ = kind.__name__
    return _made.setdefault(kind, Connection)
