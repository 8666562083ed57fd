"""One account with one ad: what is told once stays told once, whatever comes late, twice or from four workers (spec 4, 11)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from tests.integration.attribution.books import Arrival, arrive, as_stored, open_world, renamed, stored_ids
from tests.reference.worlds import BASE, DAY, MINUTE, PlatformLink, SmartLink, World, click_id
from tracker.attribution.facts import (
    FIRST_SEEN,
    FLOORED,
    Click,
    ClickVisit,
    FanEvent,
    LinkSubscriber,
    MessageSeen,
    Subscribed,
    TransactionSeen,
)
from tracker.attribution.worker import fold_due
from tracker.stores.postgres import Pool

HOUR = 60 * MINUTE
FAN = "1010"
EMPTY = World(
    (SmartLink("acct_S0", "acct", 6 * HOUR), SmartLink("acct_S1", "acct", 6 * HOUR)),
    (PlatformLink(10, "acct", True, False), PlatformLink(11, "acct", True, False)),
    frozenset(),
    {"acct": ()},
    {},
)


async def opened(pool: Pool, number: int = 1) -> str:
    """The account, with both destinations; its id."""
    async with pool.acquire() as connection, connection.transaction():
        await open_world(connection, renamed(EMPTY, number), f"team-{number}")
    return f"acct_{number}"


def a_click(number: int = 1, *moments: int, name: str = "0", link: int = 10, ad: int = 0, visitor: str = "v") -> Click:
    """A click on an ad of account `number`, an hour before BASE unless told otherwise."""
    visits = tuple(ClickVisit(at, link + 100 * number, True) for at in moments or (BASE - HOUR,))
    tail = f"{name}00{number:013d}"
    return Click(click_id(visits[0].at, tail), f"acct_S{ad}_{number}", visitor, "exclusive", 6 * HOUR, "", visits)


def clicks(account_id: str, *found: Click) -> list[Arrival]:
    """The arrivals of all visits of these clicks."""
    return [Arrival(account_id, click=one, visit=index) for one in found for index in range(len(one.visits))]


def events(account_id: str, *found: FanEvent) -> list[Arrival]:
    """The arrivals of events of the fan."""
    return [Arrival(account_id, FAN, event) for event in found]


def listed(at: int, *, number: int = 1, precision: int = FLOORED, link: int = 10, key: str = "1") -> LinkSubscriber:
    """The fan in a link's list."""
    return LinkSubscriber(f"link:{link}:{FAN}:{key}", at, precision, at, link + 100 * number)


def notified(at: int, key: str = "1") -> Subscribed:
    """A subscription notification of a paid page."""
    return Subscribed(f"sub:{key}", at, FLOORED, at, 500)


def paid(at: int, kind: str = "tip", name: str = "t", status: str = "done") -> TransactionSeen:
    """A transaction of ten dollars."""
    return TransactionSeen(f"tx:{name}:{status}", at, name, kind, status, 1000, 800)


async def drain(pool: Pool, price_wait: float = 0) -> list[str]:
    """Fold all that is due; the ids of new conversions."""
    found: list[str] = []
    while True:
        taken, new = await fold_due(pool, price_wait=price_wait)
        if not taken:
            return found
        found += new


async def conversions(pool: Pool, kind: str) -> list[asyncpg.Record]:
    """All stored conversions of a type, retracted ones too."""
    return await pool.fetch("SELECT * FROM conversions WHERE conversion_type = $1 ORDER BY conversion_at", kind)


async def deliveries(pool: Pool, destination_id: str = "team-1-all") -> list[str]:
    """The event ids of a destination's deliveries."""
    rows = await pool.fetch("SELECT event_id FROM deliveries WHERE destination_id = $1", destination_id)
    return [row["event_id"] for row in rows]


async def test_an_event_delivered_twenty_times_to_four_workers_is_one_conversion(pool: Pool) -> None:
    account_id = await opened(pool)
    await arrive(pool, clicks(account_id, a_click()))
    story = events(account_id, listed(BASE), paid(BASE + HOUR), MessageSeen("msg:1", BASE + HOUR, "1"))

    async def deliver(turns: int) -> None:
        for _ in range(turns):
            await arrive(pool, story)
            await fold_due(pool, price_wait=0)

    await asyncio.gather(*(deliver(5) for _ in range(4)))
    await drain(pool)
    found = await pool.fetch("SELECT conversion_type FROM conversions")
    assert sorted(row[0] for row in found) == [
        "fan_sent_1_message",
        "message_received",
        "new_subscriber",
        "new_transaction",
    ]
    assert sorted(await deliveries(pool)) == sorted(await stored_ids(pool, account_id, FAN))
    assert len(await deliveries(pool, "team-1-some")) == 1
    assert await pool.fetchval("SELECT count(*) FROM bindings") == 1


