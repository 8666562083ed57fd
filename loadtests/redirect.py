"""How much of a bare server's speed the real redirect keeps: `python -m loadtests.redirect`.

Servers, one process each, same HTTP protocol and settings, same core, driven by the same keep-alive client on another core: a
bare ASGI constant 302, an empty Litestar handler, and the edge on a Valkey that fsyncs each write before it answers; on request
(`--servers`) also `direct`, the constant 302 given the edge's short way past ASGI, and `granian`. Rounds alternate; the table
gives medians and the edge's ratio to the others, by requests a second and by processor time: of the edge's process (cpu us) and
of it together with Valkey's (+ store us). Each request of the edge is a click of its own (unique `ecid`); after each round the
click log must hold exactly the clicks that were answered. Loopback only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import redis
import uvloop

from tracker.clicklog import LINKS_KEY, EdgeLink, log_key, pool_key, pool_member
from tracker.stores.embedded import DataFolder, EmbeddedValkey

FIGURES = ("rate", "p50_ms", "p99_ms", "cpu_us", "store_us", "in_5_ms")
SERVERS = ("bare", "litestar", "edge")
ACCOUNT, SHARD, OFFER = "acct_load", 0, "tracking"
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


def link_id(number: int) -> str:
    """The id of one of the links under load."""
    return f"01K5{number:022d}"


# The servers -------------------------------------------------------------------------------------------


def bare_app() -> Any:
    """A constant 302 with the headers the edge sends."""
    start = {
        "type": "http.response.start",
        "status": 302,
        "headers": [
            (b"location", b"https://onlyfans.com/creator/c12345"),
            (b"cache-control", b"no-store"),
            (b"x-robots-tag", b"noindex"),
            (b"referrer-policy", b"no-referrer"),
            (b"content-length", b"0"),
            (b"set-cookie", b"cbv=01k5aaaaaaaaaaaaaaaaaaaaaa; Max-Age=15552000; Path=/; HttpOnly; SameSite=Lax"),
        ],
    }
    body = {"type": "http.response.body", "body": b""}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start)
        await send(body)

    return app


class DirectApp:
    """The same constant on the edge's short way."""

    HEAD = (
        b"HTTP/1.1 302 Found\r\nlocation: https://onlyfans.com/creator/c12345\r\ncache-control: no-store\r\n"
        b"x-robots-tag: noindex\r\nreferrer-policy: no-referrer\r\ncontent-length: 0\r\n"
        b"set-cookie: cbv=01k5aaaaaaaaaaaaaaaaaaaaaa; Max-Age=15552000; Path=/; HttpOnly; SameSite=Lax\r\n"
    )

    def direct(self, exchange: Any, target: bytes, headers: Any, peer: Any) -> bool:
        """Answer at once."""
        exchange.answer(self.HEAD)
        return True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Nothing comes here."""


def litestar_app() -> Any:
    """An empty Litestar handler on the same route."""
    from litestar import Litestar, get

    @get("/go/{smart_link_id:str}", status_code=204)
    async def nothing(smart_link_id: str) -> None:
        return None

    return Litestar([nothing], openapi_config=None)


def serve(kind: str, port: int, data: str) -> None:
    """Run one server until SIGTERM."""
    from tracker.edge import server
    from tracker.settings import Settings

    pin(0)
    if kind == "granian":
        from granian import Granian
        from granian.constants import Interfaces, Loops

        Granian(
            "loadtests.redirect:bare_app", address="127.0.0.1", port=port, interface=Interfaces.ASGI, factory=True,
            loop=Loops.uvloop, websockets=False, log_enabled=False,
        ).serve()  # fmt: skip
        return
    if kind == "edge":
        server.run(Settings(data_dir=data, edge_port=port, claim_timeout_ms=1000))
        return
    import uvicorn

    async def run() -> None:
        app = {"bare": bare_app, "direct": DirectApp, "litestar": litestar_app}[kind]()
        await uvicorn.Server(server.server_config(app)).serve(sockets=[server.listen("127.0.0.1", port)])

    uvloop.run(run())


def pin(core: int) -> None:
    """Stay on one core, counted among those we may use; on a single-core machine, do nothing."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[core % len(cores)]})


# The client --------------------------------------------------------------------------------------------


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
        load = self._load
        if data[9:12] not in (b"302", b"204") or not data.endswith(b"\r\n\r\n"):
            load.failures += 1
        load.answered += 1
        now = time.perf_counter()
        load.latencies.append(now - self._sent_at)
        if load.stopping:
            load.open -= 1
            self._transport.close()
        elif load.period:
            asyncio.get_running_loop().call_later(max(0.0, self._sent_at + load.period - now), self.ask)
        else:
            self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._load.stopping:
            self._load.failures += 1


