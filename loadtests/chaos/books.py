"""Balances the books of a chaos run: what was answered, done and received against what the product has."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from loadtests.chaos.injector import Window
from loadtests.chaos.load import Load, Person
from loadtests.demo.books import Invariant
from tracker.stores.queries import load_queries

SQL = load_queries("loadtests.chaos", "books.sql")
IN_FLIGHT = (
    20.0  # seconds before a fault within which an attempt may have been under way: the delivery timeout and some
)
RESENDING = ("worker", "postgres")


@dataclass(frozen=True)
class Records:
    """What the product has, read once."""

    rows: dict[str, Sequence[asyncpg.Record]]

    @classmethod
    async def read(cls, url: str) -> Records:
        """Everything the books need, of one moment."""
        connection = await asyncpg.connect(url, timeout=10)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return cls({name: await connection.fetch(query) for name, query in SQL.items()})
        finally:
            await connection.close()


class Books:
    """One run's books. `received`: {event id, at} per request the receiver took."""

    def __init__(
        self, load: Load, windows: Sequence[Window], records: Records, received: Sequence[dict[str, Any]]
    ) -> None:
        self._load = load
        self._windows = windows
        self._rows = records.rows
        self._received = received
        self._clicks: dict[str, list[asyncpg.Record]] = defaultdict(list)
        for row in self._rows["clicks"]:
            self._clicks[row["ecid"] or ""].append(row)
        self._visits: dict[str, list[asyncpg.Record]] = defaultdict(list)
        for row in self._rows["visits"]:
            self._visits[row["ecid"] or ""].append(row)
        self.notes: list[str] = []

    def balance(self) -> list[Invariant]:
        """All invariants."""
        self.notes.clear()
        return [
            Invariant("redirects answered as they should be", 0, len(self._load.wrong), tuple(self._load.wrong)),
            *self._click_books(),
            *self._credit_books(),
            *self._delivery_books(),
        ]

    def _during(self, each: Person, *faults: str) -> bool:
        """Whether one of these faults could touch the person's clicks."""
        return any(w.fault.name in faults and w.overlaps(each.began - 1, each.ended + 1) for w in self._windows)

    def _click_books(self) -> list[Invariant]:
        answered = recorded = lost = apart = 0
        wrong: list[str] = []
        for each in self._load.people:
            rows = self._clicks.get(each.ecid, [])
            found = len(rows) + len(self._visits.get(each.ecid, []))
            gross = sum(row["gross_clicks"] for row in rows)
            answered += each.answered
            missing = max(0, each.answered - found)
            if missing and self._during(each, "full-spill"):
                lost += missing
                recorded += each.answered
            else:
                recorded += min(found, each.answered)
                if missing:
                    wrong.append(f"{each.ecid} ({each.kind}): {each.answered} answered, {found} recorded")
            if found > each.attempted:
                wrong.append(f"{each.ecid}: {found} recorded of {each.attempted} tried")
            if gross != found:
                wrong.append(f"{each.ecid}: its clicks count {gross} visits, {found} are there")
            if any(row["is_bot"] != (each.kind == "bot") for row in rows):
                wrong.append(f"{each.ecid} ({each.kind}): taken for the other kind")
            if len(rows) > 1 and each.kind != "bot":
                apart += 1
                if not any(row["spilled"] for row in rows):
                    wrong.append(f"{each.ecid}: one person, {len(rows)} clicks, though Valkey was there")
        strangers = set(self._clicks) - {each.ecid for each in self._load.people} - {""}  # '': not ours to count
        wrong += [f"{ecid}: recorded, never sent" for ecid in sorted(strangers)]
        if lost:
            self.notes.append(f"{lost} visits lost while Valkey was away and the spill's disk full, as documented")
        if apart:
            self.notes.append(f"{apart} people told apart while Valkey was away: their repeats reached the other edge")
        orphans = self._rows["orphans"][0]["visits"]
        people = [row for row in self._rows["clicks"] if not row["is_bot"]]
        hours = self._rows["hours"][0]
        return [
            Invariant("every answered visit is recorded, once", answered, recorded, tuple(wrong)),
            Invariant("no visit is without its click", 0, orphans),
            Invariant("no log entry was refused", 0, len(self._rows["rejects"]),
                      tuple(row["reason"] for row in self._rows["rejects"])),
            Invariant("hourly counters equal the rows: clicks", len(people), hours["clicks"]),
            Invariant("hourly counters equal the rows: visits", sum(r["gross_clicks"] for r in people) + orphans,
                      hours["gross_clicks"]),
            Invariant("hourly counters equal the rows: bots", len(self._rows["clicks"]) - len(people), hours["bots"]),
        ]  # fmt: skip

    def _credit_books(self) -> list[Invariant]:
        fans = {each.fan_id: each for each in self._load.people if each.fan_id}
        # A click whose record was lost, or dated by a clock that was wrong, need not be found; twice is wrong all the same.
        vague = {f for f, p in fans.items() if self._during(p, "full-spill", "clock-back", "clock-forward")}
        reasons = {row["fan_id"]: row["unattributed_reason"] for row in self._rows["fans"]}
        subscribed: Counter[str] = Counter()
        paid: dict[tuple[str, str], list[int]] = defaultdict(list)
        spoken: Counter[str] = Counter()
        wrong_link = []
        for row in self._rows["conversions"]:
            fan = row["fan_id"]
            kind = row["conversion_type"]
            if kind == "new_subscriber":
                subscribed[fan] += 1
                given = {row["url"], *(v["url"] for v in self._visits.get(row["ecid"] or "", []))}
                if fan in fans and fans[fan].target not in given and fan not in vague:
                    wrong_link.append(f"fan {fan} came by {fans[fan].target}, credited to a click given {row['url']}")
            elif kind == "new_transaction":
                paid[fan, row["transaction_id"]].append(row["amount_gross_cents"])
            elif kind == "message_received":
                spoken[fan] += 1
        if vague:
            self.notes.append(
                f"{len(vague)} fans clicked under a wrong clock or a full spill: credited once or not at all"
            )
        sure = [fan for fan in fans if fan not in vague or subscribed[fan]]
        early = self._before_first_seen()
        excused = {(fan, tx) for fan in sure for tx in fans[fan].payments if tx in early and not paid.get((fan, tx))}
        unheard = Counter(f for f in sure for sent in fans[f].sent if sent in early)
        unheard = Counter({f: min(count, max(0, len(fans[f].sent) - spoken[f])) for f, count in unheard.items()})
        if excused or unheard.total():
            self.notes.append(
                f"{len(excused)} payments and {unheard.total()} messages lie before their fan was first seen: no webhook told of"
                " the subscription, and the link's list of subscribers gives no times"
            )
        payments = {
            (fan, tx): cents for fan in sure for tx, cents in fans[fan].payments.items() if (fan, tx) not in excused
        }
        tips = {key for fan in fans.values() for key in fan.payments}
        # From the webhook, or from the link's list of subscribers when every webhook met a dead api.
        told = {row["fan_id"] for row in self._rows["events"] if row["kind"] in ("subscribed", "link_subscriber")}
        credited = sum(subscribed[fan] == 1 for fan in sure)
        right = sum(paid.get(key) == [cents] for key, cents in payments.items())
        return [
            Invariant("every subscription is a platform event", len(fans), len(fans.keys() & told),
                      tuple(f"fan {fan} is not known" for fan in sorted(fans.keys() - told))),
            Invariant("every subscriber is told once", len(sure), credited,
                      tuple(f"fan {fan} ({fans[fan].ecid}): {subscribed[fan]} times ({reasons.get(fan, 'not known')})"
                            for fan in sure if subscribed[fan] != 1)),
            Invariant("no fan is told twice or without having come", 0,
                      sum(count > 1 or fan not in fans for fan, count in subscribed.items())),
            Invariant("credits go to a click that was given the fan's link", 0, len(wrong_link), tuple(wrong_link)),
            Invariant("every payment is credited once, to the cent", len(payments), right,
                      tuple(f"fan {fan} {tx}: {paid.get((fan, tx), [])} instead of {cents}"
                            for (fan, tx), cents in payments.items() if paid.get((fan, tx)) != [cents])),
            Invariant("no tip that nobody paid", 0, sum(len(p) > 1 for k, p in paid.items() if k[1] in tips)),
            Invariant("every message is credited once", sum(len(fans[f].sent) - unheard[f] for f in sure),
                      sum(spoken[f] for f in sure),
                      tuple(f"fan {f}: {spoken[f]} of {len(fans[f].sent)}" for f in sure
                            if spoken[f] != len(fans[f].sent) - unheard[f])),
        ]  # fmt: skip

    def _before_first_seen(self) -> set[str]:
        """Payments and messages of before the minute in which their fan was first seen, for fans no webhook told of."""
        told = {row["fan_id"] for row in self._rows["events"] if row["kind"] == "subscribed"}
        seen: dict[str, datetime] = {}
        for row in self._rows["events"]:
            if row["kind"] == "link_subscriber" and row["fan_id"] not in told:
                minute = row["at"].replace(second=0, microsecond=0)
                seen[row["fan_id"]] = min(minute, seen.get(row["fan_id"], minute))
        return {
            row["event_key"].split(":")[1]
            for row in self._rows["events"]
            if row["kind"] in ("transaction", "message") and row["fan_id"] in seen and row["at"] < seen[row["fan_id"]]
        }

    def _delivery_books(self) -> list[Invariant]:
        told = {row["conversion_id"] for row in self._rows["written"]}
        deliveries: dict[str, list[asyncpg.Record]] = defaultdict(list)
        for row in self._rows["deliveries"]:
            deliveries[row["event_id"]].append(row)
        arrivals: dict[str, list[float]] = defaultdict(list)
        for each in self._received:
            arrivals[each["event_id"]].append(each["at"])
        states = Counter(row["state"] for row in self._rows["deliveries"])
        final = {
            event_id for event_id, rows in deliveries.items() if [r["state"] for r in rows] in (["delivered"], ["dead"])
        }
        wrong = [
            f"{event_id}: {[(r['state'], r['verdict']) for r in deliveries.get(event_id, [])]}"
            for event_id in told - final
        ]
        phantom = [e for e, rows in deliveries.items() if rows[0]["state"] == "delivered" and not arrivals.get(e)]
        unanswered = {row["event_id"] for row in self._rows["unanswered"]}
        repeats = {event_id: times for event_id, times in arrivals.items() if len(times) > 1}
        unexplained = [
            f"{event_id}: received {len(times)} times, {times[0]:.3f} and {times[1]:.3f}"
            for event_id, times in repeats.items()
            if event_id not in unanswered and not self._in_flight_at_a_fault(times)
        ]
        if repeats:
            self.notes.append(
                f"{len(repeats)} events arrived again, under the same id: on their way when worker or PostgreSQL fell, or not answered in time"
            )
        if states["dead"]:
            self.notes.append(f"{states['dead']} deliveries are dead letters")
        return [
            Invariant("every conversion is delivered or dead-lettered", len(told), len(told & final), tuple(wrong[:20])),
            Invariant("nothing waits", 0, states["waiting"]),
            Invariant("what is called delivered was received", 0, len(phantom), tuple(phantom[:20])),
            Invariant("nothing arrives that is no conversion", 0, len(set(arrivals) - told), tuple(sorted(set(arrivals) - told)[:20])),
            Invariant("nothing arrives twice but what was leased at a fault", 0, len(unexplained), tuple(unexplained[:20])),
        ]  # fmt: skip

    def _in_flight_at_a_fault(self, times: list[float]) -> bool:
        return all(
            any(
                w.fault.target in RESENDING and w.fault.action != "term" and w.overlaps(first - 1, first + IN_FLIGHT)
                for w in self._windows
            )
            for first in sorted(times)[:-1]
        )
