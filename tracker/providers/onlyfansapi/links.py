"""Tracking and trial links of OnlyFansAPI (upstream spec 1.3, 1.4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from tracker.providers import fields
from tracker.providers.base import LinkKind, LinkSubscriber, ProviderError, ProviderLink, TrialTerms
from tracker.providers.onlyfans import trial_link, trial_start
from tracker.providers.onlyfansapi.client import Client, next_offset, rows_of

PATHS: dict[LinkKind, str] = {"tracking_link": "tracking-links", "free_trial": "trial-links"}
SORTS: dict[LinkKind, dict[str, str]] = {
    "tracking_link": {"sortby": "created_date"},
    "free_trial": {"field": "create_date"},
}
PAGE = 100
MOST_PAGES = 10_000


def read_link(kind: LinkKind, row: dict[str, Any]) -> ProviderLink | None:
    """A list, single or create row as a link; None when it has no id. Creation names the fields differently."""
    link_id = fields.id_text(row.get("id"))
    if not link_id:
        return None
    if kind == "tracking_link":
        return ProviderLink(
            kind=kind,
            provider_link_id=link_id,
            name=fields.text(row.get("campaignName")),
            url=fields.url(row.get("campaignUrl")),
            code=fields.id_text(row.get("campaignCode")),
            clicks=fields.count(row.get("clicksCount", row.get("countTransitions"))),
            subscribers=fields.count(row.get("subscribersCount", row.get("countSubscribers"))),
            created_at=fields.moment(row.get("createdAt")),
            finished=fields.moment(row.get("endDate")) is not None,
        )
    return trial_link(link_id, fields.text(row.get("trialLinkName")), row)


def read_subscriber(kind: LinkKind, row: dict[str, Any]) -> LinkSubscriber | None:
    """A subscriber row; only trial rows tell when. A trial's own period is preferred: the fan may have renewed since."""
    fan = fields.fan_id(row.get("id"))
    if not fan:
        return None
    data = fields.mapping(row.get("subscribedOnData")) if kind == "free_trial" else {}
    at = fields.moment(data.get("subscribeAt"))
    at = trial_start(data.get("subscribes")) or at
    return LinkSubscriber(fan, fields.text(row.get("username"), 200), fields.text(row.get("name"), 200), at)


async def pages(client: Client, kind: LinkKind, *, newest_first: bool) -> AsyncIterator[list[ProviderLink]]:
    """All links of a kind, a hundred for each credit. Creation order keeps pages still while links are added."""
    path = f"/api/{client.account}/{PATHS[kind]}"
    sort = {**SORTS[kind], "sort": "desc" if newest_first else "asc"}
    async for rows in _paged(client, path, sort):
        yield [link for link in (read_link(kind, row) for row in rows) if link is not None]


async def subscribers(client: Client, kind: LinkKind, link_id: str) -> AsyncIterator[list[LinkSubscriber]]:
    """A link's subscribers. Pages may be short while more follow (removed users leave holes)."""
    async for rows in _paged(client, f"/api/{client.account}/{PATHS[kind]}/{link_id}/subscribers", {}):
        yield [found for found in (read_subscriber(kind, row) for row in rows) if found is not None]


async def exists(client: Client, kind: LinkKind, link_id: str) -> bool:
    """Whether the link still stands: not gone, ended, used up or expired."""
    try:
        answer = await client.get(f"/api/{client.account}/{PATHS[kind]}/{link_id}")
    except ProviderError as error:
        if error.status == 404 and error.kind == "permanent":
            return False
        raise
    link = read_link(kind, fields.mapping(fields.mapping(answer).get("data", answer)))
    return link is None or not link.finished


async def create(client: Client, kind: LinkKind, name: str, terms: TrialTerms | None) -> ProviderLink:
    """Make one link. Tracking links come back as an array of one, without a URL; `code` makes it."""
    body: dict[str, Any] = {"name": name}
    if terms is not None:
        body |= {"duration": terms.days, "offerLimit": terms.claim_limit, "offerExpiration": terms.offer_days}
    answer = await client.post(f"/api/{client.account}/{PATHS[kind]}", body)
    data = fields.mapping(answer).get("data", answer)
    row = data[0] if isinstance(data, list) and data else data
    link = read_link(kind, fields.mapping(row))
    if link is None or not (link.url or link.code):
        raise ProviderError("transient", "OnlyFansAPI made a link and did not say which.", uncertain=True)
    return link


async def delete(client: Client, kind: LinkKind, link_id: str) -> None:
    """Take a link off the platform; fans who came through it stay."""
    try:
        await client.delete(f"/api/{client.account}/{PATHS[kind]}/{link_id}")
    except ProviderError as error:
        if not (error.status == 404 and error.kind == "permanent"):
            raise


async def _paged(client: Client, path: str, params: dict[str, str]) -> AsyncIterator[list[dict[str, Any]]]:
    offset = 0
    for _ in range(MOST_PAGES):
        answer = await client.get(path, {**params, "limit": PAGE, "offset": offset})
        yield rows_of(answer)
        following = next_offset(answer, offset, PAGE)
        if following is None:
            return
        offset = following
    raise ProviderError("transient", "OnlyFansAPI's list does not end.")
