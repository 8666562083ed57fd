"""What happens, in the words of the live view. All of it is text: the page writes it as text and nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from tracker.dashboard import numbers
from tracker.lists.happenings import Happenings

OUTCOMES = {"delivered": ("Delivered", "good"), "skipped": ("Skipped", "")}
LEASES = {"shared": "shared link", "reserve": "reserve link", "none": "no link free"}
CREDITS = {
    "new_subscriber": ("Subscriber", "good"),
    "new_transaction": ("Payment", "good"),
    "message_received": ("Message", "accent"),
    "fan_sent_1_message": ("First message", "accent"),
    "fan_sent_3_messages": ("Third message", "accent"),
    "transaction_status": ("Taken back", "bad"),
}
LONGEST = 300


class Told(msgspec.Struct, frozen=True):
    """One line. `key`: the same whenever it is told; `href`: where its story is."""

    key: str
    kind: str
    at: datetime
    label: str
    tone: str
    words: str
    more: str
    link: str
    href: str


def told(found: Happenings) -> list[Told]:
    """All of it, oldest first."""
    lines = [*map(_click, found.clicks), *map(_conversion, found.conversions), *map(_attempt, found.attempts)]
    return sorted(lines, key=lambda line: (line.at, line.key))


def _click(row: Any) -> Told:
    if row["is_bot"]:
        label, tone = "Bot", ""
    else:
        label, tone = ("Again", "") if row["again"] else ("Click", "accent")
    words = _joined(", ", row["country"], _joined(" on ", row["browser"], row["os"]), row["device_type"])
    from_where = numbers.host(row["referrer"])
    more = _joined(
        " · ",
        row["bot_reason"] if row["is_bot"] else LEASES.get(row["lease"], ""),
        f"from {from_where}" if from_where else "",
        f"ecid {row['ecid']}" if row["ecid"] else "",
        f"source {row['utm_source']}" if row["utm_source"] else "",
        f"campaign {row['utm_campaign']}" if row["utm_campaign"] else "",
    )
    return Told(
        f"{'v' if row['again'] else 'c'}:{row['id']}", "click", row["at"], label, tone, words, more, row["link"],
        f"/explain/click/{row['click_id']}",
    )  # fmt: skip


def _conversion(row: Any) -> Told:
    label, tone = CREDITS.get(row["conversion_type"], (row["conversion_type"].replace("_", " ").capitalize(), "good"))
    amount = row["amount_gross_cents"]
    kind = (row["transaction_type"] or "").replace("_", " ")
    if row["conversion_type"] == "transaction_status":
        kind = _joined(" ", kind, "is now", (row["transaction_status"] or "").replace("_", " "))
    fan = row["fan_name"] or row["fan_username"] or f"fan {row['fan_id']}"
    words = _joined(" · ", numbers.money(amount) if amount is not None else "", fan)
    delay = (row["at"] - row["conversion_at"]).total_seconds()
    more = _joined(" · ", kind, f"happened {numbers.duration(delay)} before" if delay >= 60 else "")
    where = f"/explain/conversion/{quote(row['id'], safe='')}"
    return Told(f"n:{row['id']}", "conversion", row["at"], label, tone, words, more, row["link"], where)


def _attempt(row: Any) -> Told:
    label, tone = OUTCOMES.get(row["outcome"], ("Refused" if row["status_code"] else "Failed", "bad"))
    words = _joined(
        " · ", row["name"] or numbers.host(row["url"]) or row["kind"], (row["event_type"] or "").replace("_", " ")
    )
    more = _joined(
        " · ", f"{row['duration_ms']:,} ms", f"attempt {row['attempt']}" if row["attempt"] > 1 else "", row["verdict"]
    )
    where = f"/deliveries/{row['destination_id']}/{quote(row['event_id'], safe='')}"
    return Told(f"d:{row['id']}", "delivery", row["at"], label, tone, words, more, "", where)


def _joined(between: str, *parts: str | None) -> str:
    return between.join(part[:LONGEST] for part in parts if part)
