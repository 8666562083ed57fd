"""CreatorTraffic (spec section 7): one API token; the ecid of new subscribers who came with utm_source=creatortraffic.

Nothing of its API is public. The smallest contract that fits is one JSON conversion per request with a bearer token
(capi spec 4.5); `path` is a setting of the connection for whoever knows better.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from postbacks.destinations.base import Item, Kind, Plain, Service
from postbacks.destinations.pixel import checked_token, secret_forms
from postbacks.egress import Answer, Request
from postbacks.schema import ConfigError, convert
from postbacks.verdicts import Verdict, parse_retry_after

SERVICE = Service("creatortraffic", "https://ads.creatortraffic.com")
SOURCE = "creatortraffic"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A CreatorTraffic connection."""

    path: str = "/api/v1/conversions"


class CreatorTraffic(Plain):
    """A configured CreatorTraffic account."""

    event_types = ("new_subscriber",)

    def __init__(self, config: Config, secrets: Mapping[str, str], base_url: str) -> None:
        if not re.fullmatch(r"/[A-Za-z0-9/_.-]{1,200}", config.path):
            raise ConfigError("path", "a path starts with / and holds letters, digits, dashes and slashes")
        self._token = checked_token(secrets)
        self.secrets = secret_forms(self._token)
        self._url = base_url + config.path

    def screen(self, item: Item, now: datetime) -> Verdict | None:
        """Only their own clicks, and only with their click id."""
        if item.facts.get("utm_source", "").strip().lower() != SOURCE:
            return Verdict("skipped", "the click did not come with utm_source=creatortraffic")
        if not item.facts.get("external_click_id"):
            return Verdict("skipped", "the click came without an ecid, so CreatorTraffic could not know it")
        return None

    def render(self, items: Sequence[Item]) -> Request:
        """The conversion."""
        item = items[0]
        body = {
            "click_id": item.facts["external_click_id"],
            "event": "subscriber",
            "conversion_id": item.event_id,
            "occurred_at": item.occurred_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        return Request("POST", self._url, headers, msgspec.json.encode(body))

    def judge(self, items: Sequence[Item], answer: Answer) -> list[Verdict]:
        """By the HTTP status: 2xx, 401 and 403, 429, what a retry cannot mend, and the rest."""
        return [judge_status(answer, "CreatorTraffic")]


def judge_status(answer: Answer, name: str, said: str = "") -> Verdict:
    """The judgement of an API that answers by HTTP status; `said`: its own words."""
    words = f"{name}: {answer.status} {said or answer.reason}".strip()
    retry_after = parse_retry_after(answer.headers.get("Retry-After"))
    if 200 <= answer.status < 300:
        return Verdict("delivered", words)
    if answer.status in (401, 403):
        return Verdict("auth", words, halts="paused")
    if answer.status == 429:
        return Verdict("throttled", words, retry_after, overloaded=True)
    if answer.status in (400, 404, 405, 413, 415, 422):
        return Verdict("permanent", words)
    return Verdict("transient", words, retry_after, ambiguous=answer.status >= 500)


def load(config: Mapping[str, Any], secrets: Mapping[str, str], base_url: str = SERVICE.url) -> CreatorTraffic:
    """A destination from its stored configuration. Raises ConfigError."""
    return CreatorTraffic(convert(config, Config), secrets, base_url)


KIND = Kind("creatortraffic", load, SERVICE)
