"""Delivery health over HTTP: how each destination fares, in figures and in one sentence."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency

from tracker.access.caller import Caller
from tracker.api.envelope import Limit, Offset, page
from tracker.management.delivery_health import Health, host, listed, sentence
from tracker.management.services import Services


def row(health: Health, service_urls: dict[str, str], now: datetime) -> dict[str, Any]:
    """A destination as the API shows it."""
    tries = health.delivered_day + health.failed_day
    since = health.since()
    return {
        "id": health.destination_id,
        "kind": health.kind,
        "name": health.name,
        "host": host(health, service_urls),
        "state": health.state,
        "state_reason": health.state_reason,
        "last_hour": {"delivered": health.delivered_hour, "failed": health.failed_hour},
        "last_24_hours": {"delivered": health.delivered_day, "failed": health.failed_day},
        "success_rate": round(health.delivered_day / tries, 4) if tries else None,
        "attempt_ms": {"p50": health.p50, "p95": health.p95},
        "backlog": health.backlog,
        "oldest_waiting_seconds": round(health.oldest_seconds, 1) if health.oldest_seconds is not None else None,
        "dead": health.dead,
        "breaker": health.breaker(now),
        "failing_since": since.isoformat() if since else None,
        "summary": sentence(health, now),
    }


@get("/api/delivery-health", permission="deliveries.view")
async def delivery_health(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    limit: Limit = 50,
    offset: Offset = 0,
) -> dict[str, Any]:
    """How each destination of the team fares: counts, durations, backlog, breaker, and one sentence in plain words."""
    found = await listed(services, caller, limit + 1, offset)
    now, urls = datetime.now(UTC), services.settings.service_urls
    return page(request, [row(health, urls, now) for health in found], limit, offset)
