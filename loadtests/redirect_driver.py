"""The client of the redirect benchmark: keep-alive connections that ask, as fast as they are answered or at a steady rate."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import uvloop

from loadtests.redirect_servers import pin

AGENTS = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
    " Instagram 330.0.3.29.90 (iPhone15,2; iOS 17_5_1; en_US; en; scale=3.00; 1179x2556; 609775437)",
    "Mozilla/5.0 (Linux; Android 14; SM-S918B Build/UP1A.231005.007; wv) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Version/4.0 Chrome/125.0.6422.165 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/466.0.0.38.82;]",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
    " musical_ly_35.1.0 JsSdk/2.0 NetType/WIFI Channel/App Store ByteLocale/en Region/US BytedanceWebview/d8a21c6",
)
HEAD = (
    " HTTP/1.1\r\nHost: go.example.com\r\nUser-Agent: {agent}\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.9\r\n"
    "Accept-Encoding: gzip, deflate, br\r\nReferer: https://l.instagram.com/\r\nConnection: keep-alive\r\n\r\n"
)

RIGHT = (b"HTTP/1.1 302 ", b"HTTP/1.1 204 ")
END = b"\r\n\r\n"


def link_id(number: int) -> str:
    """The id of one of the links under load."""
    return f"01K5{number:022d}"


class Caller(asyncio.Protocol):
    """One keep-alive connection that asks again as soon as it was answered, or at its next due time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: Any = None
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.ask()

    def ask(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(next(self._load.requests))

    def data_received(self, data: bytes) -> None:
        # As little as is needed: the driver shares its core with Valkey.
        load = self._load
        now = time.perf_counter()
        load.latencies.append(now - self._sent_at)
        if not data.startswith(RIGHT) or not data.endswith(END):
            load.failures += 1
        if load.stopping:
            load.open -= 1
            self._transport.close()
        elif load.period:
            asyncio.get_running_loop().call_later(max(0.0, self._sent_at + load.period - now), self.ask)
        else:
            self._sent_at = now
            self._transport.write(next(load.requests))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._load.stopping:
            self._load.failures += 1


class Load:
    """What the connections of one drive share."""

    def __init__(self, requests: Iterator[bytes], period: float) -> None:
        self.requests = requests
        self.period = period
        self.failures = self.open = 0
        self.latencies: list[float] = []
        self.stopping = False


def request_stream(links: int, first: int, agents: int = 3, query: int = 0) -> Iterator[bytes]:
    """Endless requests, each with an `ecid` of its own."""
    heads = [HEAD.format(agent=f"{AGENTS[n % 3]}{f' Build/{n}' if n > 2 else ''}").encode() for n in range(agents)]
    paths = [f"GET /go/{link_id(number)}?ecid=e".encode() for number in range(links)]
    more = b"&q=" + b"a" * query if query else b""
    tail = more + b"&utm_source=ig&utm_campaign=summer&fbclid=PAZXh0bgNhZW0BMABhZGlkAaYxY2J"
    for number in itertools.count(first):
        yield b"%b%d%b%d%b" % (paths[number % links], number, tail, number, heads[number % agents])


async def drive(port: int, connections: int, seconds: float, rate: float, requests: Iterator[bytes]) -> dict[str, Any]:
    """Load one server for `seconds`. `rate`: requests per second in all, 0 for as many as it takes."""
    load = Load(requests, connections / rate if rate else 0.0)
    loop = asyncio.get_running_loop()
    for number in range(connections):
        await loop.create_connection(lambda: Caller(load), "127.0.0.1", port)
        load.open += 1
        if load.period:
            await asyncio.sleep(load.period / connections if number else 0)
    await asyncio.sleep(0.3)
    before, started = len(load.latencies), time.perf_counter()
    await asyncio.sleep(seconds)
    after, elapsed = len(load.latencies), time.perf_counter() - started
    measured, latencies = after - before, sorted(load.latencies[before:after])
    load.stopping = True
    deadline = loop.time() + 5
    while load.open and loop.time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return {
        "rate": measured / elapsed,
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1000,
        "answered": len(load.latencies),
        "failures": load.failures + load.open,
    }


def main() -> None:
    """`python -m loadtests.redirect_driver port connections seconds rate links first agents query`: one drive, as JSON."""
    pin(1)
    port, connections, seconds, rate, *shape = sys.argv[1:]
    if float(rate):
        # Fans' phones do not take the server's processor: at a steady rate, whatever is being measured goes first. By a niceness
        # it would stay for its slice of milliseconds when Valkey wakes.
        if hasattr(os, "SCHED_IDLE"):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        else:
            os.nice(19)
    requests = request_stream(*map(int, shape))
    print(json.dumps(uvloop.run(drive(int(port), int(connections), float(seconds), float(rate), requests))))


if __name__ == "__main__":
    main()
