"""What Meta, TikTok and Snapchat have in common: a pixel, a token, an event mapping, batches with ages."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from msgspec import Raw

from postbacks.destinations import matching
from postbacks.destinations.base import Batching, Item, Told, sealed
from postbacks.destinations.mapping import PURCHASES, WITH_VALUE, Choice, Names, event_names, event_types, our_event
from postbacks.egress import Answer, Request
from postbacks.schema import ConfigError
from postbacks.verdicts import Verdict, parse_retry_after

DEDUP_SECONDS = 48 * 3600.0 - 600.0  # platforms recognise a repeated event id for 48 hours (capi spec 0)
MARGIN_SECONDS = 300.0  # a batch waits, travels, and meets another clock
CURRENCY = "USD"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A pixel connection. `events`: our event -> a standard event, {"custom": name} or "off"; absent: the default."""

    pixel_id: str
    events: dict[str, Choice] = {}
    test_event_code: str = ""


def now_utc() -> datetime:
    """The time."""
    return datetime.now(UTC)


def secret_forms(token: str) -> tuple[str, ...]:
    """A token as it is and as it looks in a URL."""
    return tuple(sorted({token, quote(token, safe="")}, key=len, reverse=True))


def checked_token(secrets: Mapping[str, str]) -> str:
    """The token among the sealed secrets. Raises ConfigError."""
    found = secrets.get("token", "")
    if not found:
        raise ConfigError("token", "an access token is needed")
    if not found.isascii() or not found.isprintable() or " " in found:
        raise ConfigError("token", "this token holds spaces or other characters no token has: copy it again")
    return found


