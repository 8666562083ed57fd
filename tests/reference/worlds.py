"""Small random worlds for the comparison with the reference model: few visitors, links and minutes, so that ties are common."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tracker.attribution.facts import (
    EXACT,
    FIRST_SEEN,
    FLOORED,
    Click,
    ClickVisit,
    FanEvent,
    LinkSubscriber,
    MessageSeen,
    Subscribed,
    TransactionSeen,
)

BASE = 1_760_000_400_000  # a whole minute
MINUTE = 60_000
DAY = 24 * 60 * MINUTE

WINDOWS = (5 * MINUTE, 5 * MINUTE, 20 * MINUTE, 6 * 60 * MINUTE)
VISITORS = ("v1", "v2")
ECIDS = ("", "e1")
PURCHASES = ("new_subscription", "new_subscription", "recurring_subscription", "tip", "message", "other")
STATUSES = ("loading", "done", "pending_return", "undo")

# Everything in a world happens near one or two times, or a window, a tolerance or a tick away from them.
ANCHORS = (0, 3 * MINUTE, 20 * MINUTE, 6 * 60 * MINUTE, DAY)
DISTANCES = (MINUTE, 5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 6 * 60 * MINUTE)
TICKS = (-1, 1, 999, 1000, -1000, 30_000)


@dataclass(frozen=True)
class SmartLink:
    """A smart link of an account. `window` in milliseconds."""

    smart_link_id: str
    account_id: str
    window: int


@dataclass(frozen=True)
class PlatformLink:
    """A tracking or trial link of an account; `ours`: in a pool, so that clicks are sent to it."""

    inventory_link_id: int
    account_id: str
    ours: bool
    free: bool


@dataclass(frozen=True)
class World:
    """Accounts, their clicks, and what their fans did. `clicks` and `events` have no order that means anything."""

    smart_links: tuple[SmartLink, ...]
    platform_links: tuple[PlatformLink, ...]
    free_pages: frozenset[str]
    clicks: dict[str, tuple[Click, ...]]  # account id -> clicks
    events: dict[tuple[str, str], tuple[FanEvent, ...]]  # (account id, fan id) -> events


@dataclass(frozen=True)
class Clock:
    """The times of a world. `moments`: milliseconds, as clicks have them; `seconds`: whole seconds, as platforms tell them."""

    moments: SearchStrategy[int]
    seconds: SearchStrategy[int]


@st.composite
def clocks(draw: DrawFn) -> Clock:
    """Few times, often equal, often on or beside an edge of each other's windows."""
    anchors = draw(st.lists(st.sampled_from(ANCHORS), min_size=1, max_size=2, unique=True))
    distances = [0, *draw(st.lists(st.sampled_from(DISTANCES), min_size=1, max_size=2, unique=True))]
    ticks = [0, 0, *draw(st.lists(st.sampled_from(TICKS), min_size=1, max_size=2, unique=True))]
    moments = [
        BASE + anchor + sign * distance + tick
        for anchor in anchors
        for distance in distances
        for tick in ticks
        for sign in (1, -1)
    ]
    return Clock(st.sampled_from(moments), st.sampled_from([at - at % 1000 for at in moments]))


@st.composite
def worlds(draw: DrawFn, *, accounts: int = 2, fans: int = 2) -> World:
    """A world of up to so many accounts, each with up to so many fans."""
    account_ids = [f"acct_{number}" for number in range(1, draw(st.integers(1, accounts)) + 1)]
    clock = draw(clocks())
    smart_links: list[SmartLink] = []
    platform_links: list[PlatformLink] = []
    clicks: dict[str, tuple[Click, ...]] = {}
    events: dict[tuple[str, str], tuple[FanEvent, ...]] = {}
    for number, account_id in enumerate(account_ids, 1):
        ads = [
            SmartLink(f"{account_id}_S{index}", account_id, draw(st.sampled_from(WINDOWS)))
            for index in range(draw(st.integers(1, 2)))
        ]
        pool = [
            PlatformLink(
                10 * number + index, account_id, ours=index < 2, free=draw(st.sampled_from((False, False, True)))
            )
            for index in range(3)
        ]
        smart_links += ads
        platform_links += pool
        clicks[account_id] = draw(_clicks(clock, number, ads, [link.inventory_link_id for link in pool if link.ours]))
        for fan in range(draw(st.integers(1, fans))):
            fan_id = str(1000 + 10 * number + fan)
            events[account_id, fan_id] = draw(_events(clock, fan_id, pool))
    free_pages = frozenset(draw(st.sets(st.sampled_from(account_ids))))
    return World(tuple(smart_links), tuple(platform_links), free_pages, clicks, events)


