"""How the whole installation does, kept fresh in an api process: its roles asked at their ports, its stores asked for what waits.

Only the addresses of the settings are asked. A look is taken every few seconds while somebody watches, every quarter of a minute else,
so that there is a course to show; who asks gets the last look at once, however slow a role or a store is.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
import structlog
from prometheus_client.samples import Sample

from tracker.metrics.backlog import Backlog
from tracker.metrics.reading import Count, Window, buckets, greatest, quantile, samples, total
from tracker.settings import Settings
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

log = structlog.get_logger()

WATCHED_SECONDS, ALONE_SECONDS = 5.0, 15.0
STILL_WATCHED = 60.0
ROLE_TIMEOUT = 2.0
LARGEST = 1 << 20
MOST_LOOKS = 1440  # six hours of quarter minutes


@dataclass(frozen=True)
class Role:
    """A role at an address. `trouble`: why it does not work, in words; '' when it does. `alive`: whether it answers at all."""

    role: str
    address: str
    alive: bool
    trouble: str = ""


@dataclass(frozen=True)
class Look:
    """What one look found. Seconds, bytes and counts; None: not known. `backlog`: figures by metric name, the worst of each."""

    at: datetime
    roles: tuple[Role, ...] = ()
    postgres: bool | None = None
    valkey: bool | None = None
    rate: float | None = None
    claims: tuple[float | None, float | None, float | None] = (None, None, None)
    spill_bytes: float | None = None
    breaker_open: bool = False
    recorder_lag: float | None = None
    recorder_entries: float | None = None
    backlog: dict[str, float] = field(default_factory=dict)


class Pulse:
    """The looks of one api process."""

    def __init__(self, settings: Settings, pool: Pool, redis: Client) -> None:
        self._addresses = addresses(settings)
        self._edge_processes = settings.edge_workers
        self._backlog = Backlog(pool, redis)
        self._window = Window()
        self._client: httpx.AsyncClient | None = None
        self._looking: asyncio.Task[None] | None = None
        self._asked_at = float("-inf")
        self._looked_at = float("-inf")
        self._asked = asyncio.Event()
        self.last: Look | None = None
        self.looks: deque[Look] = deque(maxlen=MOST_LOOKS)

    async def look(self, wait: float) -> Look | None:
        """The last look; when it is old a new one is begun and waited for, but no longer than `wait` seconds."""
        self._asked_at = time.monotonic()
        self._asked.set()
        if self._asked_at - self._looked_at > WATCHED_SECONDS * 0.8:
            await asyncio.wait([self._begin()], timeout=wait)
        return self.last

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take looks while the block runs."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            for one in (task, self._looking):
                if one is not None:
                    one.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await one
            if self._client is not None:
                await self._client.aclose()

    async def _run(self) -> None:
        while True:
            await asyncio.wait([self._begin()])
            watched = time.monotonic() - self._asked_at < STILL_WATCHED
            self._asked.clear()
            if watched:
                await asyncio.sleep(WATCHED_SECONDS)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ALONE_SECONDS):
                    await self._asked.wait()

    def _begin(self) -> asyncio.Task[None]:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._take())
        return self._looking

    async def _take(self) -> None:
        try:
            found = await self._found()
        except Exception:  # a look must never end the looking
            log.exception("pulse.defect")
            return
        self._looked_at = time.monotonic()
        self.last = found
        if not self.looks or (found.at - self.looks[-1].at).total_seconds() >= ALONE_SECONDS * 0.9:
            self.looks.append(found)

    async def _found(self) -> Look:
        asked = [
            address for address in self._addresses for _ in range(_times(address[0], self._edge_processes))
        ]  # fmt: skip
        _, answers = await asyncio.gather(
            self._backlog.refresh(), asyncio.gather(*(self._ask(*address) for address in asked))
        )
        now = time.monotonic()
        edges: dict[str, list[Sample]] = {}
        recorders: list[Sample] = []
        for role, told in answers:
            if role.role == "edge" and told:
                edges[f"{role.address} {greatest(told, 'process_start_time_seconds')}"] = told
            elif role.role == "recorder":
                recorders.extend(told)
        for process, told in edges.items():
            requests = total(told, "clickbind_edge_requests_total") or 0.0
            self._window.note(process, Count(now, requests, buckets(told, "clickbind_edge_claim_seconds")))
        self._window.forget(now)
        claims = self._window.claims()
        everything = [sample for told in edges.values() for sample in told]
        backlog, stores = self._waiting()
        return Look(
            at=datetime.now(UTC),
            roles=_roles([role for role, _ in answers]),
            postgres=stores["postgres"],
            valkey=stores["valkey"],
            backlog=backlog,
            rate=self._window.rate(),
            claims=(quantile(claims, 0.5), quantile(claims, 0.95), quantile(claims, 0.99)),
            spill_bytes=total(everything, "clickbind_edge_spill_bytes"),
            breaker_open=bool(greatest(everything, "clickbind_edge_breaker_open")),
            recorder_lag=greatest(recorders, "clickbind_recorder_lag_seconds"),
            recorder_entries=total(recorders, "clickbind_recorder_lag_entries"),
        )

    def _waiting(self) -> tuple[dict[str, float], dict[str, bool | None]]:
        backlog: dict[str, float] = {}
        stores: dict[str, bool | None] = {"postgres": None, "valkey": None}
        for family in self._backlog.collect():
            if family.name == "clickbind_pool_links":
                break  # the last, and as long as there are pools
            for sample in family.samples:
                if sample.name == "clickbind_store_up":
                    stores[sample.labels["store"]] = bool(sample.value)
                else:
                    backlog[sample.name] = max(backlog.get(sample.name, 0.0), sample.value)
        return backlog, stores

    async def _ask(self, role: str, address: str) -> tuple[Role, list[Sample]]:
        """A role's state, and its figures where they are wanted."""
        if self._client is None:
            self._client = httpx.AsyncClient(trust_env=False, timeout=ROLE_TIMEOUT, headers={"connection": "close"})
        try:
            async with asyncio.timeout(ROLE_TIMEOUT):
                ready = await self._get(f"{address}/health/ready")
                told = samples((await self._get(f"{address}/metrics"))[1]) if role in ("edge", "recorder") else []
        except (httpx.HTTPError, TimeoutError, ValueError, OSError) as error:
            log.debug("pulse.role_away", role=role, address=address, error=type(error).__name__)
            return Role(role, address, alive=False, trouble="does not answer"), []
        trouble = "" if ready[0] == 200 else "answers, but cannot work now"
        return Role(role, address, alive=True, trouble=trouble), told

    async def _get(self, url: str) -> tuple[int, str]:
        assert self._client is not None
        async with self._client.stream("GET", url) as answer:
            body = b""
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > LARGEST:
                    raise ValueError("too long an answer")
            return answer.status_code, body.decode("utf-8", "replace")


