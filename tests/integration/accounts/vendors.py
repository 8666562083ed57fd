"""One account per vendor on the fake platform, the same smart link on each, clicks and acts alike on all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

from loadtests.emulators.platform import Platform, running_platform
from loadtests.emulators.platform.records import Account as EmulatedAccount
from tests.integration.accounts.harness import SECRETS
from tracker.accounts.jobs import HANDLERS
from tracker.accounts.work import Run, load_account
from tracker.attribution.evidence import click_id_at
from tracker.attribution.worker import fold_due
from tracker.inbox.keeper import Keeper
from tracker.inbox.process import process_batch
from tracker.inbox.receive import receive, seal_secrets
from tracker.providers.base import Job
from tracker.providers.registry import Providers
from tracker.settings import Settings
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

KEYS = {"onlyfansapi": "test-key", "onlymonster": "om-token", "ofauth": "ofauth-key", "fansly": "test-key"}
SECRET = "whsec_c2VjcmV0IG9mIHRoZSB3ZWJob29rcw=="
PREFIX = "ads-"


@dataclass
class Seat:
    """An account as we and the platform know it. `smart_link_id`: its one ad."""

    vendor: str
    account_id: str
    provider_account_id: str
    creator: EmulatedAccount
    smart_link_id: str


@dataclass
class Vendors:
    """The seats by vendor, and what runs on all of them."""

    pool: Pool
    redis: Client
    settings: Settings
    platform: Platform
    providers: Providers
    admin: httpx.AsyncClient
    hook: str
    seats: dict[str, Seat] = field(default_factory=dict)
    states: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    clicks: int = 0
    next_in: float = 0.0

    async def run(self, vendor: str, job: Job) -> Run:
        """Run a job of an account once, its state kept as the worker does. Raises ProviderError as the job does."""
        account = await load_account(self.pool, self.seats[vendor].account_id)
        assert account is not None
        client = self.providers.account(vendor, account.provider_account_id, KEYS[vendor])
        run = Run(self.pool, self.redis, self.settings, account, client, dict(self.states.get((vendor, job), {})))
        self.next_in = await HANDLERS[job](run)
        self.states[vendor, job] = msgspec.json.decode(msgspec.json.encode(run.state))
        return run

    async def catch_up(self, jobs: Sequence[Job] = ("reconcile", "transactions", "messages")) -> None:
        """Webhooks, jobs and folds of all accounts, until nothing is due."""
        assert await self.platform.settled()
        while (await process_batch(self.pool, self.settings)).webhooks:
            pass
        for job in jobs:
            for vendor, seat in self.seats.items():
                # Webhooks told the messages of the others, and one of them allows a call a second.
                if job != "messages" or seat.vendor == "ofauth":
                    await self.run(vendor, job)
            await self.fold()

    async def fold(self) -> None:
        """Fold every fan that is due."""
        while (await fold_due(self.pool, price_wait=0.0))[0]:
            pass

    async def act(self, name: str, **body: Any) -> Any:
        """One act of the control API; it must succeed."""
        answer = await self.admin.post(f"/__admin/{name}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def everywhere(self, act: str, **body: Any) -> Any:
        """One act on every account at the same moment."""
        targets = [{"account_id": seat.creator.id} for seat in self.seats.values()]
        return await self.act("everywhere", act=act, targets=targets, **body)

    async def links(self, vendor: str) -> list[Any]:
        """Pooled links of an account, as the edge would lease them."""
        return await self.pool.fetch(
            "SELECT * FROM inventory_links WHERE account_id = $1 AND role = 'pool' AND state = 'ready' ORDER BY 1",
            self.seats[vendor].account_id,
        )

    async def click(self, vendor: str, place: int) -> tuple[str, str]:
        """A click leased on the pool's link at `place`, three minutes ago: (click id, URL it was sent to)."""
        seat, link = self.seats[vendor], (await self.links(vendor))[place]
        self.clicks += 1
        at = datetime.now(UTC) - timedelta(seconds=180)
        click_id = click_id_at(int(at.timestamp() * 1000))[:10] + f"{self.clicks:016d}"
        await self.pool.execute(
            "INSERT INTO clicks (click_id, smart_link_id, account_id, clicked_at, last_visit_at, visitor, visitor_by,"
            " inventory_link_id, lease) VALUES ($1, $2, $3, $4, $4, $5, 'cookie', $6, 'exclusive')",
            click_id, seat.smart_link_id, seat.account_id, at, f"visitor-{place}", link["inventory_link_id"],
        )  # fmt: skip
        return click_id, link["url"]

    async def credits(self, vendor: str) -> list[tuple[Any, ...]]:
        """What the account's fans are credited with, as far as vendors may agree: no ids and words of theirs."""
        rows = await self.pool.fetch(
            "SELECT fan_id, conversion_type, cl.visitor, amount_gross_cents, amount_net_cents, transaction_type,"
            " transaction_status, previously_subscribed, purchase FROM conversions c JOIN clicks cl USING (click_id)"
            " WHERE c.account_id = $1 AND retracted_at IS NULL",
            self.seats[vendor].account_id,
        )
        return sorted((tuple(row) for row in rows), key=str)

    async def bindings(self, vendor: str) -> list[tuple[Any, ...]]:
        """Which click each fan belongs to, by what rule, how surely."""
        rows = await self.pool.fetch(
            "SELECT fan_id, cl.visitor, rule, competing_clicks, confidence FROM bindings b JOIN clicks cl USING (click_id)"
            " WHERE b.account_id = $1 AND retracted_at IS NULL",
            self.seats[vendor].account_id,
        )
        return sorted((tuple(row) for row in rows), key=str)


