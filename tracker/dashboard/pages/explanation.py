"""Why a fan, a conversion or a click is credited as it is: in words, as a picture, and event by event."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from tracker.access.caller import Caller
from tracker.dashboard.address import address
from tracker.dashboard.choices import choices
from tracker.dashboard.navigation import Place
from tracker.dashboard.period import known_zone
from tracker.dashboard.picture import picture
from tracker.dashboard.rendering import page
from tracker.dashboard.story import story
from tracker.explain.explanation import Kind
from tracker.explain.load import Ambiguous, explain
from tracker.management.errors import not_found
from tracker.management.services import Services

PLACE = Place("/explain", "Explain", "explain", "e", "reports.view")
KINDS: dict[str, Kind] = {"fan": "fan", "conversion": "conversion", "click": "click"}


@get("/explain", permission="reports.view", include_in_schema=False)
async def ask(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[Any]:
    """Where one pastes an id: any of a fan's, a conversion's or a click's."""
    name = address(request).get("id")
    if not name:
        return page(
            request, "explain/ask.html", title="Explain", caller=caller, services=services, name="", missing=False
        )
    for kind in ("click", "conversion", "fan"):
        try:
            found = await explain(services.pool, KINDS[kind], name, team_id=caller.team_id)
        except Ambiguous:
            return Redirect(f"/explain/{kind}/{name}", status_code=303)
        if found is not None:
            return Redirect(f"/explain/{kind}/{name}", status_code=303)
    return page(
        request,
        "explain/ask.html",
        title="Explain",
        status=404,
        caller=caller,
        services=services,
        name=name,
        missing=True,
    )


@get("/explain/{kind:str}/{name:str}", permission="reports.view", include_in_schema=False)
async def explanation(
    request: Request[Any, Any, Any],
    kind: FromPath[str],
    name: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """The explanation; a fan known to several accounts is asked about first."""
    if kind not in KINDS:
        raise not_found("This page")
    where = address(request)
    zone = known_zone(where.get("zone"), request.cookies.get("zone", ""))
    try:
        told = await explain(
            services.pool, KINDS[kind], name, team_id=caller.team_id, account_id=where.get("account") or None
        )
    except Ambiguous as several:
        can_choose = await choices(services.pool, caller.team_id)
        accounts = [(one, can_choose.label(one)) for one in several.account_ids]
        return page(request, "explain/which.html", title="Which account?", caller=caller, services=services, name=name, accounts=accounts)  # fmt: skip
    if told is None:
        raise not_found(f"This {kind}")
    return page(
        request,
        "explain/page.html",
        title=f"Why: {kind} {name}",
        caller=caller,
        services=services,
        told=told,
        zone=ZoneInfo(zone),
        picture=picture(told, ZoneInfo(zone)),
        story=story(told),
        clicks={click.click_id: click for click in told.clicks},
    )


HANDLERS = (ask, explanation)
