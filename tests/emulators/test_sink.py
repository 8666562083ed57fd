"""The benchmarks' receiver counts what comes, and takes nothing that it was not meant to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from loadtests.emulators import sink


@pytest.fixture(params=[0.0, 0.02])
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    server = await sink.listen(0, request.param)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_postbacks_and_events_are_counted(url: str) -> None:
    async with aiohttp.ClientSession(url) as session:
        for _ in range(3):
            async with session.get("/p/a?id=1") as answer:
                assert (answer.status, await answer.text()) == (200, "ok")
        batch = {"access_token": "t", "data": [{"event_name": "Subscribe", "n": "x" * 70_000}] * 4}
        async with session.post("/v25.0/123/events", json=batch) as answer:
            assert await answer.json() == {"events_received": 4}
        body = '{"data":[{"event_name":"Subscribe"},{"event_name":"Purchase"}]}'
        async with session.post("/v25.0/123/events", data=body) as answer:
            assert await answer.json() == {"events_received": 2}
        async with session.get("/__admin/counts") as answer:
            assert await answer.json() == {"a": 3, "123": 6}


@pytest.mark.parametrize(("method", "path"), [("POST", "/p/a"), ("GET", "/v25.0/123/events"), ("GET", "/elsewhere")])
async def test_what_is_not_meant_for_it_is_refused(url: str, method: str, path: str) -> None:
    async with aiohttp.ClientSession(url) as session:
        async with session.request(method, path) as answer:
            assert answer.status == 404
        async with session.get("/__admin/counts") as answer:
            assert await answer.json() == {}


async def test_what_is_no_http_is_refused_and_the_connection_closed(url: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(b"nonsense\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()


async def test_requests_that_come_together_are_answered_in_their_order(url: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(b"GET /p/a HTTP/1.1\r\nHost: x\r\n\r\nGET /other HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
    assert (await reader.readuntil(b"path")).startswith(b"HTTP/1.1 404 ")
    writer.close()
