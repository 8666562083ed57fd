"""Chats of OnlyFansAPI (upstream spec 1.5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tracker.providers import fields
from tracker.providers.base import ChatMessage
from tracker.providers.onlyfansapi.client import Client, rows_of

PAGE = 100
MOST_PAGES = 200


def read_message(row: dict[str, Any], fan_id: str) -> ChatMessage | None:
    """A message row; None without id or time. The writer is told twice, the fan's own id decides."""
    message_id, at = fields.id_text(row.get("id")), fields.moment(row.get("createdAt"))
    if not message_id or at is None:
        return None
    writer = fields.fan_id(fields.mapping(row.get("fromUser")).get("id"))
    from_fan = writer == fan_id if writer else row.get("isSentByMe") is False
    return ChatMessage(message_id=message_id, at=at, from_fan=from_fan, is_tip=row.get("isTip") is True)


async def messages(client: Client, fan_id: str) -> AsyncIterator[list[ChatMessage]]:
    """A chat, newest first. Whether the cursor's own row comes again differs between versions; ids tell rows apart."""
    cursor = ""
    for _ in range(MOST_PAGES):
        params: dict[str, str | int] = {"limit": PAGE, "order": "desc", "skip_users": "all"}
        if cursor:
            params["first_id"] = cursor
        answer = await client.get(f"/api/{client.account}/chats/{fan_id}/messages", params)
        rows = rows_of(answer)
        yield [found for found in (read_message(row, fan_id) for row in rows) if found is not None]
        next_page = fields.mapping(fields.mapping(answer).get("_pagination")).get("next_page")
        told = parse_qs(urlsplit(next_page).query).get("first_id", [""])[0] if isinstance(next_page, str) else ""
        if not rows or not told or told == cursor:
            return
        cursor = told
