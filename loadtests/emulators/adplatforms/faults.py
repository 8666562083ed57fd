"""How a platform or one of its pixels misbehaves."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import msgspec

TRANSPORT = frozenset(
    {"status", "fail_rate", "html", "hang", "drip", "flood", "redirect", "reset", "wrong_length", "gzip_bomb"}
)
"""Modes every platform has, beside `ok` and `error`."""


class Mode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How requests are answered.

    ok: by the platform's rules. error: the platform's own error body with `code` and `subcode`, under `status` if set.
    status, fail_rate: `status` (default 500) and `body`, with `retry_after` if set. html: a proxy's HTML page with
    `status` (default 502). hang: never answers. drip: one body byte every `every` seconds. flood: a body without end.
    redirect: 302 (or `status`) to `location`. reset: drops the connection. wrong_length: promises more than it
    sends. gzip_bomb: 15 KiB that inflate a thousandfold. Each platform adds modes that bend its judgement (its `MODES`).

    `rate`: the share (0..1) of requests it happens to. `times`: so many requests, then ok (0: always).
    `processed`: the events are taken all the same and only the answer is bad, which is what a sender cannot know.
    `indexes`: the events a partial answer calls failed. `bare`: a partial answer does not say which failed.
    """

    mode: str = "ok"
    status: int = 0
    code: int | str = 0
    subcode: int = 0
    rate: float = 1.0
    times: int = 0
    retry_after: str = ""
    location: str = "http://169.254.169.254/latest/meta-data/"
    body: str = ""
    every: float = 0.05
    processed: bool = False
    indexes: tuple[int, ...] = ()
    bare: bool = False


OK = Mode()


class Modes:
    """The modes in force, by platform and pixel; a pixel's mode goes before its platform's."""

    def __init__(self, allowed: Mapping[str, frozenset[str]], seed: int = 1) -> None:
        self._allowed = allowed
        self._modes: dict[tuple[str, str], Mode] = {}
        self._left: dict[tuple[str, str], int] = {}
        self._random = random.Random(seed)

    def set(self, platform: str, pixel: str, options: Mapping[str, Any]) -> Mode:
        """Put a mode in force. Raises msgspec.ValidationError for a bad option, KeyError for an unknown platform or
        a mode it does not have."""
        mode = msgspec.convert(options, Mode)
        if mode.mode not in self._allowed[platform] | TRANSPORT | {"ok", "error"}:
            raise KeyError(mode.mode)
        self._modes[platform, pixel] = mode
        self._left[platform, pixel] = mode.times
        return mode

    def take(self, platform: str, pixel: str) -> Mode:
        """The mode for one more request."""
        key = (platform, pixel) if (platform, pixel) in self._modes else (platform, "")
        mode = self._modes.get(key, OK)
        if mode.rate < 1 and self._random.random() >= mode.rate:
            return OK
        if mode.times:
            if self._left[key] <= 0:
                return OK
            self._left[key] -= 1
        return mode

    def clear(self) -> None:
        """Everything ok again."""
        self._modes.clear()
        self._left.clear()
