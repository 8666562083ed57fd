"""The small HTTP port of a role that serves nobody else: `/health/live`, `/health/ready`, `/metrics`.

A role whose port is taken still does its work: it listens on any free port and says so in its log.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

import msgspec
import structlog
import uvicorn
from prometheus_client import CollectorRegistry, generate_latest

from tracker.metrics.forwarded import is_forwarded

log = structlog.get_logger()

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BACKLOG = 16

Refresh = Callable[[], Awaitable[None]]
Check = Callable[[], Awaitable[list[str]]]
"""What is wrong, one sentence each; nothing when the role can work. Never raises for a store that is away."""


async def _no_refresh() -> None:
    return


class Monitor:
    """An ASGI application. `check`: what is wrong now. `refresh`: called before the figures are read; it must not raise."""

    def __init__(self, registry: CollectorRegistry, check: Check, refresh: Refresh = _no_refresh) -> None:
        self._registry = registry
        self._check = check
        self._refresh = refresh

    async def __call__(
        self, scope: dict[str, Any], receive: Any, send: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> None:
        """Answer one request."""
        status, kind, body = await self._answer(scope)
        headers = [
            (b"content-type", kind.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: dict[str, Any]) -> tuple[int, str, bytes]:
        if scope["method"] not in ("GET", "HEAD"):
            return 405, "text/plain", b"method not allowed\n"
        if is_forwarded(scope["headers"]):
            return 404, "text/plain", b"not found\n"
        match scope["path"]:
            case "/health/live":
                return 200, "application/json", b'{"status":"ok"}'
            case "/health/ready":
                problems = await self._check()
                body = msgspec.json.encode({"ready": not problems, "problems": problems})
                return 503 if problems else 200, "application/json", body
            case "/metrics":
                await self._refresh()
                return 200, CONTENT_TYPE, generate_latest(self._registry)
        return 404, "text/plain", b"not found\n"


class _Quiet(uvicorn.Server):
    """uvicorn beside a role's work: the role handles the signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def listening(monitor: Monitor, role: str, host: str, port: int, more: int = 0) -> AsyncIterator[int]:
    """Serve `monitor` while the block runs; yields the port: the first free one of `port` and the `more` after it, else any,
    with a warning."""
    listener = _bind(role, host, range(port, port + more + 1) if port else ())
    if listener is None:
        yield 0
        return
    config = uvicorn.Config(
        monitor, log_config=None, access_log=False, lifespan="off", ws="none", proxy_headers=False, server_header=False,
        timeout_keep_alive=5, limit_concurrency=BACKLOG, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = _Quiet(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    found: int = listener.getsockname()[1]
    log.info("monitor.listening", host=host, port=found)
    try:
        yield found
    finally:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)
        listener.close()


def _bind(role: str, host: str, ports: Sequence[int]) -> socket.socket | None:
    for chosen in (*ports, 0):
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, chosen, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listener = socket.socket(family, kind, protocol)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(address)
                listener.listen(BACKLOG)
            except OSError:
                listener.close()
                raise
        except OSError as error:
            if not chosen or chosen == ports[-1]:
                log.warning("monitor.port_taken", role=role, host=host, port=chosen, error=error.strerror)
        else:
            listener.setblocking(False)
            return listener
    log.error("monitor.off", role=role, host=host, reason="no port to be had: set CLICKBIND_METRICS_HOST")
    return None
