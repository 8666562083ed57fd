"""What an edge keeps ready for the moments in which Valkey is away, so that even then a repeated click is the same click and
a new one gets a link of its own: the claims of the last minutes, and a few links per busy pool, leased ahead.

Only when both run out is a visitor sent to the pool's reserve link. Everything here is a copy or a loan: losing it with the
process costs nothing but that.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import structlog
from redis.exceptions import RedisError

from tracker.edge.claim import LinkKeys, RecordKeys, parse_claim, same_person
from tracker.stores import valkey

log = structlog.get_logger()

REMEMBERED = 20_000  # record keys at most, half of them at least; about 10 MB
STASH = 24  # links per pool, at most an eighth of the pool's free ones (claim.lua)
HOLD_MS = 3_600_000  # an edge that dies leaves its loans leased this long
RENEW_MS = 300_000
LOOK_SECONDS = 1.0
BUSY_MS = 600_000  # a pool nobody used for so long needs no stash


class Kept(NamedTuple):
    """A claim as remembered. `member`, `lease`: what the visitor got; `spilled`: Valkey does not know of it yet."""

    click_id: str
    visitor: str
    lease: str
    member: str
    click_ids: str
    at_ms: int
    spilled: bool


Claimed = tuple[bytes, str, int]
"""A claim as the hot path leaves it: Valkey's reply, click-id digests, Unix ms. A plain tuple: cheap, and no garbage to trace."""


class Standby:
    """Remembered claims and lent links of one edge process. Times are Unix milliseconds."""

    def __init__(self, client: valkey.Client, function: str, is_up: Callable[[], bool]) -> None:
        self._client = client
        self._function = function
        self._is_up = is_up
        # Two generations instead of an order of ages: dropping the oldest costs nothing per click.
        self._young: dict[str, Kept | Claimed] = {}
        self._old: dict[str, Kept | Claimed] = {}
        self._stashes: dict[str, deque[str]] = {}
        self._renewed_at: dict[str, int] = {}
        self.used_at: dict[str, int] = {}
        self.unreplayed = 0
        """Spilled clicks that Valkey has not been told of; while there are any, they are looked up here first."""

    def remember(self, keys: RecordKeys, claim: Kept | Claimed) -> None:
        """Remember a claim, or a spilled click, under its records' keys."""
        young = self._young
        young[keys.by_visitor] = young[keys.by_fingerprint] = claim
        if len(young) > REMEMBERED // 2:
            self._old, self._young = young, {}

    def forget(self, keys: RecordKeys, click_id: str) -> None:
        """A click that could not be kept: whoever comes again is a click, not a repeat of one that is nowhere."""
        for key in (keys.by_visitor, keys.by_fingerprint):
            for generation in (self._young, self._old):
                found = generation.get(key)
                if isinstance(found, Kept) and found.click_id == click_id:
                    del generation[key]

    def find(self, keys: RecordKeys, by_cookie: bool, now_ms: int, window_ms: int) -> Kept | None:
        """The click this visit repeats, by the rules of claim.lua; None when it is not remembered."""
        if by_cookie:
            kept = self._recall(keys.by_visitor)
        else:
            kept = self._recall(keys.by_fingerprint) or self._recall(keys.by_yesterday)
            if kept is not None and not same_person(now_ms - kept.at_ms, keys.click_ids, kept.click_ids):
                return None
        return kept if kept is not None and now_ms - kept.at_ms < window_ms else None

    def _recall(self, key: str) -> Kept | None:
        found = self._young.get(key) or self._old.get(key)
        if found is None or isinstance(found, Kept):
            return found
        reply, click_ids, at_ms = found
        claim = parse_claim(reply)
        return Kept(claim.click_id, claim.visitor, claim.lease, claim.member, click_ids, at_ms, False)

    def take(self, keys: LinkKeys) -> str:
        """A lent link's member, now the visitor's; '' when there is none."""
        stash = self._stashes.get(keys.pool)
        return stash.popleft() if stash else ""

    def replayed(self) -> None:
        """Valkey knows all that was spilled."""
        self.unreplayed = 0

    @property
    def lent(self) -> int:
        """Links held."""
        return sum(map(len, self._stashes.values()))

    async def run(self) -> None:
        """Keep the stashes filled until cancelled."""
        while True:
            if self._is_up():
                try:
                    await self.fill(time.time_ns() // 1_000_000)
                except (RedisError, OSError) as error:
                    valkey.doubt(self._client)
                    log.debug("edge.stash_not_filled", error=str(error)[:120])
            await asyncio.sleep(LOOK_SECONDS)

    async def fill(self, now_ms: int) -> None:
        """Borrow and renew what busy pools need, give back what others hold."""
        for pool, used_at in list(self.used_at.items()):
            stash = self._stashes.setdefault(pool, deque())
            if now_ms - used_at > BUSY_MS:
                await self._give_back(pool)
                del self.used_at[pool]
                continue
            if stash and now_ms - self._renewed_at.get(pool, 0) > RENEW_MS:
                await self._renew(pool, stash, now_ms)
            if len(stash) < STASH:
                await self._borrow(pool, stash, now_ms)

    async def give_all_back(self) -> None:
        """Before the process ends: the links are free again."""
        for pool in list(self._stashes):
            await self._give_back(pool)

    async def _borrow(self, pool: str, stash: deque[str], now_ms: int) -> None:
        server = await valkey.server_of(self._client, pool)
        found = await server.fcall(self._function, 1, pool, str(now_ms), str(now_ms + HOLD_MS), str(STASH - len(stash)))
        stash.extend(member.decode() for member in found)
        self._renewed_at.setdefault(pool, now_ms)

    async def _renew(self, pool: str, stash: deque[str], now_ms: int) -> None:
        held = list(stash)
        pipe = (await valkey.server_of(self._client, pool)).pipeline(transaction=False)
        for member in held:
            pipe.zadd(pool, {member: now_ms + HOLD_MS}, xx=True)
            pipe.zscore(pool, member)
        scores = (await pipe.execute())[1::2]
        for member, score in zip(held, scores, strict=True):
            if score is None and member in stash:
                stash.remove(member)  # retired meanwhile
        self._renewed_at[pool] = now_ms

    async def _give_back(self, pool: str) -> None:
        stash = self._stashes.pop(pool, None)
        if stash:
            now_ms = time.time_ns() // 1_000_000
            server = await valkey.server_of(self._client, pool)
            await server.zadd(pool, dict.fromkeys(stash, now_ms), xx=True)
