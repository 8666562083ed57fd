"""A team's own webhook: every event as JSON, signed as the vendor signs its webhooks (upstream spec 1.7, 1.8).

Three of the vendor's events are known here; they carry what the vendor's carry and our credit beside it. The others are ours.
`Signature` is the lower-case hex HMAC-SHA256 of the raw body under the signing secret, when there is one. A repeated or replayed
delivery keeps its `X-OFAPI-Idempotency-Key`: deduplicate on it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from postbacks import templates
from postbacks.destinations.base import Item, Kind, Plain
from postbacks.egress import Answer, Request
from postbacks.facts import SAMPLE
from postbacks.schema import ConfigError, convert
from postbacks.templates import Slot, TemplateError
from postbacks.verdicts import Verdict, parse_retry_after

EVENTS: dict[str, tuple[str, str]] = {
    "subscriptions.new": ("new_subscriber", "A fan subscribed through a smart link"),
    "transactions.new": ("new_transaction", "A fan credited to a smart link paid"),
    "messages.received": ("message_received", "A fan credited to a smart link sent a message"),
    "smart_links.click": ("click", "A smart link was clicked, by neither a bot nor the same visitor again"),
    "smart_links.fan_sent_1_message": ("fan_sent_1_message", "A fan credited to a smart link sent the first message"),
    "smart_links.fan_sent_3_messages": ("fan_sent_3_messages", "A fan credited to a smart link sent the third message"),
    "smart_links.transaction_status": ("transaction_status", "The state of a credited payment changed"),
}
"""Event name -> our event type, and what it means."""

NAMES = {event_type: name for name, (event_type, _) in EVENTS.items()}
LONGEST_SECRET = 255
_CLICK = (
    "country", "fbclid", "gclid", "gbraid", "wbraid", "ttclid", "sccid", "utm_source", "utm_medium", "utm_campaign",
    "utm_term", "utm_content", "aff_s1", "aff_s2", "aff_s3", "aff_s4", "aff_s5",
)  # fmt: skip


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A webhook. `account_scope`: of which accounts it is told: all, those of `account_ids`, or all but those."""

    url: str
    events: list[str]
    account_scope: Literal["global", "inclusive", "exclusive"] = "global"
    account_ids: list[str] = []


class Webhook(Plain):
    """A configured webhook. Its one secret is `signing_secret`."""

    def __init__(self, config: Config, secrets: Mapping[str, str]) -> None:
        try:
            url = templates.parse_url(config.url)
            if any(isinstance(part, Slot) for part in url.parts):
                raise ConfigError("url", "a webhook's URL has no variables: what happened is in the body")
        except TemplateError as error:
            raise ConfigError("url", error.message, error.position) from error
        unknown = [name for name in config.events if name not in EVENTS]
        if unknown or not config.events:
            said = f"{unknown[0][:64]!r} is not offered here" if unknown else "name at least one event"
            raise ConfigError("events", f"{said}: use {', '.join(EVENTS)}")
        if (config.account_scope == "global") == bool(config.account_ids):
            raise ConfigError(
                "account_ids", "name accounts with the scopes inclusive and exclusive, and only with them"
            )
        self.config = config
        self._url = templates.render(url, {})
        self.event_types = tuple(dict.fromkeys(EVENTS[name][0] for name in config.events))
        secret = secrets.get("signing_secret", "")
        if len(secret) > LONGEST_SECRET:
            raise ConfigError("signing_secret", f"at most {LONGEST_SECRET} characters")
        self._secret = secret.encode()
        self.secrets = (secret,) if secret else ()

    def screen(self, item: Item, now: datetime) -> Verdict | None:
        """Only the accounts it is for."""
        scope = self.config.account_scope
        if scope == "global":
            return None
        if (item.facts.get("ofapi_account_id") in self.config.account_ids) == (scope == "inclusive"):
            return None
        return Verdict("skipped", "this webhook is not told of that account")

    def render(self, items: Sequence[Item]) -> Request:
        """The event as JSON, signed."""
        item = items[0]
        body = msgspec.json.encode(payload(item))
        headers = {"Content-Type": "application/json", "X-OFAPI-Idempotency-Key": idempotency_key(item.event_id)}
        if self._secret:
            headers["Signature"] = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        return Request("POST", self._url, headers, body)

    def judge(self, items: Sequence[Item], answer: Answer) -> list[Verdict]:
        """Any 2xx is delivered; 410 ends it; the rest is tried again on the schedule."""
        words = f"{answer.status} {answer.reason}".strip()
        if 200 <= answer.status < 300:
            return [Verdict("delivered", words)]
        if answer.status == 410:
            return [Verdict("permanent", f"{words}; the receiver wants no more of these", halts="disabled")]
        retry_after = parse_retry_after(answer.headers.get("Retry-After"))
        if answer.status == 429:
            return [Verdict("throttled", words, retry_after, overloaded=True)]
        if 300 <= answer.status < 400:
            words += "; redirects are not followed: use the final address"
        return [Verdict("transient", words, retry_after)]


def idempotency_key(event_id: str) -> str:
    """What every copy of one event carries: `evt_` and 40 hex digits."""
    return "evt_" + hashlib.sha256(event_id.encode()).hexdigest()[:40]


def payload(item: Item) -> dict[str, Any]:
    """The body of an event: the vendor's fields where it has such an event, and `credit`: which smart link and click it belongs to."""
    facts = item.facts
    at = item.occurred_at.isoformat()
    fan = {
        "id": _number(facts.get("fan_onlyfans_id")),
        "username": facts.get("fan_onlyfans_username"),
        "name": facts.get("fan_onlyfans_name"),
    }
    told: dict[str, Any] = {"id": item.event_id, "createdAt": at}
    if item.event_type == "new_subscriber":
        told |= {
            "type": "subscribed",
            "subType": "new_subscriber",
            "price": _dollars(facts, "amount_gross"),
            "user": fan,
        }
    elif item.event_type in ("new_transaction", "transaction_status"):
        told |= {
            "created_at": at,
            "type": facts.get("transaction_type"),
            "amount": _dollars(facts, "amount_gross"),
            "net_amount": _dollars(facts, "amount_net"),
            "currency": facts.get("currency", "USD"),
            "status": facts.get("transaction_status"),
            "description": facts.get("transaction_description"),
            "fan": fan | {"id": facts.get("fan_onlyfans_id")},
        }
    elif item.event_type != "click":
        told |= {"fromUser": fan}
    told["credit"] = {
        "conversion_type": item.event_type,
        "smart_link_id": facts.get("smart_link_id"),
        "smart_link_name": facts.get("smart_link_name"),
        "click_id": facts.get("click_id"),
        "external_click_id": facts.get("external_click_id"),
        **{name: facts[name] for name in _CLICK if name in facts},
    }
    return {"event": NAMES[item.event_type], "account_id": facts.get("ofapi_account_id"), "payload": told}


def example(name: str, at: datetime) -> dict[str, Any]:
    """A sample body of an event. Raises KeyError for one that is not offered."""
    return payload(Item(SAMPLE["conversion_id"], EVENTS[name][0], at, SAMPLE))


def _number(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 20 else text


def _dollars(facts: Mapping[str, str], name: str) -> float | None:
    return float(facts[name]) if facts.get(name) else None


def load(config: Mapping[str, Any], secrets: Mapping[str, str]) -> Webhook:
    """A destination from its stored configuration. Raises ConfigError."""
    return Webhook(convert(config, Config), secrets)


KIND = Kind("webhook", load)
