"""`/api/fansly`: links that only count, the wallet's transactions, subscribers without their link (upstream spec 5)."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from ..onlyfansapi.accounts import row as account_row
from ..onlyfansapi.call import Call, Endpoint, Reply
from ..records import Account, Fan, Link, Subscription
from .events import TRANSACTION_TYPES, milliseconds, mills, seconds, tier_id

Row = dict[str, Any]

_ROOT = "/api/fansly/{account}"
_SYSTEM = ("FYP", "Search", "Suggestions")
DEFAULT_SPAN = timedelta(days=30)


async def accounts(call: Call) -> Reply:
    """The Fansly accounts of the team. Its path and shape are guesses, after `/api/accounts`."""
    return Reply([account_row(account) for account in call.world.connected("onlyfansapi", "fansly")], bare=True)


def _counted(call: Call, link: Link) -> tuple[int, int]:
    """(subscriptions, follows) the counters show by now; whoever subscribes also follows."""
    subscriptions = sum(1 for s in call.world.fans.of_link(link) if s.counted_at <= call.now)
    return subscriptions, subscriptions + sum(1 for at in link.follows if at <= call.now)


def _gross(call: Call, link: Link) -> int:
    return sum(
        payment.amount
        for _, payments in call.world.money.of_link(link)
        for payment in payments
        if payment.status(call.now) != "undo"
    )


def _row(call: Call, link: Link) -> Row:
    subscriptions, follows = _counted(call, link)
    return {
        "id": str(link.id),
        "accountId": str(call.account.fansly_id),
        "internalId": link.code,
        "type": 1000,
        "status": 1,
        "label": link.name,
        "description": link.description,
        "metadata": "{}",
        "createdAt": milliseconds(link.created_at),
        "clicks": call.world.links.clicks_until(link, call.now),
        "claims": follows,
        "follows": follows,
        "subscriptions": subscriptions,
        "totalNet": 0,
        "totalGross": mills(_gross(call, link)),
    }


def _system_row(account: Account, place: int, label: str) -> Row:
    return {
        "id": str(account.fansly_id + 1_000 + place),
        "accountId": str(account.fansly_id),
        "internalId": str(place),
        "type": 1,
        "status": 1,
        "label": label,
        "description": "",
        "metadata": "{}",
        "createdAt": milliseconds(account.created_at),
        "clicks": 0,
        "claims": 0,
        "follows": 0,
        "subscriptions": 0,
        "totalNet": 0,
        "totalGross": 0,
    }


async def links(call: Call) -> Reply:
    """All links, Fansly's own of type 1 among them; not paginated."""
    own = [
        _row(call, link)
        for link in reversed(call.world.links.of_account(call.account.id, "tracking"))
        if link.deleted_at is None
    ]
    return Reply([*own, *(_system_row(call.account, place, label) for place, label in enumerate(_SYSTEM, start=1))])


async def create(call: Call) -> Reply:
    """A new link."""
    label, description = call.text("label", 100), call.text("description", 500, required=False)
    return Reply(_row(call, call.world.links.create_fansly(call.account, label, description)))


def _find(call: Call) -> Link:
    link = call.world.links.get("tracking", call.path_number("link"), call.account.id)
    if link is None or link.deleted_at is not None:
        raise call.not_found()
    return link


async def update(call: Call) -> Reply:
    """Change label and description."""
    link = _find(call)
    link.name, link.description = call.text("label", 100), call.text("description", 500, required=False)
    return Reply(_row(call, link))


async def delete(call: Call) -> Reply:
    """Remove a link."""
    _find(call).deleted_at = call.now
    return Reply({"success": True})


def _span(call: Call) -> tuple[datetime, datetime]:
    until = call.moment("before") or call.now
    since = call.moment("after") or until - DEFAULT_SPAN
    if until - since > DEFAULT_SPAN + timedelta(days=1):
        raise call.invalid("after", "The range must not exceed 30 days.", "bad_parameter")
    return since, until


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