async def test_many_wakes_while_four_workers_fold_lose_nothing_and_never_deadlock(pool: Pool) -> None:
    account_id = await opened(pool)
    await arrive(pool, clicks(account_id, a_click()))
    fans = [str(2000 + number) for number in range(30)]
    done = asyncio.Event()

    async def tell(turn: int) -> None:
        for fan in fans[turn::2] + fans[1 - turn :: 2]:
            key = f"{turn}-{fan}"
            message = MessageSeen(f"msg:{key}", BASE + HOUR, key)
            await arrive(pool, [Arrival(account_id, fan, listed(BASE, key=fan)), Arrival(account_id, fan, message)])

    async def work() -> None:
        while not done.is_set():
            await fold_due(pool, price_wait=0, batch=5)
            await asyncio.sleep(0)

    workers = [asyncio.create_task(work()) for _ in range(4)]
    await asyncio.gather(tell(0), tell(1))
    done.set()
    await asyncio.gather(*workers)
    await drain(pool)
    assert await pool.fetchval("SELECT count(*) FROM conversions WHERE conversion_type = 'message_received'") == 60
    assert await pool.fetchval("SELECT count(*) FROM conversions WHERE conversion_type = 'new_subscriber'") == 30
    assert len(await deliveries(pool)) == await pool.fetchval("SELECT count(*) FROM conversions")


async def test_a_day_late_and_in_reverse_gives_what_in_order_gives(pool: Pool) -> None:
    def story(number: int) -> list[list[Arrival]]:
        account_id = f"acct_{number}"
        a = a_click(number, BASE - HOUR, BASE + 5 * HOUR)
        b = a_click(number, BASE + 2 * HOUR, name="1", link=11, ad=1)
        return [
            clicks(account_id, a)[:1],
            events(account_id, notified(BASE)),
            events(account_id, listed(BASE, number=number)),
            events(account_id, paid(BASE + 9000, "new_subscription", f"own{number}", "loading")),
            events(account_id, MessageSeen(f"msg:{number}1", BASE + HOUR, f"{number}1")),
            clicks(account_id, b),
            events(account_id, paid(BASE + 3 * HOUR, name=f"tip{number}", status="loading")),
            events(account_id, MessageSeen(f"msg:{number}2", BASE + 4 * HOUR, f"{number}2")),
            clicks(account_id, a)[1:],
            events(account_id, paid(BASE + 6 * HOUR, "post", f"post{number}")),
            events(account_id, MessageSeen(f"msg:{number}3", BASE + 7 * HOUR, f"{number}3")),
            events(account_id, paid(BASE + 3 * HOUR, name=f"tip{number}", status="undo")),
            events(account_id, paid(BASE + 30 * DAY, "recurring_subscription", f"renewal{number}")),
        ]

    for number in (1, 2):
        await opened(pool, number)
    for batch in story(1):
        await arrive(pool, batch)
        await drain(pool)
    for batch in reversed(story(2)):
        await arrive(pool, batch)
        await drain(pool)

    in_order, late = [await as_stored(pool, f"acct_{number}", FAN) for number in (1, 2)]
    assert [(line.valid_from, line.rule) for line in in_order.bindings] == [
        (BASE, "subscribed"),
        (BASE + 2 * HOUR, "clicked_again"),
        (BASE + 5 * HOUR, "clicked_again"),
    ]
    assert [(line.valid_from, line.click_id[:11], line.rule, line.competing) for line in in_order.bindings] == [
        (line.valid_from, line.click_id[:11], line.rule, line.competing) for line in late.bindings
    ]

    def told(outcome: Any) -> list[tuple[Any, ...]]:
        return sorted(
            (one.type, one.at, one.click_id[:11], str(one.gross), str(one.transaction_status), str(one.purchase))
            for one in outcome.conversions
        )

    assert told(in_order) == told(late)
    assert len(in_order.conversions) == 11
    assert sorted(await deliveries(pool, "team-2-all")) == sorted(await stored_ids(pool, "acct_2", FAN))
    assert len(await deliveries(pool, "team-1-all")) == len(await deliveries(pool, "team-2-all"))


