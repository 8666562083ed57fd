"""Connecting an ad platform or a fan action, step by step, and changing it. The token goes in and never comes out."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from tracker.access.caller import Caller
from tracker.dashboard.forms import Form, read_form
from tracker.dashboard.kinds import FORMS, OUR_EVENTS, KindForm
from tracker.dashboard.pages.postback_form import MOST_LINKS
from tracker.dashboard.rendering import page
from tracker.management import connections, smart_links
from tracker.management.connections import ConnectionChange, NewConnection
from tracker.management.destinations import Destination
from tracker.management.errors import Invalid, not_found
from tracker.management.services import Services

SHOWN = ("name", "token", "smart_link_scope", "smart_link_ids")
DEFAULT, OFF, CUSTOM = "", "off", "custom"


@get("/platforms/new/{kind:str}", permission="connections.manage", include_in_schema=False)
async def new_platform(
    request: Request[Any, Any, Any],
    kind: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """The empty form of a kind."""
    shape = _shape(kind)
    start = {"smart_link_scope": ["global"], "name": [shape.title]}
    start |= {f"config.{field.name}": [field.default] for field in shape.fields if field.default}
    return await _show(request, caller, services, shape, Form(start), None)


@post("/platforms/new/{kind:str}", permission="connections.manage", include_in_schema=False)
async def create_platform(
    request: Request[Any, Any, Any],
    kind: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[Any]:
    """Connect it, or say what is wrong."""
    shape = _shape(kind)
    form = await read_form(request)
    try:
        made = await connections.create(services, caller, _converted(form, shape, None))
    except Invalid as error:
        return await _show(request, caller, services, shape, form.amiss(error.errors, _fields(shape)), None)
    return Redirect(f"/platforms/{made.destination_id}?saved=1", status_code=303)


@get("/platforms/{connection_id:str}/edit", permission="connections.manage", include_in_schema=False)
async def edit_platform(
    request: Request[Any, Any, Any],
    connection_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """The form with what the connection is, but its token."""
    one = await connections.get(services, caller, connection_id)
    shape = _shape(one.kind)
    return await _show(request, caller, services, shape, _form_of(one, shape), one)


@post("/platforms/{connection_id:str}/edit", permission="connections.manage", include_in_schema=False)
async def change_platform(
    request: Request[Any, Any, Any],
    connection_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[Any]:
    """Change it, or say what is wrong. An empty token field keeps the token."""
    one = await connections.get(services, caller, connection_id)
    shape = _shape(one.kind)
    form = await read_form(request)
    try:
        await connections.change(services, caller, one.destination_id, _converted(form, shape, one))
    except Invalid as error:
        return await _show(request, caller, services, shape, form.amiss(error.errors, _fields(shape)), one)
    return Redirect(f"/platforms/{one.destination_id}?saved=1", status_code=303)


def _shape(kind: str) -> KindForm:
    if kind not in FORMS:
        raise not_found("This kind of connection")
    return FORMS[kind]


def _fields(shape: KindForm) -> tuple[str, ...]:
    events = tuple(f"config.events.{name}" for name in OUR_EVENTS) if shape.names else ()
    return (*SHOWN, *(f"config.{field.name}" for field in shape.fields), *events)


async def _show(
    request: Request[Any, Any, Any],
    caller: Caller,
    services: Services,
    shape: KindForm,
    form: Form,
    one: Destination | None,
) -> Response[str]:
    links = await smart_links.page(services, caller, smart_links.Wanted(), MOST_LINKS, 0)
    return page(
        request, "platforms/form.html", title=f"Connect {shape.title}" if one is None else f"Edit {one.name or shape.title}",
        status=422 if form.wrong else 200, caller=caller, services=services, form=form, one=one, shape=shape, links=links,
        events=OUR_EVENTS,
    )  # fmt: skip


def _converted(form: Form, shape: KindForm, old: Destination | None) -> Any:
    """The form as what the operation takes. Raises Invalid naming every field that is wrong by itself."""
    wrong: dict[str, list[str]] = {}
    if old is None and not form.get("token"):
        wrong["token"] = [
            f"Paste the {shape.token[0].lower() + shape.token[1:] if shape.token[1:2].islower() else shape.token}."
        ]
    if len(form.get("name")) > 255:
        wrong["name"] = ["The name may have at most 255 characters."]
    if form.get("smart_link_scope") not in ("global", "campaign_specific"):
        wrong["smart_link_scope"] = ["Choose every smart link or some."]
    config: dict[str, Any] = dict(old.config) if old else {}
    for field in shape.fields:
        text = form.get(f"config.{field.name}")
        if field.type == "yes":
            config[field.name] = text == "yes"
        elif text:
            config[field.name] = text
        else:
            config.pop(field.name, None)
            if not field.default and field.name not in ("account_id",):
                wrong[f"config.{field.name}"] = [f"{field.label} is needed. {field.hint}".strip()]
    if shape.names is not None:
        config["events"] = _events(form)
    if wrong:
        raise Invalid(wrong)
    wish: dict[str, Any] = {
        "name": form.get("name"),
        "config": config,
        "smart_link_scope": form.get("smart_link_scope"),
        "smart_link_ids": form.all("smart_link_ids") if form.get("smart_link_scope") == "campaign_specific" else [],
    }
    if form.get("token"):
        wish["token"] = form.get("token")
    try:
        if old is None:
            return msgspec.convert({**wish, "kind": shape.kind}, NewConnection)
        return msgspec.convert(wish, ConnectionChange)
    except msgspec.ValidationError as error:
        raise Invalid({"": [str(error)]}) from error


def _events(form: Form) -> dict[str, Any]:
    """What was chosen per event of ours; what keeps the platform's usual event is left out."""
    chosen: dict[str, Any] = {}
    for name in OUR_EVENTS:
        choice = form.get(f"events.{name}")
        if choice == CUSTOM:
            chosen[name] = {"custom": form.get(f"custom.{name}")}
        elif choice != DEFAULT:
            chosen[name] = choice
    return chosen


def _form_of(one: Destination, shape: KindForm) -> Form:
    values: dict[str, list[str]] = {
        "name": [one.name],
        "smart_link_scope": [one.scope],
        "smart_link_ids": one.smart_link_ids,
    }
    for field in shape.fields:
        found = one.config.get(field.name, field.default if field.type != "yes" else field.default == "yes")
        values[f"config.{field.name}"] = ["yes" if found is True else "" if found is False else str(found)]
    for name, choice in one.config.get("events", {}).items():
        if isinstance(choice, dict):
            values[f"events.{name}"] = [CUSTOM]
            values[f"custom.{name}"] = [str(choice.get("custom", ""))]
        else:
            values[f"events.{name}"] = [str(choice)]
    return Form(values)


HANDLERS = (new_platform, create_platform, edit_platform, change_platform)
