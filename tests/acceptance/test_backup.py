"""`clickbind backup` and `restore`: what comes out is what went in, and nothing is ever overwritten."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from loadtests.demo.stage import Stage
from tests.integration.edge.conftest import PHONE
from tracker.backup.database import libpq
from tracker.clicklog import log_key, pool_key
from tracker.settings import Settings, as_environment
from tracker.stores import postgres, valkey
from tracker.stores.embedded import DataFolder, EmbeddedPostgres, EmbeddedValkey
from tracker.stores.urls import database_url, redis_url
from tracker.supervisor import Supervisor

KEY = "a test's secret key, thirty-two characters"
CONTENT = "SELECT coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE \"C\")), '') FROM public.\"{}\" t"


async def clickbind(settings: Settings, *arguments: str) -> tuple[int, str]:
    """Exit code and output of a command under these settings."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tracker.cli.main", *arguments, env=dict(os.environ) | as_environment(settings),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode()


async def tables(url: str) -> dict[str, str]:
    """A digest of every table's content."""
    connection = await asyncpg.connect(url)
    try:
        names = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"
        )
        return {row["relname"]: await connection.fetchval(CONTENT.format(row["relname"])) for row in names}
    finally:
        await connection.close()


async def keys(url: str) -> dict[bytes, Any]:
    """Every key's content and the moment it expires."""
    client = valkey.connect(url)
    found: dict[bytes, Any] = {}
    async for key in client.scan_iter(count=1000):
        expires = await client.pexpiretime(key)
        kind = await client.type(key)
        content: Any
        if kind == b"stream":
            content = await client.xrange(key), (await client.xinfo_stream(key))["last-generated-id"]
        elif kind == b"zset":
            content = await client.zrange(key, 0, -1, withscores=True)
        elif kind == b"hash":
            content = await client.hgetall(key)
        else:
            content = await client.get(key)
        found[key] = content, expires
    await client.aclose()
    return found


