"""A new secret key: everything sealed opens under it alone, API keys stay valid, and wrong keys are refused in words."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tracker.access.keys import make_key
from tracker.api.app import create_app
from tracker.cli.rotate import run as rotate
from tracker.inbox.receive import secret_context
from tracker.management.services import Services
from tracker.rotation import COLUMNS, adopt_hash_key, reseal, rotating_secrets
from tracker.secrets import SealError, Secrets
from tracker.settings import ConfigurationError, Settings
from tracker.stores.errors import StoreError
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

OLD, NEW, OTHER = "o" * 40, "n" * 40, "x" * 40


def client(pool: Pool, redis: Client, secrets: Secrets, key: str) -> httpx.AsyncClient:
    app: Any = create_app(Services(Settings(), pool, redis, secrets))
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test", headers=headers)


async def furnish(pool: Pool, redis: Client, secrets: Secrets, accounts: int = 1) -> tuple[str, list[str], str]:
    """A team with accounts and a connection, made over the API: (API key, account ids, connection id)."""
    await pool.execute("INSERT INTO teams (team_id, name) VALUES ('t1', 't1')")
    await adopt_hash_key(pool, secrets)
    _, key = await make_key(pool, secrets.key_hash, "t1", "test")
    ids = []
    async with client(pool, redis, secrets, key) as api:
        for number in range(accounts):
            body = {"provider_account_id": f"acct_{number}", "api_key": f"provider-key-{number}"}
            made = await api.post("/api/connected-accounts", json=body)
            assert made.status_code == 201, made.text
            ids.append(made.json()["data"]["id"])
        wanted: dict[str, Any] = {"kind": "meta", "token": "the-token", "config": {"pixel_id": "123456789012345"}}
        made = await api.post("/api/connections", json=wanted)
        assert made.status_code == 201, made.text
    return key, ids, made.json()["data"]["id"]


async def test_everything_opens_under_the_new_key_alone(pool: Pool, redis: Client) -> None:
    key, (account_id,), connection_id = await furnish(pool, redis, Secrets(OLD))
    both = Secrets(NEW, [OLD])
    await adopt_hash_key(pool, both)
    async with client(pool, redis, both, key) as api:
        assert (await api.get("/api/connections")).status_code == 200, "while both keys are configured"
    result = await reseal(pool, both)
    assert list(result.done.values()) == [1, 1, 1, 0, 1], "nobody is being erased"
    assert result.unopened == []
    new = Secrets(NEW)
    await adopt_hash_key(pool, new)
    row = await pool.fetchrow("SELECT api_key_sealed, webhook_secret_sealed FROM accounts")
    assert row is not None
    assert new.open(row["api_key_sealed"], f"account:{account_id}:api_key") == b"provider-key-0"
    assert new.open(row["webhook_secret_sealed"], secret_context(account_id))
    token = await pool.fetchval("SELECT secrets_sealed FROM destinations")
    assert msgspec.json.decode(new.open(token, f"destination:{connection_id}")) == {"token": "the-token"}
    with pytest.raises(SealError, match="CLICKBIND_OLD_SECRET_KEYS"):
        Secrets(OLD).open(token, f"destination:{connection_id}")
    async with client(pool, redis, new, key) as api:
        assert (await api.get("/api/connections")).status_code == 200, "an API key outlives the secret key"
    assert sum((await reseal(pool, new)).done.values()) == 0


async def test_every_sealed_column_is_rotated(pool: Pool) -> None:
    found = await pool.fetch(
        "SELECT table_name || '_' || column_name AS name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND data_type = 'bytea' AND column_name LIKE '%sealed'"
    )
    known = {f"{column.query}_sealed" for column in COLUMNS[1:]} | {"installation_values_sealed"}
    assert {row["name"] for row in found} == known


async def test_an_interrupted_rotation_goes_on(pool: Pool, redis: Client) -> None:
    await furnish(pool, redis, Secrets(OLD), accounts=5)

    class Dying(Secrets):
        calls = itertools.count()

        def seal(self, value: bytes, context: str) -> bytes:
            if next(self.calls) == 4:
                raise KeyboardInterrupt
            return super().seal(value, context)

    with pytest.raises(KeyboardInterrupt):
        await reseal(pool, Dying(NEW, [OLD]), batch=2)
    new = Secrets(NEW, [OLD])
    before = [row[0] for row in await pool.fetch("SELECT api_key_sealed FROM accounts")]
    assert 0 < sum(map(new.is_current, before)) < 5
    result = await reseal(pool, new, batch=2)
    assert result.unopened == []
    assert 0 < result.done["providers' API keys"] < 5
    for row in await pool.fetch("SELECT account_id, api_key_sealed FROM accounts"):
        assert Secrets(NEW).open(row["api_key_sealed"], f"account:{row['account_id']}:api_key")


async def test_what_no_known_key_opens_is_named_and_left(pool: Pool, redis: Client) -> None:
    _, ids, _ = await furnish(pool, redis, Secrets(OLD), accounts=3)
    strange = Secrets(OTHER).seal(b"lost", f"account:{ids[1]}:api_key")
    await pool.execute("UPDATE accounts SET api_key_sealed = $2 WHERE account_id = $1", ids[1], strange)
    result = await reseal(pool, Secrets(NEW, [OLD]), batch=1)
    assert result.unopened == [f"account:{ids[1]}:api_key"]
    assert result.done["providers' API keys"] == 2
    assert await pool.fetchval("SELECT api_key_sealed FROM accounts WHERE account_id = $1", ids[1]) == strange


async def test_a_database_of_another_key_is_refused_at_the_start(pool: Pool) -> None:
    await adopt_hash_key(pool, Secrets(OLD))
    with pytest.raises(ConfigurationError, match="not the key this database was sealed with"):
        await adopt_hash_key(pool, Secrets(OTHER))


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "cannot read"), ("short", "at least 32"), (OLD, "in use already"), ("a b" * 20, "without spaces")],
)
async def test_wrong_new_keys_are_refused(tmp_path: Path, text: str | None, words: str) -> None:
    file = tmp_path / "new.key"
    if text is not None:
        file.write_text(text + "\n")
    with pytest.raises(ConfigurationError, match=words):
        rotating_secrets(Settings(secret_key=OLD), file)


async def test_the_command(
    database_url: str, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], pool: Pool
) -> None:
    file = tmp_path / "new.key"
    file.write_text(NEW + "\n")
    settings = Settings(secret_key=OLD, database_url=database_url, redis_url=redis_url)
    await adopt_hash_key(pool, Secrets(OLD))
    with pytest.raises(ConfigurationError, match="no previous key"):
        await rotate(settings, None)
    with pytest.raises(StoreError, match="Clickbind is running"):
        await rotate(settings, file)
    await pool.close()
    assert await rotate(settings, file) == 0
    assert "Sealed again under the new key: 1" in capsys.readouterr().out
    after = msgspec.structs.replace(settings, secret_key=NEW, old_secret_keys=(OLD,))
    assert await rotate(after, None) == 0
    assert "remove CLICKBIND_OLD_SECRET_KEYS" in capsys.readouterr().out
