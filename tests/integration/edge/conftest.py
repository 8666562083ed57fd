"""An edge in this process on the real Valkey, called as an ASGI application."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tracker.clicklog import LINKS_KEY, EdgeLink, Visit, log_key, pool_key, pool_member, read_visit
from tracker.edge.server import Service
from tracker.settings import Settings
from tracker.stores import valkey

LINK = "01K5AAAAAAAAAAAAAAAAAAAAAA"
OTHER_LINK = "01K5BBBBBBBBBBBBBBBBBBBBBB"
ACCOUNT = "acct_1"
PROFILE = "https://onlyfans.com/creator"
RESERVE = "900|https://onlyfans.com/creator/c900"
SECRET = "a test's secret key, thirty-two characters"
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
    " Instagram 330.0.3.29.90 (iPhone15,2; iOS 17_5_1; en_US; en; scale=3.00; 1179x2556; 609775437)"
)


class Clock:
    """The edge's clock, moved by hand."""

    def __init__(self) -> None:
        self.ms = time.time_ns() // 1_000_000

    def __call__(self) -> int:
        return self.ms


@dataclass
class Answer:
    """A response."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: str) -> str | None:
        found = [value.decode() for key, value in self.headers if key == name.encode()]
        assert len(found) <= 1
        return found[0] if found else None

    @property
    def location(self) -> str | None:
        return self.header("location")

    @property
    def visitor(self) -> str:
        """The visitor id in the cookie that was set, '' without one."""
        return (self.header("set-cookie") or "=").split(";")[0].partition("=")[2]


@dataclass
class LogEntry:
    """A click-log entry, decoded."""

    visit: Visit
    kind: str
    click: str
    visitor: str
    known: str
    member: str
    lease: str
    spilled: bool


@dataclass
class World:
    """An edge, its store, and short words for what tests do with them."""

    service: Service
    redis: Any
    clock: Clock
    settings: Settings
    shard: int = 0
    headers: dict[str, str] = field(default_factory=lambda: {"user-agent": PHONE, "accept-language": "en-US"})

    async def put_link(self, link_id: str = LINK, **changes: Any) -> None:
        """Store a smart link; the edge finds it when it is first asked for."""
        record = EdgeLink(link_id, ACCOUNT, self.shard, "tracking", 21_600_000, "active", PROFILE, RESERVE)
        record = msgspec.structs.replace(record, **changes)
        await self.redis.hset(LINKS_KEY, link_id, msgspec.msgpack.encode(record))
        self.service.links.put(link_id, msgspec.msgpack.encode(record))

    async def fill_pool(self, count: int, first: int = 1) -> None:
        """Add never-leased links to the pool."""
        members = {pool_member(n, f"https://onlyfans.com/creator/c{n}"): 0 for n in range(first, first + count)}
        await self.redis.zadd(pool_key(self.shard, ACCOUNT, "tracking"), members)

    async def pool(self) -> dict[str, float]:
        """Pool members with the end of their leases."""
        pairs = await self.redis.zrange(pool_key(self.shard, ACCOUNT, "tracking"), 0, -1, withscores=True)
        return {member.decode(): score for member, score in pairs}

    async def request(
        self,
        path: str = f"/go/{LINK}",
        query: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        method: str = "GET",
        peer: str = "203.0.113.7",
        cookie: str = "",
        raw_headers: list[tuple[bytes, bytes]] | None = None,
    ) -> Answer:
        """One request, as uvicorn would hand it over."""
        chosen = self.headers if headers is None else headers
        pairs = [(name.encode(), value.encode()) for name, value in chosen.items()] + (raw_headers or [])
        if cookie:
            pairs.append((b"cookie", f"cbv={cookie}".encode()))
        scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query,
            "headers": pairs, "client": (peer, 40000), "scheme": "http",
        }  # fmt: skip
        messages: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            messages.append(message)

        await self.service.app(scope, receive, send)
        assert [message["type"] for message in messages] == ["http.response.start", "http.response.body"]
        return Answer(messages[0]["status"], messages[0]["headers"], messages[1]["body"])

    async def log(self) -> list[LogEntry]:
        """The whole click log of the shard."""
        await self.service.clicks.settle()
        entries = await self.redis.xrange(log_key(self.shard))
        return [decode_entry(fields) for _, fields in entries]


def decode_entry(fields: dict[bytes, bytes]) -> LogEntry:
    """A stream entry's fields as a LogEntry."""
    text = fields[b"o"].decode()
    kind = {"c": "click", "d": "duplicate", "b": "bot", "p": "prefetch"}[text[0]]
    known = {"c": "cookie", "f": "fingerprint", "n": "new"}[text[1]]
    lease = {"e": "exclusive", "s": "shared", "r": "reserve", "n": "none"}[text[2]]
    click, visitor, member = text[3:29], text[29:55], text[55:]
    visit = read_visit(fields[b"r"])
    return LogEntry(visit, kind, click, visitor, known, member, lease, fields.get(b"s") == b"1")


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    """Settings of an edge on the test's Valkey with a data folder of its own."""
    return Settings(
        data_dir=str(tmp_path), redis_url=redis_url, secret_key=SECRET, public_url="https://go.example.com",
        claim_timeout_ms=2000,
    )  # fmt: skip


@pytest.fixture
async def make_world(redis: valkey.Client, settings: Settings) -> AsyncIterator[Callable[..., Any]]:
    """Starts edges with changed settings; stops them at the end."""
    started: list[Service] = []

    async def make(**changes: Any) -> World:
        chosen = msgspec.structs.replace(settings, **changes)
        clock = Clock()
        service = Service(chosen, clock)
        await service.start()
        started.append(service)
        return World(service, redis, clock, chosen)

    yield make
    for service in started:
        await service.stop()


@pytest.fixture
async def world(make_world: Callable[..., Any]) -> World:
    """An edge with one active link and an empty pool."""
    made: World = await make_world()
    await made.put_link()
    return made


@pytest.fixture
async def store(redis: valkey.Client) -> Any:
    """The Valkey client with one link stored."""
    link = EdgeLink(LINK, ACCOUNT, 0, "tracking", 21_600_000, "active", PROFILE, RESERVE)
    store: Any = redis
    await store.hset(LINKS_KEY, LINK, msgspec.msgpack.encode(link))
    return store
