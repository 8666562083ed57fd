"""What the tests of postbacks, platforms and deliveries share: a postback made by the form, and conversions to tell it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from loadtests.emulators.receiver import Receiver
from postbacks.events import Event
from postbacks.facts import SAMPLE
from tests.integration.postbacks.scene import FAST, dispatching, enqueue_all, until
from tracker.stores.postgres import Pool

NOTHING_DUE = "NOT EXISTS (SELECT FROM deliveries d JOIN destinations USING (destination_id) WHERE d.state = 'waiting')"


def template(receiver: Receiver, name: str = "a", query: str = "id={conversion_id}&net={amount_net}") -> str:
    """A postback's address at the receiver."""
    return f"{receiver.url_of(name)}?{query}"


def fields(**changes: Any) -> dict[str, Any]:
    """The postback form, filled."""
    return {
        "name": "Network", "http_method": "GET", "smart_link_scope": "global", "conversion_types": ["new_subscriber", "new_transaction"],
    } | changes  # fmt: skip


async def make_postback(owner: httpx.AsyncClient, url: str, **changes: Any) -> str:
    """A postback made by the form: the path of its page."""
    answer = await owner.post("/postbacks/new", data=fields(url=url, **changes))
    if answer.status_code != 303:
        pytest.fail(answer.text)
    return str(answer.headers["location"].partition("?")[0])


async def happen(pool: Pool, *names: str, event_type: str = "new_transaction", **facts: str) -> None:
    """Conversions, each written for whoever wants it."""
    team_id = await pool.fetchval("SELECT team_id FROM members ORDER BY created_at LIMIT 1")
    events = [
        Event(
            event_id=name, event_type=event_type, occurred_at=datetime.now(UTC), team_id=team_id, smart_link_id="SL1",
            facts={**SAMPLE, "conversion_id": name, **facts},
        )
        for name in names
    ]  # fmt: skip
    await enqueue_all(pool, events)


async def deliver(pool: Pool) -> None:
    """Let the dispatcher work until nothing waits: it is delivered, or given up after a few quick tries."""
    async with dispatching(pool, FAST):
        await until(pool, NOTHING_DUE)


def wrong(page: str) -> dict[str, str]:
    """What a page says is wrong, by field."""
    return dict(re.findall(r'<p class="wrong" id="([^"]+)-wrong">([^<]*)</p>', page))
