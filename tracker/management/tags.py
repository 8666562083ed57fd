"""Tags on links: smart links, and an account's tracking and trial links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from tracker.access.audit import record
from tracker.management.errors import Invalid, not_found
from tracker.stores.postgres import Connection
from tracker.stores.queries import load_queries

if TYPE_CHECKING:
    from tracker.access.caller import Caller
    from tracker.management.services import Services

SQL = load_queries("tracker.management", "tags.sql")
MOST_TAGS = 50

TagKind = Literal["smart_links", "tracking_links", "trial_links"]
Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Tags = Annotated[list[Tag], msgspec.Meta(max_length=MOST_TAGS)]


async def used(services: Services, caller: Caller, kind: TagKind | None) -> list[str]:
    """Every tag the team uses, in order."""
    return [row["tag"] for row in await services.pool.fetch(SQL["used"], caller.team_id, kind)]


async def of_link(connection: Connection, team_id: str, kind: TagKind, target_id: str) -> list[str]:
    """The tags of one link, in order."""
    return [row["tag"] for row in await connection.fetch(SQL["list"], team_id, kind, target_id)]


async def add(connection: Connection, team_id: str, kind: TagKind, target_id: str, new: list[str]) -> None:
    """Put tags on a link. Raises Invalid when it would have too many, or one is blank."""
    if not new:
        return
    await connection.execute(SQL["add"], team_id, kind, target_id, _clean(new))
    if len(await of_link(connection, team_id, kind, target_id)) > MOST_TAGS:
        raise Invalid({"tags": [f"A link may have {MOST_TAGS} tags."]})


async def replace(connection: Connection, team_id: str, kind: TagKind, target_id: str, new: list[str]) -> None:
    """Put these tags on a link and no others. Raises Invalid when one is blank."""
    await connection.execute(SQL["clear"], team_id, kind, target_id)
    await add(connection, team_id, kind, target_id, new)


async def remove(connection: Connection, team_id: str, kind: TagKind, target_id: str, old: list[str]) -> None:
    """Take tags off a link; those it has not got do not matter."""
    await connection.execute(SQL["remove"], team_id, kind, target_id, _clean(old))


async def of_smart_link(
    services: Services,
    caller: Caller,
    smart_link_id: str,
    *,
    more: list[str] | None = None,
    less: list[str] | None = None,
) -> list[str]:
    """A smart link's tags, after adding `more` and taking off `less`. Raises Invalid, Refused (404)."""
    async with services.pool.acquire() as connection, connection.transaction():
        found = await connection.fetchval(SQL["smart_link"], caller.team_id, smart_link_id.upper())
        if found is None:
            raise not_found("This smart link")
        if more is not None:
            await add(connection, caller.team_id, "smart_links", found, more)
        if less is not None:
            await remove(connection, caller.team_id, "smart_links", found, less)
        if more or less:
            detail = {"added": more or [], "removed": less or []}
            await record(connection, caller, "smart_link.tagged", "smart_link", found, detail)
        return await of_link(connection, caller.team_id, "smart_links", found)


def _clean(names: list[str]) -> list[str]:
    stripped = [name.strip() for name in names]
    if not all(stripped):
        raise Invalid({"tags": ["A tag must not be blank."]})
    if any("," in name for name in stripped):
        raise Invalid({"tags": ["A tag must not hold a comma: lists of tags are written with commas."]})
    return sorted(set(stripped))
