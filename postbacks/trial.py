"""Sending a test: really sent, with the sample conversion, judged and shown like any attempt, and kept nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp.abc import AbstractResolver

from postbacks.attempt import Tried, try_once
from postbacks.destinations import registry
from postbacks.destinations.base import Item
from postbacks.egress import Egress
from postbacks.facts import SAMPLE


async def send_test(
    kind: str,
    config: Mapping[str, Any],
    secrets: Mapping[str, str] | None = None,
    *,
    facts: Mapping[str, str] | None = None,
    event_type: str = "new_transaction",
    egress_allow: Iterable[str] = (),
    timeout: float = 15.0,
    resolver: AbstractResolver | None = None,
) -> Tried:
    """Send the sample conversion (with `facts` laid over it) to a destination as configured, saved or not.

    Returns the attempt: one verdict, the request and the answer as the log would show them, secrets masked. Raises
    ConfigError when the configuration is refused.
    """
    destination = registry.load(kind, config, secrets)
    merged = {**SAMPLE, "conversion_type": event_type, **(facts or {})}
    item = Item(merged["conversion_id"], event_type, datetime.now(UTC), merged)
    egress = Egress(allow=egress_allow, timeout=timeout, resolver=resolver)
    try:
        return await try_once(destination, [item], egress)
    finally:
        await egress.close()
