"""Fansly's rows, normalised (upstream spec 5): snowflake ids as text, money in thousandths of a dollar, epochs in seconds or
milliseconds by field."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tracker.providers import fields
from tracker.providers.base import LinkSubscriber, ProviderLink, Transaction

USER_MADE = 1000  # link type; 1 is Fansly's own (FYP, search, suggestions)
MILLISECONDS_FROM = 100_000_000_000  # epochs from here on cannot be seconds (the year 5138)
TAKEN_BACK = 2

# Of the numbers of payment types only 2116 stands in a document, and not what it means.
TYPES = {2101: "new_subscription", 2102: "recurring_subscription", 2110: "message", 2111: "post", 2116: "tip", 2120: "stream"}  # fmt: skip


def moment(value: Any) -> datetime | None:
    """A UTC time of an epoch in seconds or milliseconds, in whole seconds; ISO 8601 is taken too."""
    if isinstance(value, str) and not value.strip().isdigit():
        return fields.moment(value)
    text = fields.id_text(value)
    if not text.isdigit() or len(text) > 15:
        return None
    number = int(text)
    # The same payment is told in seconds by one field and in milliseconds by another: whole seconds make them one.
    at = datetime.fromtimestamp(number // 1000 if number >= MILLISECONDS_FROM else number, UTC)
    return at if 2000 <= at.year <= 2200 else None


def cents(value: Any) -> int | None:
    """Cents of thousandths of a dollar, rounded half up; None when it is no amount."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 10 * fields.MOST_CENTS:
        return None
    return (value + 5) // 10


def read_link(row: dict[str, Any]) -> ProviderLink | None:
    """A link made by a person; None for Fansly's own and for one without id. No URL is told, the number makes it."""
    link_id, number = fields.id_text(row.get("id")), fields.id_text(row.get("internalId"))
    if not link_id or not number.isalnum() or row.get("type") != USER_MADE:
        return None
    return ProviderLink(
        kind="tracking_link",
        provider_link_id=link_id,
        name=fields.text(row.get("label")),
        path=f"t/{number}",
        clicks=fields.count(row.get("clicks")),
        subscribers=fields.count(row.get("subscriptions")),
        created_at=moment(row.get("createdAt")),
        finished=row.get("status") not in (None, 1),
    )


def read_subscriber(row: dict[str, Any]) -> LinkSubscriber | None:
    """A running subscription's fan and its start."""
    fan = fields.fan_id(row.get("subscriberId"))
    if not fan:
        return None
    name = fields.text(row.get("displayName"), 200)
    return LinkSubscriber(fan, fields.text(row.get("username"), 200), name, moment(row.get("createdAt")))


def read_transaction(row: dict[str, Any]) -> Transaction | None:
    """A row of the wallet, or the payload of its webhook, which may name the fan; None without id, time or amount."""
    transaction_id, at = fields.id_text(row.get("transactionId")), moment(row.get("createdAt"))
    gross, tax = cents(row.get("amount")), cents(row.get("destinationTax"))
    if not transaction_id or at is None or gross is None:
        return None
    kind = row.get("type")
    return Transaction(
        transaction_id=transaction_id,
        at=at,
        type=TYPES.get(kind, "") if isinstance(kind, int) else "",
        gross_cents=gross,
        net_cents=fields.net_of(gross, None, None) if tax is None else gross - tax,
        status="undo" if row.get("status") == TAKEN_BACK else "done",
        description="",
        fan_id=fields.fan_id(row.get("senderId")),
    )
