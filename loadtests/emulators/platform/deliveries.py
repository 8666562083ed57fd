"""Webhook endpoints, deliveries, attempts, and the exact bytes that are signed (upstream spec 1.7, 1.8)."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal


@dataclass(slots=True)
class Webhook:
    """A registered endpoint and its health."""

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

    def wants(self, event: str, account_id: str) -> bool:
        """Whether the subscription covers this event of this account."""
        if not self.enabled or event not in self.events:
            return False
        if self.scope == "global":
            return True
        return (account_id in self.account_ids) == (self.scope == "inclusive")


@dataclass(slots=True)
class Delivery:
    """One notification on its way to one endpoint; shared by its attempts."""

    uuid: str
    webhook_id: str
    event: str
    account_id: str
    key: str | None
    body: dict[str, Any]
    redelivery_of: int | None = None


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
