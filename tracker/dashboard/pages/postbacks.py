"""Postbacks: what there are, how each fares, and the page of one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
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
from tracker.dashboard.navigation import Place
from tracker.dashboard.pages.link_lists import TYPES
from tracker.dashboard.period import person_zone
from tracker.dashboard.rendering import fragment, page
from tracker.lists import deliveries
from tracker.management import postbacks, trials
from tracker.management.destinations import Destination
from tracker.management.errors import Invalid
from tracker.management.postbacks import PostbackChange
from tracker.management.services import Services

PLACE = Place("/postbacks", "Postbacks", "postback", "p", "postbacks.view")
MOST = 500
NEWEST = 10
EVENTS = {
    "new_subscriber": "A new subscriber",
    "first_purchase": "A first purchase",
    "repeat_purchase": "A repeat purchase",
    "message_received": "A message received",
    "fan_sent_3_messages": "A fan's third message",
    "transaction_status": "A payment's new status",
}


@get("/postbacks", permission="postbacks.view", include_in_schema=False)
async def list_postbacks(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[str]:
    """Every postback with how it fares, in a sentence."""
    rows, faring = await asyncio.gather(postbacks.page(services, caller, MOST), fares(services, caller))
    where = address(request)
    search = where.get("search").lower()
    shown = [row for row in rows if search in f"{row.name} {postbacks.host(row.config['url'])}".lower()]
    return page(
        request, "postbacks/page.html", title="Postbacks", caller=caller, services=services, where=where, rows=shown,
        fares=faring, types=TYPES, host=host,
    )  # fmt: skip


@get("/postbacks/{postback_id:str}", permission="postbacks.view", include_in_schema=False)
async def one_postback(
    request: Request[Any, Any, Any],
    postback_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """One postback: what it sends, to whom, how it fares, its newest deliveries, and sending a test."""
    found = await postbacks.get(services, caller, postback_id)
    wanted = deliveries.Wanted(destination_ids=[found.destination_id])
    faring, newest = await asyncio.gather(
        fare_of(services, caller, found.destination_id),
        deliveries.page(services.pool, caller.team_id, wanted, limit=NEWEST),
    )
    return page(
        request, "postbacks/one.html", title=found.name or host(found), caller=caller, services=services, one=found,
        fare=faring, newest=newest, types=TYPES, events=EVENTS, host=host, zone=person_zone(request), where=address(request),
        now_utc=datetime.now(UTC),
    )  # fmt: skip


@post("/postbacks/{postback_id:str}/test", permission="postbacks.manage", include_in_schema=False)
async def test_postback(
    request: Request[Any, Any, Any],
    postback_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """Really send a sample conversion and show what came back."""
    form = await read_form(request)
    event = form.get("event")
    if event not in EVENTS:
        raise Invalid({"event": ["Choose one of the events offered."]})
    trial = trials.Trial(event=event, external_click_id=form.get("external_click_id")[:255])  # type: ignore[arg-type]
    return await tried_here(request, caller, services, postbacks.KINDS, postback_id, trial)


@post("/postbacks/{postback_id:str}/state", permission="postbacks.manage", include_in_schema=False)
async def change_state(
    request: Request[Any, Any, Any],
    postback_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Redirect:
    """Pause, resume or delete."""
    wanted = (await read_form(request)).get("state")
    if wanted == "deleted":
        found = await postbacks.get(services, caller, postback_id)
        await postbacks.delete(services, caller, postback_id)
        return Redirect(f"/postbacks?gone={found.destination_id}", status_code=303)
    if wanted not in ("active", "paused"):
        raise Invalid({"state": ["The state must be active, paused or deleted."]})
    found = await postbacks.change(services, caller, postback_id, msgspec.convert({"state": wanted}, PostbackChange))
    return Redirect(f"/postbacks/{found.destination_id}", status_code=303)


async def tried_here(
    request: Request[Any, Any, Any],
    caller: Caller,
    services: Services,
    kinds: Sequence[str],
    name: str,
    trial: trials.Trial,
) -> Response[str]:
    """Send a test and show what came of it, or what is amiss with it: as a part of the page, or without scripts as a page."""
    tried, words = None, ""
    try:
        tried = await trials.send(services, caller, kinds, name, trial)
    except Invalid as error:
        words = " ".join(message for messages in error.errors.values() for message in messages)
    if request.headers.get("hx-request"):
        return fragment("parts/tried.html", tried=tried, words=words)
    return page(
        request, "deliveries/tried.html", title="A test", caller=caller, services=services, tried=tried, words=words,
        home=f"/{'postbacks' if kinds == postbacks.KINDS else 'platforms'}/{name}",
    )  # fmt: skip


def host(one: Destination) -> str:
    """Where it sends to."""
    return postbacks.host(str(one.config.get("url", "")))


HANDLERS = (list_postbacks, one_postback, test_postback, change_state)
