"""The facts of a click and of what came of it, as the destinations' tests need them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from postbacks.chunk import Chunk, Columns
from postbacks.destinations.base import Item

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CLICKED = NOW - timedelta(hours=2)
TOKEN = "test-token"
FACTS = {
    "conversion_id": "cnv_1",
    "external_click_id": " Clk-12345 ",
    "country": "DE",
    "fbclid": "IwAR0abc-DEF_ghi",
    "ttclid": "E.C.P.abcDEF",
    "sccid": "0d7a4bb6-5a2e-4c3d-9d5e-2f1c8c7a1b2d",
    "amount_gross": "24.99",
    "_click_ms": str(int(CLICKED.timestamp() * 1000)),
    "_ip": "203.0.113.7",
    "_user_agent": "Mozilla/5.0 (iPhone) Instagram 300.0",
    "_fbp": "fb.1.1795340000000.1234567890",
    "_ttp": "2abcDEFghiJKLmnoPQRstuVWXyz",
    "_scid": "b7a3f4d0-1111-2222-3333-444455556666",
    "_landing_url": "https://go.example/go/01JD8Z5T9Q4M6X2B7V3K1C0RWA?ecid=Clk-12345",
    "_referrer": "https://l.instagram.com/",
}


def item(event_type: str = "new_subscriber", *, at: datetime = NOW - timedelta(minutes=5), **changes: Any) -> Item:
    """An event; `facts` are laid over FACTS, and None takes one away. `event_id` is `cnv_1` unless given."""
    facts = FACTS | {"conversion_type": event_type} | changes.pop("facts", {})
    kept = {name: value for name, value in facts.items() if value is not None}
    return Item(changes.pop("event_id", "cnv_1"), event_type, at, kept)


def chunk(items: Sequence[Item], reads: tuple[str, ...] = (), **columns: list[Any]) -> Chunk:
    """These events as the claim statement tells of them, to a kind that `reads` these facts (none: all)."""
    read = [[one.facts.get(name, "") for one in items] for name in reads] if reads else None
    count = len(items)
    made = Columns(
        [one.event_id for one in items], columns.get("attempts", [0] * count), [0] * count, [0.0] * count,
        columns.get("ambiguous", [None] * count), [one.event_type for one in items],
        [one.occurred_at.timestamp() for one in items], read, None if reads else [one.facts for one in items],
    )  # fmt: skip
    return Chunk("d", "1", date(2026, 11, 22), "lease", reads, False, msgspec.json.encode(made), 0, count)
