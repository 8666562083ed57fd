"""PostgreSQL's part: `pg_dump` and `pg_restore` of the embedded PostgreSQL's wheel, on any server up to their version.

Rows are counted in the very snapshot that is dumped, so a restore can be held against exact numbers.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import asyncpg

from tracker.stores.embedded import postgres_binaries
from tracker.stores.errors import StoreError
from tracker.stores.postgres import AWAY, Connection
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.backup", "backup.sql")
FILE = "postgres.dump"
CONNECT_SECONDS = 15

Progress = Callable[[str], None]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection without a statement timeout. Raises StoreError when the server does not answer."""
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    except AWAY as error:
        raise StoreError(f"PostgreSQL does not answer: {error}. Is it running where DATABASE_URL points?") from error
    try:
        yield connection
    finally:
        await connection.close()


async def dump(url: str, folder: Path, progress: Progress) -> tuple[dict[str, int], list[int], str, str]:
    """Write `FILE`. Returns rows by table, the schema's migrations, the server's version and the moment (UTC, ISO 8601)."""
    async with connected(url) as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        row = (await connection.fetch(SQL["snapshot"]))[0]
        known = await connection.fetchval(SQL["has_schema"])
        if not known:
            raise StoreError("This database has no Clickbind schema: there is nothing to back up.")
        migrations = [found["number"] for found in await connection.fetch(SQL["migrations"])]
        arguments = ["--format=custom", f"--snapshot={row['snapshot']}", "--no-owner", "--no-privileges", "--verbose"]
        await _run("pg_dump", url, [*arguments, "--schema=public", f"--file={folder / FILE}"], progress)
        return await counts(connection), migrations, row["version"], row["moment"]


async def restore(url: str, folder: Path, progress: Progress) -> dict[str, int]:
    """Load `FILE` into an empty database, whole or not at all. Returns rows by table. Raises StoreError."""
    # What is in the schema `public`, not the schema: every database has one.
    arguments = [
        "--single-transaction",
        "--exit-on-error",
        "--no-owner",
        "--no-privileges",
        "--schema=public",
        "--verbose",
    ]
    await _run("pg_restore", url, [*arguments, str(folder / FILE)], progress)
    async with connected(url) as connection:
        progress("PostgreSQL: gathering statistics")
        await connection.execute("ANALYZE")
        return await counts(connection)


async def require_empty(url: str) -> None:
    """Raises StoreError when the database holds anything."""
    async with connected(url) as connection:
        found = await connection.fetchval(SQL["anything"])
    if found:
        raise StoreError(
            f"The database is not empty (it has {found}). A backup is restored into an empty one: make one with"
            " CREATE DATABASE and point DATABASE_URL at it."
        )


async def counts(connection: Connection) -> dict[str, int]:
    """Rows by table, partitions counted with the table they belong to."""
    tables = [row["table_name"] for row in await connection.fetch(SQL["tables"])]
    return {table: await connection.fetchval(f'SELECT count(*) FROM public."{table}"') for table in tables}  # noqa: S608


def libpq(url: str) -> tuple[str, dict[str, str]]:
    """The URL without its password, which would stand in the process list, and the environment that has it."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    password = query.pop("password", "")
    user, at, host = parts.netloc.rpartition("@")
    if ":" in user:
        user, _, encoded = user.partition(":")
        password = unquote(encoded)
    bare = urlunsplit(parts._replace(netloc=f"{user}{at}{host}", query=urlencode(query, safe="/")))
    return bare, {"PGPASSWORD": password} if password else {}


async def _run(tool: str, url: str, arguments: list[str], progress: Progress) -> None:
    bare, environment = libpq(url)
    process = await asyncio.create_subprocess_exec(
        str(postgres_binaries() / tool), f"--dbname={bare}", *arguments,
        env=os.environ | environment | {"PGOPTIONS": "-c statement_timeout=0 -c lock_timeout=60s"},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    said: list[str] = []
    try:
        async for raw in process.stderr:
            line = raw.decode(errors="replace").strip()
            said = [*said[-9:], line]
            if "contents of table" in line or "data for table" in line:
                table = line.rpartition("table ")[2].replace('"', "").removeprefix("public.")
                progress(f"PostgreSQL: {table}")
        code = await process.wait()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if code:
        errors = [line for line in said if "error" in line.lower() or "detail" in line.lower() or "mismatch" in line]
        words = "; ".join(errors or said[-3:])
        if "server version mismatch" in words or "unsupported version" in words:
            words += f". This {tool} is older than your server: use your server's own {tool} instead"
        raise StoreError(f"{tool} failed: {words}")
