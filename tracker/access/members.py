"""A team's members: roles changed, people removed, the team handed to another owner. Nobody touches or makes somebody who may more.

A team with people always has exactly one owner: the owner's role changes only by handing the team over, and the owner cannot be removed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import asyncpg
import msgspec

from tracker.access import people, sessions
from tracker.access.audit import record
from tracker.access.caller import Caller
from tracker.access.people import SQL
from tracker.access.permissions import ASSIGNABLE, OWN, effective, known, may_grant
from tracker.management.errors import Invalid, Refused, not_found
from tracker.stores.postgres import Connection, Pool


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A member. `granted`: beyond the role; `permissions`: all in all."""

    user_id: str
    email: str
    name: str
    role: str
    granted: list[str]
    permissions: list[str]
    joined_at: datetime
    last_login_at: datetime | None


class Team(msgspec.Struct, frozen=True):
    """The team."""

    id: str
    name: str
    created_at: datetime


async def team(db: Connection | Pool, team_id: str) -> Team:
    """A team. Raises Refused (404)."""
    row = await db.fetchrow(SQL["team"], team_id)
    if row is None:
        raise not_found("This team")
    return Team(*row)


async def rename_team(pool: Pool, caller: Caller, name: str) -> Team:
    """Another name for the caller's team. Raises Invalid."""
    name = people.shown_name(name, required=True)
    async with pool.acquire() as connection, connection.transaction():
        before = await team(connection, caller.team_id)
        await connection.execute(SQL["rename_team"], caller.team_id, name)
        await record(connection, caller, "team.renamed", "team", caller.team_id, {"from": before.name, "to": name})
        return await team(connection, caller.team_id)


async def listed(db: Connection | Pool, team_id: str) -> list[Member]:
    """The team's members, the owner first."""
    return [_member(row) for row in await db.fetch(SQL["members"], team_id, None)]


async def get(db: Connection | Pool, team_id: str, user_id: str) -> Member:
    """A member. Raises Refused (404)."""
    row = await db.fetchrow(SQL["members"], team_id, user_id)
    if row is None:
        raise not_found("This member")
    return _member(row)


def role_and_grants(caller: Caller, role: str, granted: Iterable[str]) -> list[str]:
    """The grants of an assignable role, checked. Raises Invalid, and Refused (403) for more than the caller may."""
    if role not in ASSIGNABLE:
        raise Invalid({"role": [f"The role must be one of {', '.join(ASSIGNABLE)}."]})
    names = known(granted)
    may_grant(caller.permissions, effective(role, names))
    return names


async def change(pool: Pool, caller: Caller, user_id: str, role: str, granted: Iterable[str]) -> Member:
    """Another role, or other grants. Raises Refused: 404, 403 beyond the caller's own permissions, 409 for the owner; Invalid."""
    names = role_and_grants(caller, role, granted)
    async with pool.acquire() as connection, connection.transaction():
        before = await _touchable(connection, caller, user_id)
        await connection.execute(SQL["change_member"], caller.team_id, user_id, role, names)
        detail = {"from": before.role, "to": role, "granted": names, "granted_before": before.granted}
        await record(connection, caller, "member.changed", "user", user_id, detail)
        return await get(connection, caller.team_id, user_id)


async def remove(pool: Pool, caller: Caller, user_id: str) -> None:
    """A person leaves: their sessions in this team, the keys they made and the invitations they sent end with it.

    Raises Refused: 404, 403 for somebody who may more, 409 for the owner.
    """
    async with pool.acquire() as connection, connection.transaction():
        gone = await _touchable(connection, caller, user_id)
        await connection.execute(SQL["remove_member"], caller.team_id, user_id)
        await sessions.close_in_team(connection, user_id, caller.team_id)
        revoked = await connection.fetch(SQL["revoke_keys_of"], caller.team_id, user_id)
        await connection.execute(SQL["revoke_invitations_of"], caller.team_id, user_id)
        detail = {"email": gone.email, "role": gone.role, "api_keys_revoked": [row["api_key_id"] for row in revoked]}
        await record(connection, caller, "member.removed", "user", user_id, detail)


async def hand_over(pool: Pool, caller: Caller, user_id: str) -> Member:
    """Make a member the owner; the owner so far becomes an admin. The owner's alone. Raises Refused: 403, 404."""
    caller.require(OWN)
    async with pool.acquire() as connection, connection.transaction():
        await connection.fetchrow(SQL["lock_team"], caller.team_id)
        await get(connection, caller.team_id, user_id)
        if caller.user_id is not None and (await get(connection, caller.team_id, caller.user_id)).role != "owner":
            raise Refused(403, "FORBIDDEN", "The team has another owner since this request began.")
        await connection.execute(SQL["demote_owner"], caller.team_id)
        await connection.execute(SQL["change_member"], caller.team_id, user_id, "owner", [])
        await record(connection, caller, "team.handed_over", "user", user_id)
        return await get(connection, caller.team_id, user_id)


async def _touchable(connection: Connection, caller: Caller, user_id: str) -> Member:
    await connection.fetchrow(SQL["lock_team"], caller.team_id)
    found = await get(connection, caller.team_id, user_id)
    if found.role == "owner":
        raise Refused(
            409, "OWNER", "The owner stays until the team is handed to somebody else: POST /api/team/ownership."
        )
    may_grant(caller.permissions, found.permissions)
    return found


def _member(row: asyncpg.Record) -> Member:
    return Member(
        user_id=row["user_id"], email=row["email"], name=row["name"], role=row["role"], granted=row["permissions"],
        permissions=sorted(effective(row["role"], row["permissions"])), joined_at=row["created_at"],
        last_login_at=row["last_login_at"],
    )  # fmt: skip
