"""One destination in the dispatcher: its leased deliveries, its slots, its breaker and its health. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from postbacks.breaker import Breaker, BreakerPolicy, after, long_memory
from postbacks.chunk import Chunk, Claimed, Lone
from postbacks.destinations.base import Destination
from postbacks.queue import Change, Row
from postbacks.verdicts import Verdict

READ_AHEAD_SECONDS = (
    0.5  # this much work is leased ahead of the slots, so that a round trip to the database costs nothing
)
MOST_READ_AHEAD = 32  # times the concurrency
MOST_LEASED = 2000  # at once, as the constant in the claim statement
PUBLISH_AFTER = timedelta(
    seconds=10
)  # a failure forgotten sooner than this is not worth a write to the destination's row

Load = Callable[[Row], Destination]


class Lane:
    """`hungry`: the last look found more than we took. `version`: of the row `destination` was built from."""

    def __init__(self, destination_id: str, concurrency: int, policy: BreakerPolicy) -> None:
        self.destination_id = destination_id
        self.destination: Destination | None = None
        self.version = ""
        self.kind = ""
        self.hungry = False
        self.in_flight = 0
        self.last_used = 0.0
        self._concurrency = concurrency
        self._policy = policy
        self._breaker = Breaker()
        self._buffer: deque[tuple[Chunk, float]] = deque()  # with when its leases are too short
        self._leased = 0
        self._seconds = READ_AHEAD_SECONDS  # a smoothed duration of its attempts
        self._failing_since: datetime | None = None
        self._published = False
        self._batch_cap = 0  # 0: as many as the destination takes

    @property
    def waiting(self) -> int:
        """Leased deliveries not yet sent."""
        return self._leased

    @property
    def idle(self) -> bool:
        """Nothing leased, nothing under way, nothing to remember."""
        return not (self._buffer or self.in_flight or self.hungry or self._breaker.failures)

    def configure(self, row: Row, load: Load) -> None:
        """Take over the stored row. Raises what `load` raises; the lane then has no destination."""
        self.destination = None
        self.version = row.version
        self.kind = row.kind
        if row.failing_since is not None:
            self._failing_since, self._published = row.failing_since, True
        elif self._published:
            self._failing_since, self._published = None, False
        self.destination = load(row)

    def appetite(self, now: float) -> int:
        """How many deliveries to lease now: enough to keep the slots busy for READ_AHEAD_SECONDS, in large bites."""
        slots = self._breaker.allowance(now, self._concurrency)
        batch = self.destination.batch_size if self.destination else 1
        if slots < self._concurrency:  # probing or throttled: nothing ahead of the slots
            return max(0, (slots - self.in_flight) * batch - self._leased)
        ahead = min(max(READ_AHEAD_SECONDS / max(self._seconds, 0.001), 1.0), MOST_READ_AHEAD)
        target = min(int(slots * batch * ahead), MOST_LEASED)
        return target - self._leased if self._leased * 2 <= target else 0

    def add(self, chunk: Chunk, usable_until: float) -> None:
        """Keep leased deliveries for sending before `usable_until` (monotonic seconds)."""
        self._buffer.append((chunk, usable_until))
        self._leased += len(chunk)

    def take(self, now: float, returned: list[Claimed]) -> list[Chunk | Lone]:
        """The next batch to send, if a slot is free; leases too short to be sent under go to `returned`.

        A `Lone` is alone in it: it is what destinations get that take one event at a time.
        """
        batch: list[Chunk | Lone] = []
        if self.destination is None or self.in_flight >= self._breaker.allowance(now, self._concurrency):
            return batch
        most = self.destination.batch_size
        if self._batch_cap:
            most = min(most, self._batch_cap)
        room = most
        while self._buffer and room:
            chunk, usable_until = self._buffer[0]
            if usable_until < now:
                returned.extend(chunk.claims())
                self._leased -= len(chunk)
                self.hungry = True
                self._buffer.popleft()
                continue
            waiting = len(chunk)
            count = min(waiting, room)
            if most == 1:
                batch.append(chunk.pop())
            else:
                batch.append(chunk if count == waiting else chunk.cut(count))
            if count == waiting:
                self._buffer.popleft()
            room -= count
            self._leased -= count
        return batch

    def shrink(self, size: int) -> None:
        """A batch of `size` was refused whole, and there was no time to find out why: smaller ones from now on."""
        self._batch_cap = max(1, size // 2)

    def empty(self) -> list[Claimed]:
        """Give up everything that was leased and not sent."""
        given_up = [claimed for chunk, _ in self._buffer for claimed in chunk.claims()]
        self._buffer.clear()
        self._leased = 0
        return given_up

    def is_open(self, now: float) -> bool:
        """The breaker lets nothing through."""
        return self._breaker.is_open(now)

    def observe(self, verdicts: list[Verdict], *, begun: float, now: float, wall: datetime) -> Change | None:
        """Learn from an attempt (monotonic `begun` and `now`, and the time of day); returns what is to be written down."""
        self._seconds += 0.2 * ((now - begun) - self._seconds)
        halting = next((verdict for verdict in verdicts if verdict.halts), None)
        outcomes = [verdict.outcome for verdict in verdicts]
        outcome = "delivered" if "delivered" in outcomes else outcomes[0]
        if outcome == "delivered" and self._batch_cap:
            most = self.destination.batch_size if self.destination else 1
            self._batch_cap = 2 * self._batch_cap if 2 * self._batch_cap < most else 0
        was_open_until = self._breaker.open_until
        self._breaker = after(self._policy, self._breaker, outcome, now, begun=begun)
        self._failing_since, memory = long_memory(self._policy, self._failing_since, outcome, wall)
        if halting is not None:
            return Change(
                self.destination_id, "disabled" if halting.halts == "disabled" else "paused", words=halting.words
            )
        if memory == "clear" and self._published:
            self._published = False
            return Change(self.destination_id, "recovered")
        if outcome in ("delivered", "permanent", "ours") or self._failing_since is None:
            return None
        limit = timedelta(seconds=self._policy.disable_after)
        if memory == "disable":
            words = f"nothing but failures since {self._failing_since:%Y-%m-%d %H:%M} UTC; last: {verdicts[0].words}"
            return Change(self.destination_id, "disabled", since=wall - limit, words=words)
        opened = self._breaker.open_until > max(now, was_open_until)
        if not opened and (self._published or wall - self._failing_since < PUBLISH_AFTER):
            return None
        self._published = True
        until = wall + timedelta(seconds=self._breaker.open_until - now) if opened else None
        return Change(self.destination_id, "failing", since=self._failing_since, until=until, stale=wall - 2 * limit)
