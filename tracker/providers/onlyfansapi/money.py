"""Transactions and chargebacks of OnlyFansAPI (upstream spec 1.5), from REST rows and from webhooks alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tracker.providers import fields
from tracker.providers.base import ProviderError, Transaction
from tracker.providers.onlyfansapi.client import Client, next_offset, rows_of

PAGE = 50
WIDEST_PAGE = 100
MOST_PAGES = 2_000

# Webhooks and REST examples say 'message', the vendor's data-source page 'chat_messages': both sets are mapped.
TYPES = {
    "new_subscription": "new_subscription",
    "recurring_subscription": "recurring_subscription",
    "tip": "tip",
    "tips": "tip",
    "post": "post",
    "posts": "post",
    "message": "message",
    "messages": "message",
    "chat_message": "message",
    "chat_messages": "message",
    "stream": "stream",
    "streams": "stream",
    "other": "other",
}
SUBSCRIPTION_TYPES = ("subs", "subscribes", "subscription", "subscriptions", "subscribe")
STATUSES = {"loading": "loading", "done": "done", "pending_return": "pending_return", "undo": "undo"}


def transaction_type(value: Any, description: str) -> str:
    """Our name of a transaction type; '' when the feed names none. The vague 'subs' is told apart by its description."""
    name = fields.text(value).lower().replace(" ", "_")
    if not name:
        return ""
    if name in SUBSCRIPTION_TYPES:
        words = description.lower()
        return "recurring_subscription" if "recurring" in words or "renew" in words else "new_subscription"
    return TYPES.get(name, "other")


def read_transaction(row: dict[str, Any]) -> Transaction | None:
    """A REST row (camel case, `user`) or a webhook payload (snake case, `fan`); None without id, time, amount or fan."""
    description = fields.plain(row.get("description"))
    person = fields.mapping(row.get("user")) or fields.mapping(row.get("fan"))
    fan = fields.fan_id(person.get("id")) or fields.fan_in(row.get("description"))
    transaction_id = fields.id_text(row.get("id"))
    at = fields.moment(row.get("createdAt") or row.get("created_at"))
    gross = fields.cents(row.get("amount"))
    if not transaction_id or at is None or gross is None or not fan:
        return None
    status = fields.text(row.get("status")).lower().replace(" ", "_").replace("-", "_")
    return Transaction(
        transaction_id=transaction_id,
        at=at.replace(microsecond=0),
        type=transaction_type(row.get("type"), description),
        gross_cents=gross,
        net_cents=fields.net_of(gross, row.get("net", row.get("net_amount")), row.get("fee", row.get("fee_amount"))),
        status=STATUSES.get(status, "loading"),
        description=description,
        fan_id=fan,
        username=fields.text(person.get("username"), 200),
        name=fields.text(person.get("name"), 200),
    )


def read_chargeback(row: dict[str, Any]) -> Transaction | None:
    """A chargeback row as its transaction, taken back. `paymentType` is used when it says something we know."""
    payment = dict(fields.mapping(row.get("payment")))
    status = fields.text(payment.get("status")).lower().replace(" ", "_")
    payment["status"] = status if status in ("pending_return", "undo") else "undo"
    known = fields.text(row.get("paymentType")).lower()
    if known in TYPES or known in SUBSCRIPTION_TYPES:
        payment.setdefault("type", known)
    return read_transaction(payment)


async def transactions(client: Client, since: datetime) -> AsyncIterator[list[Transaction]]:
    """Payments from `since` on, newest first.

    The marker is the second of the last row and says nothing of other rows of that second, so each page begins one
    second later and repeats that second; rows come more than once and are told apart by id.
    """
    limit, marker = PAGE, None
    start = since.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat(" ")
    for _ in range(MOST_PAGES):
        params: dict[str, str | int] = {"limit": limit, "startDate": start}
        if marker is not None:
            params["marker"] = marker
        answer = await client.get(f"/api/{client.account}/transactions", params)
        rows = rows_of(answer)
        yield [found for found in (read_transaction(row) for row in rows) if found is not None]
        told = _next_marker(answer)
        if told is None:
            return
        # A whole page within one second: widen it, and only then step past that second.
        stuck = marker is not None and told + 1 >= marker
        if stuck and limit < WIDEST_PAGE:
            limit = WIDEST_PAGE
            continue
        marker = min(told, marker - 1) if stuck and marker is not None else told + 1
        limit = PAGE
    raise ProviderError("transient", "OnlyFansAPI's transaction list does not end.")


async def chargebacks(client: Client, since: datetime) -> AsyncIterator[list[Transaction]]:
    """Payments taken back since then, newest first."""
    start = since.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat(" ")
    offset = 0
    for _ in range(MOST_PAGES):
        params: dict[str, str | int] = {"limit": WIDEST_PAGE, "offset": offset, "start_date": start}
        answer = await client.get(f"/api/{client.account}/chargebacks", params)
        yield [found for found in (read_chargeback(row) for row in rows_of(answer)) if found is not None]
        following = next_offset(answer, offset, WIDEST_PAGE)
        if following is None:
            return
        offset = following
    raise ProviderError("transient", "OnlyFansAPI's chargeback list does not end.")


def _next_marker(answer: Any) -> int | None:
    data = fields.mapping(fields.mapping(answer).get("data"))
    told = data.get("nextMarker")
    if not told:
        next_page = fields.mapping(fields.mapping(answer).get("_pagination")).get("next_page")
        if isinstance(next_page, str) and next_page:
            told = parse_qs(urlsplit(next_page).query).get("marker", [""])[0]
    if not told and data.get("hasMore") is True:
        told = data.get("marker")
    text = fields.id_text(told)
    return int(text) if text.isdigit() and data.get("hasMore") is not False else None