async def test_a_late_notification_that_moves_the_minute_keeps_the_told_conversions_id(pool: Pool) -> None:
    account_id = await opened(pool)
    await arrive(pool, clicks(account_id, a_click()))
    await arrive(pool, events(account_id, listed(BASE + 9 * MINUTE, precision=FIRST_SEEN)))
    (told,) = await drain(pool)
    assert (await conversions(pool, "new_subscriber"))[0]["conversion_at"].minute == 9

    await arrive(pool, events(account_id, notified(BASE)))
    assert await drain(pool) == []
    (row,) = await conversions(pool, "new_subscriber")
    assert (row["conversion_id"], row["conversion_at"].minute) == (told, 0)
    assert row["corrected_at"] is not None
    assert row["retracted_at"] is None
    assert row["event_keys"] == [f"link:10:{FAN}:1", "sub:1"]

    # Its own transaction, and all later folds, find it under the same id.
    await arrive(pool, events(account_id, paid(BASE + 5000, "new_subscription", "own")))
    await drain(pool)
    (row,) = await conversions(pool, "new_subscriber")
    assert (row["conversion_id"], row["amount_gross_cents"]) == (told, 1000)
    assert (await deliveries(pool)).count(told) == 1


async def test_when_a_told_subscription_turns_out_to_be_two_the_new_one_is_told_too(pool: Pool) -> None:
    account_id = await opened(pool)
    await arrive(pool, clicks(account_id, a_click(), a_click(1, BASE - MINUTE, name="1", link=11, ad=1, visitor="w")))
    await arrive(pool, events(account_id, listed(BASE + 9 * MINUTE, precision=FIRST_SEEN)))
    (told,) = await drain(pool)
    # The list belongs to an earlier minute, and another subscription began in the one it was first seen in.
    await arrive(pool, events(account_id, notified(BASE), listed(BASE + 9 * MINUTE, link=11)))
    new = await drain(pool)
    rows = await conversions(pool, "new_subscriber")
    assert [row["conversion_at"].minute for row in rows] == [0, 9]
    assert {row["conversion_id"] for row in rows} == {told, *new}
    assert len(new) == 1
    assert sorted(await deliveries(pool)) == sorted([told, *new])


async def test_a_paid_subscriber_waits_for_its_price_and_is_told_with_it(pool: Pool) -> None:
    account_id = await opened(pool)
    await arrive(pool, clicks(account_id, a_click()))
    await arrive(pool, events(account_id, notified(BASE), listed(BASE)))
    assert await drain(pool, price_wait=300) == []
    due = await pool.fetchval("SELECT due_at - now() FROM fan_queue")
    assert 290 < due.total_seconds() <= 300
    assert await pool.fetchval("SELECT count(*) FROM bindings") == 1  # credited already, only not told

    await arrive(pool, events(account_id, paid(BASE + 5000, "new_subscription", "own")))
    assert len(await drain(pool, price_wait=300)) == 2
    (row,) = await conversions(pool, "new_subscriber")
    assert row["amount_gross_cents"] == 1000
    amounts = await pool.fetch("SELECT facts->>'amount_gross' FROM delivery_events WHERE event_type = 'new_subscriber'")
    assert [amount[0] for amount in amounts] == ["10.00"]
    assert await pool.fetchval("SELECT count(*) FROM fan_queue") == 0


async def test_a_price_that_does_not_come_is_not_waited_for_and_the_row_gets_it_later(pool: Pool) -> None:
    account_id = await opened(pool)
    await arrive(pool, clicks(account_id, a_click()))
    await arrive(pool, events(account_id, notified(BASE), listed(BASE)))
    assert await drain(pool, price_wait=300) == []
    await pool.execute("UPDATE platform_events SET first_seen_at = first_seen_at - interval '301 seconds'")
    await pool.execute("UPDATE fan_queue SET due_at = now()")
    (told,) = await drain(pool, price_wait=300)
    facts = await pool.fetchval("SELECT facts FROM delivery_events WHERE event_id = $1", told)
    assert "amount_gross" not in facts

    await arrive(pool, events(account_id, paid(BASE + 5000, "new_subscription", "own")))
    await drain(pool, price_wait=300)
    (row,) = await conversions(pool, "new_subscriber")
    assert (row["conversion_id"], row["amount_gross_cents"], row["amount_net_cents"]) == (told, 1000, 800)
    assert row["corrected_at"] is not None
    assert (await deliveries(pool)).count(told) == 1


