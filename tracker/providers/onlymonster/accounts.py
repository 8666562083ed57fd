"""One account at Onlymonster. Links are read-only here; a feed of all link users is where bindings come from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from tracker.providers import fields
from tracker.providers.base import (
    AccountClient,
    AccountInfo,
    Chat,
    ChatMessage,
    LinkKind,
    LinkSubscriber,
    LinkUse,
    ProviderError,
    ProviderLink,
    Traits,
    Transaction,
    TrialTerms,
)
from tracker.providers.onlymonster import rows
from tracker.providers.onlymonster.client import SLOW_RATE, Client, Transport, rows_of

LINKS: dict[LinkKind, str] = {"tracking_link": "tracking-links", "free_trial": "trial-links"}
USERS: dict[LinkKind, str] = {"tracking_link": "tracking-link-users", "free_trial": "trial-link-users"}
BEGINNING = "2016-01-01T00:00:00.000Z"
FANS = 1000  # chats asked for by latest activity

TRAITS = Traits(creates=(), edges="feed", looks_every=60.0, money_lag=timedelta(hours=1))
"""Onlymonster collects minutes after the fact and tells nobody; two free calls a minute are the way to know."""


class OnlymonsterAccount(AccountClient):
    """`AccountClient` of Onlymonster. `reference`: Onlymonster's own id of the account, or the platform's."""

    def __init__(self, transport: Transport, token: str, reference: str) -> None:
        self._client = Client(transport, token)
        self._reference = reference

    @property
    def traits(self) -> Traits:
        """What Onlymonster can do."""
        return TRAITS

    @property
    def calls(self) -> int:
        """Requests sent so far."""
        return self._client.calls

    async def info(self) -> AccountInfo:
        """The account's row. Raises ProviderError (permanent) when the token does not see the account."""
        params: dict[str, str | int] = {"limit": 1000, "withExpiredSubscriptions": "true"}
        while True:
            answer = await self._client.get("accounts", "/api/v0/accounts", params)
            for row in rows_of(answer, "accounts"):
                info = rows.read_account(row, datetime.now(UTC))
                if self._reference in (info.provider_account_id, info.platform_user_id):
                    key = (self._client.token, self._reference)
                    self._client.transport.identities[key] = info.provider_account_id, info.platform_user_id
                    return info
            following = fields.text(answer.get("nextCursor"), 4000)
            if not following or following == params.get("cursor"):
                raise ProviderError("permanent", "Onlymonster does not list this account under this token.")
            params["cursor"] = following

    async def links(self, kind: LinkKind, *, newest_first: bool = False) -> AsyncIterator[list[ProviderLink]]:
        """All links of a kind, in Onlymonster's order."""
        async for page in self._ranged(LINKS[kind], BEGINNING):
            yield [link for link in (rows.read_link(kind, row) for row in page) if link is not None]

    async def link_exists(self, kind: LinkKind, provider_link_id: str) -> bool:
        """Whether the list still has it, active."""
        async for page in self.links(kind):
            for link in page:
                if link.provider_link_id == provider_link_id:
                    return not link.finished
        return False

    async def create_link(self, kind: LinkKind, name: str, terms: TrialTerms | None) -> ProviderLink:
        """Refused: Onlymonster has no such call."""
        raise ProviderError("permanent", "Onlymonster cannot make links; make them on the platform, named for import.")

    async def subscribers(self, kind: LinkKind, provider_link_id: str) -> AsyncIterator[list[LinkSubscriber]]:
        """A link's users, out of the feed."""
        async for page in self._users(kind, {"link_id": provider_link_id}):
            yield [LinkSubscriber(use.fan_id, use.username, use.name, use.subscribed_at) for use in page]

    def link_users(self, kind: LinkKind, since: datetime) -> AsyncIterator[list[LinkUse]]:
        """Everybody collected from `since` on."""
        return self._users(kind, {"collected_from": rows.zulu(since)})

    async def transactions(self, since: datetime) -> AsyncIterator[list[Transaction]]:
        """Payments from `since` on, in Onlymonster's order."""
        async for page in self._ranged("transactions", rows.zulu(since)):
            yield [found for found in (rows.read_transaction(row) for row in page) if found is not None]

    async def chargebacks(self, since: datetime) -> AsyncIterator[list[Transaction]]:
        """Payments taken back since then."""
        async for page in self._ranged("chargebacks", rows.zulu(since)):
            yield [found for found in (rows.read_chargeback(row) for row in page) if found is not None]

    async def chats(self) -> AsyncIterator[list[Chat]]:
        """The fans with the latest chat activity."""
        own, _ = await self._identity()
        answer = await self._client.get("fans", f"/api/v0/accounts/{own}/fans", {"limit": FANS}, rate=SLOW_RATE)
        ids = answer.get("fan_ids")
        if not isinstance(ids, list):
            raise ProviderError("transient", "Onlymonster answered a list call without a list.")
        yield [Chat(fan) for fan in (fields.fan_id(value) for value in ids) if fan]

    async def messages(self, fan_id: str) -> AsyncIterator[list[ChatMessage]]:
        """A chat, newest first; one call a second at most."""
        own, _ = await self._identity()
        path = f"/api/v0/accounts/{own}/chats/{fan_id}/messages"
        params: dict[str, str | int] = {"limit": 100, "order": "desc"}
        while True:
            answer = await self._client.get("messages", path, params, rate=SLOW_RATE)
            page = rows_of(answer, "items")
            yield [found for found in (rows.read_message(row, fan_id) for row in page) if found is not None]
            last = fields.id_text(page[-1].get("id")) if page else ""
            if answer.get("has_more") is not True or not last or last == str(params.get("message_id")):
                return
            params["message_id"] = last

    async def _users(self, kind: LinkKind, params: dict[str, str | int]) -> AsyncIterator[list[LinkUse]]:
        _, platform_id = await self._identity()
        path = f"/api/v0/platforms/onlyfans/accounts/{platform_id}/{USERS[kind]}"
        async for page in self._client.pages(USERS[kind], path, {"limit": 750, **params}):
            yield [use for use in (rows.read_use(kind, row) for row in page) if use is not None]

    async def _ranged(self, name: str, start: str) -> AsyncIterator[list[dict[str, Any]]]:
        _, platform_id = await self._identity()
        path = f"/api/v0/platforms/onlyfans/accounts/{platform_id}/{name}"
        # The end lies ahead: clocks differ, and what is new now belongs in.
        end = rows.zulu(datetime.now(UTC) + timedelta(days=1))
        async for page in self._client.pages(name, path, {"start": start, "end": end, "limit": 1000}):
            yield page

    async def _identity(self) -> tuple[str, str]:
        """(Onlymonster's id, the platform's id) of the account; asked for once per process."""
        known = self._client.transport.identities.get((self._client.token, self._reference))
        if known is None:
            info = await self.info()
            known = info.provider_account_id, info.platform_user_id
        return known
