"""Clicks, conversions, fans and spenders as the vendor shows them (upstream 1.2), and our columns beside them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg

from tracker.api.stats import money

CLICK_TEXTS = (
    "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "fbclid", "gclid", "gbraid", "wbraid",
    "ttclid", "sccid", "aff_s1", "aff_s2", "aff_s3", "aff_s4", "aff_s5",
)  # fmt: skip


def click_row(row: asyncpg.Record) -> dict[str, Any]:
    """A click as the vendor shows it, and our columns. Of a repeated visit `id` and `created_at` are its own."""
    keys = row.keys()
    repeated = "is_duplicate" in keys and row["is_duplicate"]
    at = row["visited_at"] if "visited_at" in keys else row["clicked_at"]
    browser = " ".join(part for part in (row["browser"], row["browser_version"]) if part) or None
    return {
        "id": (row["id"] if "id" in keys else row["click_id"]).upper(),
        "created_at": at and at.isoformat(),
        "external_click_id": row["ecid"],
        "ip_address": row["ip"],
        "country_code": row["country"],
        "user_agent": row["user_agent"],
        "browser_name": browser,
        "browser_family": row["browser"],
        "browser_platform": row["os"],
        "browser_device_type": row["device_type"],
        "referrer": row["referrer"],
        "is_bot": row["is_bot"],
        "is_duplicate": repeated,
        "gross_clicks": row["gross_clicks"],
        **{name: row[name] for name in CLICK_TEXTS},
        "click_id": row["click_id"].upper(),
        "bot_reason": row["bot_reason"],
        "lease": row["lease"],
    }


def conversion_row(row: asyncpg.Record, platform_url: str) -> dict[str, Any]:
    """A conversion as the vendor shows it, and our columns. `click` is null when the click is not kept any more."""
    gross, net = row["amount_gross_cents"], row["amount_net_cents"]
    return {
        "id": row["conversion_id"],
        "conversion_type": row["conversion_type"],
        "conversion_at": row["conversion_at"].isoformat(),
        "amount_gross": None if gross is None else money(gross),
        "amount_net": None if net is None else money(net),
        "fan_onlyfans_id": row["fan_id"],
        "fan": {
            "onlyfans_id": row["fan_id"],
            "username": row["fan_username"],
            "name": row["fan_name"],
            "avatar_url": None,
            "onlyfans_url": f"{platform_url.rstrip('/')}/{row['fan_username']}" if row["fan_username"] else None,
        },
        "click": None if row["clicked_at"] is None else click_row(row),
        "transaction_type": row["transaction_type"],
        "transaction_status": row["transaction_status"],
        "corrected_at": row["corrected_at"] and row["corrected_at"].isoformat(),
    }


def fan_row(row: asyncpg.Record) -> dict[str, Any]:
    """A fan as the vendor shows it. What the platform told of the subscription is what is known of it here."""
    price, regular = row["price_cents"], row["subscribe_price_cents"]
    trial = row["link_type"] == "free_trial"
    return {
        "fan_id": int(row["fan_id"]) if row["fan_id"].isdecimal() else row["fan_id"],
        "onlyfans_id": row["fan_id"],
        "username": row["username"],
        "name": row["name"],
        "avatar_url": None,
        "revenue_net": money(row["net_cents"]),
        "revenue_gross": money(row["gross_cents"]),
        "tips_net": money(row["tips_cents"]),
        "messages_sent_by_fan": row["messages"],
        "converted_at": row["converted_at"].isoformat(),
        "conversion_id": row["conversion_id"],
        "click_id": row["click_id"].upper(),
        "external_click_id": row["ecid"],
        "subscription_insights": {
            "has_subscription_data": row["subscriptions"] > 0,
            "previously_subscribed": row["previously_subscribed"],
            "subscribed_using_promo": row["promo"],
            "current_subscription_from_smart_link": row["bound_here"],
            "current_subscription": None
            if not row["subscriptions"]
            else {
                "type": "trial" if trial else "regular",
                "action": "subscribe",
                "price": None if price is None else money(price),
                "regular_price": None if regular is None else money(regular),
                "is_free": trial or price == 0,
            },
        },
    }


def spender_row(row: asyncpg.Record) -> dict[str, Any]:
    """A spender as the vendor shows it."""
    return {
        "onlyfans_id": row["fan_id"],
        "username": row["username"],
        "revenue": {"total": money(row["gross_cents"]), "calculated_at": datetime.now(UTC).isoformat()},
    }
