"""Operations as their users see them: what changes, what is written down, who is told."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.integration.api.conftest import House, house
from tests.integration.lists.seed import LINKS
from tracker.clicklog import LINKS_KEY, EdgeLink

__all__ = ["house"]


async def edge_link(house: House, smart_link_id: str) -> EdgeLink:
    found: Any = await house.redis.hget(LINKS_KEY, smart_link_id)
    return msgspec.msgpack.decode(found, type=EdgeLink)


async def test_a_change_reaches_the_edge_and_the_history(house: House) -> None:
    path = f"smart-links/{LINKS[0]}"
    wish = {
        "name": "B", "window_seconds": 60, "fallback_url": "https://fallback.example/", "link_type": "free_trial",
        "free_trial_days": 7, "tags": ["X"], "destination_ids": [house.ids["postback"].lower()],
    }  # fmt: skip
    changed = await house.ask("PATCH", path, json=wish)
    assert {name: changed[name] for name in ("name", "window_seconds", "link_type", "free_trial_days", "tags")} == {
        name: wish[name] for name in ("name", "window_seconds", "link_type", "free_trial_days", "tags")
    }
    assert changed["destination_ids"] == [house.ids["postback"]]
    link = await edge_link(house, LINKS[0])
    assert (link.window_ms, link.offer, link.fallback_url) == (60_000, "trial-7", "https://fallback.example/")
    back = await house.ask("PATCH", path, json={"link_type": "tracking_link", "destination_ids": []})
    assert (back["free_trial_days"], back["name"], back["destination_ids"]) == (None, "B", [])
    assert (await edge_link(house, LINKS[0])).offer == "tracking"
    newest, oldest = await house.ask("GET", f"{path}/history")
    assert oldest["action"] == "smart_link.changed"
    assert oldest["detail"]["name"] == {"from": "L", "to": "B"}
    assert newest["detail"]["link_type"] == {"from": "free_trial", "to": "tracking_link"}
    assert (await house.ask("GET", f"{path}/history", params={"before": newest["id"]}))[0]["id"] == oldest["id"]


async def test_a_campaign_specific_postback_can_be_given_at_creation(house: House) -> None:
    new = {
        "account_id": "acct_1",
        "name": "N",
        "link_type": "tracking_link",
        "destination_ids": [house.ids["postback"]],
        "tags": ["T"],
    }
    made = await house.ask("POST", "smart-links", 201, json=new)
    assert (made["destination_ids"], made["tags"]) == ([house.ids["postback"]], ["T"])
    served = await house.ask("GET", f"smart-link-postbacks/{house.ids['postback']}")
    assert set(served["smart_link_ids"]) == {LINKS[0], made["id"]}
    await house.ask("DELETE", f"smart-links/{made['id']}")
    served = await house.ask("GET", f"smart-link-postbacks/{served['id']}")
    assert served["smart_link_ids"] == [LINKS[0]]
    assert (await edge_link(house, made["id"])).state == "deleted"


async def test_an_accounts_key_is_changed_and_its_work_wakes(house: House) -> None:
    await house.pool.execute(
        "INSERT INTO account_jobs (account_id, job, due_at, blocked_until, failures, last_error) VALUES"
        " ('acct_1', 'session', now() + interval '1 hour', now() + interval '1 hour', 4, 'The key is refused.')"
    )
    sick = await house.ask("GET", "connected-accounts/acct_1")
    assert (sick["needs_attention"], sick["last_error"]) == (True, "The key is refused.")
    changed = await house.ask(
        "PATCH", "connected-accounts/acct_1", json={"api_key": "another-key-1", "webhook_secret": ""}
    )
    assert len(changed["webhook_secret"]) > 20, "a secret made here is shown once"
    assert "another-key-1" not in str(changed)
    due = await house.pool.fetchval(
        "SELECT due_at <= now() AND blocked_until IS NULL FROM account_jobs WHERE job = 'session'"
    )
    assert due is True
    again = await house.ask("PATCH", "connected-accounts/acct_1", json={"import_prefix": "ad-"})
    assert (again["import_prefix"], "webhook_secret" in again) == ("ad-", False)
    told = await house.pool.fetchval("SELECT string_agg(detail::text, ' ') FROM audit_log WHERE object_id = 'acct_1'")
    assert "another-key-1" not in told
    assert "api_key" in told


async def test_a_disconnected_account_forgets_and_comes_back(house: House) -> None:
    await house.ask("DELETE", "connected-accounts/acct_1")
    assert await house.ask("GET", "connected-accounts") == []
    row = await house.pool.fetchrow(
        "SELECT api_key_sealed, webhook_secret_sealed FROM accounts WHERE account_id = 'acct_1'"
    )
    assert row is not None
    assert tuple(row) == (None, None)
    assert (await edge_link(house, LINKS[0])).state == "paused"
    assert await house.pool.fetchval("SELECT count(*) FROM account_jobs WHERE account_id = 'acct_1'") == 0
    await house.ask("GET", "acct_1/tracking-links", 404)
    body = {"provider_account_id": "p1", "api_key": "test-key"}
    assert (await house.ask("POST", "connected-accounts", 201, json=body))["id"] == "acct_1"
    assert (await house.ask("GET", f"smart-links/{LINKS[0]}"))["state"] == "paused"


async def test_the_delivery_log_is_paged_filtered_and_replayed(house: House) -> None:
    seen: list[str] = []
    url = "/api/deliveries?limit=7"
    while url:
        answer = (await house.api.get(url)).json()
        seen += [row["event_id"] for row in answer["data"]]
        url = answer["_pagination"]["next_page"]
    assert seen == [f"event-{number}" for number in range(1, 31)], "newest first, each once"
    dead = await house.ask("GET", "deliveries", params={"state": "dead", "destination_id": house.ids["postback"]})
    assert [row["event_id"] for row in dead] == [f"event-{number}" for number in range(3, 31, 3)]
    assert dead[0]["facts"] == {"amount_gross": "1.00"}, "match keys are not shown"
    (one,) = await house.ask("GET", "deliveries/event-3")
    assert [attempt["verdict"] for attempt in one["attempts"]] == ["503"]
    path = f"destinations/{house.ids['postback']}/replay"
    assert await house.ask("POST", f"{path}-forecast", json={}) == {"dead": 10, "beyond_dedup": 0}
    assert await house.ask("POST", path, json={"event_ids": ["event-3", "event-6", "event-1", "nothing"]}) == {
        "replayed": 2
    }
    assert await house.ask("POST", path, json={}) == {"replayed": 8}
    assert await house.ask("GET", "deliveries", params={"state": "dead"}) == []
    told = await house.pool.fetch(
        "SELECT detail FROM audit_log WHERE action = 'destination.replayed' ORDER BY audit_id"
    )
    assert [row["detail"] for row in told] == [{"deliveries": 2}, {"deliveries": 8}]


async def test_a_postback_turned_off_and_on_sends_what_waited(house: House) -> None:
    path = f"smart-link-postbacks/{house.ids['postback']}"
    await house.ask("PATCH", path, json={"state": "paused"})
    await house.pool.execute(
        "UPDATE deliveries SET state = 'waiting', due_at = now() + interval '1 day' WHERE event_id = 'event-5'"
    )
    shown = await house.ask("PATCH", path, json={"state": "active"})
    assert (shown["state"], shown["waiting"], shown["latest_response"]["error_type"]) == ("active", 1, "transient")
    assert await house.pool.fetchval("SELECT due_at <= now() FROM deliveries WHERE event_id = 'event-5'")


async def test_a_webhooks_secret_stays_changes_and_goes(house: House) -> None:
    path = f"webhooks/{house.ids['webhook']}"
    body = {"endpoint_url": "https://example.com/h", "events": ["smart_links.click"], "account_scope": "global"}
    for secret, expected in ((..., False), ("s3cret-1", True), (..., True), (None, False)):
        shown = await house.ask("PUT", path, json=body if secret is ... else body | {"signing_secret": secret})
        assert shown["has_signing_secret"] is expected
        assert "s3cret-1" not in str(shown)
    assert (await house.ask("GET", "webhooks/smart_links.click/example-payload"))["event"] == "smart_links.click"


async def test_a_link_is_made_once_or_the_reason_is_told(house: House) -> None:
    await house.ask("POST", "acct_1/tracking-links", 409, json={"name": "Bio 2"})
    await house.ask("PATCH", "connected-accounts/acct_1", json={"api_key": "test-key"})
    answer = await house.api.post("/api/acct_1/tracking-links", json={"name": "Bio 2"})
    assert (answer.status_code, answer.json()["error"]) == (503, "PROVIDER_AWAY")
    assert await house.pool.fetchval("SELECT count(*) FROM inventory_links") == 3
    refused = await house.api.delete("/api/acct_1/tracking-links/501")
    assert (refused.status_code, refused.json()["error"]) == (409, "LINK_IS_POOLED")
    stored = (await house.ask("GET", "acct_1/stored/tracking-links"))["list"]
    assert [row["id"] for row in stored] == [502]
