"""An account's tracking and free-trial links: the pooled ones, and those made by hand or elsewhere (role 'external')."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import asyncpg
import msgspec

from tracker.access.audit import record
from tracker.inventory.offers import TRIAL_DURATIONS, external_offer, link_url, split_offer
from tracker.management import tags
from tracker.management.errors import Invalid, Refused, not_found
from tracker.management.tags import TagKind
from tracker.providers.base import AccountClient, LinkKind, ProviderError, ProviderLink, TrialTerms
from tracker.providers.registry import Providers
from tracker.secrets import SealError
from tracker.stores.queries import load_queries

if TYPE_CHECKING:
    from tracker.access.caller import Caller
    from tracker.management.services import Services

SQL = load_queries("tracker.management", "inventory.sql")
TAGS: dict[LinkKind, TagKind] = {"tracking_link": "tracking_links", "free_trial": "trial_links"}
LIMITS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 50, 100)
_OURS = re.compile(r"cb-\d+\Z")
Answer = TypeVar("Answer")


class NewTrackingLink(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A tracking link made by hand."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    tags: tags.Tags = []


class NewTrialLink(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """A free-trial link made by hand: days, how many may claim it (0: any number), days it may be claimed (0: for ever)."""

    duration: int
    offer_limit: int
    offer_expiration: Annotated[int, msgspec.Meta(ge=0, le=30)]
    name: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    tags: tags.Tags = []


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which links of an account. `pooled`: with those that smart links give out; `gone`: with those that are no more."""

    kind: LinkKind
    provider_link_id: str | None = None
    pooled: bool = True
    gone: bool = True
    search: str | None = None
    tags: list[str] | None = None
    since: datetime | None = None
    until: datetime | None = None
    sort: Literal["created", "claims", "limit", "expires", "days"] = "created"
    descending: bool = True


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A platform link. Counters are the provider's as last read; money in cents: what its subscribers paid since, and what of
    that was taken back."""

    inventory_link_id: int
    offer: str
    kind: LinkKind
    role: str
    state: str
    provider_link_id: str
    name: str
    url: str | None
    claim_limit: int | None
    expires_at: datetime | None
    clicks_seen: int
    subscribers_seen: int
    created_at: datetime
    retired_at: datetime | None
    retired_reason: str | None
    tags: list[str]
    gross_cents: int
    taken_cents: int
    spenders: int

    @property
    def pooled(self) -> bool:
        """Whether smart links give it out, or gave it out."""
        return self.role != "external"

    @property
    def trial_days(self) -> int | None:
        """The days a trial lasts."""
        return split_offer(self.offer)[1]


async def page(
    services: Services, caller: Caller, account_id: str, wanted: Wanted, limit: int, offset: int = 0
) -> list[Link]:
    """Up to `limit` links of an account. Raises Refused (404) for an account that is not the team's."""
    await _account(services, caller, account_id)
    rows = await services.pool.fetch(
        SQL["page"], caller.team_id, account_id, wanted.kind, TAGS[wanted.kind], wanted.provider_link_id, wanted.gone,
        wanted.pooled, wanted.search or None, wanted.tags, wanted.since, wanted.until, wanted.sort,
        1 if wanted.descending else -1, limit, offset,
    )  # fmt: skip
    return [Link(**dict(row)) for row in rows]


async def get(services: Services, caller: Caller, account_id: str, kind: LinkKind, link_id: str) -> Link:
    """One link by the provider's id. Raises Refused (404)."""
    rows = await page(services, caller, account_id, Wanted(kind=kind, provider_link_id=link_id), 1)
    if not rows:
        raise not_found("This link")
    return rows[0]


async def create(services: Services, caller: Caller, account_id: str, new: NewTrackingLink | NewTrialLink) -> Link:
    """Make a link on the platform, asked for once; no pool takes it. Raises Invalid, Refused: 404, 409 when the account cannot
    make it now, 429, 503 when the provider did not answer (then it may have been made: look before asking again)."""
    account = await _account(services, caller, account_id)
    kind: LinkKind = "free_trial" if isinstance(new, NewTrialLink) else "tracking_link"
    name = (new.name or "").strip()
    if _OURS.match(name):
        raise Invalid({"name": ["Names such as cb-1 are those of pooled links: take another."]})
    terms = _terms(new) if isinstance(new, NewTrialLink) else None
    if not name and kind == "tracking_link":
        raise Invalid({"name": ["The name field is required."]})

    async def make(client: AccountClient) -> ProviderLink:
        if kind not in client.traits.creates:
            raise Refused(409, "CANNOT_CREATE", "This provider cannot make such links; make it on the platform.")
        return await client.create_link(kind, name, terms)

    made = await _ask(services, account, make)
    base = services.settings.fansly_url if account["provider"] == "fansly" else services.settings.platform_url
    async with services.pool.acquire() as connection, connection.transaction():
        number = await connection.fetchval(
            SQL["insert"], account_id, external_offer(made) if terms is None else f"trial-{terms.days}", kind,
            made.provider_link_id, made.name or name, link_url(base, account["username"], made), made.claim_limit,
            made.expires_at,
        )  # fmt: skip
        await tags.add(connection, caller.team_id, TAGS[kind], str(number), new.tags)
        detail = {"account_id": account_id, "kind": kind, "name": name, "provider_link_id": made.provider_link_id}
        await record(connection, caller, "link.created", "inventory_link", str(number), detail)
    return await get(services, caller, account_id, kind, made.provider_link_id)


