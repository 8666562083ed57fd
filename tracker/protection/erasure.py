"""Forgetting a person: a fan, or a visitor. Money and counts stay; whose they were does not.

An erasure works at once, and again every hour for some days (`erasure_days`), because things arrive late: clicks from an
edge's spill, an answer to a delivery that was on its way, a webhook that was already stored. Until then the name is kept,
sealed; afterwards only its keyed hash.
"""

from __future__ import annotations

import asyncio
import hmac
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
import structlog
import ulid
from asyncpg import LockNotAvailableError

from tracker.access.audit import record
from tracker.access.caller import Caller
from tracker.management.errors import Invalid, not_found
from tracker.management.services import Services
from tracker.protection import traces
from tracker.protection.tombstones import LOCK, SQL, fan_hash
from tracker.reports.forgetting import forget_values, take_back
from tracker.reports.rollups import settle
from tracker.rotation import adopt_hash_key
from tracker.stores.postgres import Connection
from tracker.stores.valkey import RedisError

log = structlog.get_logger()

PREFIX = "erased:"
SHORTEST_NAME = 4  # a shorter user name would be found in everybody's webhooks

SETTLING = timedelta(minutes=15)  # in which the rollup job has counted what there was
REPORTS_BUSY = (
    "the reports are being counted: clicks and the values reports list are erased with the next pass, in a minute"
)

Kind = Literal["fan", "visitor"]


class Subject(msgspec.Struct, frozen=True):
    """Whom an erasure is about, as sealed in it. `names`: what raw webhooks may name them by."""

    account_ids: list[str]
    fan_id: str = ""
    fan_accounts: list[str] = []
    names: list[str] = []
    visitors: list[str] = []


class Erased(msgspec.Struct, frozen=True):
    """An erasure as begun. `counts`: what was erased, by table or place. `fans`: (account, fan) credited to an erased visitor's
    clicks, who are not erased with them. `pending`: what could not be reached now and is tried again."""

    erasure_id: str
    kind: Kind
    counts: dict[str, int]
    fans: list[tuple[str, str]]
    pending: list[str]


async def erase_fan(services: Services, caller: Caller, fan_id: str, account_id: str | None = None) -> Erased:
    """Erase a fan on one account, or on all of the team's. Raises Refused (404) when nothing is stored of them."""
    if not 0 < len(fan_id) <= 200 or fan_id.startswith(PREFIX):
        raise Invalid({"fan_id": ["Give the fan's id on the platform."]})
    scope = await _scope(services, caller.team_id, account_id)
    known = await services.pool.fetch(SQL["fan_accounts"], scope, fan_id)
    if not known:
        raise not_found(f"The fan {fan_id[:80]!r}")
    accounts = [row["account_id"] for row in known]
    visitors: set[str] = set()
    for one in accounts:
        visitors |= {row["visitor"] for row in await services.pool.fetch(SQL["fan_visitors"], one, fan_id)}
    names = sorted({fan_id, *(row["username"] for row in known if len(row["username"]) >= SHORTEST_NAME)})
    subject = Subject(accounts, fan_id, accounts, names, sorted(visitors))
    return await _begin(services, caller, "fan", subject)


async def erase_visitor(services: Services, caller: Caller, visitor: str = "", click_id: str = "") -> Erased:
    """Erase a visitor by the value of our cookie, or by a click they made. Raises Refused (404), Invalid."""
    if bool(visitor) == bool(click_id):
        raise Invalid({"visitor": ["Give either the visitor's id or one of their clicks' ids."]})
    scope = await _scope(services, caller.team_id, None)
    if click_id:
        visitor = await services.pool.fetchval(SQL["click_visitor"], caller.team_id, click_id.lower()) or ""
        if not visitor or visitor.startswith(PREFIX):
            raise not_found(f"A visitor of click {click_id[:80]!r}")
    visitor = visitor.lower()
    if not re.fullmatch(r"[0-7][0-9a-hjkmnp-tv-z]{25}", visitor, re.ASCII):
        raise Invalid({"visitor": ["A visitor's id has 26 letters and digits, as in our cookie."]})
    return await _begin(services, caller, "visitor", Subject(scope, visitors=[visitor]))


