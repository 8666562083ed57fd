"""Postback URLs (spec section 6): a templated GET, or a POST with body and headers. Any 2xx is success.

Receivers answer 404 or 403 in the middle of a deploy, so every refusal is retried on the schedule, as Svix does, except
410 Gone, which is the receiver's way to say "never again" and disables the destination. A redirect is a failure: what
it points at has not been checked, and a GET that follows it may fire twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from postbacks import templates
from postbacks.destinations import networks
from postbacks.destinations.base import MOST_READ, Item, Kind, Plain
from postbacks.egress import Answer, Request
from postbacks.redaction import secret_parameters
from postbacks.schema import ConfigError, convert
from postbacks.templates import Template, TemplateError
from postbacks.verdicts import Verdict, parse_retry_after

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}\Z")
_HELD_BACK = {
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
_CONTENT_TYPES = {"json": "application/json", "form": "application/x-www-form-urlencoded"}
MOST_HEADERS = 20


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A postback's configuration. `url`, header values and `body` are templates; `body` needs POST."""

    url: str
    method: Literal["GET", "POST"] = "GET"
    headers: dict[str, str] = {}
    body: str = ""
    body_format: Literal["json", "form"] = "json"


class Postback(Plain):
    """A configured postback URL. `secrets` maps header names to literal values that are kept sealed, not in Config."""

    def __init__(self, config: Config, secrets: Mapping[str, str]) -> None:
        self.config = config
        self._method = config.method
        self._url = _parse("url", config.url, templates.parse_url)
        self._headers = _parse_headers(config.headers)
        self._secret_headers = dict(secrets)
        for name, value in secrets.items():
            _check_header_name("secrets", name)
            _parse(f"secrets.{name}", value, templates.check_header)
        self._body: Template | None = None
        if config.body:
            if config.method != "POST":
                raise ConfigError("body", "a GET has no body: set method to POST, or put the values in the url")
            parse = templates.parse_json if config.body_format == "json" else templates.parse_form
            self._body = _parse("body", config.body, parse)
        used = {name for one in (self._url, *self._headers.values(), self._body) if one for name in one.variables()}
        # A template of so many variables is told all facts; so is one without any, which needs none.
        self.reads = tuple(sorted(used)) if len(used) <= MOST_READ else ()
        written = [config.url, config.body, *(f"{name}={value}" for name, value in config.headers.items())]
        found = [value for text in written for value in secret_parameters(text) if "{" not in value]
        found += [part for value in secrets.values() for part in (value, *value.split())]
        self.secrets: tuple[str, ...] = tuple(sorted(set(found), key=len, reverse=True))

    def render(self, items: Sequence[Item]) -> Request:
        """The request for one event."""
        facts = items[0].facts
        headers = {name: templates.render(value, facts) for name, value in self._headers.items()}
        headers.update(self._secret_headers)
        body = None
        if self._body is not None:
            headers["Content-Type"] = _CONTENT_TYPES[self.config.body_format]
            body = templates.render(self._body, facts).encode()
        return Request(self._method, templates.render(self._url, facts), headers, body)

    def judge(self, items: Sequence[Item], answer: Answer) -> list[Verdict]:
        """2xx is delivered, whatever the body does afterwards: the receiver has said that it has the event.

        Except for the words of networks that are known to answer 200 to what they refuse.
        """
        words = f"{answer.status} {answer.reason}".strip()
        if answer.note:
            words += f" ({answer.note})"
        retry_after = parse_retry_after(answer.headers.get("Retry-After"))
        if 200 <= answer.status < 300:
            # Some networks refuse in a 200; what they are known to say is read.
            verdict = networks.refusal(self.config.url, answer) or Verdict("delivered", words)
        elif 300 <= answer.status < 400:
            words += "; redirects are not followed: use the final address"
            verdict = Verdict("transient", words, retry_after)
        elif answer.status == 410:
            words += "; the receiver wants no more of these"
            verdict = Verdict("permanent", words, halts="disabled")
        elif answer.status == 429:
            verdict = Verdict("throttled", words, retry_after, overloaded=True)
        else:
            verdict = Verdict("transient", words, retry_after)
        return [verdict]


def load(config: Mapping[str, Any], secrets: Mapping[str, str]) -> Postback:
    """A destination from its stored configuration. Raises ConfigError."""
    return Postback(convert(config, Config), secrets)


KIND = Kind("postback", load)


def _parse_headers(headers: Mapping[str, str]) -> dict[str, Template]:
    if len(headers) > MOST_HEADERS:
        raise ConfigError("headers", f"at most {MOST_HEADERS} headers")
    for name in headers:
        _check_header_name("headers", name)
    return {name: _parse(f"headers.{name}", value, templates.parse_header) for name, value in headers.items()}


def _check_header_name(field: str, name: str) -> None:
    if not _TOKEN.match(name):
        raise ConfigError(f"{field}.{name[:64]!r}", "not a header name: use letters, digits and dashes")
    if name.lower() in _HELD_BACK or name.lower().startswith("proxy-"):
        raise ConfigError(f"{field}.{name}", "this header is set by Clickbind itself: remove it")


def _parse(field: str, text: str, parse: Callable[[str], Template]) -> Template:
    try:
        return parse(text)
    except TemplateError as error:
        raise ConfigError(field, error.message, error.position) from error