async def delete(services: Services, caller: Caller, account_id: str, kind: LinkKind, link_id: str) -> None:
    """Delete a link on the platform. Raises Refused: 404, 409 for a pooled one or when the provider cannot."""
    account = await _account(services, caller, account_id)
    link = await get(services, caller, account_id, kind, link_id)
    if link.pooled:
        message = "Smart links give this link out, and fans hold it: it cannot be deleted. It retires by itself when it is worn."
        raise Refused(409, "LINK_IS_POOLED", message)
    if link.state == "retired":
        return
    await _ask(services, account, lambda client: client.delete_link(kind, link_id))
    async with services.pool.acquire() as connection, connection.transaction():
        await connection.execute(SQL["retire"], link.inventory_link_id)
        detail = {"account_id": account_id, "kind": kind, "name": link.name, "provider_link_id": link_id}
        await record(connection, caller, "link.deleted", "inventory_link", str(link.inventory_link_id), detail)


async def tagged(
    services: Services,
    caller: Caller,
    account_id: str,
    kind: LinkKind,
    link_id: str,
    *,
    more: list[str] | None = None,
    less: list[str] | None = None,
) -> list[str]:
    """A link's tags, after adding `more` and taking off `less`. Raises Invalid, Refused (404)."""
    number = str((await get(services, caller, account_id, kind, link_id)).inventory_link_id)
    async with services.pool.acquire() as connection, connection.transaction():
        if more is not None:
            await tags.add(connection, caller.team_id, TAGS[kind], number, more)
        if less is not None:
            await tags.remove(connection, caller.team_id, TAGS[kind], number, less)
        if more or less:
            detail = {"added": more or [], "removed": less or []}
            await record(connection, caller, "link.tagged", "inventory_link", number, detail)
        return await tags.of_link(connection, caller.team_id, TAGS[kind], number)


async def subscribers(services: Services, link: Link, limit: int, offset: int = 0) -> list[asyncpg.Record]:
    """Who came through a link, newest first: `fan_id`, `username`, `name`, `at`; as far as its list was read."""
    return await services.pool.fetch(SQL["subscribers"], link.inventory_link_id, limit, offset)


async def _account(services: Services, caller: Caller, account_id: str) -> asyncpg.Record:
    row = await services.pool.fetchrow(SQL["account"], caller.team_id, account_id)
    if row is None:
        raise Refused(404, "account_not_found", "This account was not found.")
    return row


def _terms(new: NewTrialLink) -> TrialTerms:
    if new.duration not in TRIAL_DURATIONS:
        durations = ", ".join(str(days) for days in sorted(TRIAL_DURATIONS))
        raise Invalid({"duration": [f"The duration must be one of: {durations}."]})
    if new.offer_limit not in LIMITS:
        raise Invalid({"offerLimit": [f"The offer limit must be one of: {', '.join(map(str, LIMITS))} (0: no limit)."]})
    return TrialTerms(new.duration, new.offer_limit, new.offer_expiration)


async def _ask(
    services: Services, account: asyncpg.Record, question: Callable[[AccountClient], Awaitable[Answer]]
) -> Answer:
    """Ask the account's provider something once. Raises Refused saying what a person can do."""
    try:
        if account["api_key_sealed"] is None:
            raise ProviderError("auth", "No API key is set for this account.")
        sealed, context = account["api_key_sealed"], f"account:{account['account_id']}:api_key"
        key = services.secrets.open(sealed, context).decode().strip()
        async with Providers(services.settings) as providers:
            client = providers.account(account["provider"], account["provider_account_id"], key)
            return await question(client)
    except SealError as error:
        raise Refused(409, "ACCOUNT_NEEDS_KEY", "The stored API key does not open; enter it again.") from error
    except ProviderError as error:
        if error.kind == "throttled":
            raise Refused(429, "TOO_MANY_REQUESTS", f"The provider asks to slow down: {error.message}") from error
        if error.kind in ("session", "auth"):
            raise Refused(409, "ACCOUNT_NEEDS_ATTENTION", error.message) from error
        if error.kind == "permanent":
            raise Refused(422, "REFUSED_BY_PROVIDER", error.message) from error
        raise Refused(503, "PROVIDER_AWAY", f"The provider did not answer: {error.message}") from error
