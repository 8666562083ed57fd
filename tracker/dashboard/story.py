"""An explanation event by event, for the list below the picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from tracker.dashboard import numbers
from tracker.explain.explanation import BindingCard, Candidate, ClickCard, ConversionCard, Explanation, SubscriptionCard
from tracker.explain.words import LEASES, REASONS, RULES, chance, span

OUTCOMES = {"lost": "competed", "expired": "too long before", "later": "only afterwards"}


@dataclass(frozen=True)
class Event:
    """One thing that happened. `kind` colours it; `click_id` and `conversion_id` are links."""

    at: datetime
    rank: int
    kind: str
    title: str
    lines: list[str] = field(default_factory=list)
    click_id: str = ""
    conversion_id: str = ""
    fan_id: str = ""


def story(told: Explanation) -> list[Event]:
    """Everything, in the order in which it happened."""
    return sorted(_events(told), key=lambda event: (event.at, event.rank))


def _events(told: Explanation) -> Iterable[Event]:
    for click in told.clicks:
        yield _click(click)
        for visit in click.visits[1:]:
            yield Event(
                visit.at, 1, "visit", "The same visitor again", [f"known by {visit.visitor_by}"], click.click_id
            )
    for subscription in told.subscriptions:
        yield _subscription(subscription)
    for binding in told.bindings:
        yield _binding(binding)
    for conversion in told.conversions:
        yield _conversion(conversion)


def _click(card: ClickCard) -> Event:
    if card.is_bot:
        return Event(
            card.clicked_at,
            0,
            "bot",
            f"A machine visited {card.smart_link_name}",
            [card.bot_reason or ""],
            card.click_id,
        )
    facts = [card.country, card.device_type, card.browser, card.external_click_id and f"ecid {card.external_click_id}"]
    lines = [", ".join(fact for fact in facts if fact)] if any(facts) else []
    lines.append(
        f"it {LEASES.get(card.lease, card.lease)}"
        + (f": {card.link_name or card.inventory_link_id}" if card.inventory_link_id else "")
    )
    if card.spilled:
        lines.append("answered while the store of leases was away, recorded afterwards")
    return Event(card.clicked_at, 0, "click", f"Click on {card.smart_link_name}", lines, card.click_id)


def _subscription(card: SubscriptionCard) -> Event:
    lines = [] if card.precise else ["known to the minute"]
    if card.inventory_link_id is None:
        lines.append("through no link of ours")
    else:
        lines.append(
            f"through inventory link {card.inventory_link_id}"
            + (", concluded from counters" if card.link_inferred else "")
        )
    if card.click_id is None:
        lines.append(f"credited to nobody: {REASONS.get(card.reason or '', card.reason or '')}")
    lines += [_candidate(one) for one in card.candidates]
    return Event(card.at, 2, "subscribed", "Subscribed", lines, card.click_id or "", fan_id=card.fan_id)


def _candidate(card: Candidate) -> str:
    ago = "" if card.delay_seconds is None or card.outcome == "later" else f", {span(card.delay_seconds)} before"
    if card.outcome == "won":
        return f"credited to {card.click_id}{ago}, {chance(card.probability)} sure"
    weight = f", {chance(card.probability)}" if card.outcome == "lost" else ""
    return f"{OUTCOMES[card.outcome]}: {card.click_id}{ago}{weight}"


def _binding(card: BindingCard) -> Event:
    lines = [RULES.get(card.rule, card.rule), f"{chance(card.confidence)} sure, {card.competing_clicks} competing"]
    if card.retracted_at is not None:
        lines.append(f"believed until {card.retracted_at:%Y-%m-%d %H:%M:%S} UTC, not any more")
    return Event(
        card.valid_from,
        3,
        "binding",
        "The fan belongs to this click from here on",
        lines,
        card.click_id,
        fan_id=card.fan_id,
    )


def _conversion(card: ConversionCard) -> Event:
    amount = "" if card.amount_gross_cents is None else f" {numbers.money(card.amount_gross_cents)}"
    kind = f" ({card.transaction_type}, {card.transaction_status})".replace("_", " ") if card.transaction_type else ""
    lines = []
    if card.retracted_at is not None:
        lines.append(f"taken back {card.retracted_at:%Y-%m-%d %H:%M:%S} UTC")
    elif card.corrected_at is not None:
        lines.append(f"corrected {card.corrected_at:%Y-%m-%d %H:%M:%S} UTC")
    for one in card.deliveries:
        verdict = f": {one.verdict}" if one.verdict else ""
        where = one.destination_name or one.destination_kind.replace("_", " ")
        lines.append(
            f"told to {where}: {one.state} after {one.attempts} {'attempt' if one.attempts == 1 else 'attempts'}{verdict}"
        )
    title = card.type.replace("_", " ").capitalize()
    return Event(
        card.at,
        4,
        "money" if card.type == "new_transaction" else "conversion",
        f"{title}{amount}{kind}",
        lines,
        card.click_id,
        card.conversion_id,
    )
