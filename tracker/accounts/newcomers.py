"""New subscribers, asked for where no webhook tells them (upstream spec 2)."""

from __future__ import annotations

from datetime import timedelta

from tracker.accounts.facts import Fact, record
from tracker.accounts.work import Run
from tracker.providers.events import subscribed_event

BEFORE_US = timedelta(hours=1)
MOST_PAGES = 20


async def note(run: Run) -> int:
    """Read the newest fans until a page tells nothing new; returns how many subscriptions were new."""
    since = run.account.created_at - BEFORE_US
    found = 0
    pages_left = MOST_PAGES
    async for page in run.client.latest_fans():
        events = [
            subscribed_event(fan.fan_id, fan.subscribed_at, username=fan.username, name=fan.name)
            for fan in page
            if fan.subscribed_at is not None
            and fan.subscribed_at >= since
            and fan.fan_id != run.account.platform_user_id
        ]
        async with run.pool.acquire() as connection, connection.transaction():
            new = await record(connection, [Fact(run.account.account_id, event, "poll") for event in events])
        found += len(new)
        pages_left -= 1
        if not new or pages_left <= 0:
            break
    return found
