"""Fans of OnlyFansAPI: the newest subscriptions with their exact times (upstream spec 1.5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from tracker.providers import fields
from tracker.providers.base import LinkSubscriber
from tracker.providers.onlyfansapi.client import Client, next_offset, rows_of

PAGE = 50
MOST_PAGES = 20


def read_fan(row: dict[str, Any]) -> LinkSubscriber | None:
    """A user row with the start of its latest subscription; None without an id."""
    fan = fields.fan_id(row.get("id"))
    if not fan:
        return None
    at = fields.moment(fields.mapping(row.get("subscribedOnData")).get("subscribeAt"))
    return LinkSubscriber(fan, fields.text(row.get("username"), 200), fields.text(row.get("name"), 200), at)


async def latest(client: Client) -> AsyncIterator[list[LinkSubscriber]]:
    """Fans by their newest subscription, newest first; ends after a thousand."""
    offset = 0
    for _ in range(MOST_PAGES):
        answer = await client.get(f"/api/{client.account}/fans/latest", {"limit": PAGE, "offset": offset})
        yield [found for found in (read_fan(row) for row in rows_of(answer, "users")) if found is not None]
        following = next_offset(answer, offset, PAGE)
        if following is None:
            return
        offset = following
