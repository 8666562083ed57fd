"""Lists against a naive reading of the same rows: filters, sorts, pages by offset and by cursor, other teams."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Any, get_args

import pytest

from tests.integration.lists.seed import FOREIGN, LINKS, START, Seeded, seed
from tracker.inventory.publish import first_ulid
from tracker.lists import clicks, conversions, cursors, fans
from tracker.management.errors import Invalid
from tracker.reports.filters import Filters
from tracker.reports.rollups import settle_all
from tracker.stores.postgres import Pool


@pytest.fixture
async def rows(pool: Pool) -> Seeded:
    return await seed(pool)


async def count(pool: Pool) -> None:
    """Note what is there, as the recorder does, and have it counted."""
    await pool.execute("INSERT INTO report_notes (click_ids) SELECT string_agg(click_id, ',') FROM clicks")
    await pool.execute("INSERT INTO report_notes (visit_ids) SELECT string_agg(visit_id, ',') FROM visits")
    await settle_all(pool)


def click_ids(found: Seeded, *, bots: bool = True, repeats: bool = True, links: tuple[str, ...] = LINKS) -> list[str]:
    own = [each for each in found.clicks if each["smart_link_id"] in links and (bots or not each["is_bot"])]
    ids = [each["click_id"] for each in own]
    if repeats:
        ids += [each["visit_id"] for each in found.visits if each["click"] in own]
    return sorted(ids, reverse=True)


@pytest.mark.parametrize("few", [clicks.FEW, -1])  # links with few clicks are read in another way
@pytest.mark.parametrize("bots", [True, False])
@pytest.mark.parametrize("repeats", [True, False])
async def test_clicks_and_their_repeats_in_order(
    pool: Pool, rows: Seeded, monkeypatch: pytest.MonkeyPatch, bots: bool, repeats: bool, few: int
) -> None:
    monkeypatch.setattr(clicks, "FEW", few)
    await count(pool)
    wanted = clicks.Wanted(include_bots=bots, include_duplicates=repeats)
    expected = click_ids(rows, bots=bots, repeats=repeats)
    listed = await clicks.page(pool, "t1", wanted, limit=1000)
    assert [row["id"] for row in listed] == expected
    assert {row["id"] for row in listed if row["is_duplicate"]} <= {each["visit_id"] for each in rows.visits}
    pages = [[row["id"] for row in page] async for page in clicks.iterate(pool, "t1", wanted, batch=7)]
    assert [one for page in pages for one in page] == expected
    offset = await clicks.page(pool, "t1", wanted, limit=5, offset=11)
    assert [row["id"] for row in offset] == expected[11:16]


async def test_days_without_clicks_are_passed_over(pool: Pool, rows: Seeded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clicks, "FEW", -1)
    await count(pool)
    passed_over = []
    older = clicks._older

    async def watched(*arguments: Any) -> Any:
        found = await older(*arguments)
        passed_over.append(len(found))
        return found

    monkeypatch.setattr(clicks, "_older", watched)
    for links in (LINKS, LINKS[:1]):
        expected = click_ids(rows, links=links)
        for since, until in ((None, None), (START + timedelta(days=2), START + timedelta(days=12, hours=3))):
            wanted = clicks.Wanted(links=Filters(smart_link_ids=links), since=since, until=until)
            listed = [row["id"] for row in await clicks.page(pool, "t1", wanted, limit=1000)]
            assert listed == [
                one
                for one in expected
                if since is None or until is None or first_ulid(since) <= one < first_ulid(until)
            ]
            paged = [[row["id"] for row in page] async for page in clicks.iterate(pool, "t1", wanted, batch=7)]
            assert [one for page in paged for one in page] == listed
            part = await clicks.page(pool, "t1", wanted, limit=5, offset=11)
            assert [row["id"] for row in part] == listed[11:16]
    assert sum(passed_over) > 100


async def test_clicks_by_link_time_and_word(pool: Pool, rows: Seeded) -> None:
    only = clicks.Wanted(links=Filters(smart_link_ids=(LINKS[1],)))
    assert [row["id"] for row in await clicks.page(pool, "t1", only, limit=1000)] == click_ids(rows, links=(LINKS[1],))
    foreign = clicks.Wanted(links=Filters(smart_link_ids=(FOREIGN,)))
    assert await clicks.page(pool, "t1", foreign, limit=1000) == []
    assert await clicks.page(pool, "t2", foreign, limit=1000) != []
    since, until = START + timedelta(days=5), START + timedelta(days=15)
    listed = await clicks.page(pool, "t1", clicks.Wanted(since=since, until=until), limit=1000)
    assert all(since <= row["visited_at"] < until for row in listed)
    times = [each["clicked_at"] for each in rows.clicks] + [each["visited_at"] for each in rows.visits]
    assert len(listed) == sum(since <= at < until for at in times)
    one = rows.clicks[3]
    for word in (one["click_id"], one["click_id"].upper()):
        found = await clicks.page(pool, "t1", clicks.Wanted(search=word, include_duplicates=False), limit=10)
        assert [row["id"] for row in found] == [one["click_id"]]
    by_ecid = await clicks.page(pool, "t1", clicks.Wanted(search="e3", include_duplicates=False), limit=1000)
    assert len(by_ecid) == sum(each["ecid"] == "e3" for each in rows.clicks)
    germans = await clicks.page(pool, "t1", clicks.Wanted(country="DE", include_duplicates=False), limit=1000)
    assert len(germans) == sum(each["country"] == "DE" for each in rows.clicks)


async def test_conversions_in_order_with_fan_and_click(pool: Pool, rows: Seeded) -> None:
    usual = [each for each in rows.conversions if each["type"] != "transaction_status"]
    expected = [each["conversion_id"] for each in sorted(usual, key=_told, reverse=True)]
    listed = await conversions.page(pool, "t1", conversions.Wanted(), limit=1000)
    assert [row["conversion_id"] for row in listed] == expected
    assert {row["fan_name"] for row in listed} == {"Fan"}
    assert all(row["clicked_at"] is not None for row in listed)
    pages = [page async for page in conversions.iterate(pool, "t1", conversions.Wanted(), batch=9)]
    assert [row["conversion_id"] for page in pages for row in page] == expected
    payments = conversions.Wanted(types=("new_transaction",), fan_id="1003", links=Filters(smart_link_ids=(LINKS[0],)))
    found = await conversions.page(pool, "t1", payments, limit=1000)
    assert len(found) == sum(
        (each["type"], each["fan_id"], each["smart_link_id"]) == ("new_transaction", "1003", LINKS[0]) for each in usual
    )
    days = await conversions.days(pool, "t1", conversions.Wanted())
    assert sum(day.conversions for day in days) == len(usual)
    assert sum(day.subscribers for day in days) == sum(each["type"] == "new_subscriber" for each in usual)
    assert sum(day.gross_cents for day in days) == sum(_worth(rows).values())


async def test_fans_with_what_they_brought(pool: Pool, rows: Seeded) -> None:
    gross: dict[str, int] = defaultdict(int)
    for conversion, cents in _worth(rows).items():
        gross[next(each["fan_id"] for each in rows.conversions if each["conversion_id"] == conversion)] += cents
    messages: dict[str, int] = defaultdict(int)
    for each in rows.conversions:
        messages[each["fan_id"]] += each["type"] == "message_received"
    everybody = {each["fan_id"] for each in rows.conversions if each["type"] != "transaction_status"}
    listed = await fans.page(pool, "t1", fans.Wanted(), sort="revenue_gross", limit=1000)
    assert {row["fan_id"]: row["gross_cents"] for row in listed} == {fan: gross[fan] for fan in everybody}
    assert {row["fan_id"]: row["messages"] for row in listed} == {fan: messages[fan] for fan in everybody}
    assert [row["gross_cents"] for row in listed] == sorted((row["gross_cents"] for row in listed), reverse=True)
    told = await fans.summary(pool, "t1", fans.Wanted())
    assert (told.fans, told.gross_cents) == (len(everybody), sum(gross.values()))
    for sort in ("revenue_net", "tips_net", "messages_sent_by_fan", "converted_at"):
        for descending in (True, False):
            whole = await fans.page(pool, "t1", fans.Wanted(), sort=sort, descending=descending, limit=1000)
            keys = [row["key"] for row in whole]
            assert keys == sorted(keys, reverse=True)
            paged: list[str] = []
            after = None
            while page := await fans.page(
                pool,
                "t1",
                fans.Wanted(),
                sort=sort,
                descending=descending,
                limit=2,
                after=after,
            ):
                paged += [row["fan_id"] for row in page]
                after = fans.cursor(page[-1])
            assert paged == [row["fan_id"] for row in whole]
    quiet = await fans.page(pool, "t1", fans.Wanted(has_messages=False), limit=1000)
    assert {row["fan_id"] for row in quiet} == {fan for fan in everybody if not messages[fan]}
    rich = await fans.spenders(pool, "t1", Filters(), min_cents=3000, limit=1000)
    assert {row["fan_id"]: row["gross_cents"] for row in rich} == {
        fan: cents for fan, cents in gross.items() if cents >= 3000
    }


async def everything_of(pool: Pool, link: str) -> dict[str, Any]:
    """All that lists tell of a link's fans and conversions, whichever way they are read."""
    only = Filters(smart_link_ids=(link,))
    told: dict[str, Any] = {}
    for given in (
        {}, {"has_messages": True}, {"min_messages": 2}, {"min_net_cents": 1000}, {"min_tips_cents": 500}, {"previously_subscribed": False},
        {"since": START + timedelta(days=3, hours=5), "until": START + timedelta(days=17, minutes=7)},
        {"since": START + timedelta(days=3, hours=5), "until": START + timedelta(days=3, hours=9)}, {"since": START + timedelta(days=9)},
    ):  # fmt: skip
        wanted = fans.Wanted(links=only, **given)
        told[f"summary {given}"] = await fans.summary(pool, "t1", wanted)
        for sort in get_args(fans.Sort):
            for descending in (True, False):
                order = {"sort": sort, "descending": descending}
                listed = await fans.page(pool, "t1", wanted, limit=1000, **order)
                told[f"fans {given} {order}"] = [dict(row) for row in listed]
                assert [row["fan_id"] for row in await fans.page(pool, "t1", wanted, limit=2, offset=1, **order)] == [
                    row["fan_id"] for row in listed[1:3]
                ]
                paged, after = [], None
                while rows := await fans.page(pool, "t1", wanted, limit=2, after=after, **order):
                    paged += [row["fan_id"] for row in rows]
                    after = fans.cursor(rows[-1])
                assert paged == [row["fan_id"] for row in listed]
    for cents in (0, 1, 3000):
        told[f"spenders {cents}"] = [
            dict(row) for row in await fans.spenders(pool, "t1", only, min_cents=cents, limit=99)
        ]
    for since, until in ((None, None), (START + timedelta(days=2, minutes=45), START + timedelta(days=20, hours=7))):
        told[f"days {since}"] = await conversions.days(
            pool, "t1", conversions.Wanted(links=only, since=since, until=until)
        )
    return told


