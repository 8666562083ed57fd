"""OFAuth's webhooks on the wire, in both signature schemes (upstream spec 2). None tells of money."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..clock import iso
from ..deliveries import Delivery, Outgoing, Webhook
from ..payloads import received
from ..records import Account, Message
from .rows import user_data

if TYPE_CHECKING:
    from ..world import Notification, World

_TYPES = {
    "accounts.connected": "connection.created",
    "accounts.reconnected": "connection.updated",
    "accounts.session_expired": "connection.expired",
    "accounts.authentication_failed": "connection.expired",
}


class OFAuthWire:
    """`OFAuth-Signature: t=,v1=` or Svix by the endpoint's `scheme`; in order per connection, five attempts."""

    name = "ofauth"
    pauses = False
    ordered = True
    charges = False
    key_header = "svix-id"
    signature_headers: tuple[str, ...] = ("OFAuth-Signature", "svix-signature")

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def retry_delays(self) -> tuple[float, ...]:
        """Exponential."""
        return self._world.settings.ofauth_retry_delays

    def compose(self, notification: Notification) -> list[Outgoing]:
        """Connection events; chat messages too once the beta is switched on."""
        account = self._world.accounts.get(notification.account_id)
        if notification.event == "rules.updated" or account is None:
            told = (notification.event, dict(notification.payload)) if notification.event == "rules.updated" else None
        elif self.name not in account.vendors:
            return []
        else:
            told = self._told(account, notification)
        if told is None and notification.forced:
            told = notification.event, dict(notification.payload)
        if told is None:
            return []
        type_, data = told
        body = {"type": type_, "timestamp": iso(notification.at).replace("+00:00", "Z"), "data": data}
        return [Outgoing(type_, notification.account_id, body)]

    def _told(self, account: Account, notification: Notification) -> tuple[str, dict[str, Any]] | None:
        type_ = _TYPES.get(notification.event)
        if type_ is not None:
            connection: dict[str, Any] = {"id": account.connection_id, "status": "active"}
            if type_ == "connection.expired":
                connection["status"] = "expired"
            else:
                connection["permissions"] = list(self._world.settings.ofauth_permissions)
                connection["userData"] = user_data(account)
            return type_, {"clientReferenceId": None, "connection": connection}
        subject = notification.subject
        if self._world.settings.ofauth_realtime and isinstance(subject, Message) and subject.from_fan:
            fan = self._world.people[subject.fan_id]
            data = {
                "connection": {"id": account.connection_id, "clientReferenceId": None},
                "environment": "live",
                "eventBody": received(subject, fan, {}),
            }
            return "realtime.chat_message.received", data
        return None

    def encode(self, webhook: Webhook, body: dict[str, Any]) -> bytes:
        """As JavaScript writes JSON; the Svix generation has an envelope of its own."""
        if webhook.scheme == "svix":
            body = {"eventType": body["type"], "live": True, "data": _svix_data(body["data"])}
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()

    def headers(self, webhook: Webhook, delivery: Delivery, number: int, signed: bytes) -> dict[str, str]:
        """Signed at the time of the attempt. The Svix id stays over the attempts; the other scheme has none."""
        now = datetime.now(UTC) if self._world.settings.signature_clock == "real" else self._world.clock.now()
        timestamp = str(int(now.timestamp()))
        headers = {"User-Agent": "OFAuth-Webhooks"}
        secret = webhook.secret or ""
        if webhook.scheme == "svix":
            message_id = "msg_" + (delivery.key or delivery.uuid).removeprefix("evt_")
            key = base64.b64decode(secret.removeprefix("whsec_"))
            mac = hmac.new(key, f"{message_id}.{timestamp}.".encode() + signed, hashlib.sha256).digest()
            headers |= {
                "svix-id": message_id,
                "svix-timestamp": timestamp,
                "svix-signature": "v1," + base64.b64encode(mac).decode(),
            }
        else:
            signature = hmac.new(secret.encode(), f"{timestamp}.".encode() + signed, hashlib.sha256).hexdigest()
            headers["OFAuth-Signature"] = f"t={timestamp},v1={signature}"
        return headers


def _svix_data(data: dict[str, Any]) -> dict[str, Any]:
    connection = dict(data.get("connection", {}))
    if "userData" in connection:
        user = dict(connection["userData"])
        user["userId"] = connection["platformUserId"] = user.pop("id")
        connection["userData"] = user
    return {**data, **({"connection": connection} if connection else {})}
