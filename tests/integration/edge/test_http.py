"""What comes over the wire to an edge: raw bytes, heads in pieces, requests sent ahead, drips."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.integration.edge.conftest import ACCOUNT, PHONE, decode_entry
from tests.integration.edge.process import GO, get, running
from tracker.clicklog import log_key, pool_key, pool_member
from tracker.edge import protocol


async def test_a_long_head_is_refused_in_whatever_pieces_it_comes(store: Any, redis_url: str, tmp_path: Path) -> None:
    async def answer(port: int, *pieces: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):  # closed with some of it unread
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.02)
            writer.write_eof()
            return await reader.read()
        return b""

    async with running(redis_url, tmp_path) as edge:
        for kib in (130, 200, 300):
            filled = [b"X-%03d: " % n + b"y" * 1015 for n in range(kib)]
            for request in (get(GO, *filled), get(GO + b"?x=" + b"a" * (kib << 10))):
                for first in (0, 1 << 10, 60 << 10, 127 << 10):
                    found = await answer(edge.port, request[:first], request[first:])
                    assert found[9:12] in (b"431", b""), (kib, first, found[:100])
        assert (await edge.ask(get(GO))).startswith(b"HTTP/1.1 302 ")


async def test_raw_input_gets_a_redirect_or_a_clean_refusal(store: Any, redis_url: str, tmp_path: Path) -> None:
    redirected = {
        "plain": get(GO),
        "8 KiB": get(GO + b"?x=" + b"a" * 8192),
        "64,000 bytes": get(GO + b"?x=" + b"a" * 64_000),
        "ten thousand parameters": get(GO + b"?" + b"&".join([b"a=%41"] * 10_000)),
        "encoded line breaks": get(GO + b"?ecid=%0d%0aSet-Cookie:%20x=1"),
        "encoded NUL and bad UTF-8": get(GO + b"?ecid=%00%ff%fe&a=%ED%A0%80"),
        "repeated headers": get(GO, *[b"Cookie: a=1"] * 50, *[b"X-Forwarded-For: 1.2.3.4"] * 50),
        "raw line feed": b"GET " + GO + b"?x=a\nSet-Cookie: b HTTP/1.1\r\nUser-Agent: " + PHONE.encode() + b"\r\n\r\n",
        "body": get(GO, b"Content-Length: 5") + b"hello",
        "HTTP/1.0": b"GET " + GO + b" HTTP/1.0\r\nUser-Agent: " + PHONE.encode() + b"\r\n\r\n",
    }
    refused = {
        "raw NUL": get(GO + b"?x=\x00"),
        "line break in a header": get(GO, b"X: a\rb"),
        "1 MiB": get(GO + b"?x=" + b"a" * (1 << 20)),
        "endless headers": get(GO, *[b"X-%d: " % n + b"y" * 1000 for n in range(300)]),
        "nonsense": b"\x16\x03\x01\x02\x00nonsense\r\n\r\n",
        "both lengths": get(GO, b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        "connect": b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    }
    async with running(redis_url, tmp_path) as edge:
        for name, request in redirected.items():
            answer = await edge.ask(request)
            assert answer.startswith((b"HTTP/1.1 302 ", b"HTTP/1.0 302 ")), name
            assert answer.count(b"\r\nlocation: ") == answer.count(b"\r\nset-cookie: ") == 1, name
        for name, request in refused.items():
            status = (await edge.ask(request))[9:12]
            assert status in (b"400", b"405", b"414", b"431", b""), name
        assert b" 302 " in await edge.ask(get(GO))
        assert edge.process.returncode is None
    logged = [decode_entry(fields) for _, fields in await store.xrange(log_key(0))]
    assert len(logged) == len(redirected) + 1
    assert all("\x00" not in repr(entry.visit) for entry in logged)


async def test_requests_sent_ahead_are_answered_in_order(store: Any, redis_url: str, tmp_path: Path) -> None:
    await store.zadd(
        pool_key(0, ACCOUNT, "tracking"), {pool_member(n, f"https://x.example/{n}"): 0 for n in range(1, 9)}
    )
    parts = [get(GO + b"?ecid=%d" % number) for number in range(4)]
    parts.insert(1, get(GO, b"Sec-Purpose: prefetch"))
    parts.insert(3, b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    parts.insert(5, get(GO + b"?ecid=body", b"Content-Length: 3") + b"abc")
    stream = b"".join(parts)
    async with running(redis_url, tmp_path) as edge:
        for cuts in ([], [len(parts[0]) - 3], range(50, len(stream), 97)):
            before = await store.xlen(log_key(0))
            reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
            start = 0
            for cut in [*cuts, len(stream)]:
                writer.write(stream[start:cut])
                await writer.drain()
                await asyncio.sleep(0)
                start = cut
            statuses = []
            for _ in parts:
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
                statuses.append(head[9:12])
                if b"\r\ncontent-length: 3\r\n" in head:
                    assert await reader.readexactly(3) == b"ok\n"
            assert statuses == [b"302", b"403", b"302", b"200", b"302", b"302", b"302"]
            writer.close()
            assert await store.xlen(log_key(0)) in (before + 5, before + 6)  # the prefetch is logged without a waiter


async def test_one_connection_takes_every_way_in_turn(store: Any, redis_url: str, tmp_path: Path) -> None:
    plain, body = get(GO + b"?ecid=plain"), get(GO + b"?ecid=body", b"Content-Length: 3")
    turns: list[tuple[list[bytes], bytes]] = [
        ([plain], b"302"),
        ([plain[:40], plain[40:]], b"302"),
        ([b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"], b"200"),
        ([plain], b"302"),
        ([body, b"a", b"bc"], b"302"),
        ([plain], b"302"),
        ([body[:-1], body[-1:] + b"abc"], b"302"),
        ([plain], b"302"),
        ([get(GO, b"Purpose: prefetch")], b"403"),
        ([get(GO.lower())], b"302"),
        ([get(b"/go/01K5ZZZZZZZZZZZZZZZZZZZZZZ")], b"404"),
        ([get(GO + b"/")], b"404"),
        ([get(GO + b"?ecid=last", b"Connection: close")], b"302"),
    ]
    async with running(redis_url, tmp_path) as edge:
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        for number, (parts, status) in enumerate(turns):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.02)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            assert head[9:12] == status, number
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
    kinds = [
        decode_entry(fields).visit.ecid for _, fields in await store.xrange(log_key(0)) if fields[b"o"][:1] in b"cd"
    ]
    assert kinds == ["plain", "plain", "plain", "body", "plain", "body", "plain", "", "last"]


async def test_the_short_way_and_asgi_give_the_same_answer_and_entry(
    store: Any, redis_url: str, tmp_path: Path
) -> None:
    query = b"?ecid=%s&utm_source=a%%20b&x=1"
    headers = (b"Accept-Language: de", b"Referer: https://l.instagram.com/", b"Cookie: _fbp=fb.1.2.3; a=b")
    async with running(redis_url, tmp_path) as edge:
        short = await edge.ask(get(GO + query % b"E1", *headers))
        asgi = await edge.ask(get(b"http://x" + GO + query % b"E2", *headers))  # an absolute target is not plain
    one, two = [decode_entry(fields) for _, fields in await store.xrange(log_key(0))]
    lines = [sorted(line.partition(b"=")[0] for line in answer.split(b"\r\n")) for answer in (short, asgi)]
    assert lines[0] == lines[1]
    assert short.startswith(b"HTTP/1.1 302 Found\r\n")
    same = {"ecid": "", "visit_id": "", "at_ms": 0, "landing_url": ""}
    assert msgspec.structs.replace(one.visit, **same) == msgspec.structs.replace(two.visit, **same)
    assert (one.visit.ecid, one.visit.utm_source, one.visit.fbp) == ("E1", "a b", "fb.1.2.3")
    assert one.visit.landing_url.replace("E1", "E2") == two.visit.landing_url


@pytest.fixture
async def slow_server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """The HTTP protocol with a short deadline, in this process, answering 200."""
    import uvicorn

    from tracker.edge.server import listen, server_config

    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    server = uvicorn.Server(server_config(app))
    listener = listen("127.0.0.1", 0)
    task = asyncio.create_task(server._serve([listener]))
    port = int(listener.getsockname()[1])
    async with asyncio.timeout(10):
        while not server.started:
            await asyncio.sleep(0.01)
    yield port
    server.should_exit = True
    await task


@pytest.mark.parametrize(
    "first",
    [b"", b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ", b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"],
)
async def test_connections_that_drip_are_closed(slow_server: int, first: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", slow_server)
    writer.write(first)

    async def drip() -> None:
        while True:
            await asyncio.sleep(0.1)
            if first:
                writer.write(b"a")
                await writer.drain()

    dripping = asyncio.create_task(drip())
    closed = False
    async with asyncio.timeout(10):
        while not closed:
            try:
                closed = not await reader.read(1000)
            except ConnectionResetError:  # closed while a byte was on its way
                closed = True
    dripping.cancel()
    writer.close()
