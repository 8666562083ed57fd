"""`clickbind up`, `doctor`, `migrate` and configuration, as the person on call meets them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """A configuration of its own on free ports."""
    with tempfile.TemporaryDirectory(prefix="clickbind-up-") as folder:
        Path(folder).chmod(0o711)
        yield {
            **os.environ,
            "CLICKBIND_DATA_DIR": f"{folder}/data",
            "CLICKBIND_EDGE_PORT": str(_free_port()),
            "CLICKBIND_API_PORT": str(_free_port()),
            "CLICKBIND_LOG_LEVEL": "error",
        }


async def _clickbind(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tracker.cli.main", *arguments,
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode()


@asynccontextmanager
async def _up(environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tracker.cli.main", "up", env=environment,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await _ready(environment)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        assert await asyncio.wait_for(process.wait(), 60) in (0, -signal.SIGKILL)


async def _ready(environment: dict[str, str]) -> None:
    urls = [
        f"http://127.0.0.1:{environment[port]}/health/ready" for port in ("CLICKBIND_EDGE_PORT", "CLICKBIND_API_PORT")
    ]
    async with aiohttp.ClientSession() as session:
        for url in urls:
            for _ in range(600):
                try:
                    async with session.get(url) as answer:
                        if answer.status == 200:
                            break
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.1)
            else:
                raise AssertionError(f"{url} did not get ready")


async def test_up_refuses_a_folder_in_use_and_recovers_from_a_crash(environment: dict[str, str]) -> None:
    async with _up(environment) as first:
        code, said = await _clickbind(environment, "up")
        assert code == 1
        assert "in use by another Clickbind" in said
        code, said = await _clickbind(environment, "doctor")
        assert code == 0, said
        assert "The schema is up to date." in said
        code, said = await _clickbind(environment, "bootstrap", "--team", "Crash")
        assert code == 0
        first.kill()
        await first.wait()
    async with _up(environment):  # the same folder, nobody cleaned up
        code, said = await _clickbind(environment, "migrate")
        assert (code, said.strip()) == (0, "The schema is up to date.")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CLICKBIND_EDGE_PORT", "99999", "edge_port"),
        ("CLICKBIND_EDGE_PORT", "many", "edge_port"),
        ("CLICKBIND_TRUSTED_PROXIES", "10.0.0.300/8", "CLICKBIND_TRUSTED_PROXIES"),
        ("DATABASE_URL", "mysql://x", "DATABASE_URL"),
        ("REDIS_URL", "localhost:6379", "REDIS_URL"),
        ("CLICKBIND_ONLYFANSAPI_URL", "app.example.com", "CLICKBIND_ONLYFANSAPI_URL"),
        ("CLICKBIND_LOG_LEVEL", "loud", "log_level"),
        ("CLICKBIND_SECRET_KEY", "short", "CLICKBIND_SECRET_KEY"),
        ("CLICKBIND_CONFIG", "/nonexistent.toml", "CLICKBIND_CONFIG"),
        ("CLICKBIND_CLAIM_TIMEOUT_MS", "0", "claim_timeout_ms"),
    ],
)
async def test_a_wrong_option_is_refused_at_start_by_name(
    environment: dict[str, str], name: str, value: str, words: str
) -> None:
    code, said = await _clickbind(environment | {name: value}, "up")
    assert code == 2
    assert words in said


async def test_doctor_lists_options_without_secrets(environment: dict[str, str]) -> None:
    secret = "a-very-secret-installation-key-0123456789"
    changed = {"CLICKBIND_SECRET_KEY": secret, "DATABASE_URL": "postgresql://me:hunter2@127.0.0.1:1/x"}
    code, said = await _clickbind(environment | changed, "doctor", "--options")
    assert code == 0
    assert "CLICKBIND_TRUSTED_PROXIES" in said
    assert secret not in said
    assert "hunter2" not in said


async def test_doctor_says_what_is_wrong_and_how_to_mend_it(environment: dict[str, str]) -> None:
    code, said = await _clickbind(environment | {"DATABASE_URL": "postgresql://me:hunter2@127.0.0.1:1/x"}, "doctor")
    assert code == 1
    assert "PostgreSQL does not answer" in said
    assert "DATABASE_URL" in said
    assert "hunter2" not in said
