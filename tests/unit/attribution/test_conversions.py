"""What is told, with which amount, and how often (spec 5; spec 11, "Amounts")."""

from __future__ import annotations

import pytest

from tests.unit.attribution.story import (
    HOUR,
    MINUTE,
    PRICE_WAIT,
    at,
    click,
    folded,
    listed,
    notified,
    of,
    paid,
    seen,
    wrote,
)
from tracker.attribution.facts import EXACT, FanEvent

T = at(0)
A = click("A", T - MINUTE)


@pytest.mark.parametrize(
    ("events", "free_page", "amount"),
    [
        ([listed(T, free=True)], False, (0, 0)),
        ([listed(T)], True, (0, 0)),
        ([notified(T, price=0), listed(T)], False, (0, 0)),
        ([listed(T)], False, None),
        ([notified(T, price=500), listed(T)], False, None),
        ([notified(T, price=500), listed(T)], True, None),
        ([notified(T, price=0), notified(T + 20_000, price=500, precision=EXACT), listed(T)], False, None),
    ],
)
def test_a_free_subscriber_is_told_at_once_and_a_paid_one_waits_five_minutes(
    events: list[FanEvent], free_page: bool, amount: tuple[int, int] | None
) -> None:
    new = of(folded(events, [A], free_page=free_page), "new_subscriber")[0]
    heard = min(event.seen_at for event in events if hasattr(event, "seen_at"))
    if amount:
        assert (new.gross_cents, new.net_cents, new.hold_until) == (*amount, None)
    else:
        assert (new.gross_cents, new.net_cents, new.hold_until) == (None, None, heard + PRICE_WAIT)


@pytest.mark.parametrize(
    ("moment", "found"),
    [
        (T - 10 * MINUTE - 1, False),
        (T - 10 * MINUTE, True),
        (T + 10 * MINUTE, True),
        (T + 10 * MINUTE + 1, False),
    ],
)
def test_its_payment_is_the_new_subscription_within_ten_minutes(moment: int, found: bool) -> None:
    result = folded([listed(T), paid("t", moment, "new_subscription", gross=999, net=799)], [A])
    new = of(result, "new_subscriber")[0]
    assert (new.gross_cents, new.net_cents) == ((999, 799) if found else (None, None))
    assert (new.hold_until is None) is found


def test_only_a_new_subscription_pays_for_a_subscription() -> None:
    result = folded([listed(T), paid("t", T, "tip"), paid("r", T, "recurring_subscription")], [A])
    assert of(result, "new_subscriber")[0].gross_cents is None


def test_each_payment_pays_for_the_subscription_closest_to_it() -> None:
    second = click("B", T + 7 * MINUTE, link=2)
    result = folded(
        [listed(T), listed(T + 8 * MINUTE, 2), paid("t", T + 8 * MINUTE + 5000, "new_subscription")], [A, second]
    )
    assert [new.gross_cents for new in of(result, "new_subscriber")] == [None, 1000]


def test_a_payment_booked_just_before_its_subscription_goes_with_it() -> None:
    b = click("B", T + HOUR - MINUTE, link=2)
    early = paid("t", T + HOUR - 2000, "new_subscription")
    result = folded([listed(T), listed(T + HOUR, 2), early], [A, b])
    assert [sale.click.click_id for sale in of(result, "new_transaction")] == ["B"]
    assert of(result, "new_subscriber")[1].gross_cents == 1000


def test_a_fan_who_comes_back_through_a_lease_is_a_new_subscriber_again() -> None:
    b = click("B", T + 48 * HOUR, link=2)
    result = folded([listed(T), listed(T + 48 * HOUR, 2)], [A, b])
    assert [(new.click.click_id, new.previously_subscribed) for new in of(result, "new_subscriber")] == [
        ("A", False),
        ("B", True),
    ]
    told = folded([notified(T, returning=True), listed(T)], [A])
    assert of(told, "new_subscriber")[0].previously_subscribed
    organic_before = folded([notified(T - 24 * HOUR), listed(T)], [A])
    assert of(organic_before, "new_subscriber")[0].previously_subscribed


