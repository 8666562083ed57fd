"""A team's own webhooks: the vendor's calls (upstream 1.7), with the events that are told here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Request, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from postbacks.destinations.webhook import EVENTS, NAMES, example
from tracker.access.caller import Caller
from tracker.api.envelope import Offset, envelope, page
from tracker.api.moments import span
from tracker.management import webhooks
from tracker.management.destinations import Destination
from tracker.management.errors import not_found
from tracker.management.services import Services
from tracker.management.webhooks import NewWebhook, Told, WebhookChange

Limit = Annotated[int, QueryParameter(ge=1, le=100)]


@post("/api/webhooks", status_code=201, permission="webhooks.manage")
async def create_webhook(
    data: JSONBody[NewWebhook], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Make a webhook. What happens from now on is sent to it as JSON, signed when there is a signing secret."""
    return envelope(webhook(await webhooks.create(services, caller, data)))


@get("/api/webhooks", permission="webhooks.view")
async def list_webhooks(caller: NamedDependency[Caller], services: NamedDependency[Services]) -> dict[str, Any]:
    """The team's webhooks, newest first."""
    return envelope([webhook(row) for row in await webhooks.page(services, caller, 1000)])


@get("/api/webhooks/events", permission="webhooks.view")
async def list_webhook_events(caller: NamedDependency[Caller]) -> dict[str, Any]:
    """The events a webhook can be told of."""
    return envelope([{"value": name, "description": words} for name, (_, words) in EVENTS.items()])


@get("/api/webhooks/{webhook_id:str}", permission="webhooks.view")
async def get_webhook(
    webhook_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """One webhook."""
    return envelope(webhook(await webhooks.get(services, caller, webhook_id)))


@put("/api/webhooks/{webhook_id:str}", permission="webhooks.manage")
async def change_webhook(
    webhook_id: FromPath[str],
    data: JSONBody[WebhookChange],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Change a webhook; `enabled: false` pauses it, and what happens meanwhile waits."""
    return envelope(webhook(await webhooks.change(services, caller, webhook_id, data)))


@delete("/api/webhooks/{webhook_id:str}", status_code=200, permission="webhooks.manage")
async def delete_webhook(
    webhook_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Delete a webhook; what still waited is closed as not sent."""
    await webhooks.delete(services, caller, webhook_id)
    return envelope({"success": True})


@get("/api/webhooks/{event_type:str}/example-payload", permission="webhooks.view")
async def webhook_example(event_type: FromPath[str], caller: NamedDependency[Caller]) -> dict[str, Any]:
    """A sample body of an event."""
    if event_type not in EVENTS:
        raise not_found("This event")
    return envelope(example(event_type, datetime.now(UTC)))


@get("/api/webhooks/{webhook_id:str}/deliveries", permission="webhooks.view")
async def list_webhook_deliveries(
    request: Request[Any, Any, Any],
    webhook_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    date_start: FromQuery[str | None] = None,
    date_end: FromQuery[str | None] = None,
    event: FromQuery[str | None] = None,
    succeeded: FromQuery[bool | None] = None,
    limit: Limit = 25,
    offset: Offset = 0,
) -> dict[str, Any]:
    """What was sent to a webhook, one row per attempt, newest first."""
    since, until = span(date_start, date_end)
    found = await webhooks.get(services, caller, webhook_id)
    rows = await webhooks.told(
        services, caller, webhook_id, since=since, until=until, event=event, succeeded=succeeded,
        limit=limit + 1, offset=offset,
    )  # fmt: skip
    return page(request, [attempt(row, found.config["url"]) for row in rows], limit, offset)


@post(
    "/api/webhooks/{webhook_id:str}/deliveries/{delivery_id:int}/redeliver",
    status_code=200,
    permission="webhooks.manage",
)
async def redeliver_webhook(
    webhook_id: FromPath[str],
    delivery_id: FromPath[int],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Send an event again, under its idempotency key."""
    if not 0 < delivery_id < 2**63:
        raise not_found("This delivery")
    sent = await webhooks.redeliver(services, caller, webhook_id, delivery_id)
    found = await webhooks.get(services, caller, webhook_id)
    return envelope(
        {
            "redelivery_id": sent.event_id,
            "delivery_id": sent.attempt_id,
            "webhook_id": name(found),
            "event": sent.event_type and NAMES.get(sent.event_type),
            "idempotency_key": sent.idempotency_key,
            "url": found.config["url"],
            "queued_at": datetime.now(UTC).isoformat(),
        }
    )


def name(row: Destination) -> str:
    """A webhook's id as the vendor writes it."""
    return f"wh_{row.destination_id.lower()}"


def webhook(row: Destination) -> dict[str, Any]:
    """A webhook as the vendor shows it, and its state."""
    return {
        "id": name(row),
        "url": row.config["url"],
        "events": row.config["events"],
        "account_scope": row.config.get("account_scope", "global"),
        "account_ids": row.config.get("account_ids", []),
        "has_signing_secret": row.has_token,
        "enabled": row.state == "active",
        "state": row.state,
        "state_reason": row.state_reason,
        "destination_id": row.destination_id,
        "waiting": row.waiting,
        "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
    }


def attempt(row: Told, url: str) -> dict[str, Any]:
    """An attempt as the vendor's delivery log shows it."""
    delivered = row.outcome == "delivered"
    return {
        "id": row.attempt_id,
        "delivery_uuid": row.event_id,
        "event": row.event_type and NAMES.get(row.event_type),
        "attempt": row.attempt,
        "succeeded": delivered,
        "status_code": row.status_code,
        "error_type": None if delivered else row.outcome,
        "error_message": None if delivered else row.verdict,
        "idempotency_key": row.idempotency_key,
        "url": url,
        "payload": row.body,
        "redelivered_from": None,
        "created_at": row.started_at.isoformat(),
    }
