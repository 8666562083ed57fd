"""Fan actions through the dispatcher, against the vendors they act through."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from loadtests.emulators.adplatforms import running_adplatforms
from loadtests.emulators.platform import Platform, running_platform
from postbacks.configuration import DispatcherConfig
from postbacks.events import Event
from postbacks.facts import SAMPLE
from tests.integration.postbacks.scene import FAST, SETTLED, dispatching, enqueue_all, states, until
from tracker.stores.postgres import Pool

ACCOUNT = "acct_madison"


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    async with running_platform(seed=7) as running:
        running.world.add_account("madison", "Madison", id=ACCOUNT, subscribe_price=0, onlyfans_id=518588958)
        yield running


async def call(platform: Platform, method: str, path: str, **body: Any) -> Any:
    headers = {"Authorization": "Bearer test-key"}
    async with httpx.AsyncClient(base_url=platform.url, headers=headers, trust_env=False) as client:
        answer = await client.request(method, path, json=body or None)
        assert answer.is_success, answer.text
        return answer.json()


async def subscribed(platform: Platform, count: int = 1) -> list[str]:
    """Fans who came through a link made by hand."""
    link = await call(platform, "POST", "/__admin/links", account_id=ACCOUNT, name="bio", kind="tracking")
    made = [await call(platform, "POST", "/__admin/fans/subscribe", link_url=link["url"]) for _ in range(count)]
    return [str(fan["fan_id"]) for fan in made]


def config(platform: Platform, **urls: str) -> DispatcherConfig:
    base = {
        "onlyfansapi": platform.url,
        "ofauth": platform.url + "/ofauth",
        "onlymonster": platform.url + "/onlymonster",
        **urls,
    }
    return msgspec.structs.replace(FAST, base_urls=base, unseal=lambda _, sealed: sealed)


async def connect(pool: Pool, kind: str, token: str, **values: Any) -> None:
    await pool.execute(
        "INSERT INTO destinations (destination_id, team_id, kind, config, secrets_sealed, event_types)"
        " VALUES ($1, 't1', $1, $2, $3, '{new_subscriber}')",
        kind,
        values,
        msgspec.json.encode({"token": token}),
    )


def arrival(fan: str, account: str = ACCOUNT, **facts: str) -> Event:
    told = SAMPLE | {"fan_onlyfans_id": fan, "_provider_account_id": account, **facts}
    return Event(f"sub-{fan}-{account}", "new_subscriber", datetime.now(UTC), "t1", "SL1", told)


async def test_new_subscribers_are_put_on_the_list(pool: Pool, platform: Platform) -> None:
    fans = await subscribed(platform, 3)
    made = (await call(platform, "POST", f"/api/{ACCOUNT}/user-lists", name="From ads"))["data"]
    await connect(pool, "onlyfans_list", "test-key", account_id=ACCOUNT, list_id=str(made["id"]))
    await enqueue_all(pool, [*(arrival(fan) for fan in fans), arrival("999"), arrival(fans[0], "acct_other")])
    async with dispatching(pool, config(platform)):
        await until(pool, SETTLED)
    assert await states(pool) == {"delivered": 3, "dead": 1, "skipped": 1}
    dead = await pool.fetchrow("SELECT event_id, verdict FROM deliveries WHERE state = 'dead'")
    assert dead is not None
    assert (dead["event_id"], dead["verdict"]) == (f"sub-999-{ACCOUNT}", "refused: OnlyFansAPI: User not found")
    members = (await call(platform, "GET", f"/api/{ACCOUNT}/user-lists/{made['id']}/users"))["data"]["list"]
    assert sorted(str(user["id"]) for user in members) == sorted(fans)


async def test_a_note_keeps_what_people_wrote(pool: Pool, platform: Platform) -> None:
    (fan,) = await subscribed(platform)
    path = f"/api/{ACCOUNT}/fans/{fan}/notes"
    await call(platform, "PUT", path, notes="likes cats\n[clickbind] an older line")
    await connect(pool, "onlyfans_note", "test-key", account_id=ACCOUNT, text="{smart_link_name} / {external_click_id}")
    await enqueue_all(pool, [arrival(fan, smart_link_name='Meta "A"\n2')])
    async with dispatching(pool, config(platform)):
        await until(pool, SETTLED)
    notes = (await call(platform, "GET", path))["data"]["notes"]
    assert notes == 'likes cats\n[clickbind] Meta "A" 2 / clk-12345'


async def test_a_refused_key_pauses_a_fan_action(pool: Pool, platform: Platform) -> None:
    (fan,) = await subscribed(platform)
    await connect(pool, "onlyfans_note", "wrong-key-here", account_id=ACCOUNT)
    await enqueue_all(pool, [arrival(fan)])
    async with dispatching(pool, config(platform)):
        await until(pool, "(SELECT state = 'paused' FROM destinations)")
    assert await states(pool) == {"waiting": 1}
    assert await pool.fetchval("SELECT count(*) FROM attempts a WHERE a::text LIKE '%wrong-key-here%'") == 0


@pytest.mark.parametrize("kind", ["ofauth_message", "onlymonster_message"])
async def test_a_welcome_reaches_new_fans_alone(pool: Pool, platform: Platform, kind: str) -> None:
    new, returning = await subscribed(platform, 2)
    account = platform.world.accounts[ACCOUNT]
    token, connection = (
        ("ofauth-key", "conn_madison") if kind == "ofauth_message" else ("om-token", account.onlymonster_id)
    )
    await connect(pool, kind, token, connection_id=str(connection), text="Hi {fan_onlyfans_name} ☀")
    await enqueue_all(pool, [arrival(new), arrival(returning, previously_subscribed="1")])
    async with dispatching(pool, config(platform)):
        await until(pool, SETTLED)
    assert await states(pool) == {"delivered": 1, "skipped": 1}
    assert [message.text for message in platform.world.fans.messages(ACCOUNT, int(new))] == ["Hi Max & Moritz ☀"]
    assert platform.world.fans.messages(ACCOUNT, int(returning)) == []


async def test_restricted_words_are_refused_for_good(pool: Pool, platform: Platform) -> None:
    (fan,) = await subscribed(platform)
    word = platform.world.settings.onlymonster_restricted_words[0]
    connection = str(platform.world.accounts[ACCOUNT].onlymonster_id)
    await connect(pool, "onlymonster_message", "om-token", connection_id=connection, text=f"Hi {word}")
    await enqueue_all(pool, [arrival(fan)])
    async with dispatching(pool, config(platform)):
        await until(pool, SETTLED)
    verdict = await pool.fetchval("SELECT verdict FROM deliveries WHERE state = 'dead'")
    assert "RESTRICTED_WORDS_DETECTED" in verdict
    assert word in verdict


async def test_a_welcome_that_may_have_arrived_is_not_sent_again(pool: Pool, platform: Platform) -> None:
    async with running_adplatforms() as ads:
        # Any server that takes the request and drops the connection will do.
        ads.mode("onlyautomator", "reset")
        await connect(pool, "ofauth_message", "ofauth-key", connection_id="conn_madison", text="Hi")
        await enqueue_all(pool, [arrival("4711")])
        async with dispatching(pool, config(platform, ofauth=ads.url_of("onlyautomator"))):
            await until(pool, SETTLED)
        assert len(ads.requests("onlyautomator")) == 1
    assert await states(pool) == {"dead": 1}


async def test_onlyautomator_gets_the_preference_and_syncs(pool: Pool, platform: Platform) -> None:
    async with running_adplatforms() as ads:
        await connect(pool, "onlyautomator", "test-token")
        await enqueue_all(pool, [arrival("4711")])
        async with dispatching(pool, config(platform, onlyautomator=ads.url_of("onlyautomator"))):
            await until(pool, SETTLED)
        preference, sync = ads.events("onlyautomator")
        assert ads.violations() == []
    assert (preference.data["fanId"], preference.data["category"]) == ("4711", "attribution")
    assert preference.data["value"]["external_click_id"] == "clk-12345"
    assert sync.data == {"fanId": "4711", "force": False}
    assert await states(pool) == {"delivered": 1}
