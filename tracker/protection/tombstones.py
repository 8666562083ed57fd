"""Who is never to be stored again: erased fans by keyed hash, so that the list itself names nobody.

The key is the installation's hash key, which outlives a change of the secret key. A process that stores facts of fans is
given it once, at its start.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.protection", "protection.sql")
LOCK = 0x436C6265  # "Clbe": held shared by who stores facts of fans, alone by who erases one

FanKey = tuple[str, str]  # account_id, fan_id

_key: bytes | None = None


def adopt(hash_key: bytes) -> None:
    """Use this installation's hash key (`Secrets.hash_key`, after `rotation.adopt_hash_key`)."""
    global _key
    _key = hash_key


def fan_hash(hash_key: bytes, account_id: str, fan_id: str) -> bytes:
    """What is kept of an erased fan."""
    return hmac.digest(hash_key, f"erased fan\x1f{account_id}\x1f{fan_id}".encode(), "sha256")


async def erased(connection: Connection | Pool, fans: Iterable[FanKey]) -> set[FanKey]:
    """Those of these fans who are erased. Raises RuntimeError when some are and this process was given no key."""
    keys = sorted(set(fans))
    if not keys:
        return set()
    if _key is None:
        if await connection.fetchval("SELECT EXISTS (SELECT FROM erased_fans)"):
            raise RuntimeError("fans are erased, and this process cannot tell which: tombstones.adopt was not called")
        return set()
    hashes = {(account_id, fan_hash(_key, account_id, fan_id)): (account_id, fan_id) for account_id, fan_id in keys}
    found = await connection.fetch(SQL["known"], [account_id for account_id, _ in hashes], [one for _, one in hashes])
    return {hashes[row["account_id"], row["fan_hash"]] for row in found}


async def erased_for_good(connection: Connection, fans: Iterable[FanKey]) -> set[FanKey]:
    """The same, and nobody is erased until the end of this transaction: what it stores of the others cannot slip past."""
    await connection.execute(SQL["pass"], LOCK)
    return await erased(connection, fans)
