"""A welcome message to new subscribers, through OFAuth or Onlymonster (spec section 8; upstream spec sections 2 and 3).

A message cannot be taken back and neither vendor recognises a repeat, so after an attempt that may have arrived it is
not sent again: a fan rather gets no welcome than two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from postbacks.destinations.base import Item, Kind, Service
from postbacks.destinations.creatortraffic import judge_status
from postbacks.destinations.fan import FanAction, checked_account, said
from postbacks.destinations.onlyfans_note import parse_text, text_of
from postbacks.egress import Answer, Request
from postbacks.schema import convert
from postbacks.verdicts import Verdict

OFAUTH = Service("ofauth", "https://api.ofauth.com")
ONLYMONSTER = Service("onlymonster", "https://omapi.onlymonster.ai")
LONGEST = 5000


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`connection_id`: OFAuth's connection (`conn_...`) or Onlymonster's account id. `text`: a template.

    `account_id`: only fans of this account (the provider's id that money and links come from); "" for all.
    `returning`: also welcome fans who were subscribed before.
    """

    connection_id: str
    text: str
    account_id: str = ""
    returning: bool = False


class WelcomeMessage(FanAction):
    """A configured message."""

    dedup_seconds = 0.0

    def __init__(self, config: Config, secrets: Mapping[str, str], base_url: str, vendor: str) -> None:
        super().__init__(config.account_id and checked_account(config.account_id), secrets, base_url)
        self._connection_id = checked_account(config.connection_id, "connection_id")
        self._text = parse_text("text", config.text)
        self.returning = config.returning
        self._vendor = vendor

    def render(self, items: Sequence[Item]) -> Request:
        """The message."""
        facts = items[0].facts
        fan, text = facts["fan_onlyfans_id"], text_of(self._text, facts)[:LONGEST]
        headers = {"Content-Type": "application/json"}
        if self._vendor == "OFAuth":
            headers |= {"apikey": self.token, "x-connection-id": self._connection_id}
            url = f"{self.base_url}/v2/access/chats/{fan}/messages"
            return Request("POST", url, headers, msgspec.json.encode({"text": text}))
        headers["x-om-auth-token"] = self.token
        url = f"{self.base_url}/api/v0/accounts/{self._connection_id}/chats/{fan}/messages"
        body = {"text": text, "price": 0, "locked_text": False, "media": []}
        return Request("POST", url, headers, msgspec.json.encode(body))

    def judge(self, items: Sequence[Item], answer: Answer) -> list[Verdict]:
        """By status: restricted words are refused for good, a limit is waited for."""
        return [judge_status(answer, self._vendor, said(answer))]


def load_ofauth(config: Mapping[str, Any], secrets: Mapping[str, str], base_url: str = OFAUTH.url) -> WelcomeMessage:
    """A message through OFAuth. Raises ConfigError."""
    return WelcomeMessage(convert(config, Config), secrets, base_url, "OFAuth")


def load_onlymonster(
    config: Mapping[str, Any], secrets: Mapping[str, str], base_url: str = ONLYMONSTER.url
) -> WelcomeMessage:
    """A message through Onlymonster. Raises ConfigError."""
    return WelcomeMessage(convert(config, Config), secrets, base_url, "Onlymonster")


KIND_OFAUTH = Kind("ofauth_message", load_ofauth, OFAUTH)
KIND_ONLYMONSTER = Kind("onlymonster_message", load_onlymonster, ONLYMONSTER)
