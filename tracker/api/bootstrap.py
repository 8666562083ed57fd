"""`clickbind bootstrap`: the first team and its API key, headless."""

from __future__ import annotations

import secrets as random

import asyncpg

from tracker.access import audit, people, resets
from tracker.access.caller import Caller, system
from tracker.access.keys import make_key
from tracker.management.errors import Invalid
from tracker.rotation import adopt_hash_key
from tracker.secrets import Secrets, installation_secrets
from tracker.settings import Settings
from tracker.stores import postgres
from tracker.stores.errors import StoreError
from tracker.stores.postgres import Connection
from tracker.stores.urls import database_url


async def bootstrap(settings: Settings, team_name: str, owner: str | None = None) -> dict[str, str]:
    """Make a team and a key: {team_id, api_key_id, api_key}. Raises StoreError when the database is not there.

    The key may everything. With an `owner`'s e-mail address that person owns the team, and for somebody new `password_url` says where
    they set a password; otherwise nobody belongs to it until set-up adopts it (`tracker/access/first_run.py`).
    """
    try:
        email = people.email_address(owner) if owner is not None else None
    except Invalid as error:
        raise StoreError(f"--owner: {error.errors['email'][0]}") from error
    pool = await postgres.open_pool(database_url(settings), max_size=1)
    try:
        async with pool.acquire() as connection, connection.transaction():
            team_id = "team_" + random.token_hex(10)
            await connection.execute(people.SQL["insert_team"], team_id, team_name)
            secrets = installation_secrets(settings)
            await adopt_hash_key(connection, secrets)
            key_id, key = await make_key(connection, secrets.key_hash, team_id, "bootstrap")
            caller = system(team_id, "clickbind bootstrap")
            await audit.record(
                connection, caller, "team.created", "team", team_id, {"name": team_name, "api_key": key_id}
            )
            made = {"team_id": team_id, "api_key_id": key_id, "api_key": key}
            if email is not None:
                made |= await _owned(connection, settings, secrets, caller, email)
    except asyncpg.UndefinedTableError as error:
        raise StoreError("The database has no schema yet. Run `clickbind migrate` first.") from error
    finally:
        await pool.close()
    return made


async def _owned(
    connection: Connection, settings: Settings, secrets: Secrets, caller: Caller, email: str
) -> dict[str, str]:
    known = await people.by_email(connection, email)
    user_id: str = known["user_id"] if known else await people.make(connection, email, "", None)
    await connection.execute(people.SQL["insert_member"], caller.team_id, user_id, "owner", [])
    await audit.record(connection, caller, "member.joined", "user", user_id, {"role": "owner"})
    if known:
        return {"user_id": user_id}
    return {"user_id": user_id, "password_url": await resets.make(connection, secrets, settings, user_id)}
