"""Rows → an explanation. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import asyncpg
import msgspec

from tracker.attribution.evidence import FanKey, from_ms
from tracker.attribution.facts import Click, Credit
from tracker.explain import words
from tracker.explain.candidates import candidates
from tracker.explain.explanation import (
    BindingCard,
    ClickCard,
    ConversionCard,
    DeliveryCard,
    EventCard,
    Explanation,
    FanCard,
    Kind,
    SubscriptionCard,
    VisitCard,
)

Row = Mapping[str, Any] | asyncpg.Record
Card = TypeVar("Card", bound=msgspec.Struct)
MOST_CANDIDATES = 50
MINUTE = timedelta(seconds=60)


@dataclass(frozen=True)
class Rows:
    """What was loaded. `credits` and `leases` are what the fold works with; `truncated` names lists that were cut."""

    account: Row
    fans: Sequence[Row] = ()
    bindings: Sequence[Row] = ()
    conversions: Sequence[Row] = ()
    deliveries: Sequence[Row] = ()
    events: Sequence[Row] = ()
    clicks: Sequence[Row] = ()
    visits: Sequence[Row] = ()
    credits: Mapping[FanKey, Sequence[Credit]] = field(default_factory=dict)
    leases: Mapping[int, Sequence[Click]] = field(default_factory=dict)
    truncated: Sequence[str] = ()


def assemble(kind: Kind, name: str, rows: Rows) -> Explanation:
    """The explanation of a fan, a conversion or a click. Raises LookupError when `rows` lack what it is about."""
    events = {row["event_key"]: _card(EventCard, row) for row in rows.events}
    fans = [_card(FanCard, row) for row in rows.fans]
    subscriptions = [
        _subscription(fan_id, credit, rows.leases, events)
        for (_, fan_id), chosen in sorted(rows.credits.items())
        for credit in chosen
    ]
    bindings = [_card(BindingCard, row, event_keys=list(row["event_keys"])) for row in rows.bindings]
    clicks = _clicks(rows)
    conversions = _conversions(rows, events)
    if kind == "fan":
        sentences = words.fan(fans[0], subscriptions, bindings)
    elif kind == "conversion":
        sentences = words.conversion(conversions[0], subscriptions, bindings)
    else:
        sentences = words.click(next(card for card in clicks if card.click_id == name), subscriptions)
    return Explanation(
        kind=kind,
        id=name,
        account_id=rows.account["account_id"],
        account_username=rows.account["username"],
        sentences=sentences,
        fans=fans,
        subscriptions=subscriptions,
        bindings=bindings,
        clicks=clicks,
        conversions=conversions,
        truncated=list(rows.truncated),
    )


def clicks_named(rows: Rows) -> list[str]:
    """The clicks an explanation speaks of, for their own rows to be loaded."""
    named = {row["click_id"] for row in (*rows.bindings, *rows.conversions)}
    for chosen in rows.credits.values():
        for credit in chosen:
            link = credit.subscription.link
            found = rows.leases.get(link.inventory_link_id, ()) if link is not None else ()
            named |= {one.click_id for one in candidates(credit, found)[:MOST_CANDIDATES]}
    return sorted(named)


def events_named(rows: Rows) -> list[tuple[str, str]]:
    """(account, key) of the platform events an explanation speaks of."""
    named = {(row["account_id"], key) for row in (*rows.bindings, *rows.conversions) for key in row["event_keys"]}
    for (account_id, _), chosen in rows.credits.items():
        named |= {(account_id, key) for credit in chosen for key in credit.subscription.event_keys}
    return sorted(named)


def _subscription(
    fan_id: str, credit: Credit, leases: Mapping[int, Sequence[Click]], events: Mapping[str, EventCard]
) -> SubscriptionCard:
    subscription, link = credit.subscription, credit.subscription.link
    leased = leases.get(link.inventory_link_id, ()) if link is not None else ()
    return SubscriptionCard(
        fan_id=fan_id,
        at=from_ms(subscription.at),
        precise=subscription.end - subscription.at < 60_000,
        inventory_link_id=None if link is None else link.inventory_link_id,
        link_inferred=link is not None and link.inferred,
        click_id=None if credit.click is None else credit.click.click_id,
        reason=credit.reason,
        confidence=credit.confidence,
        competing_clicks=credit.competing_clicks,
        candidates=candidates(credit, leased)[:MOST_CANDIDATES],
        sources=[events[key] for key in subscription.event_keys if key in events],
    )


def _clicks(rows: Rows) -> list[ClickCard]:
    visits: dict[str, list[VisitCard]] = defaultdict(list)
    for row in rows.visits:
        visits[row["click_id"]].append(
            VisitCard(at=row["visited_at"], visitor_by=row["visitor_by"], inventory_link_id=row["inventory_link_id"])
        )
    return [_click(row, visits[row["click_id"]]) for row in rows.clicks]


def _click(row: Row, later: list[VisitCard]) -> ClickCard:
    link = row["inventory_link_id"]
    first = VisitCard(at=row["clicked_at"], visitor_by=row["visitor_by"], inventory_link_id=link)
    leased = None if link is None else row["last_visit_at"] + timedelta(seconds=row["window_seconds"]) + MINUTE
    return _card(ClickCard, row, visits=[first, *later], leased_until=leased, external_click_id=row["ecid"])


def _conversions(rows: Rows, events: Mapping[str, EventCard]) -> list[ConversionCard]:
    told: dict[str, list[DeliveryCard]] = defaultdict(list)
    for row in rows.deliveries:
        told[row["event_id"]].append(
            _card(DeliveryCard, row, destination_kind=row["kind"], destination_name=row["name"])
        )
    return [
        _card(
            ConversionCard,
            row,
            type=row["conversion_type"],
            at=row["conversion_at"],
            events=[events[key] for key in row["event_keys"] if key in events],
            deliveries=told[row["conversion_id"]],
        )
        for row in rows.conversions
    ]


def _card(kind: type[Card], row: Row, **own: Any) -> Card:
    """A card whose fields are the row's columns of the same names, but for `own`."""
    return kind(**{name: row[name] for name in kind.__struct_fields__ if name not in own}, **own)