async def test_a_better_click_that_comes_late_corrects_the_rows_and_leaves_what_was_sent(pool: Pool) -> None:
    account_id = await opened(pool)
    a, b = a_click(), a_click(1, BASE - MINUTE, name="1", ad=1, visitor="w")
    await arrive(pool, [*clicks(account_id, a), *events(account_id, listed(BASE), paid(BASE + HOUR))])
    first = await drain(pool)
    await arrive(pool, clicks(account_id, b))  # out of the spill, after the subscription was told
    assert await drain(pool) == []
    lines = await pool.fetch("SELECT click_id, retracted_at IS NULL AS believed FROM bindings ORDER BY binding_id")
    assert [(row["click_id"], row["believed"]) for row in lines] == [(a.click_id, False), (b.click_id, True)]
    rows = await pool.fetch("SELECT conversion_id, click_id, corrected_at FROM conversions")
    assert {(row["conversion_id"], row["click_id"]) for row in rows} == {(name, b.click_id) for name in first}
    assert all(row["corrected_at"] for row in rows)
    sent = await pool.fetch("SELECT facts->>'click_id' AS click_id FROM delivery_events")
    assert {row["click_id"] for row in sent} == {a.click_id}
    assert len(await deliveries(pool)) == 2


async def test_a_further_source_that_says_the_same_is_no_correction(pool: Pool) -> None:
    account_id = await opened(pool)
    await arrive(pool, [*clicks(account_id, a_click()), *events(account_id, listed(BASE))])
    await drain(pool)
    await arrive(pool, events(account_id, notified(BASE)))
    await drain(pool)
    (row,) = await conversions(pool, "new_subscriber")
    assert (row["corrected_at"], row["event_keys"]) == (None, [f"link:10:{FAN}:1", "sub:1"])
    (binding,) = await pool.fetch("SELECT * FROM bindings")
    assert (binding["retracted_at"], binding["event_keys"]) == (None, [f"link:10:{FAN}:1", "sub:1"])


async def test_a_retracted_conversion_that_is_believed_again_is_not_told_again(pool: Pool) -> None:
    account_id = await opened(pool)
    a = a_click()
    await arrive(pool, [*clicks(account_id, a), *events(account_id, listed(BASE))])
    (told,) = await drain(pool)
    await pool.execute("UPDATE clicks SET clicked_at = clicked_at - interval '1 day' WHERE click_id = $1", a.click_id)
    await pool.execute("INSERT INTO fan_queue VALUES ($1, $2)", account_id, FAN)
    await drain(pool)
    assert (await conversions(pool, "new_subscriber"))[0]["retracted_at"] is not None
    await pool.execute("UPDATE clicks SET clicked_at = clicked_at + interval '1 day' WHERE click_id = $1", a.click_id)
    await pool.execute("INSERT INTO fan_queue VALUES ($1, $2)", account_id, FAN)
    assert await drain(pool) == []
    (row,) = await conversions(pool, "new_subscriber")
    assert (row["conversion_id"], row["retracted_at"]) == (told, None)
    assert row["corrected_at"] is not None
    assert await deliveries(pool) == [told]


async def test_one_fan_whose_data_cannot_be_folded_does_not_hold_up_the_others(pool: Pool) -> None:
    account_id = await opened(pool)
    await arrive(pool, [*clicks(account_id, a_click()), *events(account_id, listed(BASE))])
    broken = replace(paid(BASE), gross_cents=2**80)
    await arrive(pool, [Arrival(account_id, "13", listed(BASE, key="13")), Arrival(account_id, "13", broken)])
    taken, new = await fold_due(pool, price_wait=0)
    assert (taken, len(new)) == (2, 1)
    waiting = await pool.fetch("SELECT fan_id, due_at > now() + interval '50 seconds' AS later FROM fan_queue")
    assert [(row["fan_id"], row["later"]) for row in waiting] == [("13", True)]


