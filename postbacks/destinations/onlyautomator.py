"""Tells OnlyAutomator where a fan came from: a preference of category `attribution`, then a sync of the fan's notes
(upstream spec section 4). The token is a person's session and expires: a refused one pauses the connection until renewed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from postbacks.destinations.base import Item, Kind, Service
from postbacks.destinations.creatortraffic import judge_status
from postbacks.destinations.fan import FanAction, checked_account, said
from postbacks.egress import Answer, Request
from postbacks.schema import convert
from postbacks.verdicts import Verdict

SERVICE = Service("onlyautomator", "https://onlyautomator.com")
TOLD = (
    "smart_link_id",
    "smart_link_name",
    "click_id",
    "external_click_id",
    "conversion_at",
    "utm_source",
    "utm_campaign",
)


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`account_id`: only fans of this account (the provider's id); "" for all. `sync_notes`: also sync the fan's notes."""

    account_id: str = ""
    preference: str = "smart_link"
    sync_notes: bool = True


class OnlyAutomator(FanAction):
    """A configured OnlyAutomator user."""

    def __init__(self, config: Config, secrets: Mapping[str, str], base_url: str) -> None:
        super().__init__(config.account_id and checked_account(config.account_id), secrets, base_url)
        self._preference = checked_account(config.preference, "preference")
        self._sync_notes = config.sync_notes

    def render(self, items: Sequence[Item]) -> Request:
        """Upsert the preference; saying it again changes nothing."""
        facts = items[0].facts
        return self._post(
            "update-preference",
            {
                "fanId": facts["fan_onlyfans_id"],
                "category": "attribution",
                "preference": self._preference,
                "value": {name: facts[name] for name in TOLD if facts.get(name)},
            },
        )

    def follow_up(self, items: Sequence[Item], answers: Sequence[Answer]) -> Request | None:
        """The sync, once the preference is written."""
        if not self._sync_notes or len(answers) > 1 or not 200 <= answers[0].status < 300:
            return None
        return self._post("sync-notes", {"fanId": items[0].facts["fan_onlyfans_id"], "force": False})

    def judge(self, items: Sequence[Item], answer: Answer) -> list[Verdict]:
        """By status; a sync under way already is as good as ours."""
        words = said(answer)
        if words.startswith("sync_in_progress"):
            return [Verdict("delivered", f"OnlyAutomator: {words}")]
        return [judge_status(answer, "OnlyAutomator", words)]

    def _post(self, call: str, body: dict[str, Any]) -> Request:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        return Request("POST", f"{self.base_url}/api/v2/{call}", headers, msgspec.json.encode(body))


def load(config: Mapping[str, Any], secrets: Mapping[str, str], base_url: str = SERVICE.url) -> OnlyAutomator:
    """A destination from its stored configuration. Raises ConfigError."""
    return OnlyAutomator(convert(config, Config), secrets, base_url)


KIND = Kind("onlyautomator", load, SERVICE)
