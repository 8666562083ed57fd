"""Onlymonster's rows: text ids, snake case, prose types, Zulu times (upstream spec 3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ..payloads import usd
from ..records import Account, Chargeback, Link, Message, Subscription, Transaction
from ..world import World

Row = dict[str, Any]

_TYPES = {
    "recurring_subscription": "recurring subscription",
    "tip": "tip",
    "message": "message payment",
    "post": "post purchase",
    "stream": "live stream",
    "other": "unknown",
}
_STATUSES = {"pending_return": "pending return"}


def zulu(moment: datetime) -> str:
    """`2026-11-22T09:41:22.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _collected(world: World, account: Account, shown: datetime, *key: object) -> datetime | None:
    """When Onlymonster reads what the platform shows from `shown` on; None while the session is dead."""
    delay = world.draw(world.settings.onlymonster_collect_delay, "onlymonster", *key)
    return account.read_at(shown + timedelta(seconds=delay))


def subscription_collected(world: World, account: Account, row: Subscription) -> datetime | None:
    """When a link user was collected."""
    return _collected(world, account, row.listed_at, "subscription", row.id)


def payment_collected(world: World, account: Account, row: Transaction) -> datetime | None:
    """When a transaction was collected."""
    return _collected(world, account, row.visible_at, "transaction", row.id)


def account(item: Account) -> Row:
    """A connected account."""
    return {
        "id": item.onlymonster_id,
        "platform_account_id": str(item.onlyfans_id),
        "platform": "onlyfans",
        "name": item.name,
        "email": None,
        "avatar": "",
        "username": item.username,
        "organisation_id": "77",
        "subscribe_price": usd(item.subscribe_price),
        "subscription_expiration_date": None,
    }


def link(world: World, owner: Account, item: Link) -> Row:
    """A link with its counters as of the last collection."""
    now = world.clock.now()
    seen = now - timedelta(seconds=world.settings.onlymonster_counter_age)
    claims = sum(
        1
        for s in world.fans.of_link(item)
        if (at := subscription_collected(world, owner, s)) is not None and at <= now and s.counted_at <= seen
    )
    row: Row = {
        "id": str(item.id),
        "name": item.name,
        "url": world.links.url(item),
        "is_active": world.links.fate(item, now) == "open",
        "clicks": world.links.clicks_until(item, seen),
        "created_at": zulu(item.created_at),
    }
    if item.kind == "tracking":
        return row | {"subscribers": claims}
    return row | {
        "claims": claims,
        "claims_limit": item.offer_limit,
        "duration_days": item.days,
        "expires_at": None if item.expires_at is None else zulu(item.expires_at),
    }


def link_user(world: World, row: Subscription, collected: datetime) -> Row:
    """A fan who subscribed through a link. `subscribed_at` is the real time, however late it was collected."""
    fan = world.people[row.fan_id]
    return {
        "link_id": str(row.link_id),
        "fan": {"id": str(fan.id), "name": fan.name, "username": fan.username},
        "subscribed_at": zulu(row.at),
        "collected_at": zulu(collected),
    }


def _type(world: World, item: Transaction) -> str:
    return _TYPES.get(item.type, world.settings.onlymonster_new_subscription)


def _amount(world: World, item: Transaction) -> int | float:
    return usd(item.net if world.settings.onlymonster_amount == "net" else item.amount)


def transaction(world: World, item: Transaction) -> Row:
    """A payment: one amount, and nothing says whether it is gross."""
    status = item.status(world.clock.now())
    return {
        "id": item.id,
        "amount": _amount(world, item),
        "fan": {"id": str(item.fan_id)},
        "type": _type(world, item),
        "status": _STATUSES.get(status, status),
        "timestamp": zulu(item.at),
    }


def chargeback(world: World, item: Chargeback) -> Row:
    """A payment taken back; nothing but perhaps its id names the transaction."""
    payment = world.money.get(item.transaction_id)
    assert payment is not None
    own = world.settings.onlymonster_chargeback_id == "own"
    return {
        "id": str(item.id) if own else payment.id,
        "amount": _amount(world, payment),
        "fan": {"id": str(payment.fan_id)},
        "type": _type(world, payment),
        "status": "undo",
        "chargeback_timestamp": zulu(item.at),
        "transaction_timestamp": zulu(payment.at),
    }


def message(owner: Account, item: Message) -> Row:
    """A chat message."""
    return {
        "id": item.id,
        "text": item.text,
        "from_user": item.fan_id if item.from_fan else owner.onlyfans_id,
        "is_sent_by_me": not item.from_fan,
        "created_at": zulu(item.at),
        "media": [],
        "media_count": 0,
        "is_opened": item.opened,
        "is_new": not item.opened,
        "price": usd(item.price),
        "is_free": item.price == 0,
        "can_purchase": False,
        "can_purchase_reason": "free" if item.price == 0 else "opened",
    }
