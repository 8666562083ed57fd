"""Attribution as the contract words it, slow and obvious: the reference the product's fold is compared with.

Written from the contract's sections 4, 5 and 11 alone. There is no state machine and no incremental step here: who owns
a fan at an instant is a question answered from nothing, by looking at every subscription and every visit again.
All times are Unix milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tracker.attribution.facts import (
    EXACT,
    FIRST_SEEN,
    Click,
    ClickVisit,
    FanEvent,
    LinkSubscriber,
    MessageSeen,
    Subscribed,
    TransactionSeen,
)

SECOND = 1000
MINUTE = 60 * SECOND
STATUSES = ("loading", "done", "pending_return", "undo")  # the life of a transaction, in order
TAKEN_BACK = ("pending_return", "undo")


@dataclass(frozen=True)
class Sub:
    """One subscription, whoever told of it."""

    minute: int
    at: int
    surely_over: int  # the last instant at which it may have happened
    heard_at: int
    link: LinkSubscriber | None
    free: bool | None  # None: nobody said
    returning: bool
    keys: frozenset[str]


@dataclass(frozen=True)
class Verdict:
    """The click a subscription goes to, or the reason why none."""

    sub: Sub
    click: Click | None
    reason: str | None
    competing: int


@dataclass(frozen=True)
class Owner:
    """Who a fan belongs to at an instant, and why."""

    click: Click
    verdict: Verdict
    by_visit: bool


@dataclass(frozen=True)
class Bound:
    """One line of a fan's binding history."""

    valid_from: int
    click_id: str
    rule: str
    competing: int
    keys: frozenset[str]


@dataclass(frozen=True)
class Fired:
    """One conversion. (`type`, `identity`) names it."""

    type: str
    identity: str
    at: int
    click_id: str
    keys: frozenset[str]
    gross: int | None = None
    net: int | None = None
    transaction_id: str | None = None
    transaction_type: str | None = None
    transaction_status: str | None = None
    previously_subscribed: bool = False
    purchase: str | None = None
    hold_until: int | None = None


@dataclass(frozen=True)
class Payment:
    """One transaction, whatever became of it."""

    transaction_id: str
    at: int
    type: str
    gross_cents: int
    net_cents: int
    seen: tuple[TransactionSeen, ...]
    keys: frozenset[str]


@dataclass(frozen=True)
class Outcome:
    """All that follows from one fan's events and the account's clicks."""

    bindings: tuple[Bound, ...]
    conversions: frozenset[Fired]
    unattributed_reason: str | None
    first_subscribed_at: int | None


def outcome(
    events: Iterable[FanEvent], clicks: Iterable[Click], *, price_wait: int = 5 * MINUTE, free_page: bool = False
) -> Outcome:
    """The contract's answer for one fan of one account, given all its events and all the account's clicks."""
    known = list(dict.fromkeys(events))
    fan = _Fan(known, list(clicks), price_wait, free_page)
    bindings = fan.history()
    reason = None
    if fan.subs and not bindings:
        reason = fan.verdicts[-1].reason
    return Outcome(
        bindings=bindings,
        conversions=frozenset(fan.conversions()),
        unattributed_reason=reason,
        first_subscribed_at=min((sub.at for sub in fan.subs), default=None),
    )


def subscriptions(events: Sequence[FanEvent]) -> list[Sub]:
    """Section 11, "Identity of a subscription": account, fan, start floored to the minute."""
    told = [event for event in events if isinstance(event, Subscribed | LinkSubscriber)]
    groups: dict[int, list[Subscribed | LinkSubscriber]] = {}
    for event in told:
        if event.precision != FIRST_SEEN:
            groups.setdefault(_minute(event.at), []).append(event)
    timeless = sorted((e for e in told if e.precision == FIRST_SEEN), key=lambda e: (e.at, e.event_key))
    for event in timeless:
        near = [start for start in groups if abs(start - event.at) <= 10 * MINUTE]
        # Not in the contract: one without a link is preferred, then one that began before the fan was seen, then the
        # nearest.
        near.sort(key=lambda start: (_has_link(groups[start]), start > event.at, abs(start - event.at), start))
        groups.setdefault(near[0] if near else _minute(event.at), []).append(event)
    return [_merged(start, groups[start]) for start in sorted(groups)]


def _has_link(sources: Iterable[FanEvent]) -> bool:
    return any(isinstance(source, LinkSubscriber) for source in sources)