class Worth(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What an event is worth, as every platform is told. `order_id` is Snapchat's alone."""

    value: float
    currency: str
    order_id: str | None = None


@lru_cache(maxsize=4096)
def worth_of(gross: str) -> Worth | None:
    """What an event of that gross amount is worth; None when not known."""
    amount = matching.value(gross)
    return None if amount is None else Worth(amount, CURRENCY)  # spec section 7


class Seen(NamedTuple):
    """What all platforms are told of events, side by side. `names`: None of those that are refused already. `worths`: a `Worth` each."""

    names: list[str | None]
    times: list[int]
    worths: list[Raw | None]
    addresses: list[str | None]
    agents: list[Raw | None]
    external_ids: list[str | None]
    pages: list[str | None]
    referrers: list[Raw | None]


class Course(NamedTuple):
    """What every event of one of ours becomes on a connection. `bought`: the platform wants it with a value."""

    name: str
    with_value: bool
    bought: bool

    def takes(self, gross: str) -> bool:
        """Whether an event of this gross amount may be sent."""
        worth = worth_of(gross) if self.with_value else None
        return not self.bought if worth is None else worth.value >= 0


class Pixel(Batching):
    """A configured pixel. Subclasses say what events look like, and judge answers.

    `reads`: the facts the platform is told of. `oldest`: seconds after which the platform refuses an event. `purchases`:
    names that need a value. `clock` is for tests.
    """

    dedup_seconds = DEDUP_SECONDS
    reads: tuple[str, ...]
    oldest: float
    purchases: frozenset[str]
    names: Names
    pixel_id_pattern: Callable[[str], object]
    pixel_id_hint: str

    def __init__(
        self, config: Config, secrets: Mapping[str, str], base_url: str, clock: Callable[[], datetime] = now_utc
    ) -> None:
        self.config = config
        self.clock = clock
        self.token = checked_token(secrets)
        self.secrets = secret_forms(self.token)
        self.base_url = base_url
        self.event_names = event_names(self.names, config.events)
        self._courses: dict[str | None, Course] = {
            ours: Course(name, ours in WITH_VALUE, name in self.purchases) for ours, name in self.event_names.items()
        }
        self.event_types = event_types(self.event_names)
        if not type(self).pixel_id_pattern(config.pixel_id):
            raise ConfigError("pixel_id", self.pixel_id_hint)

    @abstractmethod
    def events(self, told: Told, seen: Seen, now: float, refused: dict[int, Verdict]) -> list[msgspec.Struct]:
        """The events of `data`, one for each, those not to be sent included; what lacks something is added to `refused`."""

    def screen(self, item: Item, now: datetime) -> Verdict | None:
        """What is switched off is skipped; what the platform is known to refuse is refused here, with the reason."""
        refused: dict[int, Verdict] = {}
        self.write(self._told([item]), now.timestamp(), refused)
        return refused.get(0)

    def render(self, items: Sequence[Item]) -> Request:
        """The request that tells these events; all have been screened."""
        told = self._told(items)
        refused: dict[int, Verdict] = {}
        events = self.write(told, self.clock().timestamp(), refused)
        if refused:
            raise ValueError(next(iter(refused.values())).words)
        envelope = self.envelope()
        body = bytearray((envelope.body or b"") + msgspec.json.encode(events))
        return sealed(envelope, body, harmless=self.harmless(told))

    def write(self, told: Told, now: float, refused: dict[int, Verdict]) -> list[msgspec.Struct]:
        """The events, as the platform wants them."""
        names, times, worths = self._chosen(told, now, refused)
        facts = told.facts
        seen = Seen(
            names, times, worths,
            matching.addresses(facts["_ip"]),
            matching.few(facts["_user_agent"], matching.agent),
            matching.external_ids(facts["external_click_id"]),
            matching.pages(facts["_landing_url"]),
            matching.few(facts["_referrer"], matching.referrer),
        )  # fmt: skip
        made = self.events(told, seen, now, refused)
        if len(made) != len(names):  # what is not made must not count as sent
            raise ValueError(f"{len(made)} events were made of {len(names)}")
        return [event for place, event in enumerate(made) if place not in refused] if refused else made

    def harmless(self, told: Told) -> bool:
        """Whether no page, agent or id of these holds our token, or what looks like a secret."""
        return matching.harmless(told, self.secrets)

    def _chosen(
        self, told: Told, now: float, refused: dict[int, Verdict]
    ) -> tuple[list[str | None], list[int], list[Raw | None]]:
        """Name, time and worth of each event; no name for what is refused."""
        names: list[str | None] = []
        worths: list[Raw | None] = []
        latest = self.oldest - MARGIN_SECONDS
        courses = self._courses
        amounts = told.facts["amount_gross"]
        types = set(told.event_types)
        only = courses.get(types.pop()) if len(types) == 1 and not refused else None
        if only is not None and now - min(told.occurred) <= latest and all(map(only.takes, set(amounts))):
            # Most chunks are of one type, clicks above all, with nothing to refuse.
            names = [only.name] * len(amounts)
            worths = matching.few(amounts, worth_of) if only.with_value else [None] * len(amounts)
        else:
            columns = told.event_types, told.facts["purchase"], told.occurred, amounts
            for event_type, purchase, at, gross in zip(*columns, strict=True):
                course = courses.get(event_type if event_type != "new_transaction" else PURCHASES.get(purchase))
                worth = worth_of(gross) if course is not None and course.with_value else None
                if refused and len(names) in refused:
                    course = None
                elif course is None or now - at > latest or not course.takes(gross):
                    refused[len(names)] = self._refusal(course, event_type, purchase, now - at, worth)
                    course = None
                names.append(None if course is None else course.name)
                worths.append(None if worth is None else matching.written(worth_of, gross))
        # A clock of ours that runs ahead puts nothing into the future.
        times = list(map(int, told.occurred if max(told.occurred) <= now else [min(at, now) for at in told.occurred]))
        return names, times, worths

    def _told(self, items: Sequence[Item]) -> Told:
        return Told(
            [item.event_id for item in items],
            [item.event_type for item in items],
            [item.occurred_at.timestamp() for item in items],
            {name: [item.facts.get(name, "") for item in items] for name in self.reads},
        )

    def _refusal(
        self, course: Course | None, event_type: str, purchase: str, age: float, worth: Worth | None
    ) -> Verdict:
        """Why an event is not sent that is off, too old, or not worth what it must be."""
        if course is None:
            ours = our_event(event_type, purchase)
            if ours is None:
                return Verdict("skipped", "not a purchase: a subscription's own transaction is told as new_subscriber")
            return Verdict("skipped", f"{ours} is off on this connection")
        if age > self.oldest - MARGIN_SECONDS:
            words = f"{self.names.platform} takes events of the last {self.oldest / 86400:.0f} days"
            return Verdict("permanent", f"{age / 86400:.1f} days old: {words}")
        if worth is None:
            return Verdict("permanent", f"{course.name} needs an amount, and this event has none")
        return Verdict("permanent", "the amount is negative: nothing was bought")


def require(refused: dict[int, Verdict], words: str, *known: Sequence[object]) -> None:
    """Refuse, with these words, the events of which none of these lists, side by side, knows anything."""
    if not any(map(all, known)):
        for place, facts in enumerate(zip(*known, strict=True)):
            if not any(facts):
                refused.setdefault(place, Verdict("permanent", words))


def posted(url: str, headers: Mapping[str, str], fields: Mapping[str, str]) -> Request:
    """An envelope: `fields`, and as `data` the events."""
    return Request("POST", url, headers, msgspec.json.encode(fields)[:-1] + (b',"data":' if fields else b'"data":'))


def document(answer: Answer) -> dict[str, Any] | None:
    """The body as a JSON object, or None."""
    try:
        parsed = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return parsed if isinstance(parsed, dict) else None


def by_status(answer: Answer, platform: str) -> Verdict:
    """The judgement on an answer that is not in the platform's own language: a proxy's page, an empty body."""
    words = f"{platform} answered {answer.status} {answer.reason}".strip() + " without a verdict"
    if answer.note:
        words += f" ({answer.note})"
    retry_after = parse_retry_after(answer.headers.get("Retry-After"))
    if answer.status == 429:
        return Verdict("throttled", words, retry_after, overloaded=True)
    if answer.status == 413:
        return Verdict("permanent", words, split=True)
    return Verdict("transient", words, retry_after, ambiguous=answer.status >= 500 or 200 <= answer.status < 300)


def pointed_at(verdict: Verdict, count: int, index: int | None) -> list[Verdict]:
    """One verdict per event for a batch refused whole, with the event the answer points at marked, if it does."""
    verdicts = [verdict] * count
    if index is not None and 0 <= index < count:
        verdicts[index] = msgspec.structs.replace(verdict, suspect=True)
    return verdicts
