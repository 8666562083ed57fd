"""The kinds of connections as a person sets them up: what to fetch where, which fields, how a test is sent."""

from __future__ import annotations

from dataclasses import dataclass

from postbacks.destinations import meta, snapchat, tiktok
from postbacks.destinations.mapping import Names


@dataclass(frozen=True)
class Field:
    """One field of a connection's config. `type`: text, lines (several), or yes (a box to tick)."""

    name: str
    label: str
    hint: str = ""
    type: str = "text"
    default: str = ""


@dataclass(frozen=True)
class KindForm:
    """A kind of connection. `steps`: what to do on the platform first. `names`: its events, for pixels.

    `test`: what a test wants: 'code' of the platform's test page, 'fan' to act on, or '' for nothing.
    """

    kind: str
    title: str
    summary: str
    group: str
    token: str
    steps: tuple[str, ...]
    fields: tuple[Field, ...]
    names: Names | None = None
    test: str = ""
    test_note: str = ""
    matched_by: tuple[str, ...] = ()


ADS, FANS = "Ad platforms", "What is done for the fan"
_ACCOUNT = Field("account_id", "Account", "The provider's id of the creator's account, like acct_A1.")
_ONLY = Field("account_id", "Only fans of this account", "The provider's id; empty for all.")
_KEYS_META = ("fbc", "fbp", "ip_address", "user_agent", "external_id", "country")

_ALL = (
    KindForm(
        "meta",
        "Meta",
        "Conversions API: Facebook and Instagram ads",
        ADS,
        "Access token",
        (
            "Open Events Manager and choose the dataset (pixel) of your ads.",
            "Copy its id: a number of about fifteen digits.",
            "Under Settings, Conversions API, press “Generate access token” and copy it: Meta shows it once.",
        ),
        (Field("pixel_id", "Pixel (dataset) id", "A number of about fifteen digits."),),
        meta.NAMES,
        "code",
        "Meta counts test events like real ones, so ours carry the value 0. Copy the code, like TEST12345, from the page Test events.",
        _KEYS_META,
    ),
    KindForm(
        "tiktok",
        "TikTok",
        "Events API",
        ADS,
        "Access token",
        (
            "Open Events Manager and choose the pixel of your ads.",
            "Copy its pixel code.",
            "Under Settings, Events API, press “Generate access token” and copy it.",
        ),
        (Field("pixel_id", "Pixel code", "Letters and digits, like C4AB12CD34EF56GH78IJ."),),
        tiktok.NAMES,
        "code",
        "Copy the code from the page Test Events.",
        ("ttclid", "ttp", "ip_address", "user_agent", "external_id"),
    ),
    KindForm(
        "snapchat",
        "Snapchat",
        "Conversions API",
        ADS,
        "Long-lived token",
        (
            "Open Events Manager and copy the id of your pixel.",
            "Under Business details, make a Conversions API token and copy it.",
        ),
        (Field("pixel_id", "Pixel id", "Like 12345678-90ab-cdef-1234-567890abcdef."),),
        snapchat.NAMES,
        "",
        "Snapchat checks a test and counts it nowhere.",
        ("sccid", "scid", "ip_address", "user_agent", "external_id"),
    ),
    KindForm(
        "creatortraffic",
        "CreatorTraffic",
        "New subscribers of clicks with utm_source=creatortraffic and an ecid",
        ADS,
        "API token",
        ("Copy the API token from your CreatorTraffic account.",),
        (
            Field(
                "path",
                "Path",
                "Where conversions are told, unless CreatorTraffic named another.",
                default="/api/v1/conversions",
            ),
        ),
    ),
    KindForm(
        "onlyfans_list",
        "OnlyFans list",
        "Adds new subscribers to a list",
        FANS,
        "OnlyFansAPI key",
        ("Copy your OnlyFansAPI key.", "Find the number of the list: it stands in the list's address."),
        (_ACCOUNT, Field("list_id", "List", "The list's number.")),
        test="fan",
    ),
    KindForm(
        "onlyfans_note",
        "OnlyFans note",
        "Writes where the fan came from into the fan's note",
        FANS,
        "OnlyFansAPI key",
        ("Copy your OnlyFansAPI key.",),
        (
            _ACCOUNT,
            Field(
                "text",
                "Our line",
                "A template; what people wrote in the note stays.",
                "lines",
                "{smart_link_name} {external_click_id}",
            ),
        ),
        test="fan",
    ),
    KindForm(
        "onlyautomator",
        "OnlyAutomator",
        "Sets a preference of the category attribution, and syncs notes",
        FANS,
        "API key",
        ("Copy your OnlyAutomator API key.",),
        (
            _ONLY,
            Field("preference", "Preference", "Its name.", default="smart_link"),
            Field("sync_notes", "Sync the fan's notes too", type="yes", default="yes"),
        ),
        test="fan",
    ),
    KindForm(
        "ofauth_message",
        "OFAuth message",
        "Sends new subscribers a welcome message",
        FANS,
        "OFAuth key",
        ("Copy your OFAuth API key and the id of the connection.",),
        (
            Field("connection_id", "Connection", "Like conn_…"),
            Field("text", "Message", "A template.", "lines"),
            _ONLY,
            Field("returning", "Also to fans who were subscribed before", type="yes"),
        ),
        test="fan",
    ),
    KindForm(
        "onlymonster_message",
        "Onlymonster message",
        "Sends new subscribers a welcome message",
        FANS,
        "Onlymonster token",
        ("Copy your Onlymonster token and the account's id there.",),
        (
            Field("connection_id", "Account at Onlymonster"),
            Field("text", "Message", "A template.", "lines"),
            _ONLY,
            Field("returning", "Also to fans who were subscribed before", type="yes"),
        ),
        test="fan",
    ),
)
FORMS: dict[str, KindForm] = {form.kind: form for form in _ALL}
OUR_EVENTS = {
    "click": "Click",
    "new_subscriber": "New subscriber",
    "first_purchase": "First purchase",
    "repeat_purchase": "Repeat purchase",
    "message_received": "Message received",
    "fan_sent_1_message": "First message",
    "fan_sent_3_messages": "Third message",
}
KEY_WORDS = {
    "ip_address": "IP address",
    "user_agent": "Browser",
    "fbc": "Meta click id (fbc)",
    "fbp": "Meta browser id (fbp)",
    "ttclid": "TikTok click id",
    "ttp": "TikTok browser id",
    "sccid": "Snapchat click id",
    "scid": "Snapchat browser id",
    "external_id": "Your ecid, hashed",
    "country": "Country",
}
