"""What fan actions (spec section 8) have in common: they act on one fan of one account, once, when the fan subscribes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from postbacks.destinations.base import Item, Plain
from postbacks.destinations.pixel import checked_token, document, secret_forms
from postbacks.egress import Answer
from postbacks.schema import ConfigError
from postbacks.verdicts import Verdict

_ACCOUNT = re.compile(r"[A-Za-z0-9_-]{1,100}")


def checked_account(account_id: str, field: str = "account_id") -> str:
    """The provider's id of an account, safe in a path. Raises ConfigError."""
    if not _ACCOUNT.fullmatch(account_id):
        raise ConfigError(field, "an account id holds letters, digits, dashes and underscores")
    return account_id


class FanAction(Plain):
    """A configured fan action. `account_id`: the provider's id of the account it is for; others are skipped; "" for any."""

    event_types = ("new_subscriber",)
    returning = True

    def __init__(self, account_id: str, secrets: Mapping[str, str], base_url: str) -> None:
        self.account_id = account_id
        self.token = checked_token(secrets)
        self.secrets = secret_forms(self.token)
        self.base_url = base_url

    def screen(self, item: Item, now: datetime) -> Verdict | None:
        """Only fans of the account, and only those whose id can stand in a path."""
        account = item.facts.get("_provider_account_id", "")
        if self.account_id and account and account != self.account_id:
            return Verdict("skipped", f"a fan of another account ({account})")
        if not re.fullmatch(r"[0-9]{1,20}", item.facts.get("fan_onlyfans_id", "")):
            return Verdict("permanent", "the fan's id is not known")
        if not self.returning and item.facts.get("previously_subscribed"):
            return Verdict("skipped", "the fan has been subscribed before")
        return None


def said(answer: Answer) -> str:
    """The receiver's own words about what went wrong, from the shapes the providers use; '' when it said nothing."""
    body = document(answer) or {}
    error: Any = body.get("error")
    if isinstance(error, dict):
        parts = [error.get("code"), error.get("message")]
    else:
        parts = [error, body.get("code"), body.get("message")]
    details = body.get("details")
    if isinstance(details, dict):
        parts += [", ".join(map(str, value)) for value in details.values() if isinstance(value, list) and value]
    return ": ".join(str(part) for part in parts if part)
