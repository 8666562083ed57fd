"""Connections: ad platform pixels and fan actions (spec 7, 8). The token goes in and never comes out again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import ulid

from postbacks.destinations import registry
from tracker.access.audit import record
from tracker.management import destinations
from tracker.management.destinations import SQL, Destination, Scope
from tracker.management.errors import Invalid

if TYPE_CHECKING:
    from tracker.access.caller import Caller
    from tracker.management.services import Services

KINDS = tuple(kind for kind in registry.KINDS if kind not in ("postback", "webhook"))
WHAT = "This connection"
Ids = Annotated[list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(max_length=1000)]
Name = Annotated[str, msgspec.Meta(max_length=255)]


class NewConnection(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A connection. `kind`: meta, tiktok, snapchat, creatortraffic, onlyfans_list, onlyfans_note, onlyautomator,
    ofauth_message or onlymonster_message. `config`: as that kind wants it; for a pixel {pixel_id, events}."""

    kind: str
    token: str
    config: dict[str, Any] = {}
    name: Name = ""
    smart_link_scope: Scope = "global"
    smart_link_ids: Ids = []


class ConnectionChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What may change. Absent fields stay; `config` is replaced whole. `state: active` resumes a paused connection."""

    name: Name | None = None
    token: str | None = None
    config: dict[str, Any] | None = None
    smart_link_scope: Scope | None = None
    smart_link_ids: Ids | None = None
    state: Literal["active", "paused"] | None = None


async def page(
    services: Services, caller: Caller, limit: int, offset: int = 0, kind: str | None = None
) -> list[Destination]:
    """The team's connections, newest first, of one kind or all."""
    kinds = KINDS if kind is None else tuple(each for each in KINDS if each == kind)
    return await destinations.page(services, caller, kinds, limit, offset)


async def get(services: Services, caller: Caller, name: str) -> Destination:
    """One connection. Raises Refused (404)."""
    return await destinations.get(services, caller, KINDS, name, WHAT)


async def match_keys(services: Services, connection: Destination) -> dict[str, int]:
    """How many of its events of the last week carry each match key: an honest forecast of match quality."""
    row = await services.pool.fetchrow(SQL["match_keys"], connection.destination_id)
    return dict(row) if row else {}


async def create(services: Services, caller: Caller, new: NewConnection) -> Destination:
    """Connect an ad platform or a fan action. The token is encrypted at once and never shown again. Raises Invalid."""
    if new.kind not in KINDS:
        raise Invalid({"kind": [f"Use one of {', '.join(KINDS)}."]})
    loaded = destinations.load(services, new.kind, new.config, {"token": new.token})
    destination_id: str = ulid.new().str
    async with services.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            SQL["insert"], destination_id, caller.team_id, new.kind, new.name, new.config,
            destinations.seal(services, destination_id, {"token": new.token}), new.smart_link_scope,
            list(loaded.event_types), "active",
        )  # fmt: skip
        await destinations.serve(connection, caller, destination_id, new.smart_link_scope, new.smart_link_ids)
        detail = {"kind": new.kind, "name": new.name}
        await record(connection, caller, "connection.created", "destination", destination_id, detail)
    return await get(services, caller, destination_id)


async def change(services: Services, caller: Caller, name: str, wish: ConnectionChange) -> Destination:
    """Change a connection, or resume it: what waited for it is sent, under its own event ids. Raises Invalid, Refused."""
    async with services.pool.acquire() as connection, connection.transaction():
        row = await destinations.hold(connection, caller, KINDS, name, WHAT)
        destination_id = row["destination_id"]
        config = wish.config if wish.config is not None else row["config"]
        secrets = (
            {"token": wish.token}
            if wish.token is not None
            else destinations.unseal(services, destination_id, row["secrets_sealed"])
        )
        loaded = destinations.load(services, row["kind"], config, secrets)
        sealed = destinations.seal(services, destination_id, secrets) if wish.token is not None else None
        scope = wish.smart_link_scope or row["scope"]
        await connection.execute(
            SQL["update"], caller.team_id, destination_id, row["name"] if wish.name is None else wish.name, config,
            sealed, scope, list(loaded.event_types), wish.state,
        )  # fmt: skip
        links = wish.smart_link_ids if wish.smart_link_ids is not None else list(row["links"])
        await destinations.serve(connection, caller, destination_id, scope, links)
        await destinations.resume(connection, row, wish.state)
        detail = {"changed": [each for each in wish.__struct_fields__ if getattr(wish, each) is not None]}
        await record(connection, caller, "connection.changed", "destination", destination_id, detail)
    await destinations.wake(services)
    return await get(services, caller, destination_id)


async def delete(services: Services, caller: Caller, name: str) -> None:
    """Delete a connection; what it was told stays in the log."""
    await destinations.delete(services, caller, KINDS, name, WHAT)
