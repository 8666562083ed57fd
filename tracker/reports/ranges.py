"""The time a report covers: an interval of instants and the time zone whose days it is told in. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

from tracker.management.errors import Invalid

Step = Literal["hour", "day", "month"]
STEPS: tuple[Step, ...] = ("hour", "day", "month")
DEFAULT_DAYS = 30
EARLIEST, LATEST = date(2000, 1, 1), date(2200, 1, 1)
MOST_POINTS = 2_500
QUARTER = timedelta(minutes=15)
_ZONES = available_timezones()


@dataclass(frozen=True)
class Range:
    """The instants from `start` up to, but not including, `end` (aware, UTC), and the zone days and months are cut in.

    Reports count in quarters of an hour: `start` and `end` lie on one, as every boundary of a day does in every zone in use.
    """

    start: datetime
    end: datetime
    zone: ZoneInfo

    @property
    def first_day(self) -> date:
        """The local day `start` lies in."""
        return self.start.astimezone(self.zone).date()

    @property
    def last_day(self) -> date:
        """The local day the last moment lies in."""
        return (self.end - QUARTER).astimezone(self.zone).date() if self.end > self.start else self.first_day


def zone_of(name: str, field: str = "time_zone") -> ZoneInfo:
    """The time zone of an IANA name such as 'Europe/Berlin'. Raises Invalid naming `field`."""
    if name not in _ZONES:
        raise Invalid({field: ["The time zone must be a name of the IANA list, such as Europe/Berlin or UTC."]})
    return ZoneInfo(name)


def days(first: date | None, last: date | None, zone: str, today: date | None = None) -> Range:
    """The local days from `first` to `last`, both included.

    `last` defaults to today in that zone (`today` stands in for it), `first` to 29 days before `last`. Raises Invalid naming
    `date_start`, `date_end` or `time_zone`.
    """
    local = zone_of(zone)
    last = last or today or datetime.now(local).date()
    for field, day in (("date_start", first), ("date_end", last)):
        if day is not None and not EARLIEST <= day < LATEST:
            raise Invalid({field: [f"The date must be between {EARLIEST} and {LATEST}."]})
    first = first or last - timedelta(days=DEFAULT_DAYS - 1)
    if first > last:
        raise Invalid({"date_start": ["The date start must not be after the date end."]})
    return Range(midnight(first, local), midnight(last + timedelta(days=1), local), local)


def between(start: datetime, end: datetime, zone: str = "UTC") -> Range:
    """The quarters of an hour that begin in [start, end); naive times are UTC. Raises Invalid naming `date_start` or `time_zone`."""
    local = zone_of(zone)
    start, end = _aware(start), _aware(end)
    for field, moment in (("date_start", start), ("date_end", end)):
        if not EARLIEST <= moment.date() < LATEST:
            raise Invalid({field: [f"The date must be between {EARLIEST} and {LATEST}."]})
    if start > end:
        raise Invalid({"date_start": ["The date start must not be after the date end."]})
    return Range(_next_quarter(start), _next_quarter(end), local)


def all_time(zone: str = "UTC") -> Range:
    """Everything that can be stored."""
    local = zone_of(zone)
    return Range(midnight(EARLIEST, local), midnight(LATEST, local), local)


def previous(covered: Range) -> Range:
    """The same number of local days right before; of a range that is no whole days, the same length right before."""
    first, last = covered.first_day, covered.last_day
    if covered.start == midnight(first, covered.zone) and covered.end == midnight(
        last + timedelta(days=1), covered.zone
    ):
        count = (last - first).days + 1
        return Range(midnight(first - timedelta(days=count), covered.zone), covered.start, covered.zone)
    return Range(covered.start - (covered.end - covered.start), covered.start, covered.zone)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The instant a local day begins; where the clock skips midnight, the first instant that day has."""
    moment = datetime.combine(day, time(), zone)
    # A midnight that does not exist reads as the hour before or after the gap; going through UTC gives the real first instant.
    found = moment.astimezone(UTC)
    while found.astimezone(zone).date() < day:
        found += QUARTER
    return found


def steps(covered: Range, step: Step) -> list[datetime]:
    """The starts of the hours, local days or local months the range consists of; the first is the range's own start.

    Raises Invalid naming `step` when there would be more than 2,500.
    """
    found = [covered.start]
    for start in _later_steps(covered, step):
        if start >= covered.end:
            break
        if len(found) >= MOST_POINTS:
            raise Invalid({"step": [f"That is more than {MOST_POINTS} points: take a larger step or fewer days."]})
        found.append(start)
    return found if covered.end > covered.start else []


def _later_steps(covered: Range, step: Step) -> Iterator[datetime]:
    if step == "hour":
        start = covered.start
        while True:
            start = _next_hour(start, covered.zone)
            yield start
    day = covered.first_day
    while True:
        day = day + timedelta(days=1) if step == "day" else (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        yield midnight(day, covered.zone)


def _next_hour(moment: datetime, zone: ZoneInfo) -> datetime:
    # Where the clock is set by half an hour, or an hour comes twice, the hour in which that happens is cut there.
    def clock(at: datetime) -> tuple[int, object]:
        local = at.astimezone(zone)
        return local.hour, local.utcoffset()

    local = moment.astimezone(zone)
    following = moment + timedelta(minutes=60 - local.minute)
    if following.astimezone(zone).utcoffset() == local.utcoffset():
        return following
    following = moment + QUARTER
    while clock(following) == clock(moment):
        following += QUARTER
    return following


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _next_quarter(moment: datetime) -> datetime:
    floor = moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)
    return floor if floor == moment else floor + QUARTER
