"""How long every GET endpoint of the API and every page of the dashboard takes over a generated database."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx

from tracker.access.keys import make_key
from tracker.api.app import create_app
from tracker.management.services import Services
from tracker.reports.ranges import Range
from tracker.secrets import Secrets
from tracker.settings import Settings
from tracker.stores import postgres, valkey
from tracker.stores.embedded import DataFolder, EmbeddedValkey

# Streams, downloads, files and what a person sees before there is a team.
LEFT_OUT = (
    "/live/feed",
    "/metrics",
    "/static/",
    "/schema",
    "/docs",
    "/api/exports/",
    "/setup",
    "/api/setup",
    "/login",
    "/join",
    "/reset",
)
MORE = (
    "/api/reports/breakdown?dimension=country", "/api/reports/breakdown?dimension=ecid", "/api/reports/totals?compare=true",
    "/api/reports/links?sort=-spenders", "/api/reports/series?step=hour", "/overview?range=30d&zone=Asia/Kolkata", "/overview?range=90d",
    "/links/{smart_link_id}?by=ecid&zone=America/New_York", "/links/{smart_link_id}/cohorts?range=90d",
    "/links/{smart_link_id}/clicks?bots=show&duplicates=show", "/links/{smart_link_id}/clicks?search=120200000003",
    "/api/smart-links/{quiet_link_id}/clicks", "/links/{quiet_link_id}/clicks?duplicates=show",
)  # fmt: skip
BUDGET_MS, PAGE_BUDGET_MS = 100, 150


class Cpu:
    """CPU seconds of this process and of all of the server's: what a report costs, however busy the machine is (Linux)."""

    def __init__(self, backend_pid: int) -> None:
        """`backend_pid`: any process of the server."""
        self.server = _stat(Path(f"/proc/{backend_pid}/stat"))[1]
        self.tick = os.sysconf("SC_CLK_TCK")

    def __call__(self) -> float:
        """Seconds so far. The server's count in hundredths: only worth something over several repeats."""
        ended = _stat(Path(f"/proc/{self.server}/stat"))[2]  # parallel workers come and go
        told = [found for path in Path("/proc").glob("[0-9]*/stat") if (found := _stat(path))[1] == self.server]
        return time.process_time() + (ended + sum(ticks for ticks, _, _ in told)) / self.tick


def _stat(path: Path) -> tuple[int, int, int]:
    """Ticks of a process, its parent, and the ticks of its children that ended."""
    try:
        fields = path.read_text().rpartition(")")[2].split()
    except OSError:  # gone meanwhile
        return 0, 0, 0
    return int(fields[11]) + int(fields[12]), int(fields[1]), int(fields[13]) + int(fields[14])


async def endpoints(
    pool: postgres.Pool, team_id: str, month: Range, links: dict[str, str], cpu: Cpu, repeats: int
) -> dict[str, dict[str, float]]:
    """CPU time, p50 and p95 in milliseconds by path, in this process (handler, rights, JSON or HTML; no network), one caller.

    `links`: ids for the paths' parameters. Endpoints whose parameters have no sample here are left out.
    """
    secrets, found = Secrets("k" * 40), {}
    _, key = await make_key(pool, secrets.key_hash, team_id, "benchmark")
    with tempfile.TemporaryDirectory(prefix="clickbind-bench-") as path:
        folder = DataFolder(Path(path) / "data")
        folder.hold()
        server = EmbeddedValkey(folder)
        server.start()
        redis = valkey.connect(folder.redis_url)
        app: Any = create_app(Services(Settings(rate_limit_minute=0), pool, redis, secrets))
        dates = {"date_start": str(month.first_day), "date_end": str(month.last_day), "time_zone": month.zone.key}
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://api.test",
            headers={"Authorization": f"Bearer {key}"},
            timeout=600,
        ) as client:
            for path_format in (*_paths(app), *MORE):
                try:
                    address = path_format.format(**links)
                except KeyError:
                    continue
                parameters = dates if address.startswith("/api/reports") else {}
                times, before = [], cpu()
                for _ in range(repeats):
                    started = time.perf_counter()
                    answer = await client.get(address, params=httpx.URL(address).params.merge(parameters))
                    times.append((time.perf_counter() - started) * 1000)
                    if sum(times) > 10_000:
                        break
                if answer.status_code == 200:
                    found[f"GET {path_format}"] = spread(times, cpu() - before)
        await redis.aclose()
        server.stop()
        folder.release()
    return found


def _paths(app: Any) -> list[str]:
    found = {
        route.path_format
        for route in app.routes
        if any("GET" in handler.http_methods for handler in getattr(route, "route_handlers", ()))
    }
    return sorted(path for path in found if not path.startswith(LEFT_OUT))


def over_budget(name: str, figures: dict[str, float]) -> bool:
    """Whether it costs more than a report, an endpoint or a page may take."""
    is_page = name.startswith("GET /") and not name.startswith("GET /api")
    return figures["CPU ms"] > (PAGE_BUDGET_MS if is_page else BUDGET_MS)


def spread(times: list[float], cpu_seconds: float) -> dict[str, float]:
    """Mean CPU time, median and 95th percentile of the wall clock."""
    p95 = quantiles(times, n=20)[-1] if len(times) > 1 else times[0]
    return {"CPU ms": cpu_seconds * 1000 / len(times), "p50 ms": median(times), "p95 ms": p95}
