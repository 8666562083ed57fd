"""`clickbind bootstrap`: the first team and its API key, headless."""

from __future__ import annotations

import secrets as random

import asyncpg

from tracker.access import audit
from tracker.access.caller import system
from tracker.access.keys import make_key
from tracker.api.auth import SQL
from tracker.rotation import adopt_hash_key
from tracker.secrets import installation_secrets
from tracker.settings import Settings
from tracker.stores import postgres
from tracker.stores.errors import StoreError
from tracker.stores.urls import database_url


async def bootstrap(settings: Settings, team_name: str) -> dict[str, str]:
    """Make a team and a key: {team_id, api_key_id, api_key}. Raises StoreError when the database is not there.

    The key may everything. No person belongs to the team until set-up adopts it (`tracker/access/first_run.py`).
    """
    pool = await postgres.open_pool(database_url(settings), max_size=1)
    try:
        async with pool.acquire() as connection, connection.transaction():
            team_id = "team_" + random.token_hex(10)
            await connection.execute(SQL["insert_team"], team_id, team_name)
            secrets = installation_secrets(settings)
            await adopt_hash_key(connection, secrets)
            key_id, key = await make_key(connection, secrets.key_hash, team_id, "bootstrap")
            caller = system(team_id, "clickbind bootstrap")
            await audit.record(
                connection, caller, "team.created", "team", team_id, {"name": team_name, "api_key": key_id}
            )
    except asyncpg.UndefinedTableError as error:
        raise StoreError("The database has no schema yet. Run `clickbind migrate` first.") from error
    finally:
        await pool.close()
    return {"team_id": team_id, "api_key_id": key_id, "api_key": key}
