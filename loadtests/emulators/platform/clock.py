"""The virtual clock every platform timestamp is read from (upstream spec 6.3 row 22)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Clock:
    """Real time plus an offset; only moves forward. All values are aware UTC datetimes."""

    def __init__(self, start: datetime | None = None) -> None:
        self._offset = timedelta(0) if start is None else start - datetime.now(UTC)
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> datetime:
        """Current virtual time, microsecond precision."""
        return datetime.now(UTC) + self._offset

    def advance(self, seconds: float) -> datetime:
        """Move the clock forward by `seconds` and wake whoever waits for a due time."""
        if seconds < 0:
            raise ValueError("the clock only moves forward")
        self._offset += timedelta(seconds=seconds)
        for listener in self._listeners:
            listener()
        return self.now()

    def to_present(self) -> datetime:
        """Back to real time. What is due later stays due then; what happened later stays in the future."""
        self._offset = timedelta()
        return self.now()

    def on_advance(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every advance."""
        self._listeners.append(listener)


def iso(moment: datetime) -> str:
    """`2026-11-22T09:41:22+00:00`: REST rows and notifications, whole seconds."""
    return moment.astimezone(UTC).replace(microsecond=0).isoformat()


def iso_or_none(moment: datetime | None) -> str | None:
    """`iso`, keeping an absent time absent."""
    return None if moment is None else iso(moment)


def floored(moment: datetime) -> str:
    """`iso` floored to the minute, as live notifications carry `createdAt` (upstream spec 0.1 fact 3)."""
    return iso(moment.replace(second=0, microsecond=0))


def micros(moment: datetime) -> str:
    """`2026-11-22T10:00:00.000000Z`: the vendor's own (Laravel) timestamps."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def zoneless(moment: datetime) -> str:
    """`2026-11-22 09:59:47`: `transactions.new.created_at`, UTC without saying so."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def parse_moment(value: object, now: datetime) -> datetime:
    """Read a query or admin time: ISO 8601, `YYYY-MM-DD HH:MM:SS`, Unix seconds, `now` or `-30days`.

    A text without a zone is UTC. Raises ValueError for anything else.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC)
    text = str(value).strip()
    if text == "now":
        return now
    if text.startswith("-") and text.rstrip("s").endswith("day"):
        return now - timedelta(days=int(text[1:].removesuffix("s").removesuffix("day")))
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
