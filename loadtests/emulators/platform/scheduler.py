"""Work due at a virtual time: webhook attempts, re-logins."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .clock import Clock

Action = Callable[[], Awaitable[None]]


@dataclass(order=True, slots=True)
class _Entry:
    due: datetime
    order: int
    action: Action = field(compare=False)
    delivery: bool = field(compare=False)


class Scheduler:
    """Runs actions when the virtual clock reaches their due time; advancing the clock makes them due."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[_Entry] = []
        self._order = 0
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        clock.on_advance(self._wake.set)

    def at(self, due: datetime, action: Action, *, delivery: bool = True) -> None:
        """Run `action` at virtual time `due`. `delivery=False` marks a timer that `settled` does not await."""
        self._order += 1
        heapq.heappush(self._heap, _Entry(due, self._order, action, delivery))
        self._wake.set()

    async def run(self) -> None:
        """The loop; cancel the task to stop."""
        while True:
            self._wake.clear()
            self._start_due()
            timeout = None
            if self._heap:
                timeout = max(0.0, (self._heap[0].due - self._clock.now()).total_seconds())
            try:
                await asyncio.wait_for(self._wake.wait(), timeout)
            except TimeoutError:
                continue

    def _start_due(self) -> None:
        now = self._clock.now()
        while self._heap and self._heap[0].due <= now:
            task = asyncio.ensure_future(_run(heapq.heappop(self._heap).action))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    def pending(self) -> int:
        """Deliveries not finished yet: waiting for their time or running."""
        return sum(1 for entry in self._heap if entry.delivery) + len(self._running)

    async def settled(self, timeout: float = 10.0, within: float | None = None) -> bool:
        """Wait (real seconds) until no delivery is running or due within `within` virtual seconds.

        None waits for every scheduled delivery. False on timeout.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        horizon = None if within is None else self._clock.now() + timedelta(seconds=within)
        while loop.time() < deadline:
            waiting = any(e.delivery and (horizon is None or e.due <= horizon) for e in self._heap)
            if not waiting and not self._running:
                return True
            await asyncio.sleep(0.003)
        return False

    def clear(self) -> None:
        """Forget everything not started yet."""
        self._heap.clear()

    async def close(self) -> None:
        """Cancel what is running."""
        self.clear()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


async def _run(action: Action) -> None:
    await action()