async def _receiver(pool: Pool) -> TestServer:
    async def handle(request: web.Request) -> web.StreamResponse:
        parts = request.match_info
        raw = await request.read()
        receipt = await receive(Keeper(pool), parts["account"], parts["provider"], request.headers, raw, SECRETS)
        return web.Response(status=receipt.status, text=receipt.message)

    app = web.Application()
    app.router.add_post("/webhooks/{provider}/{account}", handle)
    server = TestServer(app)
    await server.start_server()
    return server


@asynccontextmanager
async def vendors(
    pool: Pool, redis: Client, names: Sequence[str], *, settings: dict[str, Any] | None = None, **platform: Any
) -> AsyncIterator[Vendors]:
    """Connected accounts of these vendors; `settings` override ours, `platform` the emulator's."""
    async with running_platform(**platform) as emulator:
        server = await _receiver(pool)
        ours: dict[str, Any] = {
            "onlyfansapi_url": emulator.url,
            "onlymonster_url": f"{emulator.url}/onlymonster",
            "ofauth_url": f"{emulator.url}/ofauth",
            "platform_url": f"{emulator.url}/onlyfans",
            "fansly_url": f"{emulator.url}/fansly",
            "pool_target": 4,
            "provider_timeout": 5.0,
            **(settings or {}),
        }
        configured = Settings(**ours)
        await pool.execute("INSERT INTO teams (team_id, name) VALUES ('team', 'Team')")
        async with (
            Providers(configured) as providers,
            httpx.AsyncClient(base_url=emulator.url, trust_env=False) as admin,
        ):
            hook = str(server.make_url("/webhooks")).rstrip("/")
            bench = Vendors(pool, redis, configured, emulator, providers, admin, hook)
            for number, vendor in enumerate(names):
                bench.seats[vendor] = await _connect(bench, vendor, number)
            yield bench
        await server.close()


async def _connect(bench: Vendors, vendor: str, number: int) -> Seat:
    world = bench.platform.world
    host = "onlyfansapi" if vendor == "fansly" else vendor
    creator = world.add_account(
        f"creator{number}",
        id=f"{'fansly_' if vendor == 'fansly' else ''}acct_{vendor}",
        platform="fansly" if vendor == "fansly" else "onlyfans",
        vendors=[host],
    )
    theirs = {"onlymonster": str(creator.onlymonster_id), "ofauth": creator.connection_id}.get(vendor, creator.id)
    seat = Seat(vendor, f"acct_{number}", theirs, creator, f"01JD0000000000000000000A{number:02d}")
    await bench.pool.execute(
        "INSERT INTO accounts (account_id, team_id, provider, provider_account_id, shard, api_key_sealed,"
        " webhook_secret_sealed, import_prefix) VALUES ($1, 'team', $2, $3, 1, $4, $5, $6)",
        seat.account_id, vendor, theirs, SECRETS.seal(KEYS[vendor].encode(), f"account:{seat.account_id}:api_key"),
        seal_secrets(SECRETS, seat.account_id, SECRET), PREFIX,
    )  # fmt: skip
    await bench.pool.execute(
        "INSERT INTO smart_links (smart_link_id, team_id, account_id, name, link_type, offer)"
        " VALUES ($1, 'team', $2, 'ad', 'tracking_link', 'tracking')",
        seat.smart_link_id, seat.account_id,
    )  # fmt: skip
    bench.seats[vendor] = seat
    if vendor == "onlymonster":
        # Nobody can make links through Onlymonster: the creator made these, and others that are none of our business.
        for name in (f"{PREFIX}1", "instagram bio", f"{PREFIX}2", f"{PREFIX}3", f"{PREFIX}4", f"{PREFIX}5"):
            world.links.create_tracking(creator, name, [])
        await bench.run(vendor, "reconcile")
    url = f"{bench.hook}/{vendor}/{seat.account_id}"
    await bench.act("webhooks", vendor=host, url=url, secret=SECRET, account_ids=[creator.id])
    await bench.run(vendor, "session")
    await bench.run(vendor, "pools")
    return seat
