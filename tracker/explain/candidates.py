"""Which clicks competed for a subscription: the fold's own rule (spec 11, "candidates"), with what it passed over."""

from __future__ import annotations

from collections.abc import Sequence

from tracker.attribution.confidence import shares
from tracker.attribution.evidence import from_ms
from tracker.attribution.facts import Click, Credit, Subscription
from tracker.explain.explanation import Candidate, Outcome


def candidates(credit: Credit, leased: Sequence[Click]) -> list[Candidate]:
    """Every click sent to the subscription's link: winner, rivals by their latest visit, then those that do not qualify."""
    subscription = credit.subscription
    link = subscription.link
    if link is None or not link.ours:
        return []
    qualifying: list[tuple[int, Click]] = []
    others: list[Candidate] = []
    for click in leased:
        seen = [visit.at for visit in click.visits if visit.inventory_link_id == link.inventory_link_id]
        latest = max((at for at in seen if at <= subscription.end), default=None)
        if latest is None:
            others.append(_candidate(click, "later", subscription, min(seen, default=None), 0.0))
        elif latest < subscription.at - click.window:
            others.append(_candidate(click, "expired", subscription, latest, 0.0))
        else:
            qualifying.append((latest, click))
    qualifying.sort(key=lambda pair: (pair[0], pair[1].click_id), reverse=True)
    delays = [float(subscription.at - latest) for latest, _ in qualifying]
    # The winner's is what the fold said: it knows of certainty, and of links that were only inferred.
    weights = [credit.confidence, *shares(delays, float(subscription.end - subscription.at))[1:]]
    found = [
        _candidate(click, "lost" if index else "won", subscription, latest, weights[index])
        for index, (latest, click) in enumerate(qualifying)
    ]
    return found + sorted(others, key=lambda one: one.click_id, reverse=True)


def _candidate(
    click: Click, outcome: Outcome, subscription: Subscription, latest: int | None, probability: float
) -> Candidate:
    return Candidate(
        click_id=click.click_id,
        outcome=outcome,
        latest_visit_at=None if latest is None else from_ms(latest),
        delay_seconds=None if latest is None else (subscription.at - latest) / 1000,
        probability=probability,
        lease=click.lease,
    )
