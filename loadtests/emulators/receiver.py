"""A receiver of postbacks that behaves as badly as it is told to, and remembers every request.

`/p/{name}` (any method, anything below it) receives; each name is a receiver of its own with its own mode.
`POST /__admin/mode {"name", "mode", ...}`, `GET /__admin/requests?name=`, `GET /__admin/counts`, `POST /__admin/reset`.
`python -m loadtests.emulators.receiver --port 0` prints one JSON line with its url; `running_receiver()` runs in-process.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import socket
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec
from aiohttp import web

Behaviour = Literal[
    "ok",
    "fail_rate",
    "status",
    "hang",
    "drip",
    "drip_headers",
    "flood",
    "gzip_bomb",
    "redirect",
    "wrong_length",
    "reset",
    "informational",
]


class Mode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a name answers.

    ok: 200. fail_rate: `status` for that share (0..1) of requests. status: `status`, with `retry_after` if set.
    hang: never answers. drip: one body byte every `every` seconds; drip_headers: one header line instead. flood: a body
    without end. gzip_bomb: 15 KiB that inflate a thousandfold. redirect: 302 to `location`. wrong_length: promises
    more than it sends. reset: drops the connection. informational: 1xx answers without end. `times`: for this many
    requests, then ok (0: always). `body`: text of a plain answer.
    """

    mode: Behaviour = "ok"
    status: int = 500
    rate: float = 1.0
    retry_after: str = ""
    location: str = "http://169.254.169.254/latest/meta-data/"
    body: str = ""
    every: float = 0.05
    times: int = 0


class Received(msgspec.Struct, frozen=True):
    """One request as it came. `at` is seconds since the epoch; `query` is raw, as on the wire."""

    name: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: str
    at: float
    answered: str


