"""What OnlyFansAPI's webhooks say, normalised (upstream spec 1.8). Pure.

The fan of a notification is `payload.user.id`; `payload.user_id` is the CREATOR in live traffic, whatever the vendor's
example shows. Money is believed only in `transactions.new`: tips and unlocked messages repeat it and are signals to poll.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tracker.providers import fields
from tracker.providers.base import SessionState
from tracker.providers.events import EXACT, MINUTE, PlatformEvent, message_event
from tracker.providers.onlyfansapi.accounts import LOGGING_IN, LOGIN_FAILED
from tracker.providers.onlyfansapi.money import read_transaction
from tracker.providers.readings import Reading, SessionChange, Unintelligible, Wake
from tracker.providers.transport import json_body

SIGNATURE = "signature"
IDEMPOTENCY = "x-ofapi-idempotency-key"
NEEDS_CODE = "OnlyFans asks for a login code. Enter it in the OnlyFansAPI console; new links wait, redirects go on."
NEEDS_FACE = "OnlyFans asks for a face check. Finish it in the OnlyFansAPI console; new links wait, redirects go on."
DISCONNECTED = "The account was disconnected from OnlyFansAPI. Connect it again there."

SESSION_EVENTS: dict[str, tuple[SessionState, str]] = {
    "accounts.connected": ("ok", ""),
    "accounts.reconnected": ("ok", ""),
    "accounts.session_expired": ("reconnecting", LOGGING_IN),
    "accounts.authentication_failed": ("dead", LOGIN_FAILED),
    "accounts.otp_code_required": ("dead", NEEDS_CODE),
    "accounts.face_otp_required": ("dead", NEEDS_FACE),
    "accounts.disconnected": ("dead", DISCONNECTED),
}
_MONEY_SOON = Wake("transactions", debounce=True)
_LOOK_SOON = Wake("reconcile", debounce=True)


class OnlyFansApiWebhooks:
    """`WebhookReader` of OnlyFansAPI."""

    def verified(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> bool:
        """Hex HMAC-SHA256 of the raw body under any of `secrets`, compared in constant time and any letter case."""
        told = headers.get(SIGNATURE, "").strip().lower().encode()
        matches = [hmac.compare_digest(sign(secret, body).encode(), told) for secret in secrets if secret]
        return any(matches)

    def dedup_key(self, headers: Mapping[str, str], body: bytes) -> str:
        """The vendor's key, the same for every retry; ephemeral events have none, their body stands for it."""
        key = fields.id_text(headers.get(IDEMPOTENCY))
        return key or "sha256:" + hashlib.sha256(body).hexdigest()

    def envelope(self, body: bytes) -> tuple[str, str]:
        """(event, provider's account id). Raises Unintelligible when the body is no JSON object."""
        outer = json_body(body)
        return fields.id_text(outer.get("event")), fields.id_text(outer.get("account_id"))

    def read(self, body: bytes, creator_id: str) -> Reading:
        """Understand a stored body. Raises Unintelligible."""
        outer = json_body(body)
        return normalise(fields.id_text(outer.get("event")), fields.mapping(outer.get("payload")), creator_id)


