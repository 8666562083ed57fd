"""An explanation: the chain of lease, rule, competing clicks and platform events behind a credit (spec 4, last paragraph).

Times are UTC; amounts are integer cents; probabilities lie in [0, 1].
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

Kind = Literal["fan", "conversion", "click"]
Outcome = Literal["won", "lost", "expired", "later"]


class VisitCard(msgspec.Struct, frozen=True, kw_only=True):
    """One visit of a click."""

    at: datetime
    visitor_by: str  # 'cookie' | 'fingerprint' | 'new'
    inventory_link_id: int | None


class ClickCard(msgspec.Struct, frozen=True, kw_only=True):
    """A click with its lease. `leased_until`: its last visit, the window, and a minute; None when it took no lease."""

    click_id: str
    smart_link_id: str
    smart_link_name: str
    clicked_at: datetime
    visits: list[VisitCard]
    visitor: str
    visitor_by: str
    lease: str
    inventory_link_id: int | None
    link_name: str | None
    link_url: str | None
    window_seconds: int
    leased_until: datetime | None
    spilled: bool
    is_bot: bool
    bot_reason: str | None
    country: str | None
    device_type: str | None
    browser: str | None
    external_click_id: str | None


class EventCard(msgspec.Struct, frozen=True, kw_only=True):
    """A platform event. `precision_seconds`: 60 floored to the minute, 0 exact, -1 only first seen."""

    event_key: str
    kind: str
    at: datetime
    precision_seconds: int
    source: str
    first_seen_at: datetime
    inventory_link_id: int | None


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A click that was sent to the link of a subscription, and why it did or did not get the credit.

    `probability` is 0 for a click that does not qualify; `delay_seconds` runs from its latest visit that counts.
    """

    click_id: str
    outcome: Outcome
    latest_visit_at: datetime | None
    delay_seconds: float | None
    probability: float
    lease: str


class SubscriptionCard(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription, all that told of it, and the clicks that competed for it. `candidates`: the winner first.

    `link_inferred`: no source named the link; it was concluded from the links' counters.
    """

    fan_id: str
    at: datetime
    precise: bool
    inventory_link_id: int | None
    link_inferred: bool
    click_id: str | None
    reason: str | None
    confidence: float
    competing_clicks: int
    candidates: list[Candidate]
    sources: list[EventCard]


class BindingCard(msgspec.Struct, frozen=True, kw_only=True):
    """A belief about whom a fan belongs to; `retracted_at` is set once it is believed no longer."""

    fan_id: str
    valid_from: datetime
    click_id: str
    smart_link_id: str
    rule: str
    lease: str
    confidence: float
    competing_clicks: int
    event_keys: list[str]
    believed_at: datetime
    retracted_at: datetime | None


class DeliveryCard(msgspec.Struct, frozen=True, kw_only=True):
    """What became of telling one destination."""

    destination_id: str
    destination_kind: str
    destination_name: str
    state: str
    attempts: int
    verdict: str | None
    created_at: datetime
    due_at: datetime
    finished_at: datetime | None


class ConversionCard(msgspec.Struct, frozen=True, kw_only=True):
    """A conversion with the events behind it and its deliveries."""

    conversion_id: str
    fan_id: str
    type: str
    at: datetime
    click_id: str
    amount_gross_cents: int | None
    amount_net_cents: int | None
    transaction_id: str | None
    transaction_type: str | None
    transaction_status: str | None
    purchase: str | None
    previously_subscribed: bool
    created_at: datetime
    corrected_at: datetime | None
    retracted_at: datetime | None
    events: list[EventCard]
    deliveries: list[DeliveryCard]


class FanCard(msgspec.Struct, frozen=True, kw_only=True):
    """A fan of the account."""

    fan_id: str
    username: str
    name: str
    first_subscribed_at: datetime | None
    unattributed_reason: str | None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a fan, a conversion or a click is credited as it is. `truncated` names the lists that were cut to their cap."""

    kind: Kind
    id: str
    account_id: str
    account_username: str
    sentences: list[str]
    fans: list[FanCard]
    subscriptions: list[SubscriptionCard]
    bindings: list[BindingCard]
    clicks: list[ClickCard]
    conversions: list[ConversionCard]
    truncated: list[str]
