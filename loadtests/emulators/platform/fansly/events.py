"""Fansly's webhook events. Only the envelope and the units are documented: mills, text ids, epochs in milliseconds
or in seconds by field (upstream spec 5). The field names of the payloads are guesses."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..records import Account, Message, Subscription, Transaction

if TYPE_CHECKING:
    from ..world import Notification, World

Payload = dict[str, Any]

EVENTS = (
    "messages.received", "messages.sent", "messages.deleted", "messages.read", "messages.reaction_added",
    "messages.reaction_removed", "subscriptions.new", "subscriptions.renewed", "subscriptions.expired",
    "tips.received", "transactions.new", "followers.new", "followers.removed", "media.purchased", "stories.purchased",
    "accounts.connected", "accounts.disconnected", "accounts.authentication_failed", "accounts.otp_code_required",
    "accounts.alert", "accounts.updated", "users.typing",
)  # fmt: skip

_NAMES = {
    "messages.ppv.unlocked": "media.purchased",
    "accounts.session_expired": "accounts.disconnected",
    "accounts.reconnected": "accounts.connected",
}

TRANSACTION_TYPES = {
    "new_subscription": 2_101,
    "recurring_subscription": 2_102,
    "tip": 2_116,
    "message": 2_110,
    "post": 2_111,
    "stream": 2_120,
    "other": 2_199,
}
"""Numbers of payment types; only 2116 is seen in a document, and not what it means."""


def mills(cents: int) -> int:
    """Thousandths of a dollar."""
    return cents * 10


def seconds(moment: datetime) -> int:
    """Epoch seconds."""
    return int(moment.timestamp())


def milliseconds(moment: datetime) -> int:
    """Epoch milliseconds."""
    return int(moment.timestamp() * 1000)


def translate(world: World, account: Account, notification: Notification) -> tuple[str, Payload] | None:
    """(event name, payload), or None for what Fansly does not tell."""
    name = _NAMES.get(notification.event, notification.event)
    if name not in EVENTS:
        return None
    subject = notification.subject
    if isinstance(subject, Subscription):
        payload = _subscription(world, account, subject)
    elif isinstance(subject, Transaction):
        payload = _payment(world, account, subject, notification.event)
    elif isinstance(subject, Message):
        payload = _message(world, account, subject)
    else:
        payload = notification.payload
    return f"fansly.{name}", payload


def _subscription(world: World, account: Account, row: Subscription) -> Payload:
    fan = world.people[row.fan_id]
    return {
        "id": str(row.id),
        "accountId": str(account.fansly_id),
        "subscriberId": str(fan.fansly_id),
        "username": fan.username,
        "displayName": fan.name,
        "subscriptionTierId": tier_id(account),
        "price": mills(row.price),
        "billingCycle": 30,
        "status": 3,
        "createdAt": milliseconds(row.at),
        "endsAt": milliseconds(row.expires_at),
    }


def _payment(world: World, account: Account, row: Transaction, event: str) -> Payload:
    fan = world.people[row.fan_id]
    if event == "transactions.new":
        payload: Payload = {
            "transactionId": row.id,
            "type": TRANSACTION_TYPES[row.type],
            "destination": "wallet",
            "amount": mills(row.amount),
            "destinationTax": mills(row.fee),
            "createdAt": milliseconds(row.at),
            "status": 1,
        }
        if world.settings.fansly_payment_names_fan:
            payload["senderId"] = str(fan.fansly_id)
        return payload
    return {
        "id": str(int(row.id) + 1),
        "correlationId": row.id,
        "accountId": str(account.fansly_id),
        "senderId": str(fan.fansly_id),
        "amount": mills(row.amount),
        "createdAt": seconds(row.at),
    }


def _message(world: World, account: Account, row: Message) -> Payload:
    sender = world.people[row.fan_id].fansly_id if row.from_fan else account.fansly_id
    return {
        "id": str(700_000_000_000_000_000 + row.id),
        "senderId": str(sender),
        "groupId": str(600_000_000_000_000_000 + row.fan_id),
        "content": row.text,
        "createdAt": seconds(row.at),
    }


def tier_id(account: Account) -> str:
    """The account's only subscription tier."""
    return str(account.fansly_id + 1)
