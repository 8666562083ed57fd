"""The edge as a role: `run(settings)` serves until SIGTERM or SIGINT. Why uvicorn: docs/decisions/0001-edge-server.md."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

import structlog
import uvicorn
import uvloop

from tracker.clicklog import log_key
from tracker.edge.app import Edge
from tracker.edge.claim import Library
from tracker.edge.click import Clicks
from tracker.edge.client import ClientAddresses
from tracker.edge.cluster import way_to
from tracker.edge.links import LinkMap
from tracker.edge.location import location
from tracker.edge.metrics import Metrics
from tracker.edge.protocol import EdgeProtocol
from tracker.edge.replay import Replayer
from tracker.edge.spill import Spill
from tracker.edge.standby import Standby
from tracker.edge.visit import VisitReader
from tracker.edge.visitor import Fingerprints, VisitorCookie
from tracker.handover import inherited_listener, open_listener, tell_ready
from tracker.metrics.monitor import Monitor, listening
from tracker.secrets import Secrets, installation_key
from tracker.settings import ConfigurationError, Settings
from tracker.stores import valkey
from tracker.stores.errors import StoreError
from tracker.stores.urls import redis_url

log = structlog.get_logger()

START_WAIT_SECONDS = 0.5  # for Valkey; after it the edge serves from its snapshot
LINKS_WAIT_SECONDS = 0.1
DRAIN_SECONDS = 1.0  # after SIGTERM: not ready, still answering, asking keep-alive clients to leave
GRACEFUL_SECONDS = 5
KEEP_ALIVE_SECONDS = 75
BACKLOG = 4096


def unix_ms() -> int:
    """Now, Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Service:
    """All parts of one edge process, started and stopped together."""

    def __init__(self, settings: Settings, now_ms: Callable[[], int] = unix_ms) -> None:
        url = redis_url(settings)
        last_resort = location(settings.platform_url)
        if last_resort is None:
            raise ConfigurationError(f"CLICKBIND_PLATFORM_URL is {settings.platform_url!r}: not a web address")
        library = Library()
        self.metrics = Metrics()
        self.client = valkey.connect(url)
        self.links = LinkMap(settings.spill_path, last_resort)
        self.spill = Spill(settings.spill_path)
        self.pipeline = way_to(
            url,
            settings.claim_timeout_ms,
            library,
            observe=self.metrics.observe_claims,
            on_up=self._on_up,
        )
        self.standby = Standby(self.client, library.stash_function, lambda: self.pipeline.up)
        self.replayer = Replayer(
            settings.spill_path,
            self.spill,
            self.client,
            lambda shard: self.pipeline.reaches(log_key(shard)),
            self.standby.replayed,
        )
        self.clicks = Clicks(
            pipeline=self.pipeline,
            spill=self.spill,
            standby=self.standby,
            metrics=self.metrics,
            reader=VisitReader(ClientAddresses(settings.trusted_proxies), settings.visitor_cookie, settings.base_url),
            fingerprints=Fingerprints(Secrets(installation_key(settings)).derive("visitor fingerprint")),
            now_ms=now_ms,
        )
        self.app = Edge(
            pipeline=self.pipeline,
            links=self.links,
            spill=self.spill,
            clicks=self.clicks,
            metrics=self.metrics,
            cookie=VisitorCookie(settings.visitor_cookie),
        )
        gauge = self.metrics.gauge
        gauge("clickbind_edge_spill_bytes", "Spilled clicks not replayed yet, bytes.", self.replayer.waiting_bytes)
        gauge("clickbind_edge_breaker_open", "1 while clicks go to the spill.", lambda: float(not self.pipeline.up))
        gauge("clickbind_edge_links", "Smart links in memory.", lambda: float(len(self.links)))
        gauge("clickbind_edge_lent_links", "Links on loan for when Valkey is away.", lambda: float(self.standby.lent))
        gauge("clickbind_edge_ready", "1 while the edge should get traffic.", lambda: float(not self.app.trouble()))
        self._tasks: list[asyncio.Task[None]] = []

    def _on_up(self) -> None:
        self.replayer.wake()

    async def start(self) -> None:
        """Connect and load the links; without Valkey, take the last snapshot."""
        try:
            self.spill.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StoreError(
                f"Cannot use the spill folder {self.spill.folder}: {error.strerror}. Set CLICKBIND_SPILL_DIR."
            ) from error
        following = asyncio.create_task(unending("links", lambda: self.links.follow(self.client)))
        if await self.pipeline.start(START_WAIT_SECONDS):
            # Not all links need be here to begin: one that is missing is asked for when it is clicked.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LINKS_WAIT_SECONDS):
                    await self.links.tried.wait()
        if not self.links.loaded:
            # Also when Valkey answered and then did not go on: a link that nobody can be asked for would be a 404.
            self.links.load_snapshot()
        if not self.pipeline.up:
            links = len(self.links) if self.links.loaded else None
            log.warning("edge.started_without_valkey", why=self.pipeline.trouble, links_from_snapshot=links)
        self._tasks = [
            following,
            asyncio.create_task(unending("replay", self.replayer.run)),
            asyncio.create_task(unending("standby", self.standby.run)),
        ]

    async def stop(self) -> None:
        """Flush what is under way and close."""
        await self.clicks.settle()
        for task in self._tasks:
            await end(task)
        if self.pipeline.up:
            with contextlib.suppress(valkey.RedisError, OSError):
                await self.standby.give_all_back()
        await self.pipeline.stop()
        await self.spill.stop()
        await valkey.close(self.client)


