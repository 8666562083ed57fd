"""One connected account on the fake platform: what the account jobs, the keeper and the inbox are tested with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import msgspec

from loadtests.emulators.platform import Platform, running_platform
from loadtests.emulators.platform.records import Account as EmulatedAccount
from loadtests.emulators.platform.records import Link
from tracker.accounts import reconcile, session, transactions
from tracker.accounts.work import Run, load_account
from tracker.inbox.receive import seal_secrets
from tracker.inventory import keeper
from tracker.inventory.offers import offer_name
from tracker.providers.base import Job
from tracker.providers.registry import Providers
from tracker.secrets import Secrets
from tracker.settings import Settings
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

ACCOUNT = "acct_home"
KEY = "test-key"
SECRET = "whsec_current"
SECRETS = Secrets("an installation key of a test, long enough")
HANDLERS = {
    "session": session.check,
    "pools": keeper.keep,
    "reconcile": reconcile.reconcile,
    "transactions": transactions.poll,
}


@dataclass
class Bench:
    """The product's side (`pool`, `redis`, `settings`) and the platform's (`platform`, `creator`) of one account."""

    pool: Pool
    redis: Client
    settings: Settings
    platform: Platform
    creator: EmulatedAccount
    providers: Providers
    states: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def run(self, job: Job) -> Run:
        """Run a job once, its state kept from run to run as the worker does. Raises ProviderError as the job does."""
        account = await load_account(self.pool, ACCOUNT)
        assert account is not None
        client = self.providers.account("onlyfansapi", account.provider_account_id, KEY)
        run = Run(self.pool, self.redis, self.settings, account, client, dict(self.states.get(job, {})))
        self.next_in = await HANDLERS[job](run)
        self.states[job] = msgspec.json.decode(msgspec.json.encode(run.state))
        return run

    async def links(self, state: str | None = "ready") -> list[asyncpg.Record]:
        """Our inventory rows."""
        return await self.pool.fetch(
            "SELECT * FROM inventory_links WHERE $1::text IS NULL OR state = $1 ORDER BY inventory_link_id", state
        )

    async def events(self, kind: str) -> list[asyncpg.Record]:
        """Platform events of a kind."""
        return await self.pool.fetch("SELECT * FROM platform_events WHERE kind = $1 ORDER BY at, event_key", kind)

    def made(self, kind: str = "tracking") -> list[Link]:
        """What the platform really has."""
        return self.platform.world.links.of_account(self.creator.id, kind)  # type: ignore[arg-type]

    def calls(self, part: str = "") -> int:
        """Calls the platform counted whose route contains `part`."""
        routes = self.platform.world.ledger.by_route()
        return sum(int(totals["calls"]) for route, totals in routes.items() if part in route)

    def credits(self) -> int:
        """Credits spent so far."""
        return self.platform.world.ledger.used

    def real_link(self, row: asyncpg.Record) -> Link:
        """The platform's link behind an inventory row."""
        kind = "tracking" if row["kind"] == "tracking_link" else "trial"
        link = self.platform.world.links.get(kind, int(row["provider_link_id"]))  # type: ignore[arg-type]
        assert link is not None
        return link

    async def smart_link(self, smart_link_id: str, days: int | None = None, window: int = 21600) -> None:
        """An active smart link of the account."""
        kind = "tracking_link" if days is None else "free_trial"
        await self.pool.execute(
            "INSERT INTO smart_links (smart_link_id, team_id, account_id, name, link_type, free_trial_days, offer,"
            " window_seconds) VALUES ($1, 'team', $2, $1, $3, $4, $5, $6)",
            smart_link_id,
            ACCOUNT,
            kind,
            days,
            offer_name(kind, days),
            window,
        )

    async def subscribed(self, fan_id: int, *, key: str = "", ago: float = 0.0) -> None:
        """As if the subscription's webhook had been processed `ago` seconds ago."""
        await self.pool.execute(
            "INSERT INTO platform_events (account_id, event_key, kind, fan_id, at, precision_seconds, detail, source, first_seen_at)"
            " VALUES ($1, $2, 'subscribed', $3, date_trunc('minute', now() - make_interval(secs => $4)), 60, '{}', 'webhook',"
            " now() - make_interval(secs => $4))",
            ACCOUNT,
            key or f"sub:{fan_id}",
            str(fan_id),
            ago,
        )


@asynccontextmanager
async def bench(
    pool: Pool, redis: Client, *, username: str = "home", settings: dict[str, Any] | None = None, **platform: Any
) -> AsyncIterator[Bench]:
    """A connected account; `settings` override ours, `platform` the emulator's."""
    async with running_platform(accounts=("home",), **platform) as emulator:
        creator = emulator.world.accounts[ACCOUNT]
        ours: dict[str, Any] = {
            "onlyfansapi_url": emulator.url,
            "platform_url": f"{emulator.url}/onlyfans",
            "pool_target": 6,
            "pool_batch": 3,
            "provider_timeout": 5.0,
            **(settings or {}),
        }
        await pool.execute("INSERT INTO teams (team_id, name) VALUES ('team', 'Team')")
        await pool.execute(
            "INSERT INTO accounts (account_id, team_id, provider, provider_account_id, username, shard, api_key_sealed,"
            " webhook_secret_sealed) VALUES ($1, 'team', 'onlyfansapi', $1, $2, 1, $3, $4)",
            ACCOUNT,
            username,
            SECRETS.seal(KEY.encode(), f"account:{ACCOUNT}:api_key"),
            seal_secrets(SECRETS, ACCOUNT, SECRET, "whsec_previous"),
        )
        configured = Settings(**ours)
        async with Providers(configured) as providers:
            yield Bench(pool, redis, configured, emulator, creator, providers)
