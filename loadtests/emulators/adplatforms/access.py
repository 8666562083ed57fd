"""Which token may write to which pixel, and until when."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

DEFAULT_TOKEN = "test-token"
Standing = Literal["ok", "missing", "unknown", "expired", "forbidden"]


class Grant(msgspec.Struct, frozen=True):
    """One token's right to one pixel ("": every pixel without grants of its own), until `expires` (epoch seconds)."""

    token: str
    pixel: str = ""
    expires: float = math.inf


class Access:
    """The grants of every platform; at first `test-token` may write everywhere."""

    def __init__(self) -> None:
        self._grants: dict[str, list[Grant]] = {}

    def grant(self, platform: str, token: str, pixel: str = "", expires: float = math.inf) -> None:
        """Let `token` write to `pixel`. A pixel with grants of its own takes no other token."""
        self._of(platform).append(Grant(token, pixel, expires))

    def revoke(self, platform: str, token: str) -> None:
        """The token is known but dead from now on."""
        kept = [grant for grant in self._of(platform) if grant.token != token]
        self._grants[platform] = [*kept, Grant(token, "", -math.inf)]

    def standing(self, platform: str, token: str, pixel: str, now: float) -> Standing:
        """How `token` stands towards `pixel` at `now`."""
        if not token:
            return "missing"
        mine = [grant for grant in self._of(platform) if grant.token == token]
        if not mine:
            return "unknown"
        live = [grant for grant in mine if grant.expires > now]
        if not live:
            return "expired"
        claimed = any(grant.pixel == pixel for grant in self._of(platform)) if pixel else False
        return "ok" if any(grant.pixel == pixel or (not grant.pixel and not claimed) for grant in live) else "forbidden"

    def owner(self, platform: str, token: str) -> str:
        """The pixel a token was granted for, where the request does not name one; "default" for a general token."""
        return next((grant.pixel for grant in self._of(platform) if grant.token == token and grant.pixel), "default")

    def clear(self) -> None:
        """Back to `test-token` everywhere."""
        self._grants.clear()

    def _of(self, platform: str) -> list[Grant]:
        return self._grants.setdefault(platform, [Grant(DEFAULT_TOKEN)])