class Load:
    """What the connections of one drive share."""

    def __init__(self, requests: Iterator[bytes], period: float) -> None:
        self.requests = requests
        self.period = period
        self.answered = self.failures = self.open = 0
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
    load.latencies.clear()
    before, started = load.answered, time.perf_counter()
    await asyncio.sleep(seconds)
    measured, elapsed = load.answered - before, time.perf_counter() - started
    latencies = sorted(load.latencies)
    load.stopping = True
    deadline = loop.time() + 5
    while load.open and loop.time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return {
        "rate": measured / elapsed,
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1000,
        "answered": load.answered,
        "failures": load.failures + load.open,
    }


# The comparison ----------------------------------------------------------------------------------------


class Bench:
    """Stores, servers and rounds."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.data = DataFolder(folder)
        self.valkey = EmbeddedValkey(self.data)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports: dict[str, int] = {}
        self.first = 0

    def start(self) -> None:
        self.data.hold()
        self.valkey.start()
        assert self.valkey.process is not None
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            os.sched_setaffinity(self.valkey.process.pid, {cores[1]})
        self.client = redis.Redis(unix_socket_path=str(self.valkey.socket))
        self.fill()
        for kind in self.options.servers:
            self.ports[kind] = free_port()
            self.processes[kind] = subprocess.Popen(
                [sys.executable, "-m", "loadtests.redirect", "serve", kind, str(self.ports[kind]), str(self.folder)]
            )
        for kind in self.options.servers:
            wait_for_port(self.ports[kind], self.processes[kind])

    def stop(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
        self.valkey.stop()
        self.data.release()

    def fill(self) -> None:
        """An empty log, a pool of never-leased links, the smart links."""
        profile, reserve = "https://onlyfans.com/creator", pool_member(1, "https://onlyfans.com/creator/c1")
        for start in range(0, self.options.members, 5000):
            members = range(start + 10, min(start + 5010, self.options.members + 10))
            self.client.zadd(
                pool_key(SHARD, ACCOUNT, OFFER),
                {pool_member(number, f"https://onlyfans.com/creator/c{number}"): 0 for number in members},
            )
        links: dict[Any, Any] = {}
        for number in range(self.options.links):
            link = EdgeLink(link_id(number), ACCOUNT, SHARD, OFFER, 21_600_000, "active", profile, reserve)
            links[link.smart_link_id] = msgspec.msgpack.encode(link)
        self.client.hset(LINKS_KEY, mapping=links)

    def round(self, kind: str, seconds: float, rate: float = 0.0) -> dict[str, Any]:
        """Drive one server; for the edge, hold the answers against the log."""
        options = self.options
        command = ["drive", self.ports[kind], options.connections, seconds, rate]
        command += [options.links, self.first, options.agents, options.query]
        before, stored = cpu_seconds(self.processes[kind].pid), self.store_seconds()
        within, claims = self.claims(kind)
        done = subprocess.run(
            [sys.executable, "-m", "loadtests.redirect", *map(str, command)],
            stdout=subprocess.PIPE,
            check=True,
            timeout=300,
        )
        result: dict[str, Any] = json.loads(done.stdout)
        result["cpu_us"] = (cpu_seconds(self.processes[kind].pid) - before) / result["answered"] * 1e6
        result["store_us"] = (self.store_seconds() - stored) / result["answered"] * 1e6 if kind == "edge" else 0.0
        now_within, now_claims = self.claims(kind)
        result["in_5_ms"] = (now_within - within) / (now_claims - claims) * 100 if now_claims > claims else 0.0
        self.first += result["answered"] + options.connections
        if result["failures"]:
            raise SystemExit(f"{kind}: {result['failures']} of {result['answered']} requests were not answered rightly")
        if kind == "edge":
            self.check(result["answered"])
        return result

    def store_seconds(self) -> float:
        """Processor time Valkey has used."""
        assert self.valkey.process is not None
        return cpu_seconds(self.valkey.process.pid)

    def claims(self, kind: str) -> tuple[float, float]:
        """(claims the edge saw answered within 5 ms, claims answered), from its metrics."""
        if kind != "edge":
            return 0.0, 0.0
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[kind]}/metrics", timeout=10) as answer:
            lines = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#")
        name = "clickbind_edge_claim_seconds"
        return float(lines[f'{name}_bucket{{le="0.005"}}']), float(lines[f"{name}_count"])

    def check(self, answered: int) -> None:
        """Every answered click is in the log, each a click with a lease of its own or shared."""
        key = log_key(SHARD)
        logged = self.client.xlen(key)
        if logged != answered:
            raise SystemExit(f"edge: {answered} clicks answered, {logged} logged")
        latest: Any = self.client.xrevrange(key, count=1000)
        spilled = [entry for _, entry in latest if b"s" in entry or entry[b"o"][:1] != b"c"]
        if spilled:
            raise SystemExit("edge: it was degraded during the measurement")
        self.client.flushdb()
        self.fill()


def cpu_seconds(pid: int) -> float:
    """Processor time a process and its children have used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(int(child)) for child in children)