async def test_a_fold_that_dies_leaves_no_trace_and_is_done_again(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    account_id = await opened(pool)
    await arrive(pool, [*clicks(account_id, a_click()), *events(account_id, listed(BASE))])

    async def dies(*_: Any) -> int:
        raise ConnectionResetError("the process is gone")

    with monkeypatch.context() as patch:
        patch.setattr("tracker.attribution.credits.enqueue", dies)
        with pytest.raises(ConnectionResetError):
            await fold_due(pool, price_wait=0)
    for table in ("bindings", "conversions", "deliveries"):
        assert await pool.fetchval(f"SELECT count(*) FROM {table}") == 0
    assert await drain(pool) == await deliveries(pool)


async def test_the_unattributed_subscriber_is_kept_with_the_reason(pool: Pool) -> None:
    account_id = await opened(pool)
    await arrive(pool, events(account_id, notified(BASE)))
    await drain(pool)
    fan = await pool.fetchrow("SELECT * FROM fans")
    assert fan is not None
    assert fan["unattributed_reason"] == "organic"
    await arrive(
        pool, [*clicks(account_id, a_click()), *events(account_id, listed(BASE + MINUTE, precision=FIRST_SEEN))]
    )
    await drain(pool)
    assert await pool.fetchval("SELECT unattributed_reason FROM fans") is None


async def test_clicks_on_another_creators_links_move_nothing(pool: Pool) -> None:
    one, two = await opened(pool, 1), await opened(pool, 2)
    await arrive(pool, [*clicks(one, a_click(1)), *events(one, listed(BASE))])
    await arrive(pool, clicks(two, a_click(2, BASE + HOUR, ad=1)))
    await drain(pool)
    rows = await pool.fetch("SELECT account_id, click_id FROM bindings")
    assert [(row["account_id"], row["click_id"]) for row in rows] == [(one, a_click(1).click_id)]


async def test_a_delivery_says_what_happened(pool: Pool) -> None:
    account_id = await opened(pool)
    a = replace(a_click(), ecid="their-id")
    await arrive(pool, [*clicks(account_id, a), *events(account_id, listed(BASE), paid(BASE + HOUR, status="loading"))])
    await drain(pool)
    facts = await pool.fetchval("SELECT facts FROM delivery_events WHERE event_type = 'new_transaction'")
    told = {name: value for name, value in facts.items() if not name.startswith("_")}
    assert told | {"conversion_id": ""} == {
        "ofapi_account_id": account_id,
        "smart_link_id": "acct_S0_1",
        "smart_link_name": "ad",
        "conversion_type": "new_transaction",
        "conversion_id": "",
        "click_id": a.click_id,
        "external_click_id": "their-id",
        "conversion_at": "2025-10-09T10:00:00Z",
        "amount_gross": "10.00",
        "amount_net": "8.00",
        "currency": "USD",
        "fan_onlyfans_id": FAN,
        "transaction_type": "tip",
        "transaction_status": "loading",
        "purchase": "first",
    }


async def test_changing_a_links_window_moves_nobody_who_clicked_before(pool: Pool) -> None:
    account_id = await opened(pool)
    await arrive(pool, [*clicks(account_id, a_click()), *events(account_id, listed(BASE))])
    await drain(pool)
    await pool.execute("UPDATE smart_links SET window_seconds = 60 WHERE smart_link_id = 'acct_S0_1'")
    await arrive(pool, events(account_id, paid(BASE + HOUR)))
    assert len(await drain(pool)) == 1
    assert await pool.fetchval("SELECT count(*) FROM bindings WHERE retracted_at IS NULL") == 1

    # The new window holds for clicks from now on.
    later = int(await pool.fetchval("SELECT extract(epoch FROM now() + interval '1 hour')")) * 1000
    await arrive(pool, clicks(account_id, a_click(1, later, name="1", link=11)))
    await arrive(pool, [Arrival(account_id, "12", listed(later - later % MINUTE + 3 * MINUTE, link=11, key="12"))])
    await drain(pool)
    assert await pool.fetchval("SELECT unattributed_reason FROM fans WHERE fan_id = '12'") == "window_expired"


async def test_what_an_organic_fan_paid_counts_once_a_link_turns_up(pool: Pool) -> None:
    account_id = await opened(pool)
    await arrive(pool, clicks(account_id, a_click()))
    await arrive(pool, events(account_id, notified(BASE), paid(BASE + HOUR), MessageSeen("msg:1", BASE + HOUR, "1")))
    assert await drain(pool) == []
    await arrive(pool, events(account_id, listed(BASE + 9 * MINUTE, precision=FIRST_SEEN)))
    assert len(await drain(pool)) == 4
