"""Jinja: one environment, escaping everything, failing on names that do not exist."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import msgspec
from litestar import MediaType, Request, Response

from tracker import __version__
from tracker.access.caller import Caller
from tracker.access.sessions import cookie_name, csrf_token
from tracker.dashboard import numbers
from tracker.dashboard.assets import asset_url
from tracker.dashboard.navigation import Place
from tracker.dashboard.period import ALL_ZONES
from tracker.management.services import Services

THEMES = ("light", "dark")
PLACES: list[Place] = []  # filled by site.py from the pages there are


@cache
def environment() -> jinja2.Environment:
    """The environment of all templates."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        count=numbers.count,
        money=numbers.money,
        percent=numbers.percent,
        duration=numbers.duration,
        host=numbers.host,
        as_json=lambda value: msgspec.json.encode(value).decode(),
    )
    made.globals.update(
        asset=asset_url, version=__version__, change=numbers.change, moment=numbers.moment, ago=numbers.ago
    )
    return made


def page(
    request: Request[Any, Any, Any],
    template: str,
    *,
    title: str,
    caller: Caller | None = None,
    services: Services | None = None,
    status: int = 200,
    **context: Any,
) -> Response[str]:
    """A whole page from a template that extends `shell.html` (or `bare.html`, which needs no `caller`)."""
    theme = request.cookies.get("theme", "")
    body = environment().get_template(template).render(
        title=title,
        path=request.url.path,
        theme=theme if theme in THEMES else "",
        places=[place for place in PLACES if caller is not None and caller.may(place.permission)],
        caller=caller,
        csrf=token(request, services) if services is not None else "",
        now=datetime.now(UTC),
        **context,
    )  # fmt: skip
    response = Response(body, status_code=status, media_type=MediaType.HTML)
    _remember(request, response)
    return response


def _remember(request: Request[Any, Any, Any], response: Response[str]) -> None:
    """The time zone and the kind of revenue a person chose are theirs on every page from then on."""
    for name, known in (("zone", ALL_ZONES), ("basis", {"gross", "net"})):
        chosen = request.query_params.get(name, "")
        if chosen in known and chosen != request.cookies.get(name):
            response.set_cookie(name, chosen, max_age=31_536_000, path="/", httponly=True, samesite="lax")


def fragment(template: str, *, status: int = 200, **context: Any) -> Response[str]:
    """A part of a page, for htmx to put in its place."""
    body = environment().get_template(template).render(now=datetime.now(UTC), **context)
    return Response(body, status_code=status, media_type=MediaType.HTML)


def token(request: Request[Any, Any, Any], services: Services) -> str:
    """What forms and htmx must send with a change; '' without a session."""
    cookie = request.cookies.get(cookie_name(services.settings), "")
    return csrf_token(services.secrets, cookie) if cookie else ""