def test_first_purchase_is_the_earliest_that_is_no_subscription_and_all_later_ones_repeat() -> None:
    events: list[FanEvent] = [
        listed(T),
        paid("own", T, "new_subscription"),
        paid("b", T + 2 * HOUR, "post"),
        paid("a", T + HOUR, "message"),
        paid("renewal", T + 3 * HOUR, "recurring_subscription"),
    ]
    sales = {sale.identity: sale.purchase for sale in of(folded(events, [A]), "new_transaction")}
    assert sales == {"own": None, "a": "first", "b": "repeat", "renewal": "repeat"}


def test_a_purchase_before_the_binding_or_taken_back_was_still_the_first() -> None:
    before = folded([listed(T), paid("a", T - HOUR), paid("b", T + HOUR)], [A])
    assert [(sale.identity, sale.purchase) for sale in of(before, "new_transaction")] == [("b", "repeat")]
    undone = folded([listed(T), paid("a", T + HOUR, status="undo"), paid("b", T + 2 * HOUR)], [A])
    assert [(sale.identity, sale.purchase) for sale in of(undone, "new_transaction")] == [("b", "repeat")]


def test_purchases_of_one_second_are_told_apart_by_id() -> None:
    result = folded([listed(T), paid("b", T + HOUR), paid("a", T + HOUR)], [A])
    assert {sale.identity: sale.purchase for sale in of(result, "new_transaction")} == {"a": "first", "b": "repeat"}


def test_the_first_and_the_third_message_after_converting_fire_once() -> None:
    messages = [
        wrote(name, T + minutes * MINUTE) for name, minutes in (("z", -1), ("a", 1), ("b", 2), ("c", 3), ("d", 4))
    ]
    result = folded([listed(T), *messages], [A])
    assert [message.identity for message in of(result, "message_received")] == ["a", "b", "c", "d"]
    assert [(one.identity, one.at) for one in of(result, "fan_sent_1_message")] == [("", T + MINUTE)]
    assert [(three.identity, three.at) for three in of(result, "fan_sent_3_messages")] == [("", T + 3 * MINUTE)]


def test_counters_count_the_fan_not_the_click() -> None:
    b = click("B", T + HOUR, link=2, visitor="visitor-A")
    messages = [wrote("a", T + MINUTE), wrote("b", T + 2 * MINUTE), wrote("c", T + 2 * HOUR)]
    result = folded([listed(T), *messages], [A, b])
    assert [one.click.click_id for one in of(result, "fan_sent_1_message")] == ["A"]
    assert [three.click.click_id for three in of(result, "fan_sent_3_messages")] == ["B"]


def statuses(events: list[FanEvent]) -> list[tuple[str, str | None, int | None]]:
    """(type, status, gross) of all money conversions."""
    result = folded([listed(T), *events], [A])
    found = [*of(result, "new_transaction"), *of(result, "transaction_status")]
    return [(one.type, one.transaction_status, one.gross_cents) for one in found]


def test_a_status_is_told_once_and_the_transaction_shows_the_last_one() -> None:
    loading, done = paid("t", T + HOUR, status="loading"), paid("t", T + HOUR)
    assert statuses([loading]) == [("new_transaction", "loading", 1000)]
    assert statuses([done]) == [("new_transaction", "done", 1000)]
    assert statuses([done, loading]) == [("new_transaction", "done", 1000), ("transaction_status", "done", 1000)]


def test_a_chargeback_takes_back_its_own_amount_whatever_came_first() -> None:
    loading, undo = paid("t", T + HOUR, status="loading"), paid("t", T + HOUR, status="undo", gross=400)
    assert statuses([undo]) == [("transaction_status", "undo", 400)]
    in_order, reversed_order = statuses([loading, undo]), statuses([undo, loading])
    assert in_order == reversed_order == [("new_transaction", "undo", 1000), ("transaction_status", "undo", 400)]