async def _scope(services: Services, team_id: str, account_id: str | None) -> list[str]:
    rows = await services.pool.fetch(SQL["team_accounts"], team_id, account_id)
    if account_id is not None and not rows:
        raise Invalid({"account_id": ["The account id is not one of your team's accounts."]})
    return [row["account_id"] for row in rows]


async def _begin(services: Services, caller: Caller, kind: Kind, subject: Subject) -> Erased:
    await adopt_hash_key(services.pool, services.secrets)
    erasure_id = ulid.new().str
    pseudonym = PREFIX + erasure_id.lower()[-12:]
    hash_key = services.secrets.hash_key
    told = subject.fan_id or subject.visitors[0]
    subject_hash = hmac.digest(hash_key, f"erased {kind}\x1f{caller.team_id}\x1f{told}".encode(), "sha256")
    sealed = services.secrets.seal(msgspec.json.encode(subject), f"erasure:{erasure_id}")
    found = (
        await services.pool.fetch(SQL["visitor_fans"], subject.account_ids, subject.visitors)
        if kind == "visitor"
        else []
    )
    async with services.pool.acquire() as connection, connection.transaction():
        # Waits for whoever is storing facts; those who come after know.
        await connection.execute(SQL["bar"], LOCK)
        if subject.fan_accounts:
            hashes = [fan_hash(hash_key, one, subject.fan_id) for one in subject.fan_accounts]
            await connection.execute(SQL["bury"], subject.fan_accounts, hashes)
        requested_at = await connection.fetchval(
            SQL["request"], erasure_id, caller.team_id, kind, pseudonym, subject_hash, sealed,
            services.settings.erasure_days * 86400,
        )  # fmt: skip
        await record(connection, caller, "erasure.requested", "erasure", erasure_id, {"kind": kind})
    counts, pending = await sweep(services, erasure_id, pseudonym, subject, requested_at)
    return Erased(erasure_id, kind, counts, [(row["account_id"], row["fan_id"]) for row in found], pending)


async def sweep(
    services: Services, erasure_id: str, pseudonym: str, subject: Subject, requested_at: datetime
) -> tuple[dict[str, int], list[str]]:
    """Erase what is there now: (counts, places that could not be reached). Any number of times; raises asyncpg errors, OSError."""
    counts: Counter[str] = Counter()
    visitors = {visitor: f"{pseudonym}:{number}" for number, visitor in enumerate(subject.visitors, 1)}
    async with services.pool.acquire() as connection:
        for account_id in subject.fan_accounts:
            async with connection.transaction():
                await _erase_fan(connection, counts, account_id, subject.fan_id, pseudonym)
        if subject.names:
            counts["webhooks"] += _count(
                await connection.execute(
                    SQL["empty_webhooks"], subject.fan_accounts, _pattern(subject.names), timeout=300
                )
            )
        pending = await _scrub_clicks(connection, counts, subject.account_ids, visitors, requested_at)
        names = [pseudonym, *visitors.values()]
        events = [row[0] for row in await connection.fetch(SQL["events_of"], subject.account_ids, names)]
        async with connection.transaction():
            counts["delivery_events"] += _count(await connection.execute(SQL["empty_facts"], events))
            counts["deliveries"] += _count(await connection.execute(SQL["end_deliveries"], events))
            counts["attempts"] += _count(await connection.execute(SQL["empty_attempts"], events))
    if visitors:
        # Passes between need not look again for values that went with clicks of an earlier one.
        since = datetime.now(UTC) - requested_at
        if counts["clicks"] or since < SETTLING or since >= timedelta(days=services.settings.erasure_days):
            pending += await _forget_values(services, counts, subject.account_ids, list(visitors.values()))
        pending += await _sweep_traces(services, visitors, counts)
    done = {name: count for name, count in counts.items() if count}
    await services.pool.execute(SQL["swept"], erasure_id, done)
    log.info("erasure.swept", erasure_id=erasure_id, pending=pending, **done)
    return done, pending


