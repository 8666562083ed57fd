"""The address of a smart link as each network wants it: the right macros in the right parameters.

Ours are `ecid` (the buyer's own id of the ad or click), the platforms' click ids, and `utm_*`. Meta, Snapchat and Google append their
click id by themselves; TikTok wants its macro in the address. Sources: the platforms' macro lists, and the vendor's guides.
"""

from __future__ import annotations

from dataclasses import dataclass

from postbacks.destinations.networks import PRESETS


@dataclass(frozen=True)
class Variant:
    """One network's form of the address. `query` is what follows the link, `note` what to know when pasting it."""

    name: str
    title: str
    query: str
    note: str

    def address(self, link: str) -> str:
        """The whole address."""
        return f"{link}?{self.query}" if self.query else link


_PLATFORMS = (
    Variant(
        "meta",
        "Meta",
        "ecid={{ad.id}}&utm_source=meta&utm_campaign={{campaign.id}}&utm_content={{adset.id}}",
        "Paste it as the ad's website URL. Meta appends fbclid by itself; ecid tells your ads apart in the reports.",
    ),
    Variant(
        "tiktok",
        "TikTok",
        "ttclid=__CLICKID__&ecid=__CID__&utm_source=tiktok&utm_campaign=__CAMPAIGN_ID__&utm_content=__AID__",
        "Paste it as the destination URL and keep ttclid=__CLICKID__: conversions are matched by it.",
    ),
    Variant(
        "snapchat",
        "Snapchat",
        "ecid={{ad.id}}&utm_source=snapchat&utm_campaign={{campaign.id}}&utm_content={{adSet.id}}",
        "Paste it as the website URL. Snapchat appends ScCid by itself.",
    ),
    Variant(
        "creatortraffic",
        "CreatorTraffic",
        "ecid={clickid}&utm_source=creatortraffic",
        "Keep both parameters: conversions are told to CreatorTraffic by this click id and this source.",
    ),
    Variant(
        "google",
        "Google Ads",
        "ecid={creative}&utm_source=google&utm_campaign={campaignid}&utm_term={keyword}",
        "Paste it as the final URL. With auto-tagging on, Google appends gclid by itself.",
    ),
)
VARIANTS: tuple[Variant, ...] = (
    Variant("plain", "Plain", "", "Works everywhere. Add ?ecid= with an id of your own to tell ads apart."),
    *_PLATFORMS,
    *(
        Variant(
            preset.name,
            preset.title,
            f"ecid={preset.macro}&utm_source={preset.name}",
            f"{preset.title} fills in its click id; a postback with {{external_click_id}} hands it back.",
        )
        for preset in PRESETS.values()
    ),
)


def variant(name: str) -> Variant:
    """One network; the plain address for a name that is not known."""
    return next((one for one in VARIANTS if one.name == name), VARIANTS[0])
