"""Links to set a password: one-time, ending soon; made by the owner of a person's only team, or by command on the machine."""

from __future__ import annotations

import secrets as random

from tracker.access import members, passwords, people, sessions
from tracker.access.audit import record
from tracker.access.caller import Caller, system
from tracker.access.people import SQL
from tracker.access.permissions import OWN
from tracker.management.errors import Refused
from tracker.management.services import Services
from tracker.secrets import Secrets
from tracker.settings import Settings
from tracker.stores.postgres import Connection, Pool

SECONDS = 24 * 3600


async def make(db: Connection | Pool, secrets: Secrets, settings: Settings, user_id: str) -> str:
    """The address at which a person sets a password, within a day, once. Earlier ones end. Show it to that person only."""
    token = random.token_urlsafe(32)
    await db.execute(SQL["insert_reset"], _hash(secrets, token), user_id, SECONDS)
    return f"{settings.api_base_url}/reset?token={token}"


async def make_for_member(services: Services, caller: Caller, user_id: str) -> str:
    """`make` by the team's owner. Raises Refused: 403, 404, 409 when the person belongs to other teams too, whose owner this is not."""
    caller.require(OWN)
    async with services.pool.acquire() as connection, connection.transaction():
        await members.get(connection, caller.team_id, user_id)
        if len(await people.teams_of(connection, user_id)) > 1:
            raise Refused(
                409, "OTHER_TEAMS", "This person belongs to other teams too: use `clickbind reset-password` on the server."
            )  # fmt: skip
        address = await make(connection, services.secrets, services.settings, user_id)
        await record(connection, caller, "password.reset_offered", "user", user_id)
    return address


async def find(db: Connection | Pool, secrets: Secrets, token: str) -> str | None:
    """The e-mail address of the person a link is for; None when it is unknown, used or over."""
    email: str | None = await db.fetchval(SQL["reset"], _hash(secrets, token))
    return email


async def complete(services: Services, token: str, password: str, address: str = "") -> str:
    """Set the password: every session of the person ends. Returns their id. Raises Refused (404), Invalid."""
    gone = Refused(404, "LINK_OVER", "This link is used or over; ask for another.")
    email = await find(services.pool, services.secrets, token)
    if email is None:
        raise gone
    passwords.check(password, email)
    stored = await passwords.hashed(password)
    async with services.pool.acquire() as connection, connection.transaction():
        user_id: str | None = await connection.fetchval(SQL["take_reset"], _hash(services.secrets, token))
        if user_id is None:
            raise gone
        await connection.execute(SQL["set_password"], user_id, stored)
        await sessions.close_all(connection, user_id)
        for team in await people.teams_of(connection, user_id):
            caller = Caller(team.id, None, user_id, actor=email, address=address)
            await record(connection, caller, "password.reset", "user", user_id)
    return user_id


async def by_command(pool: Pool, secrets: Secrets, settings: Settings, email: str) -> str:
    """`make` by the installation's operator. Raises Refused (404) for nobody of that address."""
    async with pool.acquire() as connection, connection.transaction():
        user = await people.by_email(connection, people.email_address(email))
        if user is None:
            raise Refused(404, "NOT_FOUND", f"Nobody has the e-mail address {email}.")
        for team in await people.teams_of(connection, user["user_id"]):
            caller = system(team.id, "clickbind reset-password")
            await record(connection, caller, "password.reset_offered", "user", user["user_id"])
        return await make(connection, secrets, settings, user["user_id"])


def _hash(secrets: Secrets, token: str) -> bytes:
    return secrets.key_hash("reset:" + token)
