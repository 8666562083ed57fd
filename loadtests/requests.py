"""Examples of every request a destination sends, as files: `python -m loadtests.requests` writes docs/requests/.

One file per platform and event, made by the product's own code from one fixed conversion, with the token masked. A test
keeps them true.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from postbacks.destinations import registry
from postbacks.destinations.base import Destination, Item
from postbacks.destinations.mapping import TYPES
from postbacks.destinations.pixel import Pixel
from postbacks.egress import Answer, Request
from postbacks.facts import SAMPLE
from postbacks.redaction import MASK

FOLDER = Path(__file__).parent.parent / "docs" / "requests"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TOKEN = "EXAMPLE-TOKEN"
CLICK_MS = int((NOW - timedelta(hours=2)).timestamp() * 1000)
FACTS = SAMPLE | {
    "conversion_id": "cnv_sample_0001",
    "amount_gross": "24.99",
    "currency": "USD",
    "utm_source": "creatortraffic",
    "_click_ms": str(CLICK_MS),
    "_ip": "203.0.113.7",
    "_user_agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Instagram 334.0",
    "_landing_url": "https://go.example.com/go/01JD8Z5T9Q4M6X2B7V3K1C0RWA?ecid=clk-12345&fbclid=IwAR0samplefbclid",
    "_referrer": "https://l.instagram.com/",
    "_fbp": f"fb.1.{CLICK_MS}.1234567890",
    "_ttp": "2abcDEFghiJKLmnoPQRstuVWXyz",
    "_scid": "b7a3f4d0-1111-2222-3333-444455556666",
}
PIXELS: dict[str, dict[str, Any]] = {
    "meta": {"pixel_id": "123456789012345"},
    "tiktok": {"pixel_id": "C4ABCDEF1234567890"},
    "snapchat": {"pixel_id": "0d7a4bb6-5a2e-4c3d-9d5e-2f1c8c7a1b2d"},
}
OTHERS: dict[str, dict[str, Any]] = {
    "creatortraffic": {},
    "onlyfans_list": {"account_id": "acct_7d41c0a9f1e84a0c", "list_id": "1224114714"},
    "onlyfans_note": {"account_id": "acct_7d41c0a9f1e84a0c"},
    "onlyautomator": {},
    "ofauth_message": {"connection_id": "conn_abc123", "text": "Hi {fan_onlyfans_name}, welcome!"},
    "onlymonster_message": {"connection_id": "4711", "text": "Hi {fan_onlyfans_name}, welcome!"},
}
# What the first request of an action in two steps is answered with.
FIRST_ANSWER = Answer(200, "OK", {}, b'{"data": {"notes": "likes cats"}}')


def examples() -> Iterator[tuple[str, str]]:
    """(file name, content) of every example."""
    for kind, config in PIXELS.items():
        destination = registry.load(kind, config, {"token": TOKEN})
        assert isinstance(destination, Pixel)
        destination.clock = lambda: NOW
        for ours in destination.event_names:
            yield f"{kind}-{ours}.json", written(destination, item(ours))
    for kind, config in OTHERS.items():
        yield (
            f"{kind}-new_subscriber.json",
            written(registry.load(kind, config, {"token": TOKEN}), item("new_subscriber")),
        )


def item(ours: str) -> Item:
    """The sample conversion as one of our events."""
    event_type = TYPES[ours]
    facts = FACTS | {"conversion_type": event_type}
    if ours.endswith("_purchase"):
        facts["purchase"] = ours.removesuffix("_purchase")
    return Item(FACTS["conversion_id"], event_type, NOW - timedelta(minutes=5), facts)


def written(destination: Destination, told: Item) -> str:
    """The requests of one event, token masked."""
    verdict = destination.screen(told, NOW)
    if verdict is not None:
        raise ValueError(f"the example would not be sent: {verdict.words}")
    requests: list[Request] = [destination.render([told])]
    following = destination.follow_up([told], [FIRST_ANSWER])
    if following is not None:
        requests.append(following)
    shown = [_shown(request) for request in requests]
    text = json.dumps(shown[0] if len(shown) == 1 else shown, indent=2, ensure_ascii=False)
    return text.replace(TOKEN, MASK) + "\n"


def _shown(request: Request) -> dict[str, Any]:
    shown: dict[str, Any] = {"method": request.method, "url": request.url, "headers": dict(request.headers)}
    if request.body is not None:
        shown["body"] = json.loads(request.body)
    return shown


def main() -> None:
    """Write the examples; those no longer made are removed."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = dict(examples())
    for path in FOLDER.glob("*.json"):
        if path.name not in made:
            path.unlink()
    for name, content in made.items():
        (FOLDER / name).write_text(content)
    print(f"{len(made)} examples in {FOLDER.name}/")


if __name__ == "__main__":
    main()
