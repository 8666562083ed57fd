"""Accounts: creators' platform accounts connected to a team. Ours, and the vendor's list (upstream 1.5)."""

from __future__ import annotations

from typing import Any

from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from tracker.access.caller import Caller
from tracker.api.envelope import envelope
from tracker.management import accounts
from tracker.management.accounts import Account, AccountChange, NewAccount
from tracker.management.services import Services


@post("/api/connected-accounts", status_code=201, permission="accounts.manage")
async def create_account(
    data: JSONBody[NewAccount], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Connect an account. Answers with the webhook URL and secret to enter at the provider; the secret is shown once."""
    made, webhook = await accounts.create(services, caller, data)
    return envelope(
        {
            "id": made.account_id,
            "provider": made.provider,
            "provider_account_id": made.provider_account_id,
            "webhook_url": webhook.url,
            "webhook_secret": webhook.secret,
        }
    )


@get("/api/connected-accounts", permission="accounts.view")
async def list_accounts(caller: NamedDependency[Caller], services: NamedDependency[Services]) -> dict[str, Any]:
    """The team's accounts and their health, in words."""
    return envelope([account(row) for row in await accounts.page(services, caller)])


@get("/api/connected-accounts/{account_id:str}", permission="accounts.view")
async def get_account(
    account_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """One account and its health."""
    found = await accounts.get(services, caller, account_id)
    return envelope({**account(found), "webhook_url": accounts.webhook_url(services, found)})


@patch("/api/connected-accounts/{account_id:str}", permission="accounts.manage")
async def change_account(
    account_id: FromPath[str],
    data: JSONBody[AccountChange],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Give an account another provider key, webhook secret, import prefix or profile page; it is looked at again at once."""
    changed, secret = await accounts.change(services, caller, account_id, data)
    return envelope({**account(changed), **({"webhook_secret": secret} if secret else {})})


@post("/api/connected-accounts/{account_id:str}/reconnect", status_code=200, permission="accounts.manage")
async def reconnect_account(
    account_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Look at the account's login now, and let all its work that backed off run again."""
    return envelope(account(await accounts.reconnect(services, caller, account_id)))


@get("/api/accounts", permission="accounts.view")
async def list_vendor_accounts(
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    onlyfans_id: FromQuery[str | None] = None,
    onlyfans_username: FromQuery[str | None] = None,
    onlyfans_email: FromQuery[str | None] = None,
) -> list[dict[str, Any]]:
    """The team's accounts as the vendor lists them: a bare array. E-mail addresses are not known here, so none is found by one."""
    if onlyfans_email:
        return []
    rows = await accounts.page(services, caller, onlyfans_id=onlyfans_id or None, username=onlyfans_username or None)
    return [vendor_account(row) for row in rows]


@delete(
    ["/api/accounts/{account_id:str}", "/api/connected-accounts/{account_id:str}"],
    status_code=200,
    permission="accounts.manage",
)
async def disconnect_account(
    account_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Disconnect an account: its credentials are forgotten, its work stops, its smart links pause; fans and credits stay."""
    await accounts.disconnect(services, caller, account_id)
    return envelope({"success": True})


def account(row: Account) -> dict[str, Any]:
    """An account as the API shows it; never its credentials."""
    return {
        "id": row.account_id,
        "provider": row.provider,
        "provider_account_id": row.provider_account_id,
        "onlyfans_id": row.platform_user_id,
        "username": row.username,
        "display_name": row.display_name,
        "profile_url": row.profile_url,
        "subscribe_price": None if row.subscribe_price_cents is None else row.subscribe_price_cents / 100,
        "import_prefix": row.import_prefix,
        "session": {
            "state": row.session_state,
            "message": row.session_message,
            "since": row.session_changed_at.isoformat(),
        },
        "pooled_links": row.pooled_links,
        "smart_links_count": row.smart_links,
        "needs_attention": row.needs_attention,
        "last_error": row.last_error,
        "last_webhook_at": row.last_webhook_at and row.last_webhook_at.isoformat(),
        "work": [
            {
                "job": job.job,
                "next_run_at": job.due_at.isoformat(),
                "last_run_at": job.ran_at.isoformat(),
                "failures": job.failures,
                "last_error": job.last_error,
            }
            for job in row.jobs
        ],
        "created_at": row.created_at.isoformat(),
    }


def vendor_account(row: Account) -> dict[str, Any]:
    """An account as the vendor's list shows it."""
    signed_in = row.session_state == "ok"
    number = int(row.platform_user_id) if row.platform_user_id.isdigit() else None
    return {
        "id": row.account_id,
        "onlyfans_id": number,
        "onlyfans_username": row.username,
        "onlyfans_email": None,
        "display_name": row.display_name or row.username,
        "is_authenticated": signed_in,
        "authentication_progress": "signed_in" if signed_in else row.session_state,
        "onlyfans_user_data": {"id": number, "name": row.display_name, "username": row.username},
    }
