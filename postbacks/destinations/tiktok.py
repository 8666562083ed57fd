"""TikTok Events API 2.0 (capi spec section 2): up to 1,000 events a request; HTTP is 200 whatever happens, `code` tells."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from postbacks.destinations import matching
from postbacks.destinations.base import Item, Kind, Service, Told
from postbacks.destinations.mapping import Names, words
from postbacks.destinations.pixel import Config, Pixel, Seen, by_status, document, pointed_at, posted, require
from postbacks.egress import Answer, Request
from postbacks.schema import convert
from postbacks.verdicts import Verdict

SERVICE = Service("tiktok", "https://business-api.tiktok.com")
PATH = "/open_api/v1.3/event/track/"
NAMES = Names(
    "TikTok",
    words(
        "AddPaymentInfo AddToCart AddToWishlist ApplicationApproval CompleteRegistration Contact CustomizeProduct Download"
        " FindLocation InitiateCheckout Lead Pageview Purchase Schedule Search StartTrial SubmitApplication Subscribe"
        " ViewContent CompletePayment PlaceAnOrder ClickButton SubmitForm"
    ),
    {
        "click": "ViewContent",
        "new_subscriber": "Subscribe",
        "first_purchase": "CompletePayment",
        "repeat_purchase": "CompletePayment",
    },
)
OK = 0
PARTIAL = 20001
THROTTLES = frozenset({40016, 40100, 40132, 40133, 61000})
RETRY = frozenset({40201, 40202, 50000, 50002, 60001})
AUTH = frozenset({40001, *range(40101, 40111)})
_INDEX = re.compile(r"Batch\.(\d{1,4})\b")


class User(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`user`: whom TikTok may match the event to (capi spec 2.3)."""

    ttclid: str | None = None
    ttp: str | None = None
    external_id: str | None = None
    ip: str | None = None
    user_agent: Raw | None = None
    country: Raw | None = None


class Page(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`page`: where the click was made."""

    url: str | None  # events without one are refused
    referrer: Raw | None = None


class Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One event of `data` (capi spec 2.2). What is absent is left out: platforms warn of empty fields."""

    event: str
    event_time: int
    event_id: str
    user: User
    page: Page
    properties: Raw | None = None


class TikTok(Pixel):
    """A configured TikTok pixel."""

    reads = (*matching.READS, "_ttp", "ttclid")
    batch_size = 1000
    oldest = 28 * matching.DAY  # the longest click window; TikTok documents no limit (capi spec 2.5)
    purchases = frozenset({"Purchase", "CompletePayment"})
    names = NAMES
    pixel_id_pattern = re.compile(r"[A-Za-z0-9]{5,64}").fullmatch
    pixel_id_hint = "a pixel code is letters and digits: copy it from TikTok Events Manager"

    def events(self, told: Told, seen: Seen, now: float, refused: dict[int, Verdict]) -> list[msgspec.Struct]:
        """The events, those left out that TikTok is known to refuse, or could match to nobody."""
        facts = told.facts
        clicks, browsers = ([*map(matching.token, facts[name])] for name in ("ttclid", "_ttp"))
        countries = matching.few(facts["country"], matching.country)
        words = "nothing is known of the click that TikTok could match a person by"
        require(refused, words, clicks, browsers, seen.external_ids, seen.addresses)
        require(refused, "no page is known of the click, and TikTok needs one for web events", seen.pages)
        users = map(User, clicks, browsers, seen.external_ids, seen.addresses, seen.agents, countries)
        pages = map(Page, seen.pages, seen.referrers)
        return [*map(Event, seen.names, seen.times, told.event_ids, users, pages, seen.worths)]

    def envelope(self) -> Request:
        """The request without events."""
        fields = {"event_source": "web", "event_source_id": self.config.pixel_id}
        if self.config.test_event_code:
            fields["test_event_code"] = self.config.test_event_code
        headers = {"Content-Type": "application/json", "Access-Token": self.token}
        return posted(self.base_url + PATH, headers, fields)

    def judge(self, items: Sequence[Item], answer: Answer) -> list[Verdict]:
        """By `code` (capi spec 2.6)."""
        body = document(answer)
        code = body.get("code") if body else None
        if body is None or not isinstance(code, int):
            return [by_status(answer, "TikTok")] * len(items)
        if code == PARTIAL:
            return _judge_partial(items, body)
        verdict = _verdict(code, body.get("message"))
        found = _INDEX.search(str(body.get("message")))
        return pointed_at(verdict, len(items), int(found[1]) if found and verdict.split else None)


def _verdict(code: int, message: object) -> Verdict:
    words = f"TikTok {code}: {message}"
    if code == OK:
        return Verdict("delivered", words)
    if code in AUTH:
        return Verdict("auth", words, halts="paused")
    if code in THROTTLES:
        return Verdict("throttled", words, overloaded=True)
    if code in RETRY or 51000 <= code < 53000:
        return Verdict("transient", words, ambiguous=True)
    if 40000 <= code < 50000:
        return Verdict("permanent", words, split=True)
    return Verdict("transient", words, ambiguous=True)


def _judge_partial(items: Sequence[Item], body: Mapping[str, Any]) -> list[Verdict]:
    """The failed ones by what is said of each; if nothing is said, all again in halves: event ids make that safe."""
    data = body.get("data")
    rows = data.get("failed_events") if isinstance(data, dict) else None
    places = {item.event_id: at for at, item in enumerate(items)}
    failed: dict[int, Verdict] = {}
    for row in rows if isinstance(rows, list) else []:
        at = places.get(str(row.get("event_id"))) if isinstance(row, dict) else None
        if at is not None:
            code = row.get("code")
            verdict = _verdict(code if isinstance(code, int) else 40000, row.get("message"))
            failed[at] = msgspec.structs.replace(verdict, split=False)
    if not failed:
        return [Verdict("permanent", f"TikTok {PARTIAL}: not taken, without a reason", split=True)] * len(items)
    return [failed.get(at, Verdict("delivered", f"TikTok {PARTIAL}: taken")) for at in range(len(items))]


def load(config: Mapping[str, Any], secrets: Mapping[str, str], base_url: str = SERVICE.url) -> TikTok:
    """A destination from its stored configuration. Raises ConfigError."""
    return TikTok(convert(config, Config), secrets, base_url)


KIND = Kind("tiktok", load, SERVICE, TikTok.reads)
