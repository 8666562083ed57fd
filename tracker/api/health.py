"""Is the api process alive, can it work, and how does it do?"""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from prometheus_client import CollectorRegistry, generate_latest

from tracker.management.services import Services
from tracker.metrics.forwarded import is_forwarded
from tracker.metrics.monitor import CONTENT_TYPE
from tracker.metrics.readiness import store_problems


@get("/health/live", permission="public")
async def live() -> dict[str, str]:
    """The process runs."""
    return {"status": "ok"}


@get("/health/ready", permission="public")
async def ready(services: NamedDependency[Services]) -> Response[dict[str, Any]]:
    """The stores answer; 503 says which one does not."""
    problems = await store_problems(services.pool, services.redis)
    return Response({"ready": not problems, "problems": problems}, status_code=503 if problems else 200)


@get("/metrics", permission="public", include_in_schema=False)
async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Prometheus figures of this process, for who asks directly: through a proxy there is no such page."""
    registry = request.app.state.get("registry")
    if not isinstance(registry, CollectorRegistry) or is_forwarded(request.scope["headers"]):
        raise NotFoundException
    return Response(generate_latest(registry), media_type=CONTENT_TYPE)
