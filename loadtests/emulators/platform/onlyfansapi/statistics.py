"""Statistics of one link: totals, days and months (upstream spec 1.3)."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from ..clock import iso, micros
from ..payloads import usd
from ..records import Link
from .call import Call


def statistics(call: Call, link: Link) -> dict[str, Any]:
    """Clicks, subscribers, revenue and spenders within `date_start` and `date_end`; daily values are increments."""
    since = call.moment("date_start") or link.created_at
    until = min(call.moment("date_end") or call.now, call.now)
    days: dict[str, dict[str, Any]] = defaultdict(lambda: {"clicks": 0, "subs": 0, "cents": 0, "fans": set()})
    for moment in link.clicks:
        if since <= moment <= until:
            days[iso(moment)[:10]]["clicks"] += 1
    for subscription in call.world.fans.of_link(link):
        if since <= subscription.at <= until and subscription.counted_at <= call.now:
            days[iso(subscription.at)[:10]]["subs"] += 1
    chargebacks = 0
    for fan_id, payments in call.world.money.of_link(link):
        for payment in payments:
            if not since <= payment.at <= until:
                continue
            if payment.status(call.now) == "undo":
                chargebacks += payment.amount
                continue
            day = days[iso(payment.at)[:10]]
            day["cents"] += payment.amount
            day["fans"].add(fan_id)
    months: dict[str, dict[str, Any]] = defaultdict(lambda: {"clicks": 0, "subs": 0, "cents": 0, "fans": set()})
    for name, day in days.items():
        month = months[name[:7] + "-01"]
        for key in ("clicks", "subs", "cents"):
            month[key] += day[key]
        month["fans"] |= day["fans"]
    spenders: set[int] = set().union(*(day["fans"] for day in days.values()))
    summary = {
        "clicks_total": sum(day["clicks"] for day in days.values()),
        "subs_total": sum(day["subs"] for day in days.values()),
        "revenue_total": usd(sum(day["cents"] for day in days.values())),
        "spenders_total": len(spenders),
        "chargebacks_total": usd(chargebacks),
        "revenue_cached_at": micros(call.now),
    }
    return {"summary": summary, "daily_metrics": _metrics(days), "monthly_metrics": _metrics(months)}


def _metrics(buckets: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "timestamp": f"{name}T00:00:00+00:00",
            "clicks": bucket["clicks"],
            "subs": bucket["subs"],
            "revenue": usd(bucket["cents"]),
            "spenders": len(bucket["fans"]),
        }
        for name, bucket in sorted(buckets.items())
    ]
