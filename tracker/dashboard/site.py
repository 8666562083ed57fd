"""The dashboard's routes, put together from its pages. A new page is its module and one line of PAGES."""

from __future__ import annotations

from typing import Any

from litestar import Router, get
from litestar.response import Redirect

from tracker.dashboard import failures
from tracker.dashboard.assets import static_file
from tracker.dashboard.headers import add_headers
from tracker.dashboard.pages import (
    account_form,
    accounts,
    audit_log,
    deliveries,
    door,
    explanation,
    health,
    keys,
    link,
    link_form,
    link_lists,
    link_more,
    links,
    live,
    member,
    overview,
    platform_form,
    platforms,
    postback_form,
    postbacks,
    profile,
    team,
)
from tracker.dashboard.rendering import PLACES

PAGES = (
    door,
    overview,
    live,
    health,
    links,
    link_form,
    link,
    link_lists,
    link_more,
    platforms,
    platform_form,
    postbacks,
    postback_form,
    deliveries,
    accounts,
    account_form,
    explanation,
    team,
    member,
    keys,
    audit_log,
    profile,
)


@get("/", permission="public", include_in_schema=False)
async def home() -> Redirect:
    """The overview is home."""
    return Redirect("/overview")


PLACES.extend(page.PLACE for page in PAGES if hasattr(page, "PLACE"))
ROUTES: tuple[Any, ...] = (
    Router(
        "/",
        route_handlers=[home, static_file, *(handler for page in PAGES for handler in page.HANDLERS)],
        after_request=add_headers,
        exception_handlers=failures.HANDLERS,
        include_in_schema=False,
    ),
)
