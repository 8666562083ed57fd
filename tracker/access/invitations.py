"""Invitations: a one-time link that ends, for one e-mail address and one role; worth no more than its maker still may when it is used."""

from __future__ import annotations

import secrets as random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import msgspec

from tracker.access import keys, login, members, passwords, people
from tracker.access.audit import record
from tracker.access.caller import Caller
from tracker.access.limits import Limiter
from tracker.access.people import SQL
from tracker.access.permissions import effective
from tracker.management.errors import Invalid, Refused, not_found
from tracker.management.services import Services
from tracker.secrets import Secrets
from tracker.stores.postgres import Connection, Pool

SECONDS = 7 * 86400


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """An open invitation. Its link is known to its maker alone."""

    id: str
    email: str
    role: str
    granted: list[str]
    made_by_email: str | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Found:
    """What the page behind a link shows. `is_known`: the person has a password already, and joins with it."""

    email: str
    team_name: str
    role: str
    is_known: bool


async def make(
    services: Services, caller: Caller, email: str, role: str, granted: Iterable[str]
) -> tuple[Invitation, str]:
    """An invitation and its address, shown this once; earlier ones of the same person end.

    Raises Invalid; Refused: 403 for a role beyond the caller's own permissions, 409 for a member.
    """
    email = people.email_address(email)
    names = members.role_and_grants(caller, role, granted)
    token = random.token_urlsafe(32)
    invitation_id = "inv_" + random.token_hex(10)
    async with services.pool.acquire() as connection, connection.transaction():
        await connection.fetchrow(SQL["lock_team"], caller.team_id)
        if any(member.email == email for member in await members.listed(connection, caller.team_id)):
            raise Refused(409, "MEMBER_ALREADY", "This person is a member already; change their role instead.")
        await connection.execute(
            SQL["insert_invitation"], invitation_id, caller.team_id, email, role, names, _hash(services.secrets, token),
            caller.user_id, caller.api_key_id, SECONDS,
        )  # fmt: skip
        detail = {"email": email, "role": role, "granted": names}
        await record(connection, caller, "member.invited", "invitation", invitation_id, detail)
        row = await connection.fetchrow(SQL["invitations"], caller.team_id, invitation_id)
    assert row is not None
    return _invitation(row), f"{services.settings.api_base_url}/join?token={token}"


async def listed(db: Connection | Pool, team_id: str) -> list[Invitation]:
    """The team's open invitations, newest first."""
    return [_invitation(row) for row in await db.fetch(SQL["invitations"], team_id, None)]


async def revoke(pool: Pool, caller: Caller, invitation_id: str) -> None:
    """Take an invitation back. Raises Refused (404)."""
    async with pool.acquire() as connection, connection.transaction():
        if await connection.fetchval(SQL["revoke_invitation"], caller.team_id, invitation_id) is None:
            raise not_found("This invitation")
        await record(connection, caller, "member.uninvited", "invitation", invitation_id)


async def find(pool: Pool, secrets: Secrets, token: str) -> Found | None:
    """What a link invites to; None when it is unknown, used, over, or its maker may no longer invite so."""
    async with pool.acquire() as connection, connection.transaction():
        row = await _open(connection, secrets, token)
    return None if row is None else Found(row["email"], row["team_name"], row["role"], row["is_known"])


async def accept(
    services: Services, limiter: Limiter, token: str, password: str, name: str = "", address: str = ""
) -> tuple[str, str]:
    """Join the team: (user_id, team_id). Somebody new chooses the password; somebody known proves it.

    Raises Refused: 404 for a link that is over, 401 for a wrong password; TooOften; Invalid.
    """
    found = await find(services.pool, services.secrets, token)
    if found is None:
        raise _over()
    name, stored = people.shown_name(name), None
    if found.is_known:
        await login.verify(services, limiter, found.email, password, address)
    else:
        passwords.check(password, found.email)
        stored = await passwords.hashed(password)
    async with services.pool.acquire() as connection, connection.transaction():
        row = await _open(connection, services.secrets, token)
        if row is None:
            raise _over()
        user = await people.by_email(connection, row["email"])
        if user is not None and not found.is_known:  # made between the two looks: nobody proved that password
            raise Invalid({"password": ["You have a password here already: use it."]})
        user_id: str = user["user_id"] if user else await people.make(connection, row["email"], name, stored)
        await connection.execute(SQL["insert_member"], row["team_id"], user_id, row["role"], row["permissions"])
        await connection.execute(SQL["accept_invitation"], row["invitation_id"])
        caller = Caller(row["team_id"], None, user_id, actor=row["email"], address=address)
        await record(connection, caller, "member.joined", "user", user_id, {"role": row["role"]})
    return user_id, row["team_id"]


async def _open(connection: Connection, secrets: Secrets, token: str) -> asyncpg.Record | None:
    row = await connection.fetchrow(SQL["open_invitation"], _hash(secrets, token))
    if row is None:
        return None
    offered = effective(row["role"], row["permissions"])
    return row if offered <= await _authority(connection, row) else None


async def _authority(connection: Connection, row: asyncpg.Record) -> frozenset[str]:
    """What the maker may now; nothing when they are gone, or may no longer invite."""
    may: frozenset[str] | None = frozenset()
    if row["made_by_key"] is not None:
        may = await keys.authority(connection, row["team_id"], row["made_by_key"])
    elif row["made_by"] is not None:
        maker = await connection.fetchrow(SQL["members"], row["team_id"], row["made_by"])
        may = effective(maker["role"], maker["permissions"]) if maker else frozenset()
    return may if may and "team.manage" in may else frozenset()


def _over() -> Refused:
    return Refused(404, "LINK_OVER", "This invitation is used, taken back or over; ask for another.")


def _invitation(row: asyncpg.Record) -> Invitation:
    return Invitation(
        id=row["invitation_id"], email=row["email"], role=row["role"], granted=row["permissions"],
        made_by_email=row["made_by_email"], created_at=row["created_at"], expires_at=row["expires_at"],
    )  # fmt: skip


def _hash(secrets: Secrets, token: str) -> bytes:
    return secrets.key_hash("invitation:" + token)
