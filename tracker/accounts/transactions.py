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
from tracker.accounts.work import Run
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
    since = newest - OVERLAP if newest is not None else run.account.created_at - BEFORE_US
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
    newest: datetime | None = None
    new = 0
    async for page in pages:
        rows = await _with_types(run, page)
        if not rows:
            continue
        newest = max([row.at for row in rows] + ([newest] if newest is not None else []))
        async with run.pool.acquire() as connection, connection.transaction():
            account_id = run.account.account_id
            new += len(await record(connection, [Fact(account_id, row.event(), "poll") for row in rows]))
    return newest, new


async def _with_types(run: Run, page: list[Transaction]) -> list[Transaction]:
    """The page with types and words filled in from what is known, where the feed tells none (chargebacks)."""
    page = [row for row in page if row.fan_id != run.account.platform_user_id]
    untold = [row.transaction_id for row in page if not row.type]
    if not untold:
        return page
    known = {
        row["transaction_id"]: row["detail"]
        for row in await run.pool.fetch(SQL["types"], run.account.account_id, untold)
    }
    return [
        msgspec.structs.replace(row, type=known[row.transaction_id]["type"])
        if not row.type and row.transaction_id in known
        else row
        for row in page
    ]


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