def click_id(at: int, tail: str) -> str:
    """A click id as real ones are: 26 characters that sort by their time."""
    return "".join(_ALPHABET[at >> shift & 31] for shift in range(45, -5, -5)) + tail.ljust(16, "0")


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@st.composite
def _clicks(draw: DrawFn, clock: Clock, account: int, ads: list[SmartLink], pool: list[int]) -> tuple[Click, ...]:
    clicks = []
    for number in range(draw(st.integers(0, 6))):
        ad = draw(st.sampled_from(ads))
        at = draw(clock.moments)
        lease = draw(st.sampled_from(("exclusive", "exclusive", "shared", "reserve", "none")))
        leased = None if lease == "none" else draw(st.sampled_from(pool))
        visits = [ClickVisit(at, leased, draw(st.booleans()))]
        for later in draw(st.lists(clock.moments, max_size=2, unique=True)):
            if later > at:
                moved = draw(st.sampled_from((leased, leased, *pool)))
                visits.append(ClickVisit(later, moved, draw(st.booleans())))
        visits.sort(key=lambda visit: visit.at)
        # Within one millisecond the order of ids has nothing to do with the order of clicks.
        name = click_id(at, f"{draw(st.integers(0, 9))}{account}{number}")
        visitor, ecid = draw(st.sampled_from(VISITORS)), draw(st.sampled_from(ECIDS))
        clicks.append(Click(name, ad.smart_link_id, visitor, lease, ad.window, ecid, tuple(visits)))
    return tuple(clicks)


@st.composite
def _events(draw: DrawFn, clock: Clock, fan_id: str, pool: list[PlatformLink]) -> tuple[FanEvent, ...]:
    events: list[FanEvent] = []
    for number in range(draw(st.integers(0, 4))):
        events += draw(_subscription(clock, f"{fan_id}-{number}", pool))
    for number in range(draw(st.integers(0, 4))):
        events += draw(_transaction(clock, f"{fan_id}-{number}"))
    for number in range(draw(st.integers(0, 4))):
        message = f"{fan_id}-{number}"
        events.append(MessageSeen(f"msg:{message}", draw(clock.seconds), message))
    return tuple(events)


@st.composite
def _subscription(draw: DrawFn, clock: Clock, name: str, pool: list[PlatformLink]) -> list[FanEvent]:
    """What up to two sources tell of one subscription; with several of them near each other, they get mixed up."""
    at = draw(clock.seconds)
    heard = at + draw(st.sampled_from((1_000, 45_000, 2 * MINUTE, 9 * MINUTE, DAY)))
    events: list[FanEvent] = []
    told = draw(st.sampled_from(("notification", "list", "both", "both")))
    if told != "list":
        floored = draw(st.sampled_from((True, True, False)))
        events.append(
            Subscribed(
                event_key=f"sub:{name}",
                at=at - at % MINUTE if floored else at,
                precision=FLOORED if floored else EXACT,
                seen_at=heard,
                price_cents=draw(st.sampled_from((None, 0, 500))),
                returning=draw(st.booleans()),
            )
        )
    if told != "notification":
        link = draw(st.sampled_from((pool[0], pool[0], pool[1], pool[2])))
        timed = draw(st.sampled_from((EXACT, FLOORED, FIRST_SEEN, FIRST_SEEN)))
        listed = draw(st.sampled_from((at + 20_000, at + 9 * MINUTE, at + 10 * MINUTE, at + 11 * MINUTE, heard)))
        shown = {EXACT: at, FLOORED: at - at % MINUTE, FIRST_SEEN: listed}[timed]
        events.append(
            LinkSubscriber(
                event_key=f"link:{link.inventory_link_id}:{name}",
                at=shown,
                precision=timed,
                seen_at=max(listed, shown),
                inventory_link_id=link.inventory_link_id,
                ours=link.ours,
                free=link.free,
            )
        )
    return events


@st.composite
def _transaction(draw: DrawFn, clock: Clock, name: str) -> list[FanEvent]:
    at = draw(clock.seconds)
    gross = draw(st.integers(1, 4)) * 500
    kind = draw(st.sampled_from(PURCHASES))
    events: list[FanEvent] = []
    for status in draw(st.sets(st.sampled_from(STATUSES), min_size=1)):
        # A later row may say another amount, another second, or leave the type open.
        amount = gross + draw(st.sampled_from((0, 0, 0, -100)))
        events.append(
            TransactionSeen(
                event_key=f"tx:{name}:{status}",
                at=at + draw(st.sampled_from((0, 0, 0, 1000))),
                transaction_id=name,
                type=draw(st.sampled_from((kind, kind, kind, "other"))),
                status=status,
                gross_cents=amount,
                net_cents=amount * 4 // 5,
                description="",
            )
        )
    return events
