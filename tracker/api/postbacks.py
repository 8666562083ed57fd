"""Postbacks: the vendor's CRUD (upstream 1.2)."""

from __future__ import annotations

from typing import Any

from litestar import Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from tracker.access.caller import Caller
from tracker.api.envelope import Limit, Offset, envelope, page
from tracker.management import postbacks
from tracker.management.destinations import Destination, Latest
from tracker.management.postbacks import NewPostback, PostbackChange
from tracker.management.services import Services


@post("/api/smart-link-postbacks", status_code=201, permission="postbacks.manage")
async def create_postback(
    data: JSONBody[NewPostback], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Make a postback. A template with a mistake is refused with the field, the position and the fix."""
    return envelope(postback(await postbacks.create(services, caller, data)))


@get("/api/smart-link-postbacks", permission="postbacks.view")
async def list_postbacks(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    limit: Limit = 1000,
    offset: Offset = 0,
) -> dict[str, Any]:
    """The team's postbacks, newest first."""
    rows = await postbacks.page(services, caller, limit + 1, offset)
    return page(request, [postback(row) for row in rows], limit, offset)


@get("/api/smart-link-postbacks/{postback_id:str}", permission="postbacks.view")
async def get_postback(
    postback_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """One postback."""
    return envelope(postback(await postbacks.get(services, caller, postback_id)))


@patch("/api/smart-link-postbacks/{postback_id:str}", permission="postbacks.manage")
async def change_postback(
    postback_id: FromPath[str],
    data: JSONBody[PostbackChange],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Change a postback; what was not sent yet goes out the new way."""
    return envelope(postback(await postbacks.change(services, caller, postback_id, data)))


@delete("/api/smart-link-postbacks/{postback_id:str}", status_code=200, permission="postbacks.manage")
async def delete_postback(
    postback_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Delete a postback; what still waited is closed as not sent, and its delivery log stays."""
    await postbacks.delete(services, caller, postback_id)
    return envelope({"success": True})


def postback(row: Destination) -> dict[str, Any]:
    """A postback as the vendor shows it, with its state and why. `id` is the vendor's whole number, `destination_id` ours."""
    config = row.config
    return {
        "id": row.number,
        "destination_id": row.destination_id,
        "name": row.name,
        "url": config["url"],
        "http_method": config.get("method", "GET"),
        "body": config.get("body") or None,
        "headers": [{"name": name, "value": value} for name, value in config.get("headers", {}).items()],
        "smart_link_scope": row.scope,
        "smart_link_ids": row.smart_link_ids,
        "smart_links": [
            {
                "link_ulid": link.smart_link_id,
                "name": link.name,
                "account_prefixed_id": link.account_id,
                "account_display_name": link.account_name,
            }
            for link in row.smart_links
        ],
        "traffic_source_ids": [],
        "traffic_sources": [],
        "conversion_types": row.event_types,
        "state": row.state,
        "state_reason": row.state_reason,
        "waiting": row.waiting,
        "latest_response": None if row.latest is None else latest_response(row.latest),
        "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
    }


def latest_response(latest: Latest) -> dict[str, Any]:
    """The newest attempt as the vendor shows it; the URL as it was sent, secrets masked."""
    return {
        "id": latest.attempt_id,
        "conversion_type": latest.event_type,
        "succeeded": latest.succeeded,
        "status_code": latest.status_code,
        "error_type": None if latest.succeeded else latest.outcome,
        "error_message": None if latest.succeeded else latest.verdict,
        "postback_url": latest.request.partition("\n")[0].partition(" ")[2],
        "created_at": latest.started_at.isoformat(),
    }
