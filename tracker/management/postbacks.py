"""Postbacks: templated URLs told of conversions (spec 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import ulid

from tracker.access.audit import record
from tracker.management import destinations
from tracker.management.destinations import SQL, Destination, Scope
from tracker.management.errors import Invalid

if TYPE_CHECKING:
    from tracker.access.caller import Caller
    from tracker.management.services import Services

KINDS = ("postback",)
WHAT = "This postback"

ConversionType = Literal[
    "new_subscriber",
    "new_transaction",
    "message_received",
    "fan_sent_1_message",
    "fan_sent_3_messages",
    "transaction_status",
]
Types = Annotated[list[ConversionType], msgspec.Meta(min_length=1)]
Ids = Annotated[list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(max_length=1000)]


class Header(msgspec.Struct, forbid_unknown_fields=True):
    """A request header; its value is a template."""

    name: str
    value: str


class NewPostback(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A postback as the vendor's client sends it. `url`, `body` and header values are templates (spec 6)."""

    url: str
    smart_link_scope: Scope
    conversion_types: Types
    smart_link_ids: Ids = []
    http_method: Literal["GET", "POST"] = "GET"
    body: str | None = None
    headers: list[Header] = []
    name: Annotated[str, msgspec.Meta(max_length=255)] = ""


class PostbackChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What may change of a postback. Absent fields stay. `state: active` also ends a disabling."""

    url: str | None = None
    smart_link_scope: Scope | None = None
    conversion_types: Types | None = None
    smart_link_ids: Ids | None = None
    http_method: Literal["GET", "POST"] | None = None
    body: str | None = None
    headers: list[Header] | None = None
    name: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    state: Literal["active", "paused"] | None = None


async def page(services: Services, caller: Caller, limit: int, offset: int = 0) -> list[Destination]:
    """The team's postbacks, newest first."""
    return await destinations.page(services, caller, KINDS, limit, offset)


async def get(services: Services, caller: Caller, name: str) -> Destination:
    """One postback by its number or id. Raises Refused (404)."""
    return await destinations.get(services, caller, KINDS, name, WHAT)


async def create(services: Services, caller: Caller, new: NewPostback) -> Destination:
    """Make a postback. A template with a mistake is Invalid, with the field, the position and the fix."""
    config = _config(new.url, new.http_method, new.body, new.headers)
    check(services, config)
    destination_id: str = ulid.new().str
    async with services.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            SQL["insert"], destination_id, caller.team_id, "postback", new.name, config, None, new.smart_link_scope,
            list(dict.fromkeys(new.conversion_types)), "active",
        )  # fmt: skip
        await destinations.serve(connection, caller, destination_id, new.smart_link_scope, new.smart_link_ids)
        detail = {"host": host(new.url), "conversion_types": new.conversion_types}
        await record(connection, caller, "postback.created", "destination", destination_id, detail)
    return await get(services, caller, destination_id)


async def change(services: Services, caller: Caller, name: str, wish: PostbackChange) -> Destination:
    """Change a postback; what was not sent yet goes out the new way. Raises Invalid, Refused (404)."""
    async with services.pool.acquire() as connection, connection.transaction():
        row = await destinations.hold(connection, caller, KINDS, name, WHAT)
        old = row["config"]
        headers = wish.headers
        if headers is None:
            headers = [Header(each, value) for each, value in old.get("headers", {}).items()]
        method = wish.http_method or old.get("method", "GET")
        body = wish.body if wish.body is not None else old.get("body") if method == "POST" else None
        config = {**old, **_config(wish.url if wish.url is not None else old["url"], method, body, headers)}
        check(services, config)
        scope = wish.smart_link_scope or row["scope"]
        types = wish.conversion_types if wish.conversion_types is not None else row["event_types"]
        await connection.execute(
            SQL["update"], caller.team_id, row["destination_id"], row["name"] if wish.name is None else wish.name,
            config, None, scope, list(dict.fromkeys(types)), wish.state,
        )  # fmt: skip
        links = wish.smart_link_ids if wish.smart_link_ids is not None else list(row["links"])
        await destinations.serve(connection, caller, row["destination_id"], scope, links)
        await destinations.resume(connection, row, wish.state)
        detail = {"changed": [each for each in wish.__struct_fields__ if getattr(wish, each) is not None]}
        await record(connection, caller, "postback.changed", "destination", row["destination_id"], detail)
    await destinations.wake(services)
    return await get(services, caller, row["destination_id"])


async def delete(services: Services, caller: Caller, name: str) -> None:
    """Delete a postback; what still waited is closed as not sent, and its delivery log stays."""
    await destinations.delete(services, caller, KINDS, name, WHAT)


def host(url: str) -> str:
    """Where a URL leads, without path and query: those hold tokens."""
    return url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2][:255]


def check(services: Services, config: dict[str, Any]) -> None:
    """Whether the configuration makes a postback. Raises Invalid, naming the fields as the vendor does."""
    try:
        destinations.load(services, "postback", config, prefix="")
    except Invalid as error:
        names = {"method": "http_method", "config": "url"}
        raise Invalid({names.get(field, field): said for field, said in error.errors.items()}) from error


def _config(url: str, method: str, body: str | None, headers: list[Header]) -> dict[str, Any]:
    given = [header.name.lower() for header in headers]
    if len(set(given)) < len(given):
        raise Invalid({"headers": ["Each header may be given once."]})
    return {
        "url": url,
        "method": method,
        "body": body or "",
        "headers": {header.name: header.value for header in headers},
    }
