"""Takes a webhook in: checks its signature, keeps its bytes, answers fast. Knows no HTTP framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
import structlog

from tracker.inbox.keeper import Delivery, Keeper
from tracker.providers.readings import Unintelligible
from tracker.providers.registry import WEBHOOKS
from tracker.secrets import SealError, Secrets
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.inbox", "inbox.sql")
LONGEST_BODY = 1024 * 1024

log = structlog.get_logger()

Outcome = Literal["stored", "repeated", "too_big", "unknown_account", "bad_signature", "not_json"]
STATUS: dict[Outcome, int] = {
    "stored": 200,
    "repeated": 200,
    "too_big": 413,
    "unknown_account": 404,
    "bad_signature": 401,
    "not_json": 400,
}


class Receipt(msgspec.Struct, frozen=True):
    """What became of a delivery. `message` is for the sender; `webhook_id` is None when nothing was kept."""

    code: Outcome
    message: str = ""
    webhook_id: int | None = None

    @property
    def status(self) -> int:
        """The HTTP status to answer with."""
        return STATUS[self.code]

    @property
    def duplicate(self) -> bool:
        """A copy of a delivery kept before: nothing to wake anybody for."""
        return self.code == "repeated"


def secret_context(account_id: str) -> str:
    """What a webhook secret is sealed for."""
    return f"account:{account_id}:webhook_secret"


def seal_secrets(secrets: Secrets, account_id: str, current: str, previous: str = "") -> bytes:
    """The value of accounts.webhook_secret_sealed: the current secret and, while it is rotated, the one before."""
    lines = [secret for secret in (current, previous) if secret]
    return secrets.seal("\n".join(lines).encode(), secret_context(account_id))


def open_secrets(secrets: Secrets, account_id: str, sealed: bytes | None) -> list[str]:
    """[current, previous?] of a sealed value, [] when there is none. Raises SealError."""
    if sealed is None:
        return []
    return secrets.open(sealed, secret_context(account_id)).decode().split("\n")


async def receive(
    keeper: Keeper, account_id: str, provider: str, headers: Mapping[str, str], raw_body: bytes, secrets: Secrets
) -> Receipt:
    """Keep one delivery (once however often it comes) after its signature held. Header names in any letter case.

    A delivery is never trusted unsigned: an account without a webhook secret takes none.
    """
    if len(raw_body) > LONGEST_BODY:
        return Receipt("too_big", f"A webhook body may have {LONGEST_BODY} bytes.")
    reader = WEBHOOKS.get(provider)
    storable = "\0" not in account_id
    account = await keeper.pool.fetchrow(SQL["account"], account_id) if reader is not None and storable else None
    if reader is None or account is None or account["provider"] != provider:
        return Receipt("unknown_account", "No such account at this provider; check the webhook's address.")
    lowered = {name.lower(): value for name, value in headers.items()}
    try:
        accepted = open_secrets(secrets, account_id, account["webhook_secret_sealed"])
    except (SealError, UnicodeDecodeError) as error:
        log.error("webhook secret does not open", account_id=account_id, reason=str(error))
        accepted = []
    if not accepted:
        return Receipt("bad_signature", "This account has no webhook secret yet; set one on both sides.")
    if not reader.verified(lowered, raw_body, accepted):
        log.warning("webhook refused", account_id=account_id, provider=provider, reason="signature")
        return Receipt("bad_signature", "The signature does not match the body under this account's secret.")
    try:
        event_type, _ = reader.envelope(raw_body)
    except Unintelligible as error:
        return Receipt("not_json", f"The webhook was signed well, but {error}.")
    kept = await keeper.keep(Delivery(account_id, provider, reader.dedup_key(lowered, raw_body), event_type, raw_body))
    return Receipt("stored" if kept.times_seen == 1 else "repeated", webhook_id=kept.webhook_id)
