"""The redirect application. `GET /go/{smart_link_id}`, health and metrics; everything else is 404.

The order of decisions follows the behaviour contract, section 2. A plain click comes through `direct`, past ASGI; everything
else, and the same click under any ASGI server, through `__call__`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tracker.clicklog import LINKS_KEY
from tracker.edge import request as parse
from tracker.edge.claim import pack
from tracker.edge.click import Clicks
from tracker.edge.cluster import Way
from tracker.edge.links import Link, LinkMap
from tracker.edge.metrics import Metrics
from tracker.edge.protocol import Exchange
from tracker.edge.spill import Spill
from tracker.edge.visitor import VisitorCookie
from tracker.metrics.forwarded import is_forwarded

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

_NO_STORE: Header = (b"cache-control", b"no-store")
_EMPTY: Header = (b"content-length", b"0")
# no-referrer: neither the platform nor the creator's page learns which ad or site the fan came from; that is the buyer's.
_REDIRECT: list[Header] = [
    _NO_STORE,
    (b"x-robots-tag", b"noindex"),
    (b"referrer-policy", b"no-referrer"),
    _EMPTY,
]
_CLOSE: Header = (b"connection", b"close")
_BODY: dict[str, Any] = {"type": "http.response.body", "body": b""}
_HEAD = b"".join([b"HTTP/1.1 302 Found\r\n", *[b"%b: %b\r\n" % header for header in _REDIRECT], b"location: "])
_ID_END = len("/go/") + 26
_AFTER_ID = (b"", b"?")


class Edge:
    """The redirect edge of one process. Its parts are started and stopped by `server.run`."""

    def __init__(
        self,
        *,
        pipeline: Way,
        links: LinkMap,
        spill: Spill,
        clicks: Clicks,
        metrics: Metrics,
        cookie: VisitorCookie,
    ) -> None:
        self.pipeline = pipeline
        self.links = links
        self.spill = spill
        self.clicks = clicks
        self.metrics = metrics
        self.draining = False
        self._count = metrics.requests
        self._cookie = cookie

    def direct(self, exchange: Exchange, target: bytes, headers: parse.Headers, peer: Any) -> bool:
        """Take a plain click (`head.Heads`) of a known, active link: True, and its answer follows. False: ask `__call__`."""
        if target[_ID_END : _ID_END + 1] not in _AFTER_ID:
            return False
        link_id = str(target[4:_ID_END], "ascii")
        link = self.links.get(link_id) or self.links.get(link_id.upper())
        if link is None or not link.is_active:
            return False
        client = self.clicks.peer(peer)
        is_secure = self.clicks.is_secure(client, headers)

        def answer(location: bytes, visitor: str) -> None:
            if self.draining:
                exchange.keep_alive = False
            if visitor:
                cookie_start, cookie_end = self._cookie.parts(is_secure)
                exchange.answer(b"".join((_HEAD, location, cookie_start, visitor.encode("ascii"), cookie_end)))
            else:
                exchange.answer(_HEAD + location + b"\r\n")

        self.clicks.take(link, headers, client, target[_ID_END + 1 :], answer, is_known_clean=True)
        return True

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> None:
        """Answer one request. Lifespan is not ours to handle: `server.run` starts and stops the parts."""
        path: str = scope["path"]
        method: str = scope["method"]
        if method != "GET" and method != "HEAD":
            await self._small(send, 405, b"method not allowed\n", (b"allow", b"GET, HEAD"), _CLOSE)
        elif path.startswith("/go/"):
            await self._go(scope, send, path[4:].upper() if len(path) == _ID_END else "", method)
        elif path == "/health/live":
            await self._small(send, 200, b"ok\n")
        elif path == "/health/ready":
            trouble, degraded = self.trouble(), self.degraded()
            text = trouble or (f"ok, degraded: {degraded}" if degraded else "ok")
            await self._small(send, 503 if trouble else 200, text.encode() + b"\n")
        elif path == "/metrics" and not is_forwarded(scope["headers"]):
            await self._small(send, 200, self.metrics.render())
        else:
            await self._small(send, 404, b"not found\n")

    def trouble(self) -> str:
        """Why this edge should get no traffic, in words; '' when it should."""
        reasons = []
        if self.draining:
            reasons.append("draining: the edge is shutting down")
        if self.spill.failing and not self.pipeline.up:
            reasons.append(f"clicks cannot be kept: {self.pipeline.trouble}; {self.spill.failing}")
        if not self.links.loaded and not self.pipeline.up:
            reasons.append("no links known yet")
        return "; ".join(reasons)

    def degraded(self) -> str:
        """What is wrong although every click is redirected and kept, in words; '' when nothing is."""
        reasons = []
        if not self.pipeline.up:
            reasons.append(f"breaker open, clicks go to the spill: {self.pipeline.trouble}")
        if self.spill.failing:
            reasons.append(self.spill.failing)
        return "; ".join(reasons)

    async def _go(self, scope: Scope, send: Send, link_id: str, method: str) -> None:
        link = self.links.get(link_id) or (await self.links.find(link_id, self._fetch_link) if link_id else None)
        if link is None:
            self._count["not_found"] += 1
            await self._small(send, 404, b"no such link\n")
            return
        headers = parse.fold_headers(scope["headers"])
        state = link.record.state
        if parse.is_speculative(headers):
            self._count["prefetch"] += 1
            if method == "GET" and state == "active":
                self.clicks.prefetched(link, headers)
            await self._answer(send, 403, [_NO_STORE, _EMPTY])
        elif state != "active":
            self._count[state] += 1
            if link.fallback is None:
                await self._small(send, 410, b"this link is no longer in use\n")
            else:
                await self._redirect(send, link.fallback)
        elif method == "HEAD":
            self._count["head"] += 1
            await self._redirect(send, link.keys.profile)
        else:
            await self._visit(scope, send, link, headers)

    async def _visit(self, scope: Scope, send: Send, link: Link, headers: parse.Headers) -> None:
        answered: asyncio.Future[tuple[bytes, str]] = asyncio.get_running_loop().create_future()

        def answer(location: bytes, visitor: str) -> None:
            if not answered.done():
                answered.set_result((location, visitor))

        peer = self.clicks.peer(scope["client"])
        self.clicks.take(link, headers, peer, scope["query_string"], answer)
        location, visitor = await answered
        is_secure = self.clicks.is_secure(peer, headers)
        await self._redirect(send, location, self._cookie.header(visitor, is_secure) if visitor else None)

    async def _fetch_link(self, link_id: str) -> bytes | None:
        waiter = self.pipeline.submit(pack(("HGET", LINKS_KEY, link_id)), LINKS_KEY)
        reply = await waiter if waiter is not None else LookupError("breaker open")
        if reply is None and not self.pipeline.up:
            raise LookupError("no answer")
        if reply is not None and type(reply) is not bytes:
            raise LookupError(str(reply))
        return reply

    async def _redirect(self, send: Send, target: bytes, cookie: Header | None = None) -> None:
        headers = [(b"location", target), *_REDIRECT]
        if cookie is not None:
            headers.append(cookie)
        await self._answer(send, 302, headers)

    async def _answer(self, send: Send, status: int, headers: list[Header]) -> None:
        if self.draining:
            headers = [*headers, _CLOSE]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send(_BODY)

    async def _small(self, send: Send, status: int, text: bytes, *more: Header) -> None:
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(text)),
            _NO_STORE,
            (b"x-content-type-options", b"nosniff"),
            *more,
        ]
        if self.draining and _CLOSE not in more:
            headers.append(_CLOSE)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text})
