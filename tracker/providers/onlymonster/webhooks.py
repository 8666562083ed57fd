"""What Onlymonster's webhooks say, normalised (upstream spec 3). Pure.

Only messages are facts here. A new subscriber comes without time or link, payments without amounts: they wake the polls.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from tracker.providers import fields
from tracker.providers.events import message_event
from tracker.providers.readings import Reading, Unintelligible, Wake
from tracker.providers.transport import json_body

SIGNATURE = "x-om-webhook-signature"
TIMESTAMP = "x-om-webhook-timestamp"
_MONEY_SOON = Wake("transactions", debounce=True)
_LOOK_SOON = Wake("reconcile", debounce=True)
WAKES: dict[str, tuple[Wake, ...]] = {
    "fans.subscription.new_subscriber": (_LOOK_SOON, _MONEY_SOON),
    "fans.tip.received": (_MONEY_SOON,),
    "fans.ppv.purchased": (_MONEY_SOON,),
}


class OnlymonsterWebhooks:
    """`WebhookReader` of Onlymonster."""

    def verified(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> bool:
        """Hex HMAC-SHA256 of `{timestamp}.{body}` under any of `secrets`."""
        told, timestamp = headers.get(SIGNATURE, "").strip().lower().encode(), headers.get(TIMESTAMP, "")
        matches = [hmac.compare_digest(sign(secret, timestamp, body).encode(), told) for secret in secrets if secret]
        return any(matches) and bool(timestamp)

    def dedup_key(self, headers: Mapping[str, str], body: bytes) -> str:
        """The body's hash: the vendor's id changes with every attempt. The same fan may subscribe again with the very
        same body, so the hour is part of it; a retry in the next hour merely wakes a poll once more."""
        return f"sha256:{hashlib.sha256(body).hexdigest()}:{fields.id_text(headers.get(TIMESTAMP))[:13]}"

    def envelope(self, body: bytes) -> tuple[str, str]:
        """(event, the platform's account id). Raises Unintelligible when the body is no JSON object."""
        outer = json_body(body)
        owner = fields.mapping(fields.mapping(outer.get("payload")).get("account"))
        named = fields.id_text(owner.get("platform_account_id")) or fields.id_text(owner.get("account_id"))
        return fields.id_text(outer.get("type")), named

    def read(self, body: bytes, creator_id: str) -> Reading:
        """Understand a stored body. Raises Unintelligible."""
        outer = json_body(body)
        event, payload = fields.id_text(outer.get("type")), fields.mapping(outer.get("payload"))
        if event == "chat.message":
            return _message(payload, creator_id)
        if event in WAKES:
            return Reading(wakes=WAKES[event])
        return Reading(note=f"not used: {event or 'no event name'}")


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The signature of a body at a time."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _message(payload: dict[str, Any], creator_id: str) -> Reading:
    message = fields.mapping(payload.get("message"))
    fan, writer = fields.fan_id(message.get("fan_id")), fields.fan_id(message.get("from_id"))
    number, at = fields.id_text(message.get("message_id")), fields.moment(message.get("created_at"))
    if writer and (writer != fan or writer == creator_id):
        return Reading(note="written by the creator")
    if not fan or not writer or not number or at is None:
        raise Unintelligible("a message cannot be used without fan, writer, id and time")
    return Reading(events=(message_event(number, fan, at),))
