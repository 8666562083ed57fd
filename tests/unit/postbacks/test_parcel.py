"""A batch written chunk by chunk says what the same events would say one by one, and refuses the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbacks.batches import screen
from postbacks.chunk import Chunk
from postbacks.destinations import registry
from postbacks.destinations.base import Item
from postbacks.destinations.mapping import TYPES
from postbacks.destinations.pixel import Pixel
from postbacks.parcel import pack
from postbacks.verdicts import Verdict
from tests.unit.postbacks.clicks import FACTS, NOW, TOKEN, chunk, item

PIXELS = {"meta": "123456789012345", "tiktok": "C4ABCDEF1234567890", "snapchat": "0d7a4bb6-5a2e-4c3d"}


def pixel(platform: str) -> Pixel:
    config = {"pixel_id": PIXELS[platform], "events": {"message_received": "off"}}
    found = registry.load(platform, config, {"token": TOKEN})
    assert isinstance(found, Pixel)
    found.clock = lambda: NOW
    return found


def chunks(
    destination: Pixel, items: Sequence[Item], size: int, ambiguous: Sequence[float | None] | None = None
) -> list[Chunk]:
    known = ambiguous or [None] * len(items)
    return [
        chunk(
            items[at : at + size],
            destination.reads,
            ambiguous=list(known[at : at + size]),
            attempts=list(range(at, at + len(items[at : at + size]))),
        )
        for at in range(0, len(items), size)
    ]


facts = st.fixed_dictionaries(
    {},
    optional={
        "_ip": st.sampled_from(["", "203.0.113.9", "2001:db8::1", "x"]),
        "_user_agent": st.sampled_from(["", "Agent a=b", "Agent é", "a" * 64]),
        "_landing_url": st.sampled_from(["", "https://h.example/?a=1", "https://h.example/?token=x", "https://h/ x", "http://h/é"]),
        "_fbp": st.sampled_from(["", "fb.1.1795340000000.1.AQ", "x"]),
        "_fbc": st.sampled_from(["", "fb.1.1795340000000.Cookie"]),
        "fbclid": st.sampled_from(["", "a b", "IwAR_0-x"]),
        "external_click_id": st.sampled_from(["", " ", "ÄB", "c=1"]),
        "amount_gross": st.sampled_from(["", "12.50", "-1", "nan"]),
        "purchase": st.sampled_from(["first", "repeat", ""]),
        "country": st.sampled_from(["", "de", "XX"]),
    },
)  # fmt: skip
rows = st.lists(
    st.tuples(
        st.sampled_from(sorted(set(TYPES.values()))),
        st.integers(-600, 9 * 86400),
        facts,
        st.sampled_from([None, 60.0, 47 * 3600.0, 50 * 3600.0]),
    ),
    min_size=2,
    max_size=9,
)


@pytest.mark.parametrize("platform", PIXELS)
@given(rows=rows, size=st.integers(1, 4))
def test_it_says_and_refuses_what_events_alone_would(platform: str, rows: list[Any], size: int) -> None:
    destination = pixel(platform)
    items = [
        item(event_type, event_id=f"e{n}", at=NOW - timedelta(seconds=age), facts=changes)
        for n, (event_type, age, changes, _) in enumerate(rows)
    ]
    ambiguous = [None if ago is None else NOW.timestamp() - ago for *_, ago in rows]
    leased = chunks(destination, items, size, ambiguous)
    claims = [claimed for one in leased for claimed in one.claims()]
    sendable, refused = screen(destination, claims, NOW)

    parcel = pack(destination, leased, NOW)
    assert parcel.refused() == refused
    assert parcel.claims() == sendable
    assert len(parcel) == len(sendable)
    assert [*parcel.keys.each()] == [(one.event_id, one.attempts + 1, one.day, one.lease_token) for one in sendable]
    if sendable:
        one_by_one = destination.render([one.item for one in sendable if one.item is not None])
        assert parcel.request.body == one_by_one.body
        assert bytes(parcel.request.events) == bytes(one_by_one.events)
        assert (parcel.request.url, parcel.request.headers) == (one_by_one.url, one_by_one.headers)
        assert msgspec.json.decode(parcel.request.events) == msgspec.json.decode(parcel.request.body or b"")["data"]


def test_parts_of_a_chunk_are_written_like_whole_ones() -> None:
    destination = pixel("meta")
    items = [item(event_id=f"e{n}") for n in range(10)]
    (whole,) = chunks(destination, items, 10)
    parts = [whole.cut(3), whole.cut(4), whole]
    assert list(map(len, parts)) == [3, 4, 3]
    assert (
        pack(destination, parts, NOW).request.body
        == pack(destination, chunks(destination, items, 10), NOW).request.body
    )
    assert [one.event_id for part in parts for one in part.claims()] == [f"e{n}" for n in range(10)]


@pytest.mark.parametrize(
    ("changes", "harmless"),
    [
        ({}, True),
        ({"_landing_url": f"{FACTS['_landing_url']}&token=hush"}, False),
        ({"_landing_url": f"https://go.example/{TOKEN}"}, False),
    ],
)
def test_one_event_that_looks_like_a_secret_has_the_whole_batch_masked(changes: dict[str, str], harmless: bool) -> None:
    destination = pixel("meta")
    items = [item(event_id=f"e{n}", facts=changes if n == 1 else {}) for n in range(6)]
    assert pack(destination, chunks(destination, items, 2), NOW).request.harmless is harmless


def test_a_batch_of_nothing_but_refusals_tells_nothing() -> None:
    destination = pixel("meta")
    parcel = pack(destination, chunks(destination, [item("message_received")] * 3, 2), NOW)
    assert (len(parcel), parcel.claims(), [*parcel.keys.each()]) == (0, [], [])
    off = Verdict("skipped", "message_received is off on this connection")
    assert [verdict for _, verdict in parcel.refused()] == [off] * 3


def test_times_come_through_a_claim_as_they_were() -> None:
    at = datetime(2026, 11, 22, 11, 59, 58, 123457, tzinfo=NOW.tzinfo)
    (claimed,) = chunk([item(at=at)], ambiguous=[at.timestamp()]).claims()
    assert claimed.item is not None
    assert (claimed.item.occurred_at, claimed.ambiguous_at) == (at, at)
