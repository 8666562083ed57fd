"""Making and changing a postback: the template editor, with what it will send shown while it is written."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from postbacks.destinations.networks import PRESETS
from postbacks.facts import VARIABLES
from postbacks.templates import TemplateError, parse_json, parse_url, preview
from tracker.access.caller import Caller
from tracker.dashboard.forms import Form, read_form
from tracker.dashboard.pages.link_lists import TYPES
from tracker.dashboard.rendering import fragment, page
from tracker.management import postbacks, smart_links
from tracker.management.destinations import Destination
from tracker.management.errors import Invalid
from tracker.management.postbacks import NewPostback, PostbackChange
from tracker.management.services import Services

FIELDS = ("name", "url", "http_method", "body", "headers", "smart_link_scope", "smart_link_ids", "conversion_types")
MOST_LINKS = 1000
FIRST = (
    "external_click_id",
    "click_id",
    "conversion_id",
    "conversion_type",
    "amount_gross",
    "amount_net",
)  # what networks ask for
_BLANK = re.compile(r"<([a-z_]+)>")


@get("/postbacks/new", permission="postbacks.manage", include_in_schema=False)
async def new_postback(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[str]:
    """The empty form, or a network's template."""
    preset = PRESETS.get(request.query_params.get("preset", ""))
    start = {
        "http_method": ["GET"],
        "smart_link_scope": ["global"],
        "conversion_types": ["new_subscriber", "new_transaction"],
    }
    if preset is not None:
        start |= {"url": [preset.url], "name": [preset.title], "preset": [preset.name]}
    return await _show(request, caller, services, Form(start), None)


@post("/postbacks/new", permission="postbacks.manage", include_in_schema=False)
async def create_postback(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[Any]:
    """Make it, or say what is wrong with it."""
    form = await read_form(request)
    try:
        made = await postbacks.create(services, caller, _convert(form, NewPostback))
    except Invalid as error:
        return await _show(request, caller, services, form.amiss(error.errors, FIELDS), None)
    return Redirect(f"/postbacks/{made.destination_id}?saved=1", status_code=303)


@get("/postbacks/{postback_id:str}/edit", permission="postbacks.manage", include_in_schema=False)
async def edit_postback(
    request: Request[Any, Any, Any],
    postback_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """The form with what the postback is."""
    found = await postbacks.get(services, caller, postback_id)
    return await _show(request, caller, services, _form_of(found), found)


@post("/postbacks/{postback_id:str}/edit", permission="postbacks.manage", include_in_schema=False)
async def change_postback(
    request: Request[Any, Any, Any],
    postback_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[Any]:
    """Change it, or say what is wrong."""
    found = await postbacks.get(services, caller, postback_id)
    form = await read_form(request)
    try:
        await postbacks.change(services, caller, found.destination_id, _convert(form, PostbackChange))
    except Invalid as error:
        return await _show(request, caller, services, form.amiss(error.errors, FIELDS), found)
    return Redirect(f"/postbacks/{found.destination_id}?saved=1", status_code=303)


@post("/postbacks/preview", permission="postbacks.view", include_in_schema=False)
async def preview_postback(request: Request[Any, Any, Any]) -> Response[str]:
    """What the template makes of the sample conversion, or where its mistake is."""
    return fragment("postbacks/preview.html", **previewed(await read_form(request)))


def previewed(form: Form) -> dict[str, Any]:
    """What the preview shows: `lines` as sent, or `mistakes` as (field, words, text before, rest)."""
    lines: list[str] = []
    mistakes: list[tuple[str, str, str, str]] = []
    method = "POST" if form.get("http_method") == "POST" else "GET"
    url = form.get("url")
    blank = _BLANK.search(url)
    if blank:
        mistakes.append(
            (
                "Address",
                f"Put the network's own value in place of {blank[0]}.",
                url[: blank.start()],
                url[blank.start() :],
            )
        )
    elif url:
        try:
            lines.append(f"{method} {preview(parse_url(url))}")
        except TemplateError as error:
            mistakes.append(("Address", error.message, url[: error.position], url[error.position :]))
    body = form.get("body")
    if body and method == "POST":
        try:
            lines += ["", preview(parse_json(body))]
        except TemplateError as error:
            mistakes.append(("Body", error.message, body[: error.position], body[error.position :]))
    return {"lines": lines, "mistakes": mistakes}


async def _show(
    request: Request[Any, Any, Any], caller: Caller, services: Services, form: Form, one: Destination | None
) -> Response[str]:
    links = await smart_links.page(services, caller, smart_links.Wanted(), MOST_LINKS, 0)
    return page(
        request,
        "postbacks/form.html",
        title="New postback" if one is None else f"Edit {one.name or 'postback'}",
        status=422 if form.wrong else 200,
        caller=caller,
        services=services,
        form=form,
        one=one,
        links=links,
        types=TYPES,
        variables=[VARIABLES[name] for name in (*FIRST, *(name for name in VARIABLES if name not in FIRST))],
        networks=PRESETS.values(),
        preset=PRESETS.get(form.get("preset")),
        **previewed(form),
    )


def _convert(form: Form, kind: type[Any]) -> Any:
    """The form as what the operation takes. Raises Invalid naming every field that is wrong by itself."""
    wrong: dict[str, list[str]] = {}
    method = form.get("http_method")
    if method not in ("GET", "POST"):
        wrong["http_method"] = ["Choose GET or POST."]
    if form.get("smart_link_scope") not in ("global", "campaign_specific"):
        wrong["smart_link_scope"] = ["Choose every smart link or some."]
    if len(form.get("name")) > 255:
        wrong["name"] = ["The name may have at most 255 characters."]
    if not form.get("url"):
        wrong["url"] = ["Paste the address the network gave you, starting with https://."]
    elif blank := _BLANK.search(form.get("url")):
        wrong["url"] = [f"Put the network's own value in place of {blank[0]}."]
    types = [name for name in form.all("conversion_types") if name in TYPES]
    if not types:
        wrong["conversion_types"] = ["Choose at least one conversion to be told of."]
    headers = []
    for line in form.get("headers").splitlines():
        name, colon, value = line.partition(":")
        if line.strip() and not colon:
            wrong["headers"] = [
                f"Write each header on a line of its own as Name: value; this one has no colon: {line[:60]}"
            ]
        elif line.strip():
            headers.append({"name": name.strip(), "value": value.strip()})
    if wrong:
        raise Invalid(wrong)
    wish = {
        "name": form.get("name"),
        "url": form.get("url"),
        "http_method": method,
        "body": form.get("body") if method == "POST" else "",
        "headers": headers,
        "smart_link_scope": form.get("smart_link_scope"),
        "smart_link_ids": form.all("smart_link_ids") if form.get("smart_link_scope") == "campaign_specific" else [],
        "conversion_types": types,
    }
    try:
        return msgspec.convert(wish, kind)
    except msgspec.ValidationError as error:
        raise Invalid({"": [str(error)]}) from error


def _form_of(one: Destination) -> Form:
    headers = one.config.get("headers", {})
    return Form(
        {
            "name": [one.name],
            "url": [str(one.config["url"])],
            "http_method": [str(one.config.get("method", "GET"))],
            "body": [str(one.config.get("body", ""))],
            "headers": ["\n".join(f"{name}: {value}" for name, value in headers.items())],
            "smart_link_scope": [one.scope],
            "smart_link_ids": one.smart_link_ids,
            "conversion_types": one.event_types,
        }
    )


HANDLERS = (new_postback, create_postback, edit_postback, change_postback, preview_postback)
