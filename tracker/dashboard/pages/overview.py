"""The overview: what every smart link made in a period, against the period before."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from markupsafe import Markup

from tracker.access.caller import Caller
from tracker.dashboard import numbers
from tracker.dashboard.choices import choices
from tracker.dashboard.courses import click_courses
from tracker.dashboard.navigation import Place
from tracker.dashboard.period import PRESETS, ZONES
from tracker.dashboard.rendering import page
from tracker.dashboard.report import Asked, asked, chart, filters, read_sort, so_far
from tracker.dashboard.sparkline import sparkline
from tracker.management.services import Services
from tracker.reports.filters import Filters
from tracker.reports.series import Point, series
from tracker.reports.totals import Totals, by_link, total

PLACE = Place("/overview", "Overview", "overview", "o", "reports.view")
PAGE_SIZE = 25
SORTS = ("name", "clicks", "subscribers", "cr", "revenue", "arps", "spenders")


@dataclass(frozen=True)
class Tile:
    """One headline number."""

    label: str
    value: str
    move: tuple[str, str]
    before: str
    spark: Markup


@get("/overview", permission="reports.view", include_in_schema=False)
async def overview(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[str]:
    """Totals, their course, and a row per smart link."""
    report = asked(request)
    where = report.address
    wanted = filters(where)
    sort, descending = read_sort(where, SORTS, "revenue")
    column = {"revenue": f"{report.basis}_cents", "arps": f"arps_{report.basis}"}.get(sort, sort)
    number = where.number("page", 1, 10_000)
    db, team = services.pool, caller.team_id
    now, before, points, rows, can_choose = await asyncio.gather(
        total(db, team, report.range, wanted),
        earlier(services, caller, report, wanted),
        series(db, team, report.range, report.period.step, wanted),
        by_link(db, team, report.range, wanted, column, descending, PAGE_SIZE + 1, (number - 1) * PAGE_SIZE),
        choices(db, team),
    )
    points = so_far(points)
    shown = rows[:PAGE_SIZE]
    courses = await click_courses(db, [row.smart_link_id for row in shown], report.range, report.period.step)
    return page(
        request,
        "overview/page.html",
        title="Overview",
        caller=caller,
        services=services,
        report=report,
        where=where,
        tiles=tiles(report, now, before, points),
        chart=chart(points, report),
        total=now,
        rows=shown,
        sparks={link_id: sparkline(course, "Clicks over the period") for link_id, course in courses.items()},
        more=len(rows) > PAGE_SIZE,
        number=number,
        first=(number - 1) * PAGE_SIZE + 1,
        sort=sort,
        descending=descending,
        choices=can_choose,
        presets=PRESETS,
        zones=ZONES,
        platforms=can_choose.platforms,
    )


async def earlier(services: Services, caller: Caller, report: Asked, wanted: Filters) -> Totals | None:
    """The totals of the period before; None when no comparison is wanted."""
    return None if report.before is None else await total(services.pool, caller.team_id, report.before, wanted)


def tiles(report: Asked, now: Totals, before: Totals | None, points: Sequence[Point]) -> list[Tile]:
    """The headline numbers with their moves and their courses."""

    def tile(label: str, value: Any, write: Any, colour: str = "") -> Tile:
        earlier = None if before is None else value(before)
        course = [float(value(point.totals) or 0) for point in points]
        move = numbers.change(value(now), earlier) if before is not None else ("", "none")
        return Tile(
            label, write(value(now)), move, "" if before is None else write(earlier), sparkline(course, colour=colour)
        )

    money = "Revenue" if report.basis == "gross" else "Net revenue"
    return [
        tile("Clicks", lambda one: one.clicks, numbers.count),
        tile("Subscribers", lambda one: one.subscribers, numbers.count, "orange"),
        tile("CR", lambda one: one.cr, numbers.percent, "orange"),
        tile(money, report.revenue, numbers.money, "green"),
        tile("ARPS", report.arps, numbers.money, "green"),
        tile("Spenders", lambda one: one.spenders, numbers.count, "green"),
    ]


HANDLERS = (overview,)