class Receiver:
    """The emulator's state and its aiohttp application."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.counts: Counter[str] = Counter()
        self.url = ""
        self._modes: dict[str, Mode] = {}
        self._left: dict[str, int] = {}
        self._waiters: list[asyncio.Event] = []
        self._closing = asyncio.Event()
        self.app = web.Application(client_max_size=16 * 1024 * 1024)
        self.app.router.add_post("/__admin/mode", self._set_mode)
        self.app.router.add_get("/__admin/requests", self._list)
        self.app.router.add_get("/__admin/counts", self._counts)
        self.app.router.add_post("/__admin/reset", self._reset)
        self.app.router.add_route("*", "/p/{name}", self._receive)
        self.app.router.add_route("*", "/p/{name}/{rest:.*}", self._receive)

    def url_of(self, name: str) -> str:
        """The address of one receiver."""
        return f"{self.url}/p/{name}"

    def mode(self, name: str, mode: Behaviour = "ok", **options: Any) -> None:
        """Set how a name answers from now on. Raises msgspec.ValidationError for an unknown option."""
        chosen = msgspec.convert({"mode": mode, **options}, Mode)
        self._modes[name] = chosen
        self._left[name] = chosen.times

    def received(self, name: str) -> list[Received]:
        """The requests of one name, in order of arrival."""
        return [request for request in self.requests if request.name == name]

    def reset(self) -> None:
        """Forget requests and modes."""
        self.requests.clear()
        self.counts.clear()
        self._modes.clear()

    async def wait_for(self, name: str, count: int, seconds: float = 20.0) -> list[Received]:
        """The name's requests once there are `count` of them. Raises TimeoutError."""
        arrived = asyncio.Event()
        self._waiters.append(arrived)
        try:
            async with asyncio.timeout(seconds):
                while self.counts[name] < count:
                    arrived.clear()
                    await arrived.wait()
        finally:
            self._waiters.remove(arrived)
        return self.received(name)

    async def close(self) -> None:
        """Let hanging answers go."""
        self._closing.set()

    async def _set_mode(self, request: web.Request) -> web.Response:
        try:
            options = msgspec.json.decode(await request.read(), type=dict[str, Any])
            self.mode(str(options.pop("name")), **options)
        except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=422)
        return web.json_response({"ok": True})

    async def _list(self, request: web.Request) -> web.Response:
        name = request.query.get("name")
        found = [each for each in self.requests if name is None or each.name == name]
        return web.Response(body=msgspec.json.encode(found), content_type="application/json")

    async def _counts(self, _request: web.Request) -> web.Response:
        return web.json_response(dict(self.counts))

    async def _reset(self, _request: web.Request) -> web.Response:
        self.reset()
        return web.json_response({"ok": True})

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        mode = self._modes.get(name, _OK)
        if mode.times:
            self._left[name] -= 1
            if self._left[name] < 0:
                mode = _OK
        if mode.mode == "fail_rate" and random.random() >= mode.rate:
            mode = _OK
        body = (await request.read()).decode("utf-8", "replace") if request.can_read_body else ""
        self.counts[name] += 1
        raw_path, _, query = request.raw_path.partition("?")
        headers = dict(request.headers)
        self.requests.append(Received(name, request.method, raw_path, query, headers, body, time.time(), mode.mode))
        for waiter in self._waiters:
            waiter.set()
        return await self._answer(request, mode)

    async def _answer(self, request: web.Request, mode: Mode) -> web.StreamResponse:
        match mode.mode:
            case "ok":
                return web.Response(text=mode.body or "ok")
            case "status" | "fail_rate":
                headers = {"Retry-After": mode.retry_after} if mode.retry_after else {}
                return web.Response(status=mode.status, text=mode.body or "as told", headers=headers)
            case "redirect":
                status = mode.status if 300 <= mode.status < 400 else 302
                return web.Response(status=status, headers={"Location": mode.location})
            case "gzip_bomb":
                return web.Response(body=_bomb(), headers={"Content-Encoding": "gzip"}, content_type="text/plain")
            case "hang":
                await self._closing.wait()
            case "drip" | "flood" | "wrong_length":
                return await self._stream(request, mode)
            case "drip_headers" | "informational":
                await self._raw(request, mode)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _stream(self, request: web.Request, mode: Mode) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        if mode.mode == "wrong_length":
            response.content_length = 1000
        await response.prepare(request)
        try:
            if mode.mode == "wrong_length":
                await response.write(b"only this")
                if request.transport is not None:
                    request.transport.close()
                return response
            while not self._closing.is_set():
                await response.write(b"x" if mode.mode == "drip" else b"x" * 65536)
                self.counts[f"{request.match_info['name']}:chunks"] += 1
                if mode.mode == "drip":
                    await asyncio.sleep(mode.every)
        except ConnectionError:
            pass
        return response

    async def _raw(self, request: web.Request, mode: Mode) -> None:
        transport = request.transport
        if transport is None or not isinstance(transport, asyncio.Transport):
            return
        if mode.mode == "drip_headers":
            transport.write(b"HTTP/1.1 200 OK\r\n")
        number = 0
        while not self._closing.is_set() and not transport.is_closing():
            number += 1
            line = b"X-%d: y\r\n" % number if mode.mode == "drip_headers" else b"HTTP/1.1 103 Early Hints\r\n\r\n"
            transport.write(line)
            await asyncio.sleep(mode.every)


_OK = Mode()
_BOMB: list[bytes] = []


def _bomb() -> bytes:
    if not _BOMB:
        _BOMB.append(gzip.compress(b"\0" * (64 * 1024 * 1024), compresslevel=9)[: 15 * 1024])
    return _BOMB[0]


@asynccontextmanager
async def running_receiver(
    *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """A receiver listening on a port of its own, in this event loop."""
    receiver = Receiver()
    runner = web.AppRunner(receiver.app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    listener = socket.create_server((host, port), backlog=1024)
    await web.SockSite(runner, listener, ssl_context=tls).start()
    receiver.url = f"{'https' if tls else 'http'}://{host}:{listener.getsockname()[1]}"
    try:
        yield receiver
    finally:
        await receiver.close()
        await runner.cleanup()


async def _serve(host: str, port: int) -> None:
    async with running_receiver(host=host, port=port) as receiver:
        print(json.dumps({"url": receiver.url}), flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Run until interrupted."""
    parser = argparse.ArgumentParser(description="A receiver of postbacks for tests and load tests.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    try:
        asyncio.run(_serve(options.host, options.port))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