def columns_of(expected: Any, found: Any) -> Any:
    """What is kept has more columns than what is looked up."""
    if isinstance(found, list) and found and isinstance(found[0], dict):
        return [{column: row[column] for column in (expected or [row])[0]} for row in found]
    return found


@pytest.mark.parametrize("counted", [False, True])
async def test_what_is_kept_of_a_link_is_what_its_conversions_say(
    pool: Pool, rows: Seeded, monkeypatch: pytest.MonkeyPatch, counted: bool
) -> None:
    async def compare() -> None:
        kept = [await everything_of(pool, link) for link in LINKS]
        with monkeypatch.context() as looked_up:
            looked_up.setattr(fans, "_kept", lambda links, wanted: False)
            looked_up.setattr(conversions, "USUAL", tuple(reversed(conversions.USUAL)))
            expected = [await everything_of(pool, link) for link in LINKS]
        for one, other in zip(kept, expected, strict=True):
            assert {name: columns_of(other[name], found) for name, found in one.items()} == other
        assert sum(bool(found) for found in kept[0].values()) > 60

    if counted:
        await settle_all(pool)
        assert await pool.fetchval("SELECT count(*) FROM link_fans")
    await compare()
    # Changes the job has not seen yet: money taken back, a conversion retracted, one moved to another link, one gone.
    changed = [each["conversion_id"] for each in rows.conversions]
    await pool.execute(
        "UPDATE conversions SET amount_gross_cents = amount_gross_cents + 7 WHERE conversion_id = $1", changed[3]
    )
    await pool.execute("UPDATE conversions SET retracted_at = now() WHERE conversion_id = ANY($1)", changed[5:8])
    await pool.execute(
        "UPDATE conversions SET smart_link_id = $2 WHERE conversion_id = ANY($1)", changed[10:14], LINKS[0]
    )
    await pool.execute("DELETE FROM conversions WHERE conversion_id = ANY($1)", changed[20:22])
    await compare()
    await settle_all(pool)
    await compare()


