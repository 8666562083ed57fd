"""Fans and bots by user agent. A fan taken for a bot costs a buyer money, so most of these are fans."""

from __future__ import annotations

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from tracker.edge.classify import bot_reason

IOS = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
ANDROID = "Mozilla/5.0 (Linux; Android 14; {device}; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/125.0.6422.165 Mobile Safari/537.36"

FANS = [
    IOS + "Mobile/15E148 Instagram 330.0.3.29.90 (iPhone15,2; iOS 17_5_1; en_US; en; scale=3.00; 1179x2556; 609775437)",
    IOS + "Mobile/15E148 Barcelona 330.0.3.29.90 (iPhone15,2; iOS 17_5_1; en_US)",
    IOS
    + "Mobile/15E148 [FBAN/FBIOS;FBAV/470.0.0.36.103;FBBV/612345678;FBDV/iPhone15,2;FBMD/iPhone;FBSN/iOS;FBSV/17.5.1;"
    "FBSS/3;FBID/phone;FBLC/en_US;FBOP/5;FBRV/0]",
    IOS
    + "Mobile/15E148 musical_ly_35.1.0 JsSdk/2.0 NetType/WIFI Channel/App Store ByteLocale/en BytedanceWebview/d8a21c6",
    IOS + "Mobile/15E148 Snapchat/12.90.0.36 (like Safari/8618.2.12.10.9, panda)",
    IOS + "Version/17.5 Mobile/15E148 Safari/604.1",
    IOS + "CriOS/125.0.6422.80 Mobile/15E148 Safari/604.1",
    IOS + "GSA/320.0.639 Mobile/15E148 Safari/604.1",
    IOS + "Mobile/15E148 Twitter for iPhone/10.44",
    IOS + "Mobile/15E148 Reddit/Version 2024.20.0/Build 614990/iOS Version 17.5.1",
    IOS + "Mobile/15E148 [Pinterest/iOS]",
    IOS + "Mobile/15E148 WhatsApp/2.24.10",
    IOS + "Mobile/15E148 MicroMessenger/8.0.49 NetType/WIFI",
    IOS + "Mobile/15E148 DuckDuckGo/7 Safari/605.1.15",
    ANDROID.format(device="SM-S918B Build/UP1A.231005.007") + " [FB_IAB/FB4A;FBAV/466.0.0.38.82;]",
    ANDROID.format(device="SM-A536B")
    + " Instagram 331.0.0.37.90 Android (33/13; 450dpi; 1080x2177; samsung; SM-A536B; a53x)",
    ANDROID.format(device="CPH2557 Build/AP3A.240617.008")
    + " Instagram 406.0.0.58.159 Android (35/15; 480dpi; OPPO; CPH2557)",
    ANDROID.format(device="M2101K6G")
    + " trill_350003 JsSdk/1.0 AppName/musical_ly app_version/35.0.3 BytedanceWebview/d8a21c6",
    ANDROID.format(device="Pixel 8 Pro Build/AP1A")
    + "Snapchat12.89.0.45 (Pixel 8 Pro; Android 14#11544396#34; gzip; panda)",
    ANDROID.format(device="CUBOT X50 Build/SP1A"),
    ANDROID.format(device="Sonic Devin Buck/1"),
    "Mozilla/5.0 (Linux; Android 10; HuaweiBrowser) AppleWebKit/537.36 Chrome/99 Mobile Safari/537.36 okhttp/4.9",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36 Edg/125.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0",
    "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.1; Trident/6.0)",
    "Mozilla/5.0 (Linux; Android 13; SM-T505) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0"
    " Safari/537.36",
    "Mozilla/5.0 (Linux; Android 11; KFTRWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/112.3 like Chrome/112 Safari/537.36",
]
BOTS = [
    ("", "no-user-agent"),
    ("   ", "no-user-agent"),
    ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "preview:facebookexternalhit"),
    (ANDROID.format(device="Pixel 7") + " facebookexternalhit/1.1", "preview:facebookexternalhit"),
    ("meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)", "preview:meta-externalagent"),
    ("Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537.36 (compatible; TikTokSpider;"
     " ttspider-feedback@tiktok.com)", "preview:tiktokspider"),
    ("Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 Mobile Safari/537.36 (compatible; Bytespider)", "preview:bytespider"),
    ("thirdLandingPageFeInfra", "preview:thirdlandingpagefeinfra"),
    ("Mozilla/5.0 (Windows NT 6.1; WOW64; rv:47.0) Gecko/20100101 Firefox/47.0 Snap URL Preview Service; bot; snapchat;"
     " https://developers.snap.com/robots", "preview:snap url preview"),
    ("WhatsApp/2.23.20.0 A", "library:whatsapp"),
    ("TelegramBot (like TwitterBot)", "preview:telegrambot"),
    ("Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)", "preview:discordbot"),
    ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "preview:slackbot"),
    ("Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125 Mobile"
     " Safari/537.36 (compatible; AdsBot-Google-Mobile; +http://www.google.com/mobile/adsbot.html)", "crawler:adsbot-google"),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/125.0 Safari/537.36",
     "crawler:headlesschrome"),
    ("Mozilla/5.0 (compatible; NeverHeardOf/1.0; +https://example.com/about)", "crawler:self-declared"),
    ("curl/8.5.0", "library:curl"),
    ("python-requests/2.32", "library:python"),
    ("okhttp/4.12.0", "library:okhttp"),
]  # fmt: skip

# The package holds a pattern for a phone's build number whose instance is an ordinary Instagram browser.
NOT_A_CRAWLER = "AP3A\\.240617\\.008"


@pytest.mark.parametrize("agent", FANS)
def test_fans(agent: str) -> None:
    assert bot_reason(agent) == ""


@pytest.mark.parametrize(("agent", "reason"), BOTS)
def test_bots(agent: str, reason: str) -> None:
    assert bot_reason(agent) == reason


def test_every_crawler_of_the_package_is_known() -> None:
    missed = [
        (entry["pattern"], agent)
        for entry in CRAWLER_USER_AGENTS_DATA
        for agent in entry.get("instances", [])
        if not bot_reason(agent) and entry["pattern"] != NOT_A_CRAWLER
    ]
    assert missed == []
