"""The served platforms: books, dedup, switches, clock, control API."""

from __future__ import annotations

import asyncio
import json
import sys

import httpx
import pytest

from loadtests.emulators.adplatforms import AdPlatforms, running_adplatforms

from .conftest import Sender

HOUR = 3600


async def test_events_are_counted_once_within_48_hours(sender: Sender) -> None:
    for send in (sender.meta, sender.tiktok, sender.snapchat):
        await send("a", "b", "a")
        await sender.ads.wait_for(send.__name__, 2)
    await sender.admin("clock/advance", seconds=48 * HOUR - 60)
    for send in (sender.meta, sender.tiktok, sender.snapchat):
        await send("a")
    for platform in ("meta", "tiktok", "snapchat"):
        shown = await sender.show("events", platform=platform)
        assert (shown["unique"], shown["duplicates"], shown["again"]) == (2, 2, 0)
    await sender.admin("clock/advance", seconds=120)
    for send in (sender.meta, sender.tiktok, sender.snapchat):
        await send("a")
    for platform in ("meta", "tiktok", "snapchat"):
        shown = await sender.show("events", platform=platform)
        assert (shown["unique"], shown["duplicates"], shown["again"]) == (3, 2, 1)
    assert await sender.show("violations") == []


async def test_what_makes_a_duplicate(sender: Sender) -> None:
    await sender.meta("a")
    await sender.meta("a", event_name="Subscribe")
    await sender.meta("a", pixel="2")
    await sender.meta("")
    await sender.meta("")
    assert [event.duplicates for event in sender.ads.events("meta")] == [0, 0, 0, 0, 0]
    await sender.tiktok("a", event="Subscribe")
    await sender.tiktok("a")
    assert len(sender.ads.events("tiktok", "C4")) == 2
    await sender.snapchat("a")
    await sender.snapchat("a", event_name="SIGN_UP")
    await sender.snapchat("b", custom_data__order_id="o1")
    await sender.admin("clock/advance", seconds=29 * 24 * HOUR)
    await sender.snapchat("c", custom_data__order_id="o1")
    await sender.snapchat("d", custom_data__order_id="o2")
    assert [(e.event_id, e.duplicates) for e in sender.ads.events("snapchat")] == [("a", 1), ("b", 1), ("d", 0)]


async def test_requests_are_kept_as_they_came(sender: Sender) -> None:
    await sender.tiktok("a")
    (shown,) = await sender.show("requests", platform="tiktok", pixel="C4")
    assert shown["path"] == "/tiktok/open_api/v1.3/event/track/"
    assert ["Access-Token", "test-token"] in shown["headers"]
    assert json.loads(shown["body"])["data"][0]["event_id"] == "a"
    assert await sender.show("requests", pixel="other") == []


async def test_violations_name_every_refused_event(sender: Sender) -> None:
    answer = await sender.meta("a", "b", user_data__em="fan@example.com")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == 100
    shown = await sender.show("violations", platform="meta", severity="refused")
    assert [(v["index"], v["event_id"], v["rule"]) for v in shown if v["rule"] == "not_hashed"] == [
        (0, "a", "not_hashed"),
        (1, "b", "not_hashed"),
    ]
    assert (await sender.show("events"))["unique"] == 0
    assert (await sender.show("counts"))["meta:refused"] == 2


async def test_unknown_paths_are_violations(sender: Sender) -> None:
    for path in ("/nobody", "/creatortraffic/api/v9/x", "/api/v1/postback"):
        assert (await sender.client.post(sender.ads.url + path, json={})).status_code == 404
    assert [v.rule for v in sender.ads.violations()] == ["path", "path", "path"]
    assert sender.ads.violations()[1].platform == "creatortraffic"


async def test_the_bare_address_tells_the_platforms_apart(ads: AdPlatforms) -> None:
    for path, platform in (
        ("/v25.0/1/events", "meta"),
        ("/v3/px/events", "snapchat"),
        ("/open_api/v1.3/event/track/", "tiktok"),
        ("/api/v1/conversions", "creatortraffic"),
        ("/api/v2/sync-notes", "onlyautomator"),
    ):
        assert ads.route(path) == (platform, path)
        assert ads.route(f"/{platform}{path}") == (platform, path)
    assert ads.route("/elsewhere") == ("", "/elsewhere")


async def test_test_events_and_validation(sender: Sender) -> None:
    await sender.snapchat("a", path="/validate")
    await sender.snapchat("b", test_event_code="T1")
    shown = await sender.show("events", platform="snapchat")
    assert [event["event_id"] for event in shown["validated"]] == ["a"]
    assert [(event["event_id"], event["test_event_code"]) for event in shown["events"]] == [("b", "T1")]


async def test_a_mode_of_one_pixel_for_a_number_of_requests(sender: Sender) -> None:
    await sender.admin("mode", platform="meta", pixel="1", mode="error", code=190, subcode=463, status=500, times=2)
    first, second, third = [await sender.meta("a") for _ in range(3)]
    other = await sender.meta("b", pixel="2")
    assert [first.status_code, second.status_code, third.status_code, other.status_code] == [500, 500, 200, 200]
    assert (first.json()["error"]["code"], first.json()["error"]["error_subcode"]) == (190, 463)
    assert [event.pixel for event in sender.ads.events("meta")] == ["1", "2"]


