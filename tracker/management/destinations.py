"""What postbacks, connections and webhooks have in common: found, linked to smart links, changed, removed, replayed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import asyncpg
import msgspec

from postbacks import replay as replaying
from postbacks.destinations import registry
from postbacks.destinations.base import Destination as Loaded
from postbacks.outbox import abandon
from postbacks.schema import ConfigError
from tracker.access.audit import record
from tracker.clicklog import WAKE_CHANNEL
from tracker.management.errors import Invalid, Refused, not_found
from tracker.stores.postgres import Connection
from tracker.stores.queries import load_queries

if TYPE_CHECKING:
    from tracker.access.caller import Caller
    from tracker.management.services import Services

SQL = load_queries("tracker.management", "destinations.sql")
ALL_KINDS = tuple(registry.KINDS)

Scope = Literal["global", "campaign_specific"]


class LinkName(msgspec.Struct, frozen=True, kw_only=True):
    """A smart link a destination serves, as a person knows it."""

    smart_link_id: str
    name: str
    account_id: str
    account_name: str


class Latest(msgspec.Struct, frozen=True, kw_only=True):
    """The newest attempt to tell a destination something. `request` holds no secrets."""

    attempt_id: int
    outcome: str
    status_code: int | None
    verdict: str
    started_at: datetime
    request: str
    event_type: str | None

    @property
    def succeeded(self) -> bool:
        """Whether it was taken."""
        return self.outcome == "delivered"


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """A postback, a connection or a webhook, without its secrets. `number` is the whole number the vendor's clients know it
    by; `waiting` counts deliveries not sent yet."""

    destination_id: str
    number: int
    kind: str
    name: str
    config: dict[str, Any]
    has_token: bool
    scope: Scope
    event_types: list[str]
    state: str
    state_reason: str
    created_at: datetime
    updated_at: datetime
    smart_links: list[LinkName]
    latest: Latest | None
    waiting: int

    @property
    def smart_link_ids(self) -> list[str]:
        """The smart links it serves when it is not global."""
        return [link.smart_link_id for link in self.smart_links]


class Replay(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which dead deliveries to send again: one event, some, or a range of when they were written, or all."""

    event_id: str | None = None
    event_ids: list[str] | None = None
    since: datetime | None = None
    until: datetime | None = None


async def page(
    services: Services, caller: Caller, kinds: Sequence[str], limit: int, offset: int = 0, name: str | None = None
) -> list[Destination]:
    """Up to `limit` destinations of the team of these kinds, newest first; with `name`, the one of this id or number."""
    rows = await services.pool.fetch(SQL["page"], caller.team_id, list(kinds), name and name.upper(), limit, offset)
    return [msgspec.convert(dict(row), Destination) for row in rows]


async def get(services: Services, caller: Caller, kinds: Sequence[str], name: str, what: str) -> Destination:
    """One destination by its id (any letter case) or number; `what` names it in the 404."""
    rows = await page(services, caller, kinds, 1, 0, name)
    if not rows:
        raise not_found(what)
    return rows[0]


async def hold(connection: Connection, caller: Caller, kinds: Sequence[str], name: str, what: str) -> asyncpg.Record:
    """The row of a destination, locked for the transaction. Raises Refused (404)."""
    row = await connection.fetchrow(SQL["held"], caller.team_id, list(kinds), name.upper())
    if row is None:
        raise not_found(what)
    return row


async def serve(connection: Connection, caller: Caller, destination_id: str, scope: str, links: Sequence[str]) -> None:
    """Set the smart links a destination serves. Raises Invalid when there are none, or some are not the team's."""
    wanted = sorted({link.upper() for link in links})
    if scope == "campaign_specific" and not wanted:
        raise Invalid({"smart_link_ids": ["Name at least one smart link, or use the scope global."]})
    await connection.execute(SQL["unlink"], destination_id)
    if not wanted:
        return
    done = await connection.execute(SQL["link"], destination_id, caller.team_id, wanted)
    if int(done.rsplit(" ", 1)[1]) != len(wanted):
        raise Invalid({"smart_link_ids": ["Some of these smart links are not your team's."]})


