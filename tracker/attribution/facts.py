"""What the fold works on: one fan's platform events, and the clicks they touch. Times are Unix milliseconds, UTC."""

from __future__ import annotations

from dataclasses import dataclass, field

MINUTE = 60_000
TEN_MINUTES = 10 * MINUTE

FLOORED = 60  # precision of webhook notifications: the true time lies within the following minute
EXACT = 0  # feeds with seconds
FIRST_SEEN = -1  # the source gave no time; this is when we saw it

SUBSCRIPTION_TYPES = frozenset({"new_subscription", "recurring_subscription"})


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A platform notification that the fan subscribed or returned. It does not say through which link."""

    event_key: str
    at: int
    precision: int
    seen_at: int
    price_cents: int | None = None
    returning: bool = False


@dataclass(frozen=True, slots=True)
class LinkSubscriber:
    """The fan stands in the subscriber list of an inventory link."""

    event_key: str
    at: int
    precision: int
    seen_at: int
    inventory_link_id: int
    ours: bool = True  # False: a link of the account that is not in a pool of ours
    free: bool = False  # a free-trial link: the price paid is 0
    inferred: bool = False  # nobody told: one new fan and one link's counter moved together


@dataclass(frozen=True, slots=True)
class TransactionSeen:
    """One transaction as it stood at one observation; each status of a transaction is an event of its own."""

    event_key: str
    at: int
    transaction_id: str
    type: str
    status: str
    gross_cents: int
    net_cents: int
    description: str = ""


@dataclass(frozen=True, slots=True)
class MessageSeen:
    """One inbound message of the fan."""

    event_key: str
    at: int
    message_id: str


FanEvent = Subscribed | LinkSubscriber | TransactionSeen | MessageSeen


@dataclass(frozen=True, slots=True)
class ClickVisit:
    """One visit of a click: the click itself or a later duplicate."""

    at: int
    inventory_link_id: int | None
    by_cookie: bool


@dataclass(frozen=True, slots=True)
class Click:
    """A recorded, non-bot click with all its visits in time order (the first is the click itself)."""

    click_id: str
    smart_link_id: str
    visitor: str
    lease: str
    window: int  # milliseconds
    ecid: str
    visits: tuple[ClickVisit, ...]


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription as all its sources together tell it. `start` is its identity: the minute it began (spec 11)."""

    start: int  # floored to the minute
    at: int  # the most precise time known
    end: int  # the last millisecond at which it may have happened
    seen_at: int  # when we first heard of it
    link: LinkSubscriber | None
    price_cents: int | None
    returning: bool
    event_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Credit:
    """The click a subscription is credited to, or why there is none."""

    subscription: Subscription
    click: Click | None
    reason: str | None = None  # 'organic' | 'never_leased' | 'no_click_before' | 'window_expired'
    competing_clicks: int = 0
    confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class Binding:
    """From `valid_from` on, the fan belongs to the click."""

    valid_from: int
    click: Click
    rule: str  # 'subscribed' | 'resubscribed' | 'clicked_again'
    confidence: float
    competing_clicks: int
    event_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conversion:
    """Something worth telling a destination (spec 5). `identity` with `type` names it whatever the order of arrival."""

    type: str
    identity: str
    at: int
    click: Click
    event_keys: tuple[str, ...]
    gross_cents: int | None = None
    net_cents: int | None = None
    transaction_id: str | None = None
    transaction_type: str | None = None
    transaction_status: str | None = None
    transaction_description: str | None = None
    previously_subscribed: bool = False
    purchase: str | None = None  # 'first' | 'repeat', for ad platforms
    hold_until: int | None = None  # not to be told before: its price may still come

    def held(self, now: int) -> bool:
        """Whether it still waits for its price."""
        return self.hold_until is not None and self.hold_until > now


@dataclass(frozen=True, slots=True)
class Folded:
    """The fold's result for one fan."""

    bindings: tuple[Binding, ...] = ()
    conversions: tuple[Conversion, ...] = ()
    unattributed_reason: str | None = None
    first_subscribed_at: int | None = None
    credits: tuple[Credit, ...] = field(default=())

    def next_release(self, now: int) -> int | None:
        """When the next held conversion goes without its price; None when none waits."""
        waiting = [one.hold_until for one in self.conversions if one.hold_until is not None and one.held(now)]
        return min(waiting, default=None)
