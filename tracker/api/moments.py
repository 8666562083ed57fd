"""Times in query parameters, as the vendor takes them (upstream 1.1): ISO 8601, `YYYY-MM-DD HH:MM:SS`, a day, `now`, `-30days`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta

from tracker.management.errors import Invalid
from tracker.reports.ranges import EARLIEST, LATEST, Range, between

_AGO = re.compile(r"-(\d{1,4}) ?(minute|hour|day|week|month|year)s?\Z")
_SPANS = {"minute": 1, "hour": 60, "day": 1440, "week": 10080, "month": 43200, "year": 525600}
DEFAULT = timedelta(days=30)


def moment(text: str | None, field: str, *, end: bool = False) -> datetime | None:
    """The instant a parameter means, UTC; None when absent. A day as an `end` includes that day. Raises Invalid naming it."""
    if text is None or not text.strip():
        return None
    text = text.strip()
    found = _AGO.match(text)
    try:
        if text == "now":
            return datetime.now(UTC)
        if found:
            moment = datetime.now(UTC) - timedelta(minutes=int(found.group(1)) * _SPANS[found.group(2)])
        elif len(text) == 10:
            day = datetime.combine(datetime.fromisoformat(text).date(), time(), UTC)
            moment = day + timedelta(days=1) if end else day
        else:
            # A plus sign in a query string that was not quoted arrives as a space.
            moment = datetime.fromisoformat(re.sub(r" (\d\d:?\d\d)\Z", r"+\1", text) if "T" in text else text)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        moment = None
    if moment is None or not EARLIEST <= moment.date() < LATEST:
        name = field.replace("_", " ")
        raise Invalid({field: [f"The {name} must be a date such as 2026-01-31 or 2026-01-31T12:00:00Z."]})
    return moment


def span(
    start: str | None, end: str | None, fields: tuple[str, str] = ("date_start", "date_end")
) -> tuple[datetime | None, datetime | None]:
    """[start, end) of two parameters. Raises Invalid naming the wrong one."""
    first, last = moment(start, fields[0]), moment(end, fields[1], end=True)
    if first is not None and last is not None and first > last:
        raise Invalid(
            {fields[0]: [f"The {fields[0].replace('_', ' ')} must be before the {fields[1].replace('_', ' ')}."]}
        )
    return first, last


def covered(
    start: str | None,
    end: str | None,
    fields: tuple[str, str] = ("date_start", "date_end"),
    default: timedelta = DEFAULT,
) -> Range:
    """The range of a report; without parameters up to the end of today (UTC), `default` long. Raises Invalid naming the field."""
    first, last = span(start, end, fields)
    if last is None:
        last = datetime.combine(datetime.now(UTC).date() + timedelta(days=1), time(), UTC)
    if first is None:
        first = last - default
    if first > last:
        raise Invalid({fields[0]: ["It must be before the end."]})
    return between(first, last)
