"""Accounts: creators' platform accounts connected to a team."""

from __future__ import annotations

import secrets as random
from typing import Annotated, Any

import asyncpg
import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from tracker.accounts.jobs import JOBS
from tracker.accounts.jobs import wake as wake_job
from tracker.api.auth import SQL, Caller
from tracker.api.envelope import envelope
from tracker.api.errors import Invalid, Refused, not_found
from tracker.api.services import Services
from tracker.clicklog import WAKE_CHANNEL
from tracker.providers.registry import PROVIDERS

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class NewAccount(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What connecting an account takes. webhook_secret: made here when absent. import_prefix: where a provider cannot make
    links (Onlymonster), the creator's links whose names begin so join the pools; absent: none."""

    provider_account_id: Text
    api_key: Text
    provider: str = "onlyfansapi"
    username: Annotated[str, msgspec.Meta(max_length=100)] = ""
    webhook_secret: Annotated[str, msgspec.Meta(max_length=200)] = ""
    import_prefix: Annotated[str, msgspec.Meta(max_length=64)] | None = None


@post("/api/connected-accounts", status_code=201)
async def create_account(
    data: JSONBody[NewAccount], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Connect an account. Answers with the webhook URL and secret to enter at the provider; the secret is shown once."""
    if data.provider not in PROVIDERS:
        raise Invalid({"provider": [f"The provider must be one of: {', '.join(sorted(PROVIDERS))}."]})
    account_id = "acct_" + random.token_hex(16)
    secret = data.webhook_secret or random.token_urlsafe(32)
    async with services.pool.acquire() as connection, connection.transaction():
        shard = await connection.fetchval(SQL["count_accounts"]) % services.settings.shards
        seal = services.secrets.seal
        made = await connection.fetchval(
            SQL["insert_account"], account_id, caller.team_id, data.provider, data.provider_account_id, data.username, shard,
            seal(data.api_key.encode(), f"account:{account_id}:api_key"),
            seal(secret.encode(), f"account:{account_id}:webhook_secret"), data.import_prefix,
        )  # fmt: skip
        if made is None:
            raise Refused(
                409, "ALREADY_CONNECTED", f"The account {data.provider_account_id} is already connected to your team."
            )
        for job in JOBS:
            await wake_job(connection, account_id, job)
    await services.redis.publish(WAKE_CHANNEL, b"jobs")
    base = services.settings.api_base_url
    return envelope(
        {
            "id": account_id,
            "provider": data.provider,
            "provider_account_id": data.provider_account_id,
            "webhook_url": f"{base}/webhooks/{data.provider}/{account_id}",
            "webhook_secret": secret,
        }
    )


@get("/api/connected-accounts")
async def list_accounts(caller: NamedDependency[Caller], services: NamedDependency[Services]) -> dict[str, Any]:
    """The team's accounts and their health, in words."""
    rows = await services.pool.fetch(SQL["accounts"], caller.team_id, None)
    return envelope([account(row) for row in rows])


@get("/api/connected-accounts/{account_id:str}")
async def get_account(
    account_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """One account and its health."""
    row = await services.pool.fetchrow(SQL["accounts"], caller.team_id, account_id)
    if row is None:
        raise not_found("This account")
    return envelope(account(row))


def account(row: asyncpg.Record) -> dict[str, Any]:
    """An account as the API shows it; never its credentials."""
    return {
        "id": row["account_id"],
        "provider": row["provider"],
        "provider_account_id": row["provider_account_id"],
        "onlyfans_id": row["platform_user_id"],
        "username": row["username"],
        "display_name": row["display_name"],
        "profile_url": row["profile_url"],
        "subscribe_price": None if row["subscribe_price_cents"] is None else row["subscribe_price_cents"] / 100,
        "session": {
            "state": row["session_state"],
            "message": row["session_message"],
            "since": row["session_changed_at"].isoformat(),
        },
        "pooled_links": row["pools"] or {},
        "last_error": row["last_error"],
        "created_at": row["created_at"].isoformat(),
    }
