"""Onlymonster's webhooks on the wire (upstream spec 3). Amounts are in none of them, as far as anybody has seen."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..deliveries import Delivery, Outgoing, Webhook
from ..records import Account, Message, Subscription, Transaction
from .rows import zulu

if TYPE_CHECKING:
    from ..world import Notification, World


class OnlymonsterWire:
    """Hex signature of `{timestamp}.{raw}`; the id is new with every attempt, so it is no deduplication key."""

    name = "onlymonster"
    pauses = False
    ordered = False
    charges = False
    key_header = "x-om-webhook-id"
    signature_headers: tuple[str, ...] = ("x-om-webhook-signature",)

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def retry_delays(self) -> tuple[float, ...]:
        """Not documented; a setting."""
        return self._world.settings.onlymonster_retry_delays

    def compose(self, notification: Notification) -> list[Outgoing]:
        """The types known from receivers in the field."""
        account = self._world.accounts.get(notification.account_id)
        if account is None:
            return []
        if self.name not in account.vendors:
            return []
        owner = {"account_id": account.onlymonster_id, "platform_account_id": str(account.onlyfans_id)}
        told = self._told(account, notification)
        if notification.forced and not told:
            told = [(notification.event, dict(notification.payload))]
        return [
            Outgoing(event, account.id, {"type": event, "payload": {"account": owner, **payload}})
            for event, payload in told
        ]

    def _told(self, account: Account, notification: Notification) -> list[tuple[str, dict[str, Any]]]:
        event, subject = notification.event, notification.subject
        if isinstance(subject, Subscription) and event in ("subscriptions.new", "subscriptions.renewed"):
            if subject.renewal:
                return []
            return [("fans.subscription.new_subscriber", {"fan_id": str(subject.fan_id)})]
        if isinstance(subject, Transaction) and event == "tips.received":
            tip = {"tip_id": subject.id, "fan_id": str(subject.fan_id), "tipped_at": zulu(subject.at)}
            return [("fans.tip.received", tip)]
        if isinstance(subject, Transaction) and event == "messages.ppv.unlocked":
            bought = {
                "content_type": "message",
                "content_id": notification.payload["id"],
                "fan_id": str(subject.fan_id),
                "purchased_at": zulu(subject.at),
            }
            return [("fans.ppv.purchased", bought)]
        if isinstance(subject, Message):
            return self._message(account, subject, event)
        return []

    def _message(self, account: Account, row: Message, event: str) -> list[tuple[str, dict[str, Any]]]:
        if event == "messages.failed":
            return [] if row.send_id is None else [("chat.message_error", {"send_id": row.send_id})]
        written = {
            "message_id": row.id,
            "fan_id": row.fan_id,
            "from_id": row.fan_id if row.from_fan else account.onlyfans_id,
            "text": row.text,
            "created_at": zulu(row.at),
            "medias": [],
        }
        told: list[tuple[str, dict[str, Any]]] = [("chat.message", {"message": written})]
        if row.send_id is not None:
            told.append(("chat.message_sent", {"send_id": row.send_id}))
        return told

    def encode(self, webhook: Webhook, body: dict[str, Any]) -> bytes:
        """As JavaScript writes JSON."""
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()

    def headers(self, webhook: Webhook, delivery: Delivery, number: int, signed: bytes) -> dict[str, str]:
        """Signed at the time of the attempt."""
        world = self._world
        now = datetime.now(UTC) if world.settings.signature_clock == "real" else world.clock.now()
        timestamp = zulu(now)
        attempt = world.sequence("onlymonster-attempt")
        headers = {
            "User-Agent": "onlymonster-webhooks",
            self.key_header: str(uuid.UUID(int=world.rng("attempt-id", attempt).getrandbits(128), version=4)),
            "x-om-webhook-timestamp": timestamp,
        }
        if webhook.secret:
            mac = hmac.new(webhook.secret.encode(), timestamp.encode() + b"." + signed, hashlib.sha256)
            headers["x-om-webhook-signature"] = mac.hexdigest()
        return headers
