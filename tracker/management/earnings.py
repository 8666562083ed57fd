"""What the subscribers of one platform link brought: spenders, daily figures, ARPS by cohort."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from tracker.inventory.publish import first_ulid
from tracker.management.inventory import SQL, Link
from tracker.reports.cohorts import WINDOWS, Cohort, Cohorts, cohort_step
from tracker.reports.ranges import Range, Step, steps
from tracker.reports.totals import Basis

if TYPE_CHECKING:
    from tracker.management.services import Services


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment of a link's subscriber; `paid_at` None: the fan has paid nothing. `taken`: paid back since."""

    fan_id: str
    username: str | None
    subscribed_at: datetime
    paid_at: datetime | None
    gross_cents: int
    net_cents: int
    taken: bool

    def worth(self, basis: Basis = "gross") -> int:
        """Cents that count."""
        return 0 if self.taken else self.gross_cents if basis == "gross" else self.net_cents


class Spender(msgspec.Struct, frozen=True, kw_only=True):
    """A subscriber who paid. Money in cents."""

    fan_id: str
    username: str | None
    gross_cents: int
    taken_cents: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One day or month of a link."""

    start: datetime
    clicks: int
    subscribers: int
    gross_cents: int
    spenders: int


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """A link over a range. Money in cents."""

    clicks: int
    subscribers: int
    gross_cents: int
    taken_cents: int
    spenders: int
    daily: list[Figures]
    monthly: list[Figures]


async def payments(services: Services, link: Link) -> list[Payment]:
    """Every payment of a link's subscribers since they came, and one empty row for each who paid nothing."""
    return [_payment(row) for row in await services.pool.fetch(SQL["payments"], link.inventory_link_id)]


def spenders(found: Iterable[Payment], min_cents: int) -> list[Spender]:
    """Subscribers who paid at least so much, most first."""
    by_fan: dict[str, list[Payment]] = defaultdict(list)
    for payment in found:
        by_fan[payment.fan_id].append(payment)
    rows = [
        Spender(
            fan_id=fan_id,
            username=own[0].username,
            gross_cents=sum(payment.worth() for payment in own),
            taken_cents=sum(payment.gross_cents for payment in own if payment.taken),
        )
        for fan_id, own in by_fan.items()
    ]
    return sorted(
        (row for row in rows if row.gross_cents >= max(min_cents, 1)), key=lambda row: (-row.gross_cents, row.fan_id)
    )


async def stats(services: Services, link: Link, covered: Range) -> Stats:
    """A link's days and months. Clicks are those that were given the link; of a link made elsewhere only the provider's counter
    is known, which tells no days."""
    rows = await services.pool.fetch(
        SQL["clicks"],
        link.inventory_link_id,
        covered.start,
        covered.end,
        first_ulid(covered.start),
        first_ulid(covered.end),
    )
    clicks = {row["day"].replace(tzinfo=UTC): row["clicks"] for row in rows}
    found = await payments(services, link)
    inside = [payment for payment in found if payment.paid_at and covered.start <= payment.paid_at < covered.end]
    return Stats(
        clicks=sum(clicks.values()) if link.pooled else link.clicks_seen,
        subscribers=len({payment.fan_id for payment in found if covered.start <= payment.subscribed_at < covered.end}),
        gross_cents=sum(payment.worth() for payment in inside),
        taken_cents=sum(payment.gross_cents for payment in inside if payment.taken),
        spenders=len({payment.fan_id for payment in inside if payment.worth() > 0}),
        daily=_steps(clicks, found, covered, "day"),
        monthly=_steps(clicks, found, covered, "month"),
    )


def cohorts(found: Sequence[Payment], acquisition: Range, basis: Basis, now: datetime) -> Cohorts:
    """ARPS by days since subscribing, per acquisition day or month (`tracker/reports/cohorts.py` says how windows count)."""
    starts = steps(acquisition, cohort_step(acquisition))
    ends = [*starts[1:], acquisition.end]
    periods = [
        _cohort(start, [payment for payment in found if start <= payment.subscribed_at < end], basis, now)
        for start, end in zip(starts, ends, strict=True)
    ]
    inside = [payment for payment in found if acquisition.start <= payment.subscribed_at < acquisition.end]
    return Cohorts(periods, _cohort(acquisition.start, inside, basis, now))


def _cohort(start: datetime, found: Sequence[Payment], basis: Basis, now: datetime) -> Cohort:
    joined = {payment.fan_id: payment.subscribed_at for payment in found}
    matured, cents = {}, {}
    for window in WINDOWS:
        length = timedelta(days=window + 1)
        ripe = {fan for fan, at in joined.items() if at + length <= now}
        matured[window] = len(ripe)
        cents[window] = sum(
            payment.worth(basis)
            for payment in found
            if payment.fan_id in ripe and payment.paid_at and payment.paid_at < payment.subscribed_at + length
        )
    return Cohort(start, len(joined), matured, cents)


def _steps(clicks: dict[datetime, int], found: Sequence[Payment], covered: Range, step: Step) -> list[Figures]:
    starts = steps(covered, step)
    ends = [*starts[1:], covered.end]
    rows = []
    for start, end in zip(starts, ends, strict=True):
        paid = [payment for payment in found if payment.paid_at and start <= payment.paid_at < end]
        rows.append(
            Figures(
                start=start,
                clicks=sum(count for day, count in clicks.items() if start <= day < end),
                subscribers=len({payment.fan_id for payment in found if start <= payment.subscribed_at < end}),
                gross_cents=sum(payment.worth() for payment in paid),
                spenders=len({payment.fan_id for payment in paid if payment.worth() > 0}),
            )
        )
    return rows


def _payment(row: asyncpg.Record) -> Payment:
    return Payment(
        fan_id=row["fan_id"],
        username=row["username"],
        subscribed_at=row["subscribed_at"],
        paid_at=row["paid_at"],
        gross_cents=row["gross_cents"] or 0,
        net_cents=row["net_cents"] or 0,
        taken=bool(row["taken"]),
    )
