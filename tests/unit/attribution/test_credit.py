"""Which click a subscription goes to (spec 4 and 11, "candidates" and "unattributed reasons")."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.attribution.story import HOUR, MINUTE, at, click, folded, history, listed, notified, owners, paid, wrote
from tracker.attribution.facts import EXACT, ClickVisit, FanEvent

T = at(0)


@pytest.mark.parametrize(
    ("visit", "outcome"),
    [
        (T - 6 * HOUR - 1, "window_expired"),
        (T - 6 * HOUR, "A"),
        (T, "A"),
        (T + MINUTE, "A"),
        (T + MINUTE + 1, "no_click_before"),
    ],
)
def test_the_window_of_a_floored_time_includes_both_edges(visit: int, outcome: str) -> None:
    result = folded([listed(T)], [click("A", visit)])
    assert outcome in (*owners(result), result.unattributed_reason)


@pytest.mark.parametrize(
    ("visit", "outcome"),
    [(T - 6 * HOUR - 1, "window_expired"), (T - 6 * HOUR, "A"), (T + 999, "A"), (T + 1000, "no_click_before")],
)
def test_a_time_with_seconds_may_lie_anywhere_in_its_second(visit: int, outcome: str) -> None:
    result = folded([listed(T, precision=EXACT)], [click("A", visit)])
    assert outcome in (*owners(result), result.unattributed_reason)


def test_the_window_is_the_links_own() -> None:
    short, longer = click("A", T - 10 * MINUTE, window=5 * MINUTE), click("B", T - 11 * MINUTE, window=HOUR)
    assert owners(folded([listed(T)], [short, longer])) == ["B"]


def test_the_window_runs_from_the_latest_visit() -> None:
    assert owners(folded([listed(T)], [click("A", T - 9 * HOUR, T - 5 * HOUR)])) == ["A"]


def test_a_visit_after_the_subscription_neither_helps_nor_harms() -> None:
    assert owners(folded([listed(T)], [click("A", T - HOUR, T + HOUR)])) == ["A"]
    late = folded([listed(T)], [click("A", T - 7 * HOUR, T + HOUR)])
    assert late.unattributed_reason == "window_expired"


def test_the_latest_visit_wins_and_a_tie_goes_to_the_greater_id() -> None:
    assert owners(folded([listed(T)], [click("A", T - 2 * MINUTE), click("B", T - MINUTE)])) == ["B"]
    assert owners(folded([listed(T)], [click("A", T - 3 * MINUTE, T - MINUTE), click("B", T - 2 * MINUTE)])) == ["A"]
    assert owners(folded([listed(T)], [click("B", T - MINUTE), click("A", T - MINUTE)])) == ["B"]
    assert owners(folded([listed(T)], [click("A", T - MINUTE), click("B", T - MINUTE)])) == ["B"]


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([notified(T)], "organic"),
        ([notified(T), listed(T, 9, ours=False)], "organic"),
        ([listed(T, 2)], "never_leased"),
        ([listed(T - 7 * HOUR)], "no_click_before"),
        ([listed(T + 7 * HOUR)], "window_expired"),
    ],
)
def test_an_unattributed_subscriber_is_kept_with_the_reason(events: list[FanEvent], reason: str) -> None:
    result = folded([*events, paid("t", T + 8 * HOUR), wrote("m", T + 8 * HOUR)], [click("A", T)])
    assert result.unattributed_reason == reason
    assert result.first_subscribed_at == events[0].at
    assert result.bindings == ()
    assert result.conversions == ()


def test_the_reason_is_that_of_the_latest_subscription_and_gone_once_bound() -> None:
    assert folded([notified(T), listed(T + HOUR, 2)], []).unattributed_reason == "never_leased"
    assert folded([notified(T), listed(T + HOUR)], [click("A", T)]).unattributed_reason is None


def test_an_exclusive_lease_is_certain_and_a_shared_one_says_how_many_compete() -> None:
    alone = folded([listed(T)], [click("A", T - MINUTE)]).bindings[0]
    assert (alone.competing_clicks, alone.confidence) == (1, 1.0)
    rivals = [click("A", T - 90 * MINUTE), click("B", T - MINUTE, lease="shared"), click("C", T - 7 * HOUR)]
    shared = folded([listed(T)], rivals).bindings[0]
    assert (shared.click.click_id, shared.competing_clicks) == ("B", 2)
    assert 0.9 < shared.confidence < 1
    close = folded([listed(T)], [click("A", T - 2 * MINUTE), click("B", T - MINUTE)]).bindings[0]
    assert 0.5 < close.confidence < shared.confidence


def test_a_link_visited_only_as_a_duplicate_counts_from_that_visit() -> None:
    a = click("A", T - 2 * HOUR, link=1)
    moved = replace(a, visits=(*a.visits, ClickVisit(T - HOUR, 2, True)))
    assert history(folded([listed(T, 2)], [moved])) == [(T, "A", "subscribed")]
    assert folded([listed(T - 90 * MINUTE, 2)], [moved]).unattributed_reason == "no_click_before"


def test_a_link_that_was_told_beats_one_that_was_guessed() -> None:
    guess = replace(listed(T, 2), inferred=True)
    clicks = [click("A", T - MINUTE), click("B", T - MINUTE, link=2)]
    assert owners(folded([guess], clicks)) == ["B"]
    assert owners(folded([guess, listed(T)], clicks)) == ["A"]
    assert folded([guess, listed(T, 9, ours=False)], clicks).unattributed_reason == "organic"
    assert folded([guess], clicks).bindings[0].confidence < 1
