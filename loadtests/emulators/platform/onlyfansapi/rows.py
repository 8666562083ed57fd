"""REST rows: links, users, subscriptions, payments (upstream spec 1.3 to 1.5). Camel case, unlike webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ..clock import iso, iso_or_none, micros
from ..payloads import usd
from ..records import Account, Chargeback, Fan, Link, Subscription, Transaction
from ..world import World

Row = dict[str, Any]

_SOURCE_NAMES = {
    "new_subscription": "subs",
    "recurring_subscription": "subs",
    "tip": "tips",
    "message": "chat_messages",
}


def _revenue(world: World, link: Link, subscribers: int, clicks: int) -> Row:
    now = world.clock.now()
    total = chargebacks = spenders = 0
    if subscribers:
        for _fan_id, payments in world.money.of_link(link):
            standing = [t for t in payments if t.status(now) != "undo"]
            total += sum(t.amount for t in standing)
            chargebacks += sum(t.amount for t in payments) - sum(t.amount for t in standing)
            spenders += bool(standing)
    row: Row = {
        "total": usd(total),
        "revenuePerSubscriber": usd(round(total / subscribers)) if subscribers else 0,
        "spendersCount": spenders,
        "chargebacks": usd(chargebacks),
        "calculatedAt": micros(now),
        "isLoading": False,
    }
    if link.kind == "tracking":
        row["revenuePerClick"] = usd(round(total / clicks)) if clicks else 0
    return row


def link(world: World, item: Link, base: str, seen_at: datetime, *, single: bool = False) -> Row:
    """A list row of either kind; counters as of `seen_at`. `single` = `GET /{id}`, whose tracking form hides
    counters and shows `cost`. `base` is the API's own origin."""
    clicks = world.links.clicks_until(item, seen_at)
    claims = sum(1 for s in world.fans.of_link(item) if s.counted_at <= seen_at)
    row: Row = {"id": item.id, "createdAt": iso(item.created_at), "tags": list(item.tags)}
    path = f"{base}/api/{item.account_id}/{item.kind}-links/{item.id}/subscribers"
    if item.kind == "tracking":
        row |= {
            "campaignCode": int(item.code),
            "campaignName": item.name,
            "campaignUrl": world.links.url(item),
            "subscribersCount": None if single else claims,
            "clicksCount": None if single else clicks,
            "endDate": iso_or_none(item.deleted_at),
        }
    else:
        row |= trial_core(world, item, claims, seen_at)
        row["clicksCounts"] = clicks
    row["revenue"] = _revenue(world, item, claims, clicks)
    row["links"] = {"related": {"subscribers": path}}
    if single:
        row["cost"] = {"inputMode": None, "inputValue": None, "perClick": None, "perSub": None}
    return row


def trial_core(world: World, item: Link, claims: int, now: datetime) -> Row:
    """The fields of a trial link that creation answers too. `subscribeCounts` is the limit, 0 = unlimited."""
    used_up = bool(item.offer_limit) and claims >= item.offer_limit
    gone = item.deleted_at is not None or (item.expires_at is not None and item.expires_at <= now)
    return {
        "id": item.id,
        "trialLinkName": item.name,
        "url": world.links.url(item),
        "subscribeDays": item.days,
        "subscribeCounts": item.offer_limit,
        "claimCounts": claims,
        "expiredAt": iso_or_none(item.expires_at),
        "createdAt": iso(item.created_at),
        "isFinished": used_up or gone,
    }


def short_user(fan: Fan) -> Row:
    """The user inside a payment."""
    return {
        "id": fan.id,
        "username": fan.username,
        "name": fan.name,
        "isVerified": False,
        "avatar": None,
        "avatarThumbs": None,
        "view": "t",
    }


