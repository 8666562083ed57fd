"""How things go: in sentences first, then in figures with a course. The page has its answer at once, however slow a store or a role is.

Every member sees their own team's state, and the installation's as times: how late, how slow. Volumes of the installation (redirects a
second, what waits, addresses of roles) are shown only where the team is the only one: they would tell of other teams' business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from litestar import Request, Response, get
from litestar.di import NamedDependency

from tracker.access.caller import Caller
from tracker.dashboard import failures
from tracker.dashboard.courses import click_courses
from tracker.dashboard.fare import fares
from tracker.dashboard.findings import Finding, of_accounts, of_destinations, of_installation, of_pools, worst_first
from tracker.dashboard.headers import add_headers
from tracker.dashboard.kept import Kept
from tracker.dashboard.navigation import Place
from tracker.dashboard.period import person_zone
from tracker.dashboard.rendering import page
from tracker.dashboard.sparkline import sparkline
from tracker.inventory import pools
from tracker.management import accounts
from tracker.management.services import Services
from tracker.metrics.pulse import Look, Pulse, place
from tracker.reports.ranges import Range

log = structlog.get_logger()

PLACE = Place("/health", "Health", "health", "h", "reports.view")
WAIT = 0.1  # seconds a page waits for what is not there yet
EVERY_SECONDS = 5
HOURS = 24
SOURCES = {"fares": "deliveries", "accounts": "creators' accounts", "pools": "pools", "clicks": "clicks"}


def away(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """PostgreSQL does not answer, so nobody can be told apart: what anybody may know."""
    log.warning("dashboard.store_away", path=request.url.path, error=type(error).__name__)
    look = _pulse(request).last
    found = [one for one in of_installation(look) if one.words.startswith("Valkey")]
    words = "PostgreSQL does not answer. Clicks are redirected and kept, and counted when it is back; until then nobody can be told apart here, so your figures are not shown."
    answer = page(
        request, "health/page.html", title="Health", findings=[Finding("bad", words), *found], looked_at=datetime.now(UTC),
        zone=person_zone(request), seconds=EVERY_SECONDS, unknown="", figures=None,
    )  # fmt: skip
    return add_headers(answer)


@get(
    "/health",
    permission="reports.view",
    include_in_schema=False,
    exception_handlers={kind: away for kind, handler in failures.HANDLERS.items() if handler is failures.store_away},
)
async def health(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[str]:
    """The page, and the same again every few seconds."""
    zone, now = person_zone(request), datetime.now(UTC)
    look, team = await asyncio.gather(_pulse(request).look(WAIT), _team(request, caller, services, now))
    findings = of_installation(look)
    findings += of_accounts(team.get("accounts") or (), zone, now)
    findings += of_destinations((team.get("fares") or {}).values(), zone, now)
    findings += of_pools(team.get("pools") or ())
    unknown = [SOURCES[name] for name, found in team.items() if found is None and name in SOURCES]
    return page(
        request, "health/page.html", title="Health", caller=caller, services=services, findings=worst_first(findings),
        unknown=", ".join(unknown), looked_at=look.at if look else now, zone=zone, seconds=EVERY_SECONDS, look=look,
        figures=_figures(look, team, _pulse(request)), alone=bool(team.get("alone")), place=place,
        pools_short=sum(pool.short for pool in team.get("pools") or ()), team=team, waiting=_waiting(team),
    )  # fmt: skip


def _pulse(request: Request[Any, Any, Any]) -> Pulse:
    found: Pulse = request.app.state.pulse
    return found


async def _team(request: Request[Any, Any, Any], caller: Caller, services: Services, now: datetime) -> dict[str, Any]:
    """What is known of the team, as far as the caller may know it: name of the source → its answer, None while it is not there."""
    kept: Kept | None = request.app.state.get("kept")
    if kept is None:
        kept = request.app.state.kept = Kept()
    sources: dict[str, tuple[Callable[[], Awaitable[Any]], float]] = {
        "alone": (lambda: _alone(services), 60.0),
        "clicks": (lambda: _clicks(services, caller.team_id, now), 15.0),
    }
    if caller.may("deliveries.view"):
        sources["fares"] = lambda: fares(services, caller), 4.0
    if caller.may("accounts.view"):
        sources["accounts"] = lambda: accounts.page(services, caller), 4.0
    if caller.may("smart-links.view"):
        sources["pools"] = (
            lambda: pools.report(services.pool, services.redis, services.settings, caller.team_id, now), 30.0,
        )  # fmt: skip
    wanted: dict[Hashable, Any] = {(caller.team_id, name): source for name, source in sources.items()}
    found = await kept.get(wanted, WAIT)
    return {name: found[caller.team_id, name] for name in sources}


async def _alone(services: Services) -> bool:
    return bool(await services.pool.fetchval("SELECT count(*) = 1 FROM (SELECT FROM teams LIMIT 2) t"))


async def _clicks(services: Services, team_id: str, now: datetime) -> list[int]:
    """The team's clicks by hour, the last of them the one that runs."""
    end = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    covered = Range(end - timedelta(hours=HOURS), end, ZoneInfo("UTC"))
    return (await click_courses(services.pool, [team_id], covered, "hour", now))[team_id]


def _waiting(team: dict[str, Any]) -> dict[str, int] | None:
    """The team's deliveries that wait or are dead; None when it is not known."""
    known = team.get("fares")
    if known is None:
        return None
    healths = [fare.health for fare in known.values()]
    failing = sum(fare.tone == "bad" for fare in known.values())
    return {
        "waiting": sum(one.backlog for one in healths),
        "dead": sum(one.dead for one in healths),
        "failed_hour": sum(one.failed_hour for one in healths),
        "delivered_hour": sum(one.delivered_hour for one in healths),
        "failing": failing,
        "destinations": len(healths),
    }


def _figures(look: Look | None, team: dict[str, Any], pulse: Pulse) -> dict[str, Any]:
    """Pictures of the courses there are."""
    looks = list(pulse.looks)
    if look is not None and (not looks or looks[-1].at < look.at):
        looks.append(look)
    drawn = {
        "rate": sparkline([one.rate or 0.0 for one in looks]),
        "p95": sparkline([one.claims[1] or 0.0 for one in looks], colour="orange"),
        "recorder": sparkline([one.recorder_lag or 0.0 for one in looks], colour="orange"),
        "inbox": sparkline([one.backlog.get("clickbind_inbox_lag_seconds", 0.0) for one in looks], colour="orange"),
        "fans": sparkline([one.backlog.get("clickbind_fan_queue_lag_seconds", 0.0) for one in looks], colour="orange"),
    }
    span = (looks[-1].at - looks[0].at).total_seconds() if len(looks) > 1 else 0.0
    return {"drawn": drawn, "span": span, "clicks": sparkline(team.get("clicks") or [])}


HANDLERS = (health,)
