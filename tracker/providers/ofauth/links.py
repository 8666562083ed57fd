"""Tracking and trial links of OFAuth, in both generations of their bodies (upstream spec 2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from tracker.providers import fields
from tracker.providers.base import LinkKind, LinkSubscriber, ProviderError, ProviderLink, TrialTerms
from tracker.providers.ofauth.client import ACCESS, Client, rows_of
from tracker.providers.onlyfans import trial_link, trial_start

PATHS: dict[LinkKind, str] = {
    "tracking_link": f"{ACCESS}/promotions/tracking-links",
    "free_trial": f"{ACCESS}/promotions/trial-links",
}
WIDEST_PAGE = 100
NO_CODE = "OFAuth does not tell this connection the campaign numbers of tracking links, so their addresses are unknown."


def read_link(kind: LinkKind, row: dict[str, Any]) -> ProviderLink | None:
    """A row as a link; None without id. Of tracking links only id and name are documented, the rest is passed through."""
    link_id = fields.id_text(row.get("id"))
    if not link_id:
        return None
    if kind == "tracking_link":
        return ProviderLink(
            kind=kind,
            provider_link_id=link_id,
            name=fields.text(row.get("name") or row.get("campaignName")),
            url=fields.url(row.get("url") or row.get("campaignUrl")),
            code=fields.id_text(row.get("campaignCode")),
            clicks=fields.count(row.get("countTransitions", row.get("clicksCount"))),
            subscribers=fields.count(row.get("countSubscribers", row.get("subscribersCount"))),
            created_at=fields.moment(row.get("createdAt")),
            finished=fields.moment(row.get("endDate")) is not None,
        )
    return trial_link(link_id, fields.text(row.get("trialLinkName") or row.get("name")), row)


def read_subscriber(row: dict[str, Any], *, trial: bool = False) -> LinkSubscriber | None:
    """A subscriber or claimer. Claimers come without a time; a trial's own period is preferred, the fan may have renewed."""
    fan = fields.fan_id(row.get("id"))
    if not fan:
        return None
    told = fields.mapping(row.get("subscription"))
    at = fields.moment(told.get("subscribedAt"))
    if trial:
        at = trial_start(told.get("history")) or at
    return LinkSubscriber(fan, fields.text(row.get("username"), 200), fields.text(row.get("name"), 200), at)


async def pages(client: Client, kind: LinkKind) -> AsyncIterator[list[ProviderLink]]:
    """All links of a kind, in OFAuth's order."""
    params: dict[str, str | int] = {"stats": "true"} if kind == "tracking_link" else {}
    async for rows in client.pages(PATHS[kind], params, limit=WIDEST_PAGE):
        yield [link for link in (read_link(kind, row) for row in rows) if link is not None]


async def subscribers(client: Client, kind: LinkKind, link_id: str) -> AsyncIterator[list[LinkSubscriber]]:
    """A tracking link's claimers, all at once; a trial link's subscribers, by filter."""
    if kind == "tracking_link":
        answer = await client.get(f"{PATHS[kind]}/{link_id}/claimers")
        yield [found for found in (read_subscriber(row) for row in rows_of(answer)) if found is not None]
        return
    params: dict[str, str | int] = {"type": "all", "filter[trial_id]": link_id}
    async for rows in client.pages(f"{ACCESS}/subscribers", params):
        yield [found for found in (read_subscriber(row, trial=True) for row in rows) if found is not None]


async def latest(client: Client) -> AsyncIterator[list[LinkSubscriber]]:
    """Fans by their newest subscription, newest first, with its time."""
    async for rows in client.pages(f"{ACCESS}/subscribers", {"type": "latest", "latestType": "total"}):
        yield [found for found in (read_subscriber(row) for row in rows) if found is not None]


async def exists(client: Client, kind: LinkKind, link_id: str) -> bool:
    """Whether the link still stands."""
    try:
        answer = await client.get(f"{PATHS[kind]}/{link_id}")
    except ProviderError as error:
        if error.status == 404 and error.kind == "permanent":
            return False
        raise
    link = read_link(kind, fields.mapping(answer))
    return link is None or not link.finished


async def create(client: Client, kind: LinkKind, name: str, terms: TrialTerms | None) -> ProviderLink:
    """Make one link. A trial's body is the current one or, where that is refused as such, the older one."""
    if terms is None:
        answer = await client.post(PATHS[kind], {"name": name})
    else:
        try:
            answer = await client.post(PATHS[kind], _current(name, terms))
        except ProviderError as error:
            # A body that was refused made nothing, so asking in the other words cannot make a second link.
            if error.status not in (400, 422) or error.uncertain:
                raise
            answer = await _older(client, kind, name, terms, error)
    row = answer[0] if isinstance(answer, list) and answer else answer
    link = read_link(kind, fields.mapping(row))
    if link is None:
        raise ProviderError("transient", "OFAuth made a link and did not say which.", uncertain=True)
    if link.url or link.code:
        return link
    return await _described(client, kind, link.provider_link_id)


async def _described(client: Client, kind: LinkKind, link_id: str) -> ProviderLink:
    """The link read again, where its creation did not tell its address."""
    try:
        link = read_link(kind, fields.mapping(await client.get(f"{PATHS[kind]}/{link_id}")))
    except ProviderError as error:
        # It was made: the lists will show it under its name.
        raise ProviderError(error.kind, error.message, retry_after=error.retry_after, uncertain=True) from error
    if link is None or not (link.url or link.code):
        raise ProviderError("permanent", NO_CODE)
    return link


async def _older(client: Client, kind: LinkKind, name: str, terms: TrialTerms, refused: ProviderError) -> Any:
    try:
        return await client.post(PATHS[kind], _legacy(name, terms, datetime.now(UTC)))
    except ProviderError as error:
        # Both were refused: the first refusal is about the body in use today.
        raise refused if error.status in (400, 422) else error from error


def _current(name: str, terms: TrialTerms) -> dict[str, Any]:
    offer = {"limit": terms.claim_limit, "expirationDays": terms.offer_days}
    return {"name": name, "durationDays": terms.days, "offer": offer}


def _legacy(name: str, terms: TrialTerms, now: datetime) -> dict[str, Any]:
    body: dict[str, Any] = {"trialLinkName": name, "subscribeDays": terms.days, "subscribeCounts": terms.claim_limit}
    if terms.offer_days:
        ends = now + timedelta(days=terms.offer_days)
        body["expiredAt"] = ends.isoformat(timespec="seconds").replace("+00:00", "Z")
    return body
