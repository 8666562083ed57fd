"""The servers of the redirect benchmark: the edge and its yardsticks, each a process on the same core."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

LATENCY_NAME = "latency.json"


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


def timed_protocol(folder: Path) -> Any:
    """The edge's protocol with a clock: from the last byte of a request read to the first of its answer written.

    On SIGUSR1 what was measured since the last one is written to `latency.json`, in seconds.
    """
    from tracker.edge.protocol import EdgeProtocol

    times: list[float] = []

    class Timed(EdgeProtocol):
        read_at = 0.0

        def data_received(self, data: bytes) -> None:
            self.read_at = time.perf_counter()
            super().data_received(data)

        def answer(self, head: bytes, keep_alive: bool) -> None:
            times.append(time.perf_counter() - self.read_at)
            super().answer(head, keep_alive)

    def tell(*_: Any) -> None:
        staged = folder / "latency.new"
        staged.write_text(json.dumps(times))
        times.clear()
        staged.rename(folder / LATENCY_NAME)

    signal.signal(signal.SIGUSR1, tell)
    return Timed


def serve(kind: str, port: int, data: str) -> None:
    """Run one server until SIGTERM."""
    from tracker.edge import server
    from tracker.settings import Settings

    pin(0)
    if kind == "granian":
        from granian import Granian
        from granian.constants import Interfaces, Loops

        Granian(
            "loadtests.redirect_servers:bare_app", address="127.0.0.1", port=port, interface=Interfaces.ASGI, factory=True,
            loop=Loops.uvloop, websockets=False, log_enabled=False,
        ).serve()  # fmt: skip
        return
    if kind in ("edge", "timed"):
        if kind == "timed":
            setattr(server, "EdgeProtocol", timed_protocol(Path(data)))  # noqa: B010 - not the product's to offer
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


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3])
