"""What no client should send: wrong types, out of range, unknown fields, bad cursors, foreign ids, huge bodies. Each gets a 4xx
that names the field, and nothing is changed."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from litestar.routes import HTTPRoute

from tests.integration.api.conftest import House
from tests.integration.lists.seed import FOREIGN, LINKS

LINK, POSTBACK, HOOK = f"smart-links/{LINKS[0]}", "smart-link-postbacks/{postback}", "webhooks/{webhook}"
NEW_LINK = {"account_id": "acct_1", "name": "A", "link_type": "tracking_link"}
NEW_HOOK = {"endpoint_url": "https://a.example/", "events": ["subscriptions.new"], "account_scope": "global"}
NEW_TRIAL = {"duration": 7, "offerLimit": 1, "offerExpiration": 30}

QUERIES = [
    ("smart-links", {"limit": "0"}, "limit"), ("smart-links", {"limit": "1001"}, "limit"), ("smart-links", {"offset": "-1"}, "offset"),
    ("smart-links", {"offset": "9" * 30}, "offset"), ("smart-links", {"limit": "ten"}, "limit"),
    (f"{LINK}/stats", {"date_start": "soon"}, "date_start"), (f"{LINK}/stats", {"date_end": "9999-12-31"}, "date_end"),
    (f"{LINK}/stats", {"date_start": "0001-01-01"}, "date_start"), (f"{LINK}/stats", {"date_start": "-9999years"}, "date_start"),
    (f"{LINK}/stats", {"date_start": "2026-01-01T00:00:00+99:00"}, "date_start"),
    (f"{LINK}/cohort-arps", {"revenue_basis": "netto"}, "revenue_basis"),
    (f"{LINK}/cohort-arps", {"acquisition_start": "2026-02-01", "acquisition_end": "2026-01-01"}, "acquisition_start"),
    (f"{LINK}/clicks", {"include_bots": "perhaps"}, "include_bots"), (f"{LINK}/clicks", {"limit": "5000"}, "limit"),
    (f"{LINK}/clicks", {"date_start": "2026-03-05", "date_end": "2026-03-01"}, "date_start"),
    (f"{LINK}/conversions", {"conversion_type": "sale"}, "conversion_type"),
    (f"{LINK}/fans", {"sort": "revenue"}, "sort"), (f"{LINK}/fans", {"min_revenue_net": "-1"}, "min_revenue_net"),
    (f"{LINK}/fans", {"min_revenue_net": "1e400"}, "min_revenue_net"), (f"{LINK}/fans", {"min_tips_net": "nan"}, "min_tips_net"),
    (f"{LINK}/fans", {"min_messages_sent_by_fan": "99999999999999999999"}, "min_messages_sent_by_fan"),
    (f"{LINK}/spenders", {"minSpend": "-3"}, "minSpend"), (f"{LINK}/history", {"before": "0"}, "before"),
    ("link-tags", {"type": "ads"}, "type"), ("deliveries", {"after": "nonsense"}, "after"), ("deliveries", {"state": "lost"}, "state"),
    ("deliveries", {"date_start": "x"}, "date_start"), (f"{HOOK}/deliveries", {"event": "users.typing"}, "event"),
    (f"{HOOK}/deliveries", {"limit": "101"}, "limit"), ("acct_1/tracking-links", {"sortby": "name"}, "sortby"),
    ("acct_1/tracking-links", {"limit": "101"}, "limit"), ("acct_1/tracking-links", {"startDate": "x"}, "startDate"),
    ("acct_1/trial-links", {"field": "name"}, "field"), ("acct_1/tracking-links/502/spenders", {"minSpend": "inf"}, "minSpend"),
    ("acct_1/tracking-links/502/stats", {"date_end": "x"}, "date_end"), ("acct_1/stored/trial-links", {"limit": "0"}, "limit"),
    (f"{POSTBACK}/deliveries", {"state": "x"}, "state"),
]  # fmt: skip

BODIES = [
    ("POST", "smart-links", NEW_LINK | {"name": "x" * 256}, "name"), ("POST", "smart-links", NEW_LINK | {"name": 1}, "name"),
    ("POST", "smart-links", NEW_LINK | {"account_id": "acct_2"}, "account_id"), ("POST", "smart-links", NEW_LINK | {"colour": 1}, "colour"),
    ("POST", "smart-links", NEW_LINK | {"window_seconds": 2592001}, "window_seconds"), ("POST", "smart-links", {}, "account_id"),
    ("POST", "smart-links", NEW_LINK | {"window_seconds": True}, "window_seconds"), ("POST", "smart-links", NEW_LINK | {"tags": ["a,b"]}, "tags"),
    ("POST", "smart-links", NEW_LINK | {"tags": [" "]}, "tags"), ("POST", "smart-links", NEW_LINK | {"tags": ["x"] * 51}, "tags"),
    ("POST", "smart-links", NEW_LINK | {"destination_ids": ["nobody"]}, "destination_ids"),
    ("PATCH", LINK, {"name": None}, "name"), ("PATCH", LINK, {"state": "deleted"}, "state"), ("PATCH", LINK, {"link_type": "free_trial"}, "free_trial_days"),
    ("PATCH", LINK, {"free_trial_days": 7}, "free_trial_days"), ("PATCH", LINK, {"fallback_url": "//x"}, "fallback_url"),
    ("PATCH", LINK, {"destination_ids": ["{connection}"]}, "destination_ids"), ("PATCH", LINK, {"tags": "x"}, "tags"),
    ("POST", f"{LINK}/tags", {"tags": []}, "tags"), ("POST", f"{LINK}/tags", {"tags": ["x" * 101]}, "tags"), ("DELETE", f"{LINK}/tags", {"tag": "x"}, "tag"),
    ("PATCH", POSTBACK, {"smart_link_ids": [FOREIGN]}, "smart_link_ids"), ("PATCH", POSTBACK, {"smart_link_ids": []}, "smart_link_ids"),
    ("PATCH", POSTBACK, {"http_method": "PUT"}, "http_method"), ("PATCH", POSTBACK, {"url": "https://a.example/{oops}"}, "url"),
    ("PATCH", POSTBACK, {"body": "{}"}, "body"), ("PATCH", POSTBACK, {"conversion_types": []}, "conversion_types"),
    ("PATCH", POSTBACK, {"headers": [{"name": "A", "value": "1"}, {"name": "a", "value": "2"}]}, "headers"),
    ("POST", f"{POSTBACK}/replay", {"since": "yesterday"}, "since"), ("POST", f"{POSTBACK}/replay", {"event_ids": ["x"] * 1001}, "event_ids"),
    ("POST", f"{POSTBACK}/replay", {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "since"),
    ("POST", f"{POSTBACK}/test", {"event": "sale"}, "event"), ("PATCH", "connections/{connection}", {"token": ""}, "token"),
    ("PATCH", "connections/{connection}", {"config": {"pixel_id": "x"}}, "config.pixel_id"), ("PATCH", "connections/{connection}", {"kind": "tiktok"}, "kind"),
    ("POST", "webhooks", NEW_HOOK | {"events": ["users.typing"]}, "events"), ("POST", "webhooks", NEW_HOOK | {"events": []}, "events"),
    ("POST", "webhooks", NEW_HOOK | {"endpoint_url": "ftp://a.example"}, "endpoint_url"),
    ("POST", "webhooks", NEW_HOOK | {"endpoint_url": "https://a.example/{click_id}"}, "endpoint_url"),
    ("POST", "webhooks", NEW_HOOK | {"account_scope": "all"}, "account_scope"), ("POST", "webhooks", NEW_HOOK | {"account_scope": "inclusive"}, "account_ids"),
    ("POST", "webhooks", NEW_HOOK | {"account_scope": "inclusive", "account_ids": ["acct_2"]}, "account_ids"),
    ("POST", "webhooks", NEW_HOOK | {"account_ids": ["acct_1"]}, "account_ids"), ("POST", "webhooks", NEW_HOOK | {"signing_secret": "x" * 300}, "signing_secret"),
    ("PUT", HOOK, {"endpoint_url": "https://a.example/"}, "events"), ("PUT", HOOK, NEW_HOOK | {"enabled": "yes"}, "enabled"),
    ("POST", "connected-accounts", {"provider_account_id": "p", "api_key": "k", "provider": "myspace"}, "provider"),
    ("POST", "connected-accounts", {"provider_account_id": "", "api_key": "k"}, "provider_account_id"),
    ("PATCH", "connected-accounts/acct_1", {"profile_url": "javascript:alert(1)"}, "profile_url"),
    ("PATCH", "connected-accounts/acct_1", {"webhook_secret": "a\nb"}, "webhook_secret"), ("PATCH", "connected-accounts/acct_1", {"session": "ok"}, "session"),
    ("POST", "acct_1/tracking-links", {}, "name"), ("POST", "acct_1/tracking-links", {"name": "cb-12"}, "name"), ("POST", "acct_1/tracking-links", {"name": " "}, "name"),
    ("POST", "acct_1/trial-links", NEW_TRIAL | {"duration": 5}, "duration"), ("POST", "acct_1/trial-links", NEW_TRIAL | {"offerLimit": 11}, "offerLimit"),
    ("POST", "acct_1/trial-links", NEW_TRIAL | {"offerExpiration": 31}, "offerExpiration"),
]  # fmt: skip


@pytest.fixture
async def before(house: House) -> Any:
    return await house.state()


async def test_queries_out_of_bounds_name_the_parameter(house: House, before: Any) -> None:
    for path, params, field in QUERIES:
        answer = await house.api.get(f"/api/{path.format(**house.ids)}", params=params)
        assert answer.status_code == 422, (path, params, answer.text)
        assert field in answer.json()["errors"], (path, params, answer.text)
    assert await house.state() == before


async def test_bodies_that_break_a_rule_name_the_field(house: House, before: Any) -> None:
    for method, path, body, field in BODIES:
        text = json.dumps(body)
        for name, value in house.ids.items():
            text = text.replace("{" + name + "}", value)
        answer = await house.api.request(
            method, f"/api/{path.format(**house.ids)}", content=text, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 422, (method, path, body, answer.text)
        assert field in json.dumps(answer.json()["errors"]), (method, path, body, answer.text)
    assert await house.state() == before


def _routes(house: House) -> list[tuple[str, str]]:
    app: Any = house.api._transport.app  # type: ignore[attr-defined]
    return sorted(
        (method, route.path_format)
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path.startswith("/api/")
        for method in route.methods
        if method != "OPTIONS"
    )


HOSTILE_IDS = (
    "nobody",
    "%00",
    "x" * 3000,
    "'; DROP TABLE clicks; --",
    "a.b",
    "٣",
    "18446744073709551616",
    "%F0%9F%92%A9",
    "%ff",
    "-1",
)


async def test_no_id_is_a_defect(house: House, before: Any) -> None:
    """Every route of the API with every strange id in every place."""
    walked = 0
    for method, path in _routes(house):
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        for hostile in HOSTILE_IDS if names else ():
            told = hostile if hostile.startswith("%") else quote(hostile, safe="")
            answer = await house.api.request(method, path.format(**dict.fromkeys(names, told)), json={})
            assert 400 <= answer.status_code < 500, (method, path, hostile, answer.text)
            walked += 1
    assert walked > 300
    assert await house.state() == before


HOSTILE_BODIES = (
    b"{",
    b"[]",
    b"null",
    b'"x"',
    b"7",
    b"\xff\xfe",
    b'{"unknown": 1}',
    b'{"a": ' + b"[" * 3000,
    b'{"name": "\\ud800"}',
    b"",
)


async def test_no_body_is_a_defect(house: House, before: Any) -> None:
    """Every route that takes a body, with each of these; a body without meaning may be taken for an empty one."""
    mine = (
        "smart-link",
        "connections",
        "webhooks",
        "connected-accounts",
        "tracking-links",
        "trial-links",
        "destinations",
    )
    ids = {"smart_link_id": "link", "postback_id": "postback", "destination_id": "postback", "connection_id": "connection",
           "webhook_id": "webhook", "account_id": "account", "account": "account"}  # fmt: skip
    for method, path in _routes(house):
        if (
            method in ("GET", "HEAD", "DELETE")
            or not any(word in path for word in mine)
            or "reconnect" in path
            or "redeliver" in path
            or "test" in path
        ):
            continue
        kind = "601" if "trial" in path else "502"
        filled = path.format_map(_Ids({name: house.ids[known] for name, known in ids.items()} | {"link_id": kind}))
        for body in HOSTILE_BODIES:
            answer = await house.api.request(method, filled, content=body, headers={"Content-Type": "application/json"})
            assert 400 <= answer.status_code < 500, (method, path, body, answer.text)
        huge = await house.api.request(method, filled, content=b'{"name": "' + b"x" * (2 << 20) + b'"}')
        assert huge.status_code == 413, (method, path)
    assert await house.state() == before


class _Ids(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "1"


async def test_other_peoples_ids_choose_nothing(house: House, before: Any) -> None:
    for method, path in (
        ("GET", f"smart-links/{FOREIGN}"), ("PATCH", f"smart-links/{FOREIGN}"), ("DELETE", f"smart-links/{FOREIGN}"),
        ("GET", f"smart-links/{FOREIGN}/clicks"), ("GET", f"smart-links/{FOREIGN}/fans"), ("GET", f"smart-links/{FOREIGN}/tags"),
        ("GET", "connected-accounts/acct_2"), ("DELETE", "accounts/acct_2"), ("GET", "acct_2/tracking-links"),
        ("POST", "connected-accounts/acct_2/reconnect"), ("GET", "acct_2/tracking-links/501/subscribers"),
    ):  # fmt: skip
        answer = await house.api.request(method, f"/api/{path}", json={} if method != "GET" else None)
        assert answer.status_code == 404, (method, path, answer.text)
    assert await house.ask("GET", "smart-links", params={"account_ids": "acct_2"}) == []
    assert await house.state() == before
