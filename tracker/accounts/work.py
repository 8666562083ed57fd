"""What an account job works with, and how anybody asks for one to run."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from tracker.providers.base import AccountClient, Job, SessionState
from tracker.settings import Settings
from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries
from tracker.stores.valkey import Client

SQL = load_queries("tracker.accounts", "jobs.sql")
JOBS: tuple[Job, ...] = ("session", "pools", "reconcile", "transactions", "messages")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account as its jobs see it; the credential stays sealed."""

    account_id: str
    provider: str
    provider_account_id: str
    platform_user_id: str
    username: str
    profile_url: str
    shard: int
    api_key_sealed: bytes | None
    session_state: SessionState
    session_changed_at: datetime
    created_at: datetime
    import_prefix: str | None = None


@dataclass
class Run:
    """One run of one job. `state` is kept between runs that succeed; handlers change it in place."""

    pool: Pool
    redis: Client
    settings: Settings
    account: Account
    client: AccountClient
    state: dict[str, Any] = field(default_factory=dict)
    problem: str = ""  # something a person should see although the run went on

    @property
    def platform_url(self) -> str:
        """Where the account's links and page live."""
        return self.settings.fansly_url if self.account.provider == "fansly" else self.settings.platform_url

    def now(self) -> datetime:
        """The present, UTC."""
        return datetime.now(UTC)


async def wake(
    connection: Connection | Pool, account_id: str, job: Job, delay: float = 0.0, *, urgent: bool = False
) -> None:
    """Have a job run within `delay` seconds. A job that is backing off keeps its pause unless `urgent`."""
    await connection.execute(SQL["wake"], account_id, job, float(delay), urgent)


async def load_account(connection: Connection | Pool, account_id: str) -> Account | None:
    """The account, None when it is gone."""
    row = await connection.fetchrow(SQL["account"], account_id)
    return None if row is None else Account(**dict(row))
