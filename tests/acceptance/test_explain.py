"""A fan clicks, subscribes and is explained: over HTTP and on the command line; and what the pools say of it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import asyncpg

from loadtests.demo.stage import Stage
from tracker.api.bootstrap import bootstrap
from tracker.settings import as_environment
from tracker.stores.urls import database_url

BROWSER = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5"
    " Mobile/15E148 Safari/604.1"
)


async def _get(stage: Stage, path: str, key: str | None = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {key or stage.api_key}"}
    url = f"http://127.0.0.1:{stage.settings.api_port}/api/{path}"
    async with stage.session.get(url, headers=headers) as answer:
        return answer.status, await answer.json()


async def _subscriber(stage: Stage) -> tuple[str, dict[str, Any]]:
    """A new fan of an ad's click: his id and his explanation, once he is credited."""
    headers = {"User-Agent": BROWSER, "Accept-Language": "en-US"}
    async with stage.session.get(stage.link_url("meta"), headers=headers, allow_redirects=False) as answer:
        target = answer.headers["Location"]
    body = {"account_id": stage.platform_accounts["madison"], "name": "Explained", "link_url": target, "click": False}
    fan_id = str((await stage.admin("fans/subscribe", body))["fan_id"])
    for _ in range(300):
        status, told = await _get(stage, f"explain/fan/{fan_id}")
        if status == 200 and told["data"]["conversions"]:
            return fan_id, told["data"]
        await asyncio.sleep(0.1)
    raise AssertionError(f"fan {fan_id} was not credited: {status} {told}")


async def test_a_credit_is_explained_to_its_team_only(stage: Stage) -> None:
    fan_id, fan = await _subscriber(stage)
    (subscription,) = fan["subscriptions"]
    (click,) = fan["clicks"]
    assert subscription["click_id"] == click["click_id"]
    assert (click["lease"], click["smart_link_id"]) == ("exclusive", stage.smart_links["meta"])
    assert (subscription["confidence"], subscription["candidates"][0]["outcome"]) == (1, "won")
    assert "webhook" in {source["source"] for source in subscription["sources"]}
    assert fan["bindings"][0]["rule"] == "subscribed"
    assert any("100 % sure" in sentence for sentence in fan["sentences"])
    conversion_id = fan["conversions"][0]["conversion_id"]
    for path in (f"explain/click/{click['click_id'].upper()}", f"explain/conversion/{conversion_id}"):
        status, told = await _get(stage, path)
        assert status == 200
        assert [card["fan_id"] for card in told["data"]["fans"]] == [fan_id]
        assert any(click["click_id"] in sentence for sentence in told["data"]["sentences"])
    other = (await bootstrap(stage.settings, "A curious team"))["api_key"]
    for path in (
        f"fan/{fan_id}",
        f"click/{click['click_id']}",
        f"conversion/{conversion_id}",
        "moon/1",
        "fan/%00",
        "click/x%20y",
    ):
        status, refused = await _get(stage, f"explain/{path}", other)
        assert (status, refused["error"]) == (404, "NOT_FOUND"), path
    assert (await _get(stage, "pools", other))[1]["data"] == []


async def test_a_fan_of_two_accounts_is_asked_for_by_account(stage: Stage) -> None:
    fan_id, fan = await _subscriber(stage)
    other = next(account for account in stage.account_ids.values() if account != fan["account_id"])
    connection = await asyncpg.connect(database_url(stage.settings))
    try:
        await connection.execute("INSERT INTO fans (account_id, fan_id) VALUES ($1, $2)", other, fan_id)
    finally:
        await connection.close()
    status, refused = await _get(stage, f"explain/fan/{fan_id}")
    assert (status, refused["error"]) == (409, "AMBIGUOUS")
    assert other in refused["message"]
    assert fan["account_id"] in refused["message"]
    status, told = await _get(stage, f"explain/fan/{fan_id}?account_id={other}")
    assert (status, told["data"]["subscriptions"]) == (200, [])
    status, told = await _get(stage, f"explain/fan/{fan_id}?account_id={fan['account_id']}")
    assert (status, len(told["data"]["subscriptions"])) == (200, 1)


async def test_the_command_tells_the_same_story(stage: Stage) -> None:
    _, fan = await _subscriber(stage)
    click_id = fan["clicks"][0]["click_id"]

    async def command(*arguments: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tracker.cli.main", "explain", *arguments,
            env={**os.environ, **as_environment(stage.settings)},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    code, text, _ = await command("click", click_id)
    assert code == 0
    for word in (
        "What happened, in order",
        "lease exclusive",
        "subscribed fan",
        "rule subscribed",
        "conversion new_subscriber",
    ):
        assert word in text
    code, text, _ = await command("fan", fan["id"], "--account", fan["account_id"], "--json")
    assert (code, json.loads(text)["bindings"]) == (0, fan["bindings"])
    code, _, err = await command("conversion", "nothing")
    assert (code, err.strip()) == (1, "clickbind: there is no conversion nothing")


async def test_pools_say_what_they_hold_and_need(stage: Stage) -> None:
    _, fan = await _subscriber(stage)
    status, answer = await _get(stage, "pools")
    assert status == 200
    pools = {(pool["account_id"], pool["offer"]): pool for pool in answer["data"]}
    link = stage.smart_links["meta"]
    pool = next(pool for pool in pools.values() if link in {one["smart_link_id"] for one in pool["smart_links"]})
    assert pool["account_id"] == fan["account_id"]
    assert pool["size"] >= stage.settings.pool_target
    assert pool["last_hour"]["exclusive"] >= 1
    assert pool["leased"] >= 1
    assert pool["needed_for_999"] >= 1
    assert pool["short"] is (pool["size"] < pool["needed_for_999"])
    assert "99.9 %" in pool["sentence"]
