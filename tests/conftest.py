"""Fixtures on real stores: one embedded PostgreSQL and one Valkey per test session, a fresh database per test."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from tracker.stores import postgres, valkey
from tracker.stores.embedded import DataFolder, EmbeddedPostgres, EmbeddedValkey

ROOT = Path(__file__).parent.parent
ENOUGH_MEMORY = 4 << 30  # bytes: three workers, each with a write-ahead log of up to 256 MB and some databases
_numbers = itertools.count(1)


# A machine that does other things besides is no defect.
settings.register_profile("busy", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("busy")


class Together(LoadScopeScheduling):  # type: ignore[misc]
    """Side by side, the tests of one file stay together, and so do those that share one running product."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        if file.startswith("tests/browser/"):
            return "browser"
        shares = file.startswith("tests/acceptance/") and "stage: Stage" in (ROOT / file).read_text()
        return "stage" if shares else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    """How tests are dealt out to the workers."""
    return Together(config, log)


def quickest_folder() -> Path | None:
    """Memory, where there is enough of it; None: the usual place.

    A database is some 700 files, and ext4 takes half a second to make them where as many were deleted in the last five seconds:
    it looks for numbers that were not used lately.
    """
    memory = Path("/dev/shm")
    try:
        return memory if shutil.disk_usage(memory).free >= ENOUGH_MEMORY else None
    except OSError:
        return None


@pytest.fixture(scope="session")
def store_folder() -> Iterator[DataFolder]:
    """A data folder with both embedded stores running and a migrated template database."""
    # Not under pytest's own folder: another run resets that one's mode, which locks PostgreSQL's user out.
    path = Path(tempfile.mkdtemp(prefix="clickbind-tests-", dir=quickest_folder()))
    folder = DataFolder(path)
    folder.hold()
    servers = (EmbeddedPostgres(folder, ("-c", "max_wal_size=256MB")), EmbeddedValkey(folder))
    for server in servers:
        server.start()
    yield folder
    for server in reversed(servers):
        server.stop()
    folder.release()
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
async def _template(store_folder: DataFolder) -> str:
    connection = await asyncpg.connect(store_folder.database_url)
    await postgres.migrate(connection)
    await connection.close()
    return store_folder.database_url


@pytest.fixture
async def database_url(_template: str, store_folder: DataFolder) -> AsyncIterator[str]:
    """URL of a fresh, migrated database."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    admin_url = _template.replace("/clickbind?", "/postgres?")
    admin = await asyncpg.connect(admin_url)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE clickbind STRATEGY file_copy")
    yield _template.replace("/clickbind?", f"/{name}?")
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[postgres.Pool]:
    """A pool on a fresh, migrated database."""
    opened = await postgres.open_pool(database_url, max_size=8)
    yield opened
    await opened.close()


@pytest.fixture
async def redis_url(store_folder: DataFolder) -> str:
    """URL of an emptied Valkey (functions too)."""
    client = valkey.connect(store_folder.redis_url)
    await client.flushall()
    await client.function_flush()
    await client.aclose()
    return store_folder.redis_url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[valkey.Client]:
    """A client on an emptied Valkey."""
    client = valkey.connect(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def repo_root() -> Path:
    """The checkout."""
    return Path(__file__).parent.parent
