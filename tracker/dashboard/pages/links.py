"""The list of smart links: their addresses, state and numbers since ever."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency

from tracker.access.caller import Caller
from tracker.dashboard.address import address
from tracker.dashboard.choices import choices
from tracker.dashboard.navigation import Place
from tracker.dashboard.rendering import page
from tracker.management import smart_links
from tracker.management.services import Services

PLACE = Place("/links", "Smart links", "link", "l", "smart-links.view")
PAGE_SIZE = 50
STATES = {"active": "Active", "paused": "Paused"}


@get("/links", permission="smart-links.view", include_in_schema=False)
async def links(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[str]:
    """Every smart link, newest first."""
    where = address(request)
    number = where.number("page", 1, 10_000)
    wanted = smart_links.Wanted(
        name=where.get("search") or None,
        account_ids=[where.get("account")] if where.get("account") else None,
        tags=[where.get("tag")] if where.get("tag") else None,
        states=[where.get("state")] if where.get("state") in STATES else None,
    )
    rows, can_choose = await asyncio.gather(
        smart_links.page(services, caller, wanted, PAGE_SIZE + 1, (number - 1) * PAGE_SIZE),
        choices(services.pool, caller.team_id),
    )
    return page(
        request,
        "links/page.html",
        title="Smart links",
        caller=caller,
        services=services,
        where=where,
        rows=rows[:PAGE_SIZE],
        more=len(rows) > PAGE_SIZE,
        number=number,
        first=(number - 1) * PAGE_SIZE + 1,
        choices=can_choose,
        states=STATES,
        base_url=services.settings.base_url,
    )


HANDLERS = (links,)
