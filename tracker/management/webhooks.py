"""A team's own webhooks: destinations that are told of events as signed JSON (upstream 1.7)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import ulid
from msgspec import UNSET, UnsetType

from postbacks.destinations.base import Item
from postbacks.destinations.webhook import EVENTS, idempotency_key, payload
from tracker.access.audit import record
from tracker.management import accounts, destinations
from tracker.management.destinations import SQL, Destination
from tracker.management.errors import Invalid, Refused, not_found
from tracker.management.postbacks import host
from tracker.stores.queries import load_queries

if TYPE_CHECKING:
    from tracker.access.caller import Caller
    from tracker.management.services import Services

OWN_SQL = load_queries("tracker.management", "webhooks.sql")
KINDS = ("webhook",)
WHAT = "This webhook"
Scope = Literal["global", "inclusive", "exclusive"]
Ids = Annotated[list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(max_length=1000)]
Events = Annotated[list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(min_length=1, max_length=100)]
Secret = Annotated[str, msgspec.Meta(max_length=255)]
_FIELDS = {"url": "endpoint_url", "config": "endpoint_url"}


class NewWebhook(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A webhook as the vendor's client sends it. account_ids go with the scopes inclusive and exclusive."""

    endpoint_url: str
    events: Events
    account_scope: Scope
    account_ids: Ids = []
    signing_secret: Secret | None = None


class WebhookChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A webhook as it is to be. Without signing_secret the old one stays, null takes it away; enabled false pauses it."""

    endpoint_url: str
    events: Events
    account_scope: Scope
    account_ids: Ids = []
    enabled: bool | None = None
    signing_secret: Secret | UnsetType | None = UNSET


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to tell a webhook of an event. `body` is null when the event is not kept any more."""

    attempt_id: int
    event_id: str
    event_type: str | None
    attempt: int
    started_at: datetime
    status_code: int | None
    outcome: str
    verdict: str
    idempotency_key: str
    body: dict[str, Any] | None


async def page(services: Services, caller: Caller, limit: int, offset: int = 0) -> list[Destination]:
    """The team's webhooks, newest first."""
    return await destinations.page(services, caller, KINDS, limit, offset)


async def get(services: Services, caller: Caller, name: str) -> Destination:
    """One webhook. Raises Refused (404)."""
    return await destinations.get(services, caller, KINDS, _id(name), WHAT)


async def create(services: Services, caller: Caller, new: NewWebhook) -> Destination:
    """Make a webhook; its signing secret is encrypted at once and never shown. Raises Invalid."""
    config = await _config(services, caller, new)
    secrets = {"signing_secret": new.signing_secret} if new.signing_secret else {}
    types = _types(services, config, secrets)
    destination_id: str = ulid.new().str
    sealed = destinations.seal(services, destination_id, secrets) if secrets else None
    async with services.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            SQL["insert"], destination_id, caller.team_id, "webhook", "", config, sealed, "global", types, "active"
        )
        detail = {"host": host(new.endpoint_url), "events": new.events}
        await record(connection, caller, "webhook.created", "destination", destination_id, detail)
    return await get(services, caller, destination_id)


async def change(services: Services, caller: Caller, name: str, wish: WebhookChange) -> Destination:
    """Change a webhook; what was not sent yet goes out the new way. Raises Invalid, Refused (404)."""
    config = await _config(services, caller, wish)
    async with services.pool.acquire() as connection, connection.transaction():
        row = await destinations.hold(connection, caller, KINDS, _id(name), WHAT)
        destination_id = row["destination_id"]
        secrets = destinations.unseal(services, destination_id, row["secrets_sealed"])
        if wish.signing_secret is not UNSET:
            secrets = {"signing_secret": wish.signing_secret} if wish.signing_secret else {}
        types = _types(services, config, secrets)
        state = None if wish.enabled is None else "active" if wish.enabled else "paused"
        sealed = destinations.seal(services, destination_id, secrets) if secrets else None
        if not secrets:
            await connection.execute(OWN_SQL["forget_secret"], caller.team_id, destination_id)
        await connection.execute(
            SQL["update"], caller.team_id, destination_id, row["name"], config, sealed, "global", types, state
        )
        await destinations.resume(connection, row, state)
        detail = {"host": host(wish.endpoint_url), "events": wish.events, "enabled": wish.enabled}
        await record(connection, caller, "webhook.changed", "destination", destination_id, detail)
    await destinations.wake(services)
    return await get(services, caller, destination_id)


