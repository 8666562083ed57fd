"""What one try at sending came to. Errors that leave a destination say permanent, transient, throttled, auth or ours."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec

Outcome = Literal["delivered", "skipped", "permanent", "transient", "throttled", "auth", "ours"]
Halt = Literal["", "paused", "disabled"]


class Verdict(msgspec.Struct, frozen=True):
    """The judgement on one event of one attempt.

    - delivered: done. skipped: this destination is configured not to be told of it.
    - permanent: this event will never be accepted. transient: try again later.
    - throttled: accepted later, slower. auth: our credentials are refused. ours: the receiver was never to blame.

    `words` is for people. `retry_after` is seconds, as the receiver asked. `overloaded`: wait at least a minute (429 or
    timeout). `halts`: the state the whole destination goes to, if not empty, with `words` as the reason.

    `ambiguous`: the receiver may have acted on it all the same. `split`: the whole batch was refused, perhaps because of
    another event in it: final for an event that was alone, else sent again with fewer at once. `suspect`: the answer
    points at this event, which is then sent alone.
    """

    outcome: Outcome
    words: str
    retry_after: float | None = None
    overloaded: bool = False
    halts: Halt = ""
    ambiguous: bool = False
    split: bool = False
    suspect: bool = False


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header (a number or an HTTP date); None when absent, past or not understood."""
    if not value:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:12])
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    seconds = (at - (now or datetime.now(UTC))).total_seconds()
    return seconds if seconds > 0 else None
