"""Webhook payloads, field by field as captured live (upstream spec 1.8)."""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

from .clock import floored, iso, micros, zoneless
from .records import Account, Fan, Message, Subscription, Transaction

if TYPE_CHECKING:
    from .world import World

Payload = dict[str, Any]


def usd(cents: int) -> int | float:
    """Cents as the JSON number the vendor writes: 17, not 17.0."""
    return cents // 100 if cents % 100 == 0 else cents / 100


def escaped(name: str) -> str:
    """A name inside the vendor's HTML."""
    return escape(name, quote=False)


def _profile(fan: Fan) -> str:
    return f"<a href='https://onlyfans.com/{fan.username}'>{escaped(fan.name)}</a>"


def _user(fan: Fan, seen: datetime) -> Payload:
    # subscribedOn is false although the fan just subscribed: live captures are like that.
    return {
        "id": fan.id,
        "name": fan.name,
        "username": fan.username,
        "avatar": None,
        "avatarThumbs": None,
        "lastSeen": iso(seen),
        "subscribedBy": False,
        "subscribedOn": False,
        "subscribedByData": None,
        "subscribedOnData": None,
        "isVerified": False,
        "subscribePrice": 0,
        "isBlocked": False,
        "view": "mn",
    }


def fan_data(world: World, account: Account, fan: Fan) -> Payload:
    """The vendor's enrichment, as of now."""
    now = world.clock.now()
    spending = world.money.spending(account.id, fan.id, now)
    replies = [m.at for m in world.fans.messages(account.id, fan.id) if m.from_fan]
    return {
        "available": True,
        "last_updated_at": micros(now),
        "spending": {key: usd(cents) for key, cents in spending.items()},
        "previous_reply_at": micros(replies[-1]) if replies else None,
    }


def subscribed(
    number: str, account: Account, fan: Fan, subscription: Subscription, data: Payload, *, renewed: bool
) -> Payload:
    """`subscriptions.new` / `subscriptions.renewed`; `user_id` is the creator."""
    return {
        "id": number,
        "type": "subscribed",
        "subType": "returning_subscriber" if renewed else "new_subscriber",
        "createdAt": floored(subscription.at),
        "text": f"{_profile(fan)} has subscribed to your profile!",
        "replacePairs": {"{SUBSCRIBER_LINK}": _profile(fan), "{PRICE}": f"${subscription.price / 100:.2f}"},
        "user_id": str(account.onlyfans_id),
        "isRead": False,
        "canGoToProfile": True,
        "user": _user(fan, subscription.at),
        "fanData": data,
    }


def expired(fan: Fan, at: datetime) -> Payload:
    """`subscriptions.expired`."""
    return {
        "id": f"{fan.id}:{at.date().isoformat()}",
        "user": {"id": fan.id},
        "expiredAt": iso(at),
        "createdAt": iso(at),
    }


def transaction(row: Transaction, fan: Fan, data: Payload, now: datetime) -> Payload:
    """`transactions.new`: snake case, string fan id, `created_at` without a zone."""
    return {
        "id": row.id,
        "created_at": zoneless(row.at),
        "type": row.type,
        "tips_source": row.tips_source,
        "amount": usd(row.amount),
        "vat_amount": usd(row.vat),
        "tax_amount": 0,
        "net_amount": usd(row.net),
        "fee_amount": usd(row.fee),
        "currency": "USD",
        "description": row.description,
        "status": row.status(now),
        "fan": {
            "id": str(fan.id),
            "username": fan.username,
            "name": fan.name,
            "display_name": fan.name,
            "avatar": None,
        },
        "fanData": data,
    }


