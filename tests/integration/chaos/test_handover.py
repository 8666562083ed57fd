"""A rolling restart under load: edges come and go, and nobody who clicks notices."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from tracker.clicklog import LINKS_KEY, EdgeLink, log_key
from tracker.settings import Settings
from tracker.stores import valkey
from tracker.supervisor import Supervisor

LINK = EdgeLink(
    "01JD0000000000000000000000", "acc_1", 0, "tracking", 21_600_000, "active", "https://onlyfans.com/madison"
)


@pytest.fixture
async def edges(database_url: str, redis: valkey.Client, redis_url: str, tmp_path: Path) -> AsyncIterator[Supervisor]:
    """Two edges under a supervisor, serving."""
    await redis.hset(LINKS_KEY, LINK.smart_link_id, msgspec.msgpack.encode(LINK))  # type: ignore[misc, arg-type, unused-ignore]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = Settings(
        data_dir=str(tmp_path),
        database_url=database_url,
        redis_url=redis_url,
        edge_port=port,
        edge_workers=2,
        log_level="error",
    )
    supervisor = Supervisor(settings, ("edge",))
    try:
        await supervisor.start()
        await _until_served(f"http://127.0.0.1:{port}/health/ready")
        yield supervisor
    finally:
        await supervisor.stop()


async def _until_served(url: str) -> None:
    async with asyncio.timeout(20), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


class Clickers:
    """People who click without pause, each time over a new connection, until told to stop."""

    def __init__(self, port: int, count: int) -> None:
        self._url = f"http://127.0.0.1:{port}/go/{LINK.smart_link_id}"
        self._count = count
        self.answers: Counter[object] = Counter()
        self.stop = asyncio.Event()

    async def run(self) -> None:
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(self._click(session, number) for number in range(self._count)))

    async def _click(self, session: aiohttp.ClientSession, number: int) -> None:
        turn = 0
        while not self.stop.is_set():
            turn += 1
            try:
                url = f"{self._url}?ecid=c{number}-{turn}"
                async with session.get(url, allow_redirects=False, headers={"User-Agent": f"Phone {number}"}) as answer:
                    self.answers[answer.status] += 1
            except (aiohttp.ClientError, OSError) as error:
                self.answers[repr(error)] += 1


async def test_a_rolling_restart_fails_no_request(edges: Supervisor, redis: valkey.Client) -> None:
    before = [role.process.pid for role in edges.roles if role.process]
    clickers = Clickers(edges.settings.edge_port, 12)
    clicking = asyncio.create_task(clickers.run())
    assert await edges.replace()
    clickers.stop.set()
    await clicking
    after = [role.process.pid for role in edges.roles if role.process]
    assert len(before) == len(after) == 2
    assert not set(before) & set(after)
    assert set(clickers.answers) == {302}
    assert clickers.answers[302] > 50, "hardly anybody clicked while the edges were replaced"
    assert await redis.xlen(log_key(0)) == clickers.answers[302], "every answered click is in the log, once"
    assert sum(role.restarts for role in edges.roles) == 0, "a replacement is no crash"


async def test_a_successor_that_does_not_come_up_leaves_the_old_one_serving(edges: Supervisor) -> None:
    role = edges.roles[0]
    assert role.process is not None
    old = role.process.pid
    role.command = [*role.command[:-1], "doctor"]  # ends without ever serving
    assert not await role.replace()
    assert role.process.pid == old
    assert role.process.returncode is None
    await _until_served(f"http://127.0.0.1:{edges.settings.edge_port}/health/live")


async def test_connections_wait_while_no_edge_runs(edges: Supervisor) -> None:
    """kill -9 of every edge: who connects now is answered by the next edge, not refused."""
    for role in edges.roles:
        assert role.process is not None
        role.process.kill()
    for role in edges.roles:
        assert role.process is not None
        await role.process.wait()
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{edges.settings.edge_port}/go/{LINK.smart_link_id}?ecid=patient"
        async with session.get(url, allow_redirects=False) as answer:
            assert answer.status == 302
