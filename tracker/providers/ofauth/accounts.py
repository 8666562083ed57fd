"""One connection at OFAuth. Nothing tells of subscribers or payments here: everything is polled within its bucket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from tracker.providers import fields
from tracker.providers.base import (
    AccountClient,
    AccountInfo,
    Chat,
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
from tracker.providers.ofauth import links, money
from tracker.providers.ofauth.client import ACCESS, SESSION_EXPIRED, Client, Transport
from tracker.providers.onlyfansapi.chats import read_message

NEEDS_CODE = "OFAuth waits for the creator's login code. The creator has to finish connecting; redirects go on."
TRAITS = Traits(tells_fans=False, looks_every=60.0, messages="polled")


def session_of(status: str) -> tuple[SessionState, str]:
    """(state, plain words) of a connection's status."""
    if status == "active":
        return "ok", ""
    if status == "awaiting_2fa":
        return "dead", NEEDS_CODE
    return ("dead", SESSION_EXPIRED) if status else ("unknown", "")


def read_connection(row: dict[str, Any]) -> AccountInfo:
    """A row of `GET /v2/account/connections`."""
    user = fields.mapping(row.get("userData"))
    state, message = session_of(fields.text(row.get("status"), 64).lower())
    return AccountInfo(
        provider_account_id=fields.id_text(row.get("id")),
        platform_user_id=fields.fan_id(user.get("id") or user.get("userId")),
        username=fields.text(user.get("username"), 200),
        display_name=fields.text(user.get("name"), 200),
        session=state,
        session_message=message,
    )


class OFAuthAccount(AccountClient):
    """`AccountClient` of OFAuth; the account is a connection (`conn_…`)."""

    def __init__(self, transport: Transport, api_key: str, connection: str) -> None:
        self._client = Client(transport, api_key, connection)

    @property
    def traits(self) -> Traits:
        """What OFAuth can do."""
        return TRAITS

    @property
    def calls(self) -> int:
        """Requests sent so far."""
        return self._client.calls

    async def info(self) -> AccountInfo:
        """The connection's row. Raises ProviderError (permanent) when the key does not see it."""
        async for rows in self._client.pages("/v2/account/connections", limit=100):
            for row in rows:
                if row.get("id") == self._client.connection:
                    return read_connection(row)
        raise ProviderError("permanent", "OFAuth does not list this connection under this API key.")

    def links(self, kind: LinkKind, *, newest_first: bool = False) -> AsyncIterator[list[ProviderLink]]:
        """All links of a kind, in OFAuth's order."""
        return links.pages(self._client, kind)

    async def link_exists(self, kind: LinkKind, provider_link_id: str) -> bool:
        """Whether the link still stands."""
        return await links.exists(self._client, kind, provider_link_id)

    async def create_link(self, kind: LinkKind, name: str, terms: TrialTerms | None) -> ProviderLink:
        """Make one link."""
        return await links.create(self._client, kind, name, terms)

    def subscribers(self, kind: LinkKind, provider_link_id: str) -> AsyncIterator[list[LinkSubscriber]]:
        """A link's subscribers."""
        return links.subscribers(self._client, kind, provider_link_id)

    def latest_fans(self) -> AsyncIterator[list[LinkSubscriber]]:
        """Fans by their newest subscription, with its time."""
        return links.latest(self._client)

    def transactions(self, since: datetime) -> AsyncIterator[list[Transaction]]:
        """Payments from `since` on, newest first, repeats possible."""
        return money.transactions(self._client, since)

    def chargebacks(self, since: datetime) -> AsyncIterator[list[Transaction]]:
        """Payments taken back."""
        return money.chargebacks(self._client, since)

    async def chats(self) -> AsyncIterator[list[Chat]]:
        """Chats by their last message, latest first."""
        async for rows in self._client.pages(f"{ACCESS}/chats", {"order": "recent"}):
            yield [chat for chat in (_chat(row) for row in rows) if chat is not None]

    async def messages(self, fan_id: str) -> AsyncIterator[list[ChatMessage]]:
        """A chat, newest first."""
        async for rows in self._client.pages(f"{ACCESS}/chats/{fan_id}/messages"):
            yield [found for found in (read_message(row, fan_id) for row in rows) if found is not None]


def _chat(row: dict[str, Any]) -> Chat | None:
    fan = fields.fan_id(fields.mapping(row.get("withUser") or row.get("user")).get("id"))
    if not fan:
        return None
    return Chat(fan, fields.moment(fields.mapping(row.get("lastMessage")).get("createdAt")))
