"""Valkey's part: links, pools, leases, visitors and the click log, key by key, so that it works on any server and blocks none.

The file is gzip of msgpack records, each after its length (4 bytes, little endian). A key is copied at one moment, all keys
within a short while: the log last, so that what a visitor's key speaks of is in the log, or in PostgreSQL already.
"""

from __future__ import annotations

import gzip
import re
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from tracker.stores import valkey
from tracker.stores.errors import StoreError
from tracker.stores.valkey import Client, RedisError

FILE = "valkey.keys.gz"
OURS = re.compile(rb"cb:|\{s\d+\}:")
LOG = re.compile(rb"\{s\d+\}:log$")
PASSING = (b"cb:rate:", b"cb:edge:probe")  # counters of a minute: worthless afterwards
SCAN = 1000
PAGE = 500
LENGTH = struct.Struct("<I")


class Whole(msgspec.Struct, frozen=True, tag="key", array_like=True):
    """A key as DUMP gives it; `expires_at_ms` 0: never."""

    key: bytes
    expires_at_ms: int
    value: bytes


class Entries(msgspec.Struct, frozen=True, tag="entries", array_like=True):
    """A page of a stream."""

    key: bytes
    entries: list[tuple[bytes, list[bytes]]]


Record = Whole | Entries
_decoder = msgspec.msgpack.Decoder(Record)


async def dump(url: str, folder: Path, progress: Callable[[str], None]) -> tuple[dict[str, int], str]:
    """Write `FILE`. Returns how many keys of each kind there are, and the server's version. Raises StoreError."""
    client = valkey.connect(url)
    counted: Counter[str] = Counter()
    try:
        await valkey.wait_ready(client)
        with gzip.open(folder / FILE, "wb", compresslevel=1) as file:
            logs: list[bytes] = []
            async for keys in _scan(client):
                logs += [key for key in keys if LOG.match(key)]
                others = [key for key in keys if not LOG.match(key)]
                for whole in await _read(client, others):
                    _write(cast(BinaryIO, file), whole)
                    counted[kind(whole.key)] += 1
                progress(f"Valkey: {sum(counted.values())} keys")
            for key in sorted(set(logs)):
                async for record in _read_stream(client, key):
                    _write(cast(BinaryIO, file), record)
                    counted["log entries"] += len(record.entries) if isinstance(record, Entries) else 0
        version = _version(await client.info("server"))
    except (RedisError, OSError) as error:
        raise StoreError(f"Valkey could not be copied: {error}") from error
    finally:
        await valkey.close(client)
    return dict(sorted(counted.items())), version


async def restore(url: str, folder: Path, progress: Callable[[str], None]) -> dict[str, int]:
    """Load `FILE` into a server without keys of ours. Returns counts as `dump` does. Raises StoreError."""
    client = valkey.connect(url)
    counted: Counter[str] = Counter()
    try:
        with gzip.open(folder / FILE, "rb") as file:
            for record in _records(cast(BinaryIO, file)):
                if isinstance(record, Whole):
                    counted[kind(record.key)] += not LOG.match(record.key)
                    await client.restore(record.key, record.expires_at_ms, record.value, absttl=True)
                else:
                    counted["log entries"] += len(record.entries)
                    batch = client.pipeline(transaction=False)
                    for entry_id, pairs in record.entries:
                        batch.execute_command("XADD", record.key, entry_id, *pairs)
                    await batch.execute()
                if sum(counted.values()) % SCAN == 0:
                    progress(f"Valkey: {sum(counted.values())} keys")
    except (RedisError, OSError, EOFError, msgspec.DecodeError) as error:
        raise StoreError(f"Valkey could not be restored: {error}") from error
    finally:
        await valkey.close(client)
    return dict(sorted((name, count) for name, count in counted.items() if count))


async def require_empty(url: str) -> None:
    """Raises StoreError when the server has keys of ours."""
    client = valkey.connect(url)
    try:
        await valkey.wait_ready(client)
        async for keys in _scan(client):
            if keys:
                raise StoreError(
                    f"Valkey is not empty (it has {keys[0].decode(errors='replace')}). A backup is restored into an empty one:"
                    " point REDIS_URL at another, or at another database of it."
                )
    except (RedisError, OSError) as error:
        raise StoreError(f"Valkey does not answer: {error}. Is it running where REDIS_URL points?") from error
    finally:
        await valkey.close(client)


def kind(key: bytes) -> str:
    """What a key is, for the manifest: 'smart links', 'pools', 'visits', 'other'."""
    if key == b"cb:links":
        return "smart links"
    names = {b"pool": "pools", b"v": "visits", b"f": "visits", b"log": "log entries"}
    return names.get(key.partition(b":")[2].partition(b":")[0], "other") if key.startswith(b"{s") else "other"


def _version(info: dict[str, Any]) -> str:
    """Of a server, or of the first node of a cluster."""
    one = info if "redis_version" in info else next(iter(info.values()), {})
    return str(one.get("valkey_version") or one.get("redis_version") or "?")


async def _scan(client: Client) -> AsyncIterator[list[bytes]]:
    keys: list[bytes] = []
    async for key in client.scan_iter(count=SCAN):
        if OURS.match(key) and not key.startswith(PASSING):
            keys.append(key)
        if len(keys) >= PAGE:
            yield keys
            keys = []
    yield keys


async def _read(client: Client, keys: list[bytes]) -> list[Whole]:
    if not keys:
        return []
    batch = client.pipeline(transaction=False)
    for key in keys:
        batch.pexpiretime(cast(str, key))
        batch.dump(key)
    answers: list[Any] = await batch.execute()
    return [
        Whole(key, max(0, expires), value)
        for key, expires, value in zip(keys, answers[::2], answers[1::2], strict=True)
        if value is not None  # gone meanwhile
    ]


async def _read_stream(client: Client, key: bytes) -> AsyncIterator[Record]:
    """A log in pages: it may be long, and DUMP of a long one would hold up every click."""
    last, found = b"-", False
    while True:
        page = cast(list[Any], await client.xrange(key, min=last, count=PAGE))
        if not page:
            break
        found = True
        yield Entries(
            key, [(entry_id, [part for pair in fields.items() for part in pair]) for entry_id, fields in page]
        )
        last = b"(" + page[-1][0]
    if not found:  # all is recorded, but its last id must be kept: ids only grow
        for whole in await _read(client, [key]):
            yield whole


def _write(file: BinaryIO, record: Record) -> None:
    payload = msgspec.msgpack.encode(record)
    file.write(LENGTH.pack(len(payload)) + payload)


def _records(file: BinaryIO) -> Iterator[Record]:
    while head := file.read(LENGTH.size):
        (length,) = LENGTH.unpack(head)
        yield _decoder.decode(file.read(length))
