"""Onlymonster's rows, normalised (upstream spec 3): text ids, snake case, prose types, one amount per payment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tracker.providers import fields
from tracker.providers.base import AccountInfo, ChatMessage, LinkKind, LinkUse, ProviderLink, Transaction

ENDED = "The OnlyFans account's subscription at Onlymonster has ended; nothing new is collected until it is renewed."
STATUSES = {"loading": "loading", "done": "done", "pending_return": "pending_return", "undo": "undo"}


def read_account(row: dict[str, Any], now: datetime) -> AccountInfo:
    """An account row. Onlymonster does not tell whether the creator's login lives; an account it serves counts as alive."""
    until = fields.moment(row.get("subscription_expiration_date"))
    ended = until is not None and until < now
    return AccountInfo(
        provider_account_id=fields.id_text(row.get("id")),
        platform_user_id=fields.fan_id(row.get("platform_account_id")),
        username=fields.text(row.get("username"), 200),
        display_name=fields.text(row.get("name"), 200),
        session="dead" if ended else "ok",
        session_message=ENDED if ended else "",
        subscribe_price_cents=fields.cents(row.get("subscribe_price")),
    )


def read_link(kind: LinkKind, row: dict[str, Any]) -> ProviderLink | None:
    """A tracking or trial link with its counters as last collected; None without id or URL."""
    link_id, url = fields.id_text(row.get("id")), fields.url(row.get("url"))
    if not link_id or url is None:
        return None
    return ProviderLink(
        kind=kind,
        provider_link_id=link_id,
        name=fields.text(row.get("name")),
        url=url,
        clicks=fields.count(row.get("clicks")),
        subscribers=fields.count(row.get("subscribers" if kind == "tracking_link" else "claims")),
        claim_limit=fields.count(row.get("claims_limit")) or None,
        trial_days=fields.count(row.get("duration_days")) or None,
        expires_at=fields.moment(row.get("expires_at")),
        created_at=fields.moment(row.get("created_at")),
        finished=row.get("is_active") is False,
    )


def read_use(kind: LinkKind, row: dict[str, Any]) -> LinkUse | None:
    """A fan of a link; None without link, fan or the time of the subscription."""
    person = fields.mapping(row.get("fan"))
    link_id, fan = fields.id_text(row.get("link_id")), fields.fan_id(person.get("id"))
    at = fields.moment(row.get("subscribed_at"))
    if not link_id or not fan or at is None:
        return None
    return LinkUse(
        kind=kind,
        provider_link_id=link_id,
        fan_id=fan,
        subscribed_at=at,
        collected_at=fields.moment(row.get("collected_at")) or at,
        username=fields.text(person.get("username"), 200),
        name=fields.text(person.get("name"), 200),
    )


def transaction_type(value: Any) -> str:
    """Our name of a prose type ('message payment'); '' for 'unknown' and nothing. Only some of the words are documented."""
    words = fields.text(value, 200).lower()
    if not words or words == "unknown":
        return ""
    if "subscri" in words:
        return "recurring_subscription" if "recurring" in words or "renew" in words else "new_subscription"
    for word, name in (("tip", "tip"), ("message", "message"), ("post", "post"), ("stream", "stream")):
        if word in words:
            return name
    return "other"


def read_transaction(row: dict[str, Any]) -> Transaction | None:
    """A payment. Its one amount counts as gross, net is less the platform's 20 % (spec 11)."""
    return _payment(row, row.get("timestamp"), STATUSES.get(_status(row), "loading"))


def read_chargeback(row: dict[str, Any]) -> Transaction | None:
    """A payment taken back. Nothing says whether the id is the payment's or the chargeback's own."""
    status = _status(row)
    return _payment(
        row,
        row.get("transaction_timestamp"),
        status if status in ("pending_return", "undo") else "undo",
        id_uncertain=True,
    )


def read_message(row: dict[str, Any], fan_id: str) -> ChatMessage | None:
    """A chat message; None without id or time."""
    message_id, at = fields.id_text(row.get("id")), fields.moment(row.get("created_at"))
    if not message_id or at is None:
        return None
    writer, ours = fields.fan_id(row.get("from_user")), row.get("is_sent_by_me")
    from_fan = writer == fan_id if writer else ours is False
    return ChatMessage(message_id=message_id, at=at, from_fan=from_fan)


def zulu(moment: datetime) -> str:
    """A time as its parameters want it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _status(row: dict[str, Any]) -> str:
    return fields.text(row.get("status"), 64).lower().replace(" ", "_").replace("-", "_")


def _payment(row: dict[str, Any], time: Any, status: str, *, id_uncertain: bool = False) -> Transaction | None:
    person = fields.mapping(row.get("fan"))
    fan, transaction_id = fields.fan_id(person.get("id")), fields.id_text(row.get("id"))
    at, gross = fields.moment(time), fields.cents(row.get("amount"))
    if not fan or not transaction_id or at is None or gross is None:
        return None
    return Transaction(
        transaction_id=transaction_id,
        at=at,
        type=transaction_type(row.get("type")),
        gross_cents=gross,
        net_cents=fields.net_of(gross, None, None),
        status=status,
        description=fields.text(row.get("type"), 200),
        fan_id=fan,
        username=fields.text(person.get("username"), 200),
        name=fields.text(person.get("name"), 200),
        id_uncertain=id_uncertain,
    )
