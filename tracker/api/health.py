"""Is the api process alive, and can it work?"""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency

from tracker.api.services import Services
from tracker.stores.postgres import AWAY
from tracker.stores.valkey import RedisError


@get("/health/live")
async def live() -> dict[str, str]:
    """The process runs."""
    return {"status": "ok"}


@get("/health/ready")
async def ready(services: NamedDependency[Services]) -> Response[dict[str, Any]]:
    """The stores answer; 503 says which one does not."""
    problems = []
    try:
        await services.pool.fetchval("SELECT 1", timeout=2)
    except AWAY as error:
        problems.append(f"PostgreSQL does not answer ({type(error).__name__}).")
    try:
        await services.redis.ping()
    except (OSError, RedisError) as error:
        problems.append(f"Valkey does not answer ({type(error).__name__}).")
    return Response({"ready": not problems, "problems": problems}, status_code=503 if problems else 200)
