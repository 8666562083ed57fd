"""The client of the redirect benchmark: keep-alive connections that ask, as fast as they are answered or at a steady rate."""

from __future__ import annotations

import heapq
import itertools
import json
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

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


class Load:
    """Keep-alive connections that ask again as soon as they are answered or, at a steady rate, a period after they asked.

    Plain sockets and one loop over them: the driver shares its core with Valkey, and what it takes the edge does not get.
    `period`: seconds between two requests of one connection, 0 for none.
    """

    def __init__(self, port: int, connections: int, rate: float, requests: Iterator[bytes]) -> None:
        self.period = connections / rate if rate else 0.0
        self.latencies: list[float] = []
        self.failures = 0
        self._requests = requests
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._asked_at: dict[int, float] = {}
        self._due: list[tuple[float, int]] = []  # heap: when which connection asks again
        for number in range(connections):
            opened = socket.create_connection(("127.0.0.1", port), timeout=10)
            opened.setblocking(False)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            key = opened.fileno()
            self._sockets[key] = opened
            self._poll.register(key, select.EPOLLIN)
            heapq.heappush(self._due, (time.perf_counter() + number * self.period / connections, key))

    def run(self, until: float) -> None:
        """Ask and take answers until then (`time.perf_counter`)."""
        while time.perf_counter() < until:
            self._ask_those_due()
            self._take(asking_again=not self.period)

    def finish(self, seconds: float) -> None:
        """Take the answers that are still to come; those that do not are failures."""
        until = time.perf_counter() + seconds
        while self._asked_at and time.perf_counter() < until:
            self._take(asking_again=False)
        self.failures += len(self._asked_at)
        for opened in self._sockets.values():
            opened.close()

    def _ask_those_due(self) -> None:
        now = time.perf_counter()
        while self._due and self._due[0][0] <= now:
            key = heapq.heappop(self._due)[1]
            self._asked_at[key] = time.perf_counter()
            self._sockets[key].send(next(self._requests))

    def _answered(self) -> list[int]:
        if not self.period:
            return [key for key, _ in self._poll.poll(0.01)]
        # To the microsecond: epoll's whole milliseconds would have a millisecond's requests sent together, which nobody's phones do.
        wait = self._due[0][0] - time.perf_counter() if self._due else 0.01
        return select.select(self._sockets, (), (), min(max(wait, 0.0), 0.01))[0]

    def _take(self, asking_again: bool) -> None:
        for key in self._answered():
            data = self._sockets[key].recv(65536)
            now = time.perf_counter()
            self.latencies.append(now - self._asked_at[key])
            if not data.startswith(RIGHT) or not data.endswith(END):
                self.failures += 1
            if asking_again and data:
                self._asked_at[key] = now
                self._sockets[key].send(next(self._requests))
                continue
            asked_at = self._asked_at.pop(key)
            if data:
                heapq.heappush(self._due, (max(now, asked_at + self.period), key))
            else:
                self._poll.unregister(key)


def request_stream(links: int, first: int, agents: int = 3, query: int = 0) -> Iterator[bytes]:
    """Endless requests, each with an `ecid` of its own."""
    heads = [HEAD.format(agent=f"{AGENTS[n % 3]}{f' Build/{n}' if n > 2 else ''}").encode() for n in range(agents)]
    paths = [f"GET /go/{link_id(number)}?ecid=e".encode() for number in range(links)]
    more = b"&q=" + b"a" * query if query else b""
    tail = more + b"&utm_source=ig&utm_campaign=summer&fbclid=PAZXh0bgNhZW0BMABhZGlkAaYxY2J"
    for number in itertools.count(first):
        yield b"%b%d%b%d%b" % (paths[number % links], number, tail, number, heads[number % agents])


def drive(port: int, connections: int, seconds: float, rate: float, requests: Iterator[bytes]) -> dict[str, Any]:
    """Load one server for `seconds`. `rate`: requests per second in all, 0 for as many as it takes."""
    load = Load(port, connections, rate, requests)
    load.run(time.perf_counter() + 0.3 + load.period)
    before, started = len(load.latencies), time.perf_counter()
    load.run(started + seconds)
    after, elapsed = len(load.latencies), time.perf_counter() - started
    measured, latencies = after - before, sorted(load.latencies[before:after])
    load.finish(5)
    return {
        "rate": measured / elapsed,
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1000,
        "answered": len(load.latencies),
        "failures": load.failures,
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
    print(json.dumps(drive(int(port), int(connections), float(seconds), float(rate), requests)))


if __name__ == "__main__":
    main()
