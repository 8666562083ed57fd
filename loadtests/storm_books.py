"""What a storm is shaped like, what its passes come to, and how that is told."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from tracker.stores import postgres


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """One storm. `seconds`: of feeding; `every`: between kills; `drain`: seconds after the feed until all must be settled.

    `flaky` destinations fail FAIL_RATE of their requests; `hanging` ones never answer; the rest are healthy.
    `give_up`: seconds of nothing but failures that disable a destination. `well`: nobody is sick, for comparison.
    """

    conversions: int = 20000
    destinations: int = 20
    flaky: int = 6
    hanging: int = 1
    seconds: float = 40.0
    every: float = 5.0
    drain: float = 60.0
    timeout: float = 1.0
    give_up: float = 15.0
    well: bool = False

    def healthy(self) -> list[str]:
        """Names of the destinations that are never sick."""
        return [f"d{number:02}" for number in range(self.flaky + self.hanging, self.destinations)]


class Kill(msgspec.Struct, frozen=True):
    """A `kill -9`: when it was sent, when nothing of the victim was left, and the events it held leases of."""

    at: float
    gone: float
    held: set[str]


class Books(msgspec.Struct, kw_only=True):
    """What one pass came to. Times are seconds; `repeats` are receipts beyond the first of an event id.

    `running_p99`: of the conversions that waited for no restart; how long a restart takes says nothing of sick receivers.
    `unexplained`: repeats of what was not in flight at a kill in between. `phantom`: called delivered, never received.
    `silent`: dead without words or attempts. `wrongly_dead`: dead, received, and not in flight at a kill.
    """

    conversions: int
    delivered: int
    dead: int
    waiting: int
    kills: int
    in_flight_at_kills: int
    attempts: int
    repeats: int
    unexplained: int
    phantom: int
    silent: int
    wrongly_dead: int
    strangers: int
    healthy_p50: float
    healthy_p99: float
    running_p99: float
    seconds: float
    disabled: dict[str, str]

    @property
    def balanced(self) -> bool:
        """Everything is accounted for."""
        wrong = (
            self.waiting + self.unexplained + self.phantom + self.silent + self.wrongly_dead + self.strangers
            + abs(self.conversions - self.delivered - self.dead)
        )  # fmt: skip
        return wrong == 0


class Report(msgspec.Struct, kw_only=True):
    """Both passes, and what is wrong, in words (empty: nothing)."""

    calm: Books
    storm: Books
    p99_ratio: float
    wrong: list[str]


async def balance(
    pool: postgres.Pool, received: Mapping[str, list[float]], kills: Sequence[Kill], shape: Shape, seconds: float
) -> Books:
    """The books of a pass that took `seconds`. `received`: when receivers took each event, in order, by event id."""
    rows = await pool.fetch("SELECT event_id, destination_id, state, attempts, verdict, created_at FROM deliveries")
    states = Counter(row["state"] for row in rows)
    ours = {row["event_id"] for row in rows}
    healthy = set(shape.healthy())
    taken = {row["event_id"]: row for row in rows}
    spans = [
        (taken[event_id]["created_at"].timestamp(), at[0])
        for event_id, at in received.items()
        if event_id in ours and taken[event_id]["destination_id"] in healthy
    ]
    waits = sorted(end - start for start, end in spans)
    pauses = _pauses(kills, spans)
    undisturbed = sorted(
        end - start for start, end in spans if not any(start <= back and end >= at for at, back in pauses)
    )
    dead = [row for row in rows if row["state"] == "dead"]
    disabled = await pool.fetch("SELECT destination_id, state_reason FROM destinations WHERE state <> 'active'")
    return Books(
        conversions=shape.conversions,
        delivered=states["delivered"],
        dead=states["dead"],
        waiting=states["waiting"],
        kills=len(kills),
        in_flight_at_kills=sum(len(kill.held) for kill in kills),
        attempts=await pool.fetchval("SELECT count(*) FROM attempts"),
        repeats=sum(len(at) - 1 for at in received.values()),
        unexplained=sum(unexplained(kills, event_id, at) for event_id, at in received.items()),
        phantom=sum(row["state"] == "delivered" and row["event_id"] not in received for row in rows),
        silent=sum(not row["verdict"] for row in dead),
        wrongly_dead=sum(
            unexplained(kills, row["event_id"], [received[row["event_id"]][-1], time.time()])
            for row in dead
            if row["event_id"] in received
        ),
        strangers=len(set(received) - ours),
        healthy_p50=round(_quantile(waits, 0.5), 4),
        healthy_p99=round(_quantile(waits, 0.99), 4),
        running_p99=round(_quantile(undisturbed, 0.99), 4),
        seconds=round(seconds, 1),
        disabled={row["destination_id"]: row["state_reason"] for row in disabled},
    )  # fmt: skip


def _pauses(kills: Sequence[Kill], spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """From each kill until something written after it is received: nobody dispatched in between."""
    return [(kill.at, min((end for start, end in spans if start > kill.gone), default=kill.gone)) for kill in kills]


def unexplained(kills: Sequence[Kill], event_id: str, received: Sequence[float]) -> int:
    """How many of an event's repeats no kill explains. A kill that found it leased explains one repeat: that which came after it of
    what had come before it."""
    excuses = [kill.gone for kill in kills if event_id in kill.held]
    count = 0
    for since, at in itertools.pairwise(received):
        excuse = next((gone for gone in excuses if since <= gone <= at), None)
        if excuse is None:
            count += 1
        else:
            excuses.remove(excuse)
    return count


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def text(report: Report) -> str:
    """The report for a person."""
    lines = []
    for title, books in (("All destinations well", report.calm), ("With sick destinations", report.storm)):
        lines += [
            f"{title} ({books.seconds:.0f} s, {books.kills} kills, {books.attempts} attempts)",
            f"  {books.conversions} conversions = {books.delivered} delivered + {books.dead} dead + {books.waiting} waiting",
            f"  received again: {books.repeats}, of {books.in_flight_at_kills} in flight at kills; without that excuse: {books.unexplained}",
            f"  called delivered but never received: {books.phantom}; dead without a word: {books.silent};"
            f" dead though received: {books.wrongly_dead}",
            f"  healthy destinations, written to received: p50 {books.healthy_p50 * 1000:.0f} ms, p99 {books.healthy_p99 * 1000:.0f} ms"
            f" (while a dispatcher runs: {books.running_p99 * 1000:.0f} ms)",
            *(f"  {name} is off: {reason}" for name, reason in books.disabled.items()),
        ]
    lines.append(f"p99 while a dispatcher runs, with sick destinations / without: {report.p99_ratio:.2f}")
    lines += [f"WRONG: {words}" for words in report.wrong] or ["The books balance."]
    return "\n".join(lines)
