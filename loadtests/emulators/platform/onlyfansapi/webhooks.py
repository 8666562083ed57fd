"""Webhook management, delivery log and redelivery (upstream spec 1.7). All free."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from ..clock import iso, micros
from ..deliveries import Attempt, Webhook
from ..fansly.events import EVENTS as FANSLY_EVENTS
from .call import ApiError, Call, Endpoint, Reply, invalid, page

EVENTS = {
    "messages.received": "Message received",
    "messages.sent": "Message sent",
    "messages.ppv.unlocked": "PPV message unlocked",
    "messages.deleted": "Message deleted",
    "chat_queue.updated": "Chat queue updated",
    "chat_queue.finished": "Chat queue finished",
    "subscriptions.new": "New subscription",
    "subscriptions.renewed": "Subscription renewed",
    "subscriptions.expired": "Subscription expired",
    "users.typing": "User typing",
    "users.online": "User online",
    "users.offline": "User offline",
    "posts.liked": "Post liked",
    "tips.received": "Tip received",
    "transactions.new": "New transaction",
    "accounts.connected": "Account connected",
    "accounts.reconnected": "Account reconnected",
    "accounts.disconnected": "Account disconnected",
    "accounts.session_expired": "Account session expired",
    "accounts.authentication_failed": "Account authentication failed",
    "accounts.otp_code_required": "Account OTP code required",
    "accounts.face_otp_required": "Account face OTP required",
    "test-event": "Test event",
    **{f"fansly.{name}": f"Fansly: {name}" for name in FANSLY_EVENTS},
}


def _row(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.id,
        "url": webhook.url,
        "events": webhook.events,
        "has_signing_secret": webhook.secret is not None,
        "enabled": webhook.enabled,
        "created_at": micros(webhook.created_at),
    }


def _find(call: Call) -> Webhook:
    webhook = call.webhooks.endpoints.get(call.request.match_info["webhook"])
    if webhook is None:
        raise ApiError(404, {"message": "Webhook not found."})
    return webhook


def _read(call: Call) -> dict[str, Any]:
    url = call.text("endpoint_url")
    if urlsplit(url).scheme not in ("http", "https"):
        raise invalid("endpoint_url", "The endpoint url field must be a valid URL.")
    events = call.texts("events", required=True)
    for event in events:
        if event not in EVENTS:
            raise invalid("events", f"The selected event {event} is invalid.")
    if len({event.startswith("fansly.") for event in events}) > 1:
        raise invalid("events", "A webhook receives the events of one platform.", "mixed_platforms")
    scope = call.text("account_scope")
    if scope not in ("global", "inclusive", "exclusive"):
        raise invalid("account_scope", "The selected account scope is invalid.")
    accounts = call.texts("account_ids", required=scope != "global")
    for account_id in accounts:
        if account_id not in call.world.accounts:
            raise invalid("account_ids", f"The selected account {account_id} is invalid.")
    return {"url": url, "events": events, "scope": scope, "accounts": accounts}


async def create(call: Call) -> Reply:
    """Register an endpoint."""
    secret = call.text("signing_secret", required=False) or None
    return Reply(_row(call.webhooks.register(secret=secret, **_read(call))))


async def update(call: Call) -> Reply:
    """Change an endpoint; a `signing_secret` in the body rotates the secret for whatever is sent from now on."""
    webhook = _find(call)
    changes = _read(call)
    webhook.url, webhook.events = changes["url"], changes["events"]
    webhook.scope, webhook.account_ids = changes["scope"], changes["accounts"]
    if isinstance(call.body.get("enabled"), bool):
        webhook.enabled = call.body["enabled"]
    if "signing_secret" in call.body:
        webhook.secret = call.text("signing_secret", required=False) or None
    return Reply(_row(webhook))


async def get(call: Call) -> Reply:
    """One endpoint."""
    return Reply(_row(_find(call)))


async def every(call: Call) -> Reply:
    """All endpoints."""
    return Reply([_row(webhook) for webhook in call.webhooks.endpoints.values()])


async def delete(call: Call) -> Reply:
    """Remove an endpoint; 204 without a body."""
    call.webhooks.endpoints.pop(_find(call).id)
    return Reply(None, status=204)


async def events(call: Call) -> Reply:
    """All event names."""
    return Reply([{"value": value, "description": text} for value, text in EVENTS.items()])


def _attempt(attempt: Attempt) -> dict[str, Any]:
    delivery = attempt.delivery
    return {
        "id": attempt.id,
        "delivery_uuid": delivery.uuid,
        "event": delivery.event,
        "attempt": attempt.number,
        "succeeded": attempt.succeeded,
        "status_code": attempt.status_code,
        "error_type": None if attempt.error is None else attempt.error.partition(":")[0],
        "error_message": attempt.error,
        "idempotency_key": delivery.key,
        "url": attempt.url,
        "payload": delivery.body,
        "redelivered_from": delivery.redelivery_of,
        "created_at": micros(attempt.created_at),
    }


async def deliveries(call: Call) -> Reply:
    """One row per attempt, newest first, seven days."""
    webhook = _find(call)
    limit = call.number("limit", 25, 1, 100)
    offset = call.number("offset", 0)
    since, until = call.moment("date_start"), call.moment("date_end")
    event = call.request.query.get("event")
    succeeded = call.request.query.get("succeeded", "").lower()
    found = call.webhooks.attempts_of(webhook.id)
    if event:
        found = [a for a in found if a.delivery.event == event]
    if succeeded:
        found = [a for a in found if a.succeeded == (succeeded in ("1", "true"))]
    if since is not None:
        found = [a for a in found if a.created_at >= since]
    if until is not None:
        found = [a for a in found if a.created_at <= until]
    window, _, following = page(found, offset, limit)
    return Reply([_attempt(a) for a in window], following)


async def redeliver(call: Call) -> Reply:
    """Send a logged delivery again under its original key; 409 while paused or disabled."""
    webhook = _find(call)
    wanted = call.path_number("delivery")
    attempt = next((a for a in call.webhooks.attempts_of(webhook.id) if a.id == wanted), None)
    if attempt is None:
        raise ApiError(404, {"message": "Delivery not found."})
    if not webhook.enabled or call.webhooks.is_paused(webhook):
        text = "This webhook is paused or disabled."
        raise ApiError(409, {"error": "WEBHOOK_PAUSED", "message": text, "description": text})
    delivery = call.webhooks.redeliver(webhook, attempt)
    answer = {
        "redelivery_id": delivery.uuid,
        "delivery_id": attempt.id,
        "webhook_id": webhook.id,
        "event": delivery.event,
        "idempotency_key": delivery.key,
        "url": webhook.url,
        "queued_at": iso(call.now),
    }
    return Reply(answer)


def _free(method: str, path: str, handler: Any) -> Endpoint:
    return Endpoint(method, f"/api/webhooks{path}", handler, credits=0, latency="cached", live=False)


ENDPOINTS = [
    _free("GET", "", every),
    _free("POST", "", create),
    _free("GET", "/events", events),
    _free("GET", "/{webhook}", get),
    _free("PUT", "/{webhook}", update),
    _free("DELETE", "/{webhook}", delete),
    _free("GET", "/{webhook}/deliveries", deliveries),
    _free("POST", "/{webhook}/deliveries/{delivery}/redeliver", redeliver),
]
