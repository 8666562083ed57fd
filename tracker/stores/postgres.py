"""PostgreSQL: connection pool, migrations, partitions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from tracker.stores.errors import StoreError

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection

# What a server that is away, restarting or cutting us off raises. InternalClientError: it ended a connection that lay idle in the
# pool. A PostgresError can also be a mistake in the data; who must tell them apart catches those first.
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

MIGRATION_LOCK = 0x436C6B62  # "Clkb": one migrator at a time, whichever role starts first


async def _init_connection(connection: Any) -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind, encoder=_encode_json, decoder=msgspec.json.decode, schema="pg_catalog", format="text"
        )


async def _keep(_connection: Any) -> None:
    """Nothing is reset between uses, which would cost a question to the server for each: nothing of ours outlives its transaction but
    the locks of `locked`. A transaction left open has been rolled back already.
    """


@asynccontextmanager
async def locked(connection: Connection, key: int, *, wait: bool = False) -> AsyncIterator[bool]:
    """Hold an advisory lock of the session; without `wait` it yields False where another session holds it.

    A connection that may still hold it afterwards, as it broke or was cancelled then, is closed: that gives it back.
    """
    held = False
    try:
        if wait:
            await connection.execute("SELECT pg_advisory_lock($1)", key)
        held = wait or await connection.fetchval("SELECT pg_try_advisory_lock($1)", key)
    except BaseException:
        connection.terminate()
        raise
    try:
        yield held
    finally:
        if held and not connection.is_closed():
            try:
                await connection.execute("SELECT pg_advisory_unlock($1)", key)
            except BaseException:
                connection.terminate()
                raise


def _encode_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


async def open_pool(url: str, *, max_size: int = 10, command_timeout: float = 30.0, plan_anew: bool = False) -> Pool:
    """A pool whose jsonb columns are Python values. Raises StoreError when the server cannot be reached in 15 s.

    `plan_anew`: for reports. A plan made for any arguments, which PostgreSQL takes from a statement's sixth use on, knows neither how
    many scopes nor how many days are asked for, and can be a hundred times slower than one made for these; planning takes a millisecond.
    """
    settings = {"application_name": "clickbind", "timezone": "UTC"}
    if plan_anew:
        settings["plan_cache_mode"] = "force_custom_plan"
    deadline = time.monotonic() + 15
    while True:
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=max_size,
                command_timeout=command_timeout,
                init=_init_connection,
                reset=_keep,
                server_settings=settings,
            )
        except (asyncpg.InvalidPasswordError, asyncpg.InvalidCatalogNameError) as error:
            raise StoreError(
                f"PostgreSQL refused us: {error}. Check user, password and database in DATABASE_URL."
            ) from error
        except (OSError, asyncpg.PostgresError) as error:
            if time.monotonic() > deadline:
                raise StoreError(
                    f"PostgreSQL does not answer: {error}. Is it running where DATABASE_URL points?"
                ) from error
            await asyncio.sleep(0.2)
        else:
            return pool


def migrations() -> list[tuple[int, str, str]]:
    """All migrations as (number, name, SQL), in order."""
    folder = files("tracker.stores").joinpath("migrations")
    found = []
    for file in folder.iterdir():
        if file.name.endswith(".sql"):
            number, _, name = file.name.removesuffix(".sql").partition("_")
            found.append((int(number), name, file.read_text()))
    return sorted(found)


async def migrate(connection: Connection) -> list[str]:
    """Apply what is missing, each migration in its own transaction, under an advisory lock. Returns the names applied."""
    async with locked(connection, MIGRATION_LOCK, wait=True):
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations"
            " (number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = {row["number"] for row in await connection.fetch("SELECT number FROM schema_migrations")}
        known = migrations()
        newer = done - {number for number, _, _ in known}
        if newer:
            raise StoreError(
                f"The database has migration {max(newer)}, which this version does not know. Run the newer Clickbind."
            )
        applied = []
        for number, name, sql in known:
            if number in done:
                continue
            async with connection.transaction():
                await connection.execute(sql)
                await connection.execute("INSERT INTO schema_migrations (number, name) VALUES ($1, $2)", number, name)
            applied.append(f"{number:04d}_{name}")
        return applied
