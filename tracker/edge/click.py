"""One visit from its request to its redirect: read, claim, answer. What waits here waits in callbacks, not in tasks.

An answer leaves after the click is on disk: in Valkey's log, or in the local spill when Valkey does not answer within the
claim budget.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NamedTuple

import hiredis
import msgspec
import structlog

from tracker.clicklog import (
    KIND_BOT,
    KIND_CLICK,
    KIND_DUPLICATE,
    KIND_PREFETCH,
    OUTCOME_MEMBER,
    OUTCOME_VISITOR,
    Visit,
    log_key,
)
from tracker.edge import request as parse
from tracker.edge.claim import (
    LEASES,
    Entry,
    RecordKeys,
    bare_entry,
    claim_arguments,
    claim_keys,
    log_command,
    record_keys,
    visitor_key,
)
from tracker.edge.client import Client
from tracker.edge.cluster import Way
from tracker.edge.links import Link, Pool
from tracker.edge.location import location
from tracker.edge.metrics import Metrics
from tracker.edge.spill import Spill
from tracker.edge.standby import Kept, Standby
from tracker.edge.ulids import UlidSource
from tracker.edge.visit import VisitReader
from tracker.edge.visitor import Fingerprints

log = structlog.get_logger()

Answer = Callable[[bytes, str], None]
"""(Location, visitor id to remember in the cookie or '' for no cookie); called exactly once per visit."""

_LOCATIONS_LIMIT = 50_000
_encode = msgspec.msgpack.Encoder().encode


class Click(NamedTuple):
    """A fan's visit under way."""

    link: Link
    keys: Pool
    at_ms: int
    visit_id: str
    request: bytes
    ecid: str
    visitor: str
    by_cookie: bool
    records: RecordKeys
    arguments: tuple[str | bytes, ...]
    answer: Answer


_click = partial(tuple.__new__, Click)  # without a frame of its own


