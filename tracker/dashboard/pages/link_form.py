"""Making, changing, pausing and deleting a smart link."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from tracker.access.caller import Caller
from tracker.dashboard import subscriber_list
from tracker.dashboard.choices import choices
from tracker.dashboard.forms import Form, read_form
from tracker.dashboard.rendering import page
from tracker.inventory.offers import TRIAL_DURATIONS
from tracker.management import connections, postbacks, smart_links
from tracker.management.errors import Invalid
from tracker.management.services import Services
from tracker.management.smart_links import NewSmartLink, SmartLink, SmartLinkChange

FIELDS = (
    "account_id",
    "name",
    "link_type",
    "free_trial_days",
    "window_seconds",
    "fallback_url",
    "tags",
    "destination_ids",
    "list_id",
)
UNITS = {"minutes": 60, "hours": 3600, "days": 86400}
LONGEST_WINDOW = 2_592_000
MOST_DESTINATIONS = 200


@get("/links/new", permission="smart-links.manage", include_in_schema=False)
async def new_link(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[str]:
    """The empty form."""
    start = Form(
        {
            "link_type": ["tracking_link"],
            "window": ["6"],
            "unit": ["hours"],
            "account_id": [request.query_params.get("account", "")],
        }
    )
    return await _show(request, caller, services, start, None)


@post("/links/new", permission="smart-links.manage", include_in_schema=False)
async def create_link(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[Any]:
    """Make it, or say what is wrong with it."""
    form = await read_form(request)
    try:
        wish = _convert(form, NewSmartLink, {"account_id": form.get("account_id")})
        wanted = await subscriber_list.checked(services, caller, wish.account_id, form.get("list_id"))
        made = await smart_links.create(services, caller, wish)
        await subscriber_list.attach(services, caller, made.smart_link_id, wanted)
    except Invalid as error:
        return await _show(request, caller, services, form.amiss(error.errors, FIELDS), None)
    return Redirect(f"/links/{made.smart_link_id}?made=1", status_code=303)


@get("/links/{smart_link_id:str}/edit", permission="smart-links.manage", include_in_schema=False)
async def edit_link(
    request: Request[Any, Any, Any],
    smart_link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """The form with what the link is."""
    link = await smart_links.get(services, caller, smart_link_id)
    return await _show(request, caller, services, _form_of(link), link)


@post("/links/{smart_link_id:str}/edit", permission="smart-links.manage", include_in_schema=False)
async def change_link(
    request: Request[Any, Any, Any],
    smart_link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[Any]:
    """Change it, or say what is wrong."""
    link = await smart_links.get(services, caller, smart_link_id)
    form = await read_form(request)
    try:
        wish = _convert(form, SmartLinkChange, {})
        wanted = await subscriber_list.checked(services, caller, link.account_id, form.get("list_id"))
        await smart_links.change(services, caller, link.smart_link_id, wish)
        await subscriber_list.attach(services, caller, link.smart_link_id, wanted)
    except Invalid as error:
        return await _show(request, caller, services, form.amiss(error.errors, FIELDS), link)
    return Redirect(f"/links/{link.smart_link_id}?changed=1", status_code=303)


@post("/links/{smart_link_id:str}/state", permission="smart-links.manage", include_in_schema=False)
async def change_state(
    request: Request[Any, Any, Any],
    smart_link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Redirect:
    """Pause, resume or delete."""
    wanted = (await read_form(request)).get("state")
    if wanted == "deleted":
        await smart_links.delete(services, caller, smart_link_id)
        return Redirect("/links", status_code=303)
    if wanted not in ("active", "paused"):
        raise Invalid({"state": ["The state must be active, paused or deleted."]})
    link = await smart_links.change(
        services, caller, smart_link_id, SmartLinkChange(state="paused" if wanted == "paused" else "active")
    )
    return Redirect(f"/links/{link.smart_link_id}?changed=1", status_code=303)


async def _show(
    request: Request[Any, Any, Any], caller: Caller, services: Services, form: Form, link: SmartLink | None
) -> Response[str]:
    can_choose, pixels, urls = await asyncio.gather(
        choices(services.pool, caller.team_id),
        connections.page(services, caller, MOST_DESTINATIONS),
        postbacks.page(services, caller, MOST_DESTINATIONS),
    )
    destinations = [*pixels, *urls]
    return page(
        request,
        "link/form.html",
        title="New smart link" if link is None else f"Edit {link.name}",
        status=422 if form.wrong else 200,
        caller=caller,
        services=services,
        form=form,
        link=link,
        choices=can_choose,
        durations=sorted(TRIAL_DURATIONS),
        units=tuple(UNITS),
        everywhere=[one for one in destinations if one.scope == "global"],
        chosen=[one for one in destinations if one.scope != "global"],
    )


def _convert(form: Form, kind: type[Any], fixed: dict[str, Any]) -> Any:
    """The form as what the operation takes. Raises Invalid naming every field that is wrong by itself."""
    wrong: dict[str, list[str]] = {}
    wish: dict[str, Any] = {
        **fixed,
        "name": form.get("name"),
        "link_type": form.get("link_type"),
        "fallback_url": form.get("fallback_url"),
        "tags": [tag.strip() for tag in form.get("tags").split(",") if tag.strip()],
        "destination_ids": form.all("destination_ids"),
    }
    if "account_id" in wish and not wish["account_id"]:
        wrong["account_id"] = ["Choose the account whose page the link leads to."]
    if not wish["name"]:
        wrong["name"] = ["Give the link a name, for example the network, the creator and the creative."]
    if wish["link_type"] == "free_trial":
        if form.get("free_trial_days") in {str(days) for days in TRIAL_DURATIONS}:
            wish["free_trial_days"] = int(form.get("free_trial_days"))
        else:
            wrong["free_trial_days"] = ["Choose how many days the trial lasts."]
    try:
        seconds = round(float(form.get("window").replace(",", ".")) * UNITS[form.get("unit")])
    except (ValueError, KeyError, OverflowError):
        seconds = 0
    if 1 <= seconds <= LONGEST_WINDOW:
        wish["window_seconds"] = seconds
    else:
        wrong["window_seconds"] = ["The window must be a number: at least a second, at most 30 days."]
    for name in wish:
        try:
            msgspec.convert({**{key: value for key, value in wish.items() if key == name}, **_filler(kind, name)}, kind)
        except msgspec.ValidationError as error:
            wrong.setdefault(name, [_plain(name, str(error))])
    if wrong:
        raise Invalid(wrong)
    return msgspec.convert(wish, kind)


def _filler(kind: type[Any], name: str) -> dict[str, Any]:
    """Valid values for what `kind` requires besides the field looked at."""
    needed = {"account_id": "x", "name": "x", "link_type": "tracking_link"} if kind is NewSmartLink else {}
    return {key: value for key, value in needed.items() if key != name}


def _plain(name: str, message: str) -> str:
    if name == "name":
        return "The name may have at most 255 characters."
    if name == "fallback_url":
        return "The fallback address may have at most 2,048 characters."
    if name == "tags":
        return "At most 50 tags, each at most 100 characters long."
    if name == "link_type":
        return "Choose a tracking link or a free trial."
    return message.split(" - at ")[0] + "."


def _form_of(link: SmartLink) -> Form:
    unit = next(
        name for name in ("days", "hours", "minutes") if link.window_seconds % UNITS[name] == 0 or name == "minutes"
    )
    amount = link.window_seconds / UNITS[unit]
    return Form(
        {
            "account_id": [link.account_id],
            "name": [link.name],
            "link_type": [link.link_type],
            "free_trial_days": [str(link.free_trial_days or "")],
            "window": [f"{amount:g}"],
            "unit": [unit],
            "fallback_url": [link.fallback_url],
            "tags": [", ".join(link.tags)],
            "destination_ids": list(link.destination_ids),
        }
    )


HANDLERS = (new_link, create_link, edit_link, change_link, change_state)