async def delete(services: Services, caller: Caller, name: str) -> None:
    """Delete a webhook; what still waited is closed as not sent, and its delivery log stays. Raises Refused (404)."""
    await destinations.delete(services, caller, KINDS, _id(name), WHAT)


async def told(
    services: Services,
    caller: Caller,
    name: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    event: str | None = None,
    succeeded: bool | None = None,
    attempt_id: int | None = None,
    limit: int,
    offset: int = 0,
) -> list[Told]:
    """A webhook's attempts, newest first. Raises Invalid (event), Refused (404)."""
    if event is not None and event not in EVENTS:
        raise Invalid({"event": [f"The event must be one of: {', '.join(EVENTS)}."]})
    found = await get(services, caller, name)
    rows = await services.pool.fetch(
        OWN_SQL["deliveries"], found.destination_id, since, until, event and EVENTS[event][0], succeeded, attempt_id,
        limit, offset,
    )  # fmt: skip
    return [
        Told(
            attempt_id=row["attempt_id"],
            event_id=row["event_id"],
            event_type=row["event_type"],
            attempt=row["attempt"],
            started_at=row["started_at"],
            status_code=row["status_code"],
            outcome=row["outcome"],
            verdict=row["verdict"],
            idempotency_key=idempotency_key(row["event_id"]),
            body=None
            if row["facts"] is None
            else payload(Item(row["event_id"], row["event_type"], row["occurred_at"], row["facts"])),
        )
        for row in rows
    ]


async def redeliver(services: Services, caller: Caller, name: str, attempt_id: int) -> Told:
    """Send the event of an attempt again, under its idempotency key, whatever came of it. Raises Refused: 404; 409 when the
    webhook is paused or the event is being sent right now."""
    rows = await told(services, caller, name, attempt_id=attempt_id, limit=1)
    if not rows:
        raise not_found("This delivery")
    found = await get(services, caller, name)
    async with services.pool.acquire() as connection, connection.transaction():
        sent = await connection.fetchval(OWN_SQL["send_again"], rows[0].event_id, found.destination_id)
        if sent is None:
            reason = "it is being sent right now" if found.state == "active" else f"the webhook is {found.state}"
            raise Refused(409, "CANNOT_REDELIVER", f"This delivery cannot be sent again: {reason}.")
        detail = {"event_id": rows[0].event_id}
        await record(connection, caller, "webhook.redelivered", "destination", found.destination_id, detail)
    await destinations.wake(services)
    return rows[0]


async def _config(services: Services, caller: Caller, wish: NewWebhook | WebhookChange) -> dict[str, Any]:
    ids = list(dict.fromkeys(wish.account_ids))
    known = {account.account_id for account in await accounts.page(services, caller)} if ids else set()
    if set(ids) - known:
        raise Invalid({"account_ids": ["Some of these accounts are not your team's."]})
    return {
        "url": wish.endpoint_url,
        "events": list(dict.fromkeys(wish.events)),
        "account_scope": wish.account_scope,
        "account_ids": ids,
    }


def _types(services: Services, config: dict[str, Any], secrets: dict[str, str]) -> list[str]:
    try:
        return list(destinations.load(services, "webhook", config, secrets, prefix="").event_types)
    except Invalid as error:
        raise Invalid({_FIELDS.get(field, field): said for field, said in error.errors.items()}) from error


def _id(name: str) -> str:
    return re.sub(r"^wh_", "", name, flags=re.IGNORECASE)
