"""From what several sources say to the fan's subscriptions (spec 11, "Identity of a subscription")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tracker.attribution.facts import (
    EXACT,
    FIRST_SEEN,
    MINUTE,
    TEN_MINUTES,
    FanEvent,
    LinkSubscriber,
    Subscribed,
    Subscription,
)


@dataclass
class _Draft:
    start: int
    told: list[Subscribed] = field(default_factory=list)
    links: list[LinkSubscriber] = field(default_factory=list)


def floor_minute(at: int) -> int:
    """The minute a time lies in, as Unix milliseconds."""
    return at - at % MINUTE


def subscriptions(events: Iterable[FanEvent]) -> tuple[Subscription, ...]:
    """The fan's subscriptions in time order.

    Sources with a time meet in the minute the subscription began; a source without one joins a subscription within ten
    minutes (rather one that has no link yet, one that began before, the nearest), else stands alone under the minute it
    was first seen.
    """
    drafts: dict[int, _Draft] = {}
    timeless: list[LinkSubscriber] = []
    for event in sorted(events, key=lambda event: (event.at, event.event_key)):
        if isinstance(event, Subscribed):
            drafts.setdefault(floor_minute(event.at), _Draft(floor_minute(event.at))).told.append(event)
        elif isinstance(event, LinkSubscriber) and event.precision == FIRST_SEEN:
            timeless.append(event)
        elif isinstance(event, LinkSubscriber):
            drafts.setdefault(floor_minute(event.at), _Draft(floor_minute(event.at))).links.append(event)
    for link in timeless:
        draft = _nearest(drafts.values(), link)
        if draft is None:
            start = floor_minute(link.at)
            draft = drafts.setdefault(start, _Draft(start))
        draft.links.append(link)
    return tuple(_finish(drafts[start]) for start in sorted(drafts))


def _nearest(drafts: Iterable[_Draft], link: LinkSubscriber) -> _Draft | None:
    within = [draft for draft in drafts if abs(draft.start - link.at) <= TEN_MINUTES]
    free = [draft for draft in within if not draft.links]
    # A list cannot show a fan before the subscription: what began later is the last resort (clocks may differ a little).
    return min(
        free or within,
        key=lambda draft: (draft.start > link.at, abs(draft.start - link.at), draft.start),
        default=None,
    )


def _finish(draft: _Draft) -> Subscription:
    at, precision = _best_time(draft)
    link = _best_link(draft.links)
    prices = sorted(event.price_cents for event in draft.told if event.price_cents is not None)
    price = 0 if link is not None and link.free else (prices[-1] if prices else None)
    told: Sequence[Subscribed | LinkSubscriber] = [*draft.told, *draft.links]
    return Subscription(
        start=draft.start,
        at=at,
        # Times with seconds are whole seconds: the subscription may lie anywhere within that second.
        end=at + (999 if precision == EXACT else MINUTE),
        seen_at=min(event.seen_at for event in told),
        link=link,
        price_cents=price,
        returning=any(event.returning for event in draft.told),
        event_keys=tuple(sorted(event.event_key for event in told)),
    )


def _best_time(draft: _Draft) -> tuple[int, int]:
    told: Sequence[Subscribed | LinkSubscriber] = [*draft.told, *draft.links]
    exact = [event.at for event in told if event.precision == EXACT]
    return (min(exact), EXACT) if exact else (draft.start, MINUTE)


def _best_link(links: Sequence[LinkSubscriber]) -> LinkSubscriber | None:
    # What was told beats a guess. A link of ours says more than one that is not, a list that gives the time of the
    # subscription more than one that merely shows the fan; the rest is only there to be the same in any order.
    return min(
        links,
        key=lambda link: (link.inferred, not link.ours, link.precision == FIRST_SEEN, link.at, link.event_key),
        default=None,
    )
