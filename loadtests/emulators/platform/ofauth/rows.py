"""OFAuth's rows: OnlyFans' own numbers under its own names (upstream spec 2)."""

from __future__ import annotations

from typing import Any

from ..clock import iso, iso_or_none
from ..onlyfansapi.rows import subscribed_on, trial_core
from ..payloads import usd
from ..records import Account, Chargeback, Fan, Link, Message, Transaction, UserList
from ..world import World

Row = dict[str, Any]


def connection(account: Account, permissions: tuple[str, ...]) -> Row:
    """A connected account."""
    alive = account.session_state == "active"
    changed = account.session_completed_at or account.session_started_at or account.created_at
    return {
        "id": account.connection_id,
        "status": "active" if alive else "expired",
        "userData": user_data(account),
        "permissions": list(permissions),
        "expiredAt": None if alive else iso_or_none(account.session_started_at),
        "createdAt": iso(account.created_at),
        "updatedAt": iso(changed),
        "clientReferenceId": None,
        "imported": False,
        "lastCheckedAt": iso(changed),
    }


def user_data(account: Account) -> Row:
    """The creator; a text id here."""
    return {"id": str(account.onlyfans_id), "name": account.name, "username": account.username, "avatar": ""}


def tracking_link(world: World, item: Link, *, stats: bool = True) -> Row:
    """A tracking link. Only id and name are documented; the rest is what OnlyFans itself answers."""
    row: Row = {"id": item.id, "name": item.name}
    if world.settings.ofauth_link_rows == "bare":
        return row
    row |= {
        "campaignCode": int(item.code),
        "campaignName": item.name,
        "createdAt": iso(item.created_at),
        "endDate": iso_or_none(item.deleted_at),
    }
    if stats:
        now = world.clock.now()
        row["countSubscribers"] = sum(1 for s in world.fans.of_link(item) if s.counted_at <= now)
        row["countTransitions"] = world.links.clicks_until(item, now)
    return row


def trial_link(world: World, item: Link) -> Row:
    """A trial link, its URL and its counters."""
    now = world.clock.now()
    claims = sum(1 for s in world.fans.of_link(item) if s.counted_at <= now)
    return {**trial_core(world, item, claims, now), "clicksCounts": world.links.clicks_until(item, now)}


def short_user(fan: Fan) -> Row:
    """The user of a payment or a claim."""
    return {"id": fan.id, "name": fan.name, "username": fan.username, "avatar": ""}


def claimer(fan: Fan) -> Row:
    """A user who came through a tracking link; untyped in the documents, and without a time."""
    return {**short_user(fan), "isVerified": False, "avatarThumbs": None}


def subscriber(world: World, account: Account, fan: Fan) -> Row:
    """A subscriber with subscription and spending."""
    now = world.clock.now()
    known = [s for s in world.fans.of_fan(account.id, fan.id) if s.listed_at <= now]
    told = subscribed_on(world, account, fan, known)
    active = known[-1].at <= now < known[-1].expires_at
    history = [
        {
            "id": s["id"],
            "startDate": s["startDate"],
            "expireDate": s["expireDate"],
            "price": s["price"],
            "regularPrice": s["regularPrice"],
            "discount": s["discount"],
            "type": s["type"],
            "action": s["action"],
            "isCurrent": s["isCurrent"],
        }
        for s in told["subscribes"]
    ]
    return {
        "id": fan.id,
        "name": fan.name,
        "username": fan.username,
        "displayName": account.custom_names.get(fan.id, ""),
        "isVerified": False,
        "avatar": "",
        "avatarThumbs": None,
        "lastSeen": iso(now),
        "subscription": {
            "isActive": active,
            "isExpired": not active,
            "subscribedAt": told["subscribeAt"],
            "expiresAt": told["expiredAt"],
            "renewedAt": told["renewedAt"],
            "price": told["price"],
            "regularPrice": told["regularPrice"],
            "discountPercent": 0,
            "discountPeriod": 0,
            "discountStartedAt": None,
            "discountFinishedAt": None,
            "history": history,
        },
        "spending": {
            "total": told["totalSumm"],
            "tips": told["tipsSumm"],
            "subscriptions": told["subscribesSumm"],
            "messages": told["messagesSumm"],
            "posts": told["postsSumm"],
            "streams": told["streamsSumm"],
        },
        "isRestricted": False,
        "isBlocked": False,
        "lists": [
            {"id": str(item.id), "name": item.name}
            for item in world.lists.values()
            if item.account_id == account.id and fan.id in item.members
        ],
        "notice": account.notes.get(fan.id, ""),
    }


def _payment(world: World, item: Transaction) -> Row:
    return {
        "id": item.id,
        "createdAt": iso(item.at),
        "amounts": {
            "gross": usd(item.amount),
            "net": usd(item.net),
            "fee": usd(item.fee),
            "vat": usd(item.vat),
            "tax": 0,
        },
        "currency": "USD",
        "description": item.description,
        "status": item.status(world.clock.now()),
        "user": short_user(world.people[item.fan_id]),
    }


def transaction(world: World, item: Transaction) -> Row:
    """A payment."""
    return {**_payment(world, item), "type": item.type, "payoutPendingDays": 7}


def chargeback(world: World, item: Chargeback) -> Row:
    """A payment taken back; `payment.id` joins it to its transaction."""
    payment = world.money.get(item.transaction_id)
    assert payment is not None
    return {
        "id": item.id,
        "createdAt": iso(item.at),
        "paymentType": payment.type,
        "payment": _payment(world, payment),
    }


def message(account: Account, fan: Fan, item: Message) -> Row:
    """A chat message."""
    return {
        "id": item.id,
        "text": f"<p>{item.text}</p>",
        "fromUser": {"id": fan.id if item.from_fan else account.onlyfans_id, "_view": "s"},
        "media": [],
        "mediaCount": 0,
        "previews": [],
        "price": usd(item.price),
        "isFree": item.price == 0,
        "isTip": item.tip > 0,
        "isOpened": item.opened,
        "isNew": not item.opened,
        "createdAt": iso(item.at),
        "changedAt": iso(item.at),
    }


def user_list(item: UserList) -> Row:
    """A list of users."""
    return {
        "id": item.id,
        "type": "custom",
        "name": item.name,
        "usersCount": len(item.members),
        "postsCount": 0,
        "canAddUsers": True,
        "canManageUsers": True,
        "sortList": [],
        "users": [],
    }
