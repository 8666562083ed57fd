"""Creators' accounts: what is connected, how each fares, and the page of one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from tracker.access.caller import Caller
from tracker.dashboard.account_fare import JOBS, fare, offer_words, title
from tracker.dashboard.address import address
from tracker.dashboard.forms import read_form
from tracker.dashboard.navigation import Place
from tracker.dashboard.period import person_zone
from tracker.dashboard.providers import FORMS
from tracker.dashboard.rendering import page
from tracker.management import accounts
from tracker.management.accounts import Account, Job
from tracker.management.errors import Invalid
from tracker.management.services import Services

PLACE = Place("/accounts", "Accounts", "account", "c", "accounts.view")


@get("/accounts", permission="accounts.view", include_in_schema=False)
async def list_accounts(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[str]:
    """Every account with how it fares, those that need somebody first."""
    rows = await accounts.page(services, caller)
    zone, now = person_zone(request), datetime.now(UTC)
    where = address(request)
    search = where.get("search").lower()
    faring = {row.account_id: fare(row, zone, now) for row in rows}
    shown = [row for row in rows if search in f"{title(row)} {row.username} {row.provider_account_id}".lower()]
    order = {"bad": 0, "warn": 1}
    shown.sort(key=lambda row: order.get(faring[row.account_id].tone, 2))
    return page(
        request, "accounts/page.html", title="Accounts", caller=caller, services=services, where=where, rows=shown,
        fares=faring, forms=FORMS, name=title, reconciled=reconciled, offer_words=offer_words,
    )  # fmt: skip


@get("/accounts/{account_id:str}", permission="accounts.view", include_in_schema=False)
async def one_account(
    request: Request[Any, Any, Any],
    account_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """One account: its login, its pools, its work, and where its webhooks go."""
    one = await accounts.get(services, caller, account_id)
    return show(request, caller, services, one)


@post("/accounts/{account_id:str}/state", permission="accounts.manage", include_in_schema=False)
async def change_state(
    request: Request[Any, Any, Any],
    account_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Redirect:
    """Look at it now, or disconnect it."""
    wanted = (await read_form(request)).get("state")
    if wanted == "disconnected":
        await accounts.disconnect(services, caller, account_id)
        return Redirect("/accounts", status_code=303)
    if wanted != "look":
        raise Invalid({"state": ["The state must be look or disconnected."]})
    one = await accounts.reconnect(services, caller, account_id)
    return Redirect(f"/accounts/{one.account_id}?looking=1", status_code=303)


def show(
    request: Request[Any, Any, Any], caller: Caller, services: Services, one: Account, secret: str = ""
) -> Response[str]:
    """The page of an account; with `secret`, what to enter at the provider, which is shown this once."""
    zone = person_zone(request)
    return page(
        request, "accounts/one.html", title=title(one), caller=caller, services=services, one=one, name=title(one),
        shape=FORMS[one.provider], fare=fare(one, zone, datetime.now(UTC)), jobs=JOBS, zone=zone, where=address(request),
        webhook_url=accounts.webhook_url(services, one), secret=secret, offer_words=offer_words, has_run=has_run,
    )  # fmt: skip


def reconciled(account: Account) -> datetime | None:
    """When its links were last read; None before the first time."""
    found = [job.ran_at for job in account.jobs if job.job == "reconcile" and not job.failures and has_run(job)]
    return found[0] if found else None


def has_run(job: Job) -> bool:
    """Whether it was done at all: a new job is due when it is made, one that was done is due later."""
    return abs((job.due_at - job.ran_at).total_seconds()) > 1


HANDLERS = (list_accounts, one_account, change_state)
