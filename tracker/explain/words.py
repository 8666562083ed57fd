"""Explanations in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tracker.explain.explanation import (
    BindingCard,
    ClickCard,
    ConversionCard,
    DeliveryCard,
    FanCard,
    SubscriptionCard,
)

RULES = {
    "subscribed": "the fan subscribed through a link leased to it",
    "resubscribed": "the fan subscribed again through a link leased to it",
    "clicked_again": "the same browser, known by its cookie, clicked again after the subscription",
}
LEASES = {
    "exclusive": "held the link alone",
    "shared": "shared the link, because no link of the pool was free",
    "reserve": "was sent to the reserve link, which many share, because the pool could not be asked or was empty",
    "none": "took no lease",
}
REASONS = {
    "organic": "the subscription came through no link of ours",
    "never_leased": "no click was ever sent to that link",
    "no_click_before": "that link was sent to clicks only after the subscription",
    "window_expired": "every click on that link was longer ago than its window",
}


def moment(at: datetime) -> str:
    """'2026-11-22 03:04:05 UTC'."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def span(seconds: float) -> str:
    """'45 s', '12 min', '5 h 20 min', '3 d 4 h'."""
    seconds = max(0, round(seconds))
    if seconds < 120:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def chance(probability: float) -> str:
    """A probability as a percentage; '100 %' is said of certainty only."""
    if probability >= 1:
        return "100 %"
    return f"{min(probability * 100, 99.9):.1f} %"


def name(fan: FanCard) -> str:
    """How a fan is called."""
    known = fan.name or fan.username
    return f"Fan {fan.fan_id} ({known})" if known else f"Fan {fan.fan_id}"


def subscription(card: SubscriptionCard) -> list[str]:
    """One subscription: when, through what, who got it and how sure that is."""
    when = moment(card.at) if card.precise else f"{card.at:%Y-%m-%d %H:%M} UTC (known to the minute)"
    link = "" if card.inventory_link_id is None else f" through inventory link {card.inventory_link_id}"
    told = f"Fan {card.fan_id} subscribed on {when}{link}."
    if card.click_id is None:
        return [told, f"No click is credited: {REASONS.get(card.reason or '', card.reason)}."]
    winner = next((one for one in card.candidates if one.outcome == "won"), None)
    sentences = [told]
    if card.link_inferred:
        sentences.append(
            "No source named that link; it was concluded from the links' counters, so the credit is less sure."
        )
    if winner is not None and winner.delay_seconds is not None:
        when = f"{span(winner.delay_seconds)} before" if winner.delay_seconds >= 1 else "in the same minute"
        sentences.append(
            f"Click {card.click_id} is credited: its latest visit was {when}; it {LEASES.get(winner.lease, winner.lease)}."
        )
    if card.competing_clicks == 1:
        sentences.append(f"No other click qualified; the credit is {chance(card.confidence)} sure.")
    else:
        rivals = [one for one in card.candidates if one.outcome == "lost"][:3]
        named = ", ".join(f"{one.click_id} {chance(one.probability)}" for one in rivals)
        sentences.append(
            f"{card.competing_clicks} clicks qualified; the most recent is credited and right with {chance(card.confidence)}."
            + (f" The next: {named}." if named else "")
        )
    return sentences


def history(bindings: Sequence[BindingCard]) -> list[str]:
    """What is believed of a fan, and what was."""
    sentences = []
    for card in bindings:
        if card.retracted_at is None:
            sentences.append(
                f"From {moment(card.valid_from)} fan {card.fan_id} belongs to click {card.click_id}: {RULES.get(card.rule, card.rule)}."
            )
        else:
            sentences.append(
                f"From {moment(card.believed_at)} until {moment(card.retracted_at)} fan {card.fan_id} was believed to belong to click"
                f" {card.click_id}; what was delivered meanwhile stays delivered."
            )
    return sentences


def fan(card: FanCard, subscriptions: Sequence[SubscriptionCard], bindings: Sequence[BindingCard]) -> list[str]:
    """A fan's story."""
    if not subscriptions:
        return [f"{name(card)} is known, but no subscription is."]
    return [*(part for one in subscriptions for part in subscription(one)), *history(bindings)]


