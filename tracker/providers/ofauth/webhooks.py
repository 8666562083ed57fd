"""What OFAuth's webhooks say, normalised, in both of its signature schemes (upstream spec 2). No I/O but the clock.

They tell of connections and, in a beta, of chats. Nothing of subscriptions or money: that is polled.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tracker.providers import fields
from tracker.providers.base import SessionState
from tracker.providers.events import message_event
from tracker.providers.ofauth.accounts import session_of
from tracker.providers.readings import Reading, SessionChange, Unintelligible, Wake
from tracker.providers.transport import json_body

OLDEST = 300.0  # seconds a signature is good for

_ALIVE = tuple(Wake(job, urgent=True) for job in ("session", "pools", "reconcile", "transactions", "messages"))
_STATUSES = {"connection.created": "active", "connection.expired": "expired"}


class OFAuthWebhooks:
    """`WebhookReader` of OFAuth: `OFAuth-Signature: t=…,v1=…`, or the SDK's Svix headers. `clock`: Unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def verified(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> bool:
        """Whether any of `secrets` signed the body within the last five minutes."""
        if "svix-signature" in headers:
            message_id, timestamp = headers.get("svix-id", ""), headers.get("svix-timestamp", "")
            told = [part.partition(",")[2] for part in headers["svix-signature"].split() if part.startswith("v1,")]
            good = [base64.b64encode(svix_mac(secret, message_id, timestamp, body)).decode() for secret in secrets]
        else:
            parts = [part.strip().partition("=") for part in headers.get("ofauth-signature", "").split(",")]
            timestamp = next((value for name, _, value in parts if name == "t"), "")
            told = [value for name, _, value in parts if name == "v1"]
            macs = [mac(secret, timestamp, body) for secret in secrets if secret]
            # Whether `v1` is hex or base64 is not said.
            good = [mac.hex() for mac in macs] + [base64.b64encode(mac).decode() for mac in macs]
        fresh = (
            timestamp.isascii()
            and timestamp.isdigit()
            and len(timestamp) < 12
            and abs(self._clock() - int(timestamp)) <= OLDEST
        )
        matches = [hmac.compare_digest(a.encode(), b.encode()) for a in told[:8] for b in good]
        return fresh and any(matches)

    def dedup_key(self, headers: Mapping[str, str], body: bytes) -> str:
        """Svix's message id; the other scheme has none, its body (with the event's time) stands for it."""
        return fields.id_text(headers.get("svix-id")) or "sha256:" + hashlib.sha256(body).hexdigest()

    def envelope(self, body: bytes) -> tuple[str, str]:
        """(event, connection id). Raises Unintelligible when the body is no JSON object."""
        outer = json_body(body)
        connection = fields.mapping(fields.mapping(outer.get("data")).get("connection"))
        return fields.id_text(outer.get("type") or outer.get("eventType")), fields.id_text(connection.get("id"))

    def read(self, body: bytes, creator_id: str) -> Reading:
        """Understand a stored body. Raises Unintelligible."""
        outer = json_body(body)
        event, data = fields.id_text(outer.get("type") or outer.get("eventType")), fields.mapping(outer.get("data"))
        if event.startswith("connection."):
            return _connection(event, data, outer)
        # Only one of the beta's names is documented, and it is not this one.
        if event.startswith("realtime.") and "message" in event and ("received" in event or "created" in event):
            return _message(fields.mapping(data.get("eventBody")), creator_id)
        return Reading(note=f"not used: {event or 'no event name'}")


def mac(secret: str, timestamp: str, body: bytes) -> bytes:
    """What `v1` of `OFAuth-Signature` holds."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).digest()


def svix_mac(secret: str, message_id: str, timestamp: str, body: bytes) -> bytes:
    """What `v1` of `svix-signature` holds; a secret that is not base64 is taken as it is."""
    text = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = text.encode()
    return hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()


def _connection(event: str, data: dict[str, Any], outer: dict[str, Any]) -> Reading:
    connection = fields.mapping(data.get("connection"))
    status = fields.text(connection.get("status"), 64).lower() or _STATUSES.get(event, "")
    state: SessionState
    state, message = session_of(status)
    if state == "unknown":
        return Reading(wakes=(Wake("session", urgent=True),))
    at = fields.moment(outer.get("timestamp"))
    if at is not None and at.microsecond == 0:
        # Told in whole seconds: what we learnt earlier in the same second is not newer.
        at = at.replace(microsecond=999_999)
    return Reading(session=SessionChange(state, message, at), wakes=_ALIVE if state == "ok" else ())


def _message(payload: dict[str, Any], creator_id: str) -> Reading:
    fan = fields.fan_id(fields.mapping(payload.get("fromUser")).get("id"))
    number, at = fields.id_text(payload.get("id")), fields.moment(payload.get("createdAt"))
    if fan and fan == creator_id:
        return Reading(note="written by the creator")
    if not fan or not number or at is None:
        raise Unintelligible("a message cannot be used without fan, id and time")
    return Reading(events=(message_event(number, fan, at, is_tip=payload.get("isTip") is True),))