def sign(secret: str, body: bytes) -> str:
    """The `Signature` header of a body."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def normalise(event_type: str, payload: dict[str, Any], creator_id: str = "") -> Reading:
    """Events and wake-ups of one webhook. `creator_id`, when known, guards against taking the creator for a fan.

    Raises Unintelligible when an event we use lacks its fan, id or time.
    """
    reader = _READERS.get(event_type)
    if reader is not None:
        return reader(payload, creator_id)
    if event_type in SESSION_EVENTS:
        return _session(event_type, payload)
    return Reading(note=f"not used: {event_type or 'no event name'}")


def _subscribed(payload: dict[str, Any], creator_id: str) -> Reading:
    user = fields.mapping(payload.get("user"))
    pairs = fields.mapping(payload.get("replacePairs"))
    fan = fields.fan_id(user.get("id")) or fields.fan_in(pairs.get("{SUBSCRIBER_LINK}") or payload.get("text"))
    number = fields.id_text(payload.get("id"))
    at = fields.moment(payload.get("createdAt"))
    if not fan or fan == creator_id or not number or at is None:
        # Somebody subscribed all the same: the lists and the money feed will tell who.
        return Reading(
            wakes=(_LOOK_SOON, _MONEY_SOON),
            rejected=True,
            note=_missing(fan=fan, id=number, createdAt=at, self=creator_id),
        )
    told = payload.get("price") if payload.get("price") is not None else pairs.get("{PRICE}")
    price = fields.price(told)
    username, name = fields.text(user.get("username"), 200), fields.text(user.get("name"), 200)
    event = PlatformEvent(
        event_key=f"sub:{number}",
        kind="subscribed",
        fan_id=fan,
        at=at,
        # Notifications are floored to the minute; one that shows seconds plainly is not.
        precision_seconds=MINUTE if at.second == 0 else EXACT,
        username=username,
        name=name,
        detail={
            "price_cents": price,
            "sub_type": fields.text(payload.get("subType"), 64),
            "username": username,
            "name": name,
        },
    )
    return Reading(events=(event,), wakes=(_LOOK_SOON,) if price == 0 else (_LOOK_SOON, _MONEY_SOON))


def _transaction(payload: dict[str, Any], creator_id: str) -> Reading:
    found = read_transaction(payload)
    if found is None or found.fan_id == creator_id:
        missing = _missing(
            fan=found.fan_id if found else fields.mapping(payload.get("fan")).get("id"),
            id=payload.get("id"),
            createdAt=payload.get("created_at"),
            amount=payload.get("amount"),
            self=creator_id,
        )
        return Reading(wakes=(_MONEY_SOON,), rejected=True, note=missing)
    return Reading(events=(found.event(),))


def _message(payload: dict[str, Any], creator_id: str) -> Reading:
    user = fields.mapping(payload.get("fromUser"))
    fan, number = fields.fan_id(user.get("id")), fields.id_text(payload.get("id"))
    at = fields.moment(payload.get("createdAt"))
    if fan and fan == creator_id:
        return Reading(note="written by the creator")
    if not fan or not number or at is None:
        raise Unintelligible(_missing(fan=fan, id=number, createdAt=at))
    username, name = fields.text(user.get("username"), 200), fields.text(user.get("name"), 200)
    is_tip = payload.get("isTip") is True
    event = message_event(number, fan, at, is_tip=is_tip, username=username, name=name)
    return Reading(events=(event,), wakes=(_MONEY_SOON,) if is_tip else ())


def _money_signal(payload: dict[str, Any], creator_id: str) -> Reading:
    return Reading(wakes=(_MONEY_SOON,), note="money is taken from the transaction feed")


def _session(event_type: str, payload: dict[str, Any]) -> Reading:
    state, message = SESSION_EVENTS[event_type]
    attempt = fields.mapping(payload.get("latestAuthAttempt"))
    at: datetime | None = (
        fields.moment(payload.get("disconnected_at"))
        or fields.moment(attempt.get("completed_at"))
        or fields.moment(attempt.get("started_at"))
    )
    wakes = tuple(Wake(job, urgent=True) for job in ("session", "pools", "reconcile", "transactions", "messages"))
    return Reading(session=SessionChange(state, message, at), wakes=wakes if state == "ok" else ())


_READERS: dict[str, Callable[[dict[str, Any], str], Reading]] = {
    "subscriptions.new": _subscribed,
    "subscriptions.renewed": _subscribed,
    "transactions.new": _transaction,
    "messages.received": _message,
    "tips.received": _money_signal,
    "messages.ppv.unlocked": _money_signal,
}


def _missing(**found: Any) -> str:
    creator = found.pop("self", "")
    if creator and found.get("fan") == creator:
        return "the fan named is the creator"
    return "cannot be used without " + ", ".join(name for name, value in found.items() if not value)
