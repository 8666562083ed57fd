"""The fold: one fan's platform events and the clicks they touch → credits, bindings, conversions. Pure; spec 4, 5 and 11.

Any order of the same events gives the same result: everything is sorted by time and identity before it is used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tracker.attribution.confidence import confidence
from tracker.attribution.facts import (
    Binding,
    Click,
    ClickVisit,
    Conversion,
    Credit,
    FanEvent,
    Folded,
    MessageSeen,
    Subscription,
)
from tracker.attribution.money import transactions
from tracker.attribution.subscriptions import subscriptions

INFERRED = 0.8
"""The most a binding may claim whose link nobody told (upstream spec 5, Fansly)."""


def choose(events: Iterable[FanEvent], leases: Mapping[int, Sequence[Click]]) -> tuple[Credit, ...]:
    """The credit of each of the fan's subscriptions, in time order.

    `leases` holds, per inventory link, every click that was ever sent to it (or those of the last window before each
    subscription, and at least one other if there were others).
    """
    return tuple(
        _credit(subscription, leases.get(subscription.link.inventory_link_id, ()) if subscription.link else ())
        for subscription in subscriptions(events)
    )


def _credit(subscription: Subscription, leased: Sequence[Click]) -> Credit:
    link = subscription.link
    if link is None or not link.ours:
        return Credit(subscription, None, "organic")
    if not leased:
        return Credit(subscription, None, "never_leased")
    # Spec 11: each click's latest visit up to the end of the subscription's interval; the greatest within the window wins.
    latest: list[tuple[int, Click]] = []
    for click in leased:
        seen = [visit.at for visit in click.visits if visit.inventory_link_id == link.inventory_link_id]
        before = [at for at in seen if at <= subscription.end]
        if before:
            latest.append((max(before), click))
    if not latest:
        return Credit(subscription, None, "no_click_before")
    qualifying = [(at, click) for at, click in latest if at >= subscription.at - click.window]
    if not qualifying:
        return Credit(subscription, None, "window_expired")
    at, winner = max(qualifying, key=lambda pair: (pair[0], pair[1].click_id))
    others = [subscription.at - other for other, click in qualifying if click.click_id != winner.click_id]
    spread, exclusive = subscription.end - subscription.at, winner.lease == "exclusive"
    sure = confidence(subscription.at - at, others, spread=spread, exclusive=exclusive)
    sure = min(sure, INFERRED) if link.inferred else sure
    return Credit(subscription, winner, None, len(qualifying), sure)


def fold(
    events: Sequence[FanEvent],
    credits: Sequence[Credit],
    visits: Mapping[str, Sequence[Click]],
    *,
    price_wait: int,
    free_page: bool,
) -> Folded:
    """Bindings and conversions of one fan.

    `credits` is what `choose` gave for the same events; `visits` holds, per visitor of a credited click, all clicks of that
    visitor on the account; `price_wait` (ms) is how long a paid page's new_subscriber waits for its transaction.
    """
    bindings = _bindings(credits, visits)
    reason = None if bindings or not credits else credits[-1].reason
    return Folded(
        bindings=bindings,
        conversions=tuple(_conversions(events, credits, bindings, price_wait, free_page)),
        unattributed_reason=reason,
        first_subscribed_at=credits[0].subscription.at if credits else None,
        credits=tuple(credits),
    )


def _bindings(credits: Sequence[Credit], visits: Mapping[str, Sequence[Click]]) -> tuple[Binding, ...]:
    bound = [credit for credit in credits if credit.click is not None]
    bindings: list[Binding] = []
    for index, credit in enumerate(bound):
        assert credit.click is not None
        subscription = credit.subscription
        # Subscribing again through the same click's lease moves nothing (spec 4a), but later visits are measured from it.
        if not bindings or bindings[-1].click.click_id != credit.click.click_id:
            bindings.append(
                Binding(
                    subscription.at,
                    credit.click,
                    "resubscribed" if bindings else "subscribed",
                    credit.confidence,
                    credit.competing_clicks,
                    subscription.event_keys,
                )
            )
        until = bound[index + 1].subscription.at if index + 1 < len(bound) else None
        bindings.extend(_clicked_again(credit, until, visits.get(credit.click.visitor, ())))
    return tuple(bindings)


def _clicked_again(credit: Credit, until: int | None, clicks: Sequence[Click]) -> Iterable[Binding]:
    """Rule (b): the same browser's visits certainly after the subscription, up to the next one."""
    assert credit.click is not None
    current = credit.click
    moves: dict[int, Click] = {}
    later: list[tuple[ClickVisit, Click]] = [
        (visit, click)
        for click in clicks
        for visit in click.visits
        if visit.by_cookie and visit.at > credit.subscription.end and (until is None or visit.at < until)
    ]
    for visit, click in sorted(later, key=lambda pair: (pair[0].at, pair[1].click_id)):
        if (click.smart_link_id, click.ecid) == (current.smart_link_id, current.ecid):
            continue  # the same ad again, be it after its window: the fan stays (spec 11)
        moves[visit.at] = current = click  # of two visits in one millisecond the last one stands
    current = credit.click
    for at, click in moves.items():
        if click.click_id != current.click_id:
            keys = credit.subscription.event_keys
            yield Binding(at, click, "clicked_again", credit.confidence, credit.competing_clicks, keys)
            current = click