class Clicks:
    """Takes visits of active links."""

    def __init__(
        self,
        *,
        pipeline: Way,
        spill: Spill,
        standby: Standby,
        metrics: Metrics,
        reader: VisitReader,
        fingerprints: Fingerprints,
        now_ms: Callable[[], int],
    ) -> None:
        self._pipeline = pipeline
        self._spill = spill
        self._standby = standby
        self._metrics = metrics
        self._count = metrics.requests
        self._reader = reader
        self.peer, self.is_secure = reader.peer, reader.is_secure
        self._fingerprints = fingerprints
        self._now_ms = now_ms
        ids = UlidSource()
        self._new_id, self._new_ids = ids.new, ids.pair
        self._refusing: set[str] = set()  # logs whose last claim was refused
        self._locations: dict[str, bytes] = {}
        self._background: set[asyncio.Task[None]] = set()

    def take(
        self,
        link: Link,
        headers: parse.Headers,
        peer: Client,
        query: bytes,
        answer: Answer,
        is_known_clean: bool = False,
    ) -> None:
        """Record a visit, then answer it. Never raises: whatever is wrong with us, the creator's page is better than an
        error page. `is_known_clean`: the query has been looked at (`is_clean`)."""
        now_ms = self._now_ms()
        visit_id, visitor = self._new_ids(now_ms)
        try:
            record, keys = link.record, link.keys
            request, marks, from_cookie, network, bot_reason = self._reader.read(
                peer, query, headers, record, visit_id, now_ms, is_known_clean
            )
            if bot_reason:
                self._count["bot"] += 1
                self._begin(self._store_bot(link, bare_entry(record, request, KIND_BOT, visit_id, from_cookie), answer))
                return
            if from_cookie:
                visitor = from_cookie
            by_cookie = from_cookie != ""
            today, yesterday = self._fingerprints.of(headers, network, now_ms, keys.window_ms)
            records = record_keys(keys, record.smart_link_id, marks, visitor, today, yesterday)
            arguments = claim_arguments(keys, records[3], now_ms, visit_id, request, visitor, by_cookie)
            click = _click(
                (link, keys, now_ms, visit_id, request, marks[0], visitor, by_cookie, records, arguments, answer)
            )
            if (self._standby.unreplayed and self._is_spilled(click)) or not self._pipeline.claim(
                keys.log, claim_keys(keys, records), arguments, partial(self._replied, click)
            ):
                self._begin(self._degrade(click))
        except Exception:
            self._failed(link, visit_id, answer)

    def prefetched(self, link: Link, headers: parse.Headers) -> None:
        """Note a page that was loaded ahead of a tap; nobody waits for it."""
        now_ms = self._now_ms()
        visit_id = self._new_id(now_ms)
        record = link.record
        user_agent = parse.header_text(headers.get(b"user-agent"), parse.USER_AGENT_CAP, "user_agent", [])
        visit = Visit(visit_id, now_ms, record.smart_link_id, record.account_id, user_agent=user_agent)
        self._begin(self._store(bare_entry(record, _encode(visit), KIND_PREFETCH, visit_id, "")))

    async def settle(self) -> None:
        """Wait for what is under way besides claims."""
        while self._background:
            await asyncio.gather(*self._background, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _failed(self, link: Link, visit_id: str, answer: Answer) -> None:
        log.exception("edge.click_failed", smart_link_id=link.record.smart_link_id, visit_id=visit_id)
        self._count["failed"] += 1
        self._metrics.unrecorded += 1
        answer(link.keys.profile, "")

    def _replied(self, click: Click, reply: Any) -> None:
        if type(reply) is not bytes or reply[:1] == b"!":
            self._begin(self._refused(click, reply))
            return
        try:
            if self._refusing and click.keys.log in self._refusing:
                self._refusing.discard(click.keys.log)
                self._pipeline.accepted(click.keys.log)
            text = reply.decode()
            self._count["duplicate" if text[0] == "d" else LEASES[text[2]]] += 1
            keys, at_ms, records, standby = click.keys, click.at_ms, click.records, self._standby
            standby.used_at[keys.pool] = at_ms
            standby.remember(records, (reply, records[3], at_ms))
            member = text[OUTCOME_MEMBER]
            target = self._locations.get(member) or self._target(keys, member)
        except Exception:
            self._failed(click.link, click.visit_id, click.answer)
        else:
            try:
                click.answer(target, text[OUTCOME_VISITOR])
            except Exception:  # one connection's trouble must not reach those whose replies came with this one
                log.exception("edge.answer_failed", visit_id=click.visit_id)

    async def _refused(self, click: Click, reply: Any) -> None:
        """A claim without an answer is spilled; one refused for want of its function is sent once more."""
        try:
            self._refusing.add(click.keys.log)
            if isinstance(reply, hiredis.ReplyError) and await self._pipeline.refused(reply, click.keys.log):
                again: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
                keys = click.keys
                if self._pipeline.claim(keys.log, claim_keys(keys, click.records), click.arguments, again.set_result):
                    reply = await again
                    if type(reply) is bytes and reply[:1] != b"!":
                        self._replied(click, reply)
                        return
            if type(reply) is bytes:
                log.error("edge.claim_failed", error=reply[1:].decode("utf-8", "replace")[:200])
        except Exception:
            self._failed(click.link, click.visit_id, click.answer)
        else:
            await self._degrade(click)

    def _is_spilled(self, click: Click) -> bool:
        kept = self._standby.find(click.records, click.by_cookie, click.at_ms, click.keys.window_ms)
        return kept is not None and kept.spilled

    async def _degrade(self, click: Click) -> None:
        """Keep a visit whose claim failed, then answer it. A remembered click is repeated; a new one gets a link on loan,
        else the reserve link, known to be shared, else nothing but the profile."""
        try:
            kept = self._keep(click)
            if not await self._put_aside(self._entry(click, kept)) and kept.click_id == click.visit_id:
                self._standby.forget(
                    self._kept_under(click, kept), kept.click_id
                )  # or repeats of a lost click are kept
            target = self._target(click.keys, kept.member)
        except Exception:
            self._failed(click.link, click.visit_id, click.answer)
        else:
            click.answer(target, kept.visitor)

    def _keep(self, click: Click) -> Kept:
        self._count["degraded"] += 1
        standby, keys, records = self._standby, click.keys, click.records
        kept = standby.find(records, click.by_cookie, click.at_ms, keys.window_ms)
        if kept is not None:
            kept = kept._replace(at_ms=max(kept.at_ms, click.at_ms), spilled=True)
        else:
            lent = standby.take(keys)
            member = lent or click.link.record.reserve
            lease = "exclusive" if lent else "reserve" if member else "none"
            kept = Kept(click.visit_id, click.visitor, lease, member, records.click_ids, click.at_ms, True)
        # Remembered before it is written: a second tap that comes meanwhile is the same click.
        standby.unreplayed += 1
        standby.remember(self._kept_under(click, kept), kept)
        return kept

    def _kept_under(self, click: Click, kept: Kept) -> RecordKeys:
        return click.records._replace(by_visitor=self._visitor_key(click, kept))

    def _entry(self, click: Click, kept: Kept) -> Entry:
        is_new = kept.click_id == click.visit_id
        return Entry(
            click.link.record.shard,
            click.request,
            KIND_CLICK if is_new else KIND_DUPLICATE,
            kept.click_id,
            kept.visitor,
            "cookie" if click.by_cookie else "new" if is_new else "fingerprint",
            kept.member,
            kept.lease,
            self._visitor_key(click, kept),
            click.records.by_fingerprint,
            kept.click_ids,
            click.keys.window_ms,
            click.keys.pool,
            kept.at_ms,
        )

    @staticmethod
    def _visitor_key(click: Click, kept: Kept) -> str:
        return visitor_key(click.keys, click.link.record.smart_link_id, kept.visitor, click.ecid)

    async def _store_bot(self, link: Link, entry: Entry, answer: Answer) -> None:
        try:
            await self._store(entry)
        except Exception:
            self._failed(link, entry.click_id, answer)
        else:
            answer(link.keys.profile, "")

    async def _store(self, entry: Entry) -> None:
        """Put an entry that takes no lease into the log, or into the spill."""
        key = log_key(entry.shard)
        for _ in range(2):
            waiter = self._pipeline.submit(log_command(entry), key)
            reply = await waiter if waiter is not None else None
            if type(reply) is bytes:
                self._pipeline.accepted(key)
                return
            self._refusing.add(key)
            if not (isinstance(reply, hiredis.ReplyError) and await self._pipeline.refused(reply, key)):
                break
        await self._put_aside(entry)

    async def _put_aside(self, entry: Entry) -> bool:
        stored = await self._spill.append(entry)
        if stored:
            self._metrics.spilled += 1
        else:
            self._metrics.unrecorded += 1
        return stored

    def _target(self, keys: Pool, member: str) -> bytes:
        found = self._locations.get(member)
        if found is None:
            found = location(member.partition("|")[2])
            if found is None:
                return keys.reserve_url
            if len(self._locations) >= _LOCATIONS_LIMIT:
                self._locations.clear()
            self._locations[member] = found
        return found
