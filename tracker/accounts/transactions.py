"""Reads the money feed: the 'transactions' job. The only source of amounts (upstream spec 0.1 fact 7).

Every poll begins some minutes before the newest payment known, because payments show up late and share seconds. Once an hour the
chargebacks are read, once a day everything still pending: no webhook tells that a payment was settled or taken back.
Intervals other than the poll's own are counted in polls.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import msgspec
import structlog

from tracker.accounts.facts import Fact, record
from tracker.accounts.work import Run, wake
from tracker.providers.base import Transaction
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.accounts", "transactions.sql")
OVERLAP = timedelta(minutes=15)
BEFORE_US = timedelta(days=1)
CHARGEBACK_EVERY = 30  # polls: an hour
PENDING_EVERY = 720  # polls: a day
CHARGEBACK_OVERLAP = timedelta(days=2)
PENDING_DAYS = 35

log = structlog.get_logger()


async def poll(run: Run) -> float:
    """Store what the feed has since the last poll; returns seconds to the next. Raises ProviderError."""
    newest = _time(run.state.get("newest"))
    polls = int(run.state.get("polls", 0))
    overlap = max(OVERLAP, run.client.traits.money_lag)
    since = newest - overlap if newest is not None else run.account.created_at - BEFORE_US
    if polls and polls % PENDING_EVERY == 0:
        pending = await run.pool.fetchval(SQL["oldest_loading"], run.account.account_id, PENDING_DAYS)
        since = min(since, pending or since, run.now() - BEFORE_US)
    seen, new = await _take(run, run.client.transactions(since))
    if polls % CHARGEBACK_EVERY == 0:
        read_at = _time(run.state.get("chargebacks_read")) or run.account.created_at
        now = run.now()
        _, more = await _take(run, run.client.chargebacks(read_at - CHARGEBACK_OVERLAP))
        run.state["chargebacks_read"] = now.isoformat()
        new += more
    latest = max((at for at in (seen, newest) if at is not None), default=None)
    run.state["newest"] = None if latest is None else latest.isoformat()
    run.state["polls"] = polls + 1
    log.debug("transactions polled", account_id=run.account.account_id, calls=run.client.calls, new=new)
    return run.settings.transactions_poll


async def _take(run: Run, pages: AsyncIterator[list[Transaction]]) -> tuple[datetime | None, int]:
    """Store pages as they come: (time of the newest payment, how many facts were new).

    The feed's position moves only after the last page, so a poll cut short is read again from where it began.
    """
    account_id = run.account.account_id
    newest: datetime | None = None
    new = 0
    missed = False
    async for page in pages:
        rows = await _with_types(run, page)
        if not rows:
            continue
        newest = max([row.at for row in rows] + ([newest] if newest is not None else []))
        async with run.pool.acquire() as connection, connection.transaction():
            told = await record(connection, [Fact(account_id, row.event(), "poll") for row in rows])
        new += len(told)
        missed = missed or any((account_id, row.event().event_key) in told and _overdue(run, row) for row in rows)
    if missed and run.client.traits.messages == "told":
        await wake(run.pool, run.account.account_id, "messages")
    return newest, new


def _overdue(run: Run, row: Transaction) -> bool:
    """Whether a webhook should have told of this payment long ago: then messages were missed as well."""
    return row.status == "loading" and OVERLAP < run.now() - row.at < BEFORE_US


async def _with_types(run: Run, page: list[Transaction]) -> list[Transaction]:
    """The page with types, ids and payers filled in from what is known, where the feed tells none.

    A payment whose payer nobody told is left out: there is no fan to credit it to.
    """
    page = [row for row in page if row.fan_id != run.account.platform_user_id]
    untold = [row.transaction_id for row in page if not row.type or not row.fan_id or row.id_uncertain]
    if not untold:
        return page
    known = {row["transaction_id"]: row for row in await run.pool.fetch(SQL["types"], run.account.account_id, untold)}
    filled = []
    for row in page:
        if row.id_uncertain and row.transaction_id not in known:
            row = await _named(run, row)
        told = known.get(row.transaction_id)
        if told is not None:
            row = msgspec.structs.replace(
                row, type=row.type or told["detail"]["type"], fan_id=row.fan_id or told["fan_id"]
            )
        if row.fan_id:
            filled.append(row)
    return filled


async def _named(run: Run, row: Transaction) -> Transaction:
    """A chargeback that may carry an id of its own, under the id of the fan's payment of that moment and amount."""
    found = await run.pool.fetchval(
        SQL["same_payment"], run.account.account_id, row.fan_id, row.at, row.gross_cents, row.transaction_id
    )
    return row if found is None else msgspec.structs.replace(row, transaction_id=found)


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
