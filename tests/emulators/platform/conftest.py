"""A deterministic platform, a client for it, and a receiver that keeps the webhooks it was sent."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from aiohttp import web

from loadtests.emulators.platform import Platform, running_platform

SECRET = "shared-secret"

# The vendors' clients are a second opinion on our shapes, not something the project needs to run.
_CLIENTS = {"onlyfansapi": "test_vendor_client.py", "onlyfans_sdk": "test_ofauth_client.py"}
collect_ignore = [test for client, test in _CLIENTS.items() if importlib.util.find_spec(client) is None]


@dataclass
class Received:
    """One webhook request as it arrived."""

    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        """The parsed body."""
        parsed: dict[str, Any] = json.loads(self.raw)
        return parsed

    @property
    def event(self) -> str:
        """The event name."""
        return str(self.body["event"])

    @property
    def payload(self) -> dict[str, Any]:
        """The payload."""
        payload: dict[str, Any] = self.body["payload"]
        return payload

    @property
    def key(self) -> str | None:
        """The idempotency key."""
        return self.headers.get("X-OFAPI-Idempotency-Key")


@dataclass
class Receiver:
    """A webhook endpoint: answers the next of `answers`, or 200; sleeps `delay` seconds first."""

    url: str = ""
    got: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    always: int = 200
    delay: float = 0.0

    async def handle(self, request: web.Request) -> web.Response:
        """Keep the request."""
        raw = await request.read()
        self.got.append(Received(dict(request.headers.items()), raw))
        if self.delay:
            await asyncio.sleep(self.delay)
        return web.Response(status=self.answers.pop(0) if self.answers else self.always)

    def of(self, event: str) -> list[Received]:
        """What arrived of one event."""
        return [item for item in self.got if item.event == event]


class Api:
    """JSON calls with the default key; every answer is (status, body)."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        """One call; `body` is sent as JSON."""
        answer = await self.client.request(method, path, json=body, **options)
        return answer.status_code, answer.json() if answer.content else None

    async def get(self, path: str, **params: Any) -> Any:
        """GET that must succeed."""
        # An empty mapping would make httpx drop the query of `path`.
        answer = await self.client.get(path, params=params or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, **body: Any) -> Any:
        """POST that must succeed."""
        answer = await self.client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


async def open_api(platform: Platform) -> AsyncIterator[Api]:
    """A client for a platform."""
    headers = {"Authorization": "Bearer test-key"}
    async with httpx.AsyncClient(base_url=platform.url, headers=headers, trust_env=False) as client:
        yield Api(client)


@pytest_asyncio.fixture(loop_scope="session")
async def platform() -> AsyncIterator[Platform]:
    """Speed `none`, one paid creator `madison` (acct_madison, $9.99) and one free `freya`."""
    async with running_platform(seed=7) as running:
        running.world.add_account("madison", "Madison", id="acct_madison", subscribe_price=999, onlyfans_id=518588958)
        running.world.add_account("freya", "Freya", id="acct_freya", subscribe_price=0)
        yield running


@pytest.fixture
def step(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Stop the platform's clock; `step(seconds)` moves it. Limits of a second are then exact on any machine."""
    now = platform.world.clock.now()

    def move(seconds: float) -> None:
        nonlocal now
        now += timedelta(seconds=seconds)

    monkeypatch.setattr(platform.world.clock, "now", lambda: now)
    return move


@pytest_asyncio.fixture(loop_scope="session")
async def api(platform: Platform) -> AsyncIterator[Api]:
    """A client with the right key."""
    async for api in open_api(platform):
        yield api


@pytest_asyncio.fixture(loop_scope="session")
async def receiver() -> AsyncIterator[Receiver]:
    """A running receiver."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    await runner.cleanup()
