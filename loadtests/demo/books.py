"""Balances the demo's books: what was played against what the product recorded, credited and delivered."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from loadtests.demo.cast import Person
from loadtests.demo.visitors import Played
from tracker.stores.queries import load_queries

SQL = load_queries("loadtests.demo", "books.sql")


@dataclass(frozen=True)
class Invariant:
    """One thing that must hold. `wrong` lists what does not, in words."""

    name: str
    expected: int
    found: int
    wrong: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the books balance here."""
        return self.expected == self.found and not self.wrong


@dataclass(frozen=True)
class Records:
    """What the product has, read once."""

    clicks: Sequence[asyncpg.Record]
    hours: asyncpg.Record
    bindings: Sequence[asyncpg.Record]
    conversions: Sequence[asyncpg.Record]
    deliveries: Sequence[asyncpg.Record]
    fans: Sequence[asyncpg.Record]


async def read(connection: asyncpg.Connection[Any]) -> Records:
    """Everything the books need."""
    hours = await connection.fetchrow(SQL["hours"])
    assert hours is not None
    return Records(
        await connection.fetch(SQL["clicks"]),
        hours,
        await connection.fetch(SQL["bindings"]),
        await connection.fetch(SQL["conversions"]),
        await connection.fetch(SQL["deliveries"]),
        await connection.fetch(SQL["fans"]),
    )


def balance(
    cast: Iterable[Person],
    played: Played,
    truth: dict[str, Any],
    records: Records,
    received: Sequence[dict[str, str]],
    exact: bool,
) -> list[Invariant]:
    """All invariants. `exact`: no process was killed, so no request went unanswered and counts are equal, not bounds."""
    people = list(cast)
    return [
        Invariant("answers as they should be", 0, len(played.wrong), tuple(played.wrong)),
        *_click_books(played, records, exact),
        *_credit_books(people, played, records),
        *_money_books(people, played, truth, records),
        *_delivery_books(records, received),
    ]


def _click_books(played: Played, records: Records, exact: bool) -> list[Invariant]:
    rows: dict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in records.clicks:
        if not row["is_bot"]:
            rows[row["fbclid"]].append(row)
    wrong = [f"{tag}: {len(found)} clicks instead of one" for tag, found in rows.items() if len(found) != 1]
    wrong += [f"{tag}: answered but not recorded" for tag in played.answered if tag not in rows]
    gross_wrong = []
    for tag, found in rows.items():
        gross = sum(row["gross_clicks"] for row in found)
        most = played.attempted[tag]
        if not played.answered[tag] <= gross <= most or (exact and gross != most):
            gross_wrong.append(f"{tag}: {gross} visits recorded, {played.answered[tag]} answered, {most} tried")
    bots = sum(row["is_bot"] for row in records.clicks)
    bots_fit = bots == played.bots if exact else played.bots <= bots <= played.bots_attempted
    counted = sum(not row["is_bot"] for row in records.clicks)
    gross_total = sum(row["gross_clicks"] for row in records.clicks if not row["is_bot"])
    return [
        Invariant("every answered click is recorded once", len(played.answered), len(rows), tuple(wrong)),
        Invariant("every visit is counted", len(rows), len(rows), tuple(gross_wrong)),
        Invariant("bots are kept apart", played.bots, bots if exact or not bots_fit else played.bots),
        Invariant(
            "no bot has a lease",
            0,
            sum(row["is_bot"] and row["inventory_link_id"] is not None for row in records.clicks),
        ),
        Invariant("hourly counters equal the rows: clicks", counted, records.hours["clicks"]),
        Invariant("hourly counters equal the rows: visits", gross_total, records.hours["gross_clicks"]),
        Invariant("hourly counters equal the rows: bots", bots, records.hours["bots"]),
        *(
            [Invariant("prefetches are refused and counted", played.prefetches, records.hours["prefetches"])]
            if exact
            else []
        ),
    ]


