"""Delivery health: how each destination fares, in figures and in one sentence. No secrets: of a URL only the host."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from postbacks.destinations.registry import KINDS
from tracker.stores.queries import load_queries

if TYPE_CHECKING:
    from tracker.access.caller import Caller
    from tracker.management.services import Services

SQL = load_queries("tracker.management", "delivery_health.sql")
STREAK = 3  # failures in a row that are called failing rather than bad luck
BEHIND_SECONDS = 60.0


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one destination. Counts are of attempts; durations milliseconds; ages seconds."""

    destination_id: str
    kind: str
    name: str
    url: str | None
    state: str
    state_reason: str
    failing_since: datetime | None
    breaker_until: datetime | None
    delivered_hour: int
    failed_hour: int
    delivered_day: int
    failed_day: int
    last_delivered_at: datetime | None
    p50: int | None
    p95: int | None
    backlog: int
    oldest_seconds: float | None
    failures: int
    failing_from: datetime | None
    last_failure: str | None
    dead: int

    def since(self) -> datetime | None:
        """Since when nothing but failures came of it; None when it is not called failing."""
        if self.failing_since is not None:
            return self.failing_since
        return self.failing_from if self.failures >= STREAK else None

    def breaker(self, now: datetime) -> str:
        """closed: as many requests as it takes. open: none until a time. probing: one at a time."""
        if self.breaker_until is None:
            return "closed"
        return "open" if self.breaker_until > now else "probing"


async def listed(services: Services, caller: Caller, limit: int, offset: int = 0) -> list[Health]:
    """How the team's destinations fare."""
    rows = await services.pool.fetch(SQL["health"], caller.team_id, limit, offset)
    return [Health(**dict(found)) for found in rows]


def sentence(health: Health, now: datetime) -> str:
    """How it fares, for a person who has no time. Times are UTC."""
    waiting = f"{health.backlog:,} wait" + ("s" if health.backlog == 1 else "")
    reason = health.state_reason or "switched off by hand"
    since = health.since()
    if health.state == "paused":
        return f"paused: {reason}; {waiting}"
    if health.state == "disabled":
        return f"disabled: {reason}; {health.dead:,} dead, which a replay sends once it is active again"
    if since is not None:
        return f"failing since {_moment(since, now)}: {health.last_failure or 'no answer was good'}; {waiting}"
    if health.backlog and (health.oldest_seconds or 0.0) > BEHIND_SECONDS:
        behind = f"behind: {waiting}, the oldest for {_span(health.oldest_seconds or 0.0)}"
        return behind + (f"; last failure: {health.last_failure}" if health.last_failure else "")
    if health.failed_hour:
        tries = health.failed_hour + health.delivered_hour
        return f"delivering with retries: {health.failed_hour:,} of {tries:,} attempts of the last hour failed, last: {health.last_failure}"
    if health.delivered_day:
        return f"well: {health.delivered_day:,} delivered in the last 24 hours"
    return (
        f"quiet: nothing was delivered in the last 24 hours; {waiting}" if health.backlog else "quiet: nothing to send"
    )


def host(health: Health, service_urls: dict[str, str]) -> str:
    """Where it sends to: host and port only, since paths and queries hold tokens."""
    service = KINDS[health.kind].service if health.kind in KINDS else None
    url = health.url or (service_urls.get(service.name, service.url) if service else "")
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def _moment(at: datetime, now: datetime) -> str:
    at = at.astimezone(UTC)
    return f"{at:%H:%M}" if (now - at).total_seconds() < 86400 and at.date() == now.date() else f"{at:%Y-%m-%d %H:%M}"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
