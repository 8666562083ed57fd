"""Creators' platform accounts: connected, watched, mended, disconnected."""

from __future__ import annotations

import secrets as random
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import UNSET, UnsetType

from tracker.access.audit import record
from tracker.accounts.work import JOBS
from tracker.accounts.work import wake as wake_job
from tracker.clicklog import WAKE_CHANNEL
from tracker.inbox.receive import seal_secrets
from tracker.inventory.publish import publish_account
from tracker.management.errors import Invalid, Refused, not_found
from tracker.providers.registry import PROVIDERS
from tracker.stores.postgres import Connection
from tracker.stores.queries import load_queries

if TYPE_CHECKING:
    from tracker.access.caller import Caller
    from tracker.management.services import Services

SQL = load_queries("tracker.management", "accounts.sql")
WHAT = "This account"

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Secret = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\n\x00]*$")]
Prefix = Annotated[str, msgspec.Meta(max_length=64)]


class NewAccount(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What connecting an account takes. webhook_secret: made here when absent. import_prefix: where a provider cannot make
    links (Onlymonster), the creator's links whose names begin so join the pools; absent: none."""

    provider_account_id: Text
    api_key: Text
    provider: str = "onlyfansapi"
    username: Annotated[str, msgspec.Meta(max_length=100)] = ""
    webhook_secret: Secret = ""
    import_prefix: Prefix | None = None


class AccountChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What may change of an account. Absent fields stay. `webhook_secret: ""` makes a new one, shown once."""

    api_key: Text | UnsetType = UNSET
    webhook_secret: Secret | UnsetType = UNSET
    import_prefix: Prefix | UnsetType | None = UNSET
    profile_url: Annotated[str, msgspec.Meta(max_length=2048)] | UnsetType = UNSET


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of periodic work for an account, and how it fares."""

    job: str
    due_at: datetime
    ran_at: datetime
    failures: int
    last_error: str | None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A connected account, without its credentials. `pooled_links`: ready links per pool."""

    account_id: str
    provider: str
    provider_account_id: str
    platform_user_id: str
    username: str
    display_name: str
    profile_url: str
    subscribe_price_cents: int | None
    import_prefix: str | None
    session_state: str
    session_message: str
    session_changed_at: datetime
    created_at: datetime
    pooled_links: dict[str, int]
    jobs: list[Job]
    smart_links: int
    last_webhook_at: datetime | None

    @property
    def last_error(self) -> str | None:
        """What went wrong with its work lately, in words."""
        return " ".join(dict.fromkeys(job.last_error for job in self.jobs if job.failures and job.last_error)) or None

    @property
    def needs_attention(self) -> bool:
        """Whether a person must do something."""
        return self.session_state == "dead" or any(job.failures >= 3 for job in self.jobs)


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """What to enter at the provider; the secret is shown once."""

    url: str
    secret: str


async def page(
    services: Services, caller: Caller, *, onlyfans_id: str | None = None, username: str | None = None
) -> list[Account]:
    """The team's accounts in the order they were connected."""
    rows = await services.pool.fetch(SQL["page"], caller.team_id, None, onlyfans_id, username)
    return [msgspec.convert(dict(row), Account) for row in rows]


async def get(services: Services, caller: Caller, account_id: str) -> Account:
    """One account. Raises Refused (404)."""
    row = await services.pool.fetchrow(SQL["page"], caller.team_id, account_id, None, None)
    if row is None:
        raise not_found(WHAT)
    return msgspec.convert(dict(row), Account)


async def create(services: Services, caller: Caller, new: NewAccount) -> tuple[Account, Webhook]:
    """Connect an account; one that was disconnected before finds its fans and credits again. Raises Invalid, Refused (409)."""
    if new.provider not in PROVIDERS:
        raise Invalid({"provider": [f"The provider must be one of: {', '.join(sorted(PROVIDERS))}."]})
    secret = new.webhook_secret or random.token_urlsafe(32)
    async with services.pool.acquire() as connection, connection.transaction():
        shard = await connection.fetchval(SQL["count"]) % services.settings.shards
        account_id = await connection.fetchval(
            SQL["insert"], "acct_" + random.token_hex(16), caller.team_id, new.provider, new.provider_account_id,
            new.username, shard, new.import_prefix,
        )  # fmt: skip
        if account_id is None:
            raise Refused(
                409, "ALREADY_CONNECTED", f"The account {new.provider_account_id} is already connected to your team."
            )
        await connection.execute(
            SQL["set_secrets"], caller.team_id, account_id, _sealed_key(services, account_id, new.api_key),
            seal_secrets(services.secrets, account_id, secret),
        )  # fmt: skip
        for job in JOBS:
            await wake_job(connection, account_id, job)
        detail = {"provider": new.provider, "provider_account_id": new.provider_account_id}
        await record(connection, caller, "account.connected", "account", account_id, detail)
    await services.redis.publish(WAKE_CHANNEL, b"jobs")
    account = await get(services, caller, account_id)
    return account, Webhook(url=webhook_url(services, account), secret=secret)


async def change(
    services: Services, caller: Caller, account_id: str, wish: AccountChange
) -> tuple[Account, str | None]:
    """Give an account another credential, webhook secret or import prefix; returns a webhook secret made here, else None.

    Raises Invalid, Refused (404). The account is looked at again at once.
    """
    if wish.profile_url is not UNSET and wish.profile_url and not wish.profile_url.startswith(("https://", "http://")):
        raise Invalid({"profile_url": ["The profile url must start with https:// or http://."]})
    made = random.token_urlsafe(32) if wish.webhook_secret == "" else None
    async with services.pool.acquire() as connection, connection.transaction():
        if await connection.fetchrow(SQL["held"], caller.team_id, account_id) is None:
            raise not_found(WHAT)
        key = None if wish.api_key is UNSET else _sealed_key(services, account_id, wish.api_key)
        secret = made or (None if wish.webhook_secret is UNSET else wish.webhook_secret)
        sealed = None if secret is None else seal_secrets(services.secrets, account_id, secret)
        await connection.execute(SQL["set_secrets"], caller.team_id, account_id, key, sealed)
        given = wish.import_prefix is not UNSET
        prefix = wish.import_prefix if given else None
        url = None if wish.profile_url is UNSET else wish.profile_url
        await connection.execute(SQL["update"], caller.team_id, account_id, given, prefix, url)
        await _look_again(connection, account_id)
        changed = [name for name in wish.__struct_fields__ if getattr(wish, name) is not UNSET]
        await record(connection, caller, "account.changed", "account", account_id, {"changed": changed})
    await services.redis.publish(WAKE_CHANNEL, b"jobs")
    return await get(services, caller, account_id), made


async def reconnect(services: Services, caller: Caller, account_id: str) -> Account:
    """Look at the account's login now, and let all its work that backed off run again. Raises Refused (404)."""
    async with services.pool.acquire() as connection, connection.transaction():
        if await connection.fetchrow(SQL["held"], caller.team_id, account_id) is None:
            raise not_found(WHAT)
        await _look_again(connection, account_id)
        await record(connection, caller, "account.reconnect_asked", "account", account_id)
    await services.redis.publish(WAKE_CHANNEL, b"jobs")
    return await get(services, caller, account_id)


async def disconnect(services: Services, caller: Caller, account_id: str) -> None:
    """Forget an account's credentials, stop its work and pause its smart links; fans and credits stay. Raises Refused (404)."""
    async with services.pool.acquire() as connection, connection.transaction():
        if await connection.fetchrow(SQL["held"], caller.team_id, account_id) is None:
            raise not_found(WHAT)
        await connection.execute(SQL["drop_jobs"], account_id)
        await connection.execute(SQL["disconnect"], caller.team_id, account_id)
        paused = await connection.fetch(SQL["pause_links"], caller.team_id, account_id)
        detail = {"paused_smart_links": [row["smart_link_id"] for row in paused]}
        await record(connection, caller, "account.disconnected", "account", account_id, detail)
    await publish_account(services.pool, services.redis, account_id, services.settings.platform_url)


def webhook_url(services: Services, account: Account) -> str:
    """Where the provider sends the account's events."""
    return f"{services.settings.api_base_url}/webhooks/{account.provider}/{account.account_id}"


async def _look_again(connection: Connection, account_id: str) -> None:
    for job in JOBS:
        await wake_job(connection, account_id, job, urgent=True)


def _sealed_key(services: Services, account_id: str, api_key: str) -> bytes:
    return services.secrets.seal(api_key.encode(), f"account:{account_id}:api_key")
