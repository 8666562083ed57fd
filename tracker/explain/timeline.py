"""An explanation as text: what it says, then everything that happened in the order in which it did."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from tracker.explain.explanation import (
    BindingCard,
    Candidate,
    ClickCard,
    ConversionCard,
    EventCard,
    Explanation,
    SubscriptionCard,
)
from tracker.explain.words import LEASES, REASONS, RULES, chance, moment, name, span

Entry = tuple[datetime, int, list[str]]
OUTCOMES = {"lost": "competed", "expired": "too long before", "later": "only afterwards"}


def timeline(told: Explanation) -> str:
    """The whole explanation, lines of text."""
    username = f" ({told.account_username})" if told.account_username else ""
    lines = [f"{told.kind.capitalize()} {told.id} on {told.account_id}{username}", ""]
    lines += [f"  {sentence}" for sentence in told.sentences]
    if told.kind != "fan" and told.fans:
        lines += ["", "  Fans: " + "; ".join(name(fan) for fan in told.fans)]
    lines += ["", "What happened, in order (UTC):", ""]
    for at, _, (first, *rest) in sorted(_entries(told), key=lambda entry: entry[:2]):
        lines.append(f"{at:%Y-%m-%d %H:%M:%S}  {first}")
        lines += [f"{'':21}{line}" for line in rest]
    if told.truncated:
        lines += ["", f"Only part is shown of: {', '.join(told.truncated)}."]
    return "\n".join(lines) + "\n"


def _entries(told: Explanation) -> Iterable[Entry]:
    for click in told.clicks:
        yield click.clicked_at, 0, _click(click)
        for visit in click.visits[1:]:
            yield visit.at, 1, [f"visit      click {click.click_id} again, known by {visit.visitor_by}"]
    for subscription in told.subscriptions:
        yield subscription.at, 2, _subscription(subscription)
    for binding in told.bindings:
        yield binding.valid_from, 3, _binding(binding)
    for conversion in told.conversions:
        yield conversion.at, 4, _conversion(conversion)


def _click(card: ClickCard) -> list[str]:
    lines = [f"click      {card.click_id} on '{card.smart_link_name}' ({card.smart_link_id})"]
    if card.is_bot:
        return [*lines, f"a machine's: {card.bot_reason}"]
    named = f" ({card.link_name})" if card.link_name else ""
    link = f" {card.inventory_link_id}{named}" if card.inventory_link_id is not None else ""
    lines.append(f"lease {card.lease}{link}" + (f" until {moment(card.leased_until)}" if card.leased_until else ""))
    facts = [card.country, card.device_type, card.browser, card.external_click_id and f"ecid {card.external_click_id}"]
    lines.append(f"visitor {card.visitor} by {card.visitor_by}" + "".join(f", {fact}" for fact in facts if fact))
    return lines


def _subscription(card: SubscriptionCard) -> list[str]:
    link = "no link of ours" if card.inventory_link_id is None else f"inventory link {card.inventory_link_id}"
    known = (" (inferred)" if card.link_inferred else "") + ("" if card.precise else ", known to the minute")
    lines = [f"subscribed fan {card.fan_id} through {link}{known}"]
    if card.click_id is None:
        lines.append(f"not credited: {REASONS.get(card.reason or '', card.reason)}")
    lines += [_candidate(one) for one in card.candidates]
    return lines + [_source(event) for event in card.sources]


def _candidate(card: Candidate) -> str:
    ago = "" if card.delay_seconds is None or card.outcome == "later" else f", {span(card.delay_seconds)} before"
    if card.outcome == "won":
        return f"credited to {card.click_id}{ago}: {chance(card.probability)}; it {LEASES.get(card.lease, card.lease)}"
    weight = f": {chance(card.probability)}" if card.outcome == "lost" else ""
    return f"{OUTCOMES[card.outcome]}: {card.click_id}{ago}{weight}"


def _source(event: EventCard) -> str:
    return f"told by {event.source} {event.event_key}, first seen {moment(event.first_seen_at)}"


def _binding(card: BindingCard) -> list[str]:
    lines = [f"binding    fan {card.fan_id} belongs to click {card.click_id}"]
    lines.append(f"rule {card.rule}: {RULES.get(card.rule, card.rule)}")
    lines.append(f"confidence {chance(card.confidence)}, {card.competing_clicks} competing, lease {card.lease}")
    until = "" if card.retracted_at is None else f", retracted {moment(card.retracted_at)}"
    return [*lines, f"believed {moment(card.believed_at)}{until}"]


def _conversion(card: ConversionCard) -> list[str]:
    amount = "" if card.amount_gross_cents is None else f" ${card.amount_gross_cents / 100:.2f}"
    kind = f" ({card.transaction_type}, {card.transaction_status})" if card.transaction_type else ""
    lines = [f"conversion {card.type}{amount}{kind} {card.conversion_id}", f"credited to {card.click_id}"]
    if card.retracted_at is not None:
        lines.append(f"retracted {moment(card.retracted_at)}")
    elif card.corrected_at is not None:
        lines.append(f"corrected {moment(card.corrected_at)}")
    lines += [_source(event) for event in card.events]
    for one in card.deliveries:
        when = (
            f" {moment(one.finished_at)}"
            if one.finished_at
            else f", next try {moment(one.due_at)}"
            if one.state == "waiting"
            else ""
        )
        verdict = f": {one.verdict}" if one.verdict else ""
        lines.append(
            f"delivery to {one.destination_kind} {one.destination_id}: {one.state}{when}, attempts {one.attempts}{verdict}"
        )
    return lines
