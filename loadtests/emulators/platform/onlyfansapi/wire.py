"""OnlyFansAPI's webhooks on the wire; Fansly's events go the same way (upstream spec 1.8, 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..deliveries import Delivery, Outgoing, Webhook, encode, sign
from ..fansly import events

if TYPE_CHECKING:
    from ..world import Notification, World


class OnlyFansApiWire:
    """Hex signature of the raw body without a timestamp; an idempotency key that retries keep."""

    name = "onlyfansapi"
    pauses = True
    ordered = False
    charges = True
    key_header = "X-OFAPI-Idempotency-Key"
    signature_headers: tuple[str, ...] = ("Signature",)

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def retry_delays(self) -> tuple[float, ...]:
        """Three attempts (upstream spec 6.3 row 14)."""
        return self._world.settings.retry_delays

    def compose(self, notification: Notification) -> list[Outgoing]:
        """The notification as it is; a Fansly account's in Fansly's words."""
        account = self._world.accounts.get(notification.account_id)
        if account is not None and self.name not in account.vendors:
            return []
        event, payload = notification.event, notification.payload
        if account is not None and account.platform == "fansly" and not event.startswith("fansly."):
            told = events.translate(self._world, account, notification)
            if told is None:
                return []
            event, payload = told
        body = {"event": event, "account_id": notification.account_id, "payload": payload}
        return [Outgoing(event, notification.account_id, body)]

    def encode(self, webhook: Webhook, body: dict[str, Any]) -> bytes:
        """As PHP writes JSON."""
        return encode(body)

    def headers(self, webhook: Webhook, delivery: Delivery, number: int, signed: bytes) -> dict[str, str]:
        """Signed only if the endpoint has a secret."""
        headers = {"User-Agent": "OnlyFansAPI.com/Webhook-Client"}
        if delivery.key is not None:
            headers[self.key_header] = delivery.key
        if delivery.redelivery_of is not None:
            headers["X-OFAPI-Redelivery-Of"] = str(delivery.redelivery_of)
        if webhook.secret:
            headers["Signature"] = sign(webhook.secret, signed)
        return headers