def load(
    services: Services,
    kind: str,
    config: dict[str, Any],
    secrets: dict[str, str] | None = None,
    prefix: str = "config.",
) -> Loaded:
    """The destination a configuration makes. Raises Invalid naming the field, with the position inside a template."""
    try:
        return registry.load(kind, config, secrets or {}, services.settings.service_urls)
    except ConfigError as error:
        field = error.field if error.field == "token" else f"{prefix}{error.field}" if error.field else "config"
        where = "" if error.position is None else f" (at position {error.position})"
        raise Invalid({field: [error.message + where]}) from error


def seal(services: Services, destination_id: str, secrets: dict[str, str]) -> bytes:
    """A destination's secrets as they are stored."""
    return services.secrets.seal(msgspec.json.encode(secrets), f"destination:{destination_id}")


def unseal(services: Services, destination_id: str, sealed: bytes | None) -> dict[str, str]:
    """A destination's secrets. Raises SealError."""
    if sealed is None:
        return {}
    return msgspec.json.decode(services.secrets.open(sealed, f"destination:{destination_id}"), type=dict[str, str])


async def resume(connection: Connection, row: asyncpg.Record, state: str | None) -> None:
    """What waited while it was paused goes out at once when it is made active."""
    if state == "active" and row["state"] != "active":
        await connection.execute(SQL["resume_now"], row["destination_id"])


async def wake(services: Services) -> None:
    """Tell the dispatcher that a destination changed."""
    await services.redis.publish(WAKE_CHANNEL, b"deliveries")


async def delete(services: Services, caller: Caller, kinds: Sequence[str], name: str, what: str) -> None:
    """Delete a destination; what still waited is closed as not sent, and its delivery log stays. Raises Refused (404)."""
    async with services.pool.acquire() as connection, connection.transaction():
        row = await hold(connection, caller, kinds, name, what)
        await connection.execute(SQL["delete"], caller.team_id, row["destination_id"])
        await abandon(connection, row["destination_id"])
        detail = {"kind": row["kind"], "name": row["name"]}
        await record(connection, caller, "destination.deleted", "destination", row["destination_id"], detail)


async def replay(services: Services, caller: Caller, kinds: Sequence[str], name: str, wish: Replay, what: str) -> int:
    """Send a destination's dead deliveries again; returns how many. Raises Refused: 404, or 409 when it is off."""
    found = await get(services, caller, kinds, name, what)
    if wish.since and wish.until and _aware(wish.since) > _aware(wish.until):
        raise Invalid({"since": ["The since must be before the until."]})
    some = wish.event_ids if wish.event_ids is not None else [wish.event_id] if wish.event_id is not None else None
    if some is not None and len(some) > 1000:
        raise Invalid({"event_ids": ["At most 1000 at a time; a range of time takes any number."]})
    async with services.pool.acquire() as connection:
        try:
            if some is not None:
                counts = [await replaying.replay_one(connection, each, found.destination_id) for each in some]
                count = sum(counts)
            else:
                bounds = {key: _aware(at) for key, at in (("since", wish.since), ("until", wish.until)) if at}
                count = await replaying.replay_range(connection, found.destination_id, **bounds)
        except replaying.ReplayError as error:
            raise Refused(409, "CANNOT_REPLAY", str(error)) from error
        await record(
            connection, caller, "destination.replayed", "destination", found.destination_id, {"deliveries": count}
        )
    await wake(services)
    return count


async def forecast(services: Services, caller: Caller, name: str, wish: Replay) -> replaying.ReplayForecast:
    """What a replay of a range would do now. Raises Refused (404)."""
    found = await get(services, caller, ALL_KINDS, name, "This destination")
    bounds = {key: _aware(at) for key, at in (("since", wish.since), ("until", wish.until)) if at}
    async with services.pool.acquire() as connection:
        return await replaying.forecast(connection, found.destination_id, **bounds)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