def bound_at(bindings: Sequence[Binding], at: int) -> Binding | None:
    """The binding in force at a time, None before the first."""
    found = None
    for binding in bindings:
        if binding.valid_from <= at:
            found = binding
    return found


def _conversions(
    events: Sequence[FanEvent],
    credits: Sequence[Credit],
    bindings: Sequence[Binding],
    price_wait: int,
    free_page: bool,
) -> Iterable[Conversion]:
    money = transactions(events)
    paid = money.subscription_payments([credit.subscription for credit in credits])
    for index, credit in enumerate(credits):
        if credit.click is None:
            continue
        subscription = credit.subscription
        payment = paid.get(subscription.start)
        gross = payment.gross_cents if payment else None
        net = payment.net_cents if payment else None
        if gross is None and (subscription.price_cents == 0 or (free_page and subscription.price_cents is None)):
            gross = net = 0
        yield Conversion(
            "new_subscriber",
            str(subscription.start),
            subscription.at,
            credit.click,
            subscription.event_keys + (payment.event_keys if payment else ()),
            gross,
            net,
            previously_subscribed=index > 0 or subscription.returning,
            hold_until=subscription.seen_at + price_wait if gross is None else None,
        )
    early = {}  # a subscription is not paid before it exists: its own payment never goes to what was before it
    for credit in credits:
        payment = paid.get(credit.subscription.start)
        if credit.click is not None and payment is not None and payment.at < credit.subscription.at:
            early[payment.transaction_id] = credit.click
    for transaction in money.rows:
        binding = bound_at(bindings, transaction.at)
        click = early.get(transaction.transaction_id) or (binding.click if binding else None)
        if click is not None:
            yield from money.conversions(transaction, click)
    yield from _message_conversions(events, bindings)


def _message_conversions(events: Sequence[FanEvent], bindings: Sequence[Binding]) -> Iterable[Conversion]:
    seen: dict[str, list[MessageSeen]] = defaultdict(list)
    for event in events:
        if isinstance(event, MessageSeen):
            seen[event.message_id].append(event)
    first = [min(same, key=lambda event: (event.at, event.event_key)) for same in seen.values()]
    counted = 0
    for message in sorted(first, key=lambda event: (event.at, event.message_id)):
        binding = bound_at(bindings, message.at)
        if binding is None:
            continue
        counted += 1
        keys = (message.event_key,)
        yield Conversion("message_received", message.message_id, message.at, binding.click, keys)
        if counted in (1, 3):
            slug = "fan_sent_1_message" if counted == 1 else "fan_sent_3_messages"
            yield Conversion(slug, "", message.at, binding.click, keys)
