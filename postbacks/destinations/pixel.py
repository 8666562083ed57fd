"""What Meta, TikTok and Snapchat have in common: a pixel, a token, an event mapping, batches with ages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec

from postbacks.destinations.base import Item, Plain
from postbacks.destinations.mapping import WITH_VALUE, Choice, Names, event_names, event_types, our_event
from postbacks.destinations.matching import value
from postbacks.egress import Answer, Request
from postbacks.schema import ConfigError
from postbacks.verdicts import Verdict, parse_retry_after

DEDUP_SECONDS = 48 * 3600.0 - 600.0  # platforms recognise a repeated event id for 48 hours (capi spec 0)
MARGIN_SECONDS = 300.0  # a batch waits, travels, and meets another clock
CURRENCY = "USD"
MOST_KEPT = 8192  # events written and not sent yet, per connection


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


class Pixel(Plain, ABC):
    """A configured pixel. Subclasses say what one event looks like, and judge answers.

    `oldest`: seconds after which the platform refuses an event. `purchases`: names that need a value. `clock` is for tests.
    """

    dedup_seconds = DEDUP_SECONDS
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
        self._kept: dict[int, tuple[Item, msgspec.Raw]] = {}
        self.event_names = event_names(self.names, config.events)
        self.event_types = event_types(self.event_names)
        if not type(self).pixel_id_pattern(config.pixel_id):
            raise ConfigError("pixel_id", self.pixel_id_hint)

    @abstractmethod
    def event(self, item: Item, name: str, now: datetime) -> dict[str, Any]:
        """One event of `data`. Raises ValueError saying why it cannot be sent."""

    @abstractmethod
    def render(self, items: Sequence[Item]) -> Request:
        """The request that tells these events."""

    @abstractmethod
    def judge(self, items: Sequence[Item], answer: Answer) -> list[Verdict]:
        """One verdict per event."""

    def screen(self, item: Item, now: datetime) -> Verdict | None:
        """What is switched off is skipped; what the platform is known to refuse is refused here, with the reason."""
        ours = our_event(item)
        if ours is None:
            return Verdict("skipped", "not a purchase: a subscription's own transaction is told as new_subscriber")
        name = self.event_names.get(ours)
        if name is None:
            return Verdict("skipped", f"{ours} is off on this connection")
        age = (now - item.occurred_at).total_seconds()
        if age > self.oldest - MARGIN_SECONDS:
            words = f"{age / 86400:.1f} days old: {self.names.platform} takes events of the last {self.oldest / 86400:.0f} days"
            return Verdict("permanent", words)
        amount = value(item.facts)
        if name in self.purchases and (amount is None or ours not in WITH_VALUE):
            return Verdict("permanent", f"{name} needs an amount, and this event has none")
        if amount is not None and amount < 0 and ours in WITH_VALUE:
            return Verdict("permanent", "the amount is negative: nothing was bought")
        try:
            self._keep(item, name, now)
        except ValueError as error:
            return Verdict("permanent", str(error))
        return None

    def rendered(self, items: Sequence[Item]) -> list[msgspec.Raw]:
        """The events of a batch, in order, as JSON; all have been screened."""
        if len(items) == 1:
            return [self._written(items[0], last=True)]
        return [self._written(item) for item in items]

    def excerpt(self, item: Item) -> str:
        """The event as it goes out."""
        return bytes(self._written(item, last=True)).decode()

    def _keep(self, item: Item, name: str, now: datetime) -> msgspec.Raw:
        if len(self._kept) >= MOST_KEPT:  # of batches that were given back
            self._kept.clear()
        written = msgspec.Raw(msgspec.json.encode(self.event(item, name, now)))
        self._kept[id(item)] = (item, written)
        return written

    def _written(self, item: Item, *, last: bool = False) -> msgspec.Raw:
        # Screening, sending and logging an event need the same text: making it costs more than all else of a delivery.
        kept = self._kept.pop(id(item), None) if last else self._kept.get(id(item))
        if kept is not None and kept[0] is item:
            return kept[1]
        name = self.event_names[our_event(item) or ""]
        return msgspec.Raw(msgspec.json.encode(self.event(item, name, self.clock())))

    def at(self, item: Item, now: datetime) -> int:
        """Unix seconds of the event; a clock of ours that runs ahead puts nothing into the future."""
        return int(min(item.occurred_at, now).timestamp())

    def worth(self, item: Item) -> dict[str, object] | None:
        """Value and currency, where the event has them (spec section 7)."""
        amount = value(item.facts) if our_event(item) in WITH_VALUE else None
        return None if amount is None else {"value": amount, "currency": CURRENCY}


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
