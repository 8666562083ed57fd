"""The postback receiver of the stage, conversions to tell it of, and pages that are looked at until they say something."""

from __future__ import annotations

import asyncio
from typing import Any

from loadtests.demo.stage import Stage
from tests.browser.buyer import Buyer

PERSON = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1"


async def answers(stage: Stage, name: str, mode: str = "ok", **options: Any) -> str:
    """How one of the receiver's addresses answers from now on; the address."""
    body = {"name": name, "mode": mode, **options}
    async with stage.session.post(f"{stage.receiver_url}/__admin/mode", json=body) as answer:
        answer.raise_for_status()
    return f"{stage.receiver_url}/p/{name}"


async def convert(
    stage: Stage, link_url: str, username: str = "madison", name: str = "A fan", **parameters: str
) -> str:
    """A visitor clicks an ad and subscribes: the fan's number."""
    async with stage.session.get(
        link_url, params=parameters, headers={"User-Agent": PERSON}, allow_redirects=False
    ) as answer:
        assert answer.status == 302
        target = answer.headers["Location"]
    body = {"account_id": stage.platform_accounts[username], "name": name, "link_url": target, "click": False}
    return str((await stage.admin("fans/subscribe", body))["fan_id"])


async def until(person: Buyer, path: str, words: str, seconds: float = 60.0) -> str:
    """Look at a page again and again until it says `words`: all it says."""
    async with asyncio.timeout(seconds):
        while True:
            await person.go(path)
            said = await person.text()
            if words in said:
                return said
            await asyncio.sleep(0.3)
