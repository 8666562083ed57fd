"""What comes to a smart link: ads' query strings per platform with real browsers, double taps, returns, crawlers, prefetches."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from urllib.parse import urlencode

from loadtests.demo.cast import BOTS, LANGUAGES, PHONES

APPS = {
    "meta": ("Instagram", "FBAN"),
    "tiktok": ("musical_ly",),
    "snapchat": ("Snapchat",),
}
# How often each kind of visit comes. A subscriber is a click whose fan then subscribes, and perhaps spends.
KINDS = {"click": 56, "double_tap": 8, "return": 8, "bot": 10, "prefetch": 6, "subscriber": 12}
PLATFORMS = {"meta": 45, "tiktok": 25, "snapchat": 15, "native": 15}


@dataclass(frozen=True)
class Visit:
    """One visitor and what they do. `path` begins with /go/."""

    kind: str
    platform: str
    path: str
    headers: dict[str, str]
    spends: tuple[float, ...] = ()  # dollars, after subscribing


class Traffic:
    """Visits to these smart links, each with an `ecid` of its own. The same seed gives the same visits."""

    def __init__(self, smart_link_ids: list[str], seed: int) -> None:
        self._links = smart_link_ids
        self._random = random.Random(seed)
        self._numbers = itertools.count(1)
        self._run = f"{random.SystemRandom().getrandbits(32):08x}"  # two runs never share an ecid

    def next(self) -> tuple[str, Visit]:
        """A smart link's id and a visit to it."""
        rng = self._random
        number = next(self._numbers)
        link = rng.choice(self._links)
        kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
        platform = rng.choices(list(PLATFORMS), list(PLATFORMS.values()))[0]
        agent = rng.choice(BOTS if kind == "bot" else _agents(platform))
        headers = {
            "User-Agent": agent,
            "Accept-Language": rng.choice(LANGUAGES),
            "X-Forwarded-For": f"{rng.choice((23, 45, 81, 93, 104, 151, 185))}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        }
        if kind == "prefetch":
            headers["Sec-Purpose"] = "prefetch"
        spends: tuple[float, ...] = ()
        if kind == "subscriber" and rng.random() < 0.5:
            spends = tuple(rng.randint(300, 9900) / 100 for _ in range(rng.randint(1, 3)))
        query = urlencode(_query(platform, f"{self._run}-{number}", rng))
        return link, Visit(kind, platform, f"/go/{link}?{query}", headers, spends)


def _agents(platform: str) -> tuple[str, ...]:
    marks = APPS.get(platform, ())
    return tuple(agent for agent in PHONES if any(mark in agent for mark in marks)) or PHONES


def _query(platform: str, ecid: str, rng: random.Random) -> dict[str, str]:
    """The parameters that an ad of the platform carries after its macros are filled in."""
    click = f"{rng.getrandbits(160):040x}"
    campaign = f"1202{rng.randrange(10**11):011d}"
    match platform:
        case "meta":
            return {
                "ecid": ecid, "utm_source": "facebook", "utm_medium": "paid", "utm_campaign": f"Madison | US | {campaign}",
                "utm_content": f"Reel {rng.randint(1, 40)}", "utm_term": campaign, "fbclid": f"IwZXh0bgNhZW0{click}",
            }  # fmt: skip
        case "tiktok":
            return {
                "ecid": ecid, "utm_source": "tiktok", "utm_campaign": campaign, "utm_content": "spark ☃ ad",
                "ttclid": f"E.C.P.{click}",
            }  # fmt: skip
        case "snapchat":
            return {
                "ecid": ecid,
                "utm_source": "snapchat",
                "utm_medium": "paid",
                "utm_campaign": campaign,
                "ScCid": click,
            }
    return {"ecid": ecid, "aff_s1": f"zone{rng.randint(1, 900)}", "aff_s2": campaign, "cost": "0.03", "gclid": click}