def free_port() -> int:
    """A loopback port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the server listens; leave when it died."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(0.1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    raise SystemExit("a server did not start")


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """All rounds; the summary."""
    results: dict[str, list[dict[str, Any]]] = {kind: [] for kind in options.servers}
    with tempfile.TemporaryDirectory(prefix="clickbind-load-") as folder:
        bench = Bench(options, Path(folder))
        try:
            bench.start()
            for _ in range(options.rounds):
                for kind in options.servers:
                    results[kind].append(bench.round(kind, options.seconds))
            if "edge" in results:
                rate = statistics.median(result["rate"] for result in results["edge"]) / 2
                results["edge at half"] = [bench.round("edge", options.seconds, rate)]
        finally:
            bench.stop()
    medians = {
        kind: {name: statistics.median(result[name] for result in rounds) for name in FIGURES}
        for kind, rounds in results.items()
    }
    summary: dict[str, Any] = {"servers": medians, "rounds": {}}
    for kind, rounds in results.items():
        summary["rounds"][kind] = [round(result["rate"]) for result in rounds]
    if "edge" in medians:
        for other in ("bare", "litestar"):
            if other in medians:
                summary[f"edge_to_{other}"] = medians["edge"]["rate"] / medians[other]["rate"]
                both = medians["edge"]["cpu_us"] + medians["edge"]["store_us"]
                summary[f"{other}_to_edge_cpu"] = medians[other]["cpu_us"] / medians["edge"]["cpu_us"]
                summary[f"{other}_to_edge_and_store_cpu"] = medians[other]["cpu_us"] / both
        summary["clicks_checked"] = sum(
            result["answered"] for kind in ("edge", "edge at half") for result in results[kind]
        )
    return summary


def show(summary: dict[str, Any]) -> None:
    """The summary as a table."""
    print(
        f"{'server':20} {'req/s':>8} {'p50 ms':>8} {'p99 ms':>8} {'cpu us':>7} {'+ store':>8} {'% in 5 ms':>10}   rounds"
    )
    for kind, line in summary["servers"].items():
        rounds = " ".join(map(str, summary["rounds"].get(kind, [])))
        figures = f"{line['rate']:8.0f} {line['p50_ms']:8.2f} {line['p99_ms']:8.2f} {line['cpu_us']:7.1f}"
        print(f"{kind:20} {figures} {line['store_us']:8.1f} {line['in_5_ms']:10.2f}   {rounds}")
    for other, aim in (("bare", "0.50"), ("litestar", "1.30")):
        if f"edge_to_{other}" in summary:
            rate, cpu = summary[f"edge_to_{other}"], summary[f"{other}_to_edge_cpu"]
            both = summary[f"{other}_to_edge_and_store_cpu"]
            print(
                f"edge / {other} (aim {aim}): {rate:.2f} by requests a second, by processor time {cpu:.2f} (edge alone)"
                f" and {both:.2f} (edge and Valkey)"
            )
    if "clicks_checked" in summary:
        print(f"clicks answered and found in the log: {summary['clicks_checked']}")


def main() -> None:
    """Command line."""
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], int(sys.argv[3]), sys.argv[4])
        return
    if sys.argv[1:2] == ["drive"]:
        pin(1)
        port, connections, seconds, rate, *shape = sys.argv[2:]
        requests = request_stream(*map(int, shape))
        result = uvloop.run(drive(int(port), int(connections), float(seconds), float(rate), requests))
        print(json.dumps(result))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--members", type=int, default=20_000, help="pooled links")
    parser.add_argument("--links", type=int, default=100, help="smart links")
    parser.add_argument("--agents", type=int, default=3, help="distinct user agents")
    parser.add_argument("--query", type=int, default=0, help="bytes added to each query string")
    parser.add_argument(
        "--servers",
        type=lambda text: text.split(","),
        default=list(SERVERS),
        help="of bare, direct, litestar, edge, granian",
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    summary = compare(options)
    if options.json:
        print(json.dumps(summary, indent=2))
    else:
        show(summary)


if __name__ == "__main__":
    main()
