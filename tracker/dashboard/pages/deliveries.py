"""The delivery log: what was told to whom, attempt by attempt, and sending again what was given up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from tracker.access.caller import Caller
from tracker.dashboard.address import Address, address
from tracker.dashboard.forms import read_form
from tracker.dashboard.navigation import Place
from tracker.dashboard.pages.link_lists import TYPES
from tracker.dashboard.period import person_zone
from tracker.dashboard.rendering import page
from tracker.lists import deliveries
from tracker.management import destinations
from tracker.management.destinations import ALL_KINDS, Destination, Replay
from tracker.management.errors import Invalid, not_found
from tracker.management.services import Services
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.dashboard", "deliveries.sql")
PLACE = Place("/deliveries", "Deliveries", "delivery", "d", "deliveries.view")
PAGE_SIZE = 50
MOST_DESTINATIONS = 500
STATES = {"waiting": "Waiting", "delivered": "Delivered", "skipped": "Skipped", "dead": "Dead"}
WHAT = "This destination"
FIRST_YEAR, LAST_YEAR = 2000, 2200


@get("/deliveries", permission="deliveries.view", include_in_schema=False)
async def list_deliveries(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[str]:
    """Deliveries, newest first; and for one destination, sending the dead ones again."""
    where, zone = address(request), person_zone(request)
    since, until = _span(where, zone)
    chosen = where.get("destination")
    wanted = deliveries.Wanted(
        destination_ids=[chosen.upper()] if chosen else None,
        states=[where.get("state")] if where.get("state") in STATES else None,
        since=since,
        until=until,
        event_id=where.get("event") or None,
    )
    rows, everyone = await asyncio.gather(
        deliveries.page(services.pool, caller.team_id, wanted, limit=PAGE_SIZE + 1, after=where.get("after") or None),
        destinations.page(services, caller, ALL_KINDS, MOST_DESTINATIONS),
    )
    dead = None
    if chosen and any(one.destination_id == chosen.upper() for one in everyone):
        dead = await destinations.forecast(services, caller, chosen, Replay(since=since, until=until))
    return page(
        request, "deliveries/page.html", title="Deliveries", caller=caller, services=services, where=where, zone=zone,
        rows=rows[:PAGE_SIZE], following=rows[PAGE_SIZE - 1].cursor if len(rows) > PAGE_SIZE else "", types=TYPES,
        states=STATES, everyone=everyone, dead=dead, since=since, until=until, homes=homes(everyone),
    )  # fmt: skip


@get("/deliveries/{destination_id:str}/{event_id:str}", permission="deliveries.view", include_in_schema=False)
async def one_delivery(
    request: Request[Any, Any, Any],
    destination_id: FromPath[str],
    event_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """One delivery with each of its attempts: the request as sent, secrets masked, the answer, the verdict in words."""
    found = await deliveries.one(services.pool, caller.team_id, event_id, destination_id)
    if not found:
        raise not_found("This delivery")
    return page(
        request, "deliveries/one.html", title="Delivery", caller=caller, services=services, one=found[0], types=TYPES,
        zone=person_zone(request), home=homes(await destinations.page(services, caller, ALL_KINDS, 1, 0, destination_id)),
    )  # fmt: skip


@post("/deliveries/replay", permission="deliveries.manage", include_in_schema=False)
async def replay(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Redirect:
    """Send again: the chosen ones, or every dead one of a destination in a span of time. Then watch them go."""
    form = await read_form(request)
    chosen = form.all("delivery")
    begun = datetime.now(UTC)
    if chosen:
        by_destination: dict[str, list[str]] = {}
        for entry in chosen:
            destination_id, _, event_id = entry.partition("/")
            by_destination.setdefault(destination_id, []).append(event_id)
        count = 0
        for destination_id, events in by_destination.items():
            wish = Replay(event_ids=events)
            count += await destinations.replay(services, caller, ALL_KINDS, destination_id, wish, WHAT)
        destination_id = next(iter(by_destination)) if len(by_destination) == 1 else ""
    elif form.get("destination"):
        destination_id = form.get("destination")
        wish = Replay(since=_moment(form.get("since")), until=_moment(form.get("until")))
        count = await destinations.replay(services, caller, ALL_KINDS, destination_id, wish, WHAT)
    else:
        raise Invalid({"delivery": ["Choose at least one delivery to send again."]})
    going = Address("/deliveries/progress", {"destination": destination_id, "count": str(count)})
    return Redirect(going.at(begun=begun.isoformat()), status_code=303)


@get("/deliveries/progress", permission="deliveries.view", include_in_schema=False)
async def progress(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[str]:
    """How far a replay is. The page asks again by itself until nothing of it waits."""
    where = address(request)
    begun = _moment(where.get("begun")) or datetime.now(UTC)
    count = where.number("count", 1, 10**8) if where.get("count") != "0" else 0
    row = await services.pool.fetchrow(
        SQL["replay_progress"], caller.team_id, where.get("destination").upper() or None, begun
    )
    assert row is not None
    left = min(row["untried"], count)
    return page(
        request, "deliveries/progress.html", title="Sending again", caller=caller, services=services, where=where,
        count=count, left=left, taken=row["taken"], refused=row["refused"], done=count - left,
    )  # fmt: skip


def homes(everyone: Sequence[Destination]) -> dict[str, str]:
    """The page of each destination that has one: webhooks have none, nor has what was deleted."""
    return {
        one.destination_id: f"/{'postbacks' if one.kind == 'postback' else 'platforms'}/{one.destination_id}"
        for one in everyone
        if one.kind != "webhook"
    }


def _span(where: Address, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    first, last = _day(where.get("from"), zone), _day(where.get("to"), zone)
    return first, last + timedelta(days=1) if last else None


def _day(text: str, zone: ZoneInfo) -> datetime | None:
    """The start of a day. What no report reaches is no day."""
    try:
        found = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=zone) if text else None
    except ValueError:
        return None
    return found if found and FIRST_YEAR <= found.year <= LAST_YEAR else None


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError as error:
        raise Invalid({"since": ["A time is written as 2026-11-22T10:00:00+00:00."]}) from error
    if found and not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise Invalid({"since": [f"A time lies between {FIRST_YEAR} and {LAST_YEAR}."]})
    return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found


HANDLERS = (list_deliveries, progress, replay, one_delivery)
