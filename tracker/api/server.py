"""The api role's process."""

from __future__ import annotations

import sys

import uvicorn
import uvloop

from tracker.access import first_run
from tracker.api.app import create_app
from tracker.management.services import Services
from tracker.metrics.common import PoolUse, new_registry
from tracker.metrics.requests import RequestTimes
from tracker.rotation import adopt_hash_key
from tracker.secrets import installation_secrets
from tracker.settings import Settings
from tracker.stores import postgres, valkey
from tracker.stores.urls import database_url, redis_url


def run(settings: Settings) -> None:
    """Serve until SIGTERM. Raises StoreError when PostgreSQL does not answer at start."""
    uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    pool = await postgres.open_pool(database_url(settings), max_size=10, plan_anew=True)
    redis = valkey.connect(redis_url(settings))
    secrets = installation_secrets(settings)
    await adopt_hash_key(pool, secrets)
    services = Services(settings, pool, redis, secrets)
    registry = new_registry("api")
    registry.register(PoolUse(pool))
    app = create_app(services)
    app.state["registry"] = registry
    config = uvicorn.Config(
        RequestTimes(app, registry),
        host=settings.api_host,
        port=settings.api_port,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        h11_max_incomplete_event_size=64 * 1024,
    )
    try:
        if settings.log_level != "error" and await first_run.needed(pool):
            # Not through the log, which masks secrets; worth nothing once somebody is here.
            sys.stderr.write(f"Nobody is here yet. Set Clickbind up at: {first_run.url(settings, secrets)}\n")
            sys.stderr.flush()
        await uvicorn.Server(config).serve()
    finally:
        await redis.aclose()
        await pool.close()
