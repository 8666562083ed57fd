"""Carries a schedule of faults out, and notes when each one began and was over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests.chaos.schedule import Fault, Strike
from loadtests.chaos.stage import ChaosStage

CLOCK_STEP = 50.0  # seconds


@dataclass
class Window:
    """When a fault really was in force, seconds since the epoch. `done` 0: it still is."""

    fault: Fault
    began: float
    done: float = 0.0

    def overlaps(self, since: float, until: float) -> bool:
        """Whether it was in force at some time within `since` .. `until`."""
        return self.began <= until and (not self.done or self.done >= since)


class Injector:
    """Strikes at a stage."""

    def __init__(self, stage: ChaosStage, seed: int, say: Callable[[str], None]) -> None:
        self._stage = stage
        self._say = say
        self._rng = random.Random(f"injector {seed}")
        self.windows: list[Window] = []

    async def run(self, strikes: Iterable[Strike]) -> None:
        """All strikes, each at its time; returns when the last one is over."""
        opened = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for strike in strikes:
                group.create_task(self._strike(strike, opened))

    async def _strike(self, strike: Strike, opened: float) -> None:
        await asyncio.sleep(max(0.0, opened + strike.at - time.monotonic()))
        fault = strike.fault
        window = Window(fault, time.time())
        self.windows.append(window)
        self._say(f"{strike.at:7.1f} s  {fault.name:15} for {strike.seconds:5.1f} s  {fault.words}")
        async with getattr(self, f"_{fault.action}")(fault.target, strike.seconds):
            await asyncio.sleep(strike.seconds)
        window.done = time.time()

    def _pids(self, target: str) -> list[int]:
        if target in self._stage.stores:
            pid = self._stage.stores[target].pid
            return _family(pid) if pid is not None else []
        pids = self._stage.pids(target)
        return [self._rng.choice(pids)] if pids else []  # one of several edges: the others go on

    @asynccontextmanager
    async def _kill(self, target: str, seconds: float) -> AsyncIterator[None]:
        _signal(self._pids(target), signal.SIGKILL)
        yield

    @asynccontextmanager
    async def _term(self, target: str, seconds: float) -> AsyncIterator[None]:
        _signal(self._pids(target), signal.SIGTERM)
        yield

    @asynccontextmanager
    async def _stop(self, target: str, seconds: float) -> AsyncIterator[None]:
        pids = self._pids(target)
        _signal(pids, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(pids, signal.SIGCONT)

    @asynccontextmanager
    async def _away(self, target: str, seconds: float) -> AsyncIterator[None]:
        store = self._stage.stores[target]
        store.absences += 1
        try:
            _signal(self._pids(target), signal.SIGKILL)
            yield
        finally:
            store.absences -= 1

    @asynccontextmanager
    async def _reset(self, target: str, seconds: float) -> AsyncIterator[None]:
        async with self._repeating(self._stage.stores[target].proxy.reset, (0.05, 0.8)):
            yield

    @asynccontextmanager
    async def _delay(self, target: str, seconds: float) -> AsyncIterator[None]:
        proxy = self._stage.stores[target].proxy
        proxy.delay = (0.02, 0.3)
        try:
            yield
        finally:
            proxy.delay = (0.0, 0.0)

    @asynccontextmanager
    async def _hang(self, target: str, seconds: float) -> AsyncIterator[None]:
        proxy = self._stage.stores[target].proxy
        proxy.hang(True)
        try:
            yield
        finally:
            proxy.hang(False)

    @asynccontextmanager
    async def _slow(self, target: str, seconds: float) -> AsyncIterator[None]:
        # With `appendfsync always` Valkey's one thread waits for its disk, and so do all commits of PostgreSQL: to whoever
        # waits for them, a slow disk is a server that stops again and again.
        async def stalls() -> None:
            while True:
                pids = self._pids(target)
                _signal(pids, signal.SIGSTOP)
                try:
                    await asyncio.sleep(self._rng.uniform(0.05, 0.4))
                finally:
                    _signal(pids, signal.SIGCONT)
                await asyncio.sleep(self._rng.uniform(0.05, 0.4))

        stalling = asyncio.create_task(stalls())
        try:
            yield
        finally:
            stalling.cancel()
            await asyncio.gather(stalling, return_exceptions=True)

    @asynccontextmanager
    async def _full_log(self, target: str, seconds: float) -> AsyncIterator[None]:
        # A limit on the size of files, set on the running server at its log's present size: the next write is refused.
        # Under `appendfsync always` Valkey then ends itself, and ends again at each start while the disk is full.
        store = self._stage.stores[target]
        store.absences += 1
        pid = store.pid
        try:
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    resource.prlimit(
                        pid, resource.RLIMIT_FSIZE, (_log_size(store.server.data) + 1500, resource.RLIM_INFINITY)
                    )
            yield
            if store.pid == pid and pid is not None:  # nobody wrote so much: it lives, and has room again
                with contextlib.suppress(ProcessLookupError):
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        finally:
            store.absences -= 1

    @asynccontextmanager
    async def _full_spill(self, target: str, seconds: float) -> AsyncIterator[None]:
        store = self._stage.stores["valkey"]
        store.absences += 1
        edges = self._stage.pids("edge")
        try:
            _limit(edges, 1)  # not even the first record has room
            _signal(self._pids("valkey"), signal.SIGKILL)
            yield
        finally:
            _limit(edges, resource.RLIM_INFINITY)
            store.absences -= 1

    @asynccontextmanager
    async def _clock_back(self, target: str, seconds: float) -> AsyncIterator[None]:
        async with self._clock(-CLOCK_STEP):
            yield

    @asynccontextmanager
    async def _clock_forward(self, target: str, seconds: float) -> AsyncIterator[None]:
        async with self._clock(CLOCK_STEP):
            yield

    @asynccontextmanager
    async def _clock(self, step: float) -> AsyncIterator[None]:
        self._stage.clock_file.write_text(str(step))
        try:
            yield
        finally:
            self._stage.clock_file.write_text("0")

    @asynccontextmanager
    async def _repeating(self, act: Callable[[], None], pause: tuple[float, float]) -> AsyncIterator[None]:
        async def again() -> None:
            while True:
                act()
                await asyncio.sleep(self._rng.uniform(*pause))

        repeating = asyncio.create_task(again())
        try:
            yield
        finally:
            repeating.cancel()
            await asyncio.gather(repeating, return_exceptions=True)


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _limit(pids: Iterable[int], size: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _family(pid: int) -> list[int]:
    """A process and its children (PostgreSQL's backends have sessions of their own)."""
    found = [pid]
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(folder.name))
    return found


def _log_size(folder: Path) -> int:
    return max((path.stat().st_size for path in folder.rglob("*.aof")), default=0)
