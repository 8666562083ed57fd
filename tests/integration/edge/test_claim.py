"""Claims on a real Valkey: dedup, leases, visitors (contract, sections 2, 3 and 11)."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.edge.conftest import OTHER_LINK, PROFILE, RESERVE, World
from tracker.edge.visitor import DAY_MS

WINDOW_MS = 21_600_000
LEASE_MS = WINDOW_MS + 60_000


async def test_click_gets_its_own_link_and_is_logged(world: World) -> None:
    await world.fill_pool(3)
    answer = await world.request(query=b"ecid=E1&utm_source=ig&x=1")
    assert answer.status == 302
    assert answer.location == "https://onlyfans.com/creator/c1"
    assert answer.header("cache-control") == "no-store"
    assert answer.header("x-robots-tag") == "noindex"
    cookie = answer.header("set-cookie")
    assert cookie is not None
    assert cookie.endswith("; Max-Age=15552000; Path=/; HttpOnly; SameSite=Lax; Secure")
    (entry,) = await world.log()
    assert (entry.kind, entry.lease, entry.known, entry.spilled) == ("click", "exclusive", "new", False)
    assert entry.member == "1|https://onlyfans.com/creator/c1"
    assert entry.click == entry.visit.visit_id
    assert entry.visitor == answer.visitor
    assert entry.visit.ecid == "E1"
    assert entry.visit.utm_source == "ig"
    assert entry.visit.other_params == "x=1"
    assert entry.visit.landing_url == "https://go.example.com/go/01K5AAAAAAAAAAAAAAAAAAAAAA?ecid=E1&utm_source=ig&x=1"
    assert (await world.pool())[entry.member] == world.clock.ms + LEASE_MS


async def test_fifty_simultaneous_first_requests_make_one_click(world: World) -> None:
    await world.fill_pool(60)
    answers = await asyncio.gather(*[world.request(query=b"ecid=E1") for _ in range(50)])
    assert len({answer.location for answer in answers}) == 1
    assert len({answer.visitor for answer in answers}) == 1
    entries = await world.log()
    assert len(entries) == 50
    assert [entry.kind for entry in entries].count("click") == 1
    assert len({entry.click for entry in entries}) == 1
    assert len({entry.visit.visit_id for entry in entries}) == 50
    assert sum(score > 0 for score in (await world.pool()).values()) == 1


async def test_free_links_first_then_the_oldest_lease_is_shared(world: World) -> None:
    await world.fill_pool(2)
    leases = []
    for number in range(5):
        await world.request(query=b"ecid=%d" % number)
        entry = (await world.log())[-1]
        leases.append((entry.member.partition("|")[0], entry.lease))
        world.clock.ms += 1000
    assert leases == [("1", "exclusive"), ("2", "exclusive"), ("1", "shared"), ("2", "shared"), ("1", "shared")]


async def test_an_expired_lease_is_exclusive_again_least_recent_first(world: World) -> None:
    await world.fill_pool(2)
    await world.request(query=b"ecid=a")
    world.clock.ms += 1000
    await world.request(query=b"ecid=b")
    world.clock.ms += LEASE_MS - 1000  # the first lease ends now, the second a second later
    await world.request(query=b"ecid=c")
    await world.request(query=b"ecid=d")
    entries = await world.log()
    assert [(entry.member[0], entry.lease) for entry in entries[2:]] == [("1", "exclusive"), ("2", "shared")]


async def test_sharing_never_shortens_a_lease(world: World) -> None:
    await world.fill_pool(1)
    await world.put_link(OTHER_LINK, window_ms=1000)
    await world.request(query=b"ecid=a")
    end = world.clock.ms + LEASE_MS
    await world.request(f"/go/{OTHER_LINK}", b"ecid=b")
    assert list((await world.pool()).values()) == [end]


async def test_without_a_pool_the_reserve_link_and_without_that_the_profile(world: World) -> None:
    assert (await world.request(query=b"ecid=1")).location == RESERVE.partition("|")[2]
    await world.put_link(reserve="")
    assert (await world.request(query=b"ecid=2")).location == PROFILE
    first, second = await world.log()
    assert (first.lease, first.member) == ("reserve", RESERVE)
    assert (second.lease, second.member) == ("none", "")


async def test_same_visitor_by_cookie_is_a_duplicate_and_restarts_the_window(world: World) -> None:
    await world.fill_pool(5)
    first = await world.request()
    for _ in range(3):
        world.clock.ms += WINDOW_MS - 5000
        again = await world.request(cookie=first.visitor, headers={"user-agent": "Mozilla/5.0 another browser's"})
        assert (again.location, again.visitor) == (first.location, first.visitor)
    entries = await world.log()
    assert [entry.kind for entry in entries] == ["click", "duplicate", "duplicate", "duplicate"]
    assert {entry.click for entry in entries} == {entries[0].click}
    assert entries[-1].known == "cookie"
    assert (await world.pool())[entries[0].member] == world.clock.ms + LEASE_MS


async def test_after_the_window_it_is_a_new_click_of_the_same_visitor(world: World) -> None:
    await world.fill_pool(5)
    await world.put_link(window_ms=50)
    first = await world.request()
    await asyncio.sleep(0.1)
    again = await world.request(cookie=first.visitor)
    entries = await world.log()
    assert [entry.kind for entry in entries] == ["click", "click"]
    assert again.visitor == first.visitor
    assert entries[1].known == "cookie"


@pytest.mark.parametrize("change", ["ecid", "link", "visitor"])
async def test_another_ecid_link_or_visitor_is_another_click(world: World, change: str) -> None:
    await world.fill_pool(5)
    await world.put_link(OTHER_LINK)
    first = await world.request(query=b"ecid=a")
    if change == "ecid":
        await world.request(query=b"ecid=b", cookie=first.visitor)
    elif change == "link":
        await world.request(f"/go/{OTHER_LINK}", b"ecid=a", cookie=first.visitor)
    else:
        await world.request(query=b"ecid=a", cookie="01k5zzzzzzzzzzzzzzzzzzzzzz")
    entries = await world.log()
    assert [entry.kind for entry in entries] == ["click", "click"]
    assert entries[0].member != entries[1].member


@pytest.mark.parametrize(
    ("later_ms", "first", "second", "kind"),
    [
        (29_000, b"fbclid=A", b"fbclid=B", "duplicate"),
        (30_000, b"fbclid=A", b"fbclid=B", "duplicate"),
        (31_000, b"fbclid=A", b"fbclid=B", "click"),
        (31_000, b"fbclid=A", b"fbclid=A", "duplicate"),
        (31_000, b"fbclid=A", b"", "duplicate"),
        (31_000, b"", b"fbclid=B", "duplicate"),
        (31_000, b"ttclid=A", b"ttclid=B", "click"),
        (31_000, b"ScCid=A", b"sccid=B", "click"),
        (31_000, b"gclid=A", b"gclid=B", "click"),
        (31_000, b"fbclid=A", b"ttclid=B", "duplicate"),
        (31_000, b"fbclid=A&ttclid=T", b"fbclid=A&ttclid=U", "click"),
        (31_000, b"wbraid=A", b"wbraid=B", "duplicate"),
    ],
)
async def test_a_fingerprint_alone_is_believed_for_thirty_seconds_or_while_click_ids_agree(
    world: World, later_ms: int, first: bytes, second: bytes, kind: str
) -> None:
    await world.fill_pool(5)
    one = await world.request(query=first)
    world.clock.ms += later_ms
    two = await world.request(query=second)
    entries = await world.log()
    assert entries[1].kind == kind
    assert (one.visitor == two.visitor) == (kind == "duplicate")
    assert entries[1].known == ("fingerprint" if kind == "duplicate" else "new")


async def test_thirty_seconds_count_from_the_latest_visit(world: World) -> None:
    await world.fill_pool(5)
    for _ in range(4):
        await world.request(query=b"fbclid=A")
        world.clock.ms += 29_000
        await world.request(query=b"fbclid=B")
        world.clock.ms += 29_000
    assert [entry.kind for entry in await world.log()] == ["click"] + ["duplicate"] * 7


async def test_a_cookie_visitor_is_found_by_fingerprint_when_the_cookie_is_lost(world: World) -> None:
    await world.fill_pool(5)
    visitor = "01k5zzzzzzzzzzzzzzzzzzzzzz"
    await world.request(cookie=visitor)
    world.clock.ms += 3_600_000
    again = await world.request()
    first, second = await world.log()
    assert again.visitor == visitor
    assert (second.kind, second.known, second.visitor, second.click) == (
        "duplicate", "fingerprint", visitor, first.click,
    )  # fmt: skip


async def test_repeats_without_a_cookie_keep_the_window_open_for_the_cookie(world: World) -> None:
    await world.fill_pool(5)
    await world.put_link(window_ms=400)
    first = await world.request()
    await asyncio.sleep(0.3)
    await world.request()
    await asyncio.sleep(0.2)  # the visitor's own record has expired, the window has not
    await world.request(cookie=first.visitor)
    entries = await world.log()
    assert [(entry.kind, entry.known) for entry in entries] == [
        ("click", "new"), ("duplicate", "fingerprint"), ("duplicate", "cookie"),
    ]  # fmt: skip


async def test_yesterdays_fingerprint_is_still_accepted_after_midnight(world: World) -> None:
    await world.fill_pool(5)
    midnight = (world.clock.ms // DAY_MS + 1) * DAY_MS
    world.clock.ms = midnight - 10_000
    first = await world.request()
    world.clock.ms = midnight + 10_000
    second = await world.request()
    world.clock.ms = midnight + 20_000
    await world.request()
    assert first.visitor == second.visitor
    assert [entry.kind for entry in await world.log()] == ["click", "duplicate", "duplicate"]


async def test_a_retired_link_is_replaced_on_the_next_visit_of_the_click(world: World) -> None:
    await world.fill_pool(2)
    first = await world.request()
    (entry,) = await world.log()
    await world.redis.zrem("{s0}:pool:acct_1:tracking", entry.member)
    again = await world.request(cookie=first.visitor)
    third = await world.request(cookie=first.visitor)
    entries = await world.log()
    assert again.location == third.location == "https://onlyfans.com/creator/c2"
    assert [(e.kind, e.click, e.lease) for e in entries[1:]] == [("duplicate", entry.click, "exclusive")] * 2


@pytest.mark.parametrize(
    "cookie", ["01K5ZZZZZZZZZZZZZZZZZZZZZZ", "01k5", "01k5zzzzzzzzzzzzzzzzzzzzzu", "x" * 26, "'; DROP"]
)
async def test_a_cookie_that_is_not_ours_is_ignored(world: World, cookie: str) -> None:
    answer = await world.request(cookie=cookie)
    (entry,) = await world.log()
    assert entry.known == "new"
    assert entry.visitor == answer.visitor != cookie.lower()


async def test_the_function_is_loaded_again_when_valkey_forgot_it(world: World) -> None:
    await world.fill_pool(30)
    await world.redis.function_flush()
    answers = await asyncio.gather(*[world.request(query=b"ecid=%d" % n) for n in range(20)])
    assert all(answer.status == 302 for answer in answers)
    entries = await world.log()
    assert len(entries) == 20
    assert not any(entry.spilled for entry in entries)
    assert {entry.lease for entry in entries} == {"exclusive"}


async def test_every_key_of_a_claim_is_in_the_links_slot(world: World) -> None:
    world.shard = 3
    await world.put_link(shard=3)
    await world.fill_pool(1)
    await world.request(query=b"ecid=a")
    keys = {key.decode() for key in await world.redis.keys("*")} - {"cb:links", "cb:edge:probe"}
    assert len(keys) == 4
    assert all(key.startswith("{s3}:") for key in keys)
