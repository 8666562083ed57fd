"""Guesses are made only where one fan meets one counter."""

from __future__ import annotations

import pytest

from tracker.accounts.counters import Moved
from tracker.accounts.inference import verdict


def moved(*missing: int) -> list[Moved]:
    """Links that count more than is explained."""
    return [
        Moved(inventory_link_id=n, kind="tracking_link", provider_link_id=str(n), external=False, missing=count)
        for n, count in enumerate(missing, start=1)
    ]


@pytest.mark.parametrize(
    ("missing", "fans", "expected"),
    [
        ((1,), {"1"}, "pair"),
        ((), {"1"}, "wait"),
        ((1,), set(), "wait"),
        ((), set(), "wait"),
        ((2,), {"1"}, "wait"),
        ((1, 1), {"1"}, "wait"),
        ((1,), {"1", "2"}, "ambiguous"),
        ((1, 1), {"1", "2"}, "ambiguous"),
        ((), {"1", "2"}, "wait"),
    ],
)
def test_verdict(missing: tuple[int, ...], fans: set[str], expected: str) -> None:
    assert verdict(moved(*missing), fans) == expected
