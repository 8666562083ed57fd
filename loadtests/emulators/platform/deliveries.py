"""Webhook endpoints, deliveries, attempts, and the exact bytes that are signed (upstream spec 1.7, 1.8)."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from .world import Notification


@dataclass(slots=True)
class Webhook:
    """A registered endpoint and its health. `events` may be `["*"]`; `scheme` is OFAuth's kind of signature;
    `active_from` is when the vendor begins to send."""

    id: str
    url: str
    secret: str | None
    events: list[str]
    scope: Literal["global", "inclusive", "exclusive"]
    account_ids: list[str]
    created_at: datetime
    enabled: bool = True
    lost_in_row: int = 0
    pause_seconds: float = 0.0
    paused_until: datetime | None = None
    probing: bool = False
    dropped: int = 0
    scheme: str = ""
    active_from: datetime | None = None

    def wants(self, event: str, account_id: str) -> bool:
        """Whether the subscription covers this event of this account."""
        if not self.enabled or (event not in self.events and "*" not in self.events):
            return False
        if self.scope == "global":
            return True
        return (account_id in self.account_ids) == (self.scope == "inclusive")


@dataclass(slots=True)
class Delivery:
    """One notification on its way to one endpoint; shared by its attempts. `key` stays the same
    over all its attempts, None on ephemeral events."""

    uuid: str
    webhook_id: str
    event: str
    account_id: str
    key: str | None
    body: dict[str, Any]
    redelivery_of: int | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A notification in a vendor's own words. `account_id` is the world's, whatever the body says."""

    event: str
    account_id: str
    body: dict[str, Any]


class Wire(Protocol):
    """How one vendor's webhooks look and behave.

    pauses   the endpoint is paused after too many lost deliveries
    ordered  an account's deliveries wait for each other
    charges  events cost credits
    """

    name: str
    pauses: bool
    ordered: bool
    charges: bool
    key_header: str
    signature_headers: tuple[str, ...]

    @property
    def retry_delays(self) -> tuple[float, ...]:
        """Waits between attempts, virtual seconds."""

    def compose(self, notification: Notification) -> list[Outgoing]:
        """What the vendor says about a notification; nothing if it does not tell."""

    def encode(self, webhook: Webhook, body: dict[str, Any]) -> bytes:
        """The bytes of a body as this endpoint gets it."""

    def headers(self, webhook: Webhook, delivery: Delivery, number: int, signed: bytes) -> dict[str, str]:
        """Headers of attempt `number`, signing `signed`."""


@dataclass(slots=True)
class Attempt:
    """A row of the delivery log."""

    id: int
    delivery: Delivery
    number: int
    succeeded: bool
    status_code: int | None
    error: str | None
    url: str
    created_at: datetime
    signature_fault: str | None = None


def sign(secret: str, body: bytes) -> str:
    """The `Signature` header: lower-case hex HMAC-SHA256 of the exact body bytes."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def encode(body: dict[str, Any]) -> bytes:
    r"""JSON as PHP writes it, `/` as `\/` and non-ASCII escaped, so re-encoding it never gives the same bytes."""
    return json.dumps(body, separators=(",", ":")).replace("/", "\\/").encode()
