"""Connections over the API: made, changed, tested, resumed; the token goes in and never comes out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from loadtests.emulators.adplatforms import AdPlatforms, running_adplatforms
from loadtests.emulators.receiver import running_receiver
from postbacks.events import Event
from tests.integration.postbacks.scene import FAST, dispatching, enqueue_all, until
from tests.unit.postbacks.clicks import FACTS
from tracker.access.keys import make_key
from tracker.api.app import create_app
from tracker.management.services import Services
from tracker.secrets import Secrets
from tracker.settings import Settings
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

TOKEN = "test-token"
PIXELS = {"meta": "123456789012345", "tiktok": "C4ABCDEF1234567890", "snapchat": "0d7a4bb6-5a2e-4c3d"}
SECRETS = Secrets("k" * 40)


@pytest.fixture
async def ads() -> AsyncIterator[AdPlatforms]:
    async with running_adplatforms() as running:
        yield running


@pytest.fixture
def settings(ads: AdPlatforms) -> Settings:
    urls = {f"{name}_url": ads.url_of(name) for name in (*PIXELS, "creatortraffic", "onlyautomator")}
    return msgspec.structs.replace(Settings(egress_allow=("127.0.0.0/8",)), **urls)


@pytest.fixture
async def api(pool: Pool, redis: Client, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    for team in ("t1", "t2"):
        await pool.execute("INSERT INTO teams (team_id, name) VALUES ($1, $1)", team)
    _, key = await make_key(pool, SECRETS.key_hash, "t1", "test")
    app: Any = create_app(Services(settings, pool, redis, SECRETS))
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test", headers=headers) as client:
        yield client


async def connect(api: httpx.AsyncClient, kind: str, **changes: Any) -> dict[str, Any]:
    config = {"pixel_id": PIXELS[kind]} if kind in PIXELS else {}
    answer = await api.post("/api/connections", json={"kind": kind, "token": TOKEN, "config": config, **changes})
    assert answer.status_code == 201, answer.text
    assert TOKEN not in answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


async def test_a_connection_is_made_shown_changed_and_deleted(api: httpx.AsyncClient, pool: Pool) -> None:
    made = await connect(api, "meta", name="Agency pixel")
    assert made["conversion_types"] == ["click", "new_subscriber", "new_transaction", "fan_sent_3_messages"]
    assert (made["has_token"], made["state"]) == (True, "active")
    sealed = await pool.fetchval("SELECT secrets_sealed FROM destinations")
    assert TOKEN.encode() not in sealed
    listed = await api.get("/api/connections")
    assert [row["id"] for row in listed.json()["data"]] == [made["id"]]
    shown = await api.get(f"/api/connections/{made['id'].lower()}")
    assert shown.json()["data"]["match_keys"]["events"] == 0
    config = {"pixel_id": PIXELS["meta"], "events": {"click": "off", "message_received": {"custom": "FanWrote"}}}
    changed = await api.patch(f"/api/connections/{made['id']}", json={"config": config, "name": "Client pixel"})
    assert changed.status_code == 200, changed.text
    assert changed.json()["data"]["name"] == "Client pixel"
    assert "click" not in changed.json()["data"]["conversion_types"]
    assert await pool.fetchval("SELECT secrets_sealed FROM destinations") == sealed
    for answer in (listed, shown, changed):
        assert TOKEN not in answer.text
    gone = await api.delete(f"/api/connections/{made['id']}")
    assert gone.json()["data"] == {"success": True}
    assert (await api.get(f"/api/connections/{made['id']}")).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "fax", "token": TOKEN}, "kind"),
        ({"kind": "postback", "token": TOKEN, "config": {"url": "https://a.example/"}}, "kind"),
        ({"kind": "meta", "token": "", "config": {"pixel_id": "123456"}}, "token"),
        ({"kind": "meta", "token": TOKEN, "config": {}}, "config.pixel_id"),
        ({"kind": "meta", "token": TOKEN, "config": {"pixel_id": "123456", "events": {"click": "Clicked"}}}, "config.events.click"),
        ({"kind": "meta", "token": TOKEN, "config": {"pixel_id": "123456"}, "smart_link_scope": "campaign_specific"}, "smart_link_ids"),
        ({"kind": "ofauth_message", "token": TOKEN, "config": {"connection_id": "c", "text": "Hi {nope}"}}, "config.text"),
    ],
)  # fmt: skip
async def test_mistakes_name_the_field(api: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    answer = await api.post("/api/connections", json=body)
    assert answer.status_code == 422
    assert field in answer.json()["errors"]
    assert TOKEN not in answer.text


async def test_another_teams_connection_is_not_found(api: httpx.AsyncClient, pool: Pool) -> None:
    made = await connect(api, "meta")
    await pool.execute("UPDATE destinations SET team_id = 't2'")
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test-event")):
        answer = await api.request(method, f"/api/connections/{made['id']}{path}", json={})
        assert answer.status_code == 404


@pytest.mark.parametrize("platform", PIXELS)
async def test_a_test_event_shows_the_platforms_answer(api: httpx.AsyncClient, ads: AdPlatforms, platform: str) -> None:
    made = await connect(api, platform)
    path = f"/api/connections/{made['id']}/test-event"
    for event in ("click", "new_subscriber", "first_purchase"):
        answer = await api.post(path, json={"event": event, "test_event_code": "TEST42"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["data"]["succeeded"], answer.text
        assert TOKEN not in answer.text
    assert ads.violations(platform) == []
    if platform == "snapchat":
        assert ads.events(platform) == []
        assert len(ads.books.validated) == 3
    else:
        assert {one.test_event_code for one in ads.events(platform)} == {"TEST42"}
    if platform == "meta":
        purchase = next(one for one in ads.events("meta") if one.name == "Purchase")
        assert purchase.data["custom_data"] == {"value": 0.0, "currency": "USD"}


async def test_meta_and_tiktok_need_the_test_code(api: httpx.AsyncClient) -> None:
    for platform in ("meta", "tiktok"):
        made = await connect(api, platform)
        answer = await api.post(f"/api/connections/{made['id']}/test-event", json={})
        assert answer.status_code == 422
        assert "test_event_code" in answer.json()["errors"]


async def test_a_refused_test_event_says_why_without_the_token(api: httpx.AsyncClient, ads: AdPlatforms) -> None:
    made = await connect(api, "meta", token="another-token-123")
    answer = await api.post(f"/api/connections/{made['id']}/test-event", json={"test_event_code": "T1"})
    data = answer.json()["data"]
    assert (data["succeeded"], data["outcome"]) == (False, "auth")
    assert "Meta error 190" in data["message"]
    assert "another-token-123" not in answer.text


async def test_a_fan_action_is_tested_on_a_fan_somebody_chose(api: httpx.AsyncClient, ads: AdPlatforms) -> None:
    made = await connect(api, "onlyautomator")
    path = f"/api/connections/{made['id']}/test-event"
    refused = await api.post(path, json={})
    assert "fan_onlyfans_id" in refused.json()["errors"]
    answer = await api.post(path, json={"fan_onlyfans_id": "4711"})
    assert answer.json()["data"]["succeeded"], answer.text
    assert [one.name for one in ads.events("onlyautomator")] == ["update-preference", "sync-notes"]


async def test_a_postback_is_tested_with_a_sample(api: httpx.AsyncClient) -> None:
    async with running_receiver() as receiver:
        body = {
            "url": receiver.url_of("a") + "?type={conversion_type}&amount={amount_gross}",
            "smart_link_scope": "global",
            "conversion_types": ["new_transaction"],
        }
        made = (await api.post("/api/smart-link-postbacks", json=body)).json()["data"]
        answer = await api.post(f"/api/smart-link-postbacks/{made['id']}/test-event", json={"event": "new_transaction"})
        assert answer.json()["data"]["succeeded"]
        assert receiver.received("a")[0].query == "type=new_transaction&amount=10.00"


async def test_a_paused_connection_is_resumed_with_a_new_token(
    api: httpx.AsyncClient, ads: AdPlatforms, pool: Pool, settings: Settings
) -> None:
    ads.access.revoke("meta", "stale-token")
    made = await connect(api, "meta", token="stale-token")
    now = datetime.now(UTC)
    facts = FACTS | {"_click_ms": str(int(now.timestamp() * 1000)), "_fbp": f"fb.1.{int(now.timestamp() * 1000)}.1"}
    await enqueue_all(pool, [Event("cnv-1", "new_subscriber", now, "t1", "SL1", facts)])
    config = msgspec.structs.replace(
        FAST,
        base_urls=settings.service_urls,
        unseal=lambda owner, sealed: SECRETS.open(sealed, f"destination:{owner}"),
    )
    async with dispatching(pool, config):
        await until(pool, "(SELECT state = 'paused' FROM destinations)")
        shown = (await api.get(f"/api/connections/{made['id']}")).json()["data"]
        assert "Session has expired" in shown["state_reason"]
        assert (shown["waiting"], shown["match_keys"]["fbc"]) == (1, 1)
        resumed = await api.patch(f"/api/connections/{made['id']}", json={"token": TOKEN, "state": "active"})
        assert resumed.json()["data"]["state_reason"] == ""
        await until(pool, "(SELECT state = 'delivered' FROM deliveries)")
    assert [one.event_id for one in ads.events("meta")] == ["cnv-1"]


async def test_what_a_connection_was_told_can_be_read_and_sent_again(
    api: httpx.AsyncClient, ads: AdPlatforms, pool: Pool, settings: Settings
) -> None:
    made = await connect(api, "snapchat")
    now = datetime.now(UTC)
    await enqueue_all(pool, [Event("cnv-1", "new_subscriber", now, "t1", "SL1", FACTS | {"_ip": "nowhere"})])
    config = msgspec.structs.replace(
        FAST,
        base_urls=settings.service_urls,
        unseal=lambda owner, sealed: SECRETS.open(sealed, f"destination:{owner}"),
    )
    path = f"/api/connections/{made['id']}"
    async with dispatching(pool, config):
        await until(pool, "(SELECT state = 'dead' FROM deliveries)")
        told = (await api.get(f"{path}/deliveries", params={"state": "dead"})).json()["data"][0]
        assert "address" in told["verdict"]
        assert not any(name.startswith("_") for name in told["facts"])
        await pool.execute('UPDATE delivery_events SET facts = facts || \'{"_ip": "203.0.113.7"}\'::jsonb')
        assert (await api.post(f"{path}/replay", json={})).json()["data"] == {"replayed": 1}
        await until(pool, "(SELECT state = 'delivered' FROM deliveries)")
    told = (await api.get(f"{path}/deliveries")).json()["data"][0]
    assert "VALID" in told["attempts"][-1]["answer"]
    assert TOKEN not in str(told)


async def test_networks_are_listed(api: httpx.AsyncClient) -> None:
    rows = (await api.get("/api/postback-networks")).json()["data"]
    assert {"exoclick", "trafficstars", "taboola"} <= {row["name"] for row in rows}
