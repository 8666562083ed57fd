"""The redirect: one ASGI callable. `GET /go/{smart_link_id}`, health and metrics; everything else is 404.

The order of decisions follows the behaviour contract, section 2. Each answer to a fan leaves after the click is on disk:
in Valkey's log, or in the local spill when Valkey does not answer within the claim budget.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import hiredis
import msgspec
import structlog

from tracker.clicklog import KIND_BOT, KIND_CLICK, KIND_DUPLICATE, KIND_PREFETCH, LINKS_KEY, Visit
from tracker.edge import request as parse
from tracker.edge.claim import (
    LEASES,
    Entry,
    Library,
    RecordKeys,
    bare_entry,
    claim_command,
    ecid_suffix,
    log_command,
    pack,
    record_keys,
)
from tracker.edge.links import Link, LinkMap
from tracker.edge.location import location
from tracker.edge.metrics import Metrics
from tracker.edge.pipeline import Pipeline
from tracker.edge.spill import Spill
from tracker.edge.standby import Kept, Standby
from tracker.edge.ulids import UlidSource
from tracker.edge.visit import VisitReader
from tracker.edge.visitor import Fingerprints, VisitorCookie

log = structlog.get_logger()

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
_LOCATIONS_LIMIT = 50_000

_encode = msgspec.msgpack.Encoder().encode


def unix_ms() -> int:
    """Now, Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Edge:
    """The redirect edge of one process. Its parts are started and stopped by `server.run`."""

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        library: Library,
        links: LinkMap,
        spill: Spill,
        standby: Standby,
        metrics: Metrics,
        reader: VisitReader,
        fingerprints: Fingerprints,
        cookie: VisitorCookie,
        now_ms: Callable[[], int],
    ) -> None:
        self.pipeline = pipeline
        self.links = links
        self.spill = spill
        self._standby = standby
        self.metrics = metrics
        self.draining = False
        self._function = library.function
        self._reader = reader
        self._count = metrics.requests
        self._fingerprints = fingerprints
        self._cookie = cookie
        self._now_ms = now_ms
        self._new_id = UlidSource().new
        self._locations: dict[str, bytes] = {}
        self._background: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> None:
        """Answer one request. Lifespan is not ours to handle: `server.run` starts and stops the parts."""
        path: str = scope["path"]
        method: str = scope["method"]
        if method != "GET" and method != "HEAD":
            await self._small(send, 405, b"method not allowed\n", (b"allow", b"GET, HEAD"), _CLOSE)
        elif path.startswith("/go/"):
            await self._go(scope, send, path[4:].upper() if len(path) == 30 else "", method)
        elif path == "/health/live":
            await self._small(send, 200, b"ok\n")
        elif path == "/health/ready":
            trouble = self.trouble()
            await self._small(send, 503 if trouble else 200, (trouble or "ok").encode() + b"\n")
        elif path == "/metrics":
            await self._small(send, 200, self.metrics.render())
        else:
            await self._small(send, 404, b"not found\n")

    def trouble(self) -> str:
        """Why this edge should get no traffic, in words; '' when it should."""
        reasons = []
        if self.draining:
            reasons.append("draining: the edge is shutting down")
        if not self.pipeline.up:
            reasons.append(f"breaker open: {self.pipeline.trouble}")
        if self.spill.failing:
            reasons.append(self.spill.failing)
        if not self.links.loaded:
            reasons.append("no links known yet")
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
                self._log_prefetch(link, scope, headers)
            await self._answer(send, 403, [_NO_STORE, _EMPTY])
        elif state != "active":
            self._count[state] += 1
            if link.fallback is None:
                await self._small(send, 410, b"this link is no longer in use\n")
            else:
                await self._redirect(send, link.fallback)
        elif method == "HEAD":
            self._count["head"] += 1
            await self._redirect(send, link.profile)
        else:
            await self._visit(scope, send, link, headers)

    async def _visit(self, scope: Scope, send: Send, link: Link, headers: parse.Headers) -> None:
        now_ms = self._now_ms()
        visit_id = self._new_id(now_ms)
        target, cookie = link.profile, None
        try:
            visit, known_visitor, network, is_secure = self._reader.read(scope, headers, link, visit_id, now_ms)
            request = _encode(visit)
            if visit.bot_reason:
                self._count["bot"] += 1
                await self._store(bare_entry(link.record, request, KIND_BOT, visit_id, known_visitor))
            else:
                visitor = known_visitor or self._new_id(now_ms)
                today, yesterday = self._fingerprints.of(headers, network, now_ms, link.record.window_ms)
                by_cookie = bool(known_visitor)
                keys, standby = link.keys, self._standby
                records = record_keys(keys, visit, visitor, today, yesterday)
                reply = None
                if not (standby.unreplayed and self._is_spilled(link, records, by_cookie, now_ms)):
                    reply = await self._send(
                        claim_command(self._function, keys, records, visit, request, visitor, by_cookie)
                    )
                if reply is not None:
                    text = reply.decode()
                    self._count["duplicate" if text[0] == "d" else LEASES[text[1]]] += 1
                    visitor, member = text[2:28], text[54:]
                    standby.used_at[keys.pool] = now_ms
                    standby.remember(records, (reply, records.click_ids, now_ms))
                else:
                    visitor, member = await self._degrade(link, records, request, visit, visitor, by_cookie)
                target = self._target(link, member)
                cookie = self._cookie.header(visitor, is_secure)
        except Exception:
            # A fan is waiting: whatever is wrong with us, the creator's page is better than an error page.
            log.exception("edge.click_failed", smart_link_id=link.record.smart_link_id, visit_id=visit_id)
            self._count["failed"] += 1
            self.metrics.unrecorded += 1
        await self._redirect(send, target, cookie)

    def _is_spilled(self, link: Link, records: RecordKeys, by_cookie: bool, now_ms: int) -> bool:
        kept = self._standby.find(records, by_cookie, now_ms, link.keys.window_ms)
        return kept is not None and kept.spilled

    async def _degrade(
        self, link: Link, records: RecordKeys, request: bytes, visit: Visit, visitor: str, by_cookie: bool
    ) -> tuple[str, str]:
        """Keep a visit whose claim failed: (visitor, member). A remembered click is repeated; a new one gets a link on
        loan, else the reserve link, known to be shared, else nothing but the profile."""
        self._count["degraded"] += 1
        keys, standby, record = link.keys, self._standby, link.record
        kept = standby.find(records, by_cookie, visit.at_ms, keys.window_ms)
        if kept is not None:
            kind, known = KIND_DUPLICATE, "cookie" if by_cookie else "fingerprint"
            kept = kept._replace(at_ms=max(kept.at_ms, visit.at_ms), spilled=True)
        else:
            kind, known = KIND_CLICK, "cookie" if by_cookie else "new"
            lent = standby.take(keys)
            member = lent or record.reserve
            lease = "exclusive" if lent else "reserve" if member else "none"
            kept = Kept(visit.visit_id, visitor, lease, member, records.click_ids, visit.at_ms, True)
        # Remembered before it is written: a second tap that comes meanwhile is the same click.
        standby.unreplayed += 1
        standby.remember(records._replace(by_visitor=f"{keys.by_visitor}{kept.visitor}{ecid_suffix(visit.ecid)}"), kept)
        await self._spill(
            Entry(
                record.shard,
                request,
                kind,
                kept.click_id,
                kept.visitor,
                known,
                kept.member,
                kept.lease,
                f"{keys.by_visitor}{kept.visitor}{ecid_suffix(visit.ecid)}",
                records.by_fingerprint,
                kept.click_ids,
                keys.window_ms,
                keys.pool,
                kept.at_ms,
            )
        )
        return kept.visitor, kept.member

    async def _send(self, command: bytes) -> bytes | None:
        """The reply to a command that writes to the log, or None when it must be taken as not carried out."""
        pipeline = self.pipeline
        waiter = pipeline.submit(command)
        if waiter is None:
            return None
        reply = await waiter
        if type(reply) is bytes:
            pipeline.accepted()
            return reply
        if isinstance(reply, hiredis.ReplyError) and await pipeline.refused(reply):
            waiter = pipeline.submit(command)
            reply = await waiter if waiter is not None else None
            if type(reply) is bytes:
                return reply
        return None

    async def _store(self, entry: Entry) -> None:
        """Put an entry that takes no lease into the log, or into the spill."""
        if await self._send(log_command(entry)) is None:
            await self._spill(entry)

    async def _spill(self, entry: Entry) -> None:
        if await self.spill.append(entry):
            self.metrics.spilled += 1
        else:
            self.metrics.unrecorded += 1

    def _log_prefetch(self, link: Link, scope: Scope, headers: parse.Headers) -> None:
        now_ms = self._now_ms()
        visit_id = self._new_id(now_ms)
        record = link.record
        user_agent = parse.header_text(headers.get(b"user-agent"), parse.USER_AGENT_CAP, "user_agent", [])
        visit = Visit(visit_id, now_ms, record.smart_link_id, record.account_id, user_agent=user_agent)
        task = asyncio.get_running_loop().create_task(
            self._store(bare_entry(record, _encode(visit), KIND_PREFETCH, visit_id, ""))
        )
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def settle(self) -> None:
        """Wait for what is logged without a waiting visitor."""
        if self._background:
            await asyncio.gather(*self._background, return_exceptions=True)

    async def _fetch_link(self, link_id: str) -> bytes | None:
        waiter = self.pipeline.submit(pack(("HGET", LINKS_KEY, link_id)))
        reply = await waiter if waiter is not None else LookupError("breaker open")
        if reply is None and not self.pipeline.up:
            raise LookupError("no answer")
        if reply is not None and type(reply) is not bytes:
            raise LookupError(str(reply))
        return reply

    def _target(self, link: Link, member: str) -> bytes:
        found = self._locations.get(member)
        if found is None:
            found = location(member.partition("|")[2])
            if found is None:
                return link.reserve_url
            if len(self._locations) >= _LOCATIONS_LIMIT:
                self._locations.clear()
            self._locations[member] = found
        return found

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
