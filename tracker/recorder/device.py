"""Browser, operating system and device type of a user agent string.

The strings are taken apart by ua-parser's current API with its native engine: 15-30 us each, where the legacy API that
`user_agents.parse` calls takes 0.3-5 ms and grows with what a stranger sends. What kind of device it is decides
`user_agents`, on those parts. Results are kept for the 20,000 strings seen last.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ua_parser import BestAvailableResolver, Parser
from ua_parser.loaders import load_lazy_builtins
from user_agents import parsers

LONGEST = 512  # characters looked at; what identifies a browser stands well before
REMEMBERED = 20_000


class Device(NamedTuple):
    """What is stored of a user agent. Absent values are ''."""

    browser: str
    browser_version: str  # major.minor.patch as far as known
    os: str  # without version
    device_type: str  # 'mobile' | 'tablet' | 'desktop' | 'bot' | 'other'


class _Parts(parsers.UserAgent):  # type: ignore[misc]
    """The classifier of `user_agents`, fed by ua-parser's current API."""

    def __init__(self, user_agent: str) -> None:
        found = _parser().parse(user_agent).with_defaults()
        agent, system, device = found.user_agent, found.os, found.device
        self.ua_string = user_agent
        self.browser = parsers.parse_browser(agent.family, agent.major, agent.minor, agent.patch)
        self.os = parsers.parse_operating_system(system.family, system.major, system.minor, system.patch)
        self.device = parsers.parse_device(device.family, device.brand, device.model)


@lru_cache(maxsize=1)
def _parser() -> Parser:
    return Parser(BestAvailableResolver(load_lazy_builtins()))  # the native engine, where it is installed


@lru_cache(maxsize=REMEMBERED)
def _device(user_agent: str) -> Device:
    parts = _Parts(user_agent)
    return Device(_known(parts.browser.family), parts.browser.version_string, _known(parts.os.family), _type(parts))


def device(user_agent: str, *, is_bot: bool = False) -> Device:
    """Take `user_agent` apart. `is_bot`: the edge knows it for a bot, whatever it calls itself."""
    if not user_agent:
        return Device("", "", "", "bot" if is_bot else "other")
    found = _device(user_agent[:LONGEST])
    return found._replace(device_type="bot") if is_bot and found.device_type != "bot" else found


def _known(family: str) -> str:
    return "" if family == "Other" else family


def _type(parts: _Parts) -> str:
    if parts.is_bot:
        return "bot"
    if parts.is_tablet and not _is_phone_app(parts):
        return "tablet"
    if parts.is_mobile or _is_phone_app(parts):
        return "mobile"
    return "desktop" if parts.is_pc else "other"


def _is_phone_app(parts: _Parts) -> bool:
    # user_agents takes every Android without "Mobile Safari" for a tablet, which holds for browsers only: an app's own
    # requests ("Instagram 330.0 Android (34/14; ...)") never say it.
    return bool(parts.os.family == "Android" and "Mozilla/" not in parts.ua_string)
