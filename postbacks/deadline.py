"""One deadline for many things at once: asyncio's timeouts, of which each needs no timer of its own."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Deadline:
    """Cancels the task it was entered in when its seconds are over; leaving it then raises TimeoutError. Enter it once."""

    __slots__ = ("_deadlines", "_is_over", "_task", "ends")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._is_over = False
        self._task: asyncio.Task[object] | None = None
        self.ends = 0.0  # by the loop's clock

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._deadlines.watch(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._deadlines.running.pop(self, None)
        # A cancellation that somebody else asked for as well goes on.
        if self._is_over and self._task is not None and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """The time is over."""
        assert self._task is not None
        self._is_over = True
        self._task.cancel()


class Deadlines:
    """Makes deadlines of so many `seconds`, the same for each: the first begun is the first to end, and one timer does.

    Use inside a running loop.
    """

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self.running: dict[Deadline, None] = {}  # in the order they end

    def start(self) -> Deadline:
        """One that begins when it is entered."""
        return Deadline(self)

    def watch(self, deadline: Deadline) -> None:
        """From now on."""
        deadline.ends = self._loop.time() + self._seconds
        self.running[deadline] = None
        if self._timer is None:
            self._timer = self._loop.call_at(deadline.ends, self._look)

    def close(self) -> None:
        """Let go of the timer; what is still running is watched no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        # The clock may read a little less than the timer was set to.
        self._timer = None
        now = self._loop.time() + 0.001
        while self.running:
            first = next(iter(self.running))
            if first.ends > now:
                self._timer = self._loop.call_at(first.ends, self._look)
                return
            del self.running[first]
            first.expire()