def addresses(settings: Settings) -> list[tuple[str, str]]:
    """(role, base URL) of what is asked: as the settings list it, else this machine's ports. A port of 0 is not known."""
    if settings.health_addresses:
        pairs = (entry.partition("=") for entry in settings.health_addresses)
        return [(role, url.rstrip("/")) for role, _, url in pairs]
    own = (
        ("edge", settings.edge_host, settings.edge_port),
        ("recorder", settings.metrics_host, settings.recorder_port),
        ("worker", settings.metrics_host, settings.worker_port),
    )
    return [(role, f"http://{_reachable(host)}:{port}") for role, host, port in own if port]


def place(address: str) -> str:
    """Host and port of an address."""
    return urlsplit(address).netloc.rpartition("@")[2]


def _reachable(host: str) -> str:
    if host in ("", "0.0.0.0"):  # noqa: S104 - asked, not listened on
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host


def _times(role: str, edge_processes: int) -> int:
    """Processes that share a port answer in turn: ask often enough to meet most."""
    return min(2 * edge_processes, 16) if role == "edge" and edge_processes > 1 else 1


def _roles(found: list[Role]) -> tuple[Role, ...]:
    """One per address, the worst it said."""
    worst: dict[tuple[str, str], Role] = {}
    for role in found:
        known = worst.get((role.role, role.address))
        if known is None or (role.alive, not role.trouble) < (known.alive, not known.trouble):
            worst[role.role, role.address] = role
    return tuple(worst.values())
