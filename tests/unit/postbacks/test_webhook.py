"""A team's own webhook: what it says, how it is signed, whom it is told of."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from postbacks.destinations import registry
from postbacks.destinations.base import Item
from postbacks.destinations.webhook import EVENTS, example
from postbacks.egress import Answer
from postbacks.schema import ConfigError
from tests.unit.postbacks.clicks import FACTS

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONFIG: dict[str, Any] = {"url": "https://a.example/h?x=1", "events": list(EVENTS)}
ACCOUNT = FACTS | {
    "ofapi_account_id": "acct_1",
    "fan_onlyfans_id": "310112051",
    "click_id": "01jd8z6h3n5p7r9t1v2x4y6z8b",
    "_ip": "203.0.113.9",
}


def item(event_type: str, **facts: str) -> Item:
    return Item("cnv-1", event_type, AT, ACCOUNT | facts)


def test_the_body_is_signed_and_says_no_match_keys() -> None:
    webhook = registry.load("webhook", CONFIG, {"signing_secret": "s3cret"})
    for event_type in webhook.event_types:
        request = webhook.render([item(event_type)])
        assert request.body is not None
        assert request.headers["Signature"] == hmac.new(b"s3cret", request.body, hashlib.sha256).hexdigest()
        assert b"203.0.113.9" not in request.body
        assert request.headers["X-OFAPI-Idempotency-Key"].startswith("evt_")
        assert len(request.headers["X-OFAPI-Idempotency-Key"]) == 44
        assert webhook.render([item(event_type)]) == request, "a retry is the same request"
    assert "Signature" not in registry.load("webhook", CONFIG).render([item("click")]).headers


def test_the_vendors_events_have_the_vendors_fields() -> None:
    webhook = registry.load("webhook", CONFIG)
    paid = item(
        "new_transaction", amount_gross="10.00", amount_net="8.00", transaction_type="tip", transaction_status="done"
    )
    said = msgspec.json.decode(webhook.render([paid]).body or b"")
    assert (said["event"], said["account_id"]) == ("transactions.new", "acct_1")
    told = said["payload"]
    assert (told["amount"], told["net_amount"], told["type"], told["status"]) == (10.0, 8.0, "tip", "done")
    assert told["fan"]["id"] == "310112051"
    won = msgspec.json.decode(webhook.render([item("new_subscriber")]).body or b"")
    assert won["payload"]["user"]["id"] == 310112051
    assert won["payload"]["credit"]["click_id"] == "01jd8z6h3n5p7r9t1v2x4y6z8b"


@pytest.mark.parametrize(("scope", "ids", "told"), [("inclusive", ["acct_1"], True), ("inclusive", ["acct_2"], False), ("exclusive", ["acct_1"], False), ("exclusive", ["acct_2"], True)])  # fmt: skip
def test_only_the_accounts_it_is_for(scope: str, ids: list[str], told: bool) -> None:
    webhook = registry.load("webhook", CONFIG | {"account_scope": scope, "account_ids": ids})
    verdict = webhook.screen(item("new_subscriber"), AT)
    assert (verdict is None) == told
    assert verdict is None or verdict.outcome == "skipped"


@pytest.mark.parametrize(
    ("status", "outcome", "halts"),
    [(204, "delivered", ""), (410, "permanent", "disabled"), (429, "throttled", ""), (302, "transient", ""), (500, "transient", ""), (401, "transient", "")],
)  # fmt: skip
def test_answers_are_judged(status: int, outcome: str, halts: str) -> None:
    (verdict,) = registry.load("webhook", CONFIG).judge([item("click")], Answer(status, "x", {}, b""))
    assert (verdict.outcome, verdict.halts) == (outcome, halts)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "ftp://a.example/"}, "url"),
        ({"url": "https://a.example/{click_id}"}, "url"),
        ({"events": ["users.typing"]}, "events"),
        ({"events": []}, "events"),
        ({"account_scope": "inclusive"}, "account_ids"),
        ({"account_ids": ["acct_1"]}, "account_ids"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_mistakes_name_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as refused:
        registry.load("webhook", CONFIG | change)
    assert refused.value.field == field


def test_every_event_has_an_example() -> None:
    for name in EVENTS:
        assert example(name, AT)["event"] == name
