"""Whatever is sent to any vendor's door, the emulator answers; it never breaks."""

from __future__ import annotations

import random
from typing import Any

import pytest

from loadtests.emulators.platform import Platform
from loadtests.emulators.platform.app import build

from .conftest import Api

HEADERS = {"x-om-auth-token": "om-token", "apiKey": "ofauth-key", "x-connection-id": "conn_madison"}
ODD = [
    "", "0", "-1", "1e9", "9" * 30, "9" * 5000, "null", "true", "nan", "inf", "-99999999999999days", "now", "٣",
    "2026-02-30T00:00:00Z", "2026-01-01T00:00:00Z", "a" * 300, "%00", "../..", "[]", "<b>", "🔥", "trial",
]  # fmt: skip
NAMES = [
    "limit", "offset", "marker", "cursor", "start", "end", "collected_from", "link_id", "message_id", "order", "type",
    "startDate", "endDate", "filter[trial_id]", "filter[total_spent]", "filter", "query", "status", "before", "after",
    "sort", "field", "date_start", "stats", "tier",
]  # fmt: skip
FIELDS = [
    "name", "text", "price", "durationDays", "offer", "trialLinkName", "subscribeDays", "subscribeCounts", "expiredAt",
    "notice", "listIds", "label", "description", "duration", "offerLimit", "offerExpiration", "tags", "ids", "notes",
]  # fmt: skip
VALUES: list[Any] = [
    None,
    True,
    0,
    -5,
    1.5,
    10**40,
    "",
    "x",
    "9" * 500,
    [],
    [[]],
    [1],
    {},
    {"limit": "x"},
    float("1e300"),
]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_nothing_gives_a_server_error(platform: Platform, api: Api, seed: int) -> None:
    settings = {"onlymonster_token_rate": None, "onlymonster_endpoint_rate": None, "onlymonster_slow_rate": None}
    platform.world.settings.update({**settings, "ofauth_rate_minute": None})
    platform.world.add_account("mia", id="fansly_acct_mia", platform="fansly")
    fan = platform.world.fans.subscribe(platform.world.account("acct_madison"), platform.world.fans.person(7)).fan
    chance = random.Random(seed)
    known = {
        "account": ["acct_madison", "fansly_acct_mia"], "account_id": ["4107"], "platform": ["onlyfans"],
        "platform_account_id": ["518588958"], "fan": [str(fan.id)], "user": [str(fan.id)], "chat_id": [str(fan.id)],
        "connection": ["conn_freya"],
    }  # fmt: skip
    routes = [r for r in routes_of(platform) if "webhooks" not in r[1] and not r[1].startswith("/__admin")]
    statuses: set[int] = set()
    for method, template in routes * 3:
        path = template
        for name in [part.split("}")[0] for part in template.split("{")[1:]]:
            value = chance.choice(known[name] if name in known and chance.random() < 0.8 else ["1", "x", "9" * 40])
            path = path.replace(f"{{{name}}}", value)
        params = {chance.choice(NAMES): chance.choice(ODD) for _ in range(3)}
        body = {chance.choice(FIELDS): chance.choice(VALUES) for _ in range(3)} if method in ("POST", "PUT") else None
        answer = await api.client.request(method, path, params=params, json=body, headers=HEADERS)
        assert answer.status_code < 500, (method, path, params, body, answer.text)
        statuses.add(answer.status_code)
    assert {200, 400, 404, 422} <= statuses


def routes_of(platform: Platform) -> list[tuple[str, str]]:
    """Every API route: (method, path template)."""
    found = []
    for resource in build(platform.world, platform.engines).router.resources():
        for route in resource:
            if route.method in ("GET", "POST", "PUT", "DELETE") and resource.canonical.startswith(
                ("/api/", "/onlymonster/", "/ofauth/")
            ):
                found.append((route.method, resource.canonical))
    return found
