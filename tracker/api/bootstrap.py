"""`clickbind bootstrap`: the first team and its API key, headless."""

from __future__ import annotations

import secrets as random

import asyncpg

from tracker.api.auth import SQL, make_key
from tracker.rotation import adopt_hash_key
from tracker.secrets import installation_secrets
from tracker.settings import Settings
from tracker.stores.errors import StoreError
from tracker.stores.urls import database_url


async def bootstrap(settings: Settings, team_name: str) -> dict[str, str]:
    """Make a team and a key: {team_id, api_key_id, api_key}. Raises StoreError when the database is not there."""
    try:
        connection = await asyncpg.connect(database_url(settings), timeout=15)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise StoreError(f"PostgreSQL does not answer: {error}. Start it first: `clickbind up`.") from error
    try:
        async with connection.transaction():
            team_id = "team_" + random.token_hex(10)
            await connection.execute(SQL["insert_team"], team_id, team_name)
            secrets = installation_secrets(settings)
            await adopt_hash_key(connection, secrets)
            key_id, key = await make_key(connection, secrets.key_hash, team_id, "bootstrap")
    except asyncpg.UndefinedTableError as error:
        raise StoreError("The database has no schema yet. Run `clickbind migrate` first.") from error
    finally:
        await connection.close()
    return {"team_id": team_id, "api_key_id": key_id, "api_key": key}
