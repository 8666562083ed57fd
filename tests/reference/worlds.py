"""Small random worlds for the comparison with the reference model: few visitors, links and minutes, so that ties are common.

`build` makes one out of any source of randomness: Hypothesis's, which can shrink what fails, or a seed, which is fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

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


class _Clock:
    """The times of a world: few, often equal, often on or beside an edge of each other's windows."""

    def __init__(self, random: Random) -> None:
        self._random = random
        anchors = random.sample(ANCHORS, random.choice((1, 1, 2)))
        distances = [0, 0, *random.sample(DISTANCES, 2)]
        ticks = [0, 0, *random.sample(TICKS, 2)]
        self._moments = [
            BASE + anchor + sign * distance + tick
            for anchor in anchors
            for distance in distances
            for tick in ticks
            for sign in (1, -1)
        ]

    def moment(self) -> int:
        """Milliseconds, as clicks have them."""
        return self._random.choice(self._moments)

    def second(self) -> int:
        """Whole seconds, as platforms tell them."""
        at = self.moment()
        return at - at % 1000


def worlds(*, accounts: int = 2, fans: int = 2) -> SearchStrategy[World]:
    """Worlds of up to so many accounts, each with up to so many fans."""
    return st.randoms(use_true_random=False).map(lambda random: build(random, accounts=accounts, fans=fans))


def build(random: Random, *, accounts: int = 2, fans: int = 2) -> World:
    """One world of up to so many accounts, each with up to so many fans."""
    account_ids = [f"acct_{number}" for number in range(1, random.randint(1, accounts) + 1)]
    clock = _Clock(random)
    smart_links: list[SmartLink] = []
    platform_links: list[PlatformLink] = []
    clicks: dict[str, tuple[Click, ...]] = {}
    events: dict[tuple[str, str], tuple[FanEvent, ...]] = {}
    for number, account_id in enumerate(account_ids, 1):
        ads = [
            SmartLink(f"{account_id}_S{index}", account_id, random.choice(WINDOWS))
            for index in range(random.randint(1, 2))
        ]
        pool = [
            PlatformLink(10 * number + index, account_id, ours=index < 2, free=random.random() < 0.3)
            for index in range(3)
        ]
        smart_links += ads
        platform_links += pool
        clicks[account_id] = _clicks(random, clock, number, ads, [link.inventory_link_id for link in pool if link.ours])
        for fan in range(random.randint(1, fans)):
            fan_id = str(1000 + 10 * number + fan)
            events[account_id, fan_id] = _events(random, clock, fan_id, pool)
    free_pages = frozenset(account_id for account_id in account_ids if random.random() < 0.3)
    return World(tuple(smart_links), tuple(platform_links), free_pages, clicks, events)


def click_id(at: int, tail: str) -> str:
    """A click id as real ones are: 26 characters that sort by their time."""
    return "".join(_ALPHABET[at >> shift & 31] for shift in range(45, -5, -5)) + tail.ljust(16, "0")


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def _clicks(random: Random, clock: _Clock, account: int, ads: list[SmartLink], pool: list[int]) -> tuple[Click, ...]:
    clicks = []
    for number in range(random.randint(0, 6)):
        ad = random.choice(ads)
        at = clock.moment()
        lease = random.choice(("exclusive", "exclusive", "shared", "reserve", "none"))
        leased = None if lease == "none" else random.choice(pool)
        visits = [ClickVisit(at, leased, random.random() < 0.6)]
        for later in {clock.moment() for _ in range(random.choice((0, 0, 1, 2)))}:
            if later > at:
                visits.append(ClickVisit(later, random.choice((leased, leased, *pool)), random.random() < 0.6))
        visits.sort(key=lambda visit: visit.at)
        # Within one millisecond the order of ids has nothing to do with the order of clicks.
        name = click_id(at, f"{random.randint(0, 9)}{account}{number}")
        visitor, ecid = random.choice(VISITORS), random.choice(ECIDS)
        clicks.append(Click(name, ad.smart_link_id, visitor, lease, ad.window, ecid, tuple(visits)))
    return tuple(clicks)


def _events(random: Random, clock: _Clock, fan_id: str, pool: list[PlatformLink]) -> tuple[FanEvent, ...]:
    events: list[FanEvent] = []
    for number in range(random.randint(0, 4)):
        events += _subscription(random, clock, f"{fan_id}-{number}", pool)
    for number in range(random.randint(0, 4)):
        events += _transaction(random, clock, f"{fan_id}-{number}")
    for number in range(random.randint(0, 4)):
        message = f"{fan_id}-{number}"
        events.append(MessageSeen(f"msg:{message}", clock.second(), message))
    return tuple(events)


def _subscription(random: Random, clock: _Clock, name: str, pool: list[PlatformLink]) -> list[FanEvent]:
    """What up to two sources tell of one subscription; with several of them near each other, they get mixed up."""
    at = clock.second()
    heard = at + random.choice((1_000, 45_000, 2 * MINUTE, 9 * MINUTE, DAY))
    events: list[FanEvent] = []
    told = random.choice(("notification", "list", "both", "both"))
    if told != "list":
        floored = random.random() < 0.7
        events.append(
            Subscribed(
                event_key=f"sub:{name}",
                at=at - at % MINUTE if floored else at,
                precision=FLOORED if floored else EXACT,
                seen_at=heard,
                price_cents=random.choice((None, 0, 500)),
                returning=random.random() < 0.2,
            )
        )
    if told != "notification":
        link = random.choice((pool[0], pool[0], pool[0], pool[1], pool[2]))
        timed = random.choice((EXACT, FLOORED, FIRST_SEEN, FIRST_SEEN))
        listed = random.choice((at + 20_000, at + 9 * MINUTE, at + 10 * MINUTE, at + 11 * MINUTE, heard))
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
                inferred=random.random() < 0.15,
            )
        )
    return events


def _transaction(random: Random, clock: _Clock, name: str) -> list[FanEvent]:
    at = clock.second()
    gross = random.randint(1, 4) * 500
    kind = random.choice(PURCHASES)
    events: list[FanEvent] = []
    for status in random.sample(STATUSES, random.randint(1, 4)):
        # A later row may say another amount, another second, or leave the type open.
        amount = gross + random.choice((0, 0, 0, -100))
        events.append(
            TransactionSeen(
                event_key=f"tx:{name}:{status}",
                at=at + random.choice((0, 0, 0, 1000)),
                transaction_id=name,
                type=random.choice((kind, kind, kind, "other")),
                status=status,
                gross_cents=amount,
                net_cents=amount * 4 // 5,
                description="",
            )
        )
    return events
