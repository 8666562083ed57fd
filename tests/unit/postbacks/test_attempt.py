"""What is kept of an attempt at a batch: each event's part of the request, masked, whether it was taken whole or not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from postbacks.attempt import BODY_CAP, Tried, apart, keys, taken, texts, try_once
from postbacks.chunk import Claimed
from postbacks.destinations import registry
from postbacks.destinations.base import Item
from postbacks.egress import Answer, Request
from postbacks.queue import Finished
from tests.unit.postbacks.clicks import FACTS, NOW, TOKEN, item

PAGE = FACTS["_landing_url"]


class Told:
    """An egress that answers the same to everything."""

    def __init__(self, body: Any) -> None:
        self.answer = Answer(200, "OK", {}, msgspec.json.encode(body))
        self.sent: list[Request] = []

    async def send(self, request: Request) -> Answer:
        self.sent.append(request)
        return self.answer


def events(count: int, **facts: str) -> list[Item]:
    return [item(event_id=f"cnv-{n}", at=datetime.now(UTC), facts={**fresh(), **facts}) for n in range(count)]


def fresh() -> dict[str, str]:
    return {"_click_ms": str(int(datetime.now(UTC).timestamp() * 1000))}


def claims(items: Sequence[Item]) -> list[Claimed]:
    return [Claimed(one.event_id, "d", date(2026, 11, 22), 2, 0, "lease", 0.0, one) for one in items]


def parts(tried: Tried, items: Sequence[Item]) -> list[Finished]:
    return apart(taken(tried, "d", keys(claims(items))))


def meta() -> Any:
    return registry.load("meta", {"pixel_id": "123456789012345"}, {"token": TOKEN})


async def test_a_batch_taken_whole_can_be_told_apart() -> None:
    items = events(3)
    tried = await try_once(meta(), items, Told({"events_received": 3}))  # type: ignore[arg-type]
    assert tried.requests == ()
    finished = parts(tried, items)
    assert [(one.claimed.event_id, one.claimed.attempts, one.claimed.lease_token) for one in finished] == [
        (f"cnv-{n}", 2, "lease") for n in range(3)
    ]
    assert {(one.outcome, one.decision.state, one.words) for one in finished} == {
        ("delivered", "delivered", "Meta received 3 events")
    }
    first, second, _ = (one.request for one in finished)
    assert first.startswith(
        "POST https://graph.facebook.com/v25.0/123456789012345/events\nContent-Type: application/json\n\nevent 1 of 3: {"
    )
    assert '"event_id":"cnv-1"' in second
    assert "cnv-0" not in second
    assert TOKEN not in first + second


async def test_a_batch_refused_whole_says_the_same_of_each_event() -> None:
    items = events(3)
    sink = Told({"events_received": 3})
    whole = await try_once(meta(), items, sink)  # type: ignore[arg-type]
    sink.answer = Answer(200, "OK", {}, b'{"error": {"code": 2, "message": "later"}}')
    refused = await try_once(meta(), items, sink)  # type: ignore[arg-type]
    assert sink.sent[0].body == sink.sent[1].body
    assert refused.events == b""
    made = [one.request for one in parts(whole, items)]
    assert [text.partition('"event_time"')[0] for text in refused.requests] == [
        text.partition('"event_time"')[0] for text in made
    ]


@pytest.mark.parametrize("facts", [{"_landing_url": f"{PAGE}&token=hush"}, {"_user_agent": "Agent password=hush"}])
async def test_secrets_of_strangers_are_masked_in_a_batch(facts: dict[str, str]) -> None:
    items = events(3, **facts)
    sink = Told({"events_received": 3})
    tried = await try_once(meta(), items, sink)  # type: ignore[arg-type]
    assert b"hush" in (sink.sent[0].body or b"")
    assert b"hush" not in bytes(tried.events)
    assert all("=***" in text for text in texts(tried.events))


async def test_our_own_token_is_masked_wherever_it_turns_up() -> None:
    items = events(2, _landing_url=f"https://go.example/{TOKEN}/x")
    tried = await try_once(meta(), items, Told({"events_received": 2}))  # type: ignore[arg-type]
    assert TOKEN.encode() not in bytes(tried.events)
    assert "https://go.example/***/x" in texts(tried.events)[1]


async def test_no_more_of_an_event_is_kept_than_of_any_request() -> None:
    items = events(2, _landing_url="https://go.example/" + "x" * 3000)
    tried = await try_once(meta(), items, Told({"events_received": 2}))  # type: ignore[arg-type]
    for one in parts(tried, items):
        own = one.request.partition(" of 2: ")[2]
        assert len(own) == BODY_CAP + 3
        assert own.endswith("...")


async def test_a_batch_may_say_of_an_event_what_is_no_object() -> None:
    destination = registry.load("onlyfans_list", {"account_id": "acct_1", "list_id": "7"}, {"token": TOKEN})
    items = [Item(f"e{n}", "new_subscriber", NOW, {"fan_onlyfans_id": str(n)}) for n in (4, 5)]
    tried = await try_once(destination, items, Told({"data": {}}))  # type: ignore[arg-type]
    assert texts(tried.events) == ["fan 4", "fan 5"]
