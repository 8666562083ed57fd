"""Sending a test: a sample conversion really sent to a destination as configured, and what came of it, in words."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec
import ulid

from postbacks.attempt import Tried
from postbacks.destinations.base import Destination
from postbacks.destinations.fan import FanAction
from postbacks.destinations.pixel import Pixel
from postbacks.destinations.snapchat import Snapchat
from postbacks.facts import SAMPLE
from postbacks.schema import ConfigError
from postbacks.trial import send_test
from tracker.management import destinations
from tracker.management.errors import Invalid, not_found
from tracker.stores.queries import load_queries

if TYPE_CHECKING:
    from tracker.access.caller import Caller
    from tracker.management.services import Services

SQL = load_queries("tracker.management", "trials.sql")

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


async def send(services: Services, caller: Caller, kinds: Sequence[str], name: str, trial: Trial) -> Tried:
    """Send a test event to a destination of the team of these kinds, found by id or number.

    Meta processes test events like real ones, so they are sent with value 0; Snapchat's go to its validate URL; a postback
    receives a sample conversion. Returns the attempt, masked. Raises Invalid, Refused (404).
    """
    row = await services.pool.fetchrow(SQL["destination"], caller.team_id, list(kinds), name.upper())
    if row is None:
        raise not_found("This destination")
    secrets = destinations.unseal(services, row["destination_id"], row["secrets_sealed"])
    config = dict(row["config"])
    if row["kind"] in ("meta", "tiktok"):
        config["test_event_code"] = trial.test_event_code or config.get("test_event_code", "")
        if not config["test_event_code"]:
            raise Invalid(
                {"test_event_code": ["Copy the code from the platform's Test Events page: it is needed here."]}
            )
    destination = destinations.load(services, row["kind"], config, secrets)
    if isinstance(destination, Snapchat):
        destination.validating = True
    try:
        return await send_test(
            row["kind"],
            config,
            secrets,
            destination=destination,
            facts=_facts(destination, row["kind"], trial),
            event_type="new_transaction" if trial.event.endswith("_purchase") else trial.event,
            egress_allow=services.settings.egress_allow,
            timeout=services.settings.delivery_timeout,
        )
    except ConfigError as error:
        raise Invalid({error.field or "config": [error.message]}) from error


def _facts(destination: Destination, kind: str, trial: Trial) -> dict[str, str]:
    now_ms = int(time.time() * 1000)
    facts = {
        "conversion_id": f"test-{ulid.new().str.lower()}",
        "conversion_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    if trial.external_click_id:
        facts["external_click_id"] = trial.external_click_id
    if trial.event.endswith("_purchase"):
        facts["purchase"] = trial.event.removesuffix("_purchase")
    if isinstance(destination, Pixel):
        facts |= SAMPLE_CLICK | {"_click_ms": str(now_ms), "_fbp": f"fb.1.{now_ms}.1"}
        facts["amount_gross"] = "0.00" if kind == "meta" else SAMPLE["amount_gross"]
    elif kind == "creatortraffic":
        facts["utm_source"] = "creatortraffic"
    if trial.fan_onlyfans_id:
        facts["fan_onlyfans_id"] = trial.fan_onlyfans_id
    elif isinstance(destination, FanAction):
        raise Invalid({"fan_onlyfans_id": ["This acts on a real fan: say which one may be used for the test."]})
    return facts
