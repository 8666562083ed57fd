"""OnlyFans' own rows, which more than one provider passes through."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tracker.providers import fields
from tracker.providers.base import ProviderLink


def trial_link(link_id: str, name: str, row: dict[str, Any]) -> ProviderLink:
    """A free-trial link's row."""
    return ProviderLink(
        kind="free_trial",
        provider_link_id=link_id,
        name=name,
        url=fields.url(row.get("url")),
        clicks=fields.count(row.get("clicksCounts")),
        subscribers=fields.count(row.get("claimCounts")),
        claim_limit=fields.count(row.get("subscribeCounts")) or None,
        trial_days=fields.count(row.get("subscribeDays")) or None,
        expires_at=fields.moment(row.get("expiredAt")),
        created_at=fields.moment(row.get("createdAt")),
        finished=row.get("isFinished") is True,
    )


def trial_start(periods: Any) -> datetime | None:
    """When the latest trial of a fan's subscription periods began: the fan may have renewed since. None: not told."""
    if not isinstance(periods, list):
        return None
    trials = [period for period in periods if isinstance(period, dict) and period.get("type") == "trial"]
    times = [fields.moment(period.get("startDate") or period.get("date")) for period in trials]
    return max((time for time in times if time is not None), default=None)
