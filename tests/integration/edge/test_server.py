"""The edge as a process of its own: signals, kill -9, shared ports."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.integration.edge.conftest import SECRET, decode_entry
from tests.integration.edge.process import GO, RUN, Process, free_port, get, running
from tests.integration.edge.test_degraded import until
from tracker.clicklog import log_key


async def test_every_click_answered_before_kill_9_is_in_the_log(store: Any, redis_url: str, tmp_path: Path) -> None:
    answered: list[int] = []
    for start in (0, 1_000_000, 2_000_000):
        async with running(redis_url, tmp_path) as edge:
            fans = [asyncio.create_task(click_until_cut(edge, start + n * 10_000, answered)) for n in range(5)]
            before = len(answered)
            async with asyncio.timeout(30):
                while len(answered) < before + 100:
                    await asyncio.sleep(0.005)
            edge.process.kill()
            await asyncio.gather(*fans)
    logged = {decode_entry(fields).visit.ecid for _, fields in await store.xrange(log_key(0))}
    assert len(answered) >= 300
    assert logged >= {str(number) for number in answered}


async def click_until_cut(edge: Process, number: int, answered: list[int]) -> None:
    """Click over one keep-alive connection until it breaks; note what was answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    try:
        while True:
            writer.write(get(GO + b"?ecid=%d" % number))
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 302 ")
            answered.append(number)
            number += 1
            if b"\r\nconnection: close" in answer:
                return
    except (asyncio.IncompleteReadError, ConnectionError):
        return
    finally:
        writer.close()


async def test_sigterm_drains_answers_what_it_accepted_and_exits_cleanly(
    store: Any, redis_url: str, tmp_path: Path
) -> None:
    async with running(redis_url, tmp_path) as edge:
        asked = answered = refused = 0
        unready = False

        async def fan(number: int) -> None:
            nonlocal asked, answered, refused
            while True:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
                except ConnectionRefusedError:
                    refused += 1
                    return
                closing = False
                try:
                    while not closing:
                        asked += 1
                        writer.write(get(GO + b"?ecid=%d-%d" % (number, asked)))
                        answer = await reader.readuntil(b"\r\n\r\n")
                        assert answer.startswith(b"HTTP/1.1 302 ")
                        answered += 1
                        closing = b"\r\nconnection: close" in answer
                        await asyncio.sleep(0.01)
                except (asyncio.IncompleteReadError, ConnectionError):
                    asked -= 1  # not accepted: the listener closed before it was read
                finally:
                    writer.close()

        fans = [asyncio.create_task(fan(number)) for number in range(10)]
        await asyncio.sleep(0.3)
        edge.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            while not unready:
                unready = b" 503 " in await edge.ask(b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.gather(*fans)
        assert await asyncio.wait_for(edge.process.wait(), 15) == 0
        assert refused == 10
        assert asked == answered
        assert await store.xlen(log_key(0)) >= answered


async def test_an_edge_that_cannot_start_says_why_and_exits(redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN, stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"REDIS_URL": redis_url, "CLICKBIND_DATA_DIR": str(tmp_path), "CLICKBIND_SECRET_KEY": SECRET,
                          "CLICKBIND_SPILL_DIR": str(tmp_path / "file" / "spill")},
    )  # fmt: skip
    _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode
    assert b"Set CLICKBIND_SPILL_DIR" in errors


async def test_edges_share_a_port(store: Any, redis_url: str, tmp_path: Path) -> None:
    async with running(redis_url, tmp_path) as one, running(redis_url, tmp_path, one.port) as two:
        assert two.process.returncode is None
        for number in range(20):
            assert b" 302 " in await one.ask(get(GO + b"?ecid=%d" % number))
    assert await store.xlen(log_key(0)) == 20


async def test_edges_that_share_a_port_have_each_its_own_for_metrics(redis_url: str, tmp_path: Path) -> None:
    first = free_port()
    several = {"CLICKBIND_EDGE_WORKERS": "2", "CLICKBIND_EDGE_METRICS_PORT": str(first)}

    async def figures(port: int) -> bytes:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return b""
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        text = await reader.read(-1)
        writer.close()
        return text

    async def both_tell() -> bool:
        found = [await figures(port) for port in range(first, first + 4)]
        processes = {
            line for text in found for line in text.splitlines() if line.startswith(b"process_start_time_seconds ")
        }
        return sum(b"clickbind_edge_breaker_open 0.0" in text for text in found) == len(processes) == 2

    async with running(redis_url, tmp_path, 0, several) as one, running(redis_url, tmp_path, one.port, several):
        await until(both_tell)
