"""Clicks, conversions and deliveries as they happen. The page asks every few seconds for what is new since its cursor: a viewer costs a
few bounded queries, an api process keeps nothing of a viewer, and one who left asks no more."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.di import NamedDependency

from tracker.access.caller import Caller
from tracker.dashboard.address import Address, address
from tracker.dashboard.happening import told
from tracker.dashboard.navigation import Place
from tracker.dashboard.period import person_zone
from tracker.dashboard.rendering import page
from tracker.lists.happenings import KINDS, MOST, Wanted, happenings, position_of
from tracker.management import smart_links
from tracker.management.services import Services

PLACE = Place("/live", "Live", "live", "v", "reports.view")
LABELS = {"click": "Clicks", "conversion": "Conversions", "delivery": "Deliveries"}
MOST_LINKS = 500
POLL_SECONDS = 2


@get("/live", permission="reports.view", include_in_schema=False)
async def live(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[str]:
    """The page; its rows come by themselves."""
    where = address(request)
    wanted = _wanted(where, caller)
    links = await smart_links.page(services, caller, smart_links.Wanted(), MOST_LINKS, 0)
    return page(
        request, "live/page.html", title="Live", caller=caller, services=services, where=where, wanted=wanted, links=links,
        labels=_labels(caller), zone=person_zone(request), most=MOST, seconds=POLL_SECONDS,
        feed=Address("/live/feed", where.values).at(after=None),
    )  # fmt: skip


@get("/live/feed", permission="reports.view", include_in_schema=False)
async def feed(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[bytes]:
    """What happened since `after`, oldest first, and where to go on."""
    since = position_of(request.query_params.get("after", ""))
    wanted = _wanted(address(request), caller)
    found = await happenings(
        services.pool, caller.team_id, wanted, since, services.settings.delivery_timeout
    )  # fmt: skip
    body = msgspec.json.encode({"cursor": found.position.cursor, "rows": told(found)})
    return Response(body, media_type=MediaType.JSON)


def _labels(caller: Caller) -> dict[str, str]:
    """The kinds this person may see."""
    return {kind: label for kind, label in LABELS.items() if kind != "delivery" or caller.may("deliveries.view")}


def _wanted(where: Address, caller: Caller) -> Wanted:
    """What the address asks for; without a kind, all there are."""
    may = [kind for kind in KINDS if kind in _labels(caller)]
    kinds = [kind for kind in may if where.get(kind) == "yes"]
    return Wanted(kinds or may, where.get("link").upper() or None, where.get("people") == "yes")


HANDLERS = (live, feed)
