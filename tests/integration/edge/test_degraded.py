"""Valkey killed, hung, full or absent: fans are redirected, and every answered click is in the log afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.integration.edge.conftest import LINK, PROFILE, RESERVE, SECRET, Clock, World, decode_entry
from tracker.clicklog import Visit, log_key
from tracker.edge.claim import Entry
from tracker.edge.replay import Replayer
from tracker.edge.server import Service
from tracker.edge.spill import Spill, frame
from tracker.settings import Settings
from tracker.stores import valkey
from tracker.stores.embedded import DataFolder, EmbeddedValkey

BUDGET_MS = 100
RESERVE_URL = RESERVE.partition("|")[2]
PATIENCE_SECONDS = 30


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedValkey]:
    """A Valkey of the test's own, to be hurt."""
    folder = DataFolder(tmp_path / "stores")
    folder.hold()
    embedded = EmbeddedValkey(folder)
    await asyncio.to_thread(embedded.start)
    yield embedded
    if embedded.process is not None and embedded.process.poll() is None:
        embedded.process.send_signal(signal.SIGCONT)
    embedded.stop()
    folder.release()


@asynccontextmanager
async def edge(server: EmbeddedValkey, tmp_path: Path, **changes: Any) -> AsyncIterator[World]:
    """An edge on `server` with one link and a pool."""
    settings = Settings(
        data_dir=str(tmp_path / "edge"), redis_url=f"unix://{server.socket}", secret_key=SECRET,
        claim_timeout_ms=BUDGET_MS, public_url="https://go.example.com",
    )  # fmt: skip
    settings = msgspec.structs.replace(settings, **changes)
    client = valkey.connect(settings.redis_url)
    service = Service(settings, clock := Clock())
    await service.start()
    try:
        yield World(service, client, clock, settings)
    finally:
        await service.stop()
        await client.aclose()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():
            await asyncio.sleep(0.02)


async def is_ready(world: World) -> bool:
    answer = await world.request("/health/ready")
    return (answer.status, answer.body) == (200, b"ok\n")


async def is_replayed(world: World) -> bool:
    return world.service.pipeline.up and not list(world.settings.spill_path.glob("*.spill"))


async def entries(world: World) -> list[Any]:
    return [decode_entry(fields) for _, fields in await world.redis.xrange(log_key(0))]


async def test_valkey_killed_under_load_loses_no_answered_click(server: EmbeddedValkey, tmp_path: Path) -> None:
    async with edge(server, tmp_path) as world:
        await world.put_link()
        await world.fill_pool(50)
        answered: list[str] = []
        stop = asyncio.Event()

        async def fans(number: int) -> None:
            count = 0
            while not stop.is_set():
                count += 1
                answer = await world.request(query=b"ecid=%d-%d" % (number, count))
                assert answer.status == 302
                answered.append(f"{number}-{count}")
                await asyncio.sleep(0)

        load = [asyncio.create_task(fans(number)) for number in range(8)]
        await asyncio.sleep(0.3)
        assert server.process is not None
        server.process.kill()
        await asyncio.to_thread(server.process.wait)
        await asyncio.sleep(0.3)
        ready = await world.request("/health/ready")
        await asyncio.to_thread(server.start)
        await until(lambda: is_ready(world))
        await asyncio.sleep(0.2)
        stop.set()
        await asyncio.gather(*load)
        await until(lambda: is_replayed(world))

        # Fans are served, so a load balancer shall go on sending them; what is wrong is said.
        assert ready.status == 200
        assert ready.body.startswith(b"ok, degraded: breaker open, clicks go to the spill: ")
        logged = await entries(world)
        spilled = [entry for entry in logged if entry.spilled]
        assert spilled
        assert not all(entry.spilled for entry in logged)
        assert {entry.visit.ecid for entry in logged} >= set(answered)
        # Exactly once: a claim that landed unanswered may stand beside its spilled twin, under the same id.
        replays = Counter(entry.click for entry in spilled)
        assert set(replays.values()) == {1}
        assert all(entry.click == entry.visit.visit_id and entry.kind == "click" for entry in spilled)
        assert {(entry.lease, entry.member) for entry in spilled} == {("reserve", RESERVE)}
        ids = {entry.visit.ecid: entry.visit.visit_id for entry in logged if not entry.spilled}
        assert all(ids.get(entry.visit.ecid, entry.click) == entry.click for entry in spilled)


