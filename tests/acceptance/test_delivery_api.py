"""Delivery over HTTP: how destinations fare in figures and words, and tests that are really sent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from loadtests.demo.stage import Stage

LINK = "/p/{name}?id={{conversion_id}}&token=hush-hush"


async def add(stage: Stage, name: str, mode: dict[str, Any]) -> str:
    async with stage.session.post(f"{stage.receiver_url}/__admin/mode", json={"name": name, **mode}) as answer:
        answer.raise_for_status()
    body = {
        "url": stage.receiver_url + LINK.format(name=name),
        "smart_link_scope": "global",
        "conversion_types": ["new_subscriber"],
        "headers": [{"name": "Authorization", "value": "Bearer hush-hush"}],
    }
    made: dict[str, Any] = await stage.api("POST", "smart-link-postbacks", body)
    return str(made["destination_id"])


async def subscribe(stage: Stage) -> None:
    """A visitor clicks an ad and subscribes."""
    headers = {"User-Agent": "Mozilla/5.0 (iPhone)", "X-Forwarded-For": "198.51.100.77"}
    async with stage.session.get(stage.link_url("meta"), allow_redirects=False, headers=headers) as answer:
        assert answer.status == 302
        await stage.admin("fans/subscribe", {"link_url": answer.headers["Location"]})


async def health(stage: Stage, destination_id: str) -> dict[str, Any]:
    rows = await stage.api("GET", "delivery-health?limit=1000")
    return next(row for row in rows if row["id"] == destination_id)


async def until(stage: Stage, destination_id: str, field: str, value: Any) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while (found := await health(stage, destination_id))[field] != value:
            await asyncio.sleep(0.2)
    return found


async def remove(stage: Stage, *ids: str) -> None:
    for destination_id in ids:
        await stage.api("DELETE", f"smart-link-postbacks/{destination_id}")


async def test_health_tells_the_sick_from_the_well(stage: Stage) -> None:
    well = await add(stage, "well", {"mode": "ok"})
    sick = await add(stage, "sick", {"mode": "status", "status": 503})
    try:
        assert (await health(stage, well))["summary"] == "quiet: nothing to send"
        await subscribe(stage)
        async with asyncio.timeout(60):
            while (await health(stage, sick))["failing_since"] is None:
                await asyncio.sleep(0.2)
        good, bad = await health(stage, well), await health(stage, sick)
        assert good["summary"] == "well: 1 delivered in the last 24 hours"
        assert (good["last_hour"], good["success_rate"]) == ({"delivered": 1, "failed": 0}, 1.0)
        assert good["attempt_ms"]["p50"] is not None
        assert (good["backlog"], good["oldest_waiting_seconds"], good["breaker"]) == (0, None, "closed")
        assert bad["summary"].startswith("failing since ")
        assert "503" in bad["summary"]
        assert bad["summary"].endswith("; 1 waits")
        assert (bad["success_rate"], bad["backlog"]) == (0.0, 1)
        assert bad["oldest_waiting_seconds"] > 0
        assert bad["host"] == stage.receiver_url.removeprefix("http://")
        assert "hush" not in str(bad), "of a URL only the host is shown"
        await stage.api("PATCH", f"smart-link-postbacks/{sick}", {"state": "paused"})
        paused = await until(stage, sick, "state", "paused")
        assert paused["summary"] == "paused: switched off by hand; 1 waits"
    finally:
        await remove(stage, well, sick)


@pytest.mark.parametrize(
    ("mode", "succeeded", "status", "words"),
    [
        ({"mode": "ok", "body": "thanks"}, True, 200, "200 OK"),
        ({"mode": "status", "status": 500, "body": "broken"}, False, 500, "500"),
        ({"mode": "redirect", "location": "http://example.com/"}, False, 302, "redirects are not followed"),
        ({"mode": "reset"}, False, None, "closed without an answer"),
    ],
)
async def test_a_test_postback_is_really_sent(
    stage: Stage, mode: dict[str, Any], succeeded: bool, status: int | None, words: str
) -> None:
    destination_id = await add(stage, "tested", mode)
    try:
        sent = await stage.api("POST", f"smart-link-postbacks/{destination_id.lower()}/test")
        assert (sent["succeeded"], sent["status_code"]) == (succeeded, status)
        assert words in sent["message"]
        assert sent["duration_ms"] >= 0
        assert sent["request"].startswith("GET http://")
        assert "id=test-" in sent["request"]
        assert "hush-hush" not in str(sent), "secrets are masked"
        assert mode.get("body", "") in sent["answer"]
        async with stage.session.get(f"{stage.receiver_url}/__admin/requests", params={"name": "tested"}) as answer:
            assert "id=test-" in (await answer.json())[-1]["query"]
        assert (await health(stage, destination_id))["last_24_hours"] == {"delivered": 0, "failed": 0}
    finally:
        await remove(stage, destination_id)


async def test_a_test_of_nobodys_postback_is_not_found(stage: Stage) -> None:
    url = f"http://127.0.0.1:{stage.settings.api_port}/api/smart-link-postbacks/01KE2JN9RBPAZNYSXKMYHR4JP2/test"
    async with stage.session.post(url, headers={"Authorization": f"Bearer {stage.api_key}"}) as answer:
        assert answer.status == 404
    async with stage.session.get(
        url.replace("smart-link-postbacks/01KE2JN9RBPAZNYSXKMYHR4JP2/test", "delivery-health")
    ) as answer:
        assert answer.status == 401, "health is for the team"
