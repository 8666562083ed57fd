"""Sending a test: really sent, with the sample conversion, judged and shown like any attempt, and kept nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp.abc import AbstractResolver

from postbacks.attempt import Tried, try_once
from postbacks.destinations import registry
from postbacks.destinations.base import Destination, Item
from postbacks.egress import Egress
from postbacks.facts import SAMPLE


async def send_test(
    kind: str,
    config: Mapping[str, Any],
    secrets: Mapping[str, str] | None = None,
    *,
    base_urls: Mapping[str, str] | None = None,
    destination: Destination | None = None,
    facts: Mapping[str, str] | None = None,
    event_type: str = "new_transaction",
    egress_allow: Iterable[str] = (),
    timeout: float = 15.0,
    resolver: AbstractResolver | None = None,
) -> Tried:
    """Send the sample conversion (with `facts` laid over it) to a destination as configured, saved or not.

    `destination`: one loaded already, perhaps in its test mode, instead of one loaded from the configuration.

    Returns the attempt: one verdict, the request and the answer as the log would show them, secrets masked. Raises
    ConfigError when the configuration is refused.
    """
    destination = destination or registry.load(kind, config, secrets, base_urls)
    merged = {**SAMPLE, "conversion_type": event_type, **(facts or {})}
    item = Item(merged["conversion_id"], event_type, datetime.now(UTC), merged)
    egress = Egress(allow=egress_allow, timeout=timeout, resolver=resolver)
    try:
        verdict = destination.screen(item, item.occurred_at)
        if verdict is not None:
            return Tried([verdict], item.occurred_at, 0, "", None, "")
        return await try_once(destination, [item], egress)
    finally:
        await egress.close()
