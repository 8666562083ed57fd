"""One account at OnlyFansAPI: who the creator is, whether the session lives, and the calls of the other modules."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from tracker.providers import fields
from tracker.providers.base import (
    AccountClient,
    AccountInfo,
    ChatMessage,
    LinkKind,
    LinkSubscriber,
    ProviderError,
    ProviderLink,
    SessionState,
    Traits,
    Transaction,
    TrialTerms,
)
from tracker.providers.onlyfansapi import chats, fans, links, money
from tracker.providers.onlyfansapi.client import Client, Transport

LOGGING_IN = "The OnlyFans session expired; OnlyFansAPI is logging in again. New links wait, redirects go on."
LOGIN_FAILED = "OnlyFansAPI could not log in to this OnlyFans account. Reconnect it in the OnlyFansAPI console."


def read_account(row: dict[str, Any]) -> AccountInfo:
    """A row of `GET /api/accounts` (upstream spec 1.5)."""
    user = fields.mapping(row.get("onlyfans_user_data"))
    state, message = session_of(row.get("is_authenticated"), row.get("authentication_progress"))
    return AccountInfo(
        provider_account_id=fields.id_text(row.get("id")),
        platform_user_id=fields.fan_id(row.get("onlyfans_id")) or fields.fan_id(user.get("id")),
        username=fields.text(row.get("onlyfans_username") or user.get("username"), 200),
        display_name=fields.text(row.get("display_name") or user.get("name"), 200),
        session=state,
        session_message=message,
        subscribe_price_cents=fields.cents(user.get("subscribePrice")),
    )


def session_of(authenticated: Any, progress: Any) -> tuple[SessionState, str]:
    """(state, plain words) of the vendor's login fields."""
    if authenticated is True:
        return "ok", ""
    if authenticated is None:
        return "unknown", ""
    words = fields.text(progress).lower()
    if any(word in words for word in ("fail", "otp", "captcha", "face", "error")):
        return "dead", LOGIN_FAILED
    return "reconnecting", LOGGING_IN


class OnlyFansApiAccount(AccountClient):
    """`AccountClient` of OnlyFansAPI."""

    def __init__(self, transport: Transport, api_key: str, provider_account_id: str) -> None:
        self._client = Client(transport, api_key, provider_account_id)

    @property
    def traits(self) -> Traits:
        """Everything but a feed of link users."""
        return Traits()

    @property
    def calls(self) -> int:
        """Requests sent so far."""
        return self._client.calls

    async def info(self) -> AccountInfo:
        """The account's row. Raises ProviderError (permanent) when the key does not see the account."""
        answer = await self._client.get("/api/accounts")
        for row in rows if isinstance(rows := fields.mapping(answer).get("data", answer), list) else ():
            if isinstance(row, dict) and row.get("id") == self._client.account:
                return read_account(row)
        raise ProviderError("permanent", "OnlyFansAPI does not list this account under this API key.")

    def links(self, kind: LinkKind, *, newest_first: bool = False) -> AsyncIterator[list[ProviderLink]]:
        """All links of a kind, page by page."""
        return links.pages(self._client, kind, newest_first=newest_first)

    async def link_exists(self, kind: LinkKind, provider_link_id: str) -> bool:
        """Whether the link still stands."""
        return await links.exists(self._client, kind, provider_link_id)

    async def create_link(self, kind: LinkKind, name: str, terms: TrialTerms | None) -> ProviderLink:
        """Make one link, asking once."""
        return await links.create(self._client, kind, name, terms)

    async def delete_link(self, kind: LinkKind, provider_link_id: str) -> None:
        """Take a link off the platform."""
        await links.delete(self._client, kind, provider_link_id)

    def subscribers(self, kind: LinkKind, provider_link_id: str) -> AsyncIterator[list[LinkSubscriber]]:
        """A link's subscribers, page by page."""
        return links.subscribers(self._client, kind, provider_link_id)

    def latest_fans(self) -> AsyncIterator[list[LinkSubscriber]]:
        """Fans by their newest subscription, with its exact time."""
        return fans.latest(self._client)

    def transactions(self, since: datetime) -> AsyncIterator[list[Transaction]]:
        """Payments from `since` on, newest first, repeats possible."""
        return money.transactions(self._client, since)

    def chargebacks(self, since: datetime) -> AsyncIterator[list[Transaction]]:
        """Payments taken back."""
        return money.chargebacks(self._client, since)

    def messages(self, fan_id: str) -> AsyncIterator[list[ChatMessage]]:
        """A chat, newest first."""
        return chats.messages(self._client, fan_id)
