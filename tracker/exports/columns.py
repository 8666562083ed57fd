"""What an export holds: the columns of each kind, in order, and what is in them."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Type(Enum):
    """What a column's values are. MONEY is integer cents as stored, written in dollars with two decimals; TIME is aware."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    MONEY = "money"
    TIME = "time"
    BOOLEAN = "boolean"


class Column(NamedTuple):
    """A column, by the name of its value in the row."""

    name: str
    type: Type


CURSOR = "cursor"
"""The last column of every export: pass a row's value as `after` to go on behind that row."""

_TYPES = {
    Type.TIME: {
        "clicked_at", "last_visit_at", "conversion_at", "created_at", "corrected_at", "retracted_at", "first_subscribed_at",
        "first_seen_at", "bound_at", "last_payment_at", "occurred_at", "due_at", "finished_at",
    },
    Type.INTEGER: {"gross_clicks", "payments", "attempts"},
    Type.NUMBER: {"confidence"},
    Type.MONEY: {"amount_gross", "amount_net", "revenue_gross", "revenue_net"},
    Type.BOOLEAN: {"is_bot", "previously_subscribed"},
}  # fmt: skip


def _columns(names: str) -> tuple[Column, ...]:
    return tuple(
        Column(name, next((kind for kind, known in _TYPES.items() if name in known), Type.TEXT))
        for name in (*names.split(), CURSOR)
    )


COLUMNS: dict[str, tuple[Column, ...]] = {
    "clicks": _columns(
        "click_id clicked_at last_visit_at gross_clicks smart_link_id smart_link_name account_id visitor visitor_by lease"
        " is_bot bot_reason ip country device_type os browser browser_version user_agent accept_language referrer landing_url"
        " ecid utm_source utm_medium utm_campaign utm_term utm_content aff_s1 aff_s2 aff_s3 aff_s4 aff_s5 fbclid ttclid sccid"
        " gclid gbraid wbraid fbp fbc ttp scid other_params"
    ),
    "conversions": _columns(
        "conversion_id conversion_type conversion_at smart_link_id smart_link_name account_id click_id ecid country fan_id"
        " fan_username fan_name amount_gross amount_net transaction_id transaction_type transaction_status"
        " transaction_description previously_subscribed purchase created_at corrected_at retracted_at"
    ),
    "fans": _columns(
        "fan_id username name account_id first_subscribed_at first_seen_at smart_link_id smart_link_name click_id bound_at"
        " rule lease confidence unattributed_reason payments revenue_gross revenue_net last_payment_at"
    ),
    "deliveries": _columns(
        "event_id destination_id destination_name destination_kind event_type occurred_at smart_link_id state attempts verdict"
        " created_at due_at finished_at"
    ),
}
"""Kind of export -> its columns."""
