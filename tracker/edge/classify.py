"""Fan or bot, by user agent. A crawler taken for a fan wastes a lease; a fan taken for a crawler costs a buyer money.

The patterns of crawler-user-agents (case-sensitive, as its authors mean them) and a short list of our own for link previews
and ad-review fetchers. In-app browsers of Instagram, Facebook, TikTok and Snapchat are fans (contract, section 2).
"""

from __future__ import annotations

import re

from crawleruseragents import CRAWLER_USER_AGENTS_DATA

NO_USER_AGENT = "no-user-agent"

# Lower-case substrings no fan's browser sends: link-preview and ad-review fetchers, then crawlers and automation.
_PREVIEWS = (
    "facebookexternalhit", "facebookcatalog", "facebot", "meta-externalagent", "meta-externalads",
    "meta-externalfetcher", "meta-webindexer", "tiktokspider", "bytespider", "thirdlandingpagefeinfra",
    "snap url preview", "snapurlpreview", "snapchatads", "telegrambot", "discordbot", "slackbot", "slack-imgproxy",
    "twitterbot", "linkedinbot", "pinterestbot", "redditbot", "skypeuripreview", "vkshare", "iframely", "embedly",
)  # fmt: skip
_CRAWLERS = (
    "googlebot", "storebot-google", "adsbot-google", "mediapartners-google", "google-inspectiontool", "google-safety",
    "googleother", "google-read-aloud", "bingpreview", "bingbot", "applebot", "yandexbot", "baiduspider", "petalbot",
    "headlesschrome", "phantomjs", "chrome-lighthouse", "puppeteer", "playwright", "selenium",
)  # fmt: skip
_SELF_DECLARED = ("+http://", "+https://")  # where a crawler says who runs it; no browser does
_LIBRARIES = (
    "whatsapp/", "viber", "curl/", "wget/", "python-", "python/", "aiohttp/", "go-http-client", "java/", "okhttp/",
    "apache-httpclient", "libwww-perl", "axios/", "node-fetch", "node", "undici", "got (", "postmanruntime", "insomnia/",
    "dart/", "ruby", "php/", "guzzlehttp", "httpie/", "rest-client", "reqwest", "scrapy",
)  # fmt: skip

# Names of apps and libraries: a bot when the agent is nothing else, a fan when a browser carries them (WebViews do).
_ONLY_BARE = frozenset({"WhatsApp", "Viber", "okhttp", "axios", "Disqus", "Feedly", "Flipboard", "Daum\\/", "coccoc"})

# An Android browser names the device in its first parentheses, and there are devices called CUBOT or Sonic.
_ANDROID_DEVICE = re.compile(r"^(Mozilla/5\.0 \(Linux; (?:U; )?Android [\d.]+;)(?![^)]*compatible;)[^)]*\)")
_META = re.compile(r"(?<!\\)[\[\](){}|?+*^$.]|\\[A-Za-z]")


def _literal(pattern: str) -> str | None:
    """The plain text a pattern is, when it is no more than that."""
    return None if _META.search(pattern) else re.sub(r"\\(.)", r"\1", pattern)


def _load() -> tuple[dict[str, str], list[tuple[re.Pattern[str], str]]]:
    literals: dict[str, str] = {}
    expressions: list[tuple[re.Pattern[str], str]] = []
    for entry in CRAWLER_USER_AGENTS_DATA:
        pattern: str = entry["pattern"]
        text = _literal(pattern)
        if text is None:
            expressions.append((re.compile(pattern), pattern))
        else:
            literals[text] = pattern
    return literals, expressions


_LITERALS, _EXPRESSIONS = _load()


def bot_reason(user_agent: str) -> str:
    """Why this user agent is a bot ('no-user-agent', 'preview:…', 'library:…', 'crawler:…'), or '' for a fan."""
    if not user_agent.strip():
        return NO_USER_AGENT
    lower = user_agent.lower()
    for kind, marks in (("preview", _PREVIEWS), ("crawler", _CRAWLERS)):
        for mark in marks:
            if mark in lower:
                return f"{kind}:{mark}"
    is_browser = lower.startswith("mozilla/")
    if not is_browser:
        for mark in _LIBRARIES:
            if lower.startswith(mark):
                return f"library:{mark.rstrip('/ (-')}"
    text = _ANDROID_DEVICE.sub(r"\1)", user_agent) if is_browser else user_agent
    is_webview = is_browser and "compatible;" not in lower
    for literal, pattern in _LITERALS.items():
        if literal in text and not (is_webview and pattern in _ONLY_BARE):
            return _name(pattern)
    for expression, pattern in _EXPRESSIONS:
        if expression.search(text):
            return _name(pattern)
    return "crawler:self-declared" if any(mark in lower for mark in _SELF_DECLARED) else ""


def _name(pattern: str) -> str:
    return "crawler:" + re.sub(r"[^A-Za-z0-9._ -]+", "", pattern).strip().lower()[:60]