async def test_an_event_may_be_processed_though_the_answer_is_bad(sender: Sender) -> None:
    sender.ads.mode("meta", "status", status=503, retry_after="5", processed=True, times=1)
    lost = await sender.meta("a")
    assert (lost.status_code, lost.headers["Retry-After"]) == (503, "5")
    assert (await sender.meta("a")).status_code == 200
    assert [event.duplicates for event in sender.ads.events("meta")] == [1]
    sender.ads.mode("meta", "reset", processed=True, times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        await sender.meta("b")
    assert len(sender.ads.events("meta")) == 2


async def test_throttling_on_tiktok_is_http_200(sender: Sender) -> None:
    sender.ads.mode("tiktok", "error", code=40100)
    answer = await sender.tiktok("a")
    assert (answer.status_code, answer.json()["code"]) == (200, 40100)
    assert sender.ads.events("tiktok") == []


async def test_a_share_of_requests_fails(sender: Sender) -> None:
    sender.ads.mode("snapchat", "fail_rate", rate=0.5)
    statuses = [(await sender.snapchat(str(i))).status_code for i in range(40)]
    assert set(statuses) == {200, 500}
    assert len(sender.ads.events("snapchat")) == statuses.count(200)


async def test_transport_faults(sender: Sender) -> None:
    sender.ads.mode("meta", "html")
    page = await sender.meta("a")
    assert (page.status_code, page.headers["Content-Type"].partition(";")[0]) == (502, "text/html")
    sender.ads.mode("meta", "redirect")
    assert (await sender.meta("a")).headers["Location"].startswith("http://169.254.169.254/")
    sender.ads.mode("meta", "wrong_length")
    with pytest.raises(httpx.RemoteProtocolError):
        await sender.meta("a")
    sender.ads.mode("meta", "gzip_bomb")
    async with sender.client.stream("POST", f"{sender.ads.url}/v25.0/1/events", json={}) as answer:
        assert sum([len(chunk) async for chunk in answer.aiter_raw()]) == 15 * 1024
    assert sender.ads.events("meta") == []


@pytest.mark.parametrize("mode", ["drip", "flood"])
async def test_an_answer_without_end(sender: Sender, mode: str) -> None:
    sender.ads.mode("meta", mode, every=0.001)
    got = 0
    async with sender.client.stream("POST", f"{sender.ads.url}/v25.0/1/events", json={}) as answer:
        async for chunk in answer.aiter_raw():
            got += len(chunk)
            if got >= 3:
                break
    assert got >= 3


async def test_a_hanging_answer(sender: Sender) -> None:
    sender.ads.mode("tiktok", "hang")
    sending = asyncio.create_task(sender.tiktok("a"))
    await sender.ads.wait_for("tiktok", 1, requests=True)
    assert not sending.done()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert sender.ads.requests("tiktok")[0].answered == "hang"
    sender.ads.mode("tiktok")
    assert (await sender.tiktok("a")).json()["code"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {"platform": "meta", "mode": "partial"},
        {"platform": "meta", "mode": "nonsense"},
        {"platform": "nobody", "mode": "ok"},
        {"platform": "meta", "mode": "hang", "colour": "red"},
        {"platform": "meta", "mode": "error", "code": "words"},
        {"platform": "onlyautomator", "mode": "error", "code": "words"},
        {"mode": "ok"},
    ],
)
async def test_bad_switches_are_refused(sender: Sender, body: dict[str, str]) -> None:
    assert (await sender.client.post(f"{sender.ads.url}/__admin/mode", json=body)).status_code == 422


async def test_tokens_are_granted_revoked_and_expire(sender: Sender) -> None:
    await sender.admin("tokens", platform="meta", token="mine", pixel="9", expires_in=HOUR)
    assert (await sender.meta("a", pixel="9", token="mine")).status_code == 200
    assert (await sender.meta("a", pixel="9")).json()["error"]["error_subcode"] == 33
    await sender.admin("clock/advance", seconds=HOUR)
    assert (await sender.meta("a", pixel="9", token="mine")).json()["error"]["error_subcode"] == 463
    await sender.admin("tokens", platform="meta", token="test-token", revoked=True)
    assert (await sender.meta("a")).json()["error"]["code"] == 190


async def test_reset_forgets_all_but_the_clock(sender: Sender) -> None:
    sender.ads.mode("meta", "html")
    sender.ads.grant("meta", "mine", pixel="1")
    await sender.meta("a")
    await sender.admin("clock/advance", seconds=HOUR)
    before = sender.ads.now()
    await sender.admin("reset")
    assert (await sender.meta("a")).status_code == 200
    assert sender.ads.now() >= before
    assert len(sender.ads.requests("meta")) == 1


async def test_creatortraffic_lives_where_it_is_told() -> None:
    async with (
        running_adplatforms(creatortraffic_path="/v7/conv", count_only=True) as ads,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        ads.grant("creatortraffic", "key", pixel="team-a")
        body = {"click_id": "c", "event": "subscriber", "conversion_id": "1", "occurred_at": "2026-01-01T00:00:00Z"}
        for _ in range(2):
            url = f"{ads.url_of('creatortraffic')}/v7/conv"
            assert (await client.post(url, json=body, headers={"Authorization": "Bearer key"})).status_code == 200
        (event,) = ads.events("creatortraffic", "team-a")
        assert (event.duplicates, event.data) == (1, {})
        assert ads.requests("creatortraffic") == []


async def test_the_command_serves_and_says_where() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtests.emulators.adplatforms", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        said = json.loads(await process.stdout.readline())
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{said['onlyautomator']}/api/v2/sync-notes", json={"fanId": "1"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "authentication_required")
    finally:
        process.terminate()
        assert await process.wait() == 0
