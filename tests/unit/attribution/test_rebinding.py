"""How a bound fan moves, and how not (spec 4, "Re-binding"; spec 11, "Times")."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.attribution.story import HOUR, MINUTE, at, click, folded, history, listed, notified, of, paid, wrote
from tracker.attribution.facts import EXACT, ClickVisit

T = at(0)


def test_click_a_click_b_then_a_subscription_through_a_goes_to_a() -> None:
    a, b = click("A", T - 2 * MINUTE, link=1, visitor="v"), click("B", T - MINUTE, link=2, visitor="v")
    assert history(folded([listed(T, 1)], [a, b])) == [(T, "A", "subscribed")]


def test_the_same_browser_on_another_link_moves_the_fan_from_that_visit_on() -> None:
    a, b = click("A", T, link=1, visitor="v"), click("B", T + HOUR, link=2, visitor="v")
    result = folded([listed(T), paid("t1", T + HOUR - 1), paid("t2", T + HOUR), wrote("m", T + 2 * HOUR)], [a, b])
    assert history(result) == [(T, "A", "subscribed"), (T + HOUR, "B", "clicked_again")]
    assert [sale.click.click_id for sale in of(result, "new_transaction")] == ["A", "B"]
    assert [message.click.click_id for message in of(result, "message_received")] == ["B"]


def test_the_same_link_with_another_ecid_moves_the_fan() -> None:
    a = click("A", T, ad="ad", ecid="1", visitor="v")
    assert history(folded([listed(T)], [a, click("B", T + HOUR, ad="ad", ecid="2", visitor="v")]))[1:] == [
        (T + HOUR, "B", "clicked_again")
    ]
    assert history(folded([listed(T)], [a, click("B", T + HOUR, ad="ad", ecid="", visitor="v")]))[1:] == [
        (T + HOUR, "B", "clicked_again")
    ]


def test_the_same_link_and_ecid_after_the_window_is_a_new_click_but_the_fan_stays() -> None:
    a = click("A", T, ad="ad", ecid="1", visitor="v")
    again = click("B", T + 24 * HOUR, ad="ad", ecid="1", visitor="v")
    result = folded([listed(T), paid("t", T + 25 * HOUR)], [a, again])
    assert history(result) == [(T, "A", "subscribed")]
    assert [sale.click.click_id for sale in of(result, "new_transaction")] == ["A"]


def test_a_then_b_then_a_again_goes_back_to_a_from_that_visit() -> None:
    a, b = click("A", T, T + 2 * HOUR, link=1, visitor="v"), click("B", T + HOUR, link=2, visitor="v")
    assert history(folded([listed(T)], [a, b])) == [
        (T, "A", "subscribed"),
        (T + HOUR, "B", "clicked_again"),
        (T + 2 * HOUR, "A", "clicked_again"),
    ]


def test_a_visit_known_by_fingerprint_alone_never_moves_a_fan() -> None:
    a, b = click("A", T, visitor="v"), click("B", T + HOUR, link=2, visitor="v", cookie=False)
    assert history(folded([listed(T)], [a, b])) == [(T, "A", "subscribed")]


def test_a_click_first_known_by_fingerprint_moves_from_its_first_visit_with_the_cookie() -> None:
    a, b = click("A", T, visitor="v"), click("B", T + HOUR, link=2, visitor="v", cookie=False)
    both = replace(b, visits=(*b.visits, ClickVisit(T + 2 * HOUR, 2, True)))
    assert history(folded([listed(T)], [a, both]))[1:] == [(T + 2 * HOUR, "B", "clicked_again")]


def test_another_browser_moves_nothing_until_the_fan_subscribes_through_its_lease() -> None:
    a, b = click("A", T, link=1), click("B", T + HOUR, link=2)
    assert history(folded([listed(T)], [a, b])) == [(T, "A", "subscribed")]
    assert history(folded([listed(T), listed(T + 2 * HOUR, 2)], [a, b])) == [
        (T, "A", "subscribed"),
        (T + 2 * HOUR, "B", "resubscribed"),
    ]


@pytest.mark.parametrize(
    ("visit", "moves"), [(T + 1, False), (T + MINUTE, False), (T + MINUTE + 1, True), (T + 2 * MINUTE, True)]
)
def test_a_visit_must_be_certainly_after_a_floored_subscription(visit: int, moves: bool) -> None:
    a, b = click("A", T - MINUTE, visitor="v"), click("B", visit, link=2, visitor="v")
    assert (len(folded([listed(T)], [a, b]).bindings) == 2) is moves


@pytest.mark.parametrize(("visit", "moves"), [(T + 999, False), (T + 1000, True)])
def test_a_visit_must_be_certainly_after_a_time_with_seconds(visit: int, moves: bool) -> None:
    a, b = click("A", T - MINUTE, visitor="v"), click("B", visit, link=2, visitor="v")
    assert (len(folded([listed(T, precision=EXACT)], [a, b]).bindings) == 2) is moves


def test_the_most_precise_time_known_decides() -> None:
    a, b = click("A", T - MINUTE, visitor="v"), click("B", T + 30_000, link=2, visitor="v")
    exact = listed(T + 20_000, precision=EXACT)
    assert history(folded([notified(T), exact], [a, b])) == [
        (T + 20_000, "A", "subscribed"),
        (T + 30_000, "B", "clicked_again"),
    ]


def test_of_two_visits_in_one_millisecond_the_greater_click_stands() -> None:
    a = click("A", T, visitor="v")
    b, c = click("B", T + HOUR, link=2, visitor="v"), click("C", T + HOUR, link=3, visitor="v")
    assert history(folded([listed(T)], [a, c, b]))[1:] == [(T + HOUR, "C", "clicked_again")]


def test_subscribing_again_through_the_same_lease_is_no_move_but_a_new_subscriber() -> None:
    a, b = click("A", T, T + 2 * HOUR - 1, link=1, visitor="v"), click("B", T + 2 * HOUR + 30_000, link=2, visitor="v")
    result = folded([listed(T), listed(T + 2 * HOUR)], [a, b])
    assert history(result) == [(T, "A", "subscribed")]  # B lies within the second subscription's minute: not certain
    assert [new.previously_subscribed for new in of(result, "new_subscriber")] == [False, True]


def test_a_return_without_a_link_moves_nothing_and_tells_nothing_but_its_money() -> None:
    renewal = paid("t", T + 48 * HOUR, "recurring_subscription", gross=999)
    result = folded([listed(T), notified(T + 48 * HOUR, returning=True), renewal], [click("A", T)])
    assert history(result) == [(T, "A", "subscribed")]
    assert len(of(result, "new_subscriber")) == 1
    assert [(sale.transaction_type, sale.gross_cents) for sale in of(result, "new_transaction")] == [
        ("recurring_subscription", 999)
    ]


def test_a_subscription_through_a_link_nobody_leased_leaves_the_fan_where_he_is() -> None:
    result = folded([listed(T), listed(T + HOUR, 5), paid("t", T + 2 * HOUR)], [click("A", T)])
    assert history(result) == [(T, "A", "subscribed")]
    assert result.unattributed_reason is None
    assert len(of(result, "new_subscriber")) == 1


def test_the_binding_holds_for_life() -> None:
    result = folded([listed(T), paid("t", T + 5 * 365 * 24 * HOUR)], [click("A", T)])
    assert [sale.click.click_id for sale in of(result, "new_transaction")] == ["A"]
