"""The emulators as one aiohttp application, and as a running server."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from loadtests.emulators.platform.clock import Clock

from . import creatortraffic, meta, onlyautomator, snapchat, tiktok
from .access import Access
from .admin import Admin
from .books import Books, Event, Received, Violation
from .faults import OK, Mode, Modes
from .transport import misbehave
from .verdicts import Answer, Call, Finding, Platform

PLATFORMS: dict[str, Platform] = {
    "meta": meta,
    "tiktok": tiktok,
    "snapchat": snapchat,
    "creatortraffic": creatortraffic,
    "onlyautomator": onlyautomator,
}
_ROOTS = (
    (re.compile(r"/open_api/"), "tiktok"),
    (re.compile(r"/v\d+\.\d+/"), "meta"),
    (re.compile(r"/v\d+/"), "snapchat"),
    (re.compile(r"/api/v2/"), "onlyautomator"),
)


class AdPlatforms:
    """The five platforms on one address.

    Each has a prefix of its own (`url_of("meta")` is `{url}/meta`), which is the base URL to give a sender; the bare
    address works too and tells them apart by their paths.
    """

    def __init__(
        self, *, creatortraffic_path: str = creatortraffic.PATH, seed: int = 1, count_only: bool = False
    ) -> None:
        self.url = ""
        self.books = Books(count_only=count_only)
        self.access = Access()
        self.clock = Clock()
        self.modes = Modes({name: platform.MODES for name, platform in PLATFORMS.items()}, seed)
        self._creatortraffic_path = creatortraffic_path
        self._arrived = asyncio.Condition()
        self._closing = asyncio.Event()
        self.app = web.Application(client_max_size=64 * 1024 * 1024)
        Admin(self).add(self.app)
        self.app.router.add_route("*", "/{path:.*}", self._receive)

    def url_of(self, platform: str) -> str:
        """The base URL of one platform."""
        return f"{self.url}/{platform}"

    def mode(self, platform: str, mode: str = "ok", *, pixel: str = "", **options: Any) -> None:
        """Set how a platform, or one pixel of it, answers from now on; see `Mode`. Raises KeyError for a mode the
        platform does not have, msgspec.ValidationError for a bad option."""
        self.set_mode(platform, pixel, {"mode": mode, **options})

    def set_mode(self, platform: str, pixel: str, options: Mapping[str, Any]) -> None:
        """`mode`, with everything in `options`. Raises ValueError too, for a code the platform does not have."""
        mode = self.modes.set(platform, pixel, options)
        if mode.mode == "error":
            PLATFORMS[platform].failure(mode)

    def grant(self, platform: str, token: str, *, pixel: str = "", expires_in: float = math.inf) -> None:
        """Let `token` write to `pixel` for so many virtual seconds; the pixel then takes no ungranted token."""
        self.access.grant(platform, token, pixel, self.now() + expires_in)

    def events(self, platform: str, pixel: str | None = None) -> list[Event]:
        """The unique events counted, in order of arrival."""
        return [e for e in self.books.events if e.platform == platform and pixel in (None, e.pixel)]

    def requests(self, platform: str, pixel: str | None = None) -> list[Received]:
        """The requests received, in order of arrival."""
        return [r for r in self.books.requests if r.platform == platform and pixel in (None, r.pixel)]

    def violations(self, platform: str | None = None) -> list[Violation]:
        """The findings, refused and warned, in order of arrival."""
        return [v for v in self.books.violations if platform in (None, v.platform)]

    def now(self) -> float:
        """Virtual epoch seconds."""
        return self.clock.now().timestamp()

    def reset(self) -> None:
        """Forget events, requests, violations, modes and grants. The clock stays where it is."""
        self.books.clear()
        self.modes.clear()
        self.access.clear()

    async def wait_for(self, platform: str, count: int, *, requests: bool = False, seconds: float = 20.0) -> None:
        """Wait until a platform has counted so many unique events, or received so many requests. Raises
        TimeoutError."""
        what = "requests" if requests else "unique"
        async with asyncio.timeout(seconds), self._arrived:
            await self._arrived.wait_for(lambda: self.books.counts[f"{platform}:{what}"] >= count)

    async def close(self) -> None:
        """Let hanging answers go."""
        self._closing.set()

    def route(self, path: str) -> tuple[str, str]:
        """The platform a path belongs to ("" for none) and the path below its prefix."""
        prefix, _, rest = path.removeprefix("/").partition("/")
        if prefix in PLATFORMS:
            return prefix, f"/{rest}"
        if path == self._creatortraffic_path:
            return "creatortraffic", path
        return next((name for root, name in _ROOTS if root.match(path)), ""), path

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        name, call = await self._parse(request)
        number, now = self.books.number(), self.now()
        platform = PLATFORMS.get(name)
        if platform is None or (name == "creatortraffic" and call.path != self._creatortraffic_path):
            self._keep(request, call, number, name, "", now, OK)
            self.books.blame(name, "", number, now, Finding("path", f"no such path: {call.method} {call.path}", 404))
            await self._tell(name)
            return web.Response(status=404, text="not found")
        pixel = platform.pixel_of(call, self.access)
        mode = self.modes.take(name, pixel)
        judged = mode.mode == "ok" or mode.mode in platform.MODES
        verdict = platform.judge(call, now, self.access, mode)
        self._keep(request, call, number, name, pixel, now, mode)
        self.books.enter(name, pixel, number, now, verdict, taken=judged or mode.processed)
        await self._tell(name)
        if judged:
            return _response(verdict.answer)
        if mode.mode == "error":
            return _response(platform.failure(mode), mode)
        return await misbehave(request, mode, self._closing)

    async def _parse(self, request: web.Request) -> tuple[str, Call]:
        body = await request.read()
        name, path = self.route(request.raw_path.partition("?")[0])
        query = {field: request.query[field] for field in request.query}
        headers = {field.lower(): value for field, value in request.headers.items()}
        return name, Call(request.method, path, query, headers, body)

    def _keep(
        self, request: web.Request, call: Call, number: int, name: str, pixel: str, now: float, mode: Mode
    ) -> None:
        self.books.counts[f"{name}:requests"] += 1
        if self.books.count_only:
            return
        path, _, query = request.raw_path.partition("?")
        headers = [(str(field), value) for field, value in request.headers.items()]
        body = call.body.decode("utf-8", "replace")
        self.books.requests.append(
            Received(number, name, pixel, call.method, path, query, headers, body, now, mode.mode)
        )

    async def _tell(self, name: str) -> None:
        async with self._arrived:
            self._arrived.notify_all()


def _response(answer: Answer, mode: Mode = OK) -> web.Response:
    headers = dict(answer.headers)
    if mode.retry_after:
        headers["Retry-After"] = mode.retry_after
    if isinstance(answer.body, str):
        return web.Response(status=answer.status, text=answer.body, headers=headers)
    return web.json_response(answer.body, status=answer.status, headers=headers)


@asynccontextmanager
async def running_adplatforms(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    creatortraffic_path: str = creatortraffic.PATH,
    seed: int = 1,
    count_only: bool = False,
) -> AsyncIterator[AdPlatforms]:
    """The platforms listening on a port of their own, in this event loop.

    `seed` is for the dice behind `rate`; `count_only` keeps neither raw requests nor the bodies of events.
    """
    ads = AdPlatforms(creatortraffic_path=creatortraffic_path, seed=seed, count_only=count_only)
    runner = web.AppRunner(ads.app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
        ads.url = f"http://{host}:{runner.addresses[0][1]}"
        yield ads
    finally:
        await ads.close()
        await runner.cleanup()
