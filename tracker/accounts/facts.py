"""Stores what a provider told of fans: platform events (once per fact), fans, and wake-ups of their folds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from tracker.protection.tombstones import erased_for_good
from tracker.providers.events import PlatformEvent
from tracker.stores.postgres import Connection
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.accounts", "facts.sql")


class Fact(msgspec.Struct, frozen=True):
    """An event of an account and who told it."""

    account_id: str
    event: PlatformEvent
    source: Literal["webhook", "poll"]


async def record(connection: Connection, facts: Iterable[Fact]) -> set[tuple[str, str]]:
    """Store the facts in the caller's transaction; returns the (account_id, event_key) that were new. Erased fans stay unknown.

    Rows are written in one order whoever writes, so writers of the same fans wait for each other and do not deadlock.
    """
    told = list(facts)
    if not told:
        return set()
    gone = await erased_for_good(connection, ((fact.account_id, fact.event.fan_id) for fact in told))
    unique = {
        (fact.account_id, fact.event.event_key): fact
        for fact in told
        if (fact.account_id, fact.event.fan_id) not in gone
    }
    ordered = [unique[key] for key in sorted(unique)]
    if not ordered:
        return set()
    events = [fact.event for fact in ordered]
    rows = await connection.fetch(
        SQL["store_events"],
        [fact.account_id for fact in ordered],
        [event.event_key for event in events],
        [event.kind for event in events],
        [event.fan_id for event in events],
        [event.at for event in events],
        [event.precision_seconds for event in events],
        [event.inventory_link_id for event in events],
        [event.detail for event in events],
        [fact.source for fact in ordered],
    )
    # The fold locks a fan's queue row before the fan; so do we.
    woken = sorted({(row["account_id"], row["fan_id"]) for row in rows})
    if woken:
        await connection.execute(
            SQL["wake_fans"], [account_id for account_id, _ in woken], [fan_id for _, fan_id in woken]
        )
    people: dict[tuple[str, str], tuple[str, str]] = {}
    for fact in ordered:
        key = (fact.account_id, fact.event.fan_id)
        username, name = people.get(key, ("", ""))
        people[key] = (fact.event.username or username, fact.event.name or name)
    fans = sorted(people)
    await connection.execute(
        SQL["store_fans"],
        [account_id for account_id, _ in fans],
        [fan_id for _, fan_id in fans],
        [people[fan][0] for fan in fans],
        [people[fan][1] for fan in fans],
    )
    return {(row["account_id"], row["event_key"]) for row in rows}
