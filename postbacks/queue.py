"""The dispatcher's side of the queue tables: what is ready, leasing it, and settling what was tried."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal

import asyncpg
import msgspec

from postbacks.chunk import Chunk, Claimed
from postbacks.destinations.registry import KINDS
from postbacks.queries import load_queries
from postbacks.retry import RetryDecision
from postbacks.verdicts import Outcome

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

SQL = load_queries("dispatcher.sql")

# What a database that is away, restarting or overloaded raises; the same call may succeed later. asyncpg says
# InternalClientError when the server ended a connection that lay idle in the pool.
DATABASE_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class Finished(msgspec.Struct, frozen=True):
    """One attempt at one delivery, and what becomes of it. Texts hold no secrets; `duration_ms` is the whole attempt."""

    claimed: Claimed
    decision: RetryDecision
    outcome: Outcome
    words: str
    started_at: datetime
    duration_ms: int
    request: str = ""
    status_code: int | None = None
    answer: str = ""
    ambiguous: bool = False


class Taken(msgspec.Struct, frozen=True):
    """A batch that was taken whole: every one of its deliveries fared as this attempt at it did.

    `keys`: of all of them, in order, `Keys` as JSON; the deliveries themselves, with all the facts they bring, are not
    kept until they are written. `events`: what was sent of each, likewise; `head`: what goes before each in
    the log; `longest`: characters of one that are kept. Texts hold no secrets.
    """

    destination_id: str
    count: int
    keys: bytes
    outcome: Outcome
    words: str
    started_at: datetime
    duration_ms: int
    head: str
    events: bytes | memoryview
    longest: int
    status_code: int | None
    answer: str


class Row(msgspec.Struct, frozen=True):
    """A destination as stored. `config` is JSON text; `version` changes with every edit of the row."""

    destination_id: str
    kind: str
    config: str
    secrets_sealed: bytes | None
    failing_since: datetime | None
    breaker_until: datetime | None
    version: str


class Change(msgspec.Struct, frozen=True):
    """A change of a destination's health to write down.

    failing: since `since`, no requests until `until`. recovered: all forgiven. paused, disabled: switched off, saying
    `words`; with `since`, only if it still fails since before then. `stale`: older failing marks are not believed.
    """

    destination_id: str
    what: Literal["failing", "recovered", "paused", "disabled"]
    since: datetime | None = None
    until: datetime | None = None
    stale: datetime | None = None
    words: str = ""


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the `complete` statement's JSON."""

    event_id: str
    destination_id: str
    day: date
    lease_token: str
    state: str
    delay: float
    charged: bool
    verdict: str
    attempt: int
    started_at: datetime
    duration_ms: int
    request: str
    status_code: int | None
    answer: str
    outcome: str
    words: str
    ambiguous: bool


CHUNK = 250  # deliveries told of in one text: what is made of one fits a processor's cache


def in_braces(names: Sequence[str]) -> str:
    """Names as an array in PostgreSQL's notation."""
    return "{" + ",".join(names) + "}"


READ_BY_KIND = tuple(
    zip(*((name, in_braces(kind.reads)) for name, kind in KINDS.items() if kind.reads), strict=True)
)  # as the claim statement takes it


class Queue:
    """The queue, through a pool of connections whose time zone is UTC.

    Every method raises one of DATABASE_ERRORS when the database is away.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def ready(self) -> list[str]:
        """Ids of active destinations with something due."""
        return [row["destination_id"] for row in await self._pool.fetch(SQL["ready"])]

    async def claim(
        self,
        takes: Mapping[str, int],
        lease_seconds: float,
        reads: Mapping[str, tuple[str, Sequence[str]]] | None = None,
    ) -> list[Chunk]:
        """Lease up to so many due deliveries per destination, each one's oldest first. Committed when this returns.

        `reads`: the version of destinations as they are known, and the facts they read, twelve at most; of others, and of those
        that were edited since, all facts are told. The chunks of a destination are in a row.
        """
        token = uuid.uuid4().hex
        known = [(reads or {}).get(of) for of in takes]
        rows = await self._pool.fetch(
            SQL["claim"], list(takes), list(takes.values()), lease_seconds, token, *map(list, READ_BY_KIND), CHUNK,
            [None if one is None else one[0] for one in known], [None if one is None else in_braces(one[1]) for one in known],
        )  # fmt: skip
        return [
            Chunk(
                row["destination_id"], row["version"], row["day"], token, tuple(row["names"] or ()), row["gone"], row["text"],
                0, row["count"],
            )
            for row in rows
        ]  # fmt: skip

    async def destinations(self, ids: Sequence[str]) -> list[Row]:
        """The rows of these destinations."""
        return [Row(**dict(row)) for row in await self._pool.fetch(SQL["destinations"], list(ids))]

    async def complete(self, finished: Sequence[Finished], *, again: bool = False) -> int:
        """Settle these deliveries and log their attempts, in one transaction.

        Returns how many were settled: a delivery whose lease was lost keeps the state its new holder gives it, while
        the attempt, having happened, is logged all the same. `again`: an earlier call failed, perhaps after its commit.
        """
        ordered = sorted(finished, key=lambda each: (each.claimed.event_id, each.claimed.destination_id))
        entries = msgspec.json.encode([_entry(each) for each in ordered]).decode()
        return len(await self._pool.fetch(SQL["complete"], entries, again))

    async def complete_batch(self, taken: Taken, *, again: bool = False) -> int:
        """The same of a batch that was taken whole, in one statement that is told once what its deliveries share."""
        settled: int = await self._pool.fetchval(
            SQL["complete_batch"], taken.keys, taken.count, taken.destination_id, taken.events,
            taken.head, taken.longest, taken.started_at, taken.duration_ms, taken.status_code, taken.answer,
            taken.outcome, taken.words, again,
        )  # fmt: skip
        return settled

    async def release(self, claims: Sequence[Claimed]) -> None:
        """Give back leases of deliveries that were not sent."""
        keys = [(c.event_id, c.destination_id, c.day, c.lease_token) for c in claims]
        await self._pool.execute(SQL["release"], *map(list, zip(*keys, strict=True)))

    async def strand(self) -> None:
        """Dead-letter what waits, unleased, for destinations that are disabled."""
        await self._pool.execute(SQL["strand"])

    async def change(self, change: Change) -> bool:
        """Write a change of health. Returns whether it took effect."""
        if change.what == "failing":
            await self._pool.execute(SQL["failing"], change.destination_id, change.since, change.until, change.stale)
            return True
        if change.what == "recovered":
            await self._pool.execute(SQL["recovered"], change.destination_id)
            return True
        done = await self._pool.fetchval(SQL["halt"], change.destination_id, change.what, change.words, change.since)
        return done is not None


def _entry(each: Finished) -> _Entry:
    claimed, decision = each.claimed, each.decision
    return _Entry(
        event_id=claimed.event_id,
        destination_id=claimed.destination_id,
        day=claimed.day,
        lease_token=claimed.lease_token,
        state=decision.state,
        delay=decision.delay,
        charged=decision.charged,
        verdict=decision.words,
        attempt=claimed.attempts + 1,
        started_at=each.started_at,
        duration_ms=each.duration_ms,
        request=each.request,
        status_code=each.status_code,
        answer=each.answer,
        outcome=each.outcome,
        words=each.words,
        ambiguous=each.ambiguous,
    )