def _merged(start: int, sources: Sequence[Subscribed | LinkSubscriber]) -> Sub:
    exact = [source.at for source in sources if source.precision == EXACT]
    links = [source for source in sources if isinstance(source, LinkSubscriber)]
    told = [source.price_cents for source in sources if isinstance(source, Subscribed)]
    prices = [price for price in told if price is not None]
    link = min(links, key=_link_rank) if links else None
    free: bool | None = None
    if prices:
        free = max(prices) == 0
    if link is not None and link.free:
        free = True
    return Sub(
        minute=start,
        at=min(exact) if exact else start,
        # A feed with seconds names the second; a notification the minute, and the contract counts its end in.
        surely_over=min(exact) + SECOND - 1 if exact else start + 60 * SECOND,
        heard_at=min(source.seen_at for source in sources),
        link=link,
        free=free,
        returning=any(isinstance(source, Subscribed) and source.returning for source in sources),
        keys=frozenset(source.event_key for source in sources),
    )


def _link_rank(link: LinkSubscriber) -> tuple[bool, bool, bool, int, str]:
    return (link.inferred, not link.ours, link.precision == FIRST_SEEN, link.at, link.event_key)


def verdict(sub: Sub, clicks: Sequence[Click]) -> Verdict:
    """Section 4 and section 11, "candidates" and "unattributed reasons"."""
    if sub.link is None or not sub.link.ours:
        return Verdict(sub, None, "organic", 0)
    ever_leased = False
    visited_before = False
    qualifying: list[tuple[int, str, Click]] = []
    for click in clicks:
        visits = [visit.at for visit in click.visits if visit.inventory_link_id == sub.link.inventory_link_id]
        if not visits:
            continue
        ever_leased = True
        in_time = [at for at in visits if at <= sub.surely_over]
        if not in_time:
            continue
        visited_before = True
        latest = max(in_time)
        if latest >= sub.at - click.window:
            qualifying.append((latest, click.click_id, click))
    if qualifying:
        return Verdict(sub, max(qualifying, key=lambda row: row[:2])[2], None, len(qualifying))
    if visited_before:
        return Verdict(sub, None, "window_expired", 0)
    return Verdict(sub, None, "no_click_before" if ever_leased else "never_leased", 0)


