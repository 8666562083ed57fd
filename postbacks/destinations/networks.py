"""Ad networks that take postback URLs (capi spec 4.5): their templates, and what their answers mean.

A preset is a postback URL with the network's own fields left to fill in (`<goal>`), and the macro that hands us its click
id: put `ecid=<macro>` into the ad's URL. Several networks say in a 200 that they refused: their answers are read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from urllib.parse import urlsplit

import msgspec

from postbacks.egress import Answer
from postbacks.verdicts import Verdict

Meaning = Callable[[str], Verdict | None]


class Preset(msgspec.Struct, frozen=True):
    """`url`: a template; `<name>` stands for what the network gave the advertiser. `fields`: those names, with where to
    find each. `macro`: the network's click id in the ad's URL. `hosts`: answers from there are read by its rules."""

    name: str
    title: str
    macro: str
    url: str
    fields: dict[str, str] = {}
    hosts: tuple[str, ...] = ()


def _exoclick(text: str) -> Verdict | None:
    if "already been notified" in text:
        return Verdict("delivered", "ExoClick has this conversion already")
    if text.startswith("ERROR") or "No tag data" in text or "Goal ID is invalid" in text:
        return Verdict("permanent", f"ExoClick: {text[:200]}")
    return None


class _TrafficStarsError(msgspec.Struct):
    msg: str = ""


class _TrafficStars(msgspec.Struct):
    ok: bool | None = None
    error: _TrafficStarsError | str | None = None


def _trafficstars(text: str) -> Verdict | None:
    try:
        said = msgspec.json.decode(text, type=_TrafficStars)
    except msgspec.MsgspecError:
        return None
    if said.ok or (said.ok is None and said.error is None):
        return None
    words = said.error.msg if isinstance(said.error, _TrafficStarsError) else said.error or "not taken"
    is_final = any(word in words for word in ("clickid", "key", "goal"))
    return Verdict("permanent" if is_final else "transient", f"TrafficStars: {words[:200]}")


_MEANINGS: dict[str, Meaning] = {"exoclick": _exoclick, "trafficstars": _trafficstars}
_ALL = (
    Preset(
        "exoclick",
        "ExoClick",
        "{conversions_tracking}",
        "https://s.magsrv.com/tag.php?goal=<goal>&tag={external_click_id}&value={amount_gross}",
        {"goal": "the goal's id: Campaigns, Conversions tracking"},
        ("s.magsrv.com", "main.exoclick.com", "s.exoclick.com"),
    ),
    Preset(
        "trafficstars",
        "TrafficStars",
        "{click_id}",
        "https://tsyndicate.com/api/v1/cpa/action?clickid={external_click_id}&key=<key>&goalid=<goal>"
        "&value={amount_gross}&lead_code={conversion_id}&allow_duplicates=1",
        {"key": "the postback key of the account", "goal": "the goal's number, 0 for the default"},
        ("tsyndicate.com",),
    ),
    Preset(
        "trafficjunky",
        "TrafficJunky",
        "{ACLID}",
        "https://<host>/<path>?aclid={external_click_id}&value={amount_gross}",
        {"host": "from the postback URL the dashboard shows", "path": "from the same URL"},
    ),
    Preset(
        "propellerads",
        "PropellerAds",
        "${SUBID}",
        "https://ad.propellerads.com/conversion.php?aid=<aid>&pid=&tid=<tid>&visitor_id={external_click_id}&payout={amount_gross}",
        {"aid": "advertiser id, from the postback URL in Tracking", "tid": "tracking id, from the same URL"},
    ),
    Preset(
        "clickadu",
        "Clickadu",
        "${SUBID}",
        "https://sconvtrk.com/conversion/<hash>/?visitor_id={external_click_id}&aid=<aid>",
        {"hash": "from the postback URL in Tracking", "aid": "advertiser id, from the same URL"},
    ),
    Preset(
        "taboola",
        "Taboola",
        "{click_id}",
        "https://trc.taboola.com/actions-handler/log/3/s2s-action?click-id={external_click_id}&name=<event>"
        "&revenue={amount_gross}&currency=USD&orderid={conversion_id}",
        {"event": "the conversion's event name in Taboola Ads"},
    ),
    Preset(
        "outbrain",
        "Outbrain",
        "{{ob_click_id}}",
        "https://tr.outbrain.com/unifiedPixel?ob_click_id={external_click_id}&name=<event>"
        "&orderId={conversion_id}&orderValue={amount_gross}&currency=USD",
        {"event": "the conversion's name in Outbrain"},
    ),
    Preset(
        "juicyads",
        "JuicyAds",
        "{dynamicS2S}",
        "https://ck.juicyads.com/ilikeitjuicy.php?s2s={external_click_id}&amount={amount_gross}",
    ),
    Preset(
        "hilltopads",
        "HilltopAds",
        "{{ctoken}}",
        "https://postback.hilltopads.com/close/?token={external_click_id}&price={amount_gross}",
    ),
)  # fmt: skip

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}
_BY_HOST = {host: _MEANINGS[preset.name] for preset in _ALL for host in preset.hosts}


@lru_cache(maxsize=1024)
def _meaning(url: str) -> Meaning | None:
    return _BY_HOST.get(urlsplit(url).hostname or "")


def refusal(url: str, answer: Answer) -> Verdict | None:
    """What the network behind this URL says in a 2xx beyond "received"; None for nothing, or for a stranger."""
    meaning = _meaning(url)
    return meaning(answer.body.decode("utf-8", "replace").strip()) if meaning else None
