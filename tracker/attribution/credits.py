"""Stores what a fold gave: bindings with their history, conversions, and the deliveries of the new ones, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from postbacks.events import Event
from postbacks.outbox import enqueue
from tracker.attribution.evidence import SQL, Account, FanKey, from_ms
from tracker.attribution.facts import Conversion, Folded
from tracker.attribution.identity import conversion_id
from tracker.facts import click_facts, rfc3339
from tracker.stores.postgres import Connection

_SEPARATOR = chr(31)
ENQUEUED_AT_ONCE = 200  # the outbox compares the events of one call with each other: a long list costs its square


@dataclass(frozen=True)
class Row:
    """A conversion on its way to its table."""

    conversion_id: str
    fan: FanKey
    conversion: Conversion


async def store(
    connection: Connection, folds: Mapping[FanKey, Folded], accounts: Mapping[str, Account], now_ms: int
) -> list[str]:
    """Make the tables say what the folds say. Returns the ids of the conversions that are new."""
    fans = sorted(folds)
    keys = [fan[0] for fan in fans], [fan[1] for fan in fans]
    await connection.execute(
        SQL["store_fans"],
        *keys,
        [_moment(folds[fan].first_subscribed_at) for fan in fans],
        [folds[fan].unattributed_reason for fan in fans],
    )
    await _store_bindings(connection, folds, keys)
    return await _store_conversions(connection, folds, accounts, keys, now_ms)


def _moment(at: int | None) -> datetime | None:
    return None if at is None else from_ms(at)


async def _store_bindings(
    connection: Connection, folds: Mapping[FanKey, Folded], keys: tuple[list[str], list[str]]
) -> None:
    believed: dict[tuple[FanKey, datetime, str, str, int], asyncpg.Record] = {}
    for row in await connection.fetch(SQL["believed_bindings"], *keys):
        fan = (row["account_id"], row["fan_id"])
        believed[fan, row["valid_from"], row["click_id"], row["rule"], row["competing_clicks"]] = row
    new: list[tuple[object, ...]] = []
    explained: list[tuple[object, ...]] = []
    for fan, folded in folds.items():
        for binding in folded.bindings:
            moment, click = from_ms(binding.valid_from), binding.click
            key = (fan, moment, click.click_id, binding.rule, binding.competing_clicks)
            why = (click.lease, binding.confidence, _SEPARATOR.join(binding.event_keys))
            if key not in believed:
                new.append(
                    (*fan, moment, click.click_id, click.smart_link_id, binding.rule, binding.competing_clicks, *why)
                )
                continue
            stored = believed.pop(key)
            if (stored["lease"], stored["confidence"], _SEPARATOR.join(stored["event_keys"])) != why:
                explained.append((stored["binding_id"], *why))
    if believed:
        await connection.execute(SQL["retract_bindings"], [row["binding_id"] for row in believed.values()])
    if explained:
        await connection.execute(SQL["explain_bindings"], *_columns(explained))
    if new:
        await connection.execute(SQL["insert_bindings"], *_columns(new))


async def _store_conversions(
    connection: Connection,
    folds: Mapping[FanKey, Folded],
    accounts: Mapping[str, Account],
    keys: tuple[list[str], list[str]],
    now_ms: int,
) -> list[str]:
    known: dict[FanKey, dict[str, asyncpg.Record]] = {fan: {} for fan in folds}
    for told in await connection.fetch(SQL["known_conversions"], *keys):
        known[told["account_id"], told["fan_id"]][told["conversion_id"]] = told
    gone: list[str] = []
    changed: list[Row] = []
    new: list[Row] = []
    for fan, folded in folds.items():
        rows = named(fan, folded.conversions, known[fan])
        believed = {row.conversion_id for row in rows}
        gone += [name for name, old in known[fan].items() if name not in believed and old["retracted_at"] is None]
        for row in rows:
            stored = known[fan].get(row.conversion_id)
            if stored is None and not row.conversion.held(now_ms):
                new.append(row)
            elif stored is not None and _stored_facts(stored) != _facts(row.conversion):
                changed.append(row)
    if gone:
        await connection.execute(SQL["retract_conversions"], gone)
    if changed:
        facts = [(row.conversion_id, row.conversion.click.smart_link_id, *_facts(row.conversion)) for row in changed]
        await connection.execute(SQL["correct_conversions"], *_columns(facts))
    return await _insert(connection, new, accounts)


def named(fan: FanKey, conversions: Sequence[Conversion], known: Mapping[str, asyncpg.Record]) -> list[Row]:
    """Each conversion with its id.

    A source that came late may have moved a subscription's minute, and so its identity: it is still the one already told,
    recognised by the platform events behind it (the link's before the notification's), and keeps its id.
    """
    rows = [
        Row(conversion_id(*fan, conversion.type, conversion.identity), fan, conversion) for conversion in conversions
    ]
    taken = {row.conversion_id for row in rows}
    told = {
        key: name
        for name, row in sorted(known.items())
        if row["conversion_type"] == "new_subscriber" and name not in taken
        for key in row["event_keys"]
    }
    if not told:
        return rows
    moved: dict[int, str] = {}
    for source in ("link:", "sub:"):
        for index, row in enumerate(rows):
            if row.conversion.type != "new_subscriber" or row.conversion_id in known or index in moved:
                continue
            for key in row.conversion.event_keys:
                if key.startswith(source) and key in told and told[key] not in moved.values():
                    moved[index] = told[key]
                    break
    return [Row(moved.get(index, row.conversion_id), fan, row.conversion) for index, row in enumerate(rows)]


def _facts(conversion: Conversion) -> tuple[object, ...]:
    return (
        conversion.click.click_id, from_ms(conversion.at), conversion.gross_cents, conversion.net_cents,
        conversion.transaction_type, conversion.transaction_status, conversion.transaction_description,
        conversion.previously_subscribed, conversion.purchase, _SEPARATOR.join(conversion.event_keys),
    )  # fmt: skip


def _stored_facts(row: asyncpg.Record) -> tuple[object, ...]:
    if row["retracted_at"] is not None:
        return ()
    return (
        row["click_id"], row["conversion_at"], row["amount_gross_cents"], row["amount_net_cents"],
        row["transaction_type"], row["transaction_status"], row["transaction_description"],
        row["previously_subscribed"], row["purchase"], _SEPARATOR.join(row["event_keys"]),
    )  # fmt: skip


def _columns(rows: Sequence[tuple[object, ...]]) -> Iterable[list[object]]:
    return (list(column) for column in zip(*rows, strict=True))


async def _insert(connection: Connection, rows: Sequence[Row], accounts: Mapping[str, Account]) -> list[str]:
    if not rows:
        return []
    columns = [
        (
            row.conversion_id, accounts[row.fan[0]].team_id, row.fan[0], row.conversion.click.smart_link_id,
            row.conversion.click.click_id, row.fan[1], row.conversion.type, from_ms(row.conversion.at),
            row.conversion.gross_cents, row.conversion.net_cents, row.conversion.transaction_id,
            row.conversion.transaction_type, row.conversion.transaction_status, row.conversion.transaction_description,
            row.conversion.previously_subscribed, row.conversion.purchase, _SEPARATOR.join(row.conversion.event_keys),
        )
        for row in rows
    ]  # fmt: skip
    inserted = await connection.fetch(SQL["insert_conversions"], *_columns(columns))
    new = {row["conversion_id"] for row in inserted}
    told = await _delivery_events(connection, [row for row in rows if row.conversion_id in new], accounts)
    for start in range(0, len(told), ENQUEUED_AT_ONCE):
        await enqueue(connection, told[start : start + ENQUEUED_AT_ONCE])
    return sorted(new)


async def _delivery_events(connection: Connection, rows: Sequence[Row], accounts: Mapping[str, Account]) -> list[Event]:
    clicks = {
        row["click_id"]: row
        for row in await connection.fetch(SQL["click_facts"], sorted({row.conversion.click.click_id for row in rows}))
    }
    fans = {
        (row["account_id"], row["fan_id"]): row
        for row in await connection.fetch(SQL["fan_names"], [row.fan[0] for row in rows], [row.fan[1] for row in rows])
    }
    return [
        Event(
            event_id=row.conversion_id,
            event_type=row.conversion.type,
            occurred_at=from_ms(row.conversion.at),
            team_id=accounts[row.fan[0]].team_id,
            smart_link_id=row.conversion.click.smart_link_id,
            facts=facts(row, clicks[row.conversion.click.click_id], fans[row.fan]),
        )
        for row in rows
    ]


def facts(row: Row, click: asyncpg.Record, fan: asyncpg.Record) -> dict[str, str]:
    """The template variables of a conversion (spec 6), absent ones left out. Amounts are dollars with two decimals.

    Beyond them, for destinations of other kinds: `purchase` ('first' | 'repeat'), `currency`, `previously_subscribed` ('1'),
    and the click's match keys (`tracker/facts.py`).
    """
    conversion = row.conversion
    values: dict[str, str | None] = {
        **click_facts(click),
        "conversion_type": conversion.type,
        "conversion_id": row.conversion_id,
        "conversion_at": rfc3339(from_ms(conversion.at)),
        "amount_gross": dollars(conversion.gross_cents),
        "amount_net": dollars(conversion.net_cents),
        "currency": "USD",
        "fan_onlyfans_id": row.fan[1],
        "fan_onlyfans_username": fan["username"],
        "fan_onlyfans_name": fan["name"],
        "transaction_type": conversion.transaction_type,
        "transaction_description": conversion.transaction_description,
        "transaction_status": conversion.transaction_status,
        "purchase": conversion.purchase,
        "previously_subscribed": "1" if conversion.previously_subscribed else None,
    }
    return {name: value for name, value in values.items() if value}


def dollars(cents: int | None) -> str | None:
    """'12.34' of 1234; None stays None."""
    if cents is None:
        return None
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"