class _Fan:
    def __init__(self, events: Sequence[FanEvent], clicks: Sequence[Click], price_wait: int, free_page: bool) -> None:
        self.events = events
        self.clicks = clicks
        self.price_wait = price_wait
        self.free_page = free_page
        self.subs = subscriptions(events)
        self.verdicts = [verdict(sub, clicks) for sub in self.subs]

    def owner(self, instant: int) -> Owner | None:
        """Who the fan belongs to at `instant`: the last credited subscription, then every later move of its visitor."""
        past = [v for v in self.verdicts if v.click is not None and v.sub.at <= instant]
        if not past:
            return None
        last = max(past, key=lambda v: v.sub.at)
        assert last.click is not None
        now = Owner(last.click, last, by_visit=False)
        for at, visit, click in self._all_visits():
            if not last.sub.surely_over < at <= instant:
                continue
            another = (click.smart_link_id, click.ecid) != (now.click.smart_link_id, now.click.ecid)
            if visit.by_cookie and click.visitor == now.click.visitor and another:
                now = Owner(click, last, by_visit=True)
        return now

    def _all_visits(self) -> list[tuple[int, ClickVisit, Click]]:
        rows = [(visit.at, visit, click) for click in self.clicks for visit in click.visits]
        return sorted(rows, key=lambda row: (row[0], row[2].click_id))

    def history(self) -> tuple[Bound, ...]:
        """Every instant at which the owner changes."""
        instants = {sub.at for sub in self.subs} | {at for at, _, _ in self._all_visits()}
        lines: list[Bound] = []
        for instant in sorted(instants):
            owner = self.owner(instant)
            if owner is None or (lines and lines[-1].click_id == owner.click.click_id):
                continue
            rule = "clicked_again" if owner.by_visit else "resubscribed" if lines else "subscribed"
            lines.append(Bound(instant, owner.click.click_id, rule, owner.verdict.competing, owner.verdict.sub.keys))
        return tuple(lines)

    def conversions(self) -> Iterable[Fired]:
        yield from self._subscriber_conversions()
        yield from self._transaction_conversions()
        yield from self._message_conversions()

    def _subscriber_conversions(self) -> Iterable[Fired]:
        for index, credited in enumerate(self.verdicts):
            if credited.click is None:
                continue
            sub = credited.sub
            paid = self._own_transaction(sub)
            gross: int | None = None
            net: int | None = None
            hold: int | None = None
            if paid is not None:
                gross, net = paid.gross_cents, paid.net_cents
            elif sub.free or (sub.free is None and self.free_page):
                gross, net = 0, 0
            else:
                hold = sub.heard_at + self.price_wait
            yield Fired(
                type="new_subscriber",
                identity=str(sub.minute),
                at=sub.at,
                click_id=credited.click.click_id,
                keys=sub.keys | (paid.keys if paid else frozenset()),
                gross=gross,
                net=net,
                previously_subscribed=index > 0 or sub.returning,
                hold_until=hold,
            )

    def _own_transaction(self, sub: Sub) -> Payment | None:
        """Section 11, "Amounts": its transaction is the `new_subscription` of that fan within ten minutes of it.

        Where several would do, the closest pair belongs together, and a transaction pays for one subscription.
        """
        waiting = list(self.subs)
        unused = [payment for payment in self._payments() if payment.type == "new_subscription"]
        while True:
            pairs = [
                (abs(payment.at - other.at), other.minute, payment.at, payment.transaction_id)
                for other in waiting
                for payment in unused
                if abs(payment.at - other.at) <= 10 * MINUTE
            ]
            if not pairs:
                return None
            _, minute, _, transaction_id = min(pairs)
            found = next(payment for payment in unused if payment.transaction_id == transaction_id)
            if minute == sub.minute:
                return found
            waiting = [other for other in waiting if other.minute != minute]
            unused.remove(found)

    def _payments(self) -> list[Payment]:
        """Each transaction once, all that was seen of it together."""
        seen = [event for event in self.events if isinstance(event, TransactionSeen)]
        return [
            _payment([event for event in seen if event.transaction_id == transaction_id])
            for transaction_id in sorted({event.transaction_id for event in seen})
        ]

    def _transaction_conversions(self) -> Iterable[Fired]:
        payments = self._payments()
        purchases = [p for p in payments if p.type not in ("new_subscription", "recurring_subscription")]
        first = min(((p.at, p.transaction_id) for p in purchases), default=None)
        for payment in payments:
            click = self._payer_click(payment)
            if click is None:
                continue
            purchase = None
            if first is not None and (payment.at, payment.transaction_id) == first:
                purchase = "first"
            elif first is not None and (payment.at, payment.transaction_id) > first:
                purchase = "repeat"
            statuses = [event.status for event in payment.seen]
            common = Fired(
                type="new_transaction",
                identity=payment.transaction_id,
                at=payment.at,
                click_id=click.click_id,
                keys=payment.keys,
                gross=payment.gross_cents,
                net=payment.net_cents,
                transaction_id=payment.transaction_id,
                transaction_type=payment.type,
                transaction_status=max(statuses, key=STATUSES.index),
                purchase=purchase,
            )
            if "loading" in statuses or "done" in statuses:
                yield common
            for event in payment.seen:
                # The first status of its life is no change; what is taken back is its own row's amount.
                if event.status in TAKEN_BACK or (event.status == "done" and "loading" in statuses):
                    yield replace(
                        common,
                        type="transaction_status",
                        identity=f"{event.transaction_id}:{event.status}",
                        gross=event.gross_cents,
                        net=event.net_cents,
                        transaction_status=event.status,
                        purchase=None,
                    )

    def _payer_click(self, payment: Payment) -> Click | None:
        """The owner at its time. A subscription is not paid before it exists: its own payment never goes to what was before."""
        for credited in self.verdicts:
            own = self._own_transaction(credited.sub)
            if (
                credited.click is not None
                and own is not None
                and own.transaction_id == payment.transaction_id
                and payment.at < credited.sub.at
            ):
                return credited.click
        owner = self.owner(payment.at)
        return owner.click if owner else None

    def _message_conversions(self) -> Iterable[Fired]:
        messages = {event.message_id: event for event in self.events if isinstance(event, MessageSeen)}
        count = 0
        for message in sorted(messages.values(), key=lambda m: (m.at, m.message_id)):
            owner = self.owner(message.at)
            if owner is None:
                continue
            count += 1
            keys = frozenset({message.event_key})
            yield Fired("message_received", message.message_id, message.at, owner.click.click_id, keys)
            if count in (1, 3):
                kind = "fan_sent_1_message" if count == 1 else "fan_sent_3_messages"
                yield Fired(kind, "", message.at, owner.click.click_id, keys)


def _payment(seen: Sequence[TransactionSeen]) -> Payment:
    by_status = {event.status: event for event in seen}
    told = next(by_status[status] for status in ("done", "loading", "pending_return", "undo") if status in by_status)
    in_life = sorted(seen, key=lambda event: STATUSES.index(event.status))
    clear = [event.type for event in in_life if event.type != "other"]
    return Payment(
        transaction_id=told.transaction_id,
        at=min(event.at for event in seen),
        type=clear[0] if clear else "other",
        gross_cents=told.gross_cents,
        net_cents=told.net_cents,
        seen=tuple(seen),
        keys=frozenset(event.event_key for event in seen),
    )


def _minute(at: int) -> int:
    return at - at % MINUTE
