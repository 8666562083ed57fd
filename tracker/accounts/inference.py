"""Guesses a fan's link where links only count (Fansly, upstream spec 5). Pure.

One new fan and one counter that moved by one belong together, probably: a fan nobody told of yet, or a counter that lags, can
deceive. Such a binding says so by its confidence. Where several fans meet moved counters nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal

from tracker.accounts.counters import Moved
from tracker.providers.events import EXACT, PlatformEvent

Verdict = Literal["pair", "wait", "ambiguous"]


def verdict(moved: Sequence[Moved], fans: Collection[str]) -> Verdict:
    """What the counters that moved say of the fans whose link is looked for.

    `wait`: a fan's counter, or a counter's fan, may still show. `ambiguous`: no later look can tell these apart.
    """
    missing = sum(link.missing for link in moved)
    if missing == 1 and len(fans) == 1:
        return "pair"
    return "ambiguous" if missing and len(fans) > 1 else "wait"


def guess(link: Moved, fan_id: str, at: datetime) -> PlatformEvent:
    """The subscription through a link that nobody told."""
    return PlatformEvent(
        event_key=f"link:{link.inventory_link_id}:{fan_id}:@{int(at.timestamp())}",
        kind="link_subscriber",
        fan_id=fan_id,
        at=at,
        precision_seconds=EXACT,
        inventory_link_id=link.inventory_link_id,
        detail={"inferred": True},
    )
