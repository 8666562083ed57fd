"""When to look for a new subscriber's link, and what a subscriber list tells. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import accumulate

import msgspec

from tracker.providers.base import LinkSubscriber
from tracker.providers.events import EXACT, FIRST_SEEN, MINUTE, PlatformEvent

TOLERANCE = timedelta(seconds=60)


class Edge(msgspec.Struct, frozen=True):
    """What is known of a fan on a link: how often they came through it, when last, and when last through any link."""

    occurrences: int = 0
    latest_here: datetime | None = None
    latest_anywhere: datetime | None = None


def looking_seconds(debounce: float, retry: Sequence[float]) -> float:
    """How long after the first word of a fan their link is looked for."""
    return debounce + sum(retry)


def next_look(heard_at: Iterable[datetime], now: datetime, debounce: float, retry: Sequence[float]) -> float | None:
    """Seconds until some waiting fan is due for a look; None when all have had their last.

    A fan is looked for `debounce` seconds after we heard of them and again after each step of `retry`. One look serves
    everybody, so a fan whose turn is less than half a step away counts as looked for now.
    """
    due: list[float] = []
    turns = list(accumulate(retry, initial=debounce))
    steps = [debounce, *retry]
    for heard in heard_at:
        age = (now - heard).total_seconds()
        left = [turn - age for turn, step in zip(turns, steps, strict=True) if turn - age >= step / 2]
        if left:
            due.append(left[0])
    return min(due, default=None)


def new_edges(
    inventory_link_id: int,
    subscribers: Sequence[LinkSubscriber],
    known: Mapping[str, Edge],
    waiting: Mapping[str, datetime],
    missing: int,
    now: datetime,
    *,
    only_waiting: bool = False,
) -> list[PlatformEvent]:
    """The subscriptions through one link that a page of its subscriber list proves and we do not know yet.

    Fans never seen on the link are new. While the counter still counts `missing` more, a fan known there came again if the
    list gives a later time, or if the fan was told to have subscribed since and no link explains it (`waiting`: fan -> that
    time). `only_waiting`: a list with a past before us, where an unknown fan need not be new.
    """
    fresh: list[PlatformEvent] = []
    again: list[PlatformEvent] = []
    for row in {row.fan_id: row for row in reversed(subscribers)}.values():
        edge = known.get(row.fan_id, Edge())
        told = waiting.get(row.fan_id)
        if only_waiting and told is None:
            continue
        if edge.occurrences == 0:
            fresh.append(_event(inventory_link_id, row, 1, told, now))
        elif (told is not None and _later(told, edge.latest_anywhere)) or (
            row.subscribed_at is not None and _later(row.subscribed_at, edge.latest_here)
        ):
            again.append(_event(inventory_link_id, row, edge.occurrences + 1, told, now))
    again.sort(key=lambda event: (-event.at.timestamp(), event.fan_id))
    return fresh + again[: max(0, missing - len(fresh))]


def _later(time: datetime, than: datetime | None) -> bool:
    return than is None or time > than + TOLERANCE


def _event(
    inventory_link_id: int, row: LinkSubscriber, occurrence: int, told: datetime | None, now: datetime
) -> PlatformEvent:
    # Best time first: the list's own; else the notification's, whose subscription this is; else that we see it now.
    at, precision = now, FIRST_SEEN
    if row.subscribed_at is not None:
        at, precision = row.subscribed_at, EXACT
    elif told is not None:
        at, precision = told, MINUTE
    return PlatformEvent(
        event_key=f"link:{inventory_link_id}:{row.fan_id}:{occurrence}",
        kind="link_subscriber",
        fan_id=row.fan_id,
        at=at,
        precision_seconds=precision,
        inventory_link_id=inventory_link_id,
        username=row.username,
        name=row.name,
        detail={"username": row.username, "name": row.name},
    )
