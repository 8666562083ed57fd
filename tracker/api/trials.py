"""Sending a test: a sample conversion really sent to a destination as configured, and what came of it, in words."""

from __future__ import annotations

import time
from typing import Any, Literal

import msgspec
import ulid
from litestar import post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from postbacks.attempt import Tried
from postbacks.destinations.base import Destination
from postbacks.destinations.fan import FanAction
from postbacks.destinations.pixel import Pixel
from postbacks.destinations.snapchat import Snapchat
from postbacks.facts import SAMPLE
from postbacks.schema import ConfigError
from postbacks.trial import send_test
from tracker.api.auth import Caller
from tracker.api.envelope import envelope
from tracker.api.errors import Invalid, not_found
from tracker.api.pixels import SQL, check, unseal
from tracker.api.services import Services

OurEvent = Literal[
    "click",
    "new_subscriber",
    "new_transaction",
    "first_purchase",
    "repeat_purchase",
    "message_received",
    "fan_sent_1_message",
    "fan_sent_3_messages",
    "transaction_status",
]
# Addresses and names that belong to nobody (RFC 5737, RFC 2606).
SAMPLE_CLICK = {
    "_ip": "203.0.113.7",
    "_user_agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "_landing_url": "https://example.com/go/01JD8Z5T9Q4M6X2B7V3K1C0RWA?ecid=clk-12345",
}


class Trial(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`event`: which of our events to send. `test_event_code`: from the platform's Test Events page; Meta and TikTok need it.

    `fan_onlyfans_id`: fan actions act on a real fan, so they want to be told which. `external_click_id`: an ecid of yours.
    """

    event: OurEvent = "new_subscriber"
    test_event_code: str = ""
    fan_onlyfans_id: str = ""
    external_click_id: str = ""


@post(
    [
        "/api/connections/{destination_id:str}/test-event",
        "/api/smart-link-postbacks/{destination_id:str}/test-event",
        "/api/smart-link-postbacks/{destination_id:str}/test",
    ],
    status_code=200,
)
async def send_test_event(
    destination_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    data: JSONBody[Trial | None] = None,
) -> dict[str, Any]:
    """Send a test event. Meta processes test events like real ones, so they are sent with value 0; Snapchat's go to its
    validate URL; a postback receives a sample conversion. Answers with the verdict, and the request and answer, masked."""
    data = data or Trial()
    row = await services.pool.fetchrow(SQL["destination"], caller.team_id, destination_id.upper())
    if row is None:
        raise not_found("This destination")
    secrets = unseal(services.secrets, row["destination_id"], row["secrets_sealed"])
    config = dict(row["config"])
    if row["kind"] in ("meta", "tiktok"):
        config["test_event_code"] = data.test_event_code or config.get("test_event_code", "")
        if not config["test_event_code"]:
            raise Invalid(
                {"test_event_code": ["Copy the code from the platform's Test Events page: it is needed here."]}
            )
    destination = check(services, row["kind"], config, secrets)
    if isinstance(destination, Snapchat):
        destination.validating = True
    try:
        tried = await send_test(
            row["kind"],
            config,
            secrets,
            destination=destination,
            facts=_facts(destination, row["kind"], data),
            event_type="new_transaction" if data.event.endswith("_purchase") else data.event,
            egress_allow=services.settings.egress_allow,
            timeout=services.settings.delivery_timeout,
        )
    except ConfigError as error:
        raise Invalid({error.field or "config": [error.message]}) from error
    return envelope(outcome(tried))


def _facts(destination: Destination, kind: str, data: Trial) -> dict[str, str]:
    now_ms = int(time.time() * 1000)
    facts = {
        "conversion_id": f"test-{ulid.new().str.lower()}",
        "conversion_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    if data.external_click_id:
        facts["external_click_id"] = data.external_click_id
    if data.event.endswith("_purchase"):
        facts["purchase"] = data.event.removesuffix("_purchase")
    if isinstance(destination, Pixel):
        facts |= SAMPLE_CLICK | {"_click_ms": str(now_ms), "_fbp": f"fb.1.{now_ms}.1"}
        facts["amount_gross"] = "0.00" if kind == "meta" else SAMPLE["amount_gross"]
    elif kind == "creatortraffic":
        facts["utm_source"] = "creatortraffic"
    if data.fan_onlyfans_id:
        facts["fan_onlyfans_id"] = data.fan_onlyfans_id
    elif isinstance(destination, FanAction):
        raise Invalid({"fan_onlyfans_id": ["This acts on a real fan: say which one may be used for the test."]})
    return facts


def outcome(tried: Tried) -> dict[str, Any]:
    """An attempt as it is shown; request and answer are masked already."""
    verdict = tried.verdicts[0]
    return {
        "succeeded": verdict.outcome == "delivered",
        "outcome": verdict.outcome,
        "message": verdict.words,
        "status_code": tried.status_code,
        "duration_ms": tried.duration_ms,
        "request": tried.request,
        "answer": tried.answer,
    }
