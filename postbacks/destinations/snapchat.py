"""Snapchat Conversions API v3 (capi spec section 3): up to 2,000 events a request; `status` in the body tells, also in a 200."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Raw

from postbacks.destinations import matching
from postbacks.destinations.base import Item, Kind, Service, Told
from postbacks.destinations.mapping import Names, words
from postbacks.destinations.pixel import (
    Config,
    Pixel,
    Seen,
    Worth,
    by_status,
    document,
    pointed_at,
    posted,
    require,
    worth_of,
)
from postbacks.egress import Answer, Request
from postbacks.schema import ConfigError, convert
from postbacks.verdicts import Verdict, parse_retry_after

SERVICE = Service("snapchat", "https://tr.snapchat.com")
CUSTOM = frozenset(f"CUSTOM_EVENT_{number}" for number in range(1, 6))
NAMES = Names(
    "Snapchat",
    CUSTOM
    | words(
        "PAGE_VIEW VIEW_CONTENT ADD_CART ADD_TO_WISHLIST SIGN_UP SEARCH PURCHASE ADD_BILLING START_CHECKOUT SUBSCRIBE"
        " START_TRIAL LIST_VIEW AD_CLICK AD_VIEW LOGIN SHARE SAVE RESERVE INVITE RATE COMPLETE_TUTORIAL LEVEL_COMPLETE"
        " ACHIEVEMENT_UNLOCKED SPENT_CREDITS"
    ),
    {
        "click": "VIEW_CONTENT",
        "new_subscriber": "SIGN_UP",
        "first_purchase": "PURCHASE",
        "repeat_purchase": "PURCHASE",
        "fan_sent_3_messages": "LEVEL_COMPLETE",
    },
    CUSTOM,
)


class User(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`user_data`: whom Snapchat may match the event to (capi spec 3.3)."""

    client_ip_address: str | None = None
    client_user_agent: Raw | None = None
    sc_click_id: str | None = None
    sc_cookie1: str | None = None
    external_id: str | None = None
    country: Raw | None = None


class Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One event of `data` (capi spec 3.2). What is absent is left out: platforms warn of empty fields."""

    event_name: str
    event_time: int
    event_id: str
    action_source: str
    event_source_url: str
    user_data: User
    custom_data: Raw | Worth | None = None


class Snapchat(Pixel):
    """A configured Snap pixel. `validating`: events go to the validate URL, which counts nothing."""

    reads = (*matching.READS, "_scid", "sccid")
    batch_size = 2000
    oldest = 37 * matching.DAY
    purchases = frozenset({"PURCHASE"})
    names = NAMES
    pixel_id_pattern = re.compile(r"[A-Za-z0-9-]{5,64}").fullmatch
    pixel_id_hint = "a Snap pixel id is letters, digits and dashes: copy it from Snapchat Events Manager"
    validating = False

    def events(self, told: Told, seen: Seen, now: float, refused: dict[int, Verdict]) -> list[msgspec.Struct]:
        """The events, those left out that Snapchat is known to refuse. It is not told of referrers."""
        facts = told.facts
        clicks, browsers = (map(matching.token, facts[name]) for name in ("sccid", "_scid"))
        countries = matching.few(facts["country"], matching.hashed_country)
        words = "Snapchat needs the click's address and user agent, and they are not known"
        require(refused, words, seen.addresses)
        require(refused, words, seen.agents)
        require(refused, "no page is known of the click, and Snapchat needs one for web events", seen.pages)
        worths: Iterable[Raw | Worth | None] = seen.worths
        if not self.purchases.isdisjoint(seen.names):
            worths = map(self._ordered, seen.names, seen.worths, facts["amount_gross"], told.event_ids)
        users = map(User, seen.addresses, seen.agents, clicks, browsers, seen.external_ids, countries)
        return [*map(Event, seen.names, seen.times, told.event_ids, repeat("WEB"), seen.pages, users, worths)]

    def _ordered(self, name: str | None, written: Raw | None, gross: str, event_id: str) -> Raw | Worth | None:
        """A purchase's worth has the order id that Snapchat deduplicates it by for 30 days (capi spec 3.6)."""
        worth = worth_of(gross) if name in self.purchases else None
        return written if worth is None else Worth(worth.value, worth.currency, event_id)

    def envelope(self) -> Request:
        """The request without events. Snapchat takes its token in the URL only; logs show it masked."""
        path = "/events/validate" if self.validating else "/events"
        url = f"{self.base_url}/v3/{self.config.pixel_id}{path}?access_token={quote(self.token, safe='')}"
        return posted(url, {"Content-Type": "application/json"}, {})

    def judge(self, items: Sequence[Item], answer: Answer) -> list[Verdict]:
        """By `status` in the body first: INVALID can arrive inside a 200 (capi spec 3.6)."""
        body = document(answer)
        status = str(body.get("status", "")) if body else ""
        words = f"Snapchat {status or answer.status}: {body.get('reason', answer.reason) if body else answer.reason}"
        verdict: Verdict
        if status.upper() == "INVALID" and body is not None:
            index = body.get("event")
            verdict = Verdict("permanent", f"{words}{_details(body)}", split=True)
            return pointed_at(verdict, len(items), index if isinstance(index, int) else None)
        if answer.status in (401, 403):
            verdict = Verdict("auth", words, halts="paused")
        elif answer.status == 429:
            verdict = Verdict("throttled", words, parse_retry_after(answer.headers.get("Retry-After")), overloaded=True)
        elif 200 <= answer.status < 300 and status.upper() != "ERROR" and (body is not None or not answer.body):
            verdict = Verdict("delivered", words)
        elif 400 <= answer.status < 500 and body is not None:
            verdict = Verdict("permanent", words, split=answer.status in (400, 413, 422))
        else:
            verdict = by_status(answer, "Snapchat")
        return [verdict] * len(items)


def _details(body: Mapping[str, Any]) -> str:
    """What a validation says beyond its reason."""
    logs = body.get("event_logs")
    errors = (
        [error for log in logs if isinstance(log, dict) for error in log.get("errors") or []]
        if isinstance(logs, list)
        else []
    )
    return f" ({'; '.join(map(str, errors))})" if errors else ""


def load(config: Mapping[str, Any], secrets: Mapping[str, str], base_url: str = SERVICE.url) -> Snapchat:
    """A destination from its stored configuration. Raises ConfigError."""
    converted = convert(config, Config)
    if converted.test_event_code:
        raise ConfigError("test_event_code", "Snapchat has none: test events go to its validate URL")
    return Snapchat(converted, secrets, base_url)


KIND = Kind("snapchat", load, SERVICE, Snapchat.reads)
