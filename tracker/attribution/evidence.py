"""Loads what the fold of a batch of fans needs, as the fold's own values."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
import ulid

from tracker.attribution.facts import (
    FIRST_SEEN,
    Click,
    ClickVisit,
    FanEvent,
    LinkSubscriber,
    MessageSeen,
    Subscribed,
    TransactionSeen,
)
from tracker.attribution.subscriptions import subscriptions
from tracker.stores.postgres import Connection
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.attribution", "attribution.sql")

FanKey = tuple[str, str]  # account_id, fan_id
LONGEST_WAIT = 60_000  # ms a new event waits for a recorder or a Valkey that is away


@dataclass(frozen=True)
class Account:
    """What the fold and a postback need of an account. `longest_window` in milliseconds."""

    account_id: str
    team_id: str
    platform_user_id: str
    username: str
    display_name: str
    free_page: bool
    longest_window: int
    shard: int


RecordedUntil = Callable[[Connection, Iterable[int]], Awaitable[Mapping[int, int]]]


@dataclass
class Evidence:
    """Accounts and events of a batch, and the clicks leased on the links its fans came through.

    `waiting`: fans left out because clicks before their newest event may not be recorded yet.
    """

    accounts: dict[str, Account] = field(default_factory=dict)
    events: dict[FanKey, list[FanEvent]] = field(default_factory=dict)
    leases: dict[int, list[Click]] = field(default_factory=dict)
    waiting: list[FanKey] = field(default_factory=list)


def to_ms(moment: datetime) -> int:
    """Unix milliseconds of a timestamptz."""
    return round(moment.timestamp() * 1000)


def from_ms(at: int) -> datetime:
    """The UTC moment of Unix milliseconds."""
    return datetime.fromtimestamp(at / 1000, UTC)


def click_id_at(at: int, *, last: bool = False) -> str:
    """The least (or greatest) click id of a millisecond: ids sort by their time."""
    prefix: str = ulid.from_timestamp(max(at, 0) / 1000).timestamp().str
    return prefix.lower() + ("z" if last else "0") * 16


async def load(connection: Connection, fans: Sequence[FanKey], recorded_until: RecordedUntil | None = None) -> Evidence:
    """Accounts, events and leases of these fans. `recorded_until`: see recorded.py; without it nobody waits."""
    evidence = Evidence(events={fan: [] for fan in fans})
    account_ids = sorted({account_id for account_id, _ in fans})
    for row in await connection.fetch(SQL["accounts"], account_ids):
        evidence.accounts[row["account_id"]] = Account(
            row["account_id"], row["team_id"], row["platform_user_id"], row["username"], row["display_name"],
            row["subscribe_price_cents"] == 0, row["longest_window"] * 1000, row["shard"],
        )  # fmt: skip
    newest: dict[FanKey, tuple[int, int]] = {}
    for row in await connection.fetch(SQL["events"], [fan[0] for fan in fans], [fan[1] for fan in fans]):
        fan = (row["account_id"], row["fan_id"])
        seen_at = to_ms(row["first_seen_at"])
        newest[fan] = max(newest.get(fan, (0, 0)), (min(to_ms(row["at"]), seen_at), seen_at))
        event = as_event(row)
        if event is not None:
            evidence.events[fan].append(event)
    if recorded_until is not None:
        # Asked before the clicks are read: what was recorded then is seen now.
        until = await recorded_until(connection, {account.shard for account in evidence.accounts.values()})
        now = round(time.time() * 1000)
        for fan, (at, seen_at) in newest.items():
            if at > until.get(evidence.accounts[fan[0]].shard, 0) and now - seen_at < LONGEST_WAIT:
                evidence.waiting.append(fan)
                del evidence.events[fan]
    await _load_leases(connection, evidence)
    return evidence


async def _load_leases(connection: Connection, evidence: Evidence) -> None:
    wanted: list[tuple[int, str, str]] = []
    for (account_id, _), events in evidence.events.items():
        window = evidence.accounts[account_id].longest_window
        for subscription in subscriptions(events):
            if subscription.link is not None:
                first, last = click_id_at(subscription.at - window), click_id_at(subscription.end, last=True)
                wanted.append((subscription.link.inventory_link_id, first, last))
    if not wanted:
        return
    rows = await connection.fetch(SQL["leased_clicks"], *(list(column) for column in zip(*wanted, strict=True)))
    clicks = await _with_visits(connection, rows)
    leases: dict[int, dict[str, Click]] = defaultdict(dict)
    for row in rows:
        leases[row["leased"]][row["click_id"]] = clicks[row["click_id"]]
    evidence.leases = {link: list(found.values()) for link, found in leases.items()}


async def load_visitors(
    connection: Connection, visitors: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], list[Click]]:
    """All clicks of each (account_id, visitor)."""
    keys = sorted(set(visitors))
    if not keys:
        return {}
    rows = await connection.fetch(SQL["visitor_clicks"], [key[0] for key in keys], [key[1] for key in keys])
    clicks = await _with_visits(connection, rows)
    found: dict[tuple[str, str], list[Click]] = defaultdict(list)
    for row in rows:
        found[row["account_id"], row["visitor"]].append(clicks[row["click_id"]])
    return found


async def _with_visits(connection: Connection, rows: Sequence[asyncpg.Record]) -> dict[str, Click]:
    ids = sorted({row["click_id"] for row in rows})
    later: dict[str, list[ClickVisit]] = defaultdict(list)
    for row in await connection.fetch(SQL["visits"], ids) if ids else ():
        visit = ClickVisit(to_ms(row["visited_at"]), row["inventory_link_id"], row["visitor_by"] == "cookie")
        later[row["click_id"]].append(visit)
    clicks = {}
    for row in rows:
        first = ClickVisit(to_ms(row["clicked_at"]), row["inventory_link_id"], row["visitor_by"] == "cookie")
        visits = sorted([first, *later[row["click_id"]]], key=lambda visit: visit.at)
        clicks[row["click_id"]] = Click(
            row["click_id"], row["smart_link_id"], row["visitor"], row["lease"], row["window_seconds"] * 1000,
            row["ecid"] or "", tuple(visits),
        )  # fmt: skip
    return clicks


def as_event(row: asyncpg.Record | Mapping[str, Any]) -> FanEvent | None:
    """A platform_events row (joined with its inventory link) as the fold's value; None for a kind it does not use."""
    at, seen_at, detail = to_ms(row["at"]), to_ms(row["first_seen_at"]), row["detail"]
    match row["kind"]:
        case "subscribed":
            returning = detail.get("sub_type") == "returning_subscriber"
            return Subscribed(
                row["event_key"], at, row["precision_seconds"], seen_at, detail.get("price_cents"), returning
            )
        case "link_subscriber":
            timeless = row["precision_seconds"] == FIRST_SEEN
            return LinkSubscriber(
                row["event_key"], at, FIRST_SEEN if timeless else row["precision_seconds"], seen_at,
                row["inventory_link_id"], row["role"] not in (None, "external"), row["link_kind"] == "free_trial",
                detail.get("inferred") is True,
            )  # fmt: skip
        case "transaction":
            return TransactionSeen(
                row["event_key"], at, detail["transaction_id"], detail["type"], detail["status"],
                detail["gross_cents"], detail["net_cents"], detail.get("description") or "",
            )  # fmt: skip
        case "message":
            return MessageSeen(row["event_key"], at, row["event_key"].removeprefix("msg:"))
        case _:
            return None
