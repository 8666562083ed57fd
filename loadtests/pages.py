"""How long the dashboard's pages take over a generated database: `python -m loadtests.pages --folder F`.

The folder is one that `python -m loadtests.reports generate` filled. Pages are asked for in this process, one caller, no network: the figures are what
the server spends. Prints p50 and p95 in milliseconds per page; the aim is 150 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from loadtests.report_endpoints import spread
from loadtests.report_times import TEAM
from loadtests.scratch import stores
from tracker.access.keys import make_key
from tracker.api.app import create_app
from tracker.management.services import Services
from tracker.secrets import Secrets
from tracker.settings import Settings
from tracker.stores import postgres, valkey
from tracker.stores.embedded import EmbeddedPostgres, EmbeddedValkey

BUSIEST = """SELECT s.smart_link_id FROM smart_links s JOIN report_days d ON d.scope_id = s.smart_link_id
             WHERE s.team_id = $1 GROUP BY 1 ORDER BY sum(d.clicks) DESC LIMIT 1"""


def pages(link: str) -> list[str]:
    """The pages to ask for."""
    home = f"/links/{link}"
    return [
        "/overview?range=30d", "/overview?range=30d&zone=Asia/Kolkata", "/overview?range=90d", "/links", home,
        f"{home}?by=ecid&zone=America/New_York", f"{home}/clicks", f"{home}/conversions", f"{home}/fans",
        f"{home}/cohorts?range=90d", f"{home}/pool", f"{home}/history", f"{home}/edit", "/links/new",
    ]  # fmt: skip


async def measure(database_url: str, redis_url: str, repeats: int) -> None:
    """Ask for every page and print what it took."""
    pool = await postgres.open_pool(database_url, max_size=10)
    redis = valkey.connect(redis_url)
    secrets = Secrets("k" * 40)
    _, key = await make_key(pool, secrets.key_hash, TEAM, "benchmark")
    app: Any = create_app(Services(Settings(rate_limit_minute=0), pool, redis, secrets))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://dashboard.test",
        headers={"Authorization": f"Bearer {key}"},
        timeout=600,
    ) as client:
        for path in pages(await pool.fetchval(BUSIEST, TEAM)):
            times = []
            for _ in range(repeats):
                started = time.perf_counter()
                answer = await client.get(path)
                times.append((time.perf_counter() - started) * 1000)
                assert answer.status_code == 200, (path, answer.status_code)
            figures = "  ".join(f"{name} {value:,.1f}" for name, value in spread(times).items())
            print(f"{path:72} {figures}  {len(answer.content) // 1024} kB", flush=True)
    await redis.aclose()
    await pool.close()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.pages", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="data folder of the generated database")
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="clickbind-pages-") as path,
        stores(options.folder, EmbeddedPostgres) as generated,
        stores(Path(path) / "data", EmbeddedValkey) as fresh,
    ):
        asyncio.run(measure(generated.database_url, fresh.redis_url, options.repeats))


if __name__ == "__main__":
    main()
