"""Telling destinations of clicks (spec 5: `click`): new clicks that are no bots, in the transaction that stores them."""

from __future__ import annotations

import time
from collections.abc import Iterable

import asyncpg

from postbacks.events import Event
from postbacks.outbox import enqueue
from tracker.clicklog import KIND_BOT
from tracker.facts import click_facts, rfc3339
from tracker.recorder.plan import NewClick
from tracker.stores.postgres import Connection
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.recorder", "announce.sql")
REFRESH_SECONDS = 1.0


class Announcer:
    """Knows which smart links have a destination that wants clicks, as of a second ago at most; most have none."""

    def __init__(self) -> None:
        self._links: frozenset[str] = frozenset()
        self._read_at = -REFRESH_SECONDS

    async def announce(self, connection: Connection, clicks: Iterable[NewClick]) -> int:
        """Write the deliveries of these stored clicks in the caller's transaction; returns how many."""
        if time.monotonic() - self._read_at >= REFRESH_SECONDS:
            self._links = frozenset(row["smart_link_id"] for row in await connection.fetch(SQL["links_wanting_clicks"]))
            self._read_at = time.monotonic()
        if not self._links:
            return 0
        wanted = [
            new.entry.visit_id
            for new in clicks
            if new.entry.kind != KIND_BOT and new.entry.visit.smart_link_id in self._links
        ]
        if not wanted:
            return 0
        rows = await connection.fetch(SQL["click_facts"], wanted, min(wanted))
        return await enqueue(connection, [_event(row) for row in rows])


def _event(row: asyncpg.Record) -> Event:
    facts = click_facts(row) | {
        "conversion_type": "click",
        "conversion_id": row["click_id"],
        "conversion_at": rfc3339(row["clicked_at"]),
    }
    return Event(
        event_id=row["click_id"],
        event_type="click",
        occurred_at=row["clicked_at"],
        team_id=row["team_id"],
        smart_link_id=row["smart_link_id"],
        facts={name: value for name, value in facts.items() if value},
    )