@pytest.mark.parametrize(
    "cursor",
    ["x", "!!!", "bm90IGpzb24", cursors.encode("a", "b", "c"), cursors.encode(1), cursors.encode("a\0b"), "9" * 5000],
)
async def test_a_cursor_of_nobodys_is_refused(pool: Pool, cursor: str) -> None:
    for page in (clicks.page, conversions.page):
        with pytest.raises(Invalid) as refused:
            await page(pool, "t1", _nothing(page), limit=1, after=cursor)
        assert "after" in refused.value.errors


def _nothing(page: Any) -> Any:
    return clicks.Wanted() if page is clicks.page else conversions.Wanted()


def _told(each: dict[str, Any]) -> tuple[Any, str]:
    return each["at"], each["conversion_id"]


def _worth(rows: Seeded) -> dict[str, int]:
    """Cents of each payment, less what was taken back."""
    taken = {each["tx"] for each in rows.conversions if each.get("status") in ("pending_return", "undo")}
    return {
        each["conversion_id"]: 0 if each["tx"] in taken else each["gross"]
        for each in rows.conversions
        if each["type"] == "new_transaction"
    }


async def test_a_search_through_too_many_clicks_is_refused(pool: Pool, rows: Seeded) -> None:
    await pool.execute(
        "INSERT INTO report_days VALUES ($1, $2, 200001, 0, 0, 0, 0, 0, 0, 0)", LINKS[0], START + timedelta(days=1)
    )
    with pytest.raises(Invalid) as refused:
        await clicks.page(pool, "t1", clicks.Wanted(search="e3"), limit=10)
    assert "200,001 clicks" in refused.value.errors["search"][0]
    since = START + timedelta(days=2)
    found = await clicks.page(pool, "t1", clicks.Wanted(search="e3", since=since), limit=1000)
    own = [each for each in rows.clicks if each["ecid"] == "e3"]
    times = [each["clicked_at"] for each in own]
    times += [each["visited_at"] for each in rows.visits if each["click"] in own]
    assert len(found) == sum(at >= since for at in times) > 0
    visit = rows.visits[0]
    listed = await clicks.page(pool, "t1", clicks.Wanted(search=visit["visit_id"].upper()), limit=10)
    assert [row["id"] for row in listed] == [visit["visit_id"]]
