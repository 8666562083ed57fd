"""Faults switched on for the next n calls or deliveries, on top of the random ones in the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

KINDS = (
    "create_timeout",
    "rate_limited",
    "cloudflare_429",
    "bad_gateway",
    "origin_timeout",
    "server_error",
    "wrong_signature",
    "altered_body",
    "missing_signature",
    "missing_key",
    "lost_webhook",
)
"""`create_timeout` hits link creation, the next five any API call, the rest webhook attempts;
`lost_webhook` drops a notification before its first attempt."""


@dataclass(slots=True)
class _Armed:
    remaining: int
    path: str


class Faults:
    """Counters of armed faults; a taken fault is used up."""

    def __init__(self) -> None:
        self._armed: dict[str, _Armed] = {}

    def arm(self, kind: str, value: Any) -> None:
        """Arm `kind` for `value` uses, or `{"count": n, "path": "part of the path or event name"}`."""
        if kind not in KINDS:
            raise KeyError(kind)
        if isinstance(value, dict):
            self._armed[kind] = _Armed(int(value.get("count", 1)), str(value.get("path", "")))
        else:
            self._armed[kind] = _Armed(int(value), "")

    def take(self, kind: str, path: str = "") -> bool:
        """Use up one armed fault of `kind` if its path filter is part of `path`."""
        armed = self._armed.get(kind)
        if armed is None or armed.remaining <= 0 or armed.path not in path:
            return False
        armed.remaining -= 1
        return True

    def clear(self) -> None:
        """Disarm everything."""
        self._armed.clear()

    def remaining(self) -> dict[str, int]:
        """What is still armed, by kind."""
        return {kind: armed.remaining for kind, armed in self._armed.items() if armed.remaining > 0}