async def test_a_hung_valkey_holds_nobody_up(server: EmbeddedValkey, tmp_path: Path) -> None:
    async with edge(server, tmp_path) as world:
        await world.put_link()
        await world.fill_pool(5)
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGSTOP)
        answers = await asyncio.gather(*[world.request(query=b"ecid=h%d" % number) for number in range(20)])
        assert {answer.location for answer in answers} == {RESERVE_URL}
        assert not world.service.pipeline.up
        assert b"breaker open" in (await world.request("/health/ready")).body
        for number in range(50):  # straight to the spill
            assert (await world.request(query=b"ecid=s%d" % number)).location == RESERVE_URL
        assert world.service.pipeline.opened == 1
        os.kill(server.process.pid, signal.SIGCONT)
        await until(lambda: is_ready(world))
        await until(lambda: is_replayed(world))
        assert (await world.request(query=b"ecid=after")).location != RESERVE_URL
        spilled = Counter(entry.visit.ecid for entry in await entries(world) if entry.spilled)
        assert spilled == Counter([f"h{n}" for n in range(20)] + [f"s{n}" for n in range(50)])


async def test_a_valkey_that_hangs_while_nobody_clicks_is_noticed(server: EmbeddedValkey, tmp_path: Path) -> None:
    async with edge(server, tmp_path) as world:
        await world.put_link()
        await world.fill_pool(5)
        assert (await world.request(query=b"ecid=1")).location != RESERVE_URL
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGSTOP)

        async def is_noticed() -> bool:
            return b"Valkey did not answer within the claim budget" in (await world.request("/health/ready")).body

        await until(is_noticed)
        opened = world.service.pipeline.opened
        assert (await world.request(query=b"ecid=2")).location == RESERVE_URL  # at once: nothing was asked of Valkey
        assert world.service.pipeline.opened == opened == 1
        os.kill(server.process.pid, signal.SIGCONT)
        await until(lambda: is_ready(world))
        await until(lambda: is_replayed(world))
        assert [entry.visit.ecid for entry in await entries(world)] == ["1", "2"]


async def test_looking_whether_valkey_is_there_is_no_claim(server: EmbeddedValkey, tmp_path: Path) -> None:
    async with edge(server, tmp_path) as world:

        async def is_asked() -> bool:
            asked = (await world.redis.info("commandstats")).get("cmdstat_ping", {"calls": 0})
            return int(asked["calls"]) > 1

        await until(is_asked)
        assert b"clickbind_edge_claim_seconds_count 0.0" in (await world.request("/metrics")).body
        await world.put_link()
        await world.request()
        assert b"clickbind_edge_claim_seconds_count 1.0" in (await world.request("/metrics")).body


async def test_a_replay_cut_short_begins_again_and_changes_nothing(server: EmbeddedValkey, tmp_path: Path) -> None:
    folder = tmp_path / "edge" / "spill"
    left = Spill(folder)
    for number in range(1200):
        left._write(_frame(number))
    await left.seal()
    (path,) = folder.glob("*.spill")
    content = path.read_bytes()
    async with edge(server, tmp_path) as world:
        await until(lambda: is_replayed(world))
        first = [(entry.click, entry.visit, entry.lease, entry.member) for entry in await entries(world)]
        path.write_bytes(content)  # as if it had died before it could delete the file
        world.service.replayer.wake()

        async def is_gone() -> bool:
            return not path.exists()

        await until(is_gone)
        again = [(entry.click, entry.visit, entry.lease, entry.member) for entry in await entries(world)]
        assert again == first * 2


async def test_a_full_valkey_is_a_failed_claim(server: EmbeddedValkey, tmp_path: Path) -> None:
    async with edge(server, tmp_path) as world:
        await world.put_link()
        await world.fill_pool(5)
        await world.redis.config_set("maxmemory", "1")
        for number in range(8):
            assert (await world.request(query=b"ecid=%d" % number)).location == RESERVE_URL
        assert not world.service.pipeline.up
        assert "OOM" in world.service.pipeline.trouble or "maxmemory" in world.service.pipeline.trouble
        await world.redis.config_set("maxmemory", "0")
        await until(lambda: is_ready(world))
        await until(lambda: is_replayed(world))
        assert sorted(entry.visit.ecid for entry in await entries(world)) == [str(n) for n in range(8)]


async def test_a_replica_that_refuses_writes_is_a_failed_claim(server: EmbeddedValkey, tmp_path: Path) -> None:
    async with edge(server, tmp_path) as world:
        await world.put_link()
        await world.redis.execute_command("REPLICAOF", "127.0.0.1", "1")
        for number in range(8):
            assert (await world.request(query=b"ecid=%d" % number)).location == RESERVE_URL
        assert not world.service.pipeline.up
        await world.redis.execute_command("REPLICAOF", "NO", "ONE")
        await until(lambda: is_replayed(world))
        assert len({entry.click for entry in await entries(world)}) == 8


