"""Payloads as captured live (upstream spec 1.8), values replaced."""

from __future__ import annotations

from typing import Any

CREATOR = "518588958"
FAN = "310112051"


def subscribed(**changes: Any) -> dict[str, Any]:
    """`subscriptions.new`: `user_id` is the creator."""
    return {
        "id": "115200000031",
        "type": "subscribed",
        "subType": "new_subscriber",
        "createdAt": "2026-11-22T09:40:00+00:00",
        "text": "<a href='https://onlyfans.com/u310112051'>Sam</a> has subscribed to your profile!",
        "replacePairs": {
            "{SUBSCRIBER_LINK}": "<a href='https://onlyfans.com/u310112051'>Sam</a>",
            "{PRICE}": "$0.00",
        },
        "user_id": CREATOR,
        "isRead": False,
        "user": {
            "id": 310112051,
            "name": "Sam",
            "username": "u310112051",
            "subscribedOn": False,
            "subscribedOnData": None,
        },
        "fanData": {"available": True},
    } | changes


def transaction(**changes: Any) -> dict[str, Any]:
    """`transactions.new`: snake case, no zone, the fan's id a string."""
    return {
        "id": "e940b5fb905ba0815d5842a7bde1118c",
        "created_at": "2026-11-22 09:59:47",
        "type": "message",
        "tips_source": None,
        "amount": 17,
        "vat_amount": 2.21,
        "tax_amount": 0,
        "net_amount": 13.6,
        "fee_amount": 3.4,
        "currency": "USD",
        "description": 'Payment for message from <a href="https://onlyfans.com/u310112051">Sam</a>',
        "status": "loading",
        "fan": {"id": FAN, "username": "u310112051", "name": "Sam", "display_name": "Sam B"},
    } | changes


def rest_transaction(**changes: Any) -> dict[str, Any]:
    """The same payment as `GET /transactions` lists it."""
    return {
        "id": "e940b5fb905ba0815d5842a7bde1118c",
        "type": "chat_messages",
        "amount": 17,
        "net": 13.6,
        "fee": 3.4,
        "vatAmount": 2.21,
        "taxAmount": 0,
        "currency": "USD",
        "status": "loading",
        "createdAt": "2026-11-22T09:59:47+00:00",
        "payoutPendingDays": 7,
        "description": 'Payment for message from <a href="https://onlyfans.com/u310112051">Sam</a>',
        "user": {"id": 310112051, "username": "u310112051", "name": "Sam"},
    } | changes


def message(**changes: Any) -> dict[str, Any]:
    """`messages.received`."""
    return {
        "responseType": "message",
        "id": 7412345678901,
        "text": "<p>hey</p>",
        "createdAt": "2026-11-22T09:35:30+00:00",
        "fromUser": {"id": 310112051, "username": "u310112051", "name": "Sam"},
        "price": 0,
        "isTip": False,
    } | changes


def unlocked(**changes: Any) -> dict[str, Any]:
    """`messages.ppv.unlocked`; `user` is sometimes missing."""
    return {
        "id": "115200000002",
        "type": "paided_message",
        "createdAt": "2026-11-22T09:49:00+00:00",
        "text": "purchased your <a href='https://onlyfans.com/my/chats/chat/310112051?firstId=9410988514181'>message</a>",
        "replacePairs": {"{AMOUNT}": "$12.00"},
        "user_id": CREATOR,
    } | changes


def tip(**changes: Any) -> dict[str, Any]:
    """`tips.received`."""
    return {
        "id": "115273984711",
        "type": "tip",
        "createdAt": "2026-11-22T09:42:00+00:00",
        "amountGross": 8,
        "amountNet": 6.4,
        "user_id": CREATOR,
        "user": {"id": 310112051, "username": "u310112051", "name": "Sam"},
    } | changes


def session(started: str = "2026-11-22T20:26:56.000000Z", completed: str | None = None) -> dict[str, Any]:
    """`accounts.*`."""
    return {
        "state": "authenticated",
        "progress": "started",
        "latestAuthAttempt": {"started_at": started, "completed_at": completed, "success": False},
    }
