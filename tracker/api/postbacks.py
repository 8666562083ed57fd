"""Postbacks: the vendor's CRUD (upstream 1.2), and the delivery log and replay beside it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import asyncpg
import msgspec
import ulid
from litestar import Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from postbacks import replay
from postbacks.destinations import registry
from postbacks.outbox import abandon
from postbacks.schema import ConfigError
from tracker.api.auth import SQL, Caller
from tracker.api.envelope import envelope, page
from tracker.api.errors import Invalid, Refused, not_found
from tracker.api.services import Services
from tracker.clicklog import WAKE_CHANNEL

ConversionType = Literal[
    "new_subscriber",
    "new_transaction",
    "message_received",
    "fan_sent_1_message",
    "fan_sent_3_messages",
    "transaction_status",
]
DeliveryState = Literal["waiting", "delivered", "skipped", "dead"]
Limit = Annotated[int, QueryParameter(ge=1, le=1000)]
Offset = Annotated[int, QueryParameter(ge=0)]


class Header(msgspec.Struct, forbid_unknown_fields=True):
    """A request header; its value is a template."""

    name: str
    value: str


class NewPostback(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A postback as the vendor's client sends it. `url`, `body` and header values are templates (spec 6)."""

    url: str
    smart_link_scope: Literal["global", "campaign_specific"]
    conversion_types: Annotated[list[ConversionType], msgspec.Meta(min_length=1)]
    smart_link_ids: list[str] = []
    http_method: Literal["GET", "POST"] = "GET"
    body: str | None = None
    headers: list[Header] = []


class PostbackChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What may change of a postback. Absent fields stay. `state: active` also ends a disabling."""

    url: str | None = None
    smart_link_scope: Literal["global", "campaign_specific"] | None = None
    conversion_types: Annotated[list[ConversionType], msgspec.Meta(min_length=1)] | None = None
    smart_link_ids: list[str] | None = None
    http_method: Literal["GET", "POST"] | None = None
    body: str | None = None
    headers: list[Header] | None = None
    state: Literal["active", "paused"] | None = None


class Replay(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which dead deliveries to send again: one event, or a range of when they were written, or all."""

    event_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@post("/api/smart-link-postbacks", status_code=201)
