"""Which days a report is about: presets in the reader's time zone, or two dates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from litestar import Request

from tracker.dashboard.address import Address
from tracker.reports.ranges import Step

PRESETS = {
    "today": "Today",
    "yesterday": "Yesterday",
    "7d": "7 days",
    "30d": "30 days",
    "90d": "90 days",
    "month": "This month",
    "last-month": "Last month",
}
ALL_ZONES = frozenset(available_timezones())  # read once: it walks a folder
ZONES = (
    "UTC", "Europe/London", "Europe/Lisbon", "Europe/Berlin", "Europe/Paris", "Europe/Madrid", "Europe/Warsaw", "Europe/Kyiv", "Europe/Bucharest",
    "Europe/Istanbul", "Europe/Moscow", "Asia/Dubai", "Asia/Karachi", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Bangkok", "Asia/Jakarta",
    "Asia/Singapore", "Asia/Shanghai", "Asia/Tokyo", "Australia/Perth", "Australia/Sydney", "Pacific/Auckland", "America/Sao_Paulo",
    "America/Argentina/Buenos_Aires", "America/Bogota", "America/New_York", "America/Chicago", "America/Denver", "America/Phoenix",
    "America/Los_Angeles", "Pacific/Honolulu",
)  # fmt: skip


@dataclass(frozen=True)
class Period:
    """Days from `first` to `last`, both included, in `zone`. `wrong`: what is the matter with the dates asked for."""

    first: date
    last: date
    zone: str
    preset: str  # '' for two dates
    wrong: str = ""

    @property
    def words(self) -> str:
        """'24 Oct – 22 Nov 2026'."""
        if self.first == self.last:
            return f"{self.first.day} {self.first:%b %Y}"
        year = f" {self.first:%Y}" if self.first.year != self.last.year else ""
        return f"{self.first.day} {self.first:%b}{year} – {self.last.day} {self.last:%b %Y}"

    @property
    def days(self) -> int:
        """How many days."""
        return (self.last - self.first).days + 1

    @property
    def step(self) -> Step:
        """How finely a series of this period is drawn: 'hour', 'day' or 'month'."""
        return "hour" if self.days <= 2 else "day" if self.days <= 400 else "month"


def known_zone(*wishes: str) -> str:
    """The first of the wishes that is a time zone; UTC when none is."""
    return next((wish for wish in wishes if wish in ALL_ZONES), "UTC")


def person_zone(request: Request[Any, Any, Any]) -> ZoneInfo:
    """The time zone this person last chose for a report."""
    return ZoneInfo(known_zone(request.cookies.get("zone", "")))


def read_period(asked: Address, kept_zone: str, now: datetime | None = None, default: str = "30d") -> Period:
    """The period an address asks for. Dates that cannot be are answered with the default and words."""
    zone = known_zone(asked.get("zone"), kept_zone)
    today = (now or datetime.now(UTC)).astimezone(ZoneInfo(zone)).date()
    preset = asked.get("range")
    if asked.get("from") or asked.get("to"):
        period = _dates(asked, zone, today)
        # A form sends the dates it shows along with the preset they came from: unchanged, the preset stands.
        if period is not None and preset in PRESETS and (period.first, period.last) == preset_days(preset, today):
            return Period(period.first, period.last, zone, preset)
        if period is not None:
            return period
        first, last = preset_days(default, today)
        return Period(
            first,
            last,
            zone,
            default,
            "These dates cannot be: use two days like 2026-11-01, the first one first, at most five years apart.",
        )
    if preset not in PRESETS:
        preset = default
    first, last = preset_days(preset, today)
    return Period(first, last, zone, preset)


def preset_days(preset: str, today: date) -> tuple[date, date]:
    """First and last day of a preset."""
    if preset == "today":
        return today, today
    if preset == "yesterday":
        return today - timedelta(days=1), today - timedelta(days=1)
    if preset == "month":
        return today.replace(day=1), today
    if preset == "last-month":
        end = today.replace(day=1) - timedelta(days=1)
        return end.replace(day=1), end
    return today - timedelta(days=int(preset.removesuffix("d")) - 1), today


def _dates(asked: Address, zone: str, today: date) -> Period | None:
    try:
        last = date.fromisoformat(asked.get("to")) if asked.get("to") else today
        first = date.fromisoformat(asked.get("from")) if asked.get("from") else min(last, today) - timedelta(days=29)
    except (ValueError, OverflowError):
        return None
    if not date(2015, 1, 1) <= first <= last <= today + timedelta(days=400) or (last - first).days > 1830:
        return None
    return Period(first, last, zone, "")