def _credit_books(people: Sequence[Person], played: Played, records: Records) -> list[Invariant]:
    bound = {(row["fan_id"], row["fbclid"]) for row in records.bindings if row["rule"] == "subscribed"}
    moved = {(row["fan_id"], row["fbclid"]) for row in records.bindings if row["rule"] == "clicked_again"}
    reasons = {row["fan_id"]: row["unattributed_reason"] for row in records.fans}
    expected = {(played.fans[p.fbclid], p.credited) for p in people if p.credited and p.fbclid in played.fans}
    expected_moves = {(played.fans[p.fbclid], p.moved_fbclid) for p in people if p.moves_to}
    expected_reasons = {played.fans[p.fbclid]: p.unattributed_reason for p in people if p.unattributed_reason}
    wrong = [f"fan {fan} was credited to {tag}" for fan, tag in sorted(bound - expected)]
    wrong += [
        f"fan {fan} was not credited to {tag} ({reasons.get(fan)})" for fan, tag in sorted(expected - bound, key=str)
    ]
    reasons_wrong = [
        f"fan {fan}: {reasons.get(fan, 'not known')!r} instead of {reason!r}"
        for fan, reason in expected_reasons.items()
        if reasons.get(fan, "not known") != reason
    ]
    return [
        Invariant("fans in the window are bound to their click", len(expected), len(bound), tuple(wrong)),
        Invariant("fans follow their browser to a later click", len(expected_moves), len(moved & expected_moves),
                  tuple(f"fan {fan} moved to {tag}" for fan, tag in sorted(moved - expected_moves))),
        Invariant("other fans are not credited, with the reason", len(expected_reasons),
                  len(expected_reasons) - len(reasons_wrong), tuple(reasons_wrong)),
    ]  # fmt: skip


def _money_books(people: Sequence[Person], played: Played, truth: dict[str, Any], records: Records) -> list[Invariant]:
    credited = {played.fans[p.fbclid]: p.credited for p in people if p.fbclid in played.fans}
    payments = dict(played.payments)
    for fan in truth["fans"]:
        for transaction in fan["transactions"]:
            tag = credited.get(str(fan["fan_id"]))
            payments.setdefault(
                transaction["id"],
                {"fan": str(fan["fan_id"]), "cents": round(float(transaction["amount"]) * 100), "click": tag},
            )
    expected = {(tx, row["fan"], row["click"], row["cents"]) for tx, row in payments.items() if row["click"]}
    found = {
        (row["transaction_id"], row["fan_id"], row["fbclid"], row["amount_gross_cents"])
        for row in records.conversions
        if row["conversion_type"] == "new_transaction"
    }
    subscribers = {
        (row["fan_id"], row["fbclid"]) for row in records.conversions if row["conversion_type"] == "new_subscriber"
    }
    expected_subscribers = {(fan, tag) for fan, tag in credited.items() if tag}
    messages = Counter(row["fbclid"] for row in records.conversions if row["conversion_type"] == "message_received")
    expected_messages = Counter(tag for tag in played.messages.values() if tag)
    counters = Counter(row["conversion_type"] for row in records.conversions)
    talkers = [p.messages for p in people if p.messages and p.credited]
    return [
        Invariant("every payment is credited once, to the cent", len(expected), len(found),
                  tuple(f"payment {row} should not be" for row in sorted(found - expected))
                  + tuple(f"payment {row} is missing" for row in sorted(expected - found))),
        Invariant("every subscriber is told once", len(expected_subscribers), len(subscribers),
                  tuple(f"{row}" for row in sorted(subscribers ^ expected_subscribers))),
        Invariant("every message is credited once", sum(expected_messages.values()), sum(messages.values()),
                  tuple(f"{tag}: {messages[tag]} of {count}" for tag, count in expected_messages.items() if messages[tag] != count)),
        Invariant("first messages are told", len(talkers), counters["fan_sent_1_message"]),
        Invariant("third messages are told", sum(count >= 3 for count in talkers), counters["fan_sent_3_messages"]),
    ]  # fmt: skip


def _delivery_books(records: Records, received: Sequence[dict[str, str]]) -> list[Invariant]:
    arrived: dict[str, dict[str, str]] = {row["cid"]: row for row in received}
    # Changes of a transaction's status are told only to those who ask; this postback does not.
    conversions = {
        row["conversion_id"]: row for row in records.conversions if row["conversion_type"] != "transaction_status"
    }
    missing = [
        f"{row['conversion_type']} {cid} did not arrive" for cid, row in conversions.items() if cid not in arrived
    ]
    missing += [f"{cid} arrived but is no conversion" for cid in arrived if cid not in conversions]
    wrong = []
    for cid, row in arrived.items():
        conversion = conversions.get(cid)
        if conversion and (row["fan"], row["fbclid"]) != (conversion["fan_id"], conversion["fbclid"] or ""):
            wrong.append(f"{cid}: told {row['fan']} {row['fbclid']}")
    waiting = [row for row in records.deliveries if row["state"] != "delivered"]
    return [
        Invariant("every conversion's postback arrives", len(conversions), len(arrived), tuple(missing)),
        Invariant("every postback says what was credited", 0, len(wrong), tuple(wrong)),
        Invariant(
            "nothing waits, nothing died",
            0,
            len(waiting),
            tuple(f"{row['event_id']}: {row['state']}" for row in waiting[:5]),
        ),
    ]