def test_pending_return_and_undo_are_two_changes() -> None:
    rows = [paid("t", T + HOUR, status=status) for status in ("undo", "done", "pending_return")]
    assert statuses(list(rows)) == [
        ("new_transaction", "undo", 1000),
        ("transaction_status", "pending_return", 1000),
        ("transaction_status", "undo", 1000),
    ]


def test_a_settled_amount_replaces_the_first_one_and_a_clear_type_a_vague_one() -> None:
    rows = [
        paid("t", T + HOUR, "tip", gross=1000, status="loading"),
        paid("t", T + HOUR, "other", gross=900, status="done"),
    ]
    sale = of(folded([listed(T), *rows], [A]), "new_transaction")[0]
    assert (sale.gross_cents, sale.transaction_type, sale.event_keys) == (900, "tip", ("tx:t:done", "tx:t:loading"))


def test_money_before_the_fan_was_bound_belongs_to_nobody() -> None:
    result = folded([listed(T), paid("t", T - 1000), wrote("m", T - 1000)], [A])
    assert {conversion.type for conversion in result.conversions} == {"new_subscriber"}


def test_a_list_without_times_joins_the_notification_within_ten_minutes() -> None:
    joined = folded([notified(T), seen(T + 10 * MINUTE)], [A])
    assert [(new.identity, new.at) for new in of(joined, "new_subscriber")] == [(str(T), T)]
    apart = folded([notified(T), seen(T + 10 * MINUTE + 1)], [A])
    assert [(new.identity, new.at) for new in of(apart, "new_subscriber")] == [(str(T + 10 * MINUTE), T + 10 * MINUTE)]


def test_a_list_without_times_alone_uses_the_minute_it_was_first_seen() -> None:
    result = folded([seen(T + 4 * MINUTE + 30_500)], [A])
    assert [(new.identity, new.at) for new in of(result, "new_subscriber")] == [(str(T + 4 * MINUTE), T + 4 * MINUTE)]


def test_a_list_without_times_joins_the_subscription_that_still_has_no_link() -> None:
    events: list[FanEvent] = [notified(T), notified(T + 6 * MINUTE), seen(T + MINUTE, 1), seen(T + 7 * MINUTE, 2)]
    result = folded(events, [A, click("B", T + 5 * MINUTE, link=2)])
    assert [(new.identity, new.click.click_id) for new in of(result, "new_subscriber")] == [
        (str(T), "A"),
        (str(T + 6 * MINUTE), "B"),
    ]


def test_sources_of_one_minute_are_one_subscription_named_by_the_minute() -> None:
    result = folded([notified(T), listed(T + 42_000, precision=0)], [A])
    new = of(result, "new_subscriber")
    assert [(one.identity, one.at, one.event_keys) for one in new] == [
        (str(T), T + 42_000, (f"link:1:{T + 42_000}", f"sub:{T}"))
    ]


def test_a_list_without_times_joins_what_began_before_it_was_read() -> None:
    result = folded([notified(T), notified(T + 5 * MINUTE), seen(T + 3 * MINUTE)], [A])
    assert [new.identity for new in of(result, "new_subscriber")] == [str(T)]


def test_a_list_without_times_leaves_alone_what_another_link_explains() -> None:
    b = click("B", T - MINUTE, link=2)
    events: list[FanEvent] = [notified(T), notified(T + 5 * MINUTE), listed(T + 5 * MINUTE, 1), seen(T + 6 * MINUTE, 2)]
    new = of(folded(events, [A, b]), "new_subscriber")
    assert [(one.identity, one.click.click_id) for one in new] == [(str(T), "B"), (str(T + 5 * MINUTE), "A")]
