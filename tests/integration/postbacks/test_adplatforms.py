"""Ad platform connections through the dispatcher, against platforms that enforce the real rules."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from loadtests.emulators.adplatforms import AdPlatforms, running_adplatforms
from postbacks.events import Event
from postbacks.replay import replay_range
from postbacks.retry import RetryPolicy
from tests.integration.postbacks.scene import FAST, SETTLED, dispatching, enqueue_all, states, until
from tests.unit.postbacks.clicks import FACTS
from tracker.secrets import Secrets
from tracker.stores.postgres import Pool

PIXELS = {"meta": "123456789012345", "tiktok": "C4ABCDEF1234567890", "snapchat": "0d7a4bb6-5a2e-4c3d"}
TOKEN = "test-token"
SECRETS = Secrets("k" * 40)
SUBSCRIBED = {"meta": "Subscribe", "tiktok": "Subscribe", "snapchat": "SIGN_UP"}


@pytest.fixture
async def ads() -> AsyncIterator[AdPlatforms]:
    async with running_adplatforms() as running:
        yield running


def dispatcher_config(ads: AdPlatforms, **changes: Any) -> Any:
    urls = {name: ads.url_of(name) for name in (*PIXELS, "creatortraffic")}
    return msgspec.structs.replace(
        FAST, base_urls=urls, unseal=lambda owner, sealed: SECRETS.open(sealed, f"destination:{owner}"), **changes
    )


async def connect(pool: Pool, kind: str, *, token: str = TOKEN, types: tuple[str, ...] = ("new_subscriber",)) -> None:
    """A connection whose destination id is its kind."""
    sealed = SECRETS.seal(msgspec.json.encode({"token": token}), f"destination:{kind}")
    await pool.execute(
        "INSERT INTO destinations (destination_id, team_id, kind, config, secrets_sealed, event_types)"
        " VALUES ($1, 't1', $1, $2, $3, $4)",
        kind,
        {"pixel_id": PIXELS[kind]} if kind in PIXELS else {},
        sealed,
        list(types),
    )


def event(number: int, *, ago: timedelta = timedelta(minutes=3), **changes: Any) -> Event:
    event_type = changes.pop("event_type", "new_subscriber")
    facts = FACTS | {"conversion_id": f"cnv-{number}", "conversion_type": event_type} | changes.pop("facts", {})
    clicked = datetime.now(UTC) - timedelta(hours=1)
    facts["_click_ms"] = str(int(clicked.timestamp() * 1000))
    facts["_fbp"] = f"fb.1.{facts['_click_ms']}.1"
    return Event(f"cnv-{number}", event_type, datetime.now(UTC) - ago, "t1", "SL1", facts)


async def no_token_anywhere(pool: Pool, caplog: pytest.LogCaptureFixture, output: str) -> None:
    """The token is in no attempt, delivery or destination row, and in no log."""
    for table in ("attempts", "deliveries", "delivery_events"):
        assert await pool.fetchval(f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%{TOKEN}%'") == 0
    reasons = await pool.fetchval("SELECT string_agg(config::text || state_reason, '') FROM destinations")
    assert TOKEN not in reasons
    assert TOKEN not in caplog.text + output


@pytest.mark.parametrize("platform", PIXELS)
async def test_events_arrive_with_name_value_time_and_match_keys(
    pool: Pool, ads: AdPlatforms, platform: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    await connect(pool, platform, types=("new_subscriber", "new_transaction", "click"))
    purchase = event(2, event_type="new_transaction", facts={"purchase": "first", "amount_gross": "12.50"})
    subscription = event(3, event_type="new_transaction", facts={"purchase": ""})
    await enqueue_all(pool, [event(1), purchase, subscription, event(4, event_type="click")])
    async with dispatching(pool, dispatcher_config(ads)):
        await until(pool, SETTLED)
    assert await states(pool) == {"delivered": 3, "skipped": 1}
    assert ads.violations() == []
    told = {one.event_id: one for one in ads.events(platform, PIXELS[platform])}
    assert set(told) == {"cnv-1", "cnv-2", "cnv-4"}
    assert told["cnv-1"].name == SUBSCRIBED[platform]
    bought = told["cnv-2"].data.get("custom_data") or told["cnv-2"].data["properties"]
    assert (bought["value"], bought["currency"]) == (12.5, "USD")
    happened = await pool.fetchval("SELECT occurred_at FROM delivery_events WHERE event_id = 'cnv-1'")
    assert told["cnv-1"].event_time == int(happened.timestamp())
    assert "203.0.113.7" in str(told["cnv-1"].data)
    request = await pool.fetchval("SELECT request FROM attempts WHERE event_id = 'cnv-2'")
    assert '"event_id":"cnv-2"' in request
    assert "cnv-1" not in request
    await no_token_anywhere(pool, caplog, capsys.readouterr().out)


async def test_one_stale_event_in_a_batch_of_a_thousand_dies_alone(pool: Pool, ads: AdPlatforms) -> None:
    await connect(pool, "meta")
    events = [event(n) for n in range(999)]
    await enqueue_all(pool, [*events, event(999, ago=timedelta(days=8))])
    async with dispatching(pool, dispatcher_config(ads)):
        await until(pool, SETTLED)
    assert await states(pool) == {"delivered": 999, "dead": 1}
    dead = await pool.fetchrow("SELECT event_id, verdict FROM deliveries WHERE state = 'dead'")
    assert dead is not None
    assert dead["event_id"] == "cnv-999"
    assert dead["verdict"] == "refused: 8.0 days old: Meta takes events of the last 7 days"
    assert ads.violations() == []
    assert len(ads.events("meta")) == 999
    assert len(ads.requests("meta")) <= 3


@pytest.mark.parametrize("platform", PIXELS)
async def test_one_event_only_the_platform_finds_bad_dies_alone(
    pool: Pool, ads: AdPlatforms, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # We know of no such rule, and a platform may add one tomorrow: here our own refusals are switched off.
    monkeypatch.setattr("postbacks.destinations.matching.addresses", lambda values: values)
    await connect(pool, platform)
    events = [event(n) for n in range(300)]
    events[123] = event(123, facts={"_ip": "not an address"})
    await enqueue_all(pool, events)
    async with dispatching(pool, dispatcher_config(ads)):
        await until(pool, SETTLED)
    assert await states(pool) == {"delivered": 299, "dead": 1}
    assert await pool.fetchval("SELECT event_id FROM deliveries WHERE state = 'dead'") == "cnv-123"
    assert sum(one.duplicates for one in ads.events(platform)) == 0
    assert len(ads.requests(platform)) <= 6
    assert await pool.fetchval("SELECT max(attempt) FROM attempts") == 1


@pytest.mark.parametrize("platform", PIXELS)
async def test_one_event_that_we_have_a_defect_with_holds_up_no_other(
    pool: Pool, ads: AdPlatforms, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defective(text: str) -> str | None:
        if text == "ZQ":
            raise ZeroDivisionError("of ours")
        return text.lower()

    monkeypatch.setattr("postbacks.destinations.matching.country", defective)
    await connect(pool, platform)
    events = [event(n) for n in range(300)]
    events[123] = event(123, facts={"country": "ZQ"})
    await enqueue_all(pool, events)
    async with dispatching(pool, dispatcher_config(ads)):
        await until(pool, "(SELECT count(*) FROM deliveries WHERE state = 'delivered') = 299")
        await until(pool, "EXISTS (SELECT FROM attempts WHERE event_id = 'cnv-123')")
    row = await pool.fetchrow(
        "SELECT state, verdict, lease_token, attempts - uncharged AS charged FROM deliveries WHERE event_id = 'cnv-123'"
    )
    assert row is not None
    assert tuple(row) == ("waiting", "internal error (ZeroDivisionError); see the log", None, 0)
    assert {one.event_id for one in ads.events(platform)} == {f"cnv-{n}" for n in range(300)} - {"cnv-123"}
    assert ads.violations() == []


async def test_without_a_hint_the_bad_event_is_found_by_halving(
    pool: Pool, ads: AdPlatforms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postbacks.destinations.matching.addresses", lambda values: values)
    monkeypatch.setattr("postbacks.destinations.meta.pointed_at", lambda verdict, count, _: [verdict] * count)
    await connect(pool, "meta")
    events = [event(n) for n in range(64)]
    for bad in (5, 40):
        events[bad] = event(bad, facts={"_ip": "not an address"})
    await enqueue_all(pool, events)
    async with dispatching(pool, dispatcher_config(ads, lease_margin=60.0)):
        await until(pool, SETTLED)
    assert await states(pool) == {"delivered": 62, "dead": 2}
    rows = await pool.fetch("SELECT event_id FROM deliveries WHERE state = 'dead' ORDER BY event_id")
    assert [row["event_id"] for row in rows] == ["cnv-40", "cnv-5"]


async def test_when_time_runs_out_smaller_batches_find_the_bad_event(
    pool: Pool, ads: AdPlatforms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postbacks.destinations.matching.addresses", lambda values: values)
    monkeypatch.setattr("postbacks.destinations.meta.pointed_at", lambda verdict, count, _: [verdict] * count)
    await connect(pool, "meta")
    events = [event(n) for n in range(40)]
    events[17] = event(17, facts={"_ip": "not an address"})
    await enqueue_all(pool, events)
    # No margin at all: never a second part in one lease.
    async with dispatching(pool, dispatcher_config(ads, lease_margin=0.0, timeout=5.0)):
        await until(pool, SETTLED)
    assert await states(pool) == {"delivered": 39, "dead": 1}
    assert await pool.fetchval("SELECT event_id FROM deliveries WHERE state = 'dead'") == "cnv-17"


async def test_a_link_feeds_any_number_of_pixels(pool: Pool, ads: AdPlatforms) -> None:
    for platform in PIXELS:
        await connect(pool, platform)
    await pool.execute(
        "INSERT INTO destinations (destination_id, team_id, kind, config, secrets_sealed, event_types)"
        " VALUES ('client', 't1', 'meta', $1, $2, '{new_subscriber}')",
        {"pixel_id": "987654321", "events": {"new_subscriber": {"custom": "Fan"}}},
        SECRETS.seal(msgspec.json.encode({"token": TOKEN}), "destination:client"),
    )
    await enqueue_all(pool, [event(1)])
    async with dispatching(pool, dispatcher_config(ads)):
        await until(pool, SETTLED)
    told = {(one.platform, one.pixel, one.name) for platform in PIXELS for one in ads.events(platform)}
    assert told == {
        ("meta", PIXELS["meta"], "Subscribe"),
        ("meta", "987654321", "Fan"),
        ("tiktok", PIXELS["tiktok"], "Subscribe"),
        ("snapchat", PIXELS["snapchat"], "SIGN_UP"),
    }


@pytest.mark.parametrize(
    ("platform", "mode", "outcome"),
    [
        ("meta", {"mode": "error", "code": 2, "status": 200, "times": 2}, "transient"),
        ("meta", {"mode": "error", "code": 80004, "times": 2}, "throttled"),
        ("meta", {"mode": "html", "times": 2}, "transient"),
        ("tiktok", {"mode": "error", "code": 40100, "times": 2}, "throttled"),
        ("tiktok", {"mode": "error", "code": 51305, "times": 2}, "transient"),
        ("snapchat", {"mode": "error", "status": 429, "times": 2}, "throttled"),
        ("snapchat", {"mode": "error", "status": 500, "times": 2}, "transient"),
    ],
)
async def test_passing_trouble_is_outlived(
    pool: Pool, ads: AdPlatforms, platform: str, mode: dict[str, Any], outcome: str
) -> None:
    await connect(pool, platform)
    ads.set_mode(platform, "", mode)
    await enqueue_all(pool, [event(1)])
    async with dispatching(pool, dispatcher_config(ads)):
        await until(pool, SETTLED)
    rows = await pool.fetch("SELECT outcome FROM attempts ORDER BY attempt")
    assert [row["outcome"] for row in rows] == [outcome, outcome, "delivered"]


async def test_invalid_inside_a_200_is_a_refusal(pool: Pool, ads: AdPlatforms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postbacks.destinations.matching.addresses", lambda values: values)
    ads.mode("snapchat", "invalid_in_200")
    await connect(pool, "snapchat")
    await enqueue_all(pool, [event(1, facts={"_ip": "nowhere"}), event(2)])
    async with dispatching(pool, dispatcher_config(ads)):
        await until(pool, SETTLED)
    assert await pool.fetchval("SELECT state FROM deliveries WHERE event_id = 'cnv-1'") == "dead"
    assert await pool.fetchval("SELECT state FROM deliveries WHERE event_id = 'cnv-2'") == "delivered"


async def test_a_partial_answer_settles_each_event_by_its_own(pool: Pool, ads: AdPlatforms) -> None:
    ads.mode("tiktok", "partial", indexes=[1], times=1)
    await connect(pool, "tiktok")
    await enqueue_all(pool, [event(n) for n in range(3)])
    async with dispatching(pool, dispatcher_config(ads)):
        await until(pool, SETTLED)
    assert await states(pool) == {"delivered": 2, "dead": 1}
    assert len(ads.requests("tiktok")) == 1


async def test_a_bare_partial_answer_is_resolved_without_losing_any(pool: Pool, ads: AdPlatforms) -> None:
    ads.mode("tiktok", "partial", indexes=[1], bare=True, times=1)
    await connect(pool, "tiktok")
    await enqueue_all(pool, [event(n) for n in range(4)])
    async with dispatching(pool, dispatcher_config(ads)):
        await until(pool, SETTLED)
    assert await states(pool) == {"delivered": 4}
    assert len(ads.events("tiktok")) == 4


@pytest.mark.parametrize("platform", [*PIXELS, "creatortraffic"])
async def test_a_refused_token_pauses_the_connection_and_keeps_its_events(
    pool: Pool, ads: AdPlatforms, platform: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    ads.access.revoke(platform, TOKEN)
    await connect(pool, platform)
    await enqueue_all(pool, [event(n, facts={"utm_source": "creatortraffic"}) for n in range(20)])
    # With no retries at all, a counted attempt would be the last.
    async with dispatching(pool, dispatcher_config(ads, retry=RetryPolicy(schedule=(), ours_first=0.02))):
        await until(pool, "(SELECT state = 'paused' FROM destinations)")
        assert await pool.fetchval("SELECT state_reason FROM destinations")
        await until(pool, "NOT EXISTS (SELECT FROM deliveries WHERE lease_until IS NOT NULL)")
        assert await states(pool) == {"waiting": 20}
        ads.access.grant(platform, TOKEN)
        await pool.execute("UPDATE destinations SET state = 'active', state_reason = ''")
        await until(pool, SETTLED)
    assert await states(pool) == {"delivered": 20}
    assert len(ads.events(platform)) == 20
    await no_token_anywhere(pool, caplog, capsys.readouterr().out)


async def test_what_may_have_been_counted_is_not_sent_again_after_48_hours(pool: Pool, ads: AdPlatforms) -> None:
    await connect(pool, "meta")
    ads.mode("meta", "reset", processed=True, times=1)
    await enqueue_all(pool, [event(1)])
    slow = RetryPolicy(schedule=(3600.0,))
    async with dispatching(pool, dispatcher_config(ads, retry=slow)):
        await until(pool, "(SELECT attempts = 1 AND ambiguous_at IS NOT NULL FROM deliveries)")
        await pool.execute("UPDATE deliveries SET due_at = now(), ambiguous_at = now() - interval '48 hours'")
        await until(pool, SETTLED)
    assert await states(pool) == {"dead": 1}
    assert "could count twice" in await pool.fetchval("SELECT verdict FROM deliveries")
    assert len(ads.requests("meta")) == 1
    # A person who has read that may send it again.
    async with pool.acquire() as connection:
        assert await replay_range(connection, "meta") == 1
    async with dispatching(pool, dispatcher_config(ads)):
        await until(pool, SETTLED)
    assert await states(pool) == {"delivered": 1}
    assert ads.events("meta")[0].duplicates == 1


async def test_an_answer_that_never_came_is_asked_again_under_the_same_id(pool: Pool, ads: AdPlatforms) -> None:
    await connect(pool, "meta")
    ads.mode("meta", "status", status=502, processed=True, times=1)
    await enqueue_all(pool, [event(1)])
    async with dispatching(pool, dispatcher_config(ads)):
        await until(pool, SETTLED)
    assert [(one.event_id, one.duplicates, one.again) for one in ads.events("meta")] == [("cnv-1", 1, False)]
