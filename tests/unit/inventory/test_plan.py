"""What a pool needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.inventory.offers import TRIAL_DURATIONS, offer_name, split_offer, terms, tracking_url
from tracker.inventory.plan import Pool, PooledLink, plan

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WINDOW = timedelta(hours=6)


def link(number: int, **changes: Any) -> PooledLink:
    """A ready pool link."""
    return PooledLink(**{"inventory_link_id": number, "role": "pool", **changes})


def pool(*links: PooledLink, **changes: Any) -> Pool:
    """A pool of target 3."""
    return Pool(**{"target": 3, "window": WINDOW, "links": links, **changes})


RESERVE = link(99, role="reserve")


def test_an_empty_pool_wants_its_target_and_a_reserve() -> None:
    decided = plan(pool(), NOW)
    assert (decided.create, decided.create_reserve, decided.retire) == (3, True, ())


def test_what_is_on_its_way_counts() -> None:
    decided = plan(pool(link(1), creating=1, creating_reserve=1), NOW)
    assert (decided.create, decided.create_reserve) == (1, False)


def test_a_full_pool_wants_nothing_and_never_shrinks() -> None:
    decided = plan(pool(*(link(number) for number in range(9)), RESERVE), NOW)
    assert (decided.create, decided.create_reserve, decided.retire) == (0, False, ())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"expires_at": NOW + WINDOW + timedelta(minutes=59)}, "offer_ends"),
        ({"expires_at": NOW + WINDOW + timedelta(minutes=61)}, None),
        ({"claim_limit": 10, "subscribers": 7}, None),
        ({"claim_limit": 10, "subscribers": 8}, "claims_used"),
        ({"claim_limit": 1, "subscribers": 0}, None),
        ({"claim_limit": 1, "subscribers": 1}, "claims_used"),
        ({"claim_limit": None, "subscribers": 5000}, None),
    ],
)
def test_links_leave_before_their_offer_does(changes: dict[str, Any], reason: str | None) -> None:
    decided = plan(pool(link(1, **changes), link(2), link(3), RESERVE), NOW)
    assert decided.retire == (((1, reason),) if reason else ())
    assert decided.create == (1 if reason else 0)


def test_a_reserve_is_replaced_before_it_goes() -> None:
    wearing = link(99, role="reserve", expires_at=NOW + timedelta(days=2))
    decided = plan(pool(link(1), link(2), link(3), wearing), NOW)
    assert (decided.create_reserve, decided.retire) == (True, ())
    decided = plan(pool(link(1), link(2), link(3), wearing, link(100, role="reserve")), NOW)
    assert (decided.create_reserve, decided.retire) == (False, ((99, "replaced"),))
    gone = link(99, role="reserve", expires_at=NOW + timedelta(hours=1))
    assert plan(pool(gone), NOW).retire == ((99, "offer_ends"),)


@given(
    target=st.integers(1, 50),
    ready=st.integers(0, 60),
    creating=st.integers(0, 20),
    claims=st.integers(0, 12),
)
def test_never_more_than_the_target_is_made(target: int, ready: int, creating: int, claims: int) -> None:
    links = [link(number, claim_limit=10, subscribers=claims) for number in range(ready)]
    decided = plan(pool(*links, target=target, creating=creating), NOW)
    usable = ready - len(decided.retire)
    assert decided.create >= 0
    assert usable + creating + decided.create >= min(target, usable + creating + decided.create)
    assert decided.create == 0 or usable + creating + decided.create == target


def test_offers() -> None:
    assert offer_name("tracking_link", None) == "tracking"
    for days in TRIAL_DURATIONS:
        assert split_offer(offer_name("free_trial", days)) == ("free_trial", days)
    with pytest.raises(ValueError, match="1, 3, 7, 14, 30, 90, 180, 360"):
        offer_name("free_trial", 5)
    for bad in ("", "trial", "trial-x", "pool"):
        with pytest.raises(ValueError, match="no such offer"):
            split_offer(bad)


def test_an_offer_outlives_the_longest_window() -> None:
    assert terms("tracking", "pool", WINDOW) is None
    short = terms("trial-7", "pool", WINDOW)
    assert short is not None
    assert (short.days, short.claim_limit, short.offer_days) == (7, 10, 30)
    reserve = terms("trial-7", "reserve", WINDOW)
    assert reserve is not None
    assert reserve.claim_limit == 100
    endless = terms("trial-7", "pool", timedelta(days=30))
    assert endless is not None
    assert endless.offer_days == 0


def test_tracking_urls() -> None:
    assert tracking_url("https://onlyfans.com/", "madison", "7") == "https://onlyfans.com/madison/c7"
