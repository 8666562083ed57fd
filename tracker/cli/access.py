"""`clickbind setup-url` and `clickbind reset-password`: the operator's way in, on the machine itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tracker.access import first_run, resets
from tracker.management.errors import Invalid, Refused
from tracker.rotation import adopt_hash_key
from tracker.secrets import Secrets, installation_secrets
from tracker.settings import Settings
from tracker.stores import postgres
from tracker.stores.errors import StoreError
from tracker.stores.postgres import Pool
from tracker.stores.urls import database_url


async def setup_url(settings: Settings) -> int:
    """Print the address of the set-up page. Returns 1 when somebody is here already. Raises StoreError, ConfigurationError."""
    async with _opened(settings) as (pool, secrets):
        if not await first_run.needed(pool):
            print(
                f"Clickbind is set up already: log in at {settings.api_base_url}/login, or `clickbind reset-password EMAIL`."
            )
            return 1
        print(first_run.url(settings, secrets))
        return 0


async def reset_password(settings: Settings, email: str) -> int:
    """Print the address at which a person sets a new password. Returns 1 for nobody of that address."""
    async with _opened(settings) as (pool, secrets):
        try:
            url = await resets.by_command(pool, secrets, settings, email)
        except (Refused, Invalid) as error:
            said = error.message if isinstance(error, Refused) else next(iter(error.errors.values()))[0]
            raise StoreError(said) from error
    print(f"At this address {email} sets a new password, once, within a day:\n\n    {url}\n")
    return 0


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Pool, Secrets]]:
    pool = await postgres.open_pool(database_url(settings), max_size=1)
    try:
        secrets = installation_secrets(settings)
        await adopt_hash_key(pool, secrets)
        yield pool, secrets
    except asyncpg.UndefinedTableError as error:
        raise StoreError("The database has no schema yet. Run `clickbind migrate` first.") from error
    finally:
        await pool.close()