async def furnish(database: str, redis: str) -> None:
    """Rows in partitioned and plain tables, with identities and odd text; keys of every kind, some that expire."""
    connection = await asyncpg.connect(database)
    await postgres.migrate(connection)
    await connection.execute("INSERT INTO teams (team_id, name) VALUES ('t', E'It''s\\n\\\\N \"team\" \\u2603')")
    await connection.execute(
        "INSERT INTO accounts (account_id, team_id, provider, provider_account_id, shard, api_key_sealed)"
        " VALUES ('a', 't', 'onlyfansapi', 'p', 1, '\\x00ff5c')"
    )
    await connection.execute(
        "CREATE TABLE clicks_test PARTITION OF clicks FOR VALUES FROM ('01') TO ('02');"
        "INSERT INTO clicks (click_id, smart_link_id, account_id, clicked_at, last_visit_at, visitor, visitor_by, lease, ip, truncated)"
        " SELECT lpad(n::text, 26, '0'), 'L', 'a', now(), now(), 'v', 'cookie', 'exclusive', '2001:db8::1', '{ecid}'"
        " FROM generate_series(1, 3000) n"
    )
    await connection.execute(
        "INSERT INTO inventory_links (account_id, offer, kind, state) SELECT 'a', 'tracking', 'tracking_link', 'ready' FROM generate_series(1, 20)"
    )
    await connection.execute(
        "INSERT INTO webhooks (account_id, provider, dedup_key, event_type, body) VALUES ('a', 'onlyfansapi', 'k', 'e', '{\"a\": 1}')"
    )
    await connection.close()
    client = valkey.connect(redis)
    await client.zadd(pool_key(1, "a", "tracking"), {f"{n}|https://x/{n}": 1e12 + n for n in range(700)})
    await client.hset("cb:links", "L", b"\x00\xff binary")
    await client.set("{s1}:v:L:visitor", b"\x01click", px=3_600_000)
    batch = client.pipeline(transaction=False)
    for number in range(1234):
        batch.xadd(log_key(1), {"k": "click", "r": bytes([number % 256])}, id=f"{1000 + number}-0")
    await batch.execute()
    await client.xadd(log_key(2), {"k": "click"}, id="5000-3")
    await client.xtrim(log_key(2), maxlen=0)
    await client.aclose()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path that PostgreSQL's user can reach."""
    with tempfile.TemporaryDirectory(prefix="cb-backup-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(scope="module")
async def stopped() -> AsyncIterator[tuple[Settings, dict[str, str], dict[bytes, Any]]]:
    """A furnished installation that nobody runs, and what is in it. Tests leave it as it is."""
    with tempfile.TemporaryDirectory(prefix="cb-backup-of-") as name:
        Path(name).chmod(0o711)
        yield await _stopped(Path(name))


async def _stopped(folder: Path) -> tuple[Settings, dict[str, str], dict[bytes, Any]]:
    settings = Settings(data_dir=str(folder / "data"), log_level="error")
    data = DataFolder(settings.data_path)
    data.hold()
    stores = (EmbeddedPostgres(data), EmbeddedValkey(data))
    for store in stores:
        store.start()
    await furnish(data.database_url, data.redis_url)
    before = await tables(data.database_url), await keys(data.redis_url)
    for store in stores:
        store.stop()
    data.release()
    (settings.data_path / "secret.key").write_text(KEY + "\n")
    settings.spill_path.mkdir()
    (settings.spill_path / "1-2.spill").write_bytes(b"clicks")
    return settings, *before


async def test_a_stopped_installation_comes_back_exactly(
    stopped: tuple[Settings, dict[str, str], dict[bytes, Any]],
    folder: Path,
    database_url: str,
    store_folder: DataFolder,
) -> None:
    settings, rows, found = stopped
    backup = folder / "backup"
    code, said = await clickbind(settings, "backup", str(backup))
    assert code == 0, said
    assert "3,000 clicks" in said
    assert "holds the secret key" in said
    assert not any(path.stat().st_mode & 0o077 for path in (backup, *backup.rglob("*")))
    code, said = await clickbind(settings, "backup", str(backup))
    assert (code, "not empty" in said) == (1, True)

    elsewhere = msgspec.structs.replace(settings, data_dir=str(folder / "new"))
    code, said = await clickbind(elsewhere, "restore", str(backup))
    assert code == 0, said
    assert (elsewhere.data_path / "secret.key").read_text().strip() == KEY
    assert (elsewhere.data_path / "secret.key").stat().st_mode & 0o077 == 0
    assert (elsewhere.spill_path / "1-2.spill").read_bytes() == b"clicks"
    data = DataFolder(elsewhere.data_path)
    data.hold()
    stores = (EmbeddedPostgres(data), EmbeddedValkey(data))
    for store in stores:
        store.start()
    assert await tables(data.database_url) == rows
    assert await keys(data.redis_url) == found
    connection = await asyncpg.connect(data.database_url)
    last = await connection.fetchval(
        "INSERT INTO inventory_links (account_id, offer, kind, state) VALUES ('a', 'x', 'tracking_link', 'ready') RETURNING inventory_link_id"
    )
    assert last == 21  # identities go on where they were
    assert await postgres.migrate(connection) == []
    await connection.close()
    for store in stores:
        store.stop()
    data.release()
    code, said = await clickbind(elsewhere, "restore", str(backup))
    assert code == 1
    assert "exists already" in said

    # Into stores of one's own, which must be empty.
    external = msgspec.structs.replace(
        elsewhere, data_dir=str(folder / "ext"), database_url=database_url, redis_url=f"{store_folder.redis_url}?db=7"
    )
    code, said = await clickbind(external, "restore", str(backup))
    assert code == 1
    assert "database is not empty" in said
    empty = database_url.replace("/test_", "/restored_")
    admin = await asyncpg.connect(database_url.replace(database_url.split("/")[3].split("?")[0], "postgres", 1))
    name = empty.split("/")[3].split("?")[0]
    await admin.execute(f"CREATE DATABASE {name}")
    external = msgspec.structs.replace(external, database_url=empty)
    code, said = await clickbind(external, "restore", str(backup))
    assert code == 0, said
    assert await tables(empty) == rows
    assert await keys(external.redis_url) == found
    again = folder / "again"
    code, said = await clickbind(external, "backup", str(again))  # and out of them
    assert code == 0, said
    first, second = (json.loads((path / "manifest.json").read_text()) for path in (backup, again))
    assert (first["tables"], first["keys"]) == (second["tables"], second["keys"])
    client = valkey.connect(external.redis_url)
    await client.flushdb()
    await client.aclose()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


async def test_what_cannot_be_restored_is_refused_in_words(
    stopped: tuple[Settings, dict[str, str], dict[bytes, Any]], folder: Path
) -> None:
    settings, _, _ = stopped
    backup = folder / "backup"
    code, said = await clickbind(settings, "backup", str(backup))
    assert code == 0, said
    target = msgspec.structs.replace(settings, data_dir=str(folder / "new"))
    manifest = json.loads((backup / "manifest.json").read_text())

    async def refused(words: str, into: Settings = target) -> None:
        code, said = await clickbind(into, "restore", str(backup))
        assert code == 1, said
        assert words in said
        assert not (into.data_path / "postgres").exists()

    await refused("another secret key", msgspec.structs.replace(target, secret_key="x" * 40))
    (backup / "manifest.json").write_text(json.dumps(manifest | {"migrations": [1, 9999]}))
    await refused("newer Clickbind")
    (backup / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    await refused("backup format 99")
    (backup / "manifest.json").write_text(
        json.dumps(manifest | {"files": manifest["files"] | {"../x": manifest["files"]["secret.key"]}})
    )
    await refused("outside the backup")
    (backup / "manifest.json").write_text(json.dumps(manifest))
    dump = (backup / "postgres.dump").read_bytes()
    (backup / "postgres.dump").write_bytes(dump[:-1] + bytes([dump[-1] ^ 1]))
    await refused("postgres.dump")
    (backup / "postgres.dump").unlink()
    await refused("postgres.dump is missing")
    (backup / "manifest.json").unlink()
    await refused("is not a backup")
    code, said = await clickbind(target, "backup", str(folder / "other"))
    assert code == 1
    assert "no data folder" in said or "nothing to back up" in said
    assert not (folder / "other").exists()


async def test_a_backup_of_the_running_product_is_a_working_product(stage: Stage, folder: Path) -> None:
    link = stage.link_url("native")
    jar = {"User-Agent": PHONE, "X-Forwarded-For": "81.2.69.142"}
    places: dict[str, tuple[str, str]] = {}

    async def click(base: str, ecid: str, cookie: str = "") -> tuple[str, str]:
        headers = jar | ({"Cookie": f"cbv={cookie}"} if cookie else {})
        async with stage.session.get(f"{base}?ecid={ecid}", headers=headers, allow_redirects=False) as answer:
            assert answer.status == 302
            return answer.headers["Location"], answer.cookies["cbv"].value

    for number in range(8):
        places[f"backup-{number}"] = await click(link, f"backup-{number}")
    code, said = await clickbind(stage.settings, "backup", str(folder / "backup"))
    assert code == 0, said

    settings = msgspec.structs.replace(
        stage.settings, data_dir=str(folder / "new"), edge_port=0, api_port=0, recorder_port=0, worker_port=0
    )
    code, said = await clickbind(settings, "restore", str(folder / "backup"))
    assert code == 0, said
    fresh = Stage(settings, folder / "new", 20, 7)  # for its free ports and its manners of asking
    from loadtests.demo.stage import demo_settings

    fresh.settings = demo_settings(settings, folder / "new", stage.platform_url, 1)
    fresh.session, fresh.api_key = stage.session, stage.api_key
    supervisor = Supervisor(fresh.settings, ("edge", "recorder", "api"))
    await supervisor.start()
    try:
        await fresh._wait_for(f"http://127.0.0.1:{fresh.settings.api_port}/health/ready", "the API")
        await fresh._wait_for(f"http://127.0.0.1:{fresh.settings.edge_port}/health/ready", "the edge")
        assert {row["id"] for row in await fresh.api("GET", "smart-links")} == set(stage.smart_links.values())
        base = link.replace(str(stage.settings.edge_port), str(fresh.settings.edge_port))
        for ecid, (place, cookie) in places.items():  # leases and visitors came along: the same click, the same link
            assert await click(base, ecid, cookie) == (place, cookie)
        connection = await asyncpg.connect(database_url(fresh.settings))
        query = "SELECT ecid, gross_clicks FROM clicks WHERE ecid LIKE 'backup-%' AND gross_clicks = 2"
        for _ in range(200):
            rows = await connection.fetch(query)
            if len(rows) == len(places):
                break
            await asyncio.sleep(0.1)
        assert sorted(row["ecid"] for row in rows) == sorted(places)
        assert await connection.fetchval("SELECT count(*) FROM clicks WHERE ecid LIKE 'backup-%'") == len(places)
        await connection.close()
        client = valkey.connect(redis_url(fresh.settings))
        assert await client.exists("cb:links")
        await client.aclose()
    finally:
        await supervisor.stop()


@pytest.mark.parametrize(
    ("url", "bare", "password"),
    [
        ("postgresql://me:p%40ss@db:5432/cb", "postgresql://me@db:5432/cb", "p@ss"),
        ("postgresql://me@/cb?host=/run/pg", "postgresql://me@/cb?host=/run/pg", ""),
        (
            "postgres://db/cb?user=me&password=s3cret&sslmode=require",
            "postgres://db/cb?user=me&sslmode=require",
            "s3cret",
        ),
        ("postgresql://u:pw@[::1]:5432/cb", "postgresql://u@[::1]:5432/cb", "pw"),
    ],
)
def test_the_password_is_not_in_the_process_list(url: str, bare: str, password: str) -> None:
    found, environment = libpq(url)
    assert found == bare
    assert environment.get("PGPASSWORD", "") == password