async def stats(call: Call) -> Reply:
    """Daily increments, days without any left out."""
    link = _find(call)
    since, until = _span(call)
    days: dict[datetime, dict[str, int]] = defaultdict(
        lambda: {"clicks": 0, "claims": 0, "follows": 0, "subscriptions": 0}
    )

    def add(at: datetime, *names: str) -> None:
        if since <= at <= until:
            for name in names:
                days[_midnight(at)][name] += 1

    for at in link.clicks:
        add(at, "clicks")
    for at in link.follows:
        if at <= call.now:
            add(at, "claims", "follows")
    for subscription in call.world.fans.of_link(link):
        if subscription.counted_at <= call.now:
            add(subscription.at, "claims", "follows", "subscriptions")
    return Reply(
        [
            {"trackingLinkId": str(link.id), "timestamp": milliseconds(day), **counts}
            | {"year": day.year, "month": day.month, "day": day.day}
            for day, counts in sorted(days.items())
        ]
    )


async def revenue_stats(call: Call) -> Reply:
    """Daily gross and net, mills."""
    link = _find(call)
    since, until = _span(call)
    days: dict[datetime, list[int]] = defaultdict(lambda: [0, 0])
    for _, payments in call.world.money.of_link(link):
        for payment in payments:
            if since <= payment.at <= until and payment.status(call.now) != "undo":
                days[_midnight(payment.at)][0] += payment.amount
                days[_midnight(payment.at)][1] += payment.net
    return Reply(
        [
            {"trackingLinkId": str(link.id), "timestamp": milliseconds(day), "gross": mills(gross), "net": mills(net)}
            for day, (gross, net) in sorted(days.items())
        ]
    )


async def transactions(call: Call) -> Reply:
    """Newest first, without the fan. `status` 1 = settled or pending, 2 = taken back (a guess)."""
    limit = call.number("limit", 10, 1, 100)
    offset = call.number("offset", 0)
    found = list(call.world.money.visible(call.account.id))
    balances: list[int] = []
    balance = 0
    for payment in reversed(found):
        balance += payment.net
        balances.append(balance)
    listed = [
        {
            "transactionId": payment.id,
            "type": TRANSACTION_TYPES[payment.type],
            "destination": "wallet",
            "amount": mills(payment.amount),
            "destinationTax": mills(payment.fee),
            "newBalance": mills(after),
            "createdAt": milliseconds(payment.at),
            "status": 2 if payment.status(call.now) == "undo" else 1,
        }
        for payment, after in zip(found, reversed(balances), strict=True)
    ]
    return Reply({"total": len(listed), "data": listed[offset : offset + limit]})


def _subscriber(account: Account, fan: Fan, last: Subscription) -> Row:
    return {
        "id": str(last.id),
        "accountId": str(account.fansly_id),
        "subscriberId": str(fan.fansly_id),
        "username": fan.username,
        "displayName": fan.name,
        "subscriptionTierId": tier_id(account),
        "subscriptionTierName": "Fan",
        "price": mills(last.price),
        "billingCycle": 30,
        "autoRenew": 1,
        "status": 3,
        "createdAt": milliseconds(last.at),
        "renewDate": seconds(last.expires_at),
        "endsAt": milliseconds(last.expires_at),
    }


async def subscribers(call: Call) -> Reply:
    """Running subscriptions, newest first. Nothing tells the link."""
    limit = call.number("limit", 10, 1, 100)
    offset = call.number("offset", 0)
    tier = call.request.query.get("tier")
    latest: dict[int, Subscription] = {}
    for subscription in reversed(call.world.fans.of_account(call.account.id)):
        if subscription.listed_at <= call.now and subscription.at <= call.now < subscription.expires_at:
            latest.setdefault(subscription.fan_id, subscription)
    listed = [_subscriber(call.account, call.world.people[fan_id], row) for fan_id, row in latest.items()]
    if tier:
        listed = [row for row in listed if row["subscriptionTierId"] == tier]
    return Reply({"total": len(listed), "data": listed[offset : offset + limit]})


ENDPOINTS = [
    Endpoint("GET", "/api/fansly/accounts", accounts, credits=0, latency="cached"),
    Endpoint("GET", f"{_ROOT}/tracking-links", links),
    Endpoint("POST", f"{_ROOT}/tracking-links", create, latency="create"),
    Endpoint("PUT", f"{_ROOT}/tracking-links/{{link}}", update),
    Endpoint("DELETE", f"{_ROOT}/tracking-links/{{link}}", delete),
    Endpoint("GET", f"{_ROOT}/tracking-links/{{link}}/stats", stats),
    Endpoint("GET", f"{_ROOT}/tracking-links/{{link}}/revenue-stats", revenue_stats),
    Endpoint("GET", f"{_ROOT}/earnings/transactions", transactions),
    Endpoint("GET", f"{_ROOT}/subscribers", subscribers),
]