async def test_an_edge_started_without_valkey_serves_from_its_snapshot(server: EmbeddedValkey, tmp_path: Path) -> None:
    async with edge(server, tmp_path) as world:
        await world.put_link()
        await world.put_link("01K5NNNNNNNNNNNNNNNNNNNNNN", reserve="")
        await world.service.links.save()
    await asyncio.to_thread(server.stop)
    async with edge(server, tmp_path) as world:
        assert not world.service.pipeline.up
        answer = await world.request(query=b"ecid=1")
        assert (answer.status, answer.location) == (302, RESERVE_URL)
        assert answer.visitor
        assert (await world.request("/go/01K5NNNNNNNNNNNNNNNNNNNNNN")).location == PROFILE
        assert (await world.request("/go/01K5QQQQQQQQQQQQQQQQQQQQQQ")).status == 404
        bot = await world.request(headers={"user-agent": "facebookexternalhit/1.1"})
        assert bot.location == PROFILE
        await world.request(headers=world.headers | {"sec-purpose": "prefetch"})
        await asyncio.to_thread(server.start)
        await until(lambda: is_replayed(world))
        found = Counter((entry.kind, entry.lease, entry.spilled) for entry in await entries(world))
        assert found == {
            ("click", "reserve", True): 1, ("click", "none", True): 1, ("bot", "none", True): 1,
            ("prefetch", "none", True): 1,
        }  # fmt: skip


async def test_when_the_spill_fails_too_fans_are_still_redirected_and_it_is_said(
    server: EmbeddedValkey, tmp_path: Path
) -> None:
    (tmp_path / "spill").write_text("a file where the folder should be")
    async with edge(server, tmp_path, spill_dir=str(tmp_path / "spill-ok")) as world:
        await world.put_link()
        world.service.spill.folder = tmp_path / "spill" / "below"
        await asyncio.to_thread(server.stop)
        answer = await world.request(query=b"ecid=1")
        assert (answer.status, answer.location) == (302, RESERVE_URL)
        assert b"clickbind_edge_clicks_unrecorded_total 1.0" in (await world.request("/metrics")).body
        ready = await world.request("/health/ready")
        assert ready.status == 503
        assert b"the spill cannot be written" in ready.body
        await asyncio.to_thread(server.start)


async def test_files_of_dead_processes_are_replayed_once_by_one_of_two_edges(
    server: EmbeddedValkey, tmp_path: Path
) -> None:
    folder = tmp_path / "edge" / "spill"
    dead = Spill(folder)
    for number in range(1200):
        dead._write(_frame(number))
    await dead.seal()
    with next(folder.glob("*.spill")).open("ab") as file:
        file.write(_frame(1200)[:20])  # torn by the crash: never answered
    held = Spill(folder)
    held._write(_frame(5000))  # a living process writes this one
    async with edge(server, tmp_path) as one, edge(server, tmp_path):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(list(folder.glob("*.spill"))) > 1:
                await asyncio.sleep(0.02)
        logged = await entries(one)
        assert Counter(entry.click for entry in logged) == Counter(f"{n:026d}" for n in range(1200))
        assert all(entry.spilled for entry in logged)
    await held.stop()


async def test_a_damaged_file_is_set_aside_with_what_was_readable_replayed(
    server: EmbeddedValkey, tmp_path: Path
) -> None:
    folder = tmp_path / "edge" / "spill"
    folder.mkdir(parents=True)
    broken = bytearray(_frame(2))
    broken[-1] ^= 255
    (folder / "1-1.spill").write_bytes(_frame(1) + bytes(broken) + _frame(3))
    async with edge(server, tmp_path) as world:
        await until(lambda: is_replayed(world))
        assert [entry.click for entry in await entries(world)] == [f"{1:026d}"]
        assert [path.name for path in folder.glob("*.damaged")] == ["1-1.damaged"]


def _frame(number: int) -> bytes:
    click = f"{number:026d}"
    visit = msgspec.msgpack.encode(Visit(click, 1, LINK, "acct_1", ecid=str(number)))
    return frame(Entry(0, visit, "click", click, "v", "new", RESERVE, "reserve"))


async def test_a_shard_without_a_server_does_not_hold_up_the_others(server: EmbeddedValkey, tmp_path: Path) -> None:
    spill = Spill(tmp_path / "spilled")
    for number in range(6):
        visit = Visit(f"01k5{number:022d}", number, LINK, "acct_1")
        request = msgspec.msgpack.encode(visit)
        assert await spill.append(Entry(number % 2, request, "bot", visit.visit_id, "", "new", "", "none"))
    await spill.stop()
    client = valkey.connect(f"unix://{server.socket}")
    reached = {0}
    replayer = Replayer(spill.folder, spill, client, reached.__contains__)
    try:
        assert await replayer.replay_all() == 3
        assert [await client.xlen(log_key(shard)) for shard in (0, 1)] == [3, 0]
        assert await replayer.replay_all() == 0
        assert len(list(spill.folder.glob("*.spill"))) == 1
        reached.add(1)
        assert await replayer.replay_all() == 3
        assert [await client.xlen(log_key(shard)) for shard in (0, 1)] == [3, 3]
        assert not list(spill.folder.glob("*.spill"))
    finally:
        await valkey.close(client)
