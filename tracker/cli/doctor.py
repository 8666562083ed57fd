"""`clickbind doctor`: checks configuration and stores and says in plain words what is wrong and how to mend it."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator

import asyncpg

from tracker.settings import OPTION_HELP, Settings, env_name
from tracker.stores import postgres, valkey
from tracker.stores.embedded import DataFolder
from tracker.stores.errors import StoreError
from tracker.stores.urls import database_url, redis_url

Finding = tuple[str, str, str]  # 'ok' | 'warning' | 'problem', what, how to mend it

_PASSWORD = re.compile(r"://([^:/@]*):[^@/]*@")


def list_options(settings: Settings) -> str:
    """Every option: its variable, the value in force and what it means."""
    lines = []
    defaults = dict(zip(Settings.__struct_fields__, Settings.__struct_defaults__, strict=True))
    for field, meaning in zip(Settings.__struct_fields__, OPTION_HELP, strict=True):
        value = getattr(settings, field)
        shown = (
            "(set)"
            if field in ("secret_key", "old_secret_keys") and value
            else _PASSWORD.sub(r"://\1:***@", repr(value))
        )
        changed = "" if value == defaults[field] else f"   (default {defaults[field]!r})"
        lines.append(f"{env_name(field)} = {shown}{changed}\n    {meaning}")
    return "\n".join(lines)


async def examine(settings: Settings) -> int:
    """Print all findings. Returns 1 when there is a problem, 0 otherwise."""
    worst = 0
    async for kind, what, remedy in findings(settings):
        mark = {"ok": "ok      ", "warning": "warning ", "problem": "PROBLEM "}[kind]
        print(f"{mark} {what}" + (f"\n         → {remedy}" if remedy else ""))
        worst = max(worst, kind == "problem")
    print("All is well." if not worst else "Mend the problems above, then run `clickbind doctor` again.")
    return int(worst)


async def findings(settings: Settings) -> AsyncIterator[Finding]:
    """What was found, in the order a person would check."""
    yield "ok", "Configuration is valid.", ""
    if not settings.public_url:
        yield (
            "warning",
            "CLICKBIND_PUBLIC_URL is not set; links point at this machine.",
            "Set it to the address fans reach.",
        )
    if not settings.trusted_proxies:
        yield (
            "ok",
            "No proxy is trusted: visitors' addresses are the peers'. Behind a proxy, set CLICKBIND_TRUSTED_PROXIES.",
            "",
        )
    async for finding in _folder(settings):
        yield finding
    async for finding in _postgres(settings):
        yield finding
    async for finding in _valkey(settings):
        yield finding


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


async def _folder(settings: Settings) -> AsyncIterator[Finding]:
    path = settings.data_path
    if not path.exists():
        yield "ok", f"The data folder {path} does not exist yet; `clickbind up` makes it.", ""
        return
    free = shutil.disk_usage(path).free
    if free < 1 << 30:
        yield (
            "problem",
            f"Only {free >> 20} MB are free at {path}.",
            "Free some space: a full disk stops the click log.",
        )
    else:
        yield "ok", f"{free >> 30} GB are free at {path}.", ""
    waiting = (
        sum(file.stat().st_size for file in settings.spill_path.glob("*.spill*")) if settings.spill_path.exists() else 0
    )
    if waiting:
        yield (
            "warning",
            f"{waiting} bytes of clicks wait in the spill.",
            "They are replayed when Valkey answers; see below.",
        )


async def _postgres(settings: Settings) -> AsyncIterator[Finding]:
    embedded = not settings.database_url
    if embedded and not DataFolder(settings.data_path).socket_dir.exists():
        yield "ok", "The embedded PostgreSQL is not running; `clickbind up` starts it.", ""
        return
    try:
        connection = await asyncpg.connect(database_url(settings), timeout=5)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        remedy = (
            "Start it with `clickbind up`."
            if embedded
            else "Check host, port, user, password and database in DATABASE_URL."
        )
        yield ("warning" if embedded else "problem"), f"PostgreSQL does not answer: {error}", remedy
        return
    try:
        version = await connection.fetchval("SHOW server_version_num")
        if int(version) < 150000:
            yield "problem", f"PostgreSQL {version} is too old.", "Use PostgreSQL 15 or newer."
        else:
            yield "ok", f"PostgreSQL {int(version) // 10000} answers.", ""
        known = {number for number, _, _ in postgres.migrations()}
        if await connection.fetchval("SELECT to_regclass('schema_migrations') IS NULL"):
            done = set()
        else:
            done = {row["number"] for row in await connection.fetch("SELECT number FROM schema_migrations")}
        if known - done:
            yield "problem", f"{len(known - done)} migrations are not applied.", "Run `clickbind migrate`."
        elif done - known:
            yield "problem", "The database is newer than this Clickbind.", "Install the newer version."
        else:
            yield "ok", "The schema is up to date.", ""
    finally:
        await connection.close()


async def _valkey(settings: Settings) -> AsyncIterator[Finding]:
    embedded = not settings.redis_url
    client = valkey.connect(redis_url(settings), socket_timeout=3, socket_connect_timeout=3)
    try:
        await valkey.wait_ready(client, 1.0)
        configured = {
            _text(key): _text(value)
            for name in ("appendonly", "appendfsync", "maxmemory-policy")
            for key, value in (await client.config_get(name)).items()
        }
    except (StoreError, valkey.RedisError, OSError) as error:
        remedy = (
            "Start it with `clickbind up`." if embedded else "Check REDIS_URL; redirects run on the spill meanwhile."
        )
        yield ("warning" if embedded else "problem"), f"Valkey does not answer: {error}", remedy
        return
    finally:
        await client.aclose()
    yield "ok", "Valkey answers.", ""
    if configured.get("appendonly") != "yes" or configured.get("appendfsync") != "always":
        yield (
            "problem",
            "Valkey does not write every click to disk before it answers: a crash loses clicks.",
            "Set `appendonly yes` and `appendfsync always` on it.",
        )
    if configured.get("maxmemory-policy") != "noeviction":
        yield (
            "problem",
            "Valkey may evict pools and clicks when memory is short.",
            "Set `maxmemory-policy noeviction` on it.",
        )
