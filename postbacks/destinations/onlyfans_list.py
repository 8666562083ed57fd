"""Adds new subscribers to a list of the creator's, through OnlyFansAPI (upstream spec 1.6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from postbacks.destinations.base import Item, Kind, Service
from postbacks.destinations.creatortraffic import judge_status
from postbacks.destinations.fan import FanAction, checked_account, said
from postbacks.destinations.pixel import document
from postbacks.egress import Answer, Request
from postbacks.schema import convert
from postbacks.verdicts import Verdict

SERVICE = Service("onlyfansapi", "https://app.onlyfansapi.com")


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`account_id`: OnlyFansAPI's id of the account (`acct_...`). `list_id`: of the list."""

    account_id: str
    list_id: str


class OnlyFansList(FanAction):
    """A configured list."""

    batch_size = 50

    def __init__(self, config: Config, secrets: Mapping[str, str], base_url: str) -> None:
        super().__init__(checked_account(config.account_id), secrets, base_url)
        self._list_id = checked_account(config.list_id, "list_id")

    def render(self, items: Sequence[Item]) -> Request:
        """One call for all these fans; one who cannot be added does not keep the others out."""
        ids = list(dict.fromkeys(item.facts["fan_onlyfans_id"] for item in items))
        url = f"{self.base_url}/api/{self.account_id}/user-lists/{self._list_id}/users"
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        body = msgspec.json.encode({"ids": ids, "skip_invalid": True})
        each = msgspec.json.encode([f"fan {item.facts['fan_onlyfans_id']}" for item in items])
        return Request("POST", url, headers, body, each)

    def judge(self, items: Sequence[Item], answer: Answer) -> list[Verdict]:
        """Per fan: `failed` names those who could not be added."""
        verdict = judge_status(answer, "OnlyFansAPI", said(answer))
        if verdict.outcome != "delivered":
            return [msgspec.structs.replace(verdict, split=verdict.outcome == "permanent")] * len(items)
        data = (document(answer) or {}).get("data")
        failed = data.get("failed") if isinstance(data, dict) else None
        reasons = failed if isinstance(failed, dict) else {}
        return [_of(item.facts["fan_onlyfans_id"], reasons, verdict) for item in items]


def _of(fan_id: str, reasons: Mapping[str, Any], verdict: Verdict) -> Verdict:
    return Verdict("permanent", f"OnlyFansAPI: {reasons[fan_id]}") if fan_id in reasons else verdict


def load(config: Mapping[str, Any], secrets: Mapping[str, str], base_url: str = SERVICE.url) -> OnlyFansList:
    """A destination from its stored configuration. Raises ConfigError."""
    return OnlyFansList(convert(config, Config), secrets, base_url)


KIND = Kind("onlyfans_list", load, SERVICE)
