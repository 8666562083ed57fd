"""Who comes in the demo, what they do, and what must come of it: a pure plan from a seed, the demo's ground truth."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

PHONES = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 350.0.0.18.97 (iPhone14,5; iOS 17_6; en_US; en; scale=3.00; 1170x2532; 625104129)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/22A3354 [FBAN/FBIOS;FBAV/489.0.0.42.91;FBBV/660382914;FBDV/iPhone15,2;FBMD/iPhone;FBSN/iOS;FBSV/18.0;FBSS/3;FBID/phone;FBLC/en_US;FBOP/80]",
    "Mozilla/5.0 (Linux; Android 14; SM-S918B Build/UP1A.231005.007; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/130.0.6723.107 Mobile Safari/537.36 musical_ly_2023605030 BytedanceWebview/d8a21c6",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 13; SM-A536B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21F79 Snapchat/13.10.0.37 (like Safari/8618.2.12.11.6, panda)",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
)
BOTS = (
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "TelegramBot (like TwitterBot)",
    "WhatsApp/2.23.20.0",
    "Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537.36 (compatible; Bytespider; spider-feedback@bytedance.com)",
    "curl/8.5.0",
)
LANGUAGES = ("en-US,en;q=0.9", "en-GB,en;q=0.8", "de-DE,de;q=0.9,en;q=0.7", "es-MX,es;q=0.9", "fr-FR,fr;q=0.9")

# Smart links by key: (account, link type, trial days).
LINKS: dict[str, tuple[str, str, int | None]] = {
    "meta": ("madison", "tracking_link", None),
    "tiktok": ("madison", "free_trial", 7),
    "snap": ("madison", "free_trial", 7),
    "native": ("ava", "tracking_link", None),
}
ACCOUNTS: dict[str, float] = {"madison": 9.99, "ava": 0.0}  # username → subscription price in dollars

TWIN_GAP = 31.0  # seconds: two people behind one address with the same phone are told apart after 30 (spec 2)


@dataclass
class Spend:
    """One payment after subscribing."""

    kind: str  # 'tip' | 'ppv'
    dollars: float


@dataclass
class Person:
    """One simulated visitor (or crawler, or organic fan) and what must come of them."""

    ecid: str
    kind: str
    link: str
    ip: str
    user_agent: str
    language: str
    start: float  # seconds after the doors open
    repeats: int = 0  # further visits with the cookie
    subscribes: bool = False
    late: bool = False  # subscribes through the link after its window
    moves_to: str = ""  # clicks this smart link later, before spending
    spends: list[Spend] = field(default_factory=list)
    messages: int = 0
    fbclid: str = ""  # unique: names the click in the books

    @property
    def is_visitor(self) -> bool:
        """Leaves a click that is not a bot's."""
        return self.kind not in ("bot", "organic")

    @property
    def credited(self) -> str | None:
        """fbclid of the click that must be credited with the subscription; None: nobody."""
        return self.fbclid if self.subscribes and not self.late and self.kind != "organic" else None

    @property
    def credited_after(self) -> str | None:
        """fbclid of the click that must be credited with what is spent in the end."""
        return self.moved_fbclid if self.moves_to else self.credited

    @property
    def moved_fbclid(self) -> str:
        """Facebook's id of the later click."""
        return self.fbclid + "m"

    @property
    def unattributed_reason(self) -> str | None:
        """Why nobody must be credited."""
        if self.kind == "organic":
            return "organic"
        return "window_expired" if self.late else None


def click_name(fbclid: str | None) -> str:
    """A short name for a person's click: '#00007', or '#00007b' for a mover's later one."""
    if not fbclid:
        return ""
    return f"#{fbclid[4:9]}" + ("b" if fbclid.endswith("m") else "")


def plan(people: int, seed: int, seconds: float = 25.0) -> list[Person]:
    """`people` persons arriving over `seconds`, in order of arrival. The same seed gives the same plan."""
    rng = random.Random(seed)
    kinds = _kinds(people, rng)
    cast: list[Person] = []
    while len(cast) < people:
        kind = kinds[len(cast)]
        first = _person(len(cast), kind, rng, seconds)
        cast.append(first)
        if kind in ("twin", "neighbour") and len(cast) < people:
            cast.append(_neighbour(len(cast), first, rng))
            kinds.insert(len(cast), kinds[len(cast) - 1])
    return sorted(cast[:people], key=lambda person: person.start)


def _kinds(people: int, rng: random.Random) -> list[str]:
    shares = {
        "subscriber": 0.30, "double": 0.08, "double_tap": 0.05, "bot": 0.10, "prefetched": 0.06,
        "late": 0.04, "neighbour": 0.02, "twin": 0.01, "mover": 0.04, "organic": 0.03,
    }  # fmt: skip
    kinds = [kind for kind, share in shares.items() for _ in range(max(1, round(people * share)))]
    kinds += ["looker"] * max(0, people - len(kinds))
    rng.shuffle(kinds)
    return kinds


def _person(number: int, kind: str, rng: random.Random, seconds: float) -> Person:
    person = Person(
        ecid=f"demo-{number:05d}",
        kind=kind,
        link=rng.choice(list(LINKS)),
        ip=f"{rng.choice((23, 45, 81, 93, 104, 151, 185, 203))}.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}",
        user_agent=rng.choice(BOTS if kind == "bot" else PHONES),
        language=rng.choice(LANGUAGES),
        start=rng.uniform(0, seconds),
        fbclid=f"IwAR{number:05d}{rng.getrandbits(48):012x}",
    )
    if kind == "double":
        person.repeats = rng.randint(1, 3)
    if kind in ("subscriber", "double", "double_tap", "prefetched", "neighbour", "twin"):
        person.subscribes = kind in ("subscriber", "neighbour", "twin") or rng.random() < 0.3
    if kind == "late":
        person.link, person.subscribes, person.late = rng.choice(("tiktok", "snap")), True, True
    if kind == "mover":
        # A trial link tells the second of the subscription, so a click two seconds later is certainly after it.
        person.link, person.moves_to, person.subscribes = "tiktok", rng.choice(("snap", "meta")), True
        person.spends = [Spend("tip", rng.randint(500, 5000) / 100)]
    if kind == "organic":
        person.subscribes = True
    if kind == "twin":
        person.start = rng.uniform(0, 2)
    if person.subscribes and not person.moves_to and rng.random() < 0.5:
        person.spends = [
            Spend(rng.choice(("tip", "ppv")), rng.randint(300, 20000) / 100) for _ in range(rng.randint(1, 4))
        ]
    if person.subscribes and rng.random() < 0.4:
        person.messages = rng.randint(1, 5)
    return person


def _neighbour(number: int, other: Person, rng: random.Random) -> Person:
    """A second person behind the same address: another phone at once, or the same phone 31 seconds later."""
    person = _person(number, other.kind, rng, 1.0)
    person.ip, person.language, person.link = other.ip, other.language, other.link
    if other.kind == "twin":
        person.user_agent, person.start = other.user_agent, other.start + TWIN_GAP
        person.ecid = other.ecid  # the same ad, too: only Facebook's click id tells them apart
    else:
        person.user_agent = rng.choice([phone for phone in PHONES if phone != other.user_agent])
        person.start = other.start + 0.2
    return person
