"""Changing the secret key: every sealed value opened under the key it has and sealed again under the current one.

API keys' hashes do not change: they are made with a hash key that the first start derives and keeps, sealed, in the
database (`installation_values`); it is re-sealed like everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from tracker.secrets import SealError, Secrets, installation_key, installation_secrets
from tracker.settings import ConfigurationError, Settings
from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries

SQL = load_queries("tracker", "rotation.sql")
HASH_KEY = "api key hash"
BATCH = 100

log = structlog.get_logger()


class Column(msgspec.Struct, frozen=True):
    """A sealed column: the query that reads it, what a person calls it, and the context its values are sealed for."""

    query: str
    title: str
    context: Callable[[str], str]


# The contexts are those of the code that seals: tracker/management/, tracker/inbox/receive.py, tracker/protection/erasure.py.
COLUMNS = (
    Column("installation_values", "installation values", lambda name: f"installation:{name}"),
    Column("accounts_api_key", "providers' API keys", lambda account_id: f"account:{account_id}:api_key"),
    Column("accounts_webhook_secret", "webhook secrets", lambda account_id: f"account:{account_id}:webhook_secret"),
    Column("erasures_subject", "erasures under way", lambda erasure_id: f"erasure:{erasure_id}"),
    Column("destinations_secrets", "destinations' secrets", lambda destination_id: f"destination:{destination_id}"),
)


class Resealed(msgspec.Struct):
    """What a rotation did: values sealed again by column title, and the contexts of values no known key opens."""

    done: dict[str, int] = msgspec.field(default_factory=dict)
    unopened: list[str] = msgspec.field(default_factory=list)


async def adopt_hash_key(connection: Connection | Pool, secrets: Secrets) -> None:
    """Hash API keys with the stored hash key; the first caller keeps its own as that. Without a schema, does nothing.

    Raises ConfigurationError when the stored one was sealed under a key that is not configured.
    """
    if await connection.fetchval("SELECT to_regclass('installation_values') IS NULL"):
        return
    context = f"installation:{HASH_KEY}"
    sealed = await connection.fetchval(SQL["value"], HASH_KEY)
    if sealed is None:
        await connection.execute(SQL["keep_value"], HASH_KEY, secrets.seal(secrets.hash_key, context))
        sealed = await connection.fetchval(SQL["value"], HASH_KEY)
    try:
        secrets.use_hash_key(secrets.open(sealed, context))
    except SealError as error:
        raise ConfigurationError(
            "CLICKBIND_SECRET_KEY is not the key this database was sealed with. Restore that key, or list it in "
            "CLICKBIND_OLD_SECRET_KEYS and run `clickbind rotate-key`"
        ) from error


async def reseal(pool: Pool, secrets: Secrets, *, batch: int = BATCH) -> Resealed:
    """Seal everything under the current key, a batch per transaction. Run again after an interruption: it goes on."""
    result = Resealed()
    for column in COLUMNS:
        result.done[column.title], last = 0, ""
        while True:
            async with pool.acquire() as connection, connection.transaction():
                rows = await connection.fetch(SQL[column.query], b"\x01" + secrets.key_id, last, batch)
                for row in rows:
                    context = column.context(row["id"])
                    try:
                        value = secrets.open(row["sealed"], context)
                    except SealError:
                        result.unopened.append(context)
                        continue
                    await connection.execute(SQL[f"set_{column.query}"], row["id"], secrets.seal(value, context))
                    result.done[column.title] += 1
            if not rows:
                break
            last = rows[-1]["id"]
    log.info("secrets re-sealed", count=sum(result.done.values()), unopened=len(result.unopened))
    return result


def rotating_secrets(settings: Settings, new_key_file: Path | None) -> Secrets:
    """The secrets to seal with: the file's key, with every configured key still opening; without a file, as configured.

    Raises ConfigurationError when there is nothing to rotate from or to, in words.
    """
    if new_key_file is None:
        if not settings.old_secret_keys:
            raise ConfigurationError(
                "there is no previous key: set CLICKBIND_SECRET_KEY to the new key and CLICKBIND_OLD_SECRET_KEYS to the "
                "one used so far, or name the new key's file with --new-key-file"
            )
        return installation_secrets(settings)
    try:
        key = new_key_file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"--new-key-file: cannot read {new_key_file}. Make one: openssl rand -hex 32 > {new_key_file}"
        ) from error
    if len(key) < 32 or any(letter.isspace() or letter == "," for letter in key):
        raise ConfigurationError(
            "--new-key-file: a key is one line of at least 32 characters without spaces and commas. Make one: openssl rand -hex 32"
        )
    used = installation_key(settings)
    if key == used:
        raise ConfigurationError("--new-key-file: this is the key in use already; make another: openssl rand -hex 32")
    return Secrets(key, (used, *settings.old_secret_keys))
