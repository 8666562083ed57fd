"""Offers: what a pool's links give a fan. A pool is named by its offer, 'tracking' or 'trial-<days>'."""

from __future__ import annotations

from datetime import timedelta

from tracker.providers.base import LinkKind, ProviderLink, TrialTerms

TRIAL_DURATIONS = frozenset({1, 3, 7, 14, 30, 90, 180, 360})
"""Days a trial may last at the provider (upstream spec 1.4)."""

POOL_CLAIMS = 10
RESERVE_CLAIMS = 100
LONGEST_OFFER = 30
"""A trial link's claims, in the pool and in reserve, and the days it may be claimed: all the provider's largest but 'no limit'."""


def offer_name(link_type: str, free_trial_days: int | None) -> str:
    """The pool's name. Raises ValueError for a trial of a length the provider does not accept."""
    if link_type != "free_trial":
        return "tracking"
    if free_trial_days not in TRIAL_DURATIONS:
        raise ValueError(f"a trial may last {', '.join(str(days) for days in sorted(TRIAL_DURATIONS))} days")
    return f"trial-{free_trial_days}"


def split_offer(offer: str) -> tuple[LinkKind, int | None]:
    """(kind, trial days) of a pool's name. Raises ValueError for anything else."""
    if offer == "tracking":
        return "tracking_link", None
    word, _, days = offer.partition("-")
    if word != "trial" or not days.isdigit():
        raise ValueError(f"no such offer: {offer!r}")
    return "free_trial", int(days)


def terms(offer: str, role: str, window: timedelta) -> TrialTerms | None:
    """What a new link of the pool offers; None for tracking links.

    An offer must outlive the window (spec 3); with a window near the longest offer, it never ends.
    """
    kind, days = split_offer(offer)
    if kind == "tracking_link" or days is None:
        return None
    offer_days = LONGEST_OFFER if window <= timedelta(days=LONGEST_OFFER - 5) else 0
    return TrialTerms(days, RESERVE_CLAIMS if role == "reserve" else POOL_CLAIMS, offer_days)


def external_offer(link: ProviderLink) -> str:
    """The offer of a link that was not made by us."""
    return "tracking" if link.kind == "tracking_link" else f"trial-{link.trial_days or 0}"


def tracking_url(platform_url: str, username: str, code: str) -> str:
    """Where a tracking link leads (upstream spec 1.3): creation answers no URL."""
    return creator_url(platform_url, username, f"c{code}")


def creator_url(platform_url: str, username: str, path: str) -> str:
    """A place under the creator's page."""
    return f"{platform_url.rstrip('/')}/{username}/{path}"


def link_url(platform_url: str, username: str, link: ProviderLink) -> str:
    """Where a link leads: as the provider tells, else made of its path or its campaign number."""
    if link.url:
        return link.url
    return (
        creator_url(platform_url, username, link.path) if link.path else tracking_url(platform_url, username, link.code)
    )