async def create_postback(
    data: JSONBody[NewPostback], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Make a postback. A template with a mistake is refused with the field, the position and the fix."""
    config = _config(data.url, data.http_method, data.body, data.headers)
    _check(config, data.smart_link_scope, data.smart_link_ids)
    destination_id = ulid.new().str
    async with services.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            SQL["insert_destination"], destination_id, caller.team_id, "postback", "", config, data.smart_link_scope,
            list(dict.fromkeys(data.conversion_types)),
        )  # fmt: skip
        await link_destination(connection, caller, destination_id, data.smart_link_ids)
    return envelope(await _one(services, caller, destination_id))


@get("/api/smart-link-postbacks")
async def list_postbacks(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    limit: Limit = 50,
    offset: Offset = 0,
) -> dict[str, Any]:
    """The team's postbacks, newest first."""
    rows = await services.pool.fetch(SQL["destinations"], caller.team_id, "postback", None, limit + 1, offset)
    return page(request, [postback(row) for row in rows], limit, offset)


@get("/api/smart-link-postbacks/{postback_id:str}")
async def get_postback(
    postback_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """One postback."""
    return envelope(await _one(services, caller, postback_id.upper()))


@patch("/api/smart-link-postbacks/{postback_id:str}")
async def change_postback(
    postback_id: FromPath[str],
    data: JSONBody[PostbackChange],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Change a postback; what was not sent yet goes out the new way."""
    row = await _row(services, caller, postback_id.upper())
    old = row["config"]
    headers = data.headers
    if headers is None:
        headers = [Header(name, value) for name, value in old.get("headers", {}).items()]
    config = _config(
        data.url if data.url is not None else old["url"],
        data.http_method or old.get("method", "GET"),
        data.body if data.body is not None else old.get("body"),
        headers,
    )
    scope = data.smart_link_scope or row["scope"]
    links = data.smart_link_ids if data.smart_link_ids is not None else list(row["links"] or [])
    _check(config, scope, links)
    async with services.pool.acquire() as connection, connection.transaction():
        types = data.conversion_types if data.conversion_types is not None else row["event_types"]
        await connection.execute(
            SQL["update_destination"], caller.team_id, row["destination_id"], config, scope, types, data.state
        )
        await connection.execute(SQL["unlink_destination"], row["destination_id"])
        await link_destination(connection, caller, row["destination_id"], links)
    await services.redis.publish(WAKE_CHANNEL, b"deliveries")
    return envelope(await _one(services, caller, row["destination_id"]))


@delete("/api/smart-link-postbacks/{postback_id:str}", status_code=200)
async def delete_postback(
    postback_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Delete a postback; what still waited is closed as not sent, and its delivery log stays."""
    row = await _row(services, caller, postback_id.upper())
    return await removed(services, caller, row["destination_id"])


@get("/api/smart-link-postbacks/{postback_id:str}/deliveries")
async def list_deliveries(
    request: Request[Any, Any, Any],
    postback_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    delivery_state: Annotated[DeliveryState | None, QueryParameter(name="state")] = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> dict[str, Any]:
    """A postback's deliveries, newest first, each with its attempts: what was sent, what came back, the verdict in words."""
    row = await _row(services, caller, postback_id.upper())
    rows = await services.pool.fetch(
        SQL["deliveries"], caller.team_id, row["destination_id"], delivery_state, limit + 1, offset
    )
    return page(request, [delivery_row(delivery) for delivery in rows], limit, offset)


@post("/api/smart-link-postbacks/{postback_id:str}/replay", status_code=200)
async def replay_deliveries(
    postback_id: FromPath[str],
    data: JSONBody[Replay],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Send dead deliveries again: one, a range, or all of this postback."""
    row = await _row(services, caller, postback_id.upper())
    return await replayed(services, row["destination_id"], data)


async def removed(services: Services, caller: Caller, destination_id: str) -> dict[str, Any]:
    """Delete a destination of the team; what still waited for it is closed as not sent."""
    async with services.pool.acquire() as connection, connection.transaction():
        await connection.execute(SQL["delete_destination"], caller.team_id, destination_id)
        await abandon(connection, destination_id)
    return envelope({"success": True})


async def replayed(services: Services, destination_id: str, data: Replay) -> dict[str, Any]:
    """Send a destination's dead deliveries again; the answer says how many. Raises Refused when it is off."""
    async with services.pool.acquire() as connection:
        try:
            if data.event_id is not None:
                count = int(await replay.replay_one(connection, data.event_id, destination_id))
            elif data.since is not None:
                count = await replay.replay_range(connection, destination_id, since=data.since, until=data.until)
            else:
                count = await replay.replay_range(connection, destination_id, until=data.until)
        except replay.ReplayError as error:
            raise Refused(409, "CANNOT_REPLAY", str(error)) from error
    await services.redis.publish(WAKE_CHANNEL, b"deliveries")
    return envelope({"replayed": count})


def _config(url: str, method: str, body: str | None, headers: list[Header]) -> dict[str, Any]:
    return {
        "url": url,
        "method": method,
        "body": body or "",
        "headers": {header.name: header.value for header in headers},
    }


def _check(config: dict[str, Any], scope: str, links: list[str]) -> None:
    if scope == "campaign_specific" and not links:
        raise Invalid({"smart_link_ids": ["Name at least one smart link, or use the scope global."]})
    try:
        registry.load("postback", config)
    except ConfigError as error:
        where = "" if error.position is None else f" (at position {error.position})"
        field = {"method": "http_method"}.get(error.field, error.field) or "url"
        raise Invalid({field: [error.message + where]}) from error


async def link_destination(connection: Any, caller: Caller, destination_id: str, links: list[str]) -> None:
    wanted = sorted({link.upper() for link in links})
    if not wanted:
        return
    done = await connection.execute(SQL["link_destination"], destination_id, caller.team_id, wanted)
    if int(done.rsplit(" ", 1)[1]) != len(wanted):
        raise Invalid({"smart_link_ids": ["Some of these smart links are not your team's."]})


async def _row(services: Services, caller: Caller, destination_id: str) -> asyncpg.Record:
    row = await services.pool.fetchrow(SQL["destinations"], caller.team_id, "postback", destination_id, 1, 0)
    if row is None:
        raise not_found("This postback")
    return row


async def _one(services: Services, caller: Caller, destination_id: str) -> dict[str, Any]:
    return postback(await _row(services, caller, destination_id))


def postback(row: asyncpg.Record) -> dict[str, Any]:
    """A postback as the vendor shows it, with its state and why."""
    config, latest = row["config"], row["latest"]
    return {
        "id": row["destination_id"],
        "url": config["url"],
        "http_method": config.get("method", "GET"),
        "body": config.get("body") or None,
        "headers": [{"name": name, "value": value} for name, value in config.get("headers", {}).items()],
        "smart_link_scope": row["scope"],
        "smart_link_ids": list(row["links"] or []),
        "conversion_types": list(row["event_types"]),
        "state": row["state"],
        "state_reason": row["state_reason"],
        "latest_response": None
        if latest is None
        else {
            "succeeded": latest["outcome"] == "delivered",
            "status_code": latest["status_code"],
            "error_type": None if latest["outcome"] == "delivered" else latest["outcome"],
            "error_message": None if latest["outcome"] == "delivered" else latest["verdict"],
        },
        "created_at": row["created_at"].isoformat(),
        "updated_at": row["updated_at"].isoformat(),
    }


def delivery_row(row: asyncpg.Record) -> dict[str, Any]:
    """A delivery with its attempts. Match keys (a fan's address among them) are not facts a template could have sent."""
    return {
        "event_id": row["event_id"],
        "conversion_type": row["event_type"],
        "state": row["state"],
        "verdict": row["verdict"],
        "attempts": row["tries"] or [],
        "next_attempt_at": row["due_at"].isoformat() if row["state"] == "waiting" else None,
        "created_at": row["created_at"].isoformat(),
        "finished_at": row["finished_at"].isoformat() if row["finished_at"] else None,
        "facts": {name: value for name, value in row["facts"].items() if not name.startswith("_")},
    }
