"""The chaos harness itself: schedules repeat, and the proxy does to connections what it says."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loadtests.chaos.proxy import Proxy
from loadtests.chaos.schedule import FAULTS, parse, schedule


def test_the_same_seed_gives_the_same_schedule() -> None:
    faults = parse("all")
    assert schedule(5, 600, faults) == schedule(5, 600, faults)
    assert schedule(5, 600, faults) != schedule(6, 600, faults)


@pytest.mark.parametrize("seconds", [20.0, 120.0, 600.0])
def test_every_fault_comes_before_any_comes_again(seconds: float) -> None:
    strikes = schedule(1, seconds, parse("all"))
    names = [strike.fault.name for strike in strikes]
    assert set(names[: len(FAULTS)]) == set(FAULTS)
    assert [strike.at for strike in strikes] == sorted(strike.at for strike in strikes)


def test_a_long_run_strikes_everything_at_least_once_at_full_length() -> None:
    strikes = schedule(7, 600, parse("all"))
    assert min(Counter(strike.fault.name for strike in strikes).values()) >= 1
    assert all(strike.seconds >= strike.fault.seconds[0] for strike in strikes)


def test_unknown_faults_are_named() -> None:
    with pytest.raises(ValueError, match="unknown fault 'kill-moon'"):
        parse("kill-edge,kill-moon")


async def test_the_command_plans_without_starting_anything() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtests.chaos", "--plan", "--seed", "3", "--seconds", "30", "--faults", "kill-edge,away-valkey",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert "kill-edge" in out.decode()
    assert "away-valkey" in out.decode()


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    """A proxy before a server that echoes."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_unix_server(echo, str(tmp_path / "s"))
    proxy = Proxy(tmp_path / "s")
    await proxy.start()
    yield proxy
    await proxy.stop()
    server.close()


async def test_the_proxy_passes_everything(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    writer.close()


async def test_the_proxy_resets(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"x")
    await reader.readexactly(1)
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    writer.close()


async def test_a_hanging_proxy_loses_nothing(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    proxy.hang(True)
    writer.write(b"late")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await reader.readexactly(4)
    proxy.hang(False)
    assert await reader.readexactly(4) == b"late"
    writer.close()


async def test_a_store_that_is_away_resets_who_connects(tmp_path: Path) -> None:
    proxy = Proxy(tmp_path / "nobody")
    await proxy.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
    await proxy.stop()
