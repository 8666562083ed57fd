"""Who is answered what at /go/ (contract, section 2), on a real Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.edge.conftest import LINK, PROFILE, World
from tracker.clicklog import LINKS_CHANNEL, LINKS_KEY

PREVIEW = {"user-agent": "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"}


@pytest.mark.parametrize(
    "path", ["/go/", "/go/01K5", "/go/01K5CCCCCCCCCCCCCCCCCCCCCC", "/go/" + "I" * 26, "/", "/go", "/x"]
)
async def test_unknown_and_malformed_ids_are_404(world: World, path: str) -> None:
    answer = await world.request(path)
    assert answer.status == 404
    assert answer.header("cache-control") == "no-store"
    assert await world.log() == []


async def test_ids_are_matched_in_any_case(world: World) -> None:
    assert (await world.request(f"/go/{LINK.lower()}")).status == 302


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
async def test_other_methods_are_405(world: World, method: str) -> None:
    answer = await world.request(method=method)
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")


@pytest.mark.parametrize("state", ["paused", "deleted"])
async def test_a_link_out_of_use_goes_to_its_fallback_or_is_gone(world: World, state: str) -> None:
    await world.put_link(state=state)
    assert (await world.request()).status == 410
    await world.put_link(state=state, fallback_url="https://example.com/over")
    answer = await world.request()
    assert (answer.status, answer.location, answer.visitor) == (302, "https://example.com/over", "")
    await world.put_link(state=state, fallback_url="javascript:alert(1)")
    assert (await world.request()).status == 410
    assert await world.log() == []


async def test_head_shows_the_profile_and_leaves_no_trace(world: World) -> None:
    await world.fill_pool(1)
    answer = await world.request(method="HEAD")
    assert (answer.status, answer.location, answer.header("set-cookie")) == (302, PROFILE, None)
    assert await world.log() == []
    assert list((await world.pool()).values()) == [0]


@pytest.mark.parametrize("header", ["sec-purpose", "purpose", "x-moz"])
async def test_speculative_loads_are_refused_and_counted(world: World, header: str) -> None:
    await world.fill_pool(1)
    answer = await world.request(headers=world.headers | {header: "prefetch"})
    assert (answer.status, answer.body, answer.header("cache-control")) == (403, b"", "no-store")
    assert answer.location is None
    assert answer.header("set-cookie") is None
    (entry,) = await world.log()
    assert (entry.kind, entry.lease, entry.member) == ("prefetch", "none", "")
    assert list((await world.pool()).values()) == [0]
    assert (await world.request(headers=world.headers | {header: "prefetch"}, method="HEAD")).status == 403
    assert len(await world.log()) == 1


async def test_the_tap_after_a_refused_prefetch_is_a_click(world: World) -> None:
    await world.fill_pool(1)
    await world.request(headers=world.headers | {"sec-purpose": "prefetch"})
    await world.request()
    assert sorted(entry.kind for entry in await world.log()) == ["click", "prefetch"]


@pytest.mark.parametrize("headers", [PREVIEW, {"user-agent": ""}, {}, {"user-agent": "curl/8.5.0"}])
async def test_bots_see_the_same_creator_and_take_no_lease(world: World, headers: dict[str, str]) -> None:
    await world.fill_pool(1)
    for _ in range(2):
        answer = await world.request(query=b"ecid=E1", headers=headers)
        assert (answer.status, answer.location, answer.header("set-cookie")) == (302, PROFILE, None)
    entries = await world.log()
    assert [(entry.kind, entry.lease, entry.member) for entry in entries] == [("bot", "none", "")] * 2
    assert len({entry.click for entry in entries}) == 2
    assert all(entry.visit.bot_reason for entry in entries)
    assert list((await world.pool()).values()) == [0]


async def test_a_click_through_a_trusted_proxy(make_world: Callable[..., Any]) -> None:
    world: World = await make_world(trusted_proxies=("10.0.0.0/8",), public_url="http://go.example.com")
    await world.put_link()
    headers = world.headers | {
        "x-forwarded-for": "6.6.6.6, 198.51.100.4",
        "x-forwarded-proto": "https",
        "cf-ipcountry": "DE",
    }
    proxied = await world.request(headers=headers, peer="10.0.0.5")
    direct = await world.request(query=b"ecid=2", headers=headers, peer="203.0.113.9")
    one, two = [entry.visit for entry in await world.log()]
    assert (one.ip, one.cdn_country) == ("198.51.100.4", "DE")
    assert (two.ip, two.cdn_country) == ("203.0.113.9", "")
    assert (proxied.header("set-cookie") or "").endswith("; Secure")
    assert (direct.header("set-cookie") or "").endswith("; SameSite=Lax")


async def test_request_facts_are_stored_and_capped(world: World) -> None:
    await world.request(
        query=b"ecid=%00" + b"e" * 600 + b"&" + b"z" * 4000,
        headers={
            "user-agent": world.headers["user-agent"] + "x" * 600, "referer": "https://l.instagram.com/\x01" + "r" * 2000,
            "accept-language": "de", "cookie": "_fbp=fb.1; _scid=s1",
        },
    )  # fmt: skip
    visit = (await world.log())[0].visit
    assert visit.ecid == "e" * 512
    assert len(visit.user_agent) == 512
    assert len(visit.referrer) == 1024
    assert "\x01" not in visit.referrer
    assert len(visit.landing_url) == len(visit.other_params) == 2048
    assert (visit.fbp, visit.scid, visit.accept_language) == ("fb.1", "s1", "de")
    assert set(visit.truncated) == {"ecid", "other_params", "landing_url", "user_agent", "referrer"}


@pytest.mark.parametrize(
    "query",
    [b"\xff\xfe=\xed\xa0\x80", b"%", b"=", b"&&&", b"a" * 65_000, b"&".join(b"p%d=1" % n for n in range(10_000)),
     b"ecid=%0d%0aSet-Cookie:x=1", b"ecid=%00", b"ecid=" + b"%F0%9F%98%80" * 3000],
)  # fmt: skip
async def test_any_query_is_redirected_and_stays_out_of_the_headers(world: World, query: bytes) -> None:
    answer = await world.request(
        query=query, raw_headers=[(b"referer", b"\xff\x00\r\n"), (b"cookie", b"\xff;=;cbv=\x00")]
    )
    assert answer.status == 302
    assert answer.location == "https://onlyfans.com/creator/c900"
    for _, value in answer.headers:
        assert not set(value) & {0, 10, 13}
    (entry,) = await world.log()
    assert "\x00" not in repr(entry.visit)
    assert r"\x00" not in repr(entry.visit)


async def test_a_stored_url_with_line_breaks_makes_one_header(world: World) -> None:
    await world.redis.zadd("{s0}:pool:acct_1:tracking", {"1|https://onlyfans.com/a b\r\nSet-Cookie: x=1": 0})
    answer = await world.request()
    assert answer.location == "https://onlyfans.com/a%20b%0D%0ASet-Cookie:%20x=1"


async def test_a_pooled_link_that_is_no_web_address_is_not_followed(world: World) -> None:
    await world.redis.zadd("{s0}:pool:acct_1:tracking", {"1|javascript:alert(1)": 0})
    assert (await world.request()).location == "https://onlyfans.com/creator/c900"


async def test_a_new_link_works_at_once_and_a_change_is_followed(world: World) -> None:
    await world.put_link("01K5DDDDDDDDDDDDDDDDDDDDDD")
    world.service.links.put("01K5DDDDDDDDDDDDDDDDDDDDDD", None)  # as if this edge had not heard of it
    assert (await world.request("/go/01K5DDDDDDDDDDDDDDDDDDDDDD")).status == 302
    await world.redis.hdel(LINKS_KEY, LINK)
    while not await world.redis.publish(LINKS_CHANNEL, LINK):
        await asyncio.sleep(0.01)
    async with asyncio.timeout(10):
        while (await world.request()).status != 404:
            await asyncio.sleep(0.01)
    assert len(world.service.links) == 1


async def test_an_unknown_id_is_asked_for_once(world: World) -> None:
    unknown = "/go/01K5EEEEEEEEEEEEEEEEEEEEEE"
    await world.redis.config_resetstat()
    answers = await asyncio.gather(*[world.request(unknown) for _ in range(20)])
    answers.append(await world.request(unknown))
    assert {answer.status for answer in answers} == {404}
    assert (await world.redis.info("commandstats"))["cmdstat_hget"]["calls"] == 1


async def test_health_and_metrics(world: World) -> None:
    await world.request()
    assert (await world.request("/health/live")).status == 200
    assert (await world.request("/health/ready")).status == 200
    text = (await world.request("/metrics")).body.decode()
    assert 'clickbind_edge_requests_total{outcome="reserve"} 1.0' in text
    assert "clickbind_edge_clicks_unrecorded_total 0.0" in text
    assert "clickbind_edge_breaker_open 0.0" in text
    assert "clickbind_edge_claim_seconds_count" in text
    for name in ("x-forwarded-for", "forwarded"):  # through a proxy: a stranger
        assert (await world.request("/metrics", headers={name: "198.51.100.1"})).status == 404
    world.service.app.draining = True
    answer = await world.request("/health/ready")
    assert answer.status == 503
    assert b"draining" in answer.body
    redirected = await world.request()
    assert (redirected.status, redirected.header("connection")) == (302, "close")
