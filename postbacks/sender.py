"""Sending a lane's batch: what is not to be sent is settled at once, the rest is tried, and every attempt taken down."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime

import structlog

from postbacks.attempt import Tried, keys, settle, taken, try_once, unsent
from postbacks.batches import screen, send_split
from postbacks.chunk import Chunk, Claimed, Lone
from postbacks.clerk import Clerk
from postbacks.destinations.base import Batching, Destination
from postbacks.egress import Egress
from postbacks.lane import Lane
from postbacks.parcel import Parcel, pack
from postbacks.retry import RetryPolicy
from postbacks.verdicts import Verdict

log = structlog.get_logger()

Told = Callable[[str, list[str], float], None]  # of an attempt: the kind of destination, its outcomes, its seconds


class Sender:
    """`split_seconds`: how long after its first attempt a batch may still be begun in parts. `told`: see `Told`."""

    def __init__(
        self, egress: Egress, clerk: Clerk, retry: RetryPolicy, split_seconds: float, told: Told | None = None
    ) -> None:
        self._egress = egress
        self._clerk = clerk
        self._retry = retry
        self._split_seconds = split_seconds
        self._told = told

    async def send(self, lane: Lane, batch: list[Chunk | Lone]) -> None:
        """Send a batch, in parts where it is refused whole; what there was no time for is given back."""
        destination = lane.destination
        assert destination is not None
        if (len(batch) > 1 or len(batch[0]) > 1) and isinstance(destination, Batching):
            chunks = [chunk for chunk in batch if isinstance(chunk, Chunk)]
            try:
                parcel = pack(destination, chunks, datetime.now(UTC))
            except Exception:
                # A defect of ours met one of these events. Screened one by one, it is found, and the others go out.
                log.exception("dispatcher: a batch could not be written", destination_id=lane.destination_id)
            else:
                await self._send_parcel(lane, destination, parcel)
                return
        claims = [claimed for chunk in batch for claimed in chunk.claims()]
        claims, refused = screen(destination, claims, datetime.now(UTC))
        self._refuse(refused)
        if len(claims) == 1:  # nothing to split
            begun = time.monotonic()
            item = claims[0].item
            assert item is not None
            self._take_down(lane, claims, await try_once(destination, [item], self._egress), begun)
        else:
            await self._send_split(lane, destination, claims, time.monotonic() + self._split_seconds)

    async def _send_parcel(self, lane: Lane, destination: Batching, parcel: Parcel) -> None:
        self._refuse(parcel.refused())
        if not parcel:
            return
        begun = time.monotonic()
        tried = await try_once(destination, parcel, self._egress, parcel.request)
        if tried.events:  # taken whole
            self._clerk.settle_batch(taken(tried, lane.destination_id, parcel.keys))
            self._learn(lane, tried, begun)
        else:
            await self._send_split(lane, destination, parcel.claims(), begun + self._split_seconds, (tried, begun))

    async def _send_split(
        self,
        lane: Lane,
        destination: Destination,
        claims: list[Claimed],
        split_until: float,
        first: tuple[Tried, float] | None = None,
    ) -> None:
        settled: set[str] = set()
        async with aclosing(send_split(destination, claims, self._egress, split_until, first)) as parts:
            async for sent, tried, begun in parts:
                settled.update([claimed.event_id for claimed in sent])
                if self._take_down(lane, sent, tried, begun):
                    break
        left = [claimed for claimed in claims if claimed.event_id not in settled] if len(settled) < len(claims) else []
        if left:
            lane.shrink(len(left))
            self._clerk.give_back(left)

    def _refuse(self, refused: list[tuple[Claimed, Verdict]]) -> None:
        for claimed, verdict in refused:
            self._clerk.settle(unsent(self._retry, claimed, verdict))

    def _take_down(self, lane: Lane, sent: list[Claimed], tried: Tried, begun: float) -> bool:
        """Settle what was sent; returns what `_learn` does."""
        if tried.events:
            self._clerk.settle_batch(taken(tried, lane.destination_id, keys(sent)))
        else:
            for at, claimed in enumerate(sent):
                self._clerk.settle(settle(self._retry, tried, claimed, at, random.uniform(-1, 1)))
        return self._learn(lane, tried, begun)

    def _learn(self, lane: Lane, tried: Tried, begun: float) -> bool:
        """What an attempt means for its lane; returns whether the destination is switched off."""
        now = time.monotonic()
        if self._told is not None:
            self._told(lane.kind, [verdict.outcome for verdict in tried.verdicts], tried.duration_ms / 1000)
        # Of a batch that was taken whole one verdict says all.
        judged = tried.verdicts[:1] if tried.events else tried.verdicts
        change = lane.observe(judged, begun=begun, now=now, wall=datetime.now(UTC))
        if change is not None:
            self._clerk.note(change)
        if lane.is_open(now):
            self._clerk.give_back(lane.empty())
        return change is not None and change.what in ("paused", "disabled")