def conversion(
    card: ConversionCard, subscriptions: Sequence[SubscriptionCard], bindings: Sequence[BindingCard]
) -> list[str]:
    """Why a conversion is credited to its click."""
    amount = "" if card.amount_gross_cents is None else f" of ${card.amount_gross_cents / 100:.2f}"
    sentences = [f"{card.type}{amount} of fan {card.fan_id} on {moment(card.at)} is credited to click {card.click_id}."]
    keys = {event.event_key for event in card.events}
    own = [one for one in subscriptions if keys & {event.event_key for event in one.sources}]
    if card.type == "new_subscriber" and own:
        sentences += subscription(own[0])
    else:
        binding = _in_force(card, bindings)
        if binding is not None:
            rule = RULES.get(binding.rule, binding.rule)
            sentences.append(
                f"The fan belongs to that click since {moment(binding.valid_from)}: {rule} (sure to {chance(binding.confidence)},"
                f" {binding.competing_clicks} competing). A bound fan stays bound, so all that follows is credited there."
            )
            behind = [
                one for one in subscriptions if set(binding.event_keys) & {event.event_key for event in one.sources}
            ]
            sentences += [part for one in behind for part in subscription(one)]
    if card.retracted_at is not None:
        sentences.append(
            f"Since {moment(card.retracted_at)} it is no longer believed; what was delivered stays delivered."
        )
    elif card.corrected_at is not None:
        sentences.append(
            f"It was corrected on {moment(card.corrected_at)}; what was delivered before stays as it was told."
        )
    return [*sentences, delivered(card.deliveries)]


def _in_force(card: ConversionCard, bindings: Sequence[BindingCard]) -> BindingCard | None:
    mine = [one for one in bindings if one.fan_id == card.fan_id and one.click_id == card.click_id]
    believed = [one for one in mine if one.retracted_at is None] or mine
    before = [one for one in believed if one.valid_from <= card.at]
    return before[-1] if before else (believed[0] if believed else None)


def delivered(deliveries: Sequence[DeliveryCard]) -> str:
    """How telling the destinations went."""
    if not deliveries:
        return "No destination was to be told of it."
    states = [one.state for one in deliveries]
    parts = [f"{states.count(state)} {state}" for state in ("delivered", "waiting", "dead") if state in states]
    return f"Deliveries: {', '.join(parts)}."


def click(card: ClickCard, subscriptions: Sequence[SubscriptionCard]) -> list[str]:
    """What became of a click."""
    sentences = [f"Click {card.click_id} on smart link '{card.smart_link_name}' was made on {moment(card.clicked_at)}."]
    if card.is_bot:
        return [
            *sentences,
            f"It was a machine's ({card.bot_reason or 'no reason kept'}): it takes no lease and is never credited.",
        ]
    if card.inventory_link_id is not None and card.leased_until is not None:
        again = f" after {len(card.visits)} visits" if len(card.visits) > 1 else ""
        sentences.append(
            f"It {LEASES.get(card.lease, card.lease)}: inventory link {card.inventory_link_id}, until {moment(card.leased_until)}{again}."
        )
    else:
        sentences.append("It took no lease, so no subscription can be told to be its own.")
    if card.spilled:
        sentences.append("It was answered while the store of leases was away, and recorded afterwards.")
    won = [one for one in subscriptions if one.click_id == card.click_id]
    lost = [
        one for one in subscriptions
        if one not in won and any(rival.click_id == card.click_id and rival.outcome == "lost" for rival in one.candidates)
    ]  # fmt: skip
    for one in won:
        sentences += subscription(one)
    for one in lost:
        rival = next(rival for rival in one.candidates if rival.click_id == card.click_id)
        sentences.append(
            f"It competed for fan {one.fan_id}, who is credited to the later click {one.click_id}; its chance was {chance(rival.probability)}."
        )
    if not won and not lost:
        sentences.append("No subscription has come through its lease.")
    return sentences
