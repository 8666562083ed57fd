"""What the platform is known to have done, as facts the fold reads. Times are aware UTC datetimes, ids are text."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

EventKind = Literal["subscribed", "link_subscriber", "transaction", "message"]
EXACT, MINUTE, FIRST_SEEN = 0, 60, -1
"""`precision_seconds` of a platform event: exact; floored to the minute; no platform time, only when we first saw it."""


class PlatformEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing the platform is known to have done. `event_key` identifies the fact, whoever told it."""

    event_key: str
    kind: EventKind
    fan_id: str
    at: datetime
    precision_seconds: int
    detail: dict[str, Any]
    username: str = ""
    name: str = ""
    inventory_link_id: int | None = None


def message_event(
    message_id: str, fan_id: str, at: datetime, *, is_tip: bool = False, username: str = "", name: str = ""
) -> PlatformEvent:
    """An inbound message, whoever told of it."""
    return PlatformEvent(
        event_key=f"msg:{message_id}",
        kind="message",
        fan_id=fan_id,
        at=at,
        precision_seconds=EXACT,
        username=username,
        name=name,
        detail={"is_tip": is_tip, "username": username, "name": name},
    )


def subscribed_event(
    fan_id: str, at: datetime, *, price_cents: int | None = None, username: str = "", name: str = ""
) -> PlatformEvent:
    """A subscription known by its fan and exact time: a webhook's and a list's are one fact."""
    return PlatformEvent(
        event_key=f"sub:{fan_id}@{int(at.timestamp())}",
        kind="subscribed",
        fan_id=fan_id,
        at=at,
        precision_seconds=EXACT,
        username=username,
        name=name,
        detail={"price_cents": price_cents, "sub_type": "", "username": username, "name": name},
    )
