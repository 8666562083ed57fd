"""Numbers, money and times as the pages write them."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

NARROW = "\u202f"  # narrow no-break space
NONE = "–"


def count(value: int | None) -> str:
    """1234567 → '1,234,567'."""
    return NONE if value is None else f"{value:,}"


def money(cents: int | float | None) -> str:
    """Cents → '$1,234.56'; a negative amount keeps its sign in front."""
    if cents is None:
        return NONE
    sign = "−" if cents < 0 else ""
    return f"{sign}${abs(cents) / 100:,.2f}"


def percent(ratio: float | None, digits: int = 2) -> str:
    """0.0312 → '3.12 %'."""
    return NONE if ratio is None else f"{ratio * 100:,.{digits}f}{NARROW}%"


def change(now: float | None, before: float | None) -> tuple[str, str]:
    """How a number moved against the period before: (text, 'up' | 'down' | 'same' | 'none')."""
    if now is None or not before:
        return ("new", "up") if now and before == 0 else (NONE, "none")
    ratio = (now - before) / abs(before)
    if abs(ratio) < 0.0005:
        return f"0{NARROW}%", "same"
    digits = 0 if abs(ratio) >= 0.1 else 1
    sign = "+" if ratio > 0 else "−"
    return f"{sign}{abs(ratio) * 100:,.{digits}f}{NARROW}%", "up" if ratio > 0 else "down"


def moment(at: datetime | None, zone: ZoneInfo) -> str:
    """'2026-11-22 03:04:05' in the zone."""
    return NONE if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def duration(seconds: float) -> str:
    """21600 → '6 h', 5400 → '1 h 30 min', 45 → '45 s'."""
    left = round(seconds)
    parts = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if left >= size:
            parts.append(f"{left // size}{NARROW}{unit}")
            left %= size
    return " ".join(parts[:2]) or f"0{NARROW}s"


def host(referrer: str | None) -> str | None:
    """'l.facebook.com' of a referrer; what is no web address is left as it is."""
    try:
        return (urlsplit(referrer).hostname if referrer else None) or referrer
    except ValueError:
        return referrer


def ago(at: datetime | None, now: datetime) -> str:
    """'3 min ago'."""
    if at is None:
        return "never"
    passed = now - at
    return "just now" if passed < timedelta(seconds=5) else f"{duration(passed.total_seconds()).split(' ')[0]} ago"
