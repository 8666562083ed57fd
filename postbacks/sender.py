"""Sending a lane's batch: what is not to be sent is settled at once, the rest is tried, and every attempt taken down."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime

from postbacks.attempt import Tried, settle, taken, try_once, unsent
from postbacks.batches import screen, send_split
from postbacks.clerk import Clerk
from postbacks.egress import Egress
from postbacks.lane import Lane
from postbacks.queue import Claimed
from postbacks.retry import RetryPolicy

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

    async def send(self, lane: Lane, batch: list[Claimed]) -> None:
        """Send a batch, in parts where it is refused whole; what there was no time for is given back."""
        destination = lane.destination
        assert destination is not None
        batch, refused = screen(destination, batch, datetime.now(UTC))
        for claimed, verdict in refused:
            self._clerk.settle(unsent(self._retry, claimed, verdict))
        if len(batch) == 1:  # nothing to split
            begun = time.monotonic()
            item = batch[0].item
            assert item is not None
            self._take_down(lane, batch, await try_once(destination, [item], self._egress), begun)
            return
        settled: set[str] = set()
        split_until = time.monotonic() + self._split_seconds
        async with aclosing(send_split(destination, batch, self._egress, split_until)) as parts:
            async for sent, tried, begun in parts:
                settled.update([claimed.event_id for claimed in sent])
                if self._take_down(lane, sent, tried, begun):
                    break
        left = [claimed for claimed in batch if claimed.event_id not in settled] if len(settled) < len(batch) else []
        if left:
            lane.shrink(len(left))
            self._clerk.give_back(left)

    def _take_down(self, lane: Lane, sent: list[Claimed], tried: Tried, begun: float) -> bool:
        """What an attempt means for its deliveries and its lane; returns whether the destination is switched off."""
        now = time.monotonic()
        if self._told is not None:
            self._told(lane.kind, [verdict.outcome for verdict in tried.verdicts], tried.duration_ms / 1000)
        # Of a batch that was taken whole one verdict says all.
        judged = tried.verdicts[:1] if tried.events else tried.verdicts
        change = lane.observe(judged, begun=begun, now=now, wall=datetime.now(UTC))
        if tried.events:
            self._clerk.settle_batch(taken(tried, sent))
        else:
            for at, claimed in enumerate(sent):
                self._clerk.settle(settle(self._retry, tried, claimed, at, random.uniform(-1, 1)))
        if change is not None:
            self._clerk.note(change)
        if lane.is_open(now):
            self._clerk.give_back(lane.empty())
        return change is not None and change.what in ("paused", "disabled")
