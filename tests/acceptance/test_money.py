"""Revenue on a smart link: what fans paid, less what was taken back."""

from __future__ import annotations

import asyncio
from typing import Any

from loadtests.demo.stage import Stage

PHONE = {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"}


async def _revenue(stage: Stage, link: str, expected: tuple[str, str]) -> tuple[str, str]:
    for _ in range(200):
        shown: dict[str, Any] = await stage.api("GET", f"smart-links/{link}")
        if (shown["revenue"], shown["revenue_net"]) == expected:
            break
        await asyncio.sleep(0.2)
    return shown["revenue"], shown["revenue_net"]


async def test_a_chargeback_takes_its_amount_back_out(stage: Stage) -> None:
    made = await stage.api(
        "POST", "smart-links", {"account_id": stage.account_ids["ava"], "name": "Money", "link_type": "tracking_link"}
    )
    async with stage.session.get(made["traffic_redirect_url"], headers=PHONE, allow_redirects=False) as answer:
        target = answer.headers["Location"]
    fan = await stage.admin("fans/subscribe", {"link_url": target})
    account = {"account_id": stage.platform_accounts["ava"], "fan_id": fan["fan_id"]}
    await stage.admin("fans/tip", account | {"amount": 10})
    paid = await stage.admin("fans/tip", account | {"amount": 25.5})
    assert await _revenue(stage, made["id"], ("35.50", "28.40")) == ("35.50", "28.40")
    await stage.admin("fans/chargeback", {"transaction_id": paid["transaction_id"]})
    # The platform sends no message of it; the next poll finds it.
    assert await _revenue(stage, made["id"], ("10.00", "8.00")) == ("10.00", "8.00")
    stats = await stage.api("GET", f"smart-links/{made['id']}/stats")
    assert stats["summary"]["revenue_total"] == 10.0
    assert stats["summary"]["subs_total"] == 1
