"""What an event tells of the click it is credited to: template variables (spec 6), and match keys for ad platforms.

Match keys begin with an underscore: no template can name them, so an address of a fan never leaves in a postback URL.
"""

from __future__ import annotations

from datetime import UTC, datetime

import asyncpg

CLICK_VARIABLES = (
    "country", "fbclid", "gclid", "gbraid", "wbraid", "ttclid", "sccid", "utm_source", "utm_medium", "utm_campaign",
    "utm_term", "utm_content", "aff_s1", "aff_s2", "aff_s3", "aff_s4", "aff_s5",
)  # fmt: skip
MATCH_KEYS = ("ip", "user_agent", "landing_url", "referrer", "fbp", "fbc", "ttp", "scid", "provider_account_id")


def click_facts(click: asyncpg.Record) -> dict[str, str | None]:
    """The facts of a click, its smart link and its account, from a row of a `click_facts` query."""
    values: dict[str, str | None] = {
        "ofapi_account_id": click["account_id"],
        "creator_onlyfans_id": click["platform_user_id"],
        "creator_onlyfans_username": click["username"],
        "creator_onlyfans_name": click["display_name"],
        "smart_link_id": click["smart_link_id"],
        "smart_link_name": click["smart_link_name"],
        "click_id": click["click_id"],
        "external_click_id": click["ecid"],
        "_click_ms": str(milliseconds(click["clicked_at"])),
    }
    values.update((name, click[name]) for name in CLICK_VARIABLES)
    values.update(("_" + name, click[name]) for name in MATCH_KEYS)
    return values


def milliseconds(moment: datetime) -> int:
    """Unix milliseconds."""
    return round(moment.timestamp() * 1000)


def rfc3339(moment: datetime) -> str:
    """`2026-01-31T13:37:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
