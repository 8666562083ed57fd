"""API keys: made, shown once, and revoked. A key never may more than who made it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from tracker.access import keys
from tracker.access.caller import Caller
from tracker.dashboard.address import address
from tracker.dashboard.forms import Form, read_form
from tracker.dashboard.grants import grid, may_do, summary
from tracker.dashboard.navigation import Place
from tracker.dashboard.period import person_zone
from tracker.dashboard.rendering import page
from tracker.management.errors import Invalid, Refused
from tracker.management.services import Services

PLACE = Place("/keys", "API keys", "key", "k", "api-keys.view")
PAGE_SIZE = 50
SHOWN = ("name", "scope", "expires_on", "permissions")
STATES = {"active": "active", "expired": "over", "revoked": "revoked", "maker_left": "its maker left"}


@get("/keys", permission="api-keys.view", include_in_schema=False)
async def show_keys(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[str]:
    """The team's keys, newest first, and the form for another."""
    return await _show(request, caller, services, Form({"scope": ["all"]}))


@post("/keys", permission="api-keys.manage", include_in_schema=False)
async def make_key(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[Any]:
    """Make a key; it is on this answer only."""
    form = await read_form(request)
    try:
        if form.get("scope") not in ("all", "some"):
            raise Invalid({"scope": ["Choose all that you may, or only what is ticked."]})
        scopes = form.all("permissions") if form.get("scope") == "some" else None
        if scopes == []:
            raise Invalid({"permissions": ["Tick at least one box."]})
        made, key = await keys.make(
            services.pool, services.secrets.key_hash, caller, form.get("name"), scopes,
            _end(form.get("expires_on"), person_zone(request)),
        )  # fmt: skip
    except Invalid as error:
        wrong = {"expires_on" if name == "expires_at" else name: said for name, said in error.errors.items()}
        return await _show(request, caller, services, form.amiss(wrong, SHOWN), 422)
    except Refused as error:
        if error.status != 403:
            raise
        return await _show(request, caller, services, form.amiss({"": [error.message]}, ("",)), 403)
    return await _show(request, caller, services, Form({"scope": ["all"]}), made=(made, key))


@post("/keys/{api_key_id:str}/name", permission="api-keys.manage", include_in_schema=False)
async def rename_key(
    request: Request[Any, Any, Any],
    api_key_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[Any]:
    """Another name for a key."""
    await keys.get(services.pool, caller.team_id, api_key_id)
    form = await read_form(request)
    try:
        await keys.rename(services.pool, caller, api_key_id, form.get("name"))
    except Invalid as error:
        words = [message for messages in error.errors.values() for message in messages]
        return await _show(request, caller, services, Form({"scope": ["all"]}).amiss({"": words}, ("",)), 422)
    return Redirect("/keys?done=renamed", status_code=303)


@post("/keys/{api_key_id:str}/revoke", permission="api-keys.manage", include_in_schema=False)
async def revoke_key(
    request: Request[Any, Any, Any],
    api_key_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[Any]:
    """End a key, and the keys made with it unless they are to be kept."""
    form = await read_form(request)
    try:
        await keys.revoke(services.pool, caller, api_key_id, form.get("keep_made") == "yes")
    except Refused as error:
        if error.status != 403:
            raise
        return await _show(request, caller, services, Form({"scope": ["all"]}).amiss({"": [error.message]}, ("",)), 403)
    return Redirect("/keys?done=revoked", status_code=303)


async def _show(
    request: Request[Any, Any, Any],
    caller: Caller,
    services: Services,
    form: Form,
    status: int = 200,
    made: tuple[keys.Key, str] | None = None,
) -> Response[str]:
    where = address(request)
    number = where.number("page", 1, 10_000)
    rows = await keys.listed(services.pool, caller.team_id, PAGE_SIZE + 1, (number - 1) * PAGE_SIZE)
    return page(
        request, "keys/page.html", title="API keys", status=status, caller=caller, services=services, form=form, where=where,
        rows=rows[:PAGE_SIZE], more=len(rows) > PAGE_SIZE, number=number, first=(number - 1) * PAGE_SIZE + 1, made=made,
        grid=grid(caller), may_do=may_do, summary=summary, states=STATES, zone=person_zone(request),
        base_url=services.settings.api_base_url,
    )  # fmt: skip


def _end(text: str, zone: ZoneInfo) -> datetime | None:
    """The end of a day; None for ''. Raises Invalid."""
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=zone) + timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise Invalid({"expires_on": ["Write a day like 2026-12-31, or leave it empty."]}) from error


HANDLERS = (show_keys, make_key, rename_key, revoke_key)
