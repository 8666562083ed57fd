"""The way to a Valkey Cluster: one pipeline per master, each key to the master that has its slot.

The map of slots is read from any node that answers: at start, every few seconds, and at once when a node sends a command
elsewhere or is lost. Until a shard has a master again its clicks go to the spill, the other shards' go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import hiredis
import structlog
from redis.asyncio.connection import SSLConnection, parse_url
from redis.crc import key_slot

from tracker.edge.claim import Library, pack
from tracker.edge.pipeline import CONNECT_SECONDS, Pipeline, Unavailable, greet, must
from tracker.edge.wire import Reply, Session, Waiter
from tracker.stores.urls import ClusterUrl, cluster_url

log = structlog.get_logger()

LOOK_SECONDS = 5.0  # between looks at the map while all is well
DOUBT_SECONDS = 0.2  # and while something is not
LAST_WORDS_SECONDS = 5.0  # longest a node that lost its slots is given to answer what was asked
# A slot on its way from node to node. A claim names keys that do not exist yet, and those neither of the two may make.
_UNDER_WAY = ("ASK ", "TRYAGAIN")

Node = tuple[str, int]
Range = tuple[int, int, Node]
"""First and last slot, and their master."""


def parse_slots(reply: Any, asked: Node) -> list[Range]:
    """CLUSTER SLOTS' reply in order of slots. A node that does not know its own address has the one it was asked under.

    Raises Unavailable when the reply is no map or an empty one."""
    ranges = []
    try:
        for first, last, master, *_ in reply:
            host = bytes(master[0] or b"").decode()
            if host != "?":
                ranges.append((int(first), int(last), (host or asked[0], int(master[1]))))
    except (TypeError, ValueError, IndexError) as error:
        raise Unavailable(f"{asked[0]}:{asked[1]} is no cluster's node ({str(reply)[:80]})") from error
    if not ranges:
        raise Unavailable("no node of the cluster has any slots")
    return sorted(ranges)


class ClusterPipeline:
    """What `Pipeline` is for one server, for a cluster."""

    def __init__(
        self,
        address: ClusterUrl,
        timeout_ms: int,
        library: Library,
        *,
        observe: Callable[[float, int], None] = lambda seconds, claims: None,
        on_up: Callable[[], None] = lambda: None,
    ) -> None:
        self._address = address
        self._timeout_ms = timeout_ms
        self._library = library
        self._observe = observe
        self._on_up = on_up
        self._ranges: list[Range] = []
        self._nodes: dict[Node, Pipeline] = {}
        self._by_key: dict[str, Pipeline | None] = {}  # few: one log per shard, and the links
        self._doubt = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._opened = 0
        self._map_trouble = "the cluster has not been reached yet"

    @property
    def up(self) -> bool:
        """Whether every shard's claims are being sent."""
        return not self.trouble

    @property
    def trouble(self) -> str:
        """Which part of the cluster cannot be used and why, in words; '' when all can."""
        reasons = [f"{host}:{port}: {way.trouble}" for (host, port), way in self._nodes.items() if not way.up]
        covered = sum(last - first + 1 for first, last, _ in self._ranges)
        if self._map_trouble:
            reasons.append(self._map_trouble)
        elif covered < 16384:
            reasons.append(f"{16384 - covered} slots of the cluster have no master")
        return "; ".join(reasons)

    @property
    def opened(self) -> int:
        """How often a breaker opened."""
        return self._opened + sum(way.opened for way in self._nodes.values())

    def reaches(self, key: str) -> bool:
        """Whether commands for `key` are being sent."""
        way = self._of(key)
        return way is not None and way.up

    async def start(self, wait_seconds: float) -> bool:
        """Begin connecting; wait up to `wait_seconds` until all masters are. Returns whether they are."""
        self._task = asyncio.get_running_loop().create_task(self._follow())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                while not self.up:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        return self.up

    async def stop(self) -> None:
        """Disconnect. Call it when no request is under way any more: what still waits gets None."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, *self._leaving, return_exceptions=True)
        for way in self._nodes.values():
            await way.stop()

    def claim(self, log: str, keys: tuple[str, ...], arguments: tuple[str | bytes, ...], waiter: Waiter) -> bool:
        """As `Pipeline.claim`, to the master of `log`."""
        way = self._of(log)
        return way is not None and way.claim(log, keys, arguments, waiter)

    def submit(self, command: bytes, key: str) -> asyncio.Future[Reply] | None:
        """As `Pipeline.submit`, to the master of `key`."""
        way = self._of(key)
        return way.submit(command, key) if way is not None else None

    async def refused(self, error: hiredis.ReplyError, key: str) -> bool:
        """As `Pipeline.refused`; a command that was sent elsewhere may be sent there once."""
        text = str(error)
        if text.startswith("MOVED "):
            self._doubt.set()
            host, _, port = text.split()[2].rpartition(":")
            old = self._of(key)
            new = self._nodes.get((host, int(port))) if host else None
            self._by_key[key] = new if new is not None and new.up else None  # until the map is read again
            return new is not None and new is not old and new.up
        if text.startswith(_UNDER_WAY):
            return False
        way = self._of(key)
        return way is not None and await way.refused(error, key)

    def accepted(self, key: str) -> None:
        """Note that a command was carried out."""
        way = self._of(key)
        if way is not None:
            way.accepted(key)

    def _of(self, key: str) -> Pipeline | None:
        try:
            way = self._by_key[key]
        except KeyError:
            slot = key_slot(key.encode())
            at = bisect_right(self._ranges, slot, key=lambda found: found[0]) - 1
            has_master = at >= 0 and slot <= self._ranges[at][1]
            way = self._by_key[key] = self._nodes[self._ranges[at][2]] if has_master else None
        if way is None or not way.up:
            self._doubt.set()
        return way

    async def _follow(self) -> None:
        while True:
            self._doubt.clear()
            try:
                ranges = await self._read_map()
            except (Unavailable, OSError, TimeoutError, RuntimeError) as error:
                self._map_trouble = f"no node tells the cluster's map: {error}"
                await asyncio.sleep(DOUBT_SECONDS)
                continue
            self._map_trouble = ""
            self._by_key.clear()
            if ranges != self._ranges:
                self._take(ranges)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS if self.up else DOUBT_SECONDS):
                    await self._doubt.wait()
                    await asyncio.sleep(DOUBT_SECONDS)

    def _take(self, ranges: list[Range]) -> None:
        masters = {node for _, _, node in ranges}
        if self._ranges:
            log.info("edge.cluster_changed", masters=sorted(f"{host}:{port}" for host, port in masters))
        self._ranges = ranges
        loop = asyncio.get_running_loop()
        for node in masters - self._nodes.keys():
            self._nodes[node] = way = self._pipeline(node)
            task = loop.create_task(self._start(way))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        for node in self._nodes.keys() - masters:
            way = self._nodes.pop(node)
            self._opened += way.opened
            task = loop.create_task(way.leave(LAST_WORDS_SECONDS))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    @staticmethod
    async def _start(way: Pipeline) -> None:
        await way.start(0)

    def _pipeline(self, node: Node) -> Pipeline:
        return Pipeline(
            self._options(node),
            self._timeout_ms,
            self._library,
            observe=self._observe,
            on_up=self._on_up,
            probe=lambda: self._probe_key(node),
        )

    def _options(self, node: Node) -> dict[str, Any]:
        host, port = node
        address = self._address
        options: dict[str, Any] = {
            "host": host,
            "port": port,
            "username": address.username,
            "password": address.password,
        }
        return options | ({"connection_class": SSLConnection} if address.tls else {})

    def _probe_key(self, node: Node) -> str:
        """A key whose slot `node` has."""
        mine = [(first, last) for first, last, master in self._ranges if master == node]
        for number in itertools.count():
            key = f"cb:edge:probe:{{{number}}}"
            if not mine or any(first <= key_slot(key.encode()) <= last for first, last in mine):
                return key
        raise AssertionError  # count() does not end

    async def _read_map(self) -> list[Range]:
        """Ask the nodes in turn. Raises the last one's failure."""
        failure: Exception = Unavailable("no nodes are known")
        for node in dict.fromkeys(
            [*(node for node, way in self._nodes.items() if way.up), *self._address.nodes, *self._nodes]
        ):
            try:
                return parse_slots(await self._ask(node, pack(("CLUSTER", "SLOTS"))), node)
            except (Unavailable, OSError, TimeoutError, RuntimeError) as error:
                failure = error
        raise failure

    async def _ask(self, node: Node, command: bytes) -> Reply:
        session = Session(asyncio.get_running_loop(), self._library.function)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await must(session, await greet(session, self._options(node)), command)
        finally:
            session.fail("asked")


Way = Pipeline | ClusterPipeline


def way_to(
    url: str,
    timeout_ms: int,
    library: Library,
    *,
    observe: Callable[[float, int], None] = lambda seconds, claims: None,
    on_up: Callable[[], None] = lambda: None,
) -> Way:
    """The way to the server or the cluster `url` names."""
    address = cluster_url(url)
    if address is not None:
        return ClusterPipeline(address, timeout_ms, library, observe=observe, on_up=on_up)
    return Pipeline(dict(parse_url(url)), timeout_ms, library, observe=observe, on_up=on_up)
