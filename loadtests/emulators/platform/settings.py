"""Every switch of the emulator, with the three speed presets."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

Span = tuple[float, float]
"""A uniform range of seconds, both ends included."""

Speed = Literal["real", "fast", "none"]


@dataclass
class Settings:
    """Behaviour of the fake platform. Durations are seconds, rates are probabilities in [0, 1].

    Latencies, the hang of a timed-out create and the webhook timeouts pass in real time; everything
    else (detection, webhook delays, retries, pauses, settlement, re-login) passes on the virtual clock.
    """

    api_keys: tuple[str, ...] = ("test-key",)
    landing_base: str = "https://onlyfans.com"
    fansly_landing_base: str = "https://fansly.com"
    credits: int = 10_000_000

    # Row 1: request latency by class; `slow_read` replaces `read` on a `slow_read_rate` share.
    latency_create: Span = (0.0, 0.0)
    latency_list: Span = (0.0, 0.0)
    latency_read: Span = (0.0, 0.0)
    latency_slow_read: Span = (0.0, 0.0)
    latency_cached: Span = (0.0, 0.0)
    slow_read_rate: float = 0.0

    # Row 3. None switches the limiter off.
    rate_limit_minute: int | None = 1000

    # Row 7: the link exists although the client got a 504 page or a dead connection.
    create_timeout_rate: float = 0.0
    create_timeout_mode: Literal["504", "hang", "mixed"] = "mixed"
    create_hang: float = 0.5

    # Row 8: removed users leave holes, so a page can be short while more rows follow.
    hidden_row_rate: float = 0.0
    marker_inclusive: bool = False

    # Row 9: when an act shows in counters, in subscriber lists and in the money feed.
    counter_delay: Span = (0.0, 0.0)
    listing_delay: Span = (0.0, 0.0)
    transaction_delay: Span = (0.0, 0.0)
    message_delay: Span = (0.0, 0.0)
    stored_age: float = 0.0

    # Rows 9 and 13: delay of a webhook by event name or by its first word; the longest match wins.
    webhook_delay: dict[str, Span] = field(default_factory=dict)
    shuffle_rate: float = 0.0
    shuffle_extra: Span = (0.0, 0.0)

    # Row 10.
    ppv_user_missing_rate: float = 0.0
    transaction_fan_missing_rate: float = 0.0
    vat_rate: float = 0.0

    # Row 12.
    duplicate_rate: float = 0.0
    duplicate_new_key_rate: float = 0.0
    duplicate_delay: Span = (0.0, 0.0)

    # Row 14. `retry_delays` holds one wait less than there are attempts.
    retry_delays: tuple[float, ...] = (0.0, 0.0)
    pause_after_lost: int = 20
    pause_first: float = 300.0
    pause_longest: float = 21_600.0
    webhook_connect_timeout: float = 5.0
    webhook_total_timeout: float = 10.0
    webhook_slow: float = 5.0
    webhook_concurrency: int = 1

    # Signed timestamps and delivery ids of Onlymonster and OFAuth: the receiver compares them with its own clock.
    signature_clock: Literal["real", "virtual"] = "real"

    # Row 16. None: the session stays dead until somebody changes it.
    reconnect_after: Span | None = None
    reauthenticate_takes: float = 0.0

    # Row 19 and the transaction status timeline.
    settle_after: float = 7 * 86_400.0
    rest_type_names: Literal["webhook", "source"] = "webhook"
    returning_event: Literal["subscriptions.renewed", "subscriptions.new"] = "subscriptions.renewed"

    # Row 4: requests per second; None switches a limiter off. `onlymonster_slow_rate` is that of messages and fans.
    onlymonster_tokens: tuple[str, ...] = ("om-token",)
    onlymonster_token_rate: int | None = 25
    onlymonster_endpoint_rate: int | None = 15
    onlymonster_slow_rate: int | None = 1
    onlymonster_429: Literal["text", "json"] = "text"

    # Row 9: Onlymonster reads an account some time after the platform shows a thing, and its link counters are
    # `onlymonster_counter_age` old.
    onlymonster_collect_delay: Span = (0.0, 0.0)
    onlymonster_counter_age: float = 0.0

    # What Onlymonster's documents leave open.
    onlymonster_order: Literal["asc", "desc"] = "desc"
    onlymonster_amount: Literal["gross", "net"] = "gross"
    onlymonster_chargeback_id: Literal["transaction", "own"] = "transaction"
    onlymonster_new_subscription: str = "new subscription"
    onlymonster_restricted_words: tuple[str, ...] = ("paypal",)
    onlymonster_webhook_wait: float = 0.0
    onlymonster_retry_delays: tuple[float, ...] = (0.0, 0.0)

    # Row 5: tokens a minute and the bucket's size, per connection.
    ofauth_api_keys: tuple[str, ...] = ("ofauth-key",)
    ofauth_rate_minute: int | None = 60
    ofauth_burst: int = 90

    # OFAuth's generations: error bodies, create bodies, answers as a list or an object, bare or full rows.
    ofauth_errors: Literal["type", "code", "mixed"] = "type"
    ofauth_trial_body: Literal["both", "current", "legacy"] = "both"
    ofauth_create_answer: Literal["array", "object"] = "array"
    ofauth_list_answer: Literal["object", "array"] = "object"
    ofauth_link_rows: Literal["full", "bare"] = "full"
    ofauth_page_max: int = 20
    ofauth_earnings_page: int = 10
    ofauth_permissions: tuple[str, ...] = (
        "promotions:read", "promotions:write", "subscribers:read", "subscribers:write", "earnings:read",
        "messages:read", "messages:write", "users:read", "users:write",
    )  # fmt: skip
    ofauth_realtime: bool = False
    ofauth_retry_delays: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)

    # Row 21. Off: the payment webhook does not name the fan, as the REST feed does not.
    fansly_payment_names_fan: bool = True

    def update(self, changes: dict[str, Any]) -> None:
        """Apply changes by field name; lists become tuples. Raises KeyError on an unknown name."""
        known = {item.name for item in fields(self)}
        for name in changes:
            if name not in known:
                raise KeyError(name)
        for name, value in changes.items():
            if name == "webhook_delay":
                value = {event: (float(span[0]), float(span[1])) for event, span in value.items()}
            setattr(self, name, tuple(value) if isinstance(value, list) else value)


def preset(speed: Speed, **changes: Any) -> Settings:
    """Settings of a speed: `real` = the spec's numbers, `fast` = the same structure within a second,
    `none` = nothing random, nothing late."""
    settings = Settings()
    if speed == "real":
        settings.update(_REAL)
    elif speed == "fast":
        settings.update(_FAST)
    elif speed != "none":
        raise ValueError(f"unknown speed {speed!r}")
    settings.update(changes)
    return settings


_SHARED: dict[str, Any] = {
    "slow_read_rate": 0.02,
    "create_timeout_rate": 0.01,
    "hidden_row_rate": 0.05,
    "shuffle_rate": 0.15,
    "ppv_user_missing_rate": 0.1,
    "vat_rate": 0.3,
    "duplicate_rate": 0.08,
    "duplicate_new_key_rate": 0.02,
    "webhook_concurrency": 64,
    "ofauth_errors": "mixed",
}

_REAL: dict[str, Any] = {
    **_SHARED,
    "latency_create": (0.4, 2.5),
    "latency_list": (0.2, 1.5),
    "latency_read": (0.5, 5.0),
    "latency_slow_read": (15.0, 60.0),
    "latency_cached": (0.02, 0.08),
    "create_hang": 90.0,
    "counter_delay": (5.0, 60.0),
    "listing_delay": (5.0, 60.0),
    "transaction_delay": (5.0, 120.0),
    "message_delay": (1.0, 3.0),
    "stored_age": 300.0,
    "webhook_delay": {
        "subscriptions": (30.0, 180.0),
        "transactions": (5.0, 180.0),
        "tips": (20.0, 60.0),
        "messages": (2.0, 5.0),
        "messages.ppv.unlocked": (20.0, 60.0),
        "accounts": (1.0, 5.0),
        "fansly": (0.5, 3.0),
        "onlymonster": (2.0, 60.0),
        "ofauth": (1.0, 5.0),
    },
    "shuffle_extra": (10.0, 120.0),
    "duplicate_delay": (1.0, 120.0),
    "retry_delays": (10.0, 60.0),
    "reconnect_after": (60.0, 1200.0),
    "reauthenticate_takes": 30.0,
    "onlymonster_collect_delay": (60.0, 900.0),
    "onlymonster_counter_age": 300.0,
    "onlymonster_webhook_wait": 60.0,
    "onlymonster_retry_delays": (10.0, 60.0),
    "ofauth_retry_delays": (5.0, 10.0, 20.0, 40.0),
}

_FAST: dict[str, Any] = {
    **_SHARED,
    "latency_create": (0.004, 0.025),
    "latency_list": (0.002, 0.015),
    "latency_read": (0.005, 0.05),
    "latency_slow_read": (0.15, 0.6),
    "latency_cached": (0.0002, 0.0008),
    "create_hang": 1.0,
    "counter_delay": (0.02, 0.3),
    "listing_delay": (0.02, 0.3),
    "transaction_delay": (0.02, 0.4),
    "message_delay": (0.005, 0.02),
    "stored_age": 1.0,
    "webhook_delay": {
        "subscriptions": (0.1, 0.6),
        "transactions": (0.05, 0.6),
        "tips": (0.07, 0.2),
        "messages": (0.05, 0.1),
        "messages.ppv.unlocked": (0.07, 0.2),
        "accounts": (0.05, 0.1),
        "fansly": (0.01, 0.05),
        "onlymonster": (0.02, 0.3),
        "ofauth": (0.05, 0.1),
    },
    "shuffle_extra": (0.05, 0.4),
    "duplicate_delay": (0.02, 0.4),
    "retry_delays": (0.1, 0.6),
    "pause_first": 3.0,
    "pause_longest": 60.0,
    "reconnect_after": (1.0, 3.0),
    "reauthenticate_takes": 0.3,
    "settle_after": 60.0,
    "onlymonster_collect_delay": (0.2, 2.0),
    "onlymonster_counter_age": 1.0,
    "onlymonster_webhook_wait": 0.2,
    "onlymonster_retry_delays": (0.1, 0.6),
    "ofauth_retry_delays": (0.05, 0.1, 0.2, 0.4),
}