async def _erase_fan(
    connection: Connection, counts: Counter[str], account_id: str, fan_id: str, pseudonym: str
) -> None:
    await connection.execute(SQL["hold_fan"], account_id, fan_id)
    await connection.execute(SQL["stand_in"], account_id, fan_id, pseudonym)
    for name, query, parameters in (
        ("bindings", "move_bindings", (account_id, fan_id, pseudonym)),
        ("conversions", "move_conversions", (account_id, fan_id, pseudonym)),
        ("platform_events", "delete_events", (account_id, fan_id)),
        ("fans", "delete_fan", (account_id, fan_id)),
    ):
        counts[name] += _count(await connection.execute(SQL[query], *parameters))
    await connection.execute(SQL["move_link_fans"], account_id, fan_id, pseudonym)
    await connection.execute(SQL["leave_fan"], account_id, fan_id)


async def _scrub_clicks(
    connection: Connection, counts: Counter[str], account_ids: list[str], visitors: dict[str, str], until: datetime
) -> list[str]:
    """Clicks and what reports hold of them, in one transaction per visitor."""
    for visitor, name in visitors.items():
        counts["log_rejects"] += _count(await connection.execute(SQL["delete_rejects"], visitor.encode()))
        try:
            async with connection.transaction():
                await take_back(connection, account_ids, visitor, until)
                counts["clicks"] += _count(
                    await connection.execute(SQL["scrub_clicks"], account_ids, visitor, name, until)
                )
        except LockNotAvailableError:
            return [REPORTS_BUSY]
    return []


async def _forget_values(
    services: Services, counts: Counter[str], account_ids: list[str], names: list[str]
) -> list[str]:
    try:
        await settle(services.pool)  # conversions that this pass changed are counted anew first
        async with services.pool.acquire() as connection, connection.transaction():
            counts["report_values"] += await forget_values(connection, account_ids, names)
    except LockNotAvailableError:
        return [REPORTS_BUSY]
    return []


async def _sweep_traces(services: Services, visitors: dict[str, str], counts: Counter[str]) -> list[str]:
    pending = []
    try:
        forgotten = await traces.forget_records(services.redis, visitors)
        counts["valkey_records"] += forgotten
        if forgotten:
            await traces.rewrite_log(services.redis)
    except (RedisError, OSError) as error:
        log.warning("erasure.valkey_away", error=type(error).__name__)
        pending.append("Valkey does not answer: its records of the visitor are erased when it is back")
    try:
        counts["spilled_clicks"] += await asyncio.to_thread(traces.scrub_spill, services.settings.spill_path, visitors)
    except OSError as error:
        log.warning("erasure.spill_unreadable", error=type(error).__name__)
        pending.append("the spill folder cannot be read: its clicks are erased once they are replayed")
    return pending


async def sweep_due(services: Services) -> int:
    """Go over erasures again whose time it is, and settle those whose days are over. Returns how many were gone over."""
    rows = await services.pool.fetch(SQL["due"])
    for row in rows:
        sealed = services.secrets.open(row["subject_sealed"], f"erasure:{row['erasure_id']}")
        subject = msgspec.json.decode(sealed, type=Subject)
        _, pending = await sweep(services, row["erasure_id"], row["pseudonym"], subject, row["requested_at"])
        if row["last"] and not pending:
            await services.pool.execute(SQL["settle"], row["erasure_id"])
    return len(rows)


async def erasures(
    services: Services, team_id: str, erasure_id: str | None = None, limit: int = 50, offset: int = 0
) -> list[dict[str, Any]]:
    """A team's erasures as the API shows them, latest first; one when it is named."""
    return [
        {
            "id": row["erasure_id"],
            "kind": row["kind"],
            "state": "settled" if row["settled_at"] else "erased",
            "requested_at": row["requested_at"].isoformat(),
            "repeated_until": row["settles_at"].isoformat(),
            "erased": row["erased"],
        }
        for row in await services.pool.fetch(SQL["erasures"], team_id, erasure_id, limit, offset)
    ]


def _pattern(names: Sequence[str]) -> str:
    """A regular expression that finds any of the names as a word in what PostgreSQL's encode(…, 'escape') makes of JSON."""
    escaped = []
    for name in names:
        text = "".join(chr(byte) if 32 <= byte < 127 and byte != 92 else f"\\{byte:03o}" for byte in name.encode())
        escaped.append(re.sub(r"[^0-9A-Za-z_]", lambda found: "\\" + found[0], text))
    return f"(^|[^0-9A-Za-z_])({'|'.join(escaped)})([^0-9A-Za-z_]|$)"


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])
