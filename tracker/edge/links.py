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
from typing import Any, cast

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
OPEN_LIMIT = 20_000  # links kept decoded at most, half of them at least, about 1.5 kB each

_LINK_ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_decode = msgspec.msgpack.Decoder(EdgeLink).decode
_encode_snapshot = msgspec.msgpack.Encoder().encode
_decode_snapshot = msgspec.msgpack.Decoder(list[tuple[str, bytes]]).decode

_location = lru_cache(4096)(location)  # the links of an account share theirs

Fetch = Callable[[str], Awaitable[Any]]


class Link:
    """A smart link ready for use: its record and what is derived from it once."""

    __slots__ = ("address", "fallback", "keys", "profile", "record", "reserve_url")

    def __init__(self, raw: bytes, base_url: str, last_resort: bytes) -> None:
        self.record = _decode(raw)
        self.keys = LinkKeys(self.record)
        self.address = f"{base_url}/go/{self.record.smart_link_id}"
        self.fallback = _location(self.record.fallback_url)
        self.profile = _location(self.record.profile_url) or last_resort
        self.reserve_url = _location(self.record.reserve.partition("|")[2]) or self.profile


class LinkMap:
    """Links by id (upper case). Values stay encoded until their first use: most of 100,000 links are never clicked."""

    def __init__(self, folder: Path, base_url: str, last_resort: bytes) -> None:
        self._links: dict[str, bytes] = {}
        # Decoded ones, in two generations: dropping those not used lately costs nothing per click.
        self._young: dict[str, Link] = {}
        self._old: dict[str, Link] = {}
        self._base_url = base_url
        self._last_resort = last_resort
        self._unknown: dict[str, float] = {}
        self._asking: dict[str, asyncio.Future[None]] = {}
        self._snapshot = folder / SNAPSHOT_NAME
        self._changed = False
        self._touched: set[str] | None = None
        self.loaded = False
        self.tried = asyncio.Event()
        """Set once reading all links has succeeded or failed."""

    def __len__(self) -> int:
        return len(self._links)

    def get(self, link_id: str) -> Link | None:
        """The link if it is in memory."""
        link = self._young.get(link_id)
        if link is not None:
            return link
        link = self._old.pop(link_id, None)
        if link is None:
            raw = self._links.get(link_id)
            if raw is None:
                return None
            try:
                link = Link(raw, self._base_url, self._last_resort)
            except msgspec.DecodeError as error:
                log.error("edge.link_unreadable", smart_link_id=link_id, error=str(error))
                del self._links[link_id]
                return None
        if len(self._young) >= OPEN_LIMIT // 2:
            self._old, self._young = self._young, {}
        self._young[link_id] = link
        return link

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
        """Take over a link's current value; None removes it."""
        if self._touched is not None:
            self._touched.add(link_id)
        held = self._links.get(link_id)
        if held == raw:
            return
        self._young.pop(link_id, None)
        self._old.pop(link_id, None)
        self._changed = True
        if raw is None:
            del self._links[link_id]
        else:
            self._links[link_id] = raw
            self._unknown.pop(link_id, None)

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
        pairs = list(self._links.items())
        try:
            await asyncio.get_running_loop().run_in_executor(None, _write_snapshot, self._snapshot, pairs)
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
            self._links.setdefault(link_id, raw)
        self.loaded = True
        return True


def _write_snapshot(path: Path, pairs: list[tuple[str, bytes]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staged = path.with_name(f"{path.name}.{os.getpid()}")
    with staged.open("wb") as file:
        file.write(_encode_snapshot(pairs))
        file.flush()
        os.fsync(file.fileno())
    staged.replace(path)
    sync_folder(path.parent)
