"""What Meta, TikTok and Snapchat have in common: a pixel, a token, an event mapping, batches with ages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from postbacks.destinations.base import Item, Plain
from postbacks.destinations.mapping import PURCHASES, WITH_VALUE, Choice, Names, event_names, event_types, our_event
from postbacks.destinations.matching import Known, harmless, value
from postbacks.egress import Answer, Request
from postbacks.schema import ConfigError
from postbacks.verdicts import Verdict, parse_retry_after

DEDUP_SECONDS = 48 * 3600.0 - 600.0  # platforms recognise a repeated event id for 48 hours (capi spec 0)
MARGIN_SECONDS = 300.0  # a batch waits, travels, and meets another clock
CURRENCY = "USD"
Facts = TypeVar("Facts", bound=Known)


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


class Course(NamedTuple):
    """What every event of one of ours becomes on a connection. `bought`: the platform wants it with a value."""

    name: str
    with_value: bool
    bought: bool


class Pixel(Plain, ABC, Generic[Facts]):
    """A configured pixel. Subclasses say what one event looks like, and judge answers.

    `reads`: the facts the platform is told of, as its kind reads them.

    `oldest`: seconds after which the platform refuses an event. `purchases`: names that need a value. `clock` is for tests.
    """

    dedup_seconds = DEDUP_SECONDS
    reads: type[Facts]
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
        self._latest = self.oldest - MARGIN_SECONDS
        # Screening and rendering need the same event, and making it costs more than all else of a delivery: it is kept with
        # the facts. A moment's seconds are kept here.
        self._moment: datetime | None = None
        self._moment_seconds = 0.0
        self.event_names = event_names(self.names, config.events)
        self._courses: dict[str | None, Course] = {
            ours: Course(name, ours in WITH_VALUE, name in self.purchases) for ours, name in self.event_names.items()
        }
        self.event_types = event_types(self.event_names)
        if not type(self).pixel_id_pattern(config.pixel_id):
            raise ConfigError("pixel_id", self.pixel_id_hint)

    @abstractmethod
    def event(self, item: Item, facts: Facts, name: str, worth: Worth | None, at: int, now: float) -> msgspec.Struct:
        """One event of `data`, which happened `at` and is written `now` (Unix seconds), not before it happened.

        Raises ValueError saying why it cannot be sent.
        """

    @abstractmethod
    def render(self, items: Sequence[Item]) -> Request:
        """The request that tells these events."""

    @abstractmethod
    def judge(self, items: Sequence[Item], answer: Answer) -> list[Verdict]:
        """One verdict per event."""

    def screen(self, item: Item, now: datetime) -> Verdict | None:
        """What is switched off is skipped; what the platform is known to refuse is refused here, with the reason."""
        # Nothing here is called for every event that can be looked up or told apart in place: a batch has a thousand of them.
        facts: Any = item.facts
        if type(facts) is not self.reads:
            facts = self.known(item)
        ours = PURCHASES.get(facts.purchase) if item.event_type == "new_transaction" else item.event_type
        course = self._courses.get(ours)
        if course is None:
            return self._skipped(item, facts)
        if now is not self._moment:  # a batch is screened at one
            self._moment, self._moment_seconds = now, now.timestamp()
        at, seconds = item.occurred_at.timestamp(), self._moment_seconds
        if seconds - at > self._latest:
            words = f"{(seconds - at) / 86400:.1f} days old: {self.names.platform} takes events of the last {self.oldest / 86400:.0f} days"
            return Verdict("permanent", words)
        name, with_value, bought = course
        amount = value(facts) if with_value else None
        if amount is None:
            if bought:
                return Verdict("permanent", f"{name} needs an amount, and this event has none")
        elif amount < 0:
            return Verdict("permanent", "the amount is negative: nothing was bought")
        worth = None if amount is None else Worth(amount, CURRENCY)  # spec section 7
        try:
            # A clock of ours that runs ahead puts nothing into the future.
            facts.told = self.event(item, facts, name, worth, int(at if at < seconds else seconds), seconds)
        except ValueError as error:
            return Verdict("permanent", str(error))
        return None

    def known(self, item: Item) -> Facts:
        """The facts of an event, read as these or as a mapping."""
        facts: Any = item.facts
        # A struct's metaclass makes isinstance dear.
        return facts if type(facts) is self.reads else msgspec.convert(facts, self.reads)

    def _skipped(self, item: Item, facts: Facts) -> Verdict:
        ours = our_event(item.event_type, facts.purchase)
        if ours is None:
            return Verdict("skipped", "not a purchase: a subscription's own transaction is told as new_subscriber")
        return Verdict("skipped", f"{ours} is off on this connection")

    def request(
        self, url: str, headers: Mapping[str, str], fields: Mapping[str, str], items: Sequence[Item]
    ) -> Request:
        """The request: `fields`, and as `data` the events, in order; all have been screened."""
        facts: list[Any] = [item.facts for item in items]
        if set(map(type, facts)) != {self.reads}:
            facts = [self.known(item) for item in items]
        events = [one.told for one in facts]
        if None in events:
            events = [one.told or self._anew(item, one) for item, one in zip(items, facts, strict=True)]
        data = msgspec.json.encode(events)
        before = msgspec.json.encode(fields)[:-1] + (b',"data":' if fields else b'"data":')
        return Request("POST", url, headers, b"".join((before, data, b"}")), data, harmless(facts, data))

    def _anew(self, item: Item, facts: Facts) -> msgspec.Struct:
        course = self._courses[our_event(item.event_type, facts.purchase)]
        amount = value(facts) if course.with_value else None
        worth = None if amount is None else Worth(amount, CURRENCY)
        at, now = item.occurred_at.timestamp(), self.clock().timestamp()
        return self.event(item, facts, course.name, worth, int(min(at, now)), now)


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
