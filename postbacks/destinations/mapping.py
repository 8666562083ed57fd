"""Our events and what each platform calls them (spec section 7): a standard event, a custom one, or off."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import msgspec

from postbacks.schema import ConfigError

# Our event -> the conversion type that carries it.
TYPES = {
    "click": "click",
    "new_subscriber": "new_subscriber",
    "first_purchase": "new_transaction",
    "repeat_purchase": "new_transaction",
    "message_received": "message_received",
    "fan_sent_1_message": "fan_sent_1_message",
    "fan_sent_3_messages": "fan_sent_3_messages",
}
PURCHASES = {"first": "first_purchase", "repeat": "repeat_purchase"}
WITH_VALUE = frozenset({"new_subscriber", "first_purchase", "repeat_purchase"})
OFF = "off"


class Custom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event name of one's own."""

    custom: str


Choice = str | Custom


class Names(msgspec.Struct, frozen=True):
    """A platform's vocabulary. `custom`: names a custom event may have; None for any."""

    platform: str
    standard: frozenset[str]
    defaults: Mapping[str, str]
    custom: frozenset[str] | None = None


def words(text: str) -> frozenset[str]:
    """The words of a long list, readable in the source."""
    return frozenset(text.split())


def event_names(names: Names, chosen: Mapping[str, Choice]) -> dict[str, str]:
    """Our event -> the platform's name, those that are off left out. Raises ConfigError naming the event."""
    for ours in chosen:
        if ours not in TYPES:
            raise ConfigError(f"events.{ours}", f"unknown event: use one of {', '.join(TYPES)}")
    found: dict[str, str] = {}
    for ours in TYPES:
        choice = chosen.get(ours, names.defaults.get(ours, OFF))
        if choice == OFF:
            continue
        field = f"events.{ours}"
        if isinstance(choice, Custom):
            found[ours] = _custom(names, field, choice.custom)
        elif choice in names.standard:
            found[ours] = choice
        else:
            close = difflib.get_close_matches(choice, names.standard, n=1, cutoff=0.4)
            hint = f"did you mean {close[0]}? " if close else ""
            raise ConfigError(field, f'{choice!r} is no standard event of {names.platform}: {hint}"off" sends nothing')
    return found


def _custom(names: Names, field: str, name: str) -> str:
    if names.custom is not None and name not in names.custom:
        allowed = ", ".join(sorted(names.custom))
        raise ConfigError(field, f"{names.platform} has no free event names: use one of {allowed}")
    if not 1 <= len(name) <= 50 or name != name.strip() or not name.isprintable():
        raise ConfigError(field, "a custom event name has 1 to 50 characters")
    return name


def our_event(event_type: str, purchase: str) -> str | None:
    """Which of our events it is; None for a transaction that is no purchase (the subscription itself)."""
    if event_type == "new_transaction":
        return PURCHASES.get(purchase)
    return event_type if event_type in TYPES else None


def event_types(names: Mapping[str, str]) -> tuple[str, ...]:
    """The conversion types a mapping needs."""
    return tuple(dict.fromkeys(TYPES[ours] for ours in names))
