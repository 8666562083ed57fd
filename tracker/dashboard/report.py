"""What a report page is asked for: period, money, filters; and totals as the pages show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from litestar import Request

from tracker.dashboard.address import Address, address
from tracker.dashboard.period import Period, read_period
from tracker.reports.filters import Filters
from tracker.reports.ranges import Range, days, previous
from tracker.reports.series import Point
from tracker.reports.totals import Basis, Totals


@dataclass(frozen=True)
class Asked:
    """A report as asked for. `before` is the period of the same length before, None when no comparison is wanted."""

    address: Address
    period: Period
    range: Range
    before: Range | None
    basis: Basis
    zone: ZoneInfo

    def revenue(self, totals: Totals) -> int:
        """Revenue in cents, on the basis chosen."""
        return totals.cents(self.basis)

    def arps(self, totals: Totals) -> float | None:
        """Revenue per subscriber in cents."""
        return totals.arps_cents(self.basis)


def asked(request: Request[Any, Any, Any], default: str = "30d") -> Asked:
    """Read a report's parameters; zone and basis are remembered in cookies."""
    where = address(request)
    period = read_period(where, request.cookies.get("zone", ""), default=default)
    today = datetime.now(UTC).astimezone(ZoneInfo(period.zone)).date()
    chosen = days(period.first, period.last, period.zone, today)
    basis = where.get("basis") or request.cookies.get("basis", "")
    return Asked(
        address=where,
        period=period,
        range=chosen,
        before=None if where.get("compare") == "no" else previous(chosen),
        basis=cast(Basis, basis if basis in ("gross", "net") else "gross"),
        zone=ZoneInfo(period.zone),
    )


def filters(where: Address, link_ids: Sequence[str] | None = None) -> Filters:
    """The filters of an address."""

    def listed(name: str) -> tuple[str, ...] | None:
        return (where.get(name),) if where.get(name) else None

    return Filters(
        smart_link_ids=tuple(link_ids) if link_ids is not None else None,
        account_ids=listed("account"),
        tags=listed("tag"),
        platforms=listed("platform"),
        name=where.get("search") or None,
    )


def read_sort(where: Address, columns: Sequence[str], default: str) -> tuple[str, bool]:
    """(column, whether the greatest comes first) of a table's address; names begin with A unless asked otherwise."""
    sort = where.get("sort") if where.get("sort") in columns else default
    return sort, where.get("order") == "down" if sort in ("name", "value") else where.get("order") != "up"


def so_far(points: Sequence[Point], now: datetime | None = None) -> list[Point]:
    """The points that have begun: what is to come is not drawn as nothing."""
    now = now or datetime.now(UTC)
    return [point for point in points if point.start <= now] or list(points[:1])


def chart(points: Sequence[Point], report: Asked) -> dict[str, Any]:
    """A series as the chart in the browser takes it: seconds, counts, dollars."""
    return {
        "step": report.period.step,
        "zone": report.period.zone,
        "times": [int(point.start.timestamp()) for point in points],
        "clicks": [point.totals.clicks for point in points],
        "subscribers": [point.totals.subscribers for point in points],
        "revenue": [report.revenue(point.totals) / 100 for point in points],
    }
