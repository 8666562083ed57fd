"""Ad platforms and fan actions: what is connected, how each fares, and the page of one."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from tracker.access.caller import Caller
from tracker.dashboard.address import address
from tracker.dashboard.fare import fare_of, fares
from tracker.dashboard.forms import read_form
from tracker.dashboard.kinds import ADS, FANS, FORMS, KEY_WORDS, OUR_EVENTS
from tracker.dashboard.navigation import Place
from tracker.dashboard.pages.link_lists import TYPES
from tracker.dashboard.pages.postbacks import MOST, NEWEST, tried_here
from tracker.dashboard.period import person_zone
from tracker.dashboard.rendering import page
from tracker.lists import deliveries
from tracker.management import connections, trials
from tracker.management.connections import ConnectionChange
from tracker.management.errors import Invalid
from tracker.management.services import Services

PLACE = Place("/platforms", "Ad platforms", "platform", "a", "connections.view")


@get("/platforms", permission="connections.view", include_in_schema=False)
async def list_platforms(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[str]:
    """Every connection with how it fares, in a sentence."""
    rows, faring = await asyncio.gather(connections.page(services, caller, MOST), fares(services, caller))
    return page(
        request, "platforms/page.html", title="Ad platforms", caller=caller, services=services, where=address(request),
        rows=rows, fares=faring, forms=FORMS, types=TYPES,
    )  # fmt: skip


@get("/platforms/new", permission="connections.manage", include_in_schema=False)
async def choose_kind(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[str]:
    """Which platform to connect."""
    return page(
        request, "platforms/choose.html", title="Connect", caller=caller, services=services, forms=FORMS.values(),
        groups=(ADS, FANS),
    )  # fmt: skip


@get("/platforms/{connection_id:str}", permission="connections.view", include_in_schema=False)
async def one_platform(
    request: Request[Any, Any, Any],
    connection_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """One connection: its events, what they carry to match people by, how it fares, its newest deliveries, and a test."""
    one = await connections.get(services, caller, connection_id)
    wanted = deliveries.Wanted(destination_ids=[one.destination_id])
    faring, newest, keys = await asyncio.gather(
        fare_of(services, caller, one.destination_id),
        deliveries.page(services.pool, caller.team_id, wanted, limit=NEWEST),
        connections.match_keys(services, one),
    )
    shape = FORMS[one.kind]
    chosen = one.config.get("events", {})
    told = {} if shape.names is None else {name: _told(chosen, shape.names.defaults, name) for name in OUR_EVENTS}
    return page(
        request, "platforms/one.html", title=one.name or shape.title, caller=caller, services=services, one=one, shape=shape,
        fare=faring, newest=newest, keys=keys, key_words=KEY_WORDS, told=told, our_events=OUR_EVENTS, types=TYPES,
        zone=person_zone(request), where=address(request),
    )  # fmt: skip


@post("/platforms/{connection_id:str}/test", permission="connections.manage", include_in_schema=False)
async def test_platform(
    request: Request[Any, Any, Any],
    connection_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """Really send a test event and show the platform's answer."""
    form = await read_form(request)
    names = ("event", "test_event_code", "fan_onlyfans_id")
    try:
        wish = msgspec.convert({name: form.get(name) for name in names if form.get(name)}, trials.Trial)
    except msgspec.ValidationError as error:
        raise Invalid({"event": ["Choose one of the events offered."]}) from error
    return await tried_here(request, caller, services, connections.KINDS, connection_id, wish)


@post("/platforms/{connection_id:str}/state", permission="connections.manage", include_in_schema=False)
async def change_state(
    request: Request[Any, Any, Any],
    connection_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Redirect:
    """Pause, resume or delete."""
    wanted = (await read_form(request)).get("state")
    if wanted == "deleted":
        found = await connections.get(services, caller, connection_id)
        await connections.delete(services, caller, connection_id)
        return Redirect(f"/platforms?gone={found.destination_id}", status_code=303)
    if wanted not in ("active", "paused"):
        raise Invalid({"state": ["The state must be active, paused or deleted."]})
    one = await connections.change(
        services, caller, connection_id, msgspec.convert({"state": wanted}, ConnectionChange)
    )
    return Redirect(f"/platforms/{one.destination_id}", status_code=303)


def _told(chosen: dict[str, Any], defaults: Any, name: str) -> str:
    choice = chosen.get(name, defaults.get(name, "off"))
    return f"{choice['custom']} (custom)" if isinstance(choice, dict) else str(choice)


HANDLERS = (list_platforms, choose_kind, one_platform, test_platform, change_state)
