"""The smart links in this process's memory: fresh while Valkey answers, stale but there while it does not.

`cb:links` is read whole at start, after a reconnect and once a minute; a message on `cb:links:changed` names a link that
changed. A snapshot beside the spill lets an edge that starts without Valkey redirect too.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from pathlib import Path
from sys import intern
from typing import Any, cast
from weakref import WeakValueDictionary

import msgspec
import structlog
from redis.exceptions import RedisError

from tracker.clicklog import LINKS_CHANNEL, LINKS_KEY, EdgeLink
from tracker.edge.claim import LinkKeys
from tracker.edge.location import location
from tracker.edge.spill import sync_folder
from tracker.stores import valkey

log = structlog.get_logger()

REFRESH_SECONDS = 60.0
SNAPSHOT_SECONDS = 10.0  # least time between two snapshots
SNAPSHOT_NAME = "links.snapshot"
UNKNOWN_SECONDS = 2.0
UNKNOWN_LIMIT = 10_000
LOOKUPS_LIMIT = 64  # ids asked for at once; beyond it strangers are guessing
LOOKUPS_WHILE_LOADING = 2000
SCAN_COUNT = 250
SCAN_PAUSE_SECONDS = 0.005  # between pages once the links are known: clicks go between

_LINK_ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_decode = msgspec.msgpack.Decoder(EdgeLink).decode
_encode = msgspec.msgpack.Encoder().encode
_decode_snapshot = msgspec.msgpack.Decoder(list[tuple[str, bytes]]).decode

_location = lru_cache(4096)(location)  # the links of an account share theirs

Fetch = Callable[[str], Awaitable[Any]]


class Pool(LinkKeys):
    """What links of one account and offer share: the keys of their claims, and where their visitors go."""

    def __init__(self, link: EdgeLink, last_resort: bytes) -> None:
        super().__init__(link)
        self.profile = _location(link.profile_url) or last_resort
        self.reserve_url = _location(link.reserve.partition("|")[2]) or self.profile


class Link:
    """A smart link ready for use."""

    __slots__ = ("is_active", "keys", "record")

    def __init__(self, record: EdgeLink, keys: Pool) -> None:
        self.record = record
        self.keys = keys
        self.is_active = record.state == "active"

    @property
    def fallback(self) -> bytes | None:
        """Where a link that is out of use sends its visitors."""
        return _location(self.record.fallback_url)


class LinkMap:
    """Links by id (upper case), all of them decoded: what the links of an account have in common is held once, so that a link
    takes less than its encoding would."""

    def __init__(self, folder: Path, last_resort: bytes) -> None:
        self._links: dict[str, Link] = {}
        self._pools: WeakValueDictionary[tuple[object, ...], Pool] = WeakValueDictionary()
        self._last_resort = last_resort
        self._unknown: dict[str, float] = {}
        self._asking: dict[str, asyncio.Future[None]] = {}
        self._snapshot = folder / SNAPSHOT_NAME
        self._changed = False
        self._touched: set[str] | None = None
        self.loaded = False
        self.tried = asyncio.Event()
        """Set once reading all links has succeeded or failed."""
        self.get = self._links.get
        """The link of an id if it is in memory."""

    def __len__(self) -> int:
        return len(self._links)

    async def find(self, link_id: str, fetch: Fetch) -> Link | None:
        """The link, asking Valkey once for an id not in memory. `fetch` returns bytes, None when there is no such link,
        and raises LookupError when it cannot tell."""
        link = self.get(link_id)
        if link is not None or not _LINK_ID.fullmatch(link_id):
            return link
        loop = asyncio.get_running_loop()
        if self._unknown.get(link_id, 0.0) > loop.time():
            return None
        running = self._asking.get(link_id)
        if running is not None:
            await asyncio.wait([running])
            return self.get(link_id)
        if len(self._asking) >= (LOOKUPS_LIMIT if self.loaded else LOOKUPS_WHILE_LOADING):
            return None
        answered = self._asking[link_id] = loop.create_future()
        try:
            self.put(link_id, await fetch(link_id))
        except LookupError:
            return None
        finally:
            del self._asking[link_id]
            answered.set_result(None)
        link = self.get(link_id)
        if link is None:
            if len(self._unknown) >= UNKNOWN_LIMIT:
                self._unknown.clear()
            self._unknown[link_id] = loop.time() + UNKNOWN_SECONDS
        return link

    def put(self, link_id: str, raw: bytes | None) -> None:
        """Take over a link's current value; None removes it. One that cannot be read is no link, and said so."""
        if self._touched is not None:
            self._touched.add(link_id)
        link = None
        if raw is not None:
            try:
                link = self._ready(link_id, _decode(raw))
            except msgspec.DecodeError as error:
                log.error("edge.link_unreadable", smart_link_id=link_id, error=str(error))
        held = self._links.get(link_id)
        if link is None:
            if held is not None:
                del self._links[link_id]
                self._changed = True
        elif held is None or held.record != link.record:
            self._links[link_id] = link
            self._unknown.pop(link_id, None)
            self._changed = True

    def _ready(self, link_id: str, record: EdgeLink) -> Link:
        shared = (
            record.account_id,
            record.shard,
            record.offer,
            record.window_ms,
            record.state,
            record.profile_url,
            record.reserve,
            record.fallback_url,
        )
        texts = tuple([intern(value) if type(value) is str else value for value in shared])
        if record.smart_link_id == link_id:
            record = EdgeLink(link_id, *texts)  # type: ignore[arg-type]
        keys = self._pools.get(texts)
        if keys is None:
            keys = self._pools[texts] = Pool(record, self._last_resort)
        return Link(record, keys)

    async def refresh(self, client: valkey.Client) -> None:
        """Read all links, a few at a time so that neither side is held up. Raises RedisError."""
        self._touched = set()
        seen: set[str] = set()
        try:
            cursor = 0
            while True:
                page: dict[bytes, bytes]
                cursor, page = await cast(Any, client.hscan(LINKS_KEY, cursor, count=SCAN_COUNT))
                for field, raw in page.items():
                    link_id = field.decode()
                    seen.add(link_id)
                    if link_id not in self._touched:
                        self.put(link_id, raw)
                if not cursor:
                    break
                if self.loaded:
                    await asyncio.sleep(SCAN_PAUSE_SECONDS)
            for link_id in self._links.keys() - seen - self._touched:
                self.put(link_id, None)
        finally:
            self._touched = None
        self.loaded = True
        self.tried.set()

    async def follow(self, client: valkey.Client) -> None:
        """Stay fresh until cancelled."""
        while True:
            try:
                server = await valkey.server_of(client, LINKS_KEY)  # a message reaches all nodes of a cluster
                async with server.pubsub() as changes:
                    await changes.subscribe(LINKS_CHANNEL)
                    await self._follow(server, changes)
            except (RedisError, OSError, TimeoutError) as error:
                self.tried.set()
                if not self.loaded:
                    self.load_snapshot()
                valkey.doubt(client)
                log.warning("edge.links_stale", error=str(error)[:200])
                await asyncio.sleep(1.0)

    async def _follow(self, client: valkey.Client, changes: Any) -> None:
        loop = asyncio.get_running_loop()
        refresh_at = snapshot_at = 0.0
        while True:
            now = loop.time()
            if now >= refresh_at:
                await self.refresh(client)
                refresh_at = now + REFRESH_SECONDS
            if self._changed and now >= snapshot_at:
                await self.save()
                snapshot_at = now + SNAPSHOT_SECONDS
            pause = min(refresh_at, snapshot_at if self._changed else refresh_at) - loop.time()
            message = await changes.get_message(ignore_subscribe_messages=True, timeout=max(0.01, min(pause, 5.0)))
            if message is not None and message["type"] == "message":
                link_id = message["data"].decode("ascii", "replace").upper()
                self.put(link_id, await cast(Awaitable[bytes | None], client.hget(LINKS_KEY, link_id)))

    async def save(self) -> None:
        """Write the snapshot, replacing the old one at once. A failure is logged: the redirects do not depend on it."""
        self._changed = False
        records = [(link_id, link.record) for link_id, link in self._links.items()]
        try:
            await asyncio.get_running_loop().run_in_executor(None, _write_snapshot, self._snapshot, records)
        except OSError as error:
            self._changed = True
            log.warning("edge.snapshot_failed", error=str(error))

    def load_snapshot(self) -> bool:
        """Take the links of the last snapshot, when Valkey is away at start. Returns whether there was one."""
        try:
            pairs = _decode_snapshot(self._snapshot.read_bytes())
        except FileNotFoundError:
            return False
        except (OSError, msgspec.DecodeError) as error:
            log.error("edge.snapshot_unreadable", error=str(error))
            return False
        for link_id, raw in pairs:
            if link_id not in self._links:
                self.put(link_id, raw)
        self.loaded = True
        return True


def _write_snapshot(path: Path, records: list[tuple[str, EdgeLink]]) -> None:
    pairs = [(link_id, _encode(record)) for link_id, record in records]
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staged = path.with_name(f"{path.name}.{os.getpid()}")
    with staged.open("wb") as file:
        file.write(_encode(pairs))
        file.flush()
        os.fsync(file.fileno())
    staged.replace(path)
    sync_folder(path.parent)
