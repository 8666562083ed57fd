"""Loads the rows of an explanation, in one snapshot."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from tracker.attribution import evidence
from tracker.attribution.evidence import FanKey
from tracker.attribution.fold import choose
from tracker.explain.assembly import Rows, assemble, clicks_named, events_named
from tracker.explain.explanation import Explanation, Kind
from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.explain", "explain.sql")
MOST_FANS, MOST_CONVERSIONS, MOST_VISITS = 50, 200, 1000

_ID = re.compile(r"[\w.:@-]{1,200}", re.ASCII)


class Ambiguous(Exception):
    """Several accounts know this fan; one of `account_ids` has to be named."""

    def __init__(self, account_ids: Sequence[str]) -> None:
        super().__init__(f"several accounts know this fan: {', '.join(account_ids)}")
        self.account_ids = list(account_ids)


async def explain(
    pool: Pool, kind: Kind, name: str, *, team_id: str | None, account_id: str | None = None
) -> Explanation | None:
    """Why a fan, a conversion or a click is credited as it is; None when the team has no such thing.

    Click and conversion ids are matched in any case. `team_id` None: all teams, for the operator at the command line.
    Raises Ambiguous for a fan whom several accounts know, unless `account_id` names one.
    """
    if not _ID.fullmatch(name) or not (account_id is None or _ID.fullmatch(account_id)):
        return None
    name = name if kind == "fan" else name.lower()
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        if kind == "fan":
            accounts = await connection.fetch(SQL["fan_accounts"], team_id, name, account_id)
            if len(accounts) > 1:
                raise Ambiguous([row["account_id"] for row in accounts])
            fans = [(row["account_id"], name) for row in accounts]
            return assemble(kind, name, await _rows(connection, team_id, fans)) if fans else None
        if kind == "conversion":
            row = await connection.fetchrow(SQL["conversion_fan"], team_id, name)
            if row is None:
                return None
            rows = await _rows(connection, team_id, [(row["account_id"], row["fan_id"])], conversion=name)
            return assemble(kind, name, rows)
        return await _click(connection, team_id, name)


async def _click(connection: Connection, team_id: str | None, name: str) -> Explanation | None:
    row = await connection.fetchrow(SQL["click"], team_id, name)
    if row is None:
        return None
    found = await connection.fetch(
        SQL["click_fans"], team_id, name, row["inventory_link_id"], row["clicked_at"].replace(second=0, microsecond=0),
        row["until"], MOST_FANS + 1,
    )  # fmt: skip
    fans = [(fan["account_id"], fan["fan_id"]) for fan in found[:MOST_FANS]]
    rows = await _rows(connection, team_id, fans, account_id=row["account_id"], click=name)
    if len(found) > MOST_FANS:
        rows = replace(rows, truncated=[*rows.truncated, "fans"])
    return assemble("click", name, rows)


async def _rows(
    connection: Connection,
    team_id: str | None,
    fans: Sequence[FanKey],
    *,
    account_id: str = "",
    conversion: str | None = None,
    click: str | None = None,
) -> Rows:
    keys = [fan[0] for fan in fans], [fan[1] for fan in fans]
    account = await connection.fetchrow(SQL["account"], team_id, account_id or fans[0][0])
    assert account is not None
    known = await evidence.load(connection, fans)
    conversions = await connection.fetch(SQL["conversions"], team_id, *keys, conversion, click, MOST_CONVERSIONS + 1)
    rows = Rows(
        account=account,
        fans=await connection.fetch(SQL["fans"], team_id, *keys),
        bindings=await connection.fetch(SQL["bindings"], team_id, *keys),
        conversions=conversions[:MOST_CONVERSIONS],
        credits={fan: choose(events, known.leases) for fan, events in known.events.items()},
        leases=known.leases,
        truncated=["conversions"] if len(conversions) > MOST_CONVERSIONS else [],
    )
    named = events_named(rows)
    clicks = sorted({*clicks_named(rows), *([click] if click else [])})
    visits = await connection.fetch(SQL["visits"], team_id, clicks, MOST_VISITS + 1)
    return replace(
        rows,
        events=await connection.fetch(SQL["events"], team_id, [key[0] for key in named], [key[1] for key in named]),
        clicks=await connection.fetch(SQL["clicks"], team_id, clicks),
        visits=visits[:MOST_VISITS],
        deliveries=await connection.fetch(
            SQL["deliveries"], team_id, [row["conversion_id"] for row in rows.conversions]
        ),
        truncated=[*rows.truncated, *(["visits"] if len(visits) > MOST_VISITS else [])],
    )
