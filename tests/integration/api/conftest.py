"""A team with one of everything, and the app in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.integration.lists.seed import LINKS, seed
from tracker.access.keys import make_key
from tracker.api.app import create_app
from tracker.management.services import Services
from tracker.secrets import Secrets
from tracker.settings import Settings
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

SECRETS = Secrets("k" * 40)
NOWHERE = "http://127.0.0.1:9"


class House:
    """The API as team t1 sees it. `ids`: one of everything it has, by kind."""

    def __init__(self, api: httpx.AsyncClient, pool: Pool, redis: Client) -> None:
        self.api = api
        self.pool = pool
        self.redis = redis
        self.ids: dict[str, str] = {"link": LINKS[0], "account": "acct_1"}

    async def ask(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """The `data` of an answer that must have this status."""
        answer = await self.api.request(method, f"/api/{path}", **options)
        assert answer.status_code == status, answer.text
        return answer.json().get("data")

    async def state(self) -> dict[str, Any]:
        """What a refused request must leave as it was."""
        tables = ("smart_links", "destinations", "destination_links", "accounts", "link_tags", "inventory_links", "deliveries",
                  "account_jobs", "audit_log")  # fmt: skip
        return {
            name: await self.pool.fetchval(
                f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {name} t"
            )
            for name in tables
        }


@pytest.fixture
async def house(pool: Pool, redis: Client) -> AsyncIterator[House]:
    await seed(pool, clicks=20)
    await pool.execute(
        "INSERT INTO inventory_links (account_id, offer, kind, role, state, provider_link_id, name, url, claim_limit) VALUES"
        " ('acct_1', 'tracking', 'tracking_link', 'pool', 'ready', '501', 'cb-1', 'https://onlyfans.com/ava/c5', NULL),"
        " ('acct_1', 'tracking', 'tracking_link', 'external', 'ready', '502', 'Bio', 'https://onlyfans.com/ava/c6', NULL),"
        " ('acct_1', 'trial-7', 'free_trial', 'external', 'ready', '601', 'Trial', 'https://onlyfans.com/ava/trial/x', 1)"
    )
    _, key = await make_key(pool, SECRETS.key_hash, "t1", "test")
    settings = Settings(onlyfansapi_url=NOWHERE, egress_allow=("127.0.0.0/8",), rate_limit_minute=0)
    app: Any = create_app(Services(settings, pool, redis, SECRETS))
    headers = {"Authorization": f"Bearer {key}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test", headers=headers) as client:
        found = House(client, pool, redis)
        postback = {"url": "https://example.com/?a={click_id}", "smart_link_scope": "campaign_specific",
                    "smart_link_ids": [LINKS[0]], "conversion_types": ["new_subscriber"]}  # fmt: skip
        found.ids["postback"] = (await found.ask("POST", "smart-link-postbacks", 201, json=postback))["destination_id"]
        pixel = {"kind": "meta", "token": "test-token", "config": {"pixel_id": "123456789012345"}}
        found.ids["connection"] = (await found.ask("POST", "connections", 201, json=pixel))["id"]
        hook = {"endpoint_url": "https://example.com/h", "events": ["subscriptions.new"], "account_scope": "global"}
        found.ids["webhook"] = (await found.ask("POST", "webhooks", 201, json=hook))["id"]
        await pool.execute(
            "INSERT INTO delivery_events (event_id, day, event_type, occurred_at, facts) SELECT 'event-' || n, current_date,"
            ' \'new_subscriber\', now(), \'{"amount_gross": "1.00", "_ip": "203.0.113.9"}\' FROM generate_series(1, 30) n'
        )
        await pool.execute(
            "INSERT INTO deliveries (event_id, destination_id, day, state, created_at, finished_at) SELECT 'event-' || n, $1, current_date,"
            " CASE WHEN n % 3 = 0 THEN 'dead' ELSE 'delivered' END, now() - make_interval(mins => n), now() - interval '1 minute'"
            " FROM generate_series(1, 30) n",
            found.ids["postback"],
        )
        await pool.execute(
            "INSERT INTO attempts (day, event_id, destination_id, attempt, started_at, duration_ms, request, outcome, verdict)"
            " SELECT current_date, 'event-' || n, $1, 1, now(), 5, 'GET https://example.com/', 'transient', '503' FROM generate_series(1, 30) n",
            found.ids["postback"],
        )
        yield found
