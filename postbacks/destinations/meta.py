"""Meta Conversions API (capi spec section 1): up to 1,000 events a request, all taken or all refused.

Answers are judged by `error.code`, never by the HTTP status alone. The token travels in the JSON body: URLs are logged by
every proxy on the way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

import msgspec
from msgspec import Raw

from postbacks.destinations import matching
from postbacks.destinations.base import Item, Kind, Service, Told
from postbacks.destinations.mapping import Names, words
from postbacks.destinations.pixel import Config, Pixel, Seen, by_status, document, pointed_at, posted, require
from postbacks.egress import Answer, Request
from postbacks.schema import ConfigError, convert
from postbacks.verdicts import Verdict

SERVICE = Service("meta", "https://graph.facebook.com")
NAMES = Names(
    "Meta",
    words(
        "AddPaymentInfo AddToCart AddToWishlist CompleteRegistration Contact CustomizeProduct Donate FindLocation"
        " InitiateCheckout Lead PageView Purchase Schedule Search StartTrial SubmitApplication Subscribe ViewContent"
    ),
    {
        "click": "ViewContent",
        "new_subscriber": "Subscribe",
        "first_purchase": "Purchase",
        "repeat_purchase": "Purchase",
        "fan_sent_3_messages": "Lead",
    },
)
THROTTLES = frozenset({4, 17, 32, 613, 368, *range(80000, 80015)})
PERMANENT = frozenset({100, 3, 105, 294})
ABOUT_EVENTS = frozenset({100, 105})
AUTH = frozenset({190, 102, 10, 200})
NO_OBJECT = 33  # subcode of 100: no such pixel, or not with this token
_VERSION = re.compile(r"v\d{1,3}\.0")
_INDEX = re.compile(r"data\[(\d{1,4})\]")


class MetaConfig(Config, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A Meta connection. `version`: of the Graph API."""

    version: str = "v25.0"


class User(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`user_data`: whom Meta may match the event to (capi spec 1.3)."""

    client_ip_address: str | None = None
    client_user_agent: Raw | None = None
    fbc: str | None = None
    fbp: str | None = None
    external_id: str | None = None
    country: Raw | None = None


class Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One event of `data` (capi spec 1.2). What is absent is left out: platforms warn of empty fields."""

    event_name: str
    event_time: int
    event_id: str
    action_source: str
    event_source_url: str
    referrer_url: Raw | None = None
    user_data: User | None = None  # there always is one; by position a struct is made sooner
    custom_data: Raw | None = None


class Meta(Pixel):
    """A configured Meta pixel (dataset)."""

    reads = (*matching.READS, "_click_ms", "_fbc", "_fbp", "fbclid")
    batch_size = 1000
    oldest = 7 * matching.DAY
    purchases = frozenset({"Purchase"})
    names = NAMES
    pixel_id_pattern = re.compile(r"\d{5,20}").fullmatch
    pixel_id_hint = "a pixel (dataset) id is a number: copy it from Events Manager"

    def events(self, told: Told, seen: Seen, now: float, refused: dict[int, Verdict]) -> list[msgspec.Struct]:
        """The events, those left out that Meta is known to refuse."""
        facts = told.facts
        clicks = matching.fbcs(facts["_fbc"], facts["fbclid"], facts["_click_ms"], now)
        browsers = matching.fbps(facts["_fbp"])
        countries = matching.few(facts["country"], matching.hashed_country)
        require(refused, "no user agent is known of the click, and Meta needs it for website events", seen.agents)
        # The rest, alone or with one another, matches nobody; a batch with such an event is refused (capi spec 1.5).
        words = "nothing is known of the click that Meta could match a person by"
        require(refused, words, seen.addresses, clicks, browsers, seen.external_ids)
        require(refused, "no page is known of the click, and Meta needs one for website events", seen.pages)
        users = map(User, seen.addresses, seen.agents, clicks, browsers, seen.external_ids, countries)
        return [
            *map(
                Event, seen.names, seen.times, told.event_ids, repeat("website"), seen.pages, seen.referrers, users, seen.worths
            )
        ]  # fmt: skip

    def envelope(self) -> Request:
        """The request without events. The token comes first in the body, where the log's excerpt is masked."""
        assert isinstance(self.config, MetaConfig)
        fields = {"access_token": self.token}
        if self.config.test_event_code:
            fields["test_event_code"] = self.config.test_event_code
        url = f"{self.base_url}/{self.config.version}/{self.config.pixel_id}/events"
        return posted(url, {"Content-Type": "application/json"}, fields)

    def judge(self, items: Sequence[Item], answer: Answer) -> list[Verdict]:
        """By the body (capi spec 1.9)."""
        body = document(answer)
        error = body.get("error") if body else None
        if isinstance(error, dict):
            return _judge_error(error, answer, len(items))
        if body is not None and 200 <= answer.status < 300 and "events_received" in body:
            return [Verdict("delivered", f"Meta received {body['events_received']} events")] * len(items)
        return [by_status(answer, "Meta")] * len(items)


def _judge_error(error: Mapping[str, Any], answer: Answer, count: int) -> list[Verdict]:
    code, subcode = (
        value if isinstance(value, int) else None for value in (error.get("code"), error.get("error_subcode"))
    )
    said = error.get("error_user_msg") or error.get("error_user_title") or error.get("message") or ""
    words = f"Meta error {code}{f'/{subcode}' if subcode else ''}: {said}"
    if code in AUTH or (code == 100 and subcode == NO_OBJECT):
        return [Verdict("auth", words, halts="paused")] * count
    if code in PERMANENT:
        found = _INDEX.search(f"{error.get('error_user_msg')} {error.get('message')}")
        verdict = Verdict("permanent", words, split=code in ABOUT_EVENTS)
        return pointed_at(verdict, count, int(found[1]) if found else None)
    if code in THROTTLES:
        return [Verdict("throttled", words, _regain_seconds(answer), overloaded=True)] * count
    return [Verdict("transient", words, ambiguous=True)] * count


def _regain_seconds(answer: Answer) -> float | None:
    """Seconds until access comes back, as the usage headers tell (minutes there)."""
    try:
        usage = msgspec.json.decode(
            answer.headers.get("X-Business-Use-Case-Usage", "{}"), type=dict[str, list[dict[str, Any]]]
        )
    except msgspec.DecodeError:
        return None
    minutes = [case.get("estimated_time_to_regain_access", 0) for cases in usage.values() for case in cases]
    seconds = max((float(each) * 60 for each in minutes if isinstance(each, int | float)), default=0.0)
    return seconds or None


def load(config: Mapping[str, Any], secrets: Mapping[str, str], base_url: str = SERVICE.url) -> Meta:
    """A destination from its stored configuration. Raises ConfigError."""
    converted = convert(config, MetaConfig)
    if not _VERSION.fullmatch(converted.version):
        raise ConfigError("version", "a Graph API version looks like v25.0")
    return Meta(converted, secrets, base_url)


KIND = Kind("meta", load, SERVICE, Meta.reads)