def user(world: World, account: Account, fan: Fan, *, with_data: bool = True) -> Row:
    """A full OnlyFans user. The tracking-link subscriber variant carries no subscribe time (`with_data=False`)."""
    now = world.clock.now()
    known = [s for s in world.fans.of_fan(account.id, fan.id) if s.listed_at <= now]
    running = world.fans.current(account.id, fan.id, now)
    active = running is not None and running.listed_at <= now
    row: Row = {
        "id": fan.id,
        "username": fan.username,
        "name": fan.name,
        "displayName": account.custom_names.get(fan.id, ""),
        "avatar": None,
        "avatarThumbs": None,
        "isVerified": False,
        "isBlocked": False,
        "isRestricted": False,
        "subscribedBy": False,
        "subscribedOn": active,
        "subscribedOnExpiredNow": bool(known) and not active,
        "subscribedOnDuration": "",
        "subscribePrice": 0,
        "lastSeen": iso(now),
        "notice": account.notes.get(fan.id, ""),
        "listsStates": [
            {
                "id": str(item.id),
                "type": "custom",
                "name": item.name,
                "hasUser": fan.id in item.members,
                "canAddUser": True,
                "cannotAddUserReason": None,
            }
            for item in world.lists.values()
            if item.account_id == account.id
        ],
        "view": "s",
    }
    if with_data:
        row["subscribedOnData"] = subscribed_on(world, account, fan, known) if known else None
        row["promoOffers"] = []
    return row


def subscribed_on(world: World, account: Account, fan: Fan, known: list[Subscription]) -> Row:
    """`subscribedOnData` of the latest subscription."""
    now = world.clock.now()
    last = known[-1]
    spent = world.money.spending(account.id, fan.id, now)
    renewed = [s.at for s in known if s.renewal]
    return {
        "subscribeAt": iso(next(s.at for s in reversed(known) if not s.renewal or s is known[0])),
        "expiredAt": iso(last.expires_at),
        "renewedAt": iso(renewed[-1]) if renewed else None,
        "price": usd(last.price),
        "regularPrice": usd(account.subscribe_price),
        "duration": "1 month",
        "totalSumm": usd(spent["total"]),
        "tipsSumm": usd(spent["tips"]),
        "messagesSumm": usd(spent["messages"]),
        "postsSumm": usd(spent["posts"]),
        "subscribesSumm": usd(spent["subscribes"]),
        "streamsSumm": usd(spent["streams"]),
        "subscribes": [
            {
                "id": s.id,
                "userId": account.onlyfans_id,
                "subscriberId": fan.id,
                "date": iso(s.at),
                "startDate": iso(s.at),
                "expireDate": iso(s.expires_at),
                "cancelDate": None,
                "price": usd(s.price),
                "regularPrice": usd(account.subscribe_price),
                "discount": 0,
                "duration": max(1, (s.expires_at - s.at).days),
                "earningId": s.id if s.transaction_id else None,
                "action": "prolong" if s.renewal else "subscribe",
                "type": s.type,
                "offerStart": None,
                "offerEnd": None,
                "isCurrent": s is last,
            }
            for s in reversed(known)
        ],
    }


def transaction(world: World, item: Transaction) -> Row:
    """A row of `GET /transactions`; `fee` and `net` where the webhook says `fee_amount` and `net_amount`."""
    name = item.type
    if world.settings.rest_type_names == "source":
        name = _SOURCE_NAMES.get(name, name)
    return {"type": name, **_payment(world, item)}


def _payment(world: World, item: Transaction) -> Row:
    return {
        "id": item.id,
        "amount": usd(item.amount),
        "net": usd(item.net),
        "fee": usd(item.fee),
        "vatAmount": usd(item.vat),
        "taxAmount": 0,
        "currency": "USD",
        "status": item.status(world.clock.now()),
        "createdAt": iso(item.at),
        "payoutPendingDays": 7,
        "description": item.description,
        "user": short_user(world.people[item.fan_id]),
    }


def chargeback(world: World, item: Chargeback) -> Row:
    """A row of `GET /chargebacks`; `payment.id` joins it to its transaction."""
    payment = world.money.get(item.transaction_id)
    assert payment is not None
    row = {**_payment(world, payment), "mediaTaxAmount": 0}
    return {"id": item.id, "createdAt": iso(item.at), "paymentType": payment.type, "payment": row}
