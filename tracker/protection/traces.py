"""What Valkey and the spill hold of a visitor: records of recent claims, and clicks that wait to be replayed."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tracker.clicklog import Visit, read_visit
from tracker.edge.claim import Entry
from tracker.edge.spill import DAMAGED_SUFFIX, SUFFIX, Damaged, frame, read_entries, sync_folder
from tracker.stores.valkey import Client

VISITOR_AT = (26, 51)  # where a claim's record names the visitor (claim.lua)
SCANNED_AT_ONCE = 1000
_KEPT = {"visit_id", "at_ms", "smart_link_id", "account_id", "cdn_country", "bot_reason"} | {
    f"utm_{name}" for name in ("source", "medium", "campaign", "term", "content")
}


async def forget_records(redis: Client, visitors: Iterable[str]) -> int:
    """Delete the records by which visitors are recognised within the window; returns how many there were.

    Looks through all of them: they live for one window only, and nothing else says which fingerprints were whose.
    """
    wanted = {visitor.encode() for visitor in visitors}
    deleted = 0
    for pattern in ("{s*}:v:*", "{s*}:f:*"):
        async for keys in _scanned(redis, pattern):
            pipe = redis.pipeline(transaction=False)
            for key in keys:
                pipe.getrange(key, *VISITOR_AT)
            found = [key for key, visitor in zip(keys, await pipe.execute(), strict=True) if visitor in wanted]
            for key in found:
                deleted += int(await redis.delete(key))
    return deleted


async def rewrite_log(redis: Client) -> None:
    """Ask Valkey to write its append-only file anew, so that what was deleted leaves the disk. It may decline."""
    await redis.bgrewriteaof()


async def _scanned(redis: Client, pattern: str) -> AsyncIterator[list[Any]]:
    keys: list[Any] = []
    async for key in redis.scan_iter(match=pattern, count=SCANNED_AT_ONCE):
        keys.append(key)
        if len(keys) >= SCANNED_AT_ONCE:
            yield keys
            keys = []
    if keys:
        yield keys


def scrub_spill(folder: Path, visitors: Mapping[str, str]) -> int:
    """Make the clicks of these visitors (id -> pseudonym) in spill files nameless; returns how many. Blocking.

    A file that is being written or replayed is left for a later pass. A damaged file that names a visitor is deleted: what
    could be read of it was replayed.
    """
    scrubbed = 0
    if not folder.is_dir():
        return 0
    names = [visitor.encode() for visitor in visitors]
    for path in sorted(folder.glob("*" + SUFFIX)):
        scrubbed += _scrub_file(path, names, visitors)
    for path in sorted(folder.glob("*" + DAMAGED_SUFFIX)):
        if any(name in path.read_bytes() for name in names):
            path.unlink(missing_ok=True)
            scrubbed += 1
    return scrubbed


def _scrub_file(path: Path, names: Sequence[bytes], visitors: Mapping[str, str]) -> int:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return 0
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        if os.fstat(file.fileno()).st_nlink == 0 or not any(name in file.read() for name in names):
            return 0
        file.seek(0)
        staged = path.with_suffix(".scrubbed")
        scrubbed = 0
        with staged.open("wb") as clean:
            os.fchmod(clean.fileno(), 0o600)
            try:
                for entry in read_entries(file):
                    mine = entry.visitor in visitors
                    scrubbed += mine
                    clean.write(frame(nameless(entry, visitors[entry.visitor]) if mine else entry))
            except Damaged:
                pass  # the replayer would stop here too
            clean.flush()
            os.fsync(clean.fileno())
        # Under our lock of the old file: a replayer that waited for it finds it gone, and takes the new one.
        staged.rename(path)
        sync_folder(path.parent)
        return scrubbed


def nameless(entry: Entry, pseudonym: str) -> Entry:
    """A spilled click that still counts, for its link and its lease, without what says who clicked."""
    visit = read_visit(entry.request)
    empty: dict[str, Any] = {
        name: () if name == "truncated" else "" for name in Visit.__struct_fields__ if name not in _KEPT
    }
    # Whether two clicks had the same ecid decides who a fan belongs to; which one it was does not.
    if visit.ecid:
        empty["ecid"] = f"erased:{uuid.uuid4()}"
    request = msgspec.msgpack.encode(msgspec.structs.replace(visit, **empty))
    return entry._replace(request=request, visitor=pseudonym, by_visitor="", by_fingerprint="", click_ids="")