def tip(number: str, account: Account, fan: Fan, row: Transaction, data: Payload) -> Payload:
    """`tips.received`."""
    amount = f"${row.amount / 100:.2f}"
    return {
        "id": number,
        "type": "tip",
        "subType": "new_tips",
        "text": f"paid you a tip of {amount}",
        "createdAt": floored(row.at),
        "amountGross": usd(row.amount),
        "amountNet": usd(row.net),
        "replacePairs": {"{AMOUNT}": amount, "{POST_DATA}": "", "{POST_BLOCK}": "", "{SUBSCRIBER_LINK}": _profile(fan)},
        "user_id": str(account.onlyfans_id),
        "isRead": False,
        "canGoToProfile": True,
        "user": _user(fan, row.at),
        "fanData": data,
    }


def unlocked(
    number: str, account: Account, fan: Fan, amount: int, at: datetime, *, message_id: int, data: Payload
) -> Payload:
    """`messages.ppv.unlocked`; the message link names the fan even when `user` is missing."""
    link = f"<a href='https://onlyfans.com/my/chats/chat/{fan.id}?firstId={message_id}'>message</a>"
    return {
        "id": number,
        "type": "paided_message",
        "subType": "subscriber_pay_for_chat_message",
        "createdAt": floored(at),
        "text": f"{_profile(fan)} purchased your {link}",
        "replacePairs": {"{NAME}": fan.name, "{MESSAGE_LINK}": link, "{AMOUNT}": f"${amount / 100:.2f}"},
        "user_id": str(account.onlyfans_id),
        "isRead": False,
        "canGoToProfile": True,
        "user": _user(fan, at),
        "fanData": data,
    }


def _message(row: Message) -> Payload:
    payload: Payload = {
        "responseType": "message",
        "id": row.id,
        "text": f"<p>{escape(row.text, quote=False)}</p>",
        "createdAt": iso(row.at),
        "changedAt": iso(row.at),
        "price": usd(row.price),
        "isFree": row.price == 0,
        "isTip": row.tip > 0,
        "isOpened": row.opened,
        "isNew": not row.opened,
        "isFromQueue": False,
        "queueId": 0,
        "lockedText": False,
        "mediaCount": 0,
        "media": [],
        "previews": [],
        "replyToMessage": None,
    }
    if row.tip:
        payload["tipAmount"] = usd(row.tip)
    return payload


def received(row: Message, fan: Fan, data: Payload) -> Payload:
    """`messages.received`, seconds precision; the fan is `fromUser.id`."""
    sender = {
        "id": fan.id,
        "username": fan.username,
        "name": fan.name,
        "displayName": "",
        "subscribedOn": True,
        "listsStates": [],
    }
    return {**_message(row), "fromUser": sender, "fanData": data}


def sent(row: Message, fan: Fan, account: Account) -> Payload:
    """`messages.sent`, the mirror of `messages.received`."""
    return {
        **_message(row),
        "fromUser": {"id": account.onlyfans_id, "username": account.username, "name": account.name},
        "toUser": {"id": fan.id, "username": fan.username, "name": fan.name},
    }


def message_row(row: Message, fan: Fan, account: Account) -> Payload:
    """A row of `GET /chats/{id}/messages`."""
    return {
        **_message(row),
        "fromUser": {"id": fan.id if row.from_fan else account.onlyfans_id, "_view": "s"},
        "isSentByMe": not row.from_fan,
        "canPurchase": False,
        "canPurchaseReason": "free" if row.price == 0 else "opened",
    }


def session(account: Account) -> Payload:
    """`accounts.*`: order by the attempt's times, never by arrival."""
    state = account.session_state
    started, completed = account.session_started_at, account.session_completed_at
    failed = state == "failed"
    payload: Payload = {
        "state": "authenticated" if not failed else "unauthenticated",
        "progress": "started" if completed is None else ("failed" if failed else "signed_in"),
        "latestAuthAttempt": {
            "started_at": None if started is None else micros(started),
            "completed_at": None if completed is None else micros(completed),
            "success": state == "active",
            "error_message": "Incorrect password" if failed else None,
            "needs_otp": False,
            "needs_face_otp": False,
            "otp_phone_ending": None,
        },
    }
    return payload
