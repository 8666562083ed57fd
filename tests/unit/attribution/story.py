"""Short builders for the stories of the rule tests. Times are minutes (and milliseconds) from noon."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from tracker.attribution.facts import (
    FIRST_SEEN,
    FLOORED,
    Click,
    ClickVisit,
    Conversion,
    FanEvent,
    Folded,
    LinkSubscriber,
    MessageSeen,
    Subscribed,
    TransactionSeen,
)
from tracker.attribution.fold import choose, fold

NOON = 1_760_011_200_000
MINUTE = 60_000
HOUR = 60 * MINUTE
PRICE_WAIT = 5 * MINUTE


def at(minutes: float, ms: int = 0) -> int:
    """Unix milliseconds of so many minutes (and milliseconds) after noon."""
    return NOON + round(minutes * MINUTE) + ms


def click(
    name: str,
    *moments: int,
    link: int | None = 1,
    ad: str = "",
    ecid: str = "",
    visitor: str = "",
    cookie: bool = True,
    lease: str = "exclusive",
    window: int = 6 * HOUR,
) -> Click:
    """A click with its visits. Each name is another ad and another visitor unless told otherwise."""
    visits = tuple(ClickVisit(moment, link, cookie) for moment in moments)
    return Click(name, ad or f"ad-{name}", visitor or f"visitor-{name}", lease, window, ecid, visits)


def notified(moment: int, *, price: int | None = None, precision: int = FLOORED, returning: bool = False) -> Subscribed:
    """A subscription webhook, heard 40 seconds later."""
    return Subscribed(f"sub:{moment}", moment, precision, moment + 40_000, price, returning)


def listed(
    moment: int, link: int = 1, *, precision: int = FLOORED, ours: bool = True, free: bool = False
) -> LinkSubscriber:
    """The fan in a link's subscriber list."""
    return LinkSubscriber(f"link:{link}:{moment}", moment, precision, moment, link, ours, free)


def seen(moment: int, link: int = 1) -> LinkSubscriber:
    """The fan in a list that tells no times, first seen at `moment`."""
    return listed(moment, link, precision=FIRST_SEEN)


def paid(
    name: str, moment: int, kind: str = "tip", *, gross: int = 1000, status: str = "done", net: int | None = None
) -> TransactionSeen:
    """One observation of a transaction."""
    own = gross * 4 // 5 if net is None else net
    return TransactionSeen(f"tx:{name}:{status}", moment, name, kind, status, gross, own)


def wrote(name: str, moment: int) -> MessageSeen:
    """An inbound message."""
    return MessageSeen(f"msg:{name}", moment, name)


def folded(events: Sequence[FanEvent], clicks: Sequence[Click], *, free_page: bool = False) -> Folded:
    """The fold of one fan's events and the account's clicks."""
    leases: dict[int, list[Click]] = defaultdict(list)
    visitors: dict[str, list[Click]] = defaultdict(list)
    for one in clicks:
        visitors[one.visitor].append(one)
        for link in {visit.inventory_link_id for visit in one.visits}:
            if link is not None:
                leases[link].append(one)
    return fold(events, choose(events, leases), visitors, price_wait=PRICE_WAIT, free_page=free_page)


def history(result: Folded) -> list[tuple[int, str, str]]:
    """(valid from, click, rule) of each binding."""
    return [(binding.valid_from, binding.click.click_id, binding.rule) for binding in result.bindings]


def owners(result: Folded) -> list[str]:
    """The click of each binding in turn."""
    return [binding.click.click_id for binding in result.bindings]


def of(result: Folded, kind: str) -> list[Conversion]:
    """The conversions of one type, in time order."""
    found = [conversion for conversion in result.conversions if conversion.type == kind]
    return sorted(found, key=lambda conversion: (conversion.at, conversion.identity))
