"""What a page shows of slow sources: the last answer there is, while the next is fetched. A page never waits longer than it says."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any

import structlog

log = structlog.get_logger()

MOST = 500  # answers kept
STALE_SECONDS = 30.0  # an answer this much older than it is good for is no answer


@dataclass
class _Entry:
    value: Any = None
    at: float = float("-inf")
    task: asyncio.Task[None] | None = None


class Kept:
    """Answers by key, each fetched anew when it is older than asked for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._clock = clock

    async def get(
        self, wanted: dict[Hashable, tuple[Callable[[], Awaitable[Any]], float]], wait: float
    ) -> dict[Hashable, Any]:
        """Answers to `wanted`: key → (how to fetch it, seconds it is good for). None where there is none within `wait` seconds."""
        entries = {key: self._entry(key) for key in wanted}
        running = []
        for key, (fetch, good_for) in wanted.items():
            entry = entries[key]
            if entry.task is None or entry.task.done():
                if self._clock() - entry.at <= good_for:
                    continue
                entry.task = asyncio.create_task(self._fetch(key, entry, fetch))
            running.append(entry.task)
        if running:
            await asyncio.wait(running, timeout=wait)
        now = self._clock()
        return {
            key: entry.value if now - entry.at <= wanted[key][1] + STALE_SECONDS else None
            for key, entry in entries.items()
        }

    def _entry(self, key: Hashable) -> _Entry:
        entry = self._entries.setdefault(key, _Entry())
        self._entries.move_to_end(key)
        while len(self._entries) > MOST:
            self._entries.popitem(last=False)
        return entry

    async def _fetch(self, key: Hashable, entry: _Entry, fetch: Callable[[], Awaitable[Any]]) -> None:
        try:
            entry.value = await fetch()
        except Exception as error:  # the page says what it does not know; a store that is away is told by its own sign
            log.warning("kept.fetch_failed", key=str(key), error=type(error).__name__)
            entry.value = None
            return
        entry.at = self._clock()
