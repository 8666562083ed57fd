"""Connecting a creator's account, step by step, and changing its key. Keys go in and never come out."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from tracker.access.caller import Caller
from tracker.dashboard.account_fare import title
from tracker.dashboard.forms import Form, read_form
from tracker.dashboard.pages.accounts import show
from tracker.dashboard.providers import FORMS, ProviderForm
from tracker.dashboard.rendering import page
from tracker.management import accounts
from tracker.management.accounts import Account, AccountChange, NewAccount
from tracker.management.errors import Invalid, Refused, not_found
from tracker.management.services import Services

SHOWN = ("provider_account_id", "api_key", "username", "import_prefix", "profile_url", "webhook_secret")
LONGEST = {"provider_account_id": 200, "api_key": 200, "username": 100, "import_prefix": 64, "webhook_secret": 200}


@get("/accounts/new", permission="accounts.manage", include_in_schema=False)
async def choose_provider(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[str]:
    """Through which provider the account is reached."""
    return page(
        request, "accounts/choose.html", title="Connect an account", caller=caller, services=services, forms=FORMS.values()
    )  # fmt: skip


@get("/accounts/new/{provider:str}", permission="accounts.manage", include_in_schema=False)
async def new_account(
    request: Request[Any, Any, Any],
    provider: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """The empty form of a provider."""
    return _show(request, caller, services, _shape(provider), Form(), None)


@post("/accounts/new/{provider:str}", status_code=200, permission="accounts.manage", include_in_schema=False)
async def create_account(
    request: Request[Any, Any, Any],
    provider: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[Any]:
    """Connect it and show what to enter at the provider, or say what is wrong."""
    shape = _shape(provider)
    form = await read_form(request)
    try:
        wish = _checked(form, {"provider_account_id": shape.reference, "api_key": shape.key}, ("username",))
        if shape.imports:
            wish["import_prefix"] = form.get("import_prefix") or None
            _measure({"import_prefix": form.get("import_prefix")})
        made, webhook = await accounts.create(services, caller, NewAccount(provider=provider, **wish))
    except Invalid as error:
        return _show(request, caller, services, shape, form.amiss(error.errors, SHOWN), None)
    except Refused as error:
        if error.status != 409:
            raise
        return _show(
            request, caller, services, shape, form.amiss({"provider_account_id": [error.message]}, SHOWN), None
        )
    return show(request, caller, services, made, webhook.secret)


@get("/accounts/{account_id:str}/edit", permission="accounts.manage", include_in_schema=False)
async def edit_account(
    request: Request[Any, Any, Any],
    account_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """The form with what the account is, but its key."""
    one = await accounts.get(services, caller, account_id)
    start = {"import_prefix": [one.import_prefix or ""], "profile_url": [one.profile_url]}
    return _show(request, caller, services, _shape(one.provider), Form(start), one)


@post("/accounts/{account_id:str}/edit", permission="accounts.manage", include_in_schema=False)
async def change_account(
    request: Request[Any, Any, Any],
    account_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[Any]:
    """Change it, or say what is wrong. Empty fields of secrets keep what there is."""
    one = await accounts.get(services, caller, account_id)
    shape = _shape(one.provider)
    form = await read_form(request)
    wish: dict[str, Any] = {name: form.get(name) for name in ("api_key", "webhook_secret") if form.get(name)}
    if "profile_url" in form.values:
        wish["profile_url"] = form.get("profile_url")
    if shape.imports and "import_prefix" in form.values:
        wish["import_prefix"] = form.get("import_prefix") or None
    try:
        _measure(wish)
        await accounts.change(services, caller, account_id, AccountChange(**wish))
    except Invalid as error:
        return _show(request, caller, services, shape, form.amiss(error.errors, SHOWN), one)
    return Redirect(f"/accounts/{account_id}?saved=1", status_code=303)


@post("/accounts/{account_id:str}/secret", status_code=200, permission="accounts.manage", include_in_schema=False)
async def new_secret(
    request: Request[Any, Any, Any],
    account_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[Any]:
    """Make another webhook secret and show it this once."""
    if (await read_form(request)).get("sure") != "yes":
        raise Invalid({"sure": ["Press the button on the account's page: the secret in use stops being good at once."]})
    one, secret = await accounts.change(
        services, caller, account_id, msgspec.convert({"webhook_secret": ""}, AccountChange)
    )
    return show(request, caller, services, one, secret or "")


def _shape(provider: str) -> ProviderForm:
    if provider not in FORMS:
        raise not_found("This provider")
    return FORMS[provider]


def _checked(form: Form, needed: dict[str, str], more: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a new account. Raises Invalid naming all that are wrong by themselves."""
    wrong = {name: [f"{label} is needed."] for name, label in needed.items() if not form.get(name)}
    found = {name: form.get(name) for name in (*needed, *more)}
    if found.get("provider_account_id", "").startswith(("http://", "https://")):
        wrong["provider_account_id"] = ["This is an address; only the id in it is needed."]
    _measure(found, wrong)
    return found


def _measure(values: dict[str, Any], wrong: dict[str, list[str]] | None = None) -> None:
    """Raises Invalid for texts that are too long, together with what is wrong already."""
    wrong = wrong or {}
    for name, most in LONGEST.items():
        text = values.get(name) or ""
        if len(text) > most:
            wrong[name] = [f"At most {most} characters."]
        elif "\n" in text or not text.isprintable():
            wrong[name] = ["It must be one line of plain text."]
    if len(values.get("profile_url") or "") > 2048:
        wrong["profile_url"] = ["At most 2,048 characters."]
    if wrong:
        raise Invalid(wrong)


def _show(
    request: Request[Any, Any, Any],
    caller: Caller,
    services: Services,
    shape: ProviderForm,
    form: Form,
    one: Account | None,
) -> Response[str]:
    return page(
        request, "accounts/form.html", title="Edit account" if one else f"Connect through {shape.title}",
        status=422 if form.wrong else 200, caller=caller, services=services, form=form, one=one, shape=shape,
        name=title(one) if one else "",
    )  # fmt: skip


HANDLERS = (choose_provider, new_account, create_account, edit_account, change_account, new_secret)