async def unending(name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Background work that must not end while the edge serves: a failure nobody foresaw is told, and it begins again."""
    while True:
        try:
            await work()
        except Exception as error:
            if isinstance(error, RuntimeError) and "closed=True" in str(error):
                # uvloop's words for a connection that was reset just before it was written to.
                log.warning("edge.connection_lost", work=name)
            else:
                log.exception("edge.background_failed", work=name)
            await asyncio.sleep(1.0)


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a background task. Asks until it is done: redis-py's subscriber can swallow a cancellation on Python 3.11."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.2)


class EdgeServer(uvicorn.Server):
    """uvicorn that drains before it closes, and ends with exit code 0 after SIGTERM."""

    def __init__(self, config: uvicorn.Config, app: Edge, drain_seconds: float, handed: bool = False) -> None:
        """`handed`: the supervisor keeps the listening socket, so new connections can wait there for our successor."""
        super().__init__(config)
        self._edge = app
        self._drain_seconds = drain_seconds
        self._handed = handed
        self._leave_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        tell_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._leave_at is None and sig == signal.SIGTERM:
            self._edge.draining = True
            self._leave_at = time.monotonic() + self._drain_seconds
        else:
            self._edge.draining = True
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        if self._leave_at is not None and self._handed:
            # Take no further connection; whoever is connected has the time of the drain to say what they want.
            for server in self.servers:
                server.close()
            self._handed = False
        if self._leave_at is not None and time.monotonic() >= self._leave_at:
            self.should_exit = True
        return await super().on_tick(counter)


def server_config(app: Any) -> uvicorn.Config:
    """How uvicorn runs the edge, and the yardsticks it is measured against."""
    return uvicorn.Config(
        app,
        http=EdgeProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket other edge processes may share. Raises StoreError naming the address when it cannot be had."""
    return open_listener(host, port, "CLICKBIND_EDGE")


async def serve(settings: Settings) -> None:
    """Serve in the running loop until told to stop. Raises StoreError or ConfigurationError when it cannot start."""
    service = Service(settings)
    await service.start()
    try:
        handed = inherited_listener()
        listener = handed or listen(settings.edge_host, settings.edge_port)
        log.info("edge.serving", host=settings.edge_host, port=listener.getsockname()[1], links=len(service.links))
        # What start-up made lives for ever: keep it out of every later collection. A request leaves no cycles behind, so
        # looking for some every 700 objects, Python's default, is 3 % of the processor time for nothing.
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        async with own_metrics(service, settings):
            await EdgeServer(server_config(service.app), service.app, DRAIN_SECONDS, handed is not None).serve(
                sockets=[listener]
            )
    finally:
        await service.stop()


def own_metrics(service: Service, settings: Settings) -> contextlib.AbstractAsyncContextManager[object]:
    """Of several edges that share a port each has one of its own for Prometheus; while one takes over, both have."""
    if settings.edge_workers < 2:
        return contextlib.nullcontext()

    async def problems() -> list[str]:
        trouble = service.app.trouble()
        return [trouble] if trouble else []

    monitor = Monitor(service.metrics.registry, problems)
    most = 2 * settings.edge_workers - 1
    return listening(monitor, "edge", settings.metrics_host, settings.edge_metrics_port, most)


def run(settings: Settings) -> None:
    """Run the edge until SIGTERM or SIGINT. Raises StoreError or ConfigurationError, with the fix, when it cannot start."""
    uvloop.run(serve(settings))
