"""One Fansly account through OnlyFansAPI: the same key, envelope and errors, other paths (upstream spec 5, a closed beta)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from tracker.providers import fields
from tracker.providers.base import (
    AccountClient,
    AccountInfo,
    LinkKind,
    LinkSubscriber,
    ProviderError,
    ProviderLink,
    Traits,
    Transaction,
    TrialTerms,
)
from tracker.providers.fansly import rows
from tracker.providers.onlyfansapi.accounts import read_account
from tracker.providers.onlyfansapi.client import Client, Transport, rows_of

PAGE = 100
MOST_PAGES = 2_000
KINDS: tuple[LinkKind, ...] = ("tracking_link",)
TRAITS = Traits(kinds=KINDS, creates=KINDS, edges="counters", names_payers=False, messages="unreadable")
NO_TRIALS = "Fansly has no trial links through OnlyFansAPI; use tracking links."


class FanslyAccount(AccountClient):
    """`AccountClient` of a `fansly_acct_…`. Its links only count: who came through one is told by nobody."""

    def __init__(self, transport: Transport, api_key: str, provider_account_id: str) -> None:
        self._client = Client(transport, api_key, provider_account_id)
        self._root = f"/api/fansly/{provider_account_id}"

    @property
    def traits(self) -> Traits:
        """What OnlyFansAPI can do for Fansly."""
        return TRAITS

    @property
    def calls(self) -> int:
        """Requests sent so far."""
        return self._client.calls

    async def info(self) -> AccountInfo:
        """The account's row. Where Fansly's accounts are listed is not documented: their own list, else everybody's."""
        for path in ("/api/fansly/accounts", "/api/accounts"):
            try:
                answer = await self._client.get(path)
            except ProviderError as error:
                if error.status == 404:
                    continue
                raise
            listed = fields.mapping(answer).get("data", answer)
            for row in listed if isinstance(listed, list) else ():
                if isinstance(row, dict) and row.get("id") == self._client.account:
                    return read_account(row)
        raise ProviderError("permanent", "OnlyFansAPI does not list this Fansly account under this API key.")

    async def links(self, kind: LinkKind, *, newest_first: bool = False) -> AsyncIterator[list[ProviderLink]]:
        """All tracking links with their counters, in one answer."""
        if kind == "tracking_link":
            answer = await self._client.get(f"{self._root}/tracking-links")
            yield [link for link in (rows.read_link(row) for row in rows_of(answer)) if link is not None]

    async def link_exists(self, kind: LinkKind, provider_link_id: str) -> bool:
        """Whether the list still has it, in use."""
        async for page in self.links(kind):
            for link in page:
                if link.provider_link_id == provider_link_id:
                    return not link.finished
        return False

    async def create_link(self, kind: LinkKind, name: str, terms: TrialTerms | None) -> ProviderLink:
        """Make one tracking link, asking once."""
        if kind != "tracking_link":
            raise ProviderError("permanent", NO_TRIALS)
        answer = await self._client.post(f"{self._root}/tracking-links", {"label": name, "description": ""})
        data = fields.mapping(answer).get("data", answer)
        row = fields.mapping(data[0] if isinstance(data, list) and data else data)
        link = rows.read_link({"type": rows.USER_MADE, **row})
        if link is None:
            raise ProviderError("transient", "OnlyFansAPI made a Fansly link and did not say which.", uncertain=True)
        return link

    async def subscribers(self, kind: LinkKind, provider_link_id: str) -> AsyncIterator[list[LinkSubscriber]]:
        """Nobody: the link's subscribers are not told."""
        nobody: list[list[LinkSubscriber]] = []
        for page in nobody:
            yield page

    async def latest_fans(self) -> AsyncIterator[list[LinkSubscriber]]:
        """Running subscriptions, newest first."""
        async for page in self._paged(f"{self._root}/subscribers"):
            yield [found for found in (rows.read_subscriber(row) for row in page) if found is not None]

    async def transactions(self, since: datetime) -> AsyncIterator[list[Transaction]]:
        """The wallet's rows from `since` on, newest first; who paid is not told."""
        async for page in self._paged(f"{self._root}/earnings/transactions"):
            read = [found for found in (rows.read_transaction(row) for row in page) if found is not None]
            yield [row for row in read if row.at >= since.replace(microsecond=0)]
            if read and min(row.at for row in read) < since:
                return

    async def chargebacks(self, since: datetime) -> AsyncIterator[list[Transaction]]:
        """The wallet's rows that were taken back: they have no list of their own."""
        async for page in self.transactions(since):
            yield [row for row in page if row.status == "undo"]

    async def _paged(self, path: str) -> AsyncIterator[list[dict[str, Any]]]:
        offset = 0
        for _ in range(MOST_PAGES):
            answer = await self._client.get(path, {"limit": PAGE, "offset": offset})
            page = rows_of(answer, "data")
            yield page
            offset += PAGE
            total = fields.mapping(fields.mapping(answer).get("data")).get("total")
            if not page or (isinstance(total, int) and offset >= total):
                return
        raise ProviderError("transient", "OnlyFansAPI's Fansly list does not end.")
